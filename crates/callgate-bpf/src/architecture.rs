//! The two words by which a filter tells system calls apart.

use core::fmt;

/// An audit architecture, `AUDIT_ARCH_*` of `include/uapi/linux/audit.h`: the ELF machine with a
/// bit for 64-bit and a bit for little-endian.
///
/// It says less than an ABI: x86_64 and x32 share one value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Architecture(pub u32);

impl Architecture {
    /// Whether the value has the 64-bit flag (`__AUDIT_ARCH_64BIT`).
    pub const fn is_64_bit(self) -> bool {
        self.0 & 0x8000_0000 != 0
    }

    /// Whether the value has the little-endian flag (`__AUDIT_ARCH_LE`).
    pub const fn is_little_endian(self) -> bool {
        self.0 & 0x4000_0000 != 0
    }
}

impl fmt::Debug for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

/// A system call number as the filter sees it: the whole 32-bit word, so x32 numbers carry
/// bit 30 and a tracer's "skip" is [`SyscallNr::SKIP`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SyscallNr(pub u32);

impl SyscallNr {
    /// Bit 30, which marks a call of the x32 ABI under the x86_64 architecture
    /// (`__X32_SYSCALL_BIT`).
    pub const X32_BIT: u32 = 0x4000_0000;

    /// −1: a tracer took the call away.
    pub const SKIP: SyscallNr = SyscallNr(u32::MAX);
}

impl fmt::Debug for SyscallNr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SyscallNr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 & Self::X32_BIT != 0 {
            write!(f, "{:#x}", self.0)
        } else {
            write!(f, "{}", self.0)
        }
    }
}
