//! Why a ruleset has no program.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;

use callgate_bpf::{Action, Invalid, MAX_INSTRUCTIONS, PATH_BUDGET, SeccompData, SyscallNr};
use callgate_syscalls::Abi;
use callgate_verdict::TooComplex;

/// Why a ruleset could not be compiled.
#[derive(Clone, Debug)]
pub struct CompileError {
    kind: Box<Kind>,
}

#[derive(Clone, Debug)]
enum Kind {
    NoAbi,
    MixedByteOrder(Abi, Abi),
    TooLong { length: usize, contributors: Vec<Contributor> },
    TooCostly { cost: u32, contributors: Vec<Contributor> },
    Invalid(Invalid),
    TooComplex(TooComplex),
    Mismatch(Mismatch),
    Uncached(Abi, SyscallNr),
}

/// A system call and how much of a program its argument rules take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contributor {
    /// The system call.
    pub name: String,
    /// Tests on its arguments.
    pub tests: usize,
}

/// A call on which a program does not do what the rules say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mismatch {
    pub(crate) data: SeccompData,
    pub(crate) rules: Action,
    pub(crate) program: Action,
}

impl CompileError {
    pub(crate) fn no_abi() -> CompileError {
        Kind::NoAbi.into()
    }

    pub(crate) fn mixed_byte_order(first: Abi, other: Abi) -> CompileError {
        Kind::MixedByteOrder(first, other).into()
    }

    pub(crate) fn too_long(length: usize, contributors: Vec<Contributor>) -> CompileError {
        Kind::TooLong { length, contributors }.into()
    }

    pub(crate) fn too_costly(cost: u32, contributors: Vec<Contributor>) -> CompileError {
        Kind::TooCostly { cost, contributors }.into()
    }

    pub(crate) fn invalid(invalid: Invalid) -> CompileError {
        Kind::Invalid(invalid).into()
    }

    pub(crate) fn too_complex(error: TooComplex) -> CompileError {
        Kind::TooComplex(error).into()
    }

    pub(crate) fn mismatch(mismatch: Mismatch) -> CompileError {
        Kind::Mismatch(mismatch).into()
    }

    pub(crate) fn uncached(abi: Abi, nr: SyscallNr) -> CompileError {
        Kind::Uncached(abi, nr).into()
    }

    /// The system calls that need most, when the program is too large; largest first.
    pub fn contributors(&self) -> &[Contributor] {
        match &*self.kind {
            Kind::TooLong { contributors, .. } | Kind::TooCostly { contributors, .. } => {
                contributors
            }
            _ => &[],
        }
    }

    /// Whether the policy's meaning does not fit in the memory set aside for the proof.
    pub fn is_too_complex(&self) -> bool {
        matches!(&*self.kind, Kind::TooComplex(_))
    }

    /// Whether this is a defect of Callgate and not of the policy.
    pub fn is_internal(&self) -> bool {
        matches!(&*self.kind, Kind::Invalid(_) | Kind::Mismatch(_) | Kind::Uncached(..))
    }
}

impl From<Kind> for CompileError {
    fn from(kind: Kind) -> CompileError {
        CompileError { kind: Box::new(kind) }
    }
}

impl core::error::Error for CompileError {}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.kind {
            Kind::NoAbi => f.write_str("the policy speaks of no architecture"),
            Kind::MixedByteOrder(first, other) => write!(
                f,
                "{} and {} differ in byte order; one program cannot serve both",
                first.name(),
                other.name()
            ),
            Kind::TooLong { length, .. } => write!(
                f,
                "the program would have {length} instructions; the kernel takes {} at most",
                MAX_INSTRUCTIONS
            ),
            Kind::TooCostly { cost, .. } => write!(
                f,
                "the kernel would count {cost} translated instructions for this program; its budget for all filters of a thread is {}",
                PATH_BUDGET
            ),
            Kind::Invalid(invalid) => {
                write!(f, "internal error: the compiler made an invalid program: {invalid}")
            }
            Kind::Uncached(abi, nr) => write!(
                f,
                "internal error: the program keeps number {nr} of {}, which is always allowed, out of the kernel's cache",
                abi.name()
            ),
            Kind::TooComplex(error) => {
                write!(f, "the program could not be proved to mean what the policy says: {error}")
            }
            Kind::Mismatch(Mismatch { data, rules, program }) => write!(
                f,
                "internal error: the program answers {program} where the rules say {rules}, on number {} of architecture {:?} with arguments {:#x?}",
                data.nr, data.arch, data.args
            ),
        }?;
        for (index, contributor) in self.contributors().iter().enumerate() {
            let lead = if index == 0 { "; most of it: " } else { ", " };
            write!(f, "{lead}{} ({} tests)", contributor.name, contributor.tests)?;
        }
        Ok(())
    }
}
