//! The ABIs of Linux: the ways in which a program may call the kernel.

use core::fmt;

use callgate_bpf::{Architecture, ByteOrder, SyscallNr};

use crate::abi_facts::{Facts, facts};
use crate::generated::NONE;
use crate::names;

/// One way to call the kernel: an instruction set, a register width and a table of numbers.
///
/// The audit architecture that a filter sees says less: x86_64 and x32 share one
/// ([`from_audit`] gives both). Names are libseccomp's, in lower case, so `Sh` is little-endian
/// and `Sheb` big-endian; an ABI that libseccomp lacks has the kernel's name.
///
/// ```
/// use callgate_bpf::SyscallNr;
/// use callgate_syscalls::Abi;
///
/// assert_eq!(Abi::from_name("SCMP_ARCH_AARCH64"), Some(Abi::Aarch64));
/// assert_eq!(Abi::X86_64.number("openat"), Some(SyscallNr(257)));
/// assert_eq!(Abi::Aarch64.number("open"), None);
/// assert_eq!(Abi::X32.name_of(SyscallNr(0x4000_0208)), Some("execve"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the field's own")]
pub enum Abi {
    X86_64,
    X86,
    X32,
    Aarch64,
    Arm,
    Riscv64,
    Riscv32,
    S390x,
    S390,
    Ppc64le,
    Ppc64,
    Ppc,
    Mips,
    Mipsel,
    Mips64,
    Mipsel64,
    Mips64n32,
    Mipsel64n32,
    Loongarch64,
    Loongarch32,
    Parisc,
    Parisc64,
    M68k,
    Sh,
    Sheb,
    Alpha,
    Sparc,
    Sparc64,
    Xtensa,
    Csky,
    Arc,
}

/// The way into a multiplexed call: `socketcall` or `ipc`, and the value of its first argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Multiplexed {
    /// The number of `socketcall` or `ipc`.
    pub nr: SyscallNr,
    /// The first argument that selects the call. For `ipc` the kernel looks at the low 16 bits
    /// alone; the upper hold a version, 0 in practice.
    pub call: u32,
}

