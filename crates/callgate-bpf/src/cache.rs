//! Which calls the kernel does not run the program for.
//!
//! Since Linux 5.11 the kernel tries, when a filter is loaded, to show for each system call that
//! the answer is ALLOW whatever the arguments; where it can, the call skips all filters. Its
//! emulator (`seccomp_is_const_allow` in `kernel/seccomp.c`) is small, so a program that always
//! allows a call may still miss: this is that emulator, not the truth about the program.
//!
//! Linux shows its record only with a debugging option that is off nearly everywhere; the tests
//! of `callgate-kernel` read it out of the running kernel's memory to compare.

use crate::{AluOp, Architecture, Op, Operand, Program, SyscallNr};

/// The only word that counts as ALLOW for the cache: data attached to it spoils it.
const ALLOW: u32 = 0x7fff_0000;

impl Program {
    /// Whether the kernel's cache lets this call pass without running the program.
    ///
    /// The emulator follows loads of the number and the architecture, JEQ, JGT, JGE and JSET with
    /// a constant, JA, AND with a constant, and a constant return. Anything else on the way gives
    /// up.
    ///
    /// True here is necessary, not sufficient: the kernel asks only for numbers within its table,
    /// only for its own architecture and the 32-bit one beside it, only on machines that have the
    /// cache, and every older filter must agree. `uretprobe` and `uprobe` of x86_64 it lets pass
    /// whatever the program says.
    ///
    /// ```
    /// use callgate_bpf::*;
    ///
    /// let layout = Layout::seccomp(ByteOrder::NATIVE);
    /// let (arch, nr) = (Architecture(0xc000_003e), SyscallNr(0));
    /// let allow = Op::Return(Action::Allow.raw().0).into();
    /// assert!(Program::new(vec![allow], layout)?.always_allows(arch, nr));
    /// // A harmless instruction that the emulator does not know.
    /// assert!(!Program::new(vec![Op::Tax.into(), allow], layout)?.always_allows(arch, nr));
    /// # Ok::<(), Invalid>(())
    /// ```
    pub fn always_allows(&self, arch: Architecture, nr: SyscallNr) -> bool {
        let mut a = 0;
        let mut index = 0;
        while let Some(instruction) = self.instructions().get(index) {
            index += 1;
            match instruction.decode() {
                Some(Op::Load(0)) => a = nr.0,
                Some(Op::Load(4)) => a = arch.0,
                Some(Op::Return(k)) => return k == ALLOW,
                Some(Op::Jump(distance)) => {
                    index += usize::try_from(distance).unwrap_or(usize::MAX);
                }
                Some(Op::Branch { condition, operand: Operand::K(k), jt, jf }) => {
                    index += usize::from(if condition.holds(a, k) { jt } else { jf });
                }
                Some(Op::Alu(AluOp::And, Operand::K(k))) => a &= k,
                _ => return false,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::{Action, ByteOrder, Condition, Instruction, Layout};

    const X86_64: Architecture = Architecture(0xc000_003e);

    fn allows(ops: &[Op], nr: u32) -> bool {
        let instructions: Vec<Instruction> = ops.iter().map(|op| (*op).into()).collect();
        Program::new(instructions, Layout::seccomp(ByteOrder::Little))
            .unwrap()
            .always_allows(X86_64, SyscallNr(nr))
    }

    const YES: Op = Op::Return(ALLOW);
    const NO: Op = Op::Return(0x0005_0001);

    fn when(condition: Condition, k: u32) -> Op {
        Op::Branch { condition, operand: Operand::K(k), jt: 0, jf: 1 }
    }

    #[test]
    fn number_and_architecture_are_followed() {
        let by_nr = [Op::Load(0), when(Condition::Eq, 39), YES, NO];
        assert!(allows(&by_nr, 39));
        assert!(!allows(&by_nr, 40));
        assert!(allows(&[Op::Load(4), when(Condition::Eq, X86_64.0), YES, NO], 0));
        assert!(!allows(&[Op::Load(4), when(Condition::Eq, 0x4000_0003), YES, NO], 0));
        assert!(allows(&[Op::Load(0), when(Condition::Gt, 38), YES, NO], 39));
        assert!(allows(&[Op::Load(0), when(Condition::Ge, 39), YES, NO], 39));
        assert!(allows(&[Op::Load(0), when(Condition::Set, 1), YES, NO], 39));
        assert!(allows(
            &[
                Op::Load(0),
                Op::Alu(AluOp::And, Operand::K(0xf)),
                when(Condition::Eq, 7),
                Op::Jump(1),
                NO,
                YES
            ],
            39
        ));
        // A starts at 0.
        assert!(allows(&[when(Condition::Eq, 0), YES, NO], 39));
    }

    #[test]
    fn an_argument_on_the_way_spoils_it() {
        assert!(!allows(&[Op::Load(16), YES], 39));
        assert!(allows(&[Op::Load(0), when(Condition::Eq, 39), YES, Op::Load(16), NO], 39));
    }

    #[test]
    fn other_instructions_spoil_it() {
        let x = Op::Branch { condition: Condition::Eq, operand: Operand::X, jt: 0, jf: 0 };
        for op in [
            Op::LoadImm(0),
            Op::LoadLen,
            Op::LoadXImm(0),
            Op::Store(0),
            Op::StoreX(0),
            Op::Alu(AluOp::Or, Operand::K(0)),
            Op::Alu(AluOp::And, Operand::X),
            Op::Neg,
            Op::Tax,
            Op::Txa,
            x,
        ] {
            assert!(!allows(&[op, YES], 39), "{op:?}");
        }
        assert!(!allows(&[Op::LoadImm(ALLOW), Op::ReturnA], 39));
    }

    #[test]
    fn only_the_plain_word_is_allow() {
        assert!(!allows(&[Op::Return(ALLOW | 1)], 39));
        assert!(!allows(&[Op::Return(Action::Log.raw().0)], 39));
    }
}
