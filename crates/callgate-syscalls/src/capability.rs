//! Capabilities: the parts into which Linux has cut root's privilege (capabilities(7)).

use core::fmt;
use core::iter::FusedIterator;
use core::str::FromStr;

use crate::KernelVersion;

/// One capability; its value is the kernel's number (`include/uapi/linux/capability.h`).
///
/// ```
/// use callgate_syscalls::{Capability, KernelVersion};
///
/// let bpf = Capability::from_name("cap_bpf").unwrap();
/// assert_eq!(bpf.number(), 39);
/// assert_eq!(bpf.since(), KernelVersion::new(5, 8));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
pub enum Capability {
    /// Change owner and group of any file.
    Chown = 0,
    /// Read, write and execute files whatever their permission bits say.
    DacOverride = 1,
    /// Read any file, search any directory, and open files by handle.
    DacReadSearch = 2,
    /// Act as the owner of any file: change its mode, times, flags and attributes.
    Fowner = 3,
    /// Keep set-user-ID and set-group-ID bits when a file changes, or set them for another group.
    Fsetid = 4,
    /// Send signals to processes of other users.
    Kill = 5,
    /// Change group IDs and the list of supplementary groups.
    Setgid = 6,
    /// Change user IDs, and write user ID mappings of a user namespace.
    Setuid = 7,
    /// Drop capabilities from the bounding set, add inheritable ones, change secure bits.
    Setpcap = 8,
    /// Set and clear the immutable and append-only flags of files.
    LinuxImmutable = 9,
    /// Bind to ports below 1024.
    NetBindService = 10,
    /// Broadcast and listen to multicasts; the kernel does not check it.
    NetBroadcast = 11,
    /// Configure interfaces, routes, firewall and other parts of the network.
    NetAdmin = 12,
    /// Open raw and packet sockets, and bind to any address for transparent proxying.
    NetRaw = 13,
    /// Lock memory without limit, and use huge pages.
    IpcLock = 14,
    /// Use System V IPC objects whatever their permissions say.
    IpcOwner = 15,
    /// Load and remove kernel modules.
    SysModule = 16,
    /// Use I/O ports and raw memory, and send raw commands to devices.
    SysRawio = 17,
    /// Change the root directory, and enter another mount namespace.
    SysChroot = 18,
    /// Trace, inspect and alter processes of other users.
    SysPtrace = 19,
    /// Turn process accounting on and off.
    SysPacct = 20,
    /// Administer nearly everything: mounts, namespaces, swap, devices, and filters without no_new_privs.
    SysAdmin = 21,
    /// Reboot, and load another kernel to boot into.
    SysBoot = 22,
    /// Raise priorities, choose real-time scheduling, and place other users' processes on processors and memory.
    SysNice = 23,
    /// Exceed resource limits, disk quotas and reserved space.
    SysResource = 24,
    /// Set the system clock and the hardware clock.
    SysTime = 25,
    /// Configure terminals, and hang one up.
    SysTtyConfig = 26,
    /// Create device files.
    Mknod = 27,
    /// Take leases on any file.
    Lease = 28,
    /// Write records to the kernel's audit log.
    AuditWrite = 29,
    /// Turn auditing on and off and change its rules.
    AuditControl = 30,
    /// Set capabilities on files, and map user ID 0 into a new user namespace.
    Setfcap = 31,
    /// Override mandatory access control, as Smack implements it.
    MacOverride = 32,
    /// Configure mandatory access control, as Smack and others implement it.
    MacAdmin = 33,
    /// Read and clear the kernel log, and see kernel addresses in /proc.
    Syslog = 34,
    /// Set timers that wake the system up.
    WakeAlarm = 35,
    /// Keep the system from suspending.
    BlockSuspend = 36,
    /// Read the audit log as it is multicast.
    AuditRead = 37,
    /// Use performance monitoring and tracing, and read kernel memory by them.
    Perfmon = 38,
    /// Load BPF programs and create most kinds of BPF maps.
    Bpf = 39,
    /// Checkpoint and restore: choose process IDs, read what /proc links to.
    CheckpointRestore = 40,
}

