//! The interpreter against the running kernel: the same 32-bit result for every program and
//! input tried.
//!
//! Each random program becomes the body of a filter that allows the real system calls and runs
//! the body for numbers from 0x10000 up, which no kernel has. What the body returns is not acted
//! on but read back: its returns lead to an epilogue that answers ERRNO with 12 bits of the
//! result, the last word of the context saying which. The body does not read that word, so three
//! calls give all 32 bits of one result. A division by an X of 0 kills the thread; one such call,
//! made last, is part of a session where the interpreter predicts it.
//!
//! The architecture and the instruction pointer are what the kernel makes them, the other words
//! are free (the number from 0x10000 up). Ordinarily 20,000 programs by 50 inputs;
//! `CALLGATE_FULL=1` tries a million programs.
#![cfg(target_os = "linux")]

mod oracle;

use callgate_bpf::generate::{self, Rng};
use callgate_bpf::{
    Action, Architecture, ByteOrder, Condition, Instruction, Layout, Op, Operand, Program,
    ShiftRule,
};
use oracle::Session;

const LAYOUT: Layout = Layout::seccomp(ByteOrder::NATIVE);

/// The index of the word by which a call says which bits it wants, as a shift distance.
const SELECTOR: usize = 15;

/// Between them all 32 bits, 12 at a time.
const SELECTIONS: [u32; 3] = [0, 12, 24];

/// The first number that reaches the body.
const FIRST_NR: u32 = 0x1_0000;

const ERRNO: u32 = 0x0005_0000;

fn branch(condition: Condition, operand: Operand, jt: u8, jf: u8) -> Instruction {
    Op::Branch { condition, operand, jt, jf }.into()
}

/// The filter around a body; A and X start in the body as they start in the kernel.
fn observed(body: &[Instruction]) -> Vec<Instruction> {
    let mut filter: Vec<Instruction> = vec![
        Op::Store(0).into(),
        Op::StoreX(1).into(),
        Op::Load(0).into(),
        branch(Condition::Ge, Operand::K(FIRST_NR), 1, 0),
        Op::Return(Action::Allow.raw().0).into(),
        Op::LoadMem(0).into(),
    ];
    let start = filter.len();
    filter.extend_from_slice(body);
    // Where each constant return continues, two instructions each; then the epilogue.
    let constants: Vec<(usize, u32)> = body
        .iter()
        .enumerate()
        .filter_map(|(index, instruction)| match instruction.decode() {
            // A return that can be observed as it is stays.
            Some(Op::Return(k)) if k & 0xffff_0000 != ERRNO => Some((start + index, k)),
            _ => None,
        })
        .collect();
    let epilogue = start + body.len() + 2 * constants.len();
    let jump = |from: usize, to: usize| {
        Instruction::from(Op::Jump(u32::try_from(to - from - 1).expect("a short program")))
    };
    for (index, instruction) in body.iter().enumerate() {
        if instruction.decode() == Some(Op::ReturnA) {
            filter[start + index] = jump(start + index, epilogue);
        }
    }
    for (index, k) in constants {
        filter[index] = jump(index, filter.len());
        filter.push(Op::LoadImm(k).into());
        filter.push(jump(filter.len(), epilogue));
    }
    let selector = 4 * u32::try_from(SELECTOR).expect("a small number");
    filter.extend(
        [
            Op::Store(15),
            Op::Load(selector),
            Op::Tax,
            Op::LoadMem(15),
            Op::Alu(callgate_bpf::AluOp::Rsh, Operand::X),
            Op::Alu(callgate_bpf::AluOp::And, Operand::K(0xfff)),
            Op::Alu(callgate_bpf::AluOp::Or, Operand::K(ERRNO)),
            Op::ReturnA,
        ]
        .map(Instruction::from),
    );
    filter
}

/// The call whose context has these words, as far as a call decides them.
fn call(words: &[u32; 16]) -> (u32, [u64; 6]) {
    let pair = |index: usize| {
        let (first, second) = (u64::from(words[index]), u64::from(words[index + 1]));
        match ByteOrder::NATIVE {
            ByteOrder::Little => first | second << 32,
            ByteOrder::Big => first << 32 | second,
        }
    };
    (words[0], std::array::from_fn(|index| pair(4 + 2 * index)))
}

/// The words that the kernel decides: 1, 2 and 3, read back through filters that return them.
fn fixed_words() -> Option<[u32; 3]> {
    if !oracle::is_unfiltered() {
        return None;
    }
    let mut fixed = [0; 3];
    for (value, offset) in fixed.iter_mut().zip([4, 8, 12]) {
        let filter = observed(&[Op::Load(offset).into(), Op::ReturnA.into()]);
        let calls = SELECTIONS.map(|selection| {
            let mut words = [0; 16];
            words[0] = FIRST_NR;
            words[SELECTOR] = selection;
            call(&words)
        });
        let outcome = Session::new(&filter, calls.to_vec()).run();
        let [low, middle, high] = outcome.answers[..] else {
            eprintln!("skipped: no filter can be attached here: error {}", outcome.attach_error);
            return None;
        };
        *value = low | middle << 12 | high << 24;
    }
    Some(fixed)
}

/// What is expected of one filter: the calls, their answers, and whether the call after them
/// kills the thread.
struct Expected {
    calls: Vec<(u32, [u64; 6])>,
    answers: Vec<u32>,
    deaths: usize,
}

