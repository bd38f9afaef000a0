//! Running a program as the kernel runs it.
//!
//! The semantics are those of `bpf_convert_filter` (`net/core/filter.c`) and of what runs its
//! result: A and X start at 0, everything is unsigned 32-bit with wraparound, division by an X of
//! 0 ends the program with 0, which seccomp takes as KILL_THREAD.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::{AluOp, Architecture, Condition, Layout, Op, Operand, Program, RawAction};

/// What a shift by X does when X is 32 or more, which classic BPF leaves to the machine.
///
/// [`ShiftRule::Low5`] is the kernel's own interpreter and most machines; it is measured on
/// x86_64, the rest is read from the kernel's JIT compilers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ShiftRule {
    /// The low 5 bits of X count: a shift by 33 is one by 1. x86, arm64, riscv, loongarch, mips,
    /// and every machine without a JIT compiler.
    #[default]
    Low5,
    /// The low 6 bits count: 32 to 63 give 0, 64 shifts by 0. powerpc and s390.
    Low6,
    /// The low byte counts: 32 to 255 give 0, 256 shifts by 0. 32-bit arm.
    Low8,
}

impl ShiftRule {
    /// The rule of a kernel that was built for this architecture and has its JIT compiler on.
    ///
    /// It is the kernel's architecture that matters, not the one of the call: an arm program
    /// under an arm64 kernel has the arm64 rule.
    pub const fn of_kernel(architecture: Architecture) -> ShiftRule {
        // The low 16 bits are the ELF machine.
        match architecture.0 & 0xffff {
            // EM_PPC, EM_PPC64, EM_S390.
            20..=22 => ShiftRule::Low6,
            // EM_ARM.
            40 => ShiftRule::Low8,
            _ => ShiftRule::Low5,
        }
    }

    /// How far to shift; 32 or more shifts everything out.
    const fn distance(self, x: u32) -> u32 {
        match self {
            ShiftRule::Low5 => x & 0x1f,
            ShiftRule::Low6 => x & 0x3f,
            ShiftRule::Low8 => x & 0xff,
        }
    }
}

/// A run with the way that it took.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traced {
    /// What the program returned.
    pub action: RawAction,
    /// The indices of the instructions executed, in order; its length is their number.
    pub path: Vec<usize>,
    /// Whether a division by an X of 0 ended the program.
    pub divided_by_zero: bool,
}

/// A run with the instruction that ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// What the program returned.
    pub action: RawAction,
    /// The index of the instruction that was executed last: a return, or a division by an X of 0.
    pub instruction: usize,
}

impl Program {
    /// Runs the program over the words of its context, the one at byte offset 4·i at index i
    /// (see [`SeccompData::words`](crate::SeccompData::words)). Words beyond the layout's size
    /// are not read.
    ///
    /// ```
    /// use callgate_bpf::*;
    ///
    /// let layout = Layout::seccomp(ByteOrder::NATIVE);
    /// let is_39 = Op::Branch { condition: Condition::Eq, operand: Operand::K(39), jt: 0, jf: 1 };
    /// let program = Program::new(
    ///     vec![
    ///         Op::Load(0).into(),
    ///         is_39.into(),
    ///         Op::Return(Action::Errno(1).raw().0).into(),
    ///         Op::Return(Action::Allow.raw().0).into(),
    ///     ],
    ///     layout,
    /// )?;
    /// let call = |nr| SeccompData::new(Architecture(0xc000_003e), SyscallNr(nr));
    /// let run = |nr| program.run(&call(nr).words(ByteOrder::NATIVE), ShiftRule::Low5).action();
    /// assert_eq!(run(39), Action::Errno(1));
    /// assert_eq!(run(40), Action::Allow);
    /// # Ok::<(), Invalid>(())
    /// ```
    pub fn run(&self, words: &[u32; 16], shifts: ShiftRule) -> RawAction {
        execute(self.steps(), words, shifts, |_| {}).0
    }

    /// As [`Program::run`], and says where it ended; as fast as that, since it keeps no way.
    pub fn run_to_end(&self, words: &[u32; 16], shifts: ShiftRule) -> Ended {
        let mut instruction = 0;
        let (action, _) = execute(self.steps(), words, shifts, |index| instruction = index);
        Ended { action, instruction }
    }

