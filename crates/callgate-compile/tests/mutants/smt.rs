//! z3 as a judge who knows nothing of diagrams: two programs as formulas over bit vectors.
//!
//! The text is SMT-LIB 2, for the program `z3`; nothing is linked.

use std::{
    env,
    fmt::Write as _,
    io::Write as _,
    process::{Command, Stdio},
};

use callgate_bpf::{AluOp, Condition, Op, Operand, Program};

/// What z3 says of two programs.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// They return the same word for every input.
    Equal,
    /// They differ on this one.
    Differ([u32; 16]),
    /// It gave up within its time.
    Unknown,
}

/// Whether there is a z3 to ask; says so loudly where there is none, and with
/// `CALLGATE_REQUIRE_LAB=1` there must be one.
pub fn is_there() -> bool {
    let found = Command::new("z3").arg("--version").output().is_ok_and(|o| o.status.success());
    if !found {
        let required = env::var_os("CALLGATE_REQUIRE_LAB").is_some_and(|value| value == "1");
        assert!(!required, "CALLGATE_REQUIRE_LAB=1, but there is no z3 (Debian package z3)");
        eprintln!("skipped: z3 is not asked about mutants that were found equal: no z3 here");
    }
    found
}

/// Asks whether any input tells the programs apart. Shifts by X count its low five bits.
pub fn compare(left: &Program, right: &Program) -> Answer {
    let mut text = String::from("(set-logic QF_BV)\n");
    for word in 0..16 {
        line(&mut text, format_args!("(declare-const w{word} (_ BitVec 32))"));
    }
    Formula { name: "l", text: &mut text }.program(left);
    Formula { name: "r", text: &mut text }.program(right);
    text.push_str("(assert (not (= l r)))\n(check-sat)\n(get-value (");
    for word in 0..16 {
        let _ = write!(text, "w{word} ");
    }
    text.push_str("))\n");
    let output = ask(&text);
    match output.lines().next() {
        Some("unsat") => Answer::Equal,
        Some("sat") => Answer::Differ(values(&output)),
        Some("unknown" | "timeout") => Answer::Unknown,
        _ => panic!("z3 says: {output}"),
    }
}

fn ask(text: &str) -> String {
    let mut z3 = Command::new("z3")
        .args(["-in", "-T:60"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("z3 was there");
    z3.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("z3 reads");
    let output = z3.wait_with_output().expect("z3 ends");
    String::from_utf8(output.stdout).expect("z3 writes text")
}

/// The sixteen words in `((w0 #x00000001) (w1 …`, in order.
fn values(output: &str) -> [u32; 16] {
    let mut words = output.split("#x").skip(1).map(|rest| {
        let digits = rest.split(')').next().expect("a value ends");
        u32::from_str_radix(digits, 16).expect("eight digits")
    });
    std::array::from_fn(|_| words.next().expect("sixteen values"))
}

fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = writeln!(text, "{what}");
}

/// One way into an instruction: when it is taken, and the registers that it brings.
#[derive(Clone)]
struct Way {
    taken: String,
    registers: Registers,
}

/// A term each for A, X and the scratch words.
#[derive(Clone)]
struct Registers {
    a: String,
    x: String,
    memory: [String; 16],
}

/// The definitions of one program, all names beginning with `name`.
struct Formula<'a> {
    name: &'static str,
    text: &'a mut String,
}

