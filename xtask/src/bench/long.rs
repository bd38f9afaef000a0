//! A program of any length, and so one as long as the kernel takes them.

use callgate_bpf::{Action, ByteOrder, Condition, Instruction, Layout, Op, Operand, Program};
use callgate_syscalls::Abi;

/// Instructions for one number: see [`program`].
const BLOCK: usize = 9;

/// Where a comparison leads that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// To the refusal, as in libseccomp's programs.
    Refuses,
    /// To the next number, as in programs that people write by hand, sshd's among them.
    FallsThrough,
}

impl Shape {
    /// Both.
    pub const ALL: [Shape; 2] = [Shape::Refuses, Shape::FallsThrough];

    /// The word for people, and for the other process.
    pub fn name(self) -> &'static str {
        match self {
            Shape::Refuses => "each refusing",
            Shape::FallsThrough => "each falling through",
        }
    }
}

/// Allows each of some hundreds of numbers for two values of one of its arguments, which differ
/// from number to number, one comparison after the other; so many
/// instructions in all.
///
/// # Panics
///
/// When the length is below 5 or above [`MAX_INSTRUCTIONS`](callgate_bpf::MAX_INSTRUCTIONS).
pub fn program(shape: Shape, length: usize) -> Program {
    let order = ByteOrder::Little;
    let equal = |k, jt, jf| Op::Branch { condition: Condition::Eq, operand: Operand::K(k), jt, jf };
    let (allow, refuse) = (Action::Allow.raw().0, Action::Errno(1).raw().0);
    let mut ops = vec![Op::Load(4), equal(Abi::X86_64.audit().0, 1, 0), Op::Return(0)];
    // Over the refusal at the end of each block.
    let over = u8::from(shape == Shape::FallsThrough);
    let mut argument = 0u8;
    for number in (0u32..).take((length - 1 - ops.len()) / BLOCK) {
        let value = number.wrapping_mul(0x9e37_79b9);
        ops.extend([
            Op::Load(0),
            equal(number, 0, 7),
            Op::Load(Layout::arg_high(order, argument)),
            equal(number % 5, 0, 4 + over),
            Op::Load(Layout::arg_low(order, argument)),
            equal(value, 1, 0),
            equal(value ^ 0x10, 0, 1 + over),
            Op::Return(allow),
            Op::Return(refuse),
        ]);
        argument = (argument + 1) % 6;
    }
    while ops.len() < length - 1 {
        ops.push(Op::Load(0));
    }
    ops.push(Op::Return(refuse));
    let instructions: Vec<Instruction> = ops.into_iter().map(Instruction::from).collect();
    Program::new(instructions, Layout::seccomp(order)).expect("a valid program")
}

#[cfg(test)]
mod tests {
    use callgate_bpf::{MAX_INSTRUCTIONS, SeccompData, ShiftRule, SyscallNr};

    use super::*;

    #[test]
    fn it_is_as_long_as_can_be_and_allows_what_it_says() {
        for shape in Shape::ALL {
            let program = program(shape, MAX_INSTRUCTIONS);
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
            assert_eq!(answer(&data), Action::Errno(1), "{shape:?}");
            data.args[1] ^= 1 << 32 | 1;
            assert_eq!(answer(&data), Action::Errno(1), "{shape:?}");
        }
    }

    #[test]
    fn only_the_shape_tells_them_apart() {
        let traced = |shape| {
            let mut data = SeccompData::new(Abi::X86_64.audit(), SyscallNr(7));
            data.args[1] = 1;
            program(shape, MAX_INSTRUCTIONS)
                .run_traced(&data.words(ByteOrder::Little), ShiftRule::default())
        };
        let [refuses, falls] = Shape::ALL.map(traced);
        assert_eq!(refuses.action, falls.action);
        assert!(refuses.path.len() < 30 && falls.path.len() > 800);
    }
}