impl Abi {
    /// Every ABI, the most used first.
    pub const ALL: &'static [Abi] = &[
        Abi::X86_64,
        Abi::X86,
        Abi::X32,
        Abi::Aarch64,
        Abi::Arm,
        Abi::Riscv64,
        Abi::Riscv32,
        Abi::S390x,
        Abi::S390,
        Abi::Ppc64le,
        Abi::Ppc64,
        Abi::Ppc,
        Abi::Mips,
        Abi::Mipsel,
        Abi::Mips64,
        Abi::Mipsel64,
        Abi::Mips64n32,
        Abi::Mipsel64n32,
        Abi::Loongarch64,
        Abi::Loongarch32,
        Abi::Parisc,
        Abi::Parisc64,
        Abi::M68k,
        Abi::Sh,
        Abi::Sheb,
        Abi::Alpha,
        Abi::Sparc,
        Abi::Sparc64,
        Abi::Xtensa,
        Abi::Csky,
        Abi::Arc,
    ];

    const fn facts(self) -> &'static Facts {
        facts(self)
    }

    /// `x86_64`, `x86`, `x32`, `aarch64`, `mips64n32`, …
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// `SCMP_ARCH_X86_64`: the name in OCI and Docker profiles, which libseccomp's ABIs have.
    pub const fn oci_name(self) -> Option<&'static str> {
        self.facts().oci
    }

    /// `amd64`, `arm64`: the name in the `arches` of a Docker profile, from libseccomp's Go
    /// binding. An ABI without one there has its [`name`](Abi::name).
    pub const fn go_name(self) -> &'static str {
        self.facts().go
    }

    /// The ABI of a name: what [`name`](Abi::name) or [`oci_name`](Abi::oci_name) gives, exactly.
    pub fn from_name(name: &str) -> Option<Abi> {
        Abi::ALL.iter().copied().find(|abi| abi.name() == name || abi.oci_name() == Some(name))
    }

    /// The ABI of a name in a Docker profile's `arches`.
    pub fn from_go_name(name: &str) -> Option<Abi> {
        Abi::ALL.iter().copied().find(|abi| abi.go_name() == name)
    }

    /// What a filter sees in `seccomp_data.arch`; x32 shows x86_64's.
    pub const fn audit(self) -> Architecture {
        Architecture(self.facts().audit)
    }

    /// The width that a comparison has in libseccomp's meaning, 32 or 64 bits. x32 and the mips
    /// n32 ABIs are 32 although their registers are wider.
    pub const fn arg_bits(self) -> u32 {
        self.facts().arg_bits
    }

    /// Which half of an argument stands first in `seccomp_data`.
    pub const fn byte_order(self) -> ByteOrder {
        self.facts().byte_order
    }

    /// The ABI that this program was compiled for; `None` where this crate has no table for it.
    pub const fn native() -> Option<Abi> {
        NATIVE
    }

    /// The other ABIs that a kernel of this one can run, when it is built so: a filter that says
    /// nothing of them leaves them to its bad-architecture action.
    pub const fn companions(self) -> &'static [Abi] {
        self.facts().companions
    }

    /// Whether kernels of this ABI can have BPF filters at all (`HAVE_ARCH_SECCOMP_FILTER`);
    /// sparc and arc have not.
    pub const fn has_filters(self) -> bool {
        self.facts().filters
    }

    /// Whether the kernel keeps a bitmap of always-allowed calls for this ABI (Linux 5.11,
    /// `arch/*/include/asm/seccomp.h`), so that those never run the filter. x32 and mips have
    /// none, and no ABI has one for numbers above its table, such as arm's private calls.
    pub const fn has_kernel_cache(self) -> bool {
        self.facts().kernel_cache
    }

    /// Every number with its name, by number; x32's carry bit 30. Where a number has two names
    /// the preferred one is first.
    pub fn syscalls(
        self,
    ) -> impl DoubleEndedIterator<Item = (SyscallNr, &'static str)> + ExactSizeIterator + Clone
    {
        self.facts().table.iter().map(|(nr, place)| (*nr, names::name(*place)))
    }

    /// As [`Abi::syscalls`], of the numbers `first` to `last`.
    pub fn syscalls_between(
        self,
        first: SyscallNr,
        last: SyscallNr,
    ) -> impl ExactSizeIterator<Item = (SyscallNr, &'static str)> + Clone {
        let table = self.facts().table;
        let start = table.partition_point(|(nr, _)| *nr < first);
        let end = table.partition_point(|(nr, _)| *nr <= last).max(start);
        table[start..end].iter().map(|(nr, place)| (*nr, names::name(*place)))
    }

    /// The number of a name.
    pub fn number(self, name: &str) -> Option<SyscallNr> {
        match self.facts().index[usize::from(names::place(name)?)] {
            NONE => None,
            at => Some(self.facts().table[usize::from(at)].0),
        }
    }

    /// The name of a number, as the filter sees it: x32's with bit 30.
    pub fn name_of(self, nr: SyscallNr) -> Option<&'static str> {
        let table = self.facts().table;
        let at = table.partition_point(|entry| entry.0 < nr);
        table.get(at).filter(|entry| entry.0 == nr).map(|entry| names::name(entry.1))
    }

    /// How the ABI reaches a call through `socketcall` or `ipc`; `None` where it cannot.
    ///
    /// Every ABI with such a way has most of these calls directly too, so a filter needs both.
    /// What `socketcall` passes on lies behind a pointer, out of a filter's sight.
    ///
    /// ```
    /// # use callgate_syscalls::Abi;
    /// let way = Abi::X86.multiplexer("shmget").unwrap();
    /// assert_eq!(Abi::X86.name_of(way.nr), Some("ipc"));
    /// assert_eq!(way.call, 23);
    /// assert!(Abi::X86_64.multiplexer("shmget").is_none());
    /// ```
    pub fn multiplexer(self, name: &str) -> Option<Multiplexed> {
        let (through, call) = multiplexed(name)?;
        Some(Multiplexed { nr: self.number(through)?, call })
    }
}

