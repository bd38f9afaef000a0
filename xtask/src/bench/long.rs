//! A program as long as the kernel takes them.

use callgate_bpf::{
    Action, ByteOrder, Condition, Instruction, Layout, MAX_INSTRUCTIONS, Op, Operand, Program,
};
use callgate_syscalls::Abi;

/// Instructions for one number: see [`program`].
const BLOCK: usize = 8;

/// Allows each of some five hundred numbers for two values of one of its arguments, which differ
/// from number to number, one comparison after the other as libseccomp writes them. 4,096
/// instructions.
///
/// # Panics
///
/// Never: the program is valid.
pub fn program() -> Program {
    let order = ByteOrder::Little;
    let jump = |condition, k, jt, jf| Op::Branch { condition, operand: Operand::K(k), jt, jf };
    let equal = |k, jt, jf| jump(Condition::Eq, k, jt, jf);
    let (allow, refuse) = (Action::Allow.raw().0, Action::Errno(1).raw().0);
    let mut ops = vec![Op::Load(4), equal(Abi::X86_64.audit().0, 1, 0), Op::Return(0)];
    let mut argument = 0u8;
    for number in (0u32..).take((MAX_INSTRUCTIONS - 1 - ops.len()) / BLOCK) {
        let value = number.wrapping_mul(0x9e37_79b9);
        ops.extend([
            Op::Load(0),
            equal(number, 0, 6),
            Op::Load(Layout::arg_high(order, argument)),
            equal(number % 5, 0, 4),
            Op::Load(Layout::arg_low(order, argument)),
            equal(value, 1, 0),
            equal(value ^ 0x10, 0, 1),
            Op::Return(allow),
        ]);
        argument = (argument + 1) % 6;
    }
    while ops.len() < MAX_INSTRUCTIONS - 1 {
        ops.push(Op::Load(0));
    }
    ops.push(Op::Return(refuse));
    let instructions: Vec<Instruction> = ops.into_iter().map(Instruction::from).collect();
    Program::new(instructions, Layout::seccomp(order)).expect("a valid program")
}

#[cfg(test)]
mod tests {
    use callgate_bpf::{SeccompData, ShiftRule, SyscallNr};

    use super::*;

    #[test]
    fn it_is_as_long_as_can_be_and_allows_what_it_says() {
        let program = program();
        assert_eq!(program.len(), MAX_INSTRUCTIONS);
        let mut data = SeccompData::new(Abi::X86_64.audit(), SyscallNr(7));
        let answer = |data: &SeccompData| {
            program.run(&data.words(ByteOrder::Little), ShiftRule::default()).action()
        };
        assert_eq!(answer(&data), Action::Errno(1));
        data.args[1] = 2 << 32 | u64::from(7u32.wrapping_mul(0x9e37_79b9));
        assert_eq!(answer(&data), Action::Allow);
        data.args[1] ^= 0x10;
        assert_eq!(answer(&data), Action::Allow);
        data.args[1] ^= 1;
        assert_eq!(answer(&data), Action::Errno(1));
    }
}
