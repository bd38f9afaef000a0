//! What the kernel charges for a program.
//!
//! The limit on all filters of a thread together is counted in *translated* instructions:
//! `seccomp_attach_filter` (`kernel/seccomp.c`) sums the lengths after `bpf_convert_filter`
//! (`net/core/filter.c`) has made eBPF of each program, and where constant blinding is on, after
//! `bpf_jit_blind_constants` (`kernel/bpf/core.c`) has grown them further.

use crate::{AluOp, Condition, Op, Operand, Program};

/// The most that the filters of one thread may cost together (`MAX_INSNS_PER_PATH`), in eBPF
/// instructions.
pub const PATH_BUDGET: u32 = 32_768;

/// What each filter that is already attached adds to its own cost when another one comes.
pub const ATTACHED_PENALTY: u32 = 4;

/// Registers A and X are cleared, the context pointer is moved to its place.
const PROLOGUE: u32 = 3;

impl Program {
    /// The length of the program as the kernel counts it against [`PATH_BUDGET`], in eBPF
    /// instructions, where constants are not blinded.
    ///
    /// ```
    /// use callgate_bpf::*;
    ///
    /// let layout = Layout::seccomp(ByteOrder::NATIVE);
    /// let allow = Program::new(vec![Op::Return(0x7fff_0000).into()], layout)?;
    /// assert_eq!(allow.path_cost(), 3 + 2);
    /// # Ok::<(), Invalid>(())
    /// ```
    pub fn path_cost(&self) -> u32 {
        self.sum(|op| cost(op).0)
    }

    /// As [`Program::path_cost`], where the JIT compiler blinds constants: with
    /// `net.core.bpf_jit_harden` at 2, or at 1 for a caller without CAP_BPF, and the JIT compiler
    /// on.
    pub fn path_cost_blinded(&self) -> u32 {
        self.sum(|op| {
            let (plain, blinded) = cost(op);
            plain + 2 * blinded
        })
    }

    fn sum(&self, cost: impl Fn(Op) -> u32) -> u32 {
        let ops = self.instructions().iter().filter_map(|instruction| instruction.decode());
        PROLOGUE + ops.map(cost).sum::<u32>()
    }
}

/// The eBPF instructions that one instruction becomes, and how many of them carry a constant
/// that blinding takes out; each of those grows by 2.
///
/// Blinding leaves shifts alone, and turns a move of 0 into an exclusive or of the register with
/// itself.
fn cost(op: Op) -> (u32, u32) {
    match op {
        Op::Return(k) => (2, u32::from(k != 0)),
        Op::LoadImm(k) | Op::LoadXImm(k) => (1, u32::from(k != 0)),
        // LEN becomes a move of the context's size, which is never 0.
        Op::LoadLen | Op::LoadXLen => (1, 1),
        // Cut X to 32 bits, compare it with 0, clear A, leave; then divide.
        Op::Alu(AluOp::Div, Operand::X) => (5, 1),
        Op::Alu(AluOp::Lsh | AluOp::Rsh, Operand::K(_)) | Op::Alu(_, Operand::X) => (1, 0),
        Op::Alu(_, Operand::K(_)) => (1, 1),
        Op::Branch { condition, operand, jt, jf } => {
            // There is no "jump if not set", so JSET cannot be turned round.
            let turned = jt == 0 && !matches!(condition, Condition::Set);
            let jumps = if jf == 0 || turned { 1 } else { 2 };
            match operand {
                Operand::X => (jumps, 0),
                // An immediate is signed 32 bits wide; a larger constant goes through a register.
                Operand::K(k) => (jumps + (k >> 31), 1),
            }
        }
        Op::Load(_)
        | Op::LoadMem(_)
        | Op::LoadXMem(_)
        | Op::Store(_)
        | Op::StoreX(_)
        | Op::Neg
        | Op::Jump(_)
        | Op::ReturnA
        | Op::Tax
        | Op::Txa => (1, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ByteOrder, Layout};

    /// Cost of the instruction alone, plain and blinded.
    fn alone(op: Op) -> (u32, u32) {
        let (plain, blinded) = cost(op);
        (plain, plain + 2 * blinded)
    }

    fn branch(condition: Condition, operand: Operand, jt: u8, jf: u8) -> Op {
        Op::Branch { condition, operand, jt, jf }
    }

    #[test]
    fn straight_instructions() {
        assert_eq!(alone(Op::Return(1)), (2, 4));
        assert_eq!(alone(Op::Return(0)), (2, 2));
        assert_eq!(alone(Op::ReturnA), (1, 1));
        assert_eq!(alone(Op::Load(16)), (1, 1));
        assert_eq!(alone(Op::LoadLen), (1, 3));
        assert_eq!(alone(Op::LoadImm(0)), (1, 1));
        assert_eq!(alone(Op::LoadXImm(5)), (1, 3));
        assert_eq!(alone(Op::Alu(AluOp::Div, Operand::X)), (5, 7));
        assert_eq!(alone(Op::Alu(AluOp::Div, Operand::K(3))), (1, 3));
        assert_eq!(alone(Op::Alu(AluOp::And, Operand::K(0))), (1, 3));
        assert_eq!(alone(Op::Alu(AluOp::Lsh, Operand::K(3))), (1, 1));
        assert_eq!(alone(Op::Jump(4)), (1, 1));
    }

    #[test]
    fn branches() {
        let k = Operand::K(7);
        assert_eq!(alone(branch(Condition::Eq, k, 3, 0)), (1, 3));
        assert_eq!(alone(branch(Condition::Eq, k, 0, 3)), (1, 3));
        assert_eq!(alone(branch(Condition::Ge, k, 1, 3)), (2, 4));
        assert_eq!(alone(branch(Condition::Set, k, 1, 0)), (1, 3));
        assert_eq!(alone(branch(Condition::Set, k, 0, 1)), (2, 4));
        assert_eq!(alone(branch(Condition::Eq, Operand::X, 0, 1)), (1, 1));
        // 2 to the 31 needs a register, one less does not.
        let large = Operand::K(0x8000_0000);
        assert_eq!(alone(branch(Condition::Eq, large, 0, 1)), (2, 4));
        assert_eq!(alone(branch(Condition::Gt, large, 1, 1)), (3, 5));
        assert_eq!(alone(branch(Condition::Eq, Operand::K(0x7fff_ffff), 0, 1)), (1, 3));
    }

    #[test]
    fn the_longest_return_only_program() {
        let instructions = alloc::vec![Op::Return(1).into(); 4096];
        let program = Program::new(instructions, Layout::seccomp(ByteOrder::Little)).unwrap();
        assert_eq!(program.path_cost(), 8195);
        assert_eq!(program.path_cost_blinded(), 16_387);
    }
}
