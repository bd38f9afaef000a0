//! What is known of a system call whichever ABI calls it.

use crate::abi::Abi;
use crate::generated::syscalls::SYSCALLS;
use crate::groups::{self, Group};
use crate::names;
use crate::{KernelVersion, abi_facts};

/// A system call by its name in `unistd.h`.
///
/// ```
/// use callgate_syscalls::{Abi, KernelVersion, syscall};
///
/// let openat = syscall("openat").unwrap();
/// assert_eq!(openat.args[1].c_type, "const char *");
/// assert!(openat.args[1].pointer);
/// assert_eq!((openat.args[2].name, openat.args[2].bits), ("flags", 32));
/// assert!(openat.groups().any(|group| group == "@file-system"));
///
/// let clone = syscall("clone").unwrap();
/// assert_eq!(clone.args_on(Abi::X86_64)[0].name, "clone_flags");
/// assert_eq!(clone.args_on(Abi::S390x)[1].name, "clone_flags");
/// assert_eq!(syscall("mseal").unwrap().since, Some(KernelVersion::new(6, 10)));
/// ```
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Syscall {
    /// `openat`.
    pub name: &'static str,
    /// The arguments on 64-bit ABIs; where only 32-bit ABIs have the call, on those. Names and
    /// types are those of the kernel's definition.
    pub args: &'static [Arg],
    /// Whether `args` is known: a few calls have a number and were never implemented, or only in
    /// assembly, or so long ago that no source at hand has them.
    pub args_known: bool,
    /// The first release that had the call on some ABI, where the manual or the kernel's history
    /// tells. All releases of the 2.6 series are `2.6`.
    pub since: Option<KernelVersion>,
    /// Bit *n* for group *n*.
    groups: u32,
}

/// One argument of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Arg {
    /// `flags`.
    pub name: &'static str,
    /// `unsigned int`, without the kernel's address space marks.
    pub c_type: &'static str,
    /// Bits of the C type on a 64-bit ABI: 64, 32, 16 or 8. The kernel ignores what stands above
    /// them in the register, and a filter sees it.
    pub bits: u32,
    /// Whether it is an address, behind which a filter cannot look.
    pub pointer: bool,
    /// Whether the type is signed: −1 then fills all `bits`.
    pub signed: bool,
}

/// An ABI's own list of arguments.
#[derive(Debug)]
pub(crate) struct Special {
    pub name: &'static str,
    pub args: Option<&'static [Arg]>,
}

/// The call of a name; `None` where no ABI has it.
pub fn syscall(name: &str) -> Option<&'static Syscall> {
    names::place(name).map(|place| &SYSCALLS[usize::from(place)])
}

/// Every call that any ABI has, by name.
pub fn all_syscalls() -> &'static [Syscall] {
    &SYSCALLS
}

/// The name of every call that any ABI has, sorted.
pub fn all_names() -> impl ExactSizeIterator<Item = &'static str> + Clone {
    SYSCALLS.iter().map(|call| call.name)
}

impl Syscall {
    pub(crate) const fn new(
        name: &'static str,
        args: Option<&'static [Arg]>,
        since: Option<KernelVersion>,
        groups: u32,
    ) -> Syscall {
        let none: &[Arg] = &[];
        let (args, args_known) = match args {
            Some(args) => (args, true),
            None => (none, false),
        };
        Syscall { name, args, args_known, since, groups }
    }

    /// The arguments as this ABI passes them, where they are others than [`Syscall::args`]: in
    /// another order (`clone`), behind one pointer (`mmap` on x86 and s390x), or with a 64-bit
    /// value in two registers (`pread64` on 32-bit ABIs).
    ///
    /// For m68k, sh and xtensa no source tells the registers of most 64-bit values; such an
    /// argument stands as one, and what follows it is really further on.
    pub fn args_on(&self, abi: Abi) -> &'static [Arg] {
        let special = abi_facts::facts(abi).special;
        match special.binary_search_by(|s| s.name.cmp(self.name)) {
            Ok(at) => special[at].args.unwrap_or(self.args),
            Err(_) => self.args,
        }
    }

    /// The ABIs that have the call.
    pub fn abis(&self) -> impl Iterator<Item = Abi> {
        Abi::ALL.iter().copied().filter(|abi| abi.number(self.name).is_some())
    }

    /// The names of the groups that have the call, directly or through another group:
    /// `@file-system`, `@system-service`, …
    pub fn groups(&self) -> impl Iterator<Item = &'static str> {
        groups::ALL.iter().filter(|group| self.is_in(group)).map(|group| group.name)
    }

    pub(crate) fn is_in(&self, group: &Group) -> bool {
        self.groups & (1 << group.bit) != 0
    }
}
