//! What a program costs, against what the running kernel charges.
//!
//! The kernel gives no figure, only ENOMEM when the filters of a thread together cost more than
//! 32,768. So each program is attached on top of filters that leave exactly as much as it should
//! cost, which must work, and on top of filters that leave one less, which must not.
#![cfg(target_os = "linux")]

mod oracle;

use callgate_bpf::generate::{self, Rng};
use callgate_bpf::{
    ATTACHED_PENALTY, Action, AluOp, ByteOrder, Condition, Instruction, Layout, Op, Operand,
    PATH_BUDGET, Program,
};

const LAYOUT: Layout = Layout::seccomp(ByteOrder::NATIVE);
const ALLOW: Op = Op::Return(0x7fff_0000);

/// Whether the kernel blinds constants here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blinding {
    Off,
    On,
}

impl Blinding {
    fn cost(self, program: &Program) -> u32 {
        match self {
            Blinding::Off => program.path_cost(),
            Blinding::On => program.path_cost_blinded(),
        }
    }
}

fn program(ops: impl IntoIterator<Item = Op>) -> Program {
    Program::new(ops.into_iter().map(Instruction::from).collect(), LAYOUT).unwrap()
}

/// Allows everything, the rest of its length is instructions that nothing reaches.
fn allowing(rest: impl IntoIterator<Item = Op>) -> Program {
    program([ALLOW].into_iter().chain(rest))
}

/// A program that allows everything and costs this much, at least 10: loads that nothing reads,
/// which cost 1 each whatever the kernel does with constants.
fn filler(cost: u32, blinding: Blinding) -> Program {
    let with = |loads| allowing(std::iter::repeat_n(Op::Load(0), loads).chain([Op::ReturnA]));
    let loads = usize::try_from(cost - blinding.cost(&with(0))).expect("a small number");
    let filler = with(loads);
    assert_eq!(blinding.cost(&filler), cost);
    filler
}

/// Filters that leave exactly this much for one more.
fn fillers(leave: u32, blinding: Blinding) -> Vec<Program> {
    const LONGEST: u32 = 4000;
    let mut rest = PATH_BUDGET - leave;
    let mut fillers = Vec::new();
    while rest > 0 {
        let full = LONGEST + ATTACHED_PENALTY;
        // What remains must be enough for a last one.
        let part = if rest > full + 100 {
            full
        } else if rest > full {
            rest / 2
        } else {
            rest
        };
        fillers.push(filler(part - ATTACHED_PENALTY, blinding));
        rest -= part;
    }
    fillers
}

/// What the kernel says to the last of these: 0 or an error number.
fn attach(programs: &[&Program]) -> i32 {
    let filters: Vec<_> = programs.iter().map(|p| oracle::filter(p.instructions())).collect();
    oracle::attach_in_child(&filters).unwrap_or_else(|error| panic!("a filler: error {error}"))
}

/// Finds out by the program that shows it best; `None`, said loudly, when no filter can be
/// attached or the kernel charges neither way.
fn blinding() -> Option<Blinding> {
    if !oracle::is_unfiltered() {
        return None;
    }
    if oracle::attach_in_child(&[oracle::filter(&[ALLOW.into()])]) != Ok(0) {
        eprintln!("skipped: no filter can be attached here");
        return None;
    }
    let returns = program([ALLOW; 4096]);
    let two = attach(&[&returns, &returns]);
    let found = if two == 0 { Blinding::Off } else { Blinding::On };
    let setting = std::fs::read_to_string("/proc/sys/net/core/bpf_jit_harden");
    eprintln!("constant blinding: {found:?}; bpf_jit_harden: {:?}", setting.as_deref());
    if setting.is_ok_and(|value| value.trim() == "0") {
        assert_eq!(found, Blinding::Off, "nothing asks for blinding");
    }
    Some(found)
}

