//! systemd's groups of system calls, which unit files use in `SystemCallFilter=`.

use crate::Syscall;
use crate::generated::groups::MEMBERS;
use crate::names::same;
use crate::syscall::all_syscalls;

/// A group.
///
/// ```
/// use callgate_syscalls::groups;
///
/// let clock = groups::find("@clock").unwrap();
/// assert!(clock.syscalls().any(|call| call.name == "settimeofday"));
/// assert!(groups::find("@privileged").unwrap().members().any(|member| member == "@clock"));
/// ```
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Group {
    /// `@file-system`.
    pub name: &'static str,
    /// What its calls do, as half a sentence.
    pub description: &'static str,
    /// With a space between.
    members: &'static str,
    /// The group's bit in a call's mask.
    pub(crate) bit: u32,
}

/// Every group, by name.
pub static ALL: [Group; MEMBERS.len()] = build();

/// The group of a name, which begins with `@`.
pub fn find(name: &str) -> Option<&'static Group> {
    let at = ALL.binary_search_by(|group| group.name.cmp(name)).ok()?;
    Some(&ALL[at])
}

impl Group {
    /// Names of calls, and of other groups, whose names begin with `@`. Calls that no ABI of this
    /// crate has are left out.
    pub fn members(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.members.split(' ')
    }

    /// The calls of the group and of the groups in it, by name.
    pub fn syscalls(&'static self) -> impl Iterator<Item = &'static Syscall> + Clone {
        all_syscalls().iter().filter(move |call| call.is_in(self))
    }
}

/// By name; held against the generated list when that is compiled.
#[rustfmt::skip]
const DESCRIPTIONS: &[(&str, &str)] = &[
    ("@aio", "asynchronous I/O: io_uring and its older relative"),
    ("@basic-io", "reading, writing, seeking and closing what is already open"),
    ("@chown", "changing owners and groups of files"),
    ("@clock", "setting the system clock and adjusting it"),
    ("@cpu-emulation", "emulating older processor modes"),
    ("@debug", "tracing, inspecting and measuring programs"),
    ("@default", "what every program needs to run and end at all"),
    ("@file-system", "opening, making, naming, describing and removing files and directories"),
    ("@io-event", "waiting for events on descriptors"),
    ("@ipc", "System V IPC, POSIX message queues, pipes and memory of other processes"),
    ("@keyring", "the kernel's keys"),
    ("@known", "every call that systemd knows"),
    ("@memlock", "keeping memory from being swapped out"),
    ("@module", "loading and removing kernel modules"),
    ("@mount", "mounting, unmounting and changing the root directory"),
    ("@network-io", "sockets"),
    ("@obsolete", "calls that are outdated, unused or never were implemented"),
    ("@pkey", "memory protection keys"),
    ("@privileged", "calls that need superuser powers"),
    ("@process", "making, controlling and ending processes, and namespaces"),
    ("@raw-io", "ports and devices without a driver between"),
    ("@reboot", "rebooting, and preparing another kernel to boot into"),
    ("@resources", "limits, priorities, scheduling and placement of memory"),
    ("@sandbox", "restricting oneself: seccomp and Landlock"),
    ("@setuid", "changing user and group identities"),
    ("@signal", "sending, handling and blocking signals"),
    ("@swap", "turning swap space on and off"),
    ("@sync", "writing what is cached to storage"),
    ("@system-service", "a fair start for a system service: most of what is harmless"),
    ("@timer", "alarms and timers"),
];

const fn build() -> [Group; MEMBERS.len()] {
    assert!(DESCRIPTIONS.len() == MEMBERS.len(), "describe every group that systemd has");
    let mut all =
        [const { Group { name: "", description: "", members: "", bit: 0 } }; MEMBERS.len()];
    let mut i = 0;
    let mut bit = 0;
    while i < all.len() {
        let (name, members) = MEMBERS[i];
        assert!(same(name, DESCRIPTIONS[i].0), "describe every group that systemd has");
        all[i] = Group { name, description: DESCRIPTIONS[i].1, members, bit };
        i += 1;
        bit += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscall;

    #[test]
    fn a_group_has_the_calls_of_the_groups_in_it() {
        let privileged = find("@privileged").unwrap();
        for inner in ["@chown", "@clock", "@module", "@reboot", "@swap"] {
            assert!(privileged.members().any(|member| member == inner), "{inner}");
            for call in find(inner).unwrap().syscalls() {
                assert!(call.groups().any(|g| g == "@privileged"), "{}", call.name);
            }
        }
    }

    #[test]
    fn every_member_is_a_call_or_a_group() {
        for group in &ALL {
            assert!(group.syscalls().count() > 0, "{}", group.name);
            for member in group.members() {
                assert!(syscall(member).is_some() || find(member).is_some(), "{member}");
            }
        }
    }

    #[test]
    fn groups_are_found_by_exact_name() {
        for group in &ALL {
            assert_eq!(find(group.name).map(|g| g.bit), Some(group.bit));
        }
        assert!(find("clock").is_none());
        assert!(find("@cloc").is_none());
    }
}