/// [`Abi::name`].
impl fmt::Display for Abi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The ABIs that show a filter this architecture: two for x86_64, none for an unknown value.
pub fn from_audit(arch: Architecture) -> impl Iterator<Item = Abi> + Clone {
    Abi::ALL.iter().copied().filter(move |abi| abi.audit() == arch)
}

/// The ABI that a number of an architecture is of; bit 30 tells x86_64 and x32 apart.
pub fn abi_of(arch: Architecture, nr: SyscallNr) -> Option<Abi> {
    let x32 = nr.0 & SyscallNr::X32_BIT != 0;
    from_audit(arch).find(|&abi| match abi {
        Abi::X86_64 => !x32,
        Abi::X32 => x32,
        _ => true,
    })
}

/// The calls behind `socketcall` (`include/uapi/linux/net.h`) and `ipc`
/// (`include/uapi/linux/ipc.h`).
fn multiplexed(name: &str) -> Option<(&'static str, u32)> {
    let socketcall = match name {
        "socket" => 1,
        "bind" => 2,
        "connect" => 3,
        "listen" => 4,
        "accept" => 5,
        "getsockname" => 6,
        "getpeername" => 7,
        "socketpair" => 8,
        "send" => 9,
        "recv" => 10,
        "sendto" => 11,
        "recvfrom" => 12,
        "shutdown" => 13,
        "setsockopt" => 14,
        "getsockopt" => 15,
        "sendmsg" => 16,
        "recvmsg" => 17,
        "accept4" => 18,
        "recvmmsg" => 19,
        "sendmmsg" => 20,
        _ => 0,
    };
    if socketcall != 0 {
        return Some(("socketcall", socketcall));
    }
    let ipc = match name {
        "semop" => 1,
        "semget" => 2,
        "semctl" => 3,
        "semtimedop" => 4,
        "msgsnd" => 11,
        "msgrcv" => 12,
        "msgget" => 13,
        "msgctl" => 14,
        "shmat" => 21,
        "shmdt" => 22,
        "shmget" => 23,
        "shmctl" => 24,
        _ => return None,
    };
    Some(("ipc", ipc))
}

const NATIVE: Option<Abi> = native();

const fn native() -> Option<Abi> {
    let little = cfg!(target_endian = "little");
    let wide = cfg!(target_pointer_width = "64");
    Some(if cfg!(target_arch = "x86_64") {
        if wide { Abi::X86_64 } else { Abi::X32 }
    } else if cfg!(target_arch = "x86") {
        Abi::X86
    } else if cfg!(target_arch = "aarch64") {
        Abi::Aarch64
    } else if cfg!(target_arch = "arm") {
        Abi::Arm
    } else if cfg!(target_arch = "riscv64") {
        Abi::Riscv64
    } else if cfg!(target_arch = "riscv32") {
        Abi::Riscv32
    } else if cfg!(target_arch = "s390x") {
        Abi::S390x
    } else if cfg!(target_arch = "powerpc64") {
        if little { Abi::Ppc64le } else { Abi::Ppc64 }
    } else if cfg!(target_arch = "powerpc") {
        Abi::Ppc
    } else if cfg!(any(target_arch = "mips", target_arch = "mips32r6")) {
        if little { Abi::Mipsel } else { Abi::Mips }
    } else if cfg!(any(target_arch = "mips64", target_arch = "mips64r6")) {
        match (little, wide) {
            (true, true) => Abi::Mipsel64,
            (false, true) => Abi::Mips64,
            (true, false) => Abi::Mipsel64n32,
            (false, false) => Abi::Mips64n32,
        }
    } else if cfg!(target_arch = "loongarch64") {
        Abi::Loongarch64
    } else if cfg!(target_arch = "loongarch32") {
        Abi::Loongarch32
    } else if cfg!(target_arch = "m68k") {
        Abi::M68k
    } else if cfg!(target_arch = "sparc") {
        Abi::Sparc
    } else if cfg!(target_arch = "sparc64") {
        Abi::Sparc64
    } else if cfg!(target_arch = "xtensa") {
        Abi::Xtensa
    } else if cfg!(target_arch = "csky") {
        Abi::Csky
    } else {
        return None;
    })
}
