//! What is known at each instruction, for the comments of a listing.

use alloc::vec;
use alloc::vec::Vec;

use crate::{AluOp, Architecture, Condition, Instruction, Op, Operand, SyscallNr};

/// What holds whenever an instruction is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// What the accumulator holds.
    pub(crate) a: Holds,
    /// The architecture of the call.
    pub(crate) arch: Option<Architecture>,
    /// The smallest and the largest number that the call can have.
    numbers: (u32, u32),
}

/// What a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Anything.
    Anything,
    /// The context's word at this offset.
    Word(u32),
    /// The same, some bits taken out.
    Masked(u32),
}

impl Known {
    /// Nothing but the architecture that the reader takes for granted.
    pub(crate) const fn start(arch: Option<Architecture>) -> Known {
        Known { a: Holds::Anything, arch, numbers: (0, u32::MAX) }
    }

    /// What holds on both of two ways.
    fn meet(self, other: Known) -> Known {
        Known {
            a: if self.a == other.a { self.a } else { Holds::Anything },
            arch: if self.arch == other.arch { self.arch } else { None },
            numbers: (self.numbers.0.min(other.numbers.0), self.numbers.1.max(other.numbers.1)),
        }
    }

    /// The number of the call, when it can be only one.
    pub(crate) const fn nr(&self) -> Option<SyscallNr> {
        if self.numbers.0 == self.numbers.1 { Some(SyscallNr(self.numbers.0)) } else { None }
    }

    /// After A has been found to be at least `k`, or below it.
    fn with_bound(mut self, k: u32, holds: bool) -> Known {
        if self.a == Holds::Word(0) {
            if holds {
                self.numbers.0 = self.numbers.0.max(k);
            } else {
                self.numbers.1 = self.numbers.1.min(k.saturating_sub(1));
            }
        }
        self
    }

    /// After A has been found equal to a constant.
    fn with_equal(mut self, k: u32) -> Known {
        match self.a {
            Holds::Word(0) => self.numbers = (k, k),
            Holds::Word(4) => self.arch = Some(Architecture(k)),
            _ => {}
        }
        self
    }
}

/// What is known before each instruction; `None` where no path leads.
///
/// Jumps go forward only, so one pass sees every way to an instruction before the instruction.
pub(crate) fn survey(instructions: &[Instruction], start: Known) -> Vec<Option<Known>> {
    let mut at: Vec<Option<Known>> = vec![None; instructions.len()];
    let reach = |at: &mut Vec<Option<Known>>, index: usize, known: Known| {
        if let Some(place) = at.get_mut(index) {
            *place = Some(place.map_or(known, |before| before.meet(known)));
        }
    };
    reach(&mut at, 0, start);
    for (index, instruction) in instructions.iter().enumerate() {
        let Some(mut known) = at[index] else { continue };
        let next = index + 1;
        match instruction.decode() {
            Some(Op::Load(offset)) => known.a = Holds::Word(offset),
            Some(Op::Alu(AluOp::And, Operand::K(_))) => {
                known.a = match known.a {
                    Holds::Word(offset) | Holds::Masked(offset) => Holds::Masked(offset),
                    Holds::Anything => Holds::Anything,
                };
            }
            Some(
                Op::LoadLen | Op::LoadImm(_) | Op::LoadMem(_) | Op::Alu(..) | Op::Neg | Op::Txa,
            ) => known.a = Holds::Anything,
            Some(Op::Jump(distance)) => {
                let distance = usize::try_from(distance).unwrap_or(usize::MAX);
                reach(&mut at, next.saturating_add(distance), known);
                continue;
            }
            Some(Op::Branch { condition, operand, jt, jf }) => {
                let (then, otherwise) = match (condition, operand) {
                    (Condition::Eq, Operand::K(k)) => (known.with_equal(k), known),
                    (Condition::Ge, Operand::K(k)) => {
                        (known.with_bound(k, true), known.with_bound(k, false))
                    }
                    (Condition::Gt, Operand::K(k)) => match k.checked_add(1) {
                        Some(k) => (known.with_bound(k, true), known.with_bound(k, false)),
                        None => (known, known),
                    },
                    _ => (known, known),
                };
                reach(&mut at, next + usize::from(jt), then);
                reach(&mut at, next + usize::from(jf), otherwise);
                continue;
            }
            Some(Op::Return(_) | Op::ReturnA) => continue,
            Some(
                Op::LoadXLen
                | Op::LoadXImm(_)
                | Op::LoadXMem(_)
                | Op::Store(_)
                | Op::StoreX(_)
                | Op::Tax,
            ) => {}
            // What an unknown opcode does is unknown; it does not jump.
            None => known = Known { a: Holds::Anything, ..known },
        }
        reach(&mut at, next, known);
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    const X86_64: u32 = 0xc000_003e;

    fn eq(k: u32, jt: u8, jf: u8) -> Op {
        Op::Branch { condition: Condition::Eq, operand: Operand::K(k), jt, jf }
    }

    fn at(ops: &[Op]) -> Vec<Option<Known>> {
        let instructions: Vec<Instruction> = ops.iter().map(|op| (*op).into()).collect();
        survey(&instructions, Known::start(None))
    }

    #[test]
    fn an_equal_branch_teaches() {
        let ops =
            [Op::Load(4), eq(X86_64, 0, 3), Op::Load(0), eq(59, 0, 1), Op::Load(16), Op::ReturnA];
        let at = at(&ops);
        assert_eq!(at[2].unwrap().arch, Some(Architecture(X86_64)));
        assert_eq!(at[4].unwrap().nr(), Some(SyscallNr(59)));
        assert_eq!(at[4].unwrap().a, Holds::Word(0));
        // Reached with and without the architecture, with A of two kinds.
        assert_eq!(at[5], Some(Known::start(None)));
    }

    #[test]
    fn ways_that_agree_keep_what_they_know() {
        let at = at(&[Op::Load(0), eq(1, 0, 1), Op::Jump(0), Op::ReturnA, Op::ReturnA]);
        assert_eq!(at[3].unwrap().a, Holds::Word(0));
        assert_eq!(at[3].unwrap().nr(), None);
        assert_eq!(at[4], None);
    }

    #[test]
    fn bounds_that_leave_one_number_teach_it() {
        let at_least =
            |k, jt, jf| Op::Branch { condition: Condition::Ge, operand: Operand::K(k), jt, jf };
        let at =
            at(&[Op::Load(0), at_least(41, 0, 2), at_least(42, 1, 0), Op::ReturnA, Op::ReturnA]);
        assert_eq!(at[3].unwrap().nr(), Some(SyscallNr(41)));
        assert_eq!(at[4].unwrap().nr(), None);
    }

    #[test]
    fn a_mask_is_remembered_and_arithmetic_is_not() {
        let and = Op::Alu(AluOp::And, Operand::K(3));
        let at = at(&[Op::Load(16), and, and, Op::Neg, and, Op::ReturnA]);
        assert_eq!(at[3].unwrap().a, Holds::Masked(16));
        assert_eq!(at[5].unwrap().a, Holds::Anything);
    }
}
