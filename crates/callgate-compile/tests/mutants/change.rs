//! Programs with one thing changed.

use callgate_bpf::{Instruction, Op, Operand};

/// What is put in the place of what.
pub type Change = Vec<(usize, Instruction)>;

/// Every change of one constant, one jump, one opcode; the results need not be valid.
pub fn changes(instructions: &[Instruction]) -> Vec<Change> {
    let mut all = Vec::new();
    for (index, &instruction) in instructions.iter().enumerate() {
        let op = instruction.decode().expect("of a valid program");
        if has_constant(op) {
            for k in constants(instruction.k) {
                all.push(vec![(index, Instruction { k, ..instruction })]);
            }
            all.extend(exchanged(instructions, index));
        }
        if let Op::Branch { jt, jf, .. } = op {
            for (jt, jf) in jumps(jt, jf) {
                all.push(vec![(index, Instruction { jt, jf, ..instruction })]);
            }
        }
        for code in codes().filter(|&code| code != instruction.code) {
            all.push(vec![(index, Instruction { code, ..instruction })]);
        }
    }
    all
}

/// The instructions with a change made.
pub fn apply(instructions: &[Instruction], change: &Change) -> Vec<Instruction> {
    let mut changed = instructions.to_vec();
    for &(index, instruction) in change {
        changed[index] = instruction;
    }
    changed
}

fn has_constant(op: Op) -> bool {
    !matches!(
        op,
        Op::LoadLen
            | Op::LoadXLen
            | Op::Neg
            | Op::Tax
            | Op::Txa
            | Op::ReturnA
            | Op::Alu(_, Operand::X)
            | Op::Branch { operand: Operand::X, .. }
    )
}

/// One more, one less, each bit turned. For a jump and a load too, most of which are then
/// refused.
fn constants(k: u32) -> impl Iterator<Item = u32> {
    let bits = (0..32).map(move |bit| k ^ 1 << bit);
    [k.wrapping_add(1), k.wrapping_sub(1)].into_iter().chain(bits)
}

/// The constant exchanged with the next one of the same opcode.
fn exchanged(instructions: &[Instruction], index: usize) -> Option<Change> {
    let here = instructions[index];
    let behind = index + 1;
    let other = behind
        + instructions[behind..].iter().position(|i| i.code == here.code && i.k != here.k)?;
    let there = instructions[other];
    Some(vec![
        (index, Instruction { k: there.k, ..here }),
        (other, Instruction { k: here.k, ..there }),
    ])
}

fn jumps(jt: u8, jf: u8) -> Vec<(u8, u8)> {
    let mut all = vec![(jf, jt), (jt, jt), (jf, jf)];
    all.extend([jt.wrapping_add(1), jt.wrapping_sub(1)].map(|jt| (jt, jf)));
    all.extend([jf.wrapping_add(1), jf.wrapping_sub(1)].map(|jf| (jt, jf)));
    all.retain(|&pair| pair != (jt, jf));
    all
}

/// The 41 opcodes.
fn codes() -> impl Iterator<Item = u16> {
    (0..=0xff).filter(|&code| Instruction { code, ..Instruction::default() }.decode().is_some())
}
