//! Why a program is refused.

use core::fmt;

/// A program that the kernel would refuse with EINVAL, and why.
///
/// The kernel says EINVAL and nothing more; this says which instruction and which rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    instruction: Option<usize>,
    kind: Kind,
}

/// The rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Bytes that are not whole instructions.
    Bytes { count: usize },
    /// A layout that no program can be checked against.
    Layout { size: u32 },
    /// No instruction, or too many.
    Length { count: usize },
    /// An opcode outside the 41.
    Opcode { code: u16 },
    /// A load beside the context's words.
    LoadOffset { offset: u32, size: u32 },
    /// DIV K with 0.
    DivisionByZero,
    /// LSH K or RSH K with 32 or more.
    Shift { distance: u32 },
    /// A scratch index of 16 or more.
    ScratchIndex { index: u32 },
    /// A scratch word that some path has not written.
    ScratchUnwritten { index: u32 },
    /// A jump past the last instruction.
    Jump { distance: u32, count: usize, arm: Arm },
    /// The last instruction is no RET.
    NoReturn,
}

/// Which way of a jump it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arm {
    /// JA's only way.
    Always,
    /// The way when the comparison holds.
    True,
    /// The way when it does not.
    False,
}

impl Invalid {
    /// About the program as a whole.
    pub(crate) const fn whole(kind: Kind) -> Invalid {
        Invalid { instruction: None, kind }
    }

    /// About one instruction.
    pub(crate) const fn at(instruction: usize, kind: Kind) -> Invalid {
        Invalid { instruction: Some(instruction), kind }
    }

    /// Index of the offending instruction, from 0; `None` when the program as a whole is wrong.
    pub const fn instruction(&self) -> Option<usize> {
        self.instruction
    }

    /// Whether the number of instructions, or of bytes, is the trouble.
    pub const fn is_length(&self) -> bool {
        matches!(self.kind, Kind::Bytes { .. } | Kind::Length { .. })
    }

    /// Whether the [`Layout`](crate::Layout) asked for can have no program.
    pub const fn is_layout(&self) -> bool {
        matches!(self.kind, Kind::Layout { .. })
    }

    /// Whether seccomp does not know the opcode.
    pub const fn is_opcode(&self) -> bool {
        matches!(self.kind, Kind::Opcode { .. })
    }

    /// Whether a load misses the context's words.
    pub const fn is_load(&self) -> bool {
        matches!(self.kind, Kind::LoadOffset { .. })
    }

    /// Whether the constant of a division or shift is the trouble.
    pub const fn is_arithmetic(&self) -> bool {
        matches!(self.kind, Kind::DivisionByZero | Kind::Shift { .. })
    }

    /// Whether scratch memory is the trouble: no such word, or read before it is written.
    pub const fn is_scratch(&self) -> bool {
        matches!(self.kind, Kind::ScratchIndex { .. } | Kind::ScratchUnwritten { .. })
    }

    /// Whether a jump leaves the program.
    pub const fn is_jump(&self) -> bool {
        matches!(self.kind, Kind::Jump { .. })
    }

    /// Whether the program ends without RET.
    pub const fn is_unfinished(&self) -> bool {
        matches!(self.kind, Kind::NoReturn)
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(instruction) = self.instruction {
            write!(f, "instruction {instruction}: ")?;
        }
        match self.kind {
            Kind::Bytes { count } => {
                write!(f, "{count} bytes are no program: an instruction has 8 bytes")
            }
            Kind::Layout { size } => {
                write!(f, "no program reads a context of {size} bytes: 4 to 64, a multiple of 4")
            }
            Kind::Length { count: 0 } => f.write_str("a program needs an instruction"),
            Kind::Length { count } => {
                write!(f, "{count} instructions, the kernel takes {}", crate::MAX_INSTRUCTIONS)
            }
            Kind::Opcode { code } => {
                write!(f, "opcode {code:#06x} is none that seccomp accepts")?;
                match classic_only(code) {
                    Some(name) => write!(f, " (classic BPF has it elsewhere: {name})"),
                    None => Ok(()),
                }
            }
            Kind::LoadOffset { offset, size } => write!(
                f,
                "load from offset {offset}: must be a multiple of 4 and at most {}",
                size - 4
            ),
            Kind::DivisionByZero => f.write_str("division by the constant 0"),
            Kind::Shift { distance } => {
                write!(f, "shift by the constant {distance}: at most 31")
            }
            Kind::ScratchIndex { index } => {
                write!(f, "scratch word {index}: there are 16, 0 to 15")
            }
            Kind::ScratchUnwritten { index } => {
                write!(f, "scratch word {index} is read where it may not have been written")
            }
            Kind::Jump { distance, count, arm } => {
                let arm = match arm {
                    Arm::Always => "jump",
                    Arm::True => "jump when true",
                    Arm::False => "jump when false",
                };
                write!(f, "{arm} of {distance} leaves the program ({count} instructions)")
            }
            Kind::NoReturn => f.write_str("the last instruction must be a return"),
        }
    }
}

impl core::error::Error for Invalid {}

/// What classic BPF calls an opcode that `bpf_check_classic` knows and `seccomp_check_filter`
/// does not.
const fn classic_only(code: u16) -> Option<&'static str> {
    Some(match code {
        0x28 => "half-word load",
        0x30 => "byte load",
        0x40 => "indexed load",
        0x48 => "indexed half-word load",
        0x50 => "indexed byte load",
        0xb1 => "IP header length load",
        0x94 | 0x9c => "modulo",
        _ => return None,
    })
}
