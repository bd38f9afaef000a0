//! Programs that nobody would write: the answer may be "too complex", and comes soon.

use callgate_bpf::{
    AluOp, ByteOrder, Condition, Instruction, Layout, Op, Operand, Program, ShiftRule,
    generate::Rng,
};
use callgate_verdict::Manager;

const LAYOUT: Layout = Layout::seccomp(ByteOrder::Little);

/// What a manager holds at most, some 50 MB.
const NODES: usize = 2_200_000;

/// Whether the program has a meaning that fits.
fn is_exact(ops: Vec<Op>) -> bool {
    let instructions = ops.into_iter().map(Instruction::from).collect();
    let program = Program::new(instructions, LAYOUT).unwrap();
    let mut manager = Manager::new(LAYOUT);
    let result = manager.program(&program, ShiftRule::Low5);
    assert!(manager.node_count() < NODES, "it took {} nodes", manager.node_count());
    result.is_ok()
}

fn branch(condition: Condition, k: u32, jt: u8, jf: u8) -> Op {
    Op::Branch { condition, operand: Operand::K(k), jt, jf }
}

/// Loads and comparisons that jump forward at random, 4,096 instructions of them.
fn mesh(rng: &mut Rng) -> Vec<Op> {
    const RETURNS: u32 = 196;
    let mut ops = Vec::new();
    while ops.len() < 3_900 {
        let word = u32::try_from(rng.below(12)).unwrap();
        let condition = rng.pick(&[Condition::Gt, Condition::Eq, Condition::Ge, Condition::Set]);
        let skip = |rng: &mut Rng| u8::try_from(rng.below(90)).unwrap();
        let k = rng.next_u32() >> rng.below(32);
        ops.push(Op::Load(16 + 4 * word));
        ops.push(branch(condition, k, skip(rng), skip(rng)));
    }
    ops.extend((0..RETURNS).map(|index| Op::Return(index % 7)));
    ops
}

#[test]
fn comparisons_of_all_arguments_in_a_mesh_end() {
    // The first makes few nodes and much work: without enough room for results, of hours.
    for seed in [1_935_041_306_687_225_415, 1, 2, 3] {
        is_exact(mesh(&mut Rng::new(seed)));
    }
}

#[test]
fn a_mask_more_on_each_of_many_ways_ends() {
    let mut ops = vec![Op::Load(16)];
    for bit in 0..30 {
        ops.push(branch(Condition::Set, 1 << bit, 0, 1));
        ops.push(Op::Alu(AluOp::And, Operand::K(!(1 << bit))));
    }
    ops.extend([branch(Condition::Eq, 0, 0, 1), Op::Return(1), Op::Return(0)]);
    assert!(!is_exact(ops), "2^30 masks were told apart");
}

#[test]
fn arithmetic_on_whole_words_ends() {
    let test = [branch(Condition::Set, 0x8001, 0, 1), Op::Return(1), Op::Return(0)];
    let repeated = |what: &[Op]| {
        let mut ops = vec![Op::Load(16)];
        while ops.len() + what.len() + test.len() < 4_096 {
            ops.extend(what);
        }
        ops.extend(test);
        ops
    };
    is_exact(repeated(&[Op::Alu(AluOp::Mul, Operand::K(3))]));
    is_exact(repeated(&[
        Op::Alu(AluOp::Div, Operand::K(3)),
        Op::Alu(AluOp::Add, Operand::K(0x8000_0001)),
    ]));
    is_exact(repeated(&[Op::Tax, Op::Load(24), Op::Alu(AluOp::Mul, Operand::X)]));
    // The same bits of all words meet, and no others.
    let xor: Vec<Op> = (4..16)
        .flat_map(|word| [Op::Tax, Op::Load(4 * word), Op::Alu(AluOp::Xor, Operand::X)])
        .collect();
    assert!(is_exact(repeated(&xor)));
}

#[test]
fn a_returned_word_is_exact_as_long_as_its_values_are_few() {
    let masked = |mask| vec![Op::Load(16), Op::Alu(AluOp::And, Operand::K(mask)), Op::ReturnA];
    assert!(is_exact(masked(0xffff)));
    assert!(is_exact(masked(0x8888_8888)));
    assert!(!is_exact(vec![Op::Load(16), Op::ReturnA]), "2^32 words were told apart");
}
