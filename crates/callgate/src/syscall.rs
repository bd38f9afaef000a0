//! System calls by name, checked when the program is compiled.

mod names;

use std::fmt;

use callgate_bpf::SyscallNr;
use callgate_syscalls::Abi;

/// A system call, whichever number it has where the filter is loaded.
///
/// Every name of every ABI is a constant, as the kernel spells it: `Syscall::openat`. A name that
/// no ABI has does not compile; [`Syscall::named`] finds one at run time.
///
/// ```
/// use callgate::{Abi, Syscall};
///
/// assert_eq!(Syscall::named("openat"), Some(Syscall::openat));
/// assert_eq!(Syscall::openat.number(Abi::X86_64).unwrap().0, 257);
/// assert_eq!(Syscall::open.number(Abi::Aarch64), None);
/// ```
///
/// ```compile_fail,E0599
/// let typo = callgate::Syscall::opennat;
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Syscall(&'static str);

impl Syscall {
    /// The system call of this name; `None` where no ABI has it.
    pub fn named(name: &str) -> Option<Syscall> {
        callgate_syscalls::syscall(name).map(|syscall| Syscall(syscall.name))
    }

    /// The name.
    pub const fn name(self) -> &'static str {
        self.0
    }

    /// Its number on an ABI; `None` where that one lacks it.
    pub fn number(self, abi: Abi) -> Option<SyscallNr> {
        abi.number(self.0)
    }
}

impl fmt::Debug for Syscall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for Syscall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_tables_is_a_constant() {
        let constants: Vec<&str> = names::ALL.iter().map(|syscall| syscall.name()).collect();
        let tables: Vec<&str> = callgate_syscalls::all_names().collect();
        assert_eq!(constants, tables, "`cargo xtask names` makes the constants anew");
    }
}