    /// As [`Program::run`], and keeps the way.
    pub fn run_traced(&self, words: &[u32; 16], shifts: ShiftRule) -> Traced {
        let mut path = Vec::new();
        let (action, divided_by_zero) =
            execute(self.steps(), words, shifts, |index| path.push(index));
        Traced { action, path, divided_by_zero }
    }
}

/// A decoded instruction with everything resolved that does not depend on the input: word
/// indices, absolute jump targets, the constant that LEN stands for.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    Word(u8),
    Set(u32),
    Get(u8),
    SetX(u32),
    GetX(u8),
    Put(u8),
    PutX(u8),
    Alu(AluOp, u32),
    AluX(AluOp),
    Neg,
    Go(u16),
    IfEq { k: u32, yes: u16, no: u16 },
    IfGt { k: u32, yes: u16, no: u16 },
    IfGe { k: u32, yes: u16, no: u16 },
    IfSet { k: u32, yes: u16, no: u16 },
    IfX { condition: Condition, yes: u16, no: u16 },
    Return(u32),
    ReturnA,
    Tax,
    Txa,
}

impl Step {
    /// One step for each instruction of a program that was checked against this layout.
    pub(crate) fn all(ops: &[Op], layout: &Layout) -> Box<[Step]> {
        ops.iter().enumerate().map(|(index, op)| Step::new(*op, index, layout)).collect()
    }

    fn new(op: Op, index: usize, layout: &Layout) -> Step {
        // Jumps of a checked program land below 4096, scratch indices are below 16, load
        // offsets below 64.
        let target = |distance: u32| {
            let distance = usize::try_from(distance).unwrap_or(usize::MAX);
            u16::try_from(index + 1 + distance).expect("a checked jump stays in the program")
        };
        let small = |k: u32| u8::try_from(k).expect("a checked index is small");
        match op {
            Op::Load(offset) => Step::Word(small(offset / 4)),
            Op::LoadLen => Step::Set(layout.size),
            Op::LoadImm(k) => Step::Set(k),
            Op::LoadMem(word) => Step::Get(small(word)),
            Op::LoadXLen => Step::SetX(layout.size),
            Op::LoadXImm(k) => Step::SetX(k),
            Op::LoadXMem(word) => Step::GetX(small(word)),
            Op::Store(word) => Step::Put(small(word)),
            Op::StoreX(word) => Step::PutX(small(word)),
            Op::Alu(alu, Operand::K(k)) => Step::Alu(alu, k),
            Op::Alu(alu, Operand::X) => Step::AluX(alu),
            Op::Neg => Step::Neg,
            Op::Jump(distance) => Step::Go(target(distance)),
            Op::Branch { condition, operand, jt, jf } => {
                let (yes, no) = (target(u32::from(jt)), target(u32::from(jf)));
                match (operand, condition) {
                    (Operand::X, condition) => Step::IfX { condition, yes, no },
                    (Operand::K(k), Condition::Eq) => Step::IfEq { k, yes, no },
                    (Operand::K(k), Condition::Gt) => Step::IfGt { k, yes, no },
                    (Operand::K(k), Condition::Ge) => Step::IfGe { k, yes, no },
                    (Operand::K(k), Condition::Set) => Step::IfSet { k, yes, no },
                }
            }
            Op::Return(k) => Step::Return(k),
            Op::ReturnA => Step::ReturnA,
            Op::Tax => Step::Tax,
            Op::Txa => Step::Txa,
        }
    }
}

impl Condition {
    /// Whether A stands so to the operand.
    pub const fn holds(self, a: u32, operand: u32) -> bool {
        match self {
            Condition::Eq => a == operand,
            Condition::Gt => a > operand,
            Condition::Ge => a >= operand,
            Condition::Set => a & operand != 0,
        }
    }
}