impl Capability {
    /// All 41 of Linux 5.9 and later, by number.
    pub const ALL: &'static [Capability; 41] = &{
        let mut all = [Capability::Chown; 41];
        let mut i = 0;
        while i < all.len() {
            all[i] = ROWS[i].capability;
            i += 1;
        }
        all
    };

    /// The kernel's number, 0 to 40.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The capability with this number.
    pub fn from_number(number: u8) -> Option<Capability> {
        Capability::ALL.get(usize::from(number)).copied()
    }

    /// `CAP_NET_ADMIN`.
    pub const fn name(self) -> &'static str {
        ROWS[self as usize].name
    }

    /// The capability of a name, in upper or lower case, with or without `CAP_`.
    pub fn from_name(name: &str) -> Option<Capability> {
        let bare = match name.as_bytes().first_chunk::<4>() {
            Some(prefix) if prefix.eq_ignore_ascii_case(b"CAP_") => &name[4..],
            _ => name,
        };
        let named = |c: &Capability| c.name()["CAP_".len()..].eq_ignore_ascii_case(bare);
        Capability::ALL.iter().copied().find(named)
    }

    /// The release that brought it.
    pub const fn since(self) -> KernelVersion {
        ROWS[self as usize].since
    }

    /// What it lets a process do, as half a sentence: "change owner and group of any file".
    pub const fn description(self) -> &'static str {
        ROWS[self as usize].description
    }
}

/// [`Capability::name`].
impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text names no capability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapabilityError(());

/// [`Capability::from_name`].
impl FromStr for Capability {
    type Err = CapabilityError;

    fn from_str(text: &str) -> Result<Capability, CapabilityError> {
        Capability::from_name(text).ok_or(CapabilityError(()))
    }
}

impl fmt::Display for CapabilityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a capability; names are those of capabilities(7), such as CAP_NET_ADMIN")
    }
}

impl core::error::Error for CapabilityError {}

/// A set of capabilities, bit for bit as the kernel keeps one. Bits above the known capabilities
/// may be set and are kept: a newer kernel may have more.
///
/// ```
/// use callgate_syscalls::{Capability, CapabilitySet};
///
/// let mut set = CapabilitySet::DOCKER_DEFAULT;
/// assert!(set.remove(Capability::NetRaw));
/// assert_eq!(set.len(), 13);
/// let two = CapabilitySet::from_iter([Capability::Kill, Capability::Chown]);
/// assert_eq!(two.to_string(), "CAP_CHOWN,CAP_KILL");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CapabilitySet(u64);

impl CapabilitySet {
    /// No capability.
    pub const EMPTY: CapabilitySet = CapabilitySet(0);

    /// All known capabilities.
    pub const ALL: CapabilitySet = CapabilitySet::of(Capability::ALL);

    /// The 14 that a Docker container has unless it is told otherwise (the engine's
    /// `oci/caps/defaults.go`).
    pub const DOCKER_DEFAULT: CapabilitySet = CapabilitySet::of(&[
        Capability::Chown,
        Capability::DacOverride,
        Capability::Fsetid,
        Capability::Fowner,
        Capability::Mknod,
        Capability::NetRaw,
        Capability::Setgid,
        Capability::Setuid,
        Capability::Setfcap,
        Capability::Setpcap,
        Capability::NetBindService,
        Capability::SysChroot,
        Capability::Kill,
        Capability::AuditWrite,
    ]);

    /// The capabilities of a list.
    pub const fn of(list: &[Capability]) -> CapabilitySet {
        let mut bits = 0;
        let mut i = 0;
        while i < list.len() {
            bits |= 1 << list[i] as u64;
            i += 1;
        }
        CapabilitySet(bits)
    }

    /// The set of these bits, bit *n* for capability *n*: what `/proc/PID/status` shows in hex.
    pub const fn from_bits(bits: u64) -> CapabilitySet {
        CapabilitySet(bits)
    }

    /// The bits, those of unknown capabilities included.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Adds one; whether it was not there.
    pub const fn insert(&mut self, capability: Capability) -> bool {
        let was = self.contains(capability);
        self.0 |= 1 << capability as u64;
        !was
    }

    /// Takes one out; whether it was there.
    pub const fn remove(&mut self, capability: Capability) -> bool {
        let was = self.contains(capability);
        self.0 &= !(1 << capability as u64);
        was
    }

    /// Whether the capability is in.
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u64) != 0
    }

    /// Whether every capability of `other` is in.
    pub const fn is_superset(self, other: CapabilitySet) -> bool {
        self.0 & other.0 == other.0
    }

    /// What is in either.
    pub const fn union(self, other: CapabilitySet) -> CapabilitySet {
        CapabilitySet(self.0 | other.0)
    }

    /// What is in both.
    pub const fn intersection(self, other: CapabilitySet) -> CapabilitySet {
        CapabilitySet(self.0 & other.0)
    }

    /// What is in this and not in `other`.
    pub const fn difference(self, other: CapabilitySet) -> CapabilitySet {
        CapabilitySet(self.0 & !other.0)
    }

    /// Whether nothing is in, unknown capabilities included.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many known capabilities are in.
    pub fn len(self) -> usize {
        self.iter().count()
    }

    /// The known capabilities of the set, by number.
    pub fn iter(self) -> impl FusedIterator<Item = Capability> + Clone {
        Capability::ALL.iter().copied().filter(move |c| self.contains(*c))
    }
}

