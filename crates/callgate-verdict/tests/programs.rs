//! Diagrams of programs against the interpreter.

use callgate_bpf::{
    Action, AluOp, ByteOrder, Condition, Field, Instruction, Layout, Op, Operand, Program,
    SeccompData, ShiftRule,
    generate::{self, Rng},
};
use callgate_verdict::Manager;

/// Compares on random inputs; false when the program is too complex.
fn agrees(instructions: Vec<Instruction>, order: ByteOrder, rng: &mut Rng) -> bool {
    let layout = Layout::seccomp(order);
    let mut inputs = generate::inputs(rng, &instructions, 25);
    inputs.extend(generate::inputs_by_word(rng, &[&instructions], 75));
    let program = Program::new(instructions, layout).unwrap();
    let mut manager = Manager::with_limit(layout, 1 << 17);
    let shifts = rng.pick(&[ShiftRule::Low5, ShiftRule::Low6, ShiftRule::Low8]);
    let Ok(diagram) = manager.program(&program, shifts) else {
        return false;
    };
    let acted = manager.act(diagram).unwrap();
    for words in inputs {
        let expected = program.run(&words, shifts);
        let data = SeccompData::from_words(&words, order);
        assert_eq!(manager.decide(diagram, &data), expected, "{data:#x?}\n{program:#?}");
        assert_eq!(manager.decide(acted, &data), expected.action().raw());
    }
    true
}

#[test]
fn random_programs_of_all_opcodes_have_their_diagram() {
    let mut rng = Rng::new(1);
    let (mut exact, mut complex) = (0, 0);
    let count = if std::env::var_os("CALLGATE_FULL").is_some() { 20_000 } else { 300 };
    for _ in 0..count {
        let order = rng.pick(&[ByteOrder::Little, ByteOrder::Big]);
        let layout = Layout::seccomp(order);
        let instructions = generate::valid_program(&mut rng, &layout, 30);
        if agrees(instructions, order, &mut rng) { exact += 1 } else { complex += 1 }
    }
    println!("{exact} exact, {complex} too complex");
    assert!(exact > complex, "{exact} exact, {complex} too complex");
}

/// A random program of the opcodes that filters use: loads, tests with constants, AND with a
/// constant, jumps, constant returns.
fn filter_like(rng: &mut Rng, length: usize) -> Vec<Instruction> {
    let constants = [0, 1, 38, 40, 59, 0x4000_0000, 0x7e02_0000, 0xc000_003e, 0x4000_0003, 0xff00];
    let mut program = vec![Op::Load(4).into()];
    while program.len() < length - 1 {
        let left = length - 2 - program.len();
        let skip = |rng: &mut Rng| u8::try_from(rng.below(left.min(60) + 1)).unwrap();
        let k = if rng.one_in(4) { rng.next_u32() } else { rng.pick(&constants) };
        let op = match rng.below(12) {
            0..4 => Op::Load(4 * u32::try_from(rng.below(16)).unwrap()),
            4 => Op::Alu(AluOp::And, Operand::K(k)),
            5 => Op::Return(rng.pick(&[0x7fff_0000, 0x5_0001, 0x8000_0000, 0])),
            6 => Op::Jump(u32::from(skip(rng))),
            _ => {
                let condition =
                    rng.pick(&[Condition::Eq, Condition::Gt, Condition::Ge, Condition::Set]);
                let (jt, jf) = (skip(rng), skip(rng));
                Op::Branch { condition, operand: Operand::K(k), jt, jf }
            }
        };
        program.push(op.into());
    }
    program.push(Op::Return(Action::Allow.raw().0).into());
    program
}

#[test]
fn programs_of_the_opcodes_that_filters_use_are_always_exact() {
    let mut rng = Rng::new(2);
    let count = if std::env::var_os("CALLGATE_FULL").is_some() { 20_000 } else { 500 };
    for round in 0..count {
        let length = 3 + rng.below(60);
        let order = rng.pick(&[ByteOrder::Little, ByteOrder::Big]);
        let program = filter_like(&mut rng, length);
        assert!(agrees(program, order, &mut rng), "round {round}: too complex");
    }
}