/// Programs in whose cost each rule shows, and enough of each that a mistake by one would.
fn shapes() -> Vec<(&'static str, Program)> {
    let many = |op: Op| allowing(std::iter::repeat_n(op, 300).chain([Op::ReturnA]));
    let k = Operand::K;
    let alu = |op, operand| many(Op::Alu(op, operand));
    let test = |condition, operand, jt, jf| {
        let branch = Op::Branch { condition, operand, jt, jf };
        allowing(std::iter::repeat_n(branch, 300).chain([Op::ReturnA, Op::ReturnA]))
    };
    use Condition::{Eq, Ge, Gt, Set};
    let mut shapes = vec![
        ("ret k", many(Op::Return(5))),
        ("ret 0", many(Op::Return(0))),
        ("ret a", many(Op::ReturnA)),
        ("ld", many(Op::Load(16))),
        ("ld len", many(Op::LoadLen)),
        ("ldx len", many(Op::LoadXLen)),
        ("ld imm", many(Op::LoadImm(7))),
        ("ld imm 0", many(Op::LoadImm(0))),
        ("ldx imm", many(Op::LoadXImm(7))),
        ("ldx imm 0", many(Op::LoadXImm(0))),
        ("st", many(Op::Store(3))),
        ("stx", many(Op::StoreX(3))),
        ("tax", many(Op::Tax)),
        ("txa", many(Op::Txa)),
        ("neg", many(Op::Neg)),
        ("ja", many(Op::Jump(0))),
    ];
    for alu_op in [
        AluOp::Add,
        AluOp::Sub,
        AluOp::Mul,
        AluOp::Div,
        AluOp::Or,
        AluOp::And,
        AluOp::Lsh,
        AluOp::Rsh,
        AluOp::Xor,
    ] {
        shapes.push(("alu k", alu(alu_op, k(3))));
        shapes.push(("alu x", alu(alu_op, Operand::X)));
        if !matches!(alu_op, AluOp::Div) {
            shapes.push(("alu 0", alu(alu_op, k(0))));
        }
    }
    for condition in [Eq, Gt, Ge, Set] {
        for operand in [k(0), k(1), k(0x7fff_ffff), k(0x8000_0000), k(u32::MAX), Operand::X] {
            for (jt, jf) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                shapes.push(("branch", test(condition, operand, jt, jf)));
            }
        }
    }
    shapes
}

fn costs_exactly(program: &Program, blinding: Blinding) -> Result<(), String> {
    let cost = blinding.cost(program);
    for (leave, expected) in [(cost, 0), (cost - 1, libc::ENOMEM)] {
        let fillers = fillers(leave, blinding);
        let all: Vec<&Program> = fillers.iter().chain([program]).collect();
        let got = attach(&all);
        if got != expected {
            return Err(format!("cost {cost}, with {leave} left: error {got}, not {expected}"));
        }
    }
    Ok(())
}

#[test]
fn every_instruction_costs_what_the_kernel_charges() {
    let Some(blinding) = blinding() else { return };
    let shapes = shapes();
    for (name, program) in &shapes {
        if let Err(error) = costs_exactly(program, blinding) {
            panic!("{name}, {:?}: {error}", program.instructions()[1]);
        }
    }
    eprintln!("{} shapes cost exactly what is predicted", shapes.len());
}

#[test]
fn random_programs_cost_what_the_kernel_charges() {
    let Some(blinding) = blinding() else { return };
    let count = oracle::size(200, 5_000);
    let mut rng = Rng::new(oracle::seed());
    for number in 0..count {
        // Behind an ALLOW: the kernel counts what it never runs.
        let mut instructions = vec![ALLOW.into()];
        let longest = if number % 10 == 0 { 3000 } else { 300 };
        instructions.extend(generate::valid_program(&mut rng, &LAYOUT, longest));
        let program = Program::new(instructions, LAYOUT).unwrap();
        if let Err(error) = costs_exactly(&program, blinding) {
            panic!("program {number}: {error}\n{program:?}");
        }
    }
    eprintln!("{count} random programs cost exactly what is predicted");
}

#[test]
fn as_many_copies_fit_as_predicted() {
    let Some(blinding) = blinding() else { return };
    let is_39 = |jt, jf| Op::Branch { condition: Condition::Eq, operand: Operand::K(39), jt, jf };
    let deny = Op::Return(Action::Errno(1).raw().0);
    for (name, program, plain) in [
        ("4096 returns", program([ALLOW; 4096]), 3),
        ("4095 comparisons", program(std::iter::repeat_n(is_39(0, 0), 4095).chain([ALLOW])), 7),
        ("one return", program([ALLOW]), 3641),
        ("a small denial", program([Op::Load(0), is_39(0, 1), deny, ALLOW]), 2520),
    ] {
        let each = blinding.cost(&program) + ATTACHED_PENALTY;
        let fit = usize::try_from((PATH_BUDGET + ATTACHED_PENALTY) / each).unwrap();
        if blinding == Blinding::Off {
            assert_eq!(fit, plain, "{name}");
        }
        let copies = |count| attach(&vec![&program; count]);
        assert_eq!(copies(fit), 0, "{fit} of {name}");
        assert_eq!(copies(fit + 1), libc::ENOMEM, "{} of {name}", fit + 1);
        eprintln!("{name}: {fit} fit, one more does not");
    }
}