/// The returned word, and whether a division by zero made it.
#[inline]
fn execute(
    steps: &[Step],
    words: &[u32; 16],
    shifts: ShiftRule,
    mut visit: impl FnMut(usize),
) -> (RawAction, bool) {
    /// What the kernel's converted program returns on division by zero.
    const DIVIDED: RawAction = RawAction(0);
    // A checked program writes a scratch word before it reads it, except in code that no path
    // reaches, so the start value is never seen.
    let mut scratch = [0u32; 16];
    let (mut a, mut x) = (0u32, 0u32);
    let mut index = 0;
    let cell = |word: u8| usize::from(word & 15);
    while let Some(step) = steps.get(index) {
        visit(index);
        index += 1;
        let branch = |holds: bool, yes: u16, no: u16| usize::from(if holds { yes } else { no });
        match *step {
            Step::Word(word) => a = words[cell(word)],
            Step::Set(k) => a = k,
            Step::Get(word) => a = scratch[cell(word)],
            Step::SetX(k) => x = k,
            Step::GetX(word) => x = scratch[cell(word)],
            Step::Put(word) => scratch[cell(word)] = a,
            Step::PutX(word) => scratch[cell(word)] = x,
            Step::Alu(alu, k) => match compute(alu, a, k, ShiftRule::Low5) {
                Some(result) => a = result,
                None => return (DIVIDED, true),
            },
            Step::AluX(alu) => match compute(alu, a, x, shifts) {
                Some(result) => a = result,
                None => return (DIVIDED, true),
            },
            Step::Neg => a = a.wrapping_neg(),
            Step::Go(target) => index = usize::from(target),
            Step::IfEq { k, yes, no } => index = branch(a == k, yes, no),
            Step::IfGt { k, yes, no } => index = branch(a > k, yes, no),
            Step::IfGe { k, yes, no } => index = branch(a >= k, yes, no),
            Step::IfSet { k, yes, no } => index = branch(a & k != 0, yes, no),
            Step::IfX { condition, yes, no } => index = branch(condition.holds(a, x), yes, no),
            Step::Return(k) => return (RawAction(k), false),
            Step::ReturnA => return (RawAction(a), false),
            Step::Tax => x = a,
            Step::Txa => a = x,
        }
    }
    // The last instruction of a checked program returns, and no jump passes it.
    unreachable!("a checked program ends in a return")
}