#[test]
fn the_byte_order_does_not_show_in_the_meaning() {
    let mut manager = Manager::new(Layout::seccomp(ByteOrder::Little));
    let mut diagrams = Vec::new();
    for order in [ByteOrder::Little, ByteOrder::Big] {
        let equal =
            |k, jf| Op::Branch { condition: Condition::Eq, operand: Operand::K(k), jt: 0, jf };
        let ops = [
            Op::Load(Layout::arg_low(order, 0)),
            equal(0x5566_7788, 3),
            Op::Load(Layout::arg_high(order, 0)),
            equal(0x1122_3344, 1),
            Op::Return(Action::Allow.raw().0),
            Op::Return(Action::Errno(1).raw().0),
        ];
        let program =
            Program::new(ops.map(Instruction::from).to_vec(), Layout::seccomp(order)).unwrap();
        diagrams.push(manager.program(&program, ShiftRule::Low5).unwrap());
    }
    assert_eq!(diagrams[0], diagrams[1]);
}

#[test]
fn two_unknown_words_compared_are_unknown_and_not_wrong() {
    let ops = [
        Op::Load(16),
        Op::Tax,
        Op::Load(24),
        Op::Branch { condition: Condition::Eq, operand: Operand::X, jt: 0, jf: 1 },
        Op::Return(Action::Allow.raw().0),
        Op::Return(0),
    ];
    let layout = Layout::seccomp(ByteOrder::Little);
    let program = Program::new(ops.map(Instruction::from).to_vec(), layout).unwrap();
    let error = Manager::new(layout).program(&program, ShiftRule::Low5).unwrap_err();
    assert!(error.to_string().starts_with("too complex"));
}

#[test]
fn another_context_has_its_own_diagrams() {
    // Shaped as io_uring's filter context: another size, other fields.
    const FIELDS: &[Field] = &[
        Field { name: "user_data", offset: 0, size: 8 },
        Field { name: "opcode", offset: 8, size: 4 },
        Field { name: "flags", offset: 12, size: 4 },
        Field { name: "first", offset: 16, size: 8 },
        Field { name: "second", offset: 24, size: 8 },
        Field { name: "third", offset: 32, size: 8 },
    ];
    let layout = Layout { size: 40, byte_order: ByteOrder::Little, fields: FIELDS };
    let one_of = |values: &[u32]| {
        let mut ops = vec![Op::Load(8)];
        for (index, &k) in values.iter().enumerate() {
            let jt = u8::try_from(values.len() - index).unwrap();
            ops.push(Op::Branch { condition: Condition::Eq, operand: Operand::K(k), jt, jf: 0 });
        }
        ops.extend([Op::Return(0), Op::Return(1)]);
        Program::new(ops.into_iter().map(Instruction::from).collect(), layout).unwrap()
    };
    let mut manager = Manager::new(layout);
    let mut meaning = |values: &[u32]| manager.program(&one_of(values), ShiftRule::Low5).unwrap();
    assert_eq!(meaning(&[3, 9, 4]), meaning(&[4, 3, 9]));
    assert_ne!(meaning(&[3, 9]), meaning(&[3, 8]));
}

#[test]
fn a_long_filter_that_falls_through_to_the_next_number_is_exact() {
    // As filters written by hand are: when an argument is not right, the next number is tried.
    let mut ops = vec![Op::Load(0)];
    let numbers = 450;
    for nr in 0..numbers {
        let equal =
            |k, jf| Op::Branch { condition: Condition::Eq, operand: Operand::K(k), jt: 0, jf };
        ops.extend([
            equal(nr, 6),
            Op::Load(20),
            equal(0, 3),
            Op::Load(16),
            equal(nr + 1000, 1),
            Op::Return(Action::Allow.raw().0),
            Op::Load(0),
        ]);
    }
    ops.push(Op::Return(Action::Errno(1).raw().0));
    let mut rng = Rng::new(7);
    assert!(agrees(ops.into_iter().map(Instruction::from).collect(), ByteOrder::Little, &mut rng));
}