fn expected(program: &Program, inputs: &[[u32; 16]], shifts: ShiftRule) -> Expected {
    let mut plan = Expected { calls: Vec::new(), answers: Vec::new(), deaths: 0 };
    let mut deadly = None;
    for input in inputs {
        for selection in SELECTIONS {
            let mut words = *input;
            words[SELECTOR] = selection;
            match program.run(&words, shifts).action() {
                Action::Errno(data) => {
                    plan.calls.push(call(&words));
                    plan.answers.push(u32::from(data));
                }
                Action::KillThread => deadly = Some(call(&words)),
                other => panic!("an observed body cannot answer {other}"),
            }
        }
    }
    if let Some(deadly) = deadly {
        plan.calls.push(deadly);
        plan.deaths = 1;
    }
    plan
}

/// Words 1 to 3 as the kernel makes them, the number where the body sees it.
fn fit(mut words: [u32; 16], fixed: [u32; 3]) -> [u32; 16] {
    words[1..4].copy_from_slice(&fixed);
    if words[0] < FIRST_NR {
        words[0] |= FIRST_NR << (words[0] % 16);
    }
    words
}

#[test]
fn random_programs_give_the_kernels_result() {
    if !oracle::is_own_process("random_programs_give_the_kernels_result") {
        return;
    }
    let Some(fixed) = fixed_words() else { return };
    let shifts = ShiftRule::of_kernel(Architecture(fixed[0]));
    // Bodies do not read the selector, which stands last.
    let without_selector = Layout { size: 60, ..LAYOUT };
    let count = oracle::size(20_000, 1_000_000);
    let seed = oracle::seed();
    let mut rng = Rng::new(seed);
    let (mut evaluations, mut deaths, mut executed, mut differences) = (0, 0, 0, 0);
    for number in 0..count {
        let longest = if number % 500 == 0 { 2000 } else { 80 };
        let body = generate::valid_program(&mut rng, &without_selector, longest);
        let filter = observed(&body);
        let program = Program::new(filter.clone(), LAYOUT).expect("the frame keeps it valid");
        let inputs: Vec<[u32; 16]> =
            generate::inputs(&mut rng, &body, 50).into_iter().map(|w| fit(w, fixed)).collect();
        executed += program.run_traced(&inputs[0], shifts).path.len();
        let mut plan = expected(&program, &inputs, shifts);
        if deaths >= 1000 && plan.deaths > 0 {
            // Each death may be logged by the kernel; enough is enough.
            plan.calls.pop();
            plan.deaths = 0;
        }
        deaths += plan.deaths;
        evaluations += plan.answers.len() + plan.deaths;
        let outcome = Session::new(&filter, plan.calls).run();
        if outcome.attach_error != 0 || outcome.answers != plan.answers {
            differences += 1;
            let at = outcome.answers.iter().zip(&plan.answers).position(|(a, b)| a != b);
            eprintln!(
                "program {number}, first difference at call {at:?}: {} of {} answers, \
                 attach error {}\n{filter:?}",
                outcome.answers.len(),
                plan.answers.len(),
                outcome.attach_error
            );
            assert!(differences < 5, "too many differences to go on");
        }
    }
    eprintln!(
        "{count} random programs by 50 inputs (seed {seed}): {evaluations} evaluations, {deaths} \
         divisions by zero that killed their thread, {} instructions a run on average, \
         {differences} differences",
        executed / count
    );
    assert_eq!(differences, 0);
    assert!(deaths > 0, "no division by zero was tried");
}

#[test]
fn known_corners_give_the_kernels_result() {
    if !oracle::is_own_process("known_corners_give_the_kernels_result") {
        return;
    }
    let Some(fixed) = fixed_words() else { return };
    let shifts = ShiftRule::of_kernel(Architecture(fixed[0]));
    use callgate_bpf::AluOp::{Div, Lsh, Rsh};
    let alu =
        |op, a, x| [Op::LoadXImm(x), Op::LoadImm(a), Op::Alu(op, Operand::X), Op::ReturnA].to_vec();
    let mut bodies = vec![
        vec![Op::ReturnA],
        vec![Op::LoadImm(9), Op::Txa, Op::ReturnA],
        vec![Op::LoadXImm(40), Op::Alu(Lsh, Operand::X), Op::Txa, Op::ReturnA],
        vec![Op::LoadLen, Op::ReturnA],
        vec![Op::LoadXLen, Op::Txa, Op::ReturnA],
        vec![Op::Return(ERRNO | 0xffff)],
        vec![Op::Return(ERRNO)],
        vec![Op::LoadImm(0x8000_0000), Op::Neg, Op::ReturnA],
    ];
    for distance in [0, 1, 31, 32, 33, 40, 63, 64, 65, 255, 256, 288, u32::MAX] {
        bodies.push(alu(Lsh, 5, distance));
        bodies.push(alu(Rsh, 0x5000_0050, distance));
    }
    for divisor in [0, 1, 0x8000_0000, u32::MAX] {
        bodies.push(alu(Div, 0xffff_fff7, divisor));
    }
    for body in bodies {
        let body: Vec<Instruction> = body.into_iter().map(Instruction::from).collect();
        let filter = observed(&body);
        let program = Program::new(filter.clone(), LAYOUT).unwrap();
        let plan = expected(&program, &[fit([0; 16], fixed)], shifts);
        let outcome = Session::new(&filter, plan.calls).run();
        assert_eq!(outcome.attach_error, 0, "{body:?}");
        assert_eq!(outcome.answers, plan.answers, "{body:?}");
    }
}
