//! The words of a listing, which this crate does not know itself.

use alloc::borrow::Cow;
use alloc::string::ToString;

use crate::{Architecture, RawAction, SyscallNr};

/// Supplies names to a [`Listing`](crate::disasm::Listing); every method may know nothing.
///
/// A name stands in a comment alone, so it may be any text; control characters in it are not
/// printed.
pub trait Names {
    /// A system call: `execve`. x32 numbers come with bit 30 set.
    fn syscall(&self, arch: Architecture, nr: SyscallNr) -> Option<Cow<'_, str>> {
        let _ = (arch, nr);
        None
    }

    /// An architecture: `x86_64`.
    fn architecture(&self, arch: Architecture) -> Option<Cow<'_, str>> {
        let _ = arch;
        None
    }

    /// Argument `index`, 0 to 5, of a system call: `filename`.
    fn argument(&self, arch: Architecture, nr: SyscallNr, index: u8) -> Option<Cow<'_, str>> {
        let _ = (arch, nr, index);
        None
    }

    /// A value that argument `index` is compared with or masked by: `CLONE_NEWUSER`. A comparison
    /// of the high word has its value in the upper 32 bits.
    fn constant(
        &self,
        arch: Architecture,
        nr: SyscallNr,
        index: u8,
        value: u64,
    ) -> Option<Cow<'_, str>> {
        let _ = (arch, nr, index, value);
        None
    }

    /// What a program returns; of itself what the kernel makes of it: `errno(1)`.
    fn action(&self, action: RawAction) -> Option<Cow<'_, str>> {
        Some(Cow::Owned(action.action().to_string()))
    }
}

/// Knows the actions alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNames;

impl Names for NoNames {}