impl FromIterator<Capability> for CapabilitySet {
    fn from_iter<I: IntoIterator<Item = Capability>>(iter: I) -> CapabilitySet {
        let mut set = CapabilitySet::EMPTY;
        set.extend(iter);
        set
    }
}

impl Extend<Capability> for CapabilitySet {
    fn extend<I: IntoIterator<Item = Capability>>(&mut self, iter: I) {
        for capability in iter {
            self.insert(capability);
        }
    }
}

/// Names with commas between, by number: `CAP_CHOWN,CAP_KILL`; `none` for the empty set. Bits of
/// unknown capabilities come last, in hex.
impl fmt::Display for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        let mut comma = "";
        for capability in self.iter() {
            write!(f, "{comma}{capability}")?;
            comma = ",";
        }
        let unknown = self.difference(CapabilitySet::ALL);
        if !unknown.is_empty() {
            write!(f, "{comma}{:#x}", unknown.0)?;
        }
        Ok(())
    }
}

impl fmt::Debug for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CapabilitySet({self})")
    }
}

struct Row {
    capability: Capability,
    name: &'static str,
    since: KernelVersion,
    description: &'static str,
}

const fn row(
    capability: Capability,
    name: &'static str,
    major: u16,
    minor: u16,
    description: &'static str,
) -> Row {
    Row { capability, name, since: KernelVersion::new(major, minor), description }
}