impl Formula<'_> {
    /// Defines the constant `name` as what the program returns.
    fn program(&mut self, program: &Program) {
        let name = self.name;
        let zero = constant(0);
        let start = Registers {
            a: zero.clone(),
            x: zero.clone(),
            memory: std::array::from_fn(|_| zero.clone()),
        };
        let mut ways: Vec<Vec<Way>> = vec![Vec::new(); program.len()];
        ways[0].push(Way { taken: "true".to_owned(), registers: start });
        // Exactly one return is reached, so the order of these does not matter.
        let mut returns: Vec<(String, String)> = Vec::new();
        for (pc, instruction) in program.instructions().iter().enumerate() {
            let here = std::mem::take(&mut ways[pc]);
            if here.is_empty() {
                continue;
            }
            let op = instruction.decode().expect("validated");
            let (reached, registers) = self.merge(pc, here);
            let way = |taken: String| Way { taken, registers: registers.clone() };
            match op {
                Op::Return(k) => returns.push((reached, constant(k))),
                Op::ReturnA => returns.push((reached, registers.a)),
                Op::Jump(k) => {
                    ways[pc + 1 + usize::try_from(k).expect("validated")].push(way(reached));
                }
                Op::Branch { condition, operand, jt, jf } => {
                    let holds = format!("{name}c{pc}");
                    let test = test(condition, &registers.a, &value(operand, &registers));
                    line(self.text, format_args!("(define-const {holds} Bool {test})"));
                    let yes = way(format!("(and {reached} {holds})"));
                    ways[pc + 1 + usize::from(jt)].push(yes);
                    let no = way(format!("(and {reached} (not {holds}))"));
                    ways[pc + 1 + usize::from(jf)].push(no);
                }
                Op::Alu(AluOp::Div, Operand::X) => {
                    let zero = format!("(= {} {zero})", registers.x);
                    returns.push((format!("(and {reached} {zero})"), constant(0)));
                    let mut way = way(format!("(and {reached} (not {zero}))"));
                    way.registers.a = format!("(bvudiv {} {})", registers.a, registers.x);
                    ways[pc + 1].push(way);
                }
                op => {
                    let registers = step(op, registers, program.layout().size);
                    ways[pc + 1].push(Way { taken: reached, registers });
                }
            }
        }
        let mut result = zero;
        for (taken, word) in returns {
            result = format!("(ite {taken} {word} {result})");
        }
        line(self.text, format_args!("(define-const {name} (_ BitVec 32) {result})"));
    }

    /// Names for whether an instruction is reached, and for the registers there.
    fn merge(&mut self, pc: usize, ways: Vec<Way>) -> (String, Registers) {
        let name = self.name;
        let reached = format!("{name}g{pc}");
        let taken: Vec<&str> = ways.iter().map(|way| way.taken.as_str()).collect();
        let any = format!("(or false {})", taken.join(" "));
        line(self.text, format_args!("(define-const {reached} Bool {any})"));
        let mut of = |register: &str, term: fn(&Registers, usize) -> &String, index: usize| {
            let first = term(&ways[0].registers, index);
            let mut merged = first.clone();
            for way in &ways[1..] {
                let other = term(&way.registers, index);
                if *other != merged {
                    merged = format!("(ite {} {other} {merged})", way.taken);
                }
            }
            // Short terms stay as they are; others get a name, or they would double at each step.
            if merged.len() < 24 {
                return merged;
            }
            let defined = format!("{name}{register}{pc}");
            line(self.text, format_args!("(define-const {defined} (_ BitVec 32) {merged})"));
            defined
        };
        let a = of("a", |registers, _| &registers.a, 0);
        let x = of("x", |registers, _| &registers.x, 0);
        let memory = std::array::from_fn(|slot| {
            of(&format!("m{slot}_"), |registers, slot| &registers.memory[slot], slot)
        });
        (reached, Registers { a, x, memory })
    }
}

/// The registers after an operation that neither jumps nor ends.
fn step(op: Op, mut registers: Registers, size: u32) -> Registers {
    let slot = |slot: u32| usize::try_from(slot).expect("validated: below 16");
    match op {
        Op::Load(offset) => registers.a = format!("w{}", offset / 4),
        Op::LoadLen => registers.a = constant(size),
        Op::LoadImm(k) => registers.a = constant(k),
        Op::LoadMem(k) => registers.a = registers.memory[slot(k)].clone(),
        Op::LoadXLen => registers.x = constant(size),
        Op::LoadXImm(k) => registers.x = constant(k),
        Op::LoadXMem(k) => registers.x = registers.memory[slot(k)].clone(),
        Op::Store(k) => registers.memory[slot(k)] = registers.a.clone(),
        Op::StoreX(k) => registers.memory[slot(k)] = registers.x.clone(),
        Op::Tax => registers.x = registers.a.clone(),
        Op::Txa => registers.a = registers.x.clone(),
        Op::Neg => registers.a = format!("(bvneg {})", registers.a),
        Op::Alu(operation, operand) => {
            let right = value(operand, &registers);
            registers.a = match operation {
                AluOp::Add => format!("(bvadd {} {right})", registers.a),
                AluOp::Sub => format!("(bvsub {} {right})", registers.a),
                AluOp::Mul => format!("(bvmul {} {right})", registers.a),
                AluOp::Div => format!("(bvudiv {} {right})", registers.a),
                AluOp::Or => format!("(bvor {} {right})", registers.a),
                AluOp::And => format!("(bvand {} {right})", registers.a),
                AluOp::Xor => format!("(bvxor {} {right})", registers.a),
                AluOp::Lsh => format!("(bvshl {} (bvand {right} #x0000001f))", registers.a),
                AluOp::Rsh => format!("(bvlshr {} (bvand {right} #x0000001f))", registers.a),
            };
        }
        Op::Jump(_) | Op::Branch { .. } | Op::Return(_) | Op::ReturnA => unreachable!("no step"),
    }
    registers
}

fn test(condition: Condition, a: &str, operand: &str) -> String {
    match condition {
        Condition::Eq => format!("(= {a} {operand})"),
        Condition::Gt => format!("(bvugt {a} {operand})"),
        Condition::Ge => format!("(bvuge {a} {operand})"),
        Condition::Set => format!("(not (= (bvand {a} {operand}) #x00000000))"),
    }
}

fn value(operand: Operand, registers: &Registers) -> String {
    match operand {
        Operand::K(k) => constant(k),
        Operand::X => registers.x.clone(),
    }
}

fn constant(k: u32) -> String {
    format!("#x{k:08x}")
}