/// A op operand; `None` for a division by zero.
#[inline]
const fn compute(alu: AluOp, a: u32, operand: u32, shifts: ShiftRule) -> Option<u32> {
    Some(match alu {
        AluOp::Add => a.wrapping_add(operand),
        AluOp::Sub => a.wrapping_sub(operand),
        AluOp::Mul => a.wrapping_mul(operand),
        AluOp::Div => return a.checked_div(operand),
        AluOp::Or => a | operand,
        AluOp::And => a & operand,
        AluOp::Xor => a ^ operand,
        AluOp::Lsh => match a.checked_shl(shifts.distance(operand)) {
            Some(result) => result,
            None => 0,
        },
        AluOp::Rsh => match a.checked_shr(shifts.distance(operand)) {
            Some(result) => result,
            None => 0,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, ByteOrder};

    fn program(ops: &[Op]) -> Program {
        let instructions = ops.iter().map(|op| (*op).into()).collect();
        Program::new(instructions, Layout::seccomp(ByteOrder::Little)).unwrap()
    }

    fn result(ops: &[Op], shifts: ShiftRule) -> u32 {
        program(ops).run(&[0; 16], shifts).0
    }

    /// A op X with both given.
    fn alu_x(alu: AluOp, a: u32, x: u32, shifts: ShiftRule) -> u32 {
        let ops = [Op::LoadXImm(x), Op::LoadImm(a), Op::Alu(alu, Operand::X), Op::ReturnA];
        result(&ops, shifts)
    }

    #[test]
    fn registers_start_at_zero() {
        assert_eq!(result(&[Op::ReturnA], ShiftRule::Low5), 0);
        assert_eq!(result(&[Op::LoadImm(7), Op::Txa, Op::ReturnA], ShiftRule::Low5), 0);
    }

    #[test]
    fn shifts_by_x_follow_the_machine() {
        use ShiftRule::{Low5, Low6, Low8};
        assert_eq!(alu_x(AluOp::Lsh, 5, 32, Low5), 5);
        assert_eq!(alu_x(AluOp::Rsh, 0x50, 33, Low5), 40);
        assert_eq!(alu_x(AluOp::Lsh, 1, u32::MAX, Low5), 1 << 31);
        assert_eq!(alu_x(AluOp::Lsh, 5, 32, Low6), 0);
        assert_eq!(alu_x(AluOp::Lsh, 5, 63, Low6), 0);
        assert_eq!(alu_x(AluOp::Lsh, 5, 64, Low6), 5);
        assert_eq!(alu_x(AluOp::Lsh, 5, 64, Low8), 0);
        assert_eq!(alu_x(AluOp::Rsh, 5, 255, Low8), 0);
        assert_eq!(alu_x(AluOp::Rsh, 5, 256, Low8), 5);
        assert_eq!(alu_x(AluOp::Rsh, 0x10, 0x101, Low8), 8);
    }

    #[test]
    fn the_kernels_machine_decides_the_shift_rule() {
        let rule = |arch| ShiftRule::of_kernel(Architecture(arch));
        assert_eq!(rule(0xc000_003e), ShiftRule::Low5);
        assert_eq!(rule(0xc000_00b7), ShiftRule::Low5);
        assert_eq!(rule(0x4000_0028), ShiftRule::Low8);
        assert_eq!(rule(0xc000_0015), ShiftRule::Low6);
        assert_eq!(rule(0x8000_0016), ShiftRule::Low6);
    }

    #[test]
    fn a_shift_leaves_x_alone() {
        let ops = [Op::LoadXImm(40), Op::Alu(AluOp::Lsh, Operand::X), Op::Txa, Op::ReturnA];
        assert_eq!(result(&ops, ShiftRule::Low5), 40);
    }

    #[test]
    fn division_by_x_of_zero_ends_the_program() {
        let ops =
            [Op::LoadImm(9), Op::Alu(AluOp::Div, Operand::X), Op::Return(Action::Allow.raw().0)];
        let traced = program(&ops).run_traced(&[0; 16], ShiftRule::Low5);
        assert_eq!(traced.action.action(), Action::KillThread);
        assert_eq!(traced.path, [0, 1]);
        assert!(traced.divided_by_zero);
        let ended = program(&ops).run_to_end(&[0; 16], ShiftRule::Low5);
        assert_eq!(ended, Ended { action: traced.action, instruction: 1 });
        assert_eq!(alu_x(AluOp::Div, 9, 2, ShiftRule::Low5), 4);
    }

    #[test]
    fn arithmetic_wraps() {
        let alu = |alu, a, x| alu_x(alu, a, x, ShiftRule::Low5);
        assert_eq!(alu(AluOp::Add, u32::MAX, 2), 1);
        assert_eq!(alu(AluOp::Sub, 0, 1), u32::MAX);
        assert_eq!(alu(AluOp::Mul, 0x8000_0001, 2), 2);
        assert_eq!(alu(AluOp::Xor, 6, 3), 5);
        assert_eq!(result(&[Op::LoadImm(1), Op::Neg, Op::ReturnA], ShiftRule::Low5), u32::MAX);
    }

    #[test]
    fn comparisons_are_unsigned() {
        for (condition, a, k, holds) in [
            (Condition::Gt, 0x8000_0000, 1, true),
            (Condition::Ge, 0x7fff_ffff, 0x8000_0000, false),
            (Condition::Gt, 5, 5, false),
            (Condition::Ge, 5, 5, true),
            (Condition::Eq, u32::MAX, u32::MAX, true),
            (Condition::Set, 0x8000_0000, 0x8000_0000, true),
            (Condition::Set, 6, 1, false),
        ] {
            for operand in [Operand::K(k), Operand::X] {
                let ops = [
                    Op::LoadXImm(k),
                    Op::LoadImm(a),
                    Op::Branch { condition, operand, jt: 0, jf: 1 },
                    Op::Return(1),
                    Op::Return(2),
                ];
                assert_eq!(result(&ops, ShiftRule::Low5) == 1, holds, "{condition:?} {a} {k}");
            }
        }
    }

    #[test]
    fn scratch_and_length_and_words() {
        let ops = [
            Op::Load(60),
            Op::Store(15),
            Op::LoadXLen,
            Op::StoreX(0),
            Op::LoadMem(15),
            Op::LoadXMem(0),
            Op::Alu(AluOp::Add, Operand::X),
            Op::ReturnA,
        ];
        let mut words = [0; 16];
        words[15] = 1000;
        assert_eq!(program(&ops).run(&words, ShiftRule::Low5).0, 1064);
    }

    #[test]
    fn a_trace_lists_what_ran() {
        let ops = [Op::Jump(1), Op::Return(1), Op::Return(2)];
        let traced = program(&ops).run_traced(&[0; 16], ShiftRule::Low5);
        assert_eq!(traced.path, [0, 2]);
        assert_eq!(traced.action.0, 2);
        let ended = program(&ops).run_to_end(&[0; 16], ShiftRule::Low5);
        assert_eq!(ended, Ended { action: RawAction(2), instruction: 2 });
        assert!(!traced.divided_by_zero);
    }
}