/// By number. Releases from capabilities(7), which leaves them out for those of Linux 2.2.
#[rustfmt::skip]
const ROWS: [Row; 41] = [
    row(Capability::Chown, "CAP_CHOWN", 2, 2, "change owner and group of any file"),
    row(Capability::DacOverride, "CAP_DAC_OVERRIDE", 2, 2, "read, write and execute files whatever their permission bits say"),
    row(Capability::DacReadSearch, "CAP_DAC_READ_SEARCH", 2, 2, "read any file, search any directory, and open files by handle"),
    row(Capability::Fowner, "CAP_FOWNER", 2, 2, "act as the owner of any file: change its mode, times, flags and attributes"),
    row(Capability::Fsetid, "CAP_FSETID", 2, 2, "keep set-user-ID and set-group-ID bits when a file changes, or set them for another group"),
    row(Capability::Kill, "CAP_KILL", 2, 2, "send signals to processes of other users"),
    row(Capability::Setgid, "CAP_SETGID", 2, 2, "change group IDs and the list of supplementary groups"),
    row(Capability::Setuid, "CAP_SETUID", 2, 2, "change user IDs, and write user ID mappings of a user namespace"),
    row(Capability::Setpcap, "CAP_SETPCAP", 2, 2, "drop capabilities from the bounding set, add inheritable ones, change secure bits"),
    row(Capability::LinuxImmutable, "CAP_LINUX_IMMUTABLE", 2, 2, "set and clear the immutable and append-only flags of files"),
    row(Capability::NetBindService, "CAP_NET_BIND_SERVICE", 2, 2, "bind to ports below 1024"),
    row(Capability::NetBroadcast, "CAP_NET_BROADCAST", 2, 2, "broadcast and listen to multicasts; the kernel does not check it"),
    row(Capability::NetAdmin, "CAP_NET_ADMIN", 2, 2, "configure interfaces, routes, firewall and other parts of the network"),
    row(Capability::NetRaw, "CAP_NET_RAW", 2, 2, "open raw and packet sockets, and bind to any address for transparent proxying"),
    row(Capability::IpcLock, "CAP_IPC_LOCK", 2, 2, "lock memory without limit, and use huge pages"),
    row(Capability::IpcOwner, "CAP_IPC_OWNER", 2, 2, "use System V IPC objects whatever their permissions say"),
    row(Capability::SysModule, "CAP_SYS_MODULE", 2, 2, "load and remove kernel modules"),
    row(Capability::SysRawio, "CAP_SYS_RAWIO", 2, 2, "use I/O ports and raw memory, and send raw commands to devices"),
    row(Capability::SysChroot, "CAP_SYS_CHROOT", 2, 2, "change the root directory, and enter another mount namespace"),
    row(Capability::SysPtrace, "CAP_SYS_PTRACE", 2, 2, "trace, inspect and alter processes of other users"),
    row(Capability::SysPacct, "CAP_SYS_PACCT", 2, 2, "turn process accounting on and off"),
    row(Capability::SysAdmin, "CAP_SYS_ADMIN", 2, 2, "administer nearly everything: mounts, namespaces, swap, devices, and filters without no_new_privs"),
    row(Capability::SysBoot, "CAP_SYS_BOOT", 2, 2, "reboot, and load another kernel to boot into"),
    row(Capability::SysNice, "CAP_SYS_NICE", 2, 2, "raise priorities, choose real-time scheduling, and place other users' processes on processors and memory"),
    row(Capability::SysResource, "CAP_SYS_RESOURCE", 2, 2, "exceed resource limits, disk quotas and reserved space"),
    row(Capability::SysTime, "CAP_SYS_TIME", 2, 2, "set the system clock and the hardware clock"),
    row(Capability::SysTtyConfig, "CAP_SYS_TTY_CONFIG", 2, 2, "configure terminals, and hang one up"),
    row(Capability::Mknod, "CAP_MKNOD", 2, 4, "create device files"),
    row(Capability::Lease, "CAP_LEASE", 2, 4, "take leases on any file"),
    row(Capability::AuditWrite, "CAP_AUDIT_WRITE", 2, 6, "write records to the kernel's audit log"),
    row(Capability::AuditControl, "CAP_AUDIT_CONTROL", 2, 6, "turn auditing on and off and change its rules"),
    row(Capability::Setfcap, "CAP_SETFCAP", 2, 6, "set capabilities on files, and map user ID 0 into a new user namespace"),
    row(Capability::MacOverride, "CAP_MAC_OVERRIDE", 2, 6, "override mandatory access control, as Smack implements it"),
    row(Capability::MacAdmin, "CAP_MAC_ADMIN", 2, 6, "configure mandatory access control, as Smack and others implement it"),
    row(Capability::Syslog, "CAP_SYSLOG", 2, 6, "read and clear the kernel log, and see kernel addresses in /proc"),
    row(Capability::WakeAlarm, "CAP_WAKE_ALARM", 3, 0, "set timers that wake the system up"),
    row(Capability::BlockSuspend, "CAP_BLOCK_SUSPEND", 3, 5, "keep the system from suspending"),
    row(Capability::AuditRead, "CAP_AUDIT_READ", 3, 16, "read the audit log as it is multicast"),
    row(Capability::Perfmon, "CAP_PERFMON", 5, 8, "use performance monitoring and tracing, and read kernel memory by them"),
    row(Capability::Bpf, "CAP_BPF", 5, 8, "load BPF programs and create most kinds of BPF maps"),
    row(Capability::CheckpointRestore, "CAP_CHECKPOINT_RESTORE", 5, 9, "checkpoint and restore: choose process IDs, read what /proc links to"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn rows_stand_at_their_numbers() {
        for (i, row) in ROWS.iter().enumerate() {
            assert_eq!(usize::from(row.capability.number()), i, "{}", row.name);
            assert_eq!(Capability::from_number(row.capability.number()), Some(row.capability));
        }
        assert_eq!(Capability::from_number(41), None);
        assert_eq!(Capability::SysAdmin.number(), 21);
        assert_eq!(Capability::CheckpointRestore.number(), 40);
    }

    #[test]
    fn names_are_taken_in_any_usual_form() {
        for capability in Capability::ALL {
            let name = capability.name();
            assert_eq!(Capability::from_name(name), Some(*capability));
            assert_eq!(Capability::from_name(&name.to_lowercase()), Some(*capability));
            assert_eq!(Capability::from_name(&name[4..]), Some(*capability));
        }
        for other in ["", "CAP_", "CAP_ALL", "CAP_CAP_KILL", "KILLS", "cap\u{e4}"] {
            assert_eq!(Capability::from_name(other), None, "{other}");
        }
    }

    #[test]
    fn dockers_set_has_its_known_bits() {
        assert_eq!(CapabilitySet::DOCKER_DEFAULT.bits(), 0xa804_25fb);
        assert_eq!(CapabilitySet::DOCKER_DEFAULT.len(), 14);
    }

    #[test]
    fn sets_keep_bits_of_unknown_capabilities() {
        let set = CapabilitySet::from_bits(1 << 63 | 1);
        assert_eq!(set.to_string(), "CAP_CHOWN,0x8000000000000000");
        assert_eq!(set.len(), 1);
        assert_eq!(CapabilitySet::EMPTY.to_string(), "none");
        assert_eq!(CapabilitySet::ALL.bits(), 0x1ff_ffff_ffff);
    }
}
