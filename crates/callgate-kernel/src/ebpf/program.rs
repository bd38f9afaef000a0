//! Programs in the kernel.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use super::assembler::Instruction;
use super::error::Error;
use super::sys;
use crate::errno::Errno;

/// A program that the kernel has taken.
pub(super) struct Program {
    name: &'static str,
    descriptor: OwnedFd,
}

/// A program at its tracepoint, for as long as this lives.
pub(super) struct Attached {
    program: Program,
    _link: OwnedFd,
}

/// Enough for what the verifier says of any program that ends in an error.
const LOG: usize = 1 << 20;

impl Program {
    /// Has the kernel check the program, which is to run at the tracepoint with this number among
    /// the kernel's types.
    pub(super) fn load(
        name: &'static str,
        listed: &CStr,
        code: &[Instruction],
        tracepoint: u32,
    ) -> Result<Program, Error> {
        match sys::program_load(listed, code, tracepoint, &mut []) {
            Ok(descriptor) => Ok(Program { name, descriptor }),
            // Once more for the reason: a log that is not wanted costs time.
            Err(errno) => {
                let mut log = vec![0; LOG];
                // The log alone is wanted; that the second try fails as the first is expected.
                let _ = sys::program_load(listed, code, tracepoint, &mut log);
                Err(Error::of_program(name, errno, &log))
            }
        }
    }

    pub(super) fn attach(self) -> Result<Attached, Error> {
        let link = sys::program_attach(self.descriptor.as_fd())
            .map_err(|errno| Error::of_attaching(self.name, errno))?;
        Ok(Attached { program: self, _link: link })
    }
}

impl Attached {
    /// How often the kernel skipped the program, as it was running on that processor already.
    pub(super) fn missed(&self) -> Result<u64, Errno> {
        /// Where `recursion_misses` lies in `struct bpf_prog_info`, and the length up to its end.
        const MISSES: usize = 208;
        let mut info = [0; MISSES + 8];
        sys::object_info(self.program.descriptor.as_fd(), &mut info)?;
        let misses = info.get(MISSES..).and_then(|bytes| bytes.try_into().ok());
        Ok(misses.map_or(0, u64::from_ne_bytes))
    }
}
