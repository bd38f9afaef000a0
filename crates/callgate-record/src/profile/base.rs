//! What a container runtime calls itself once the filter holds it, up to the start of the command.
//!
//! Without no_new_privs the kernel wants the filter loaded before privileges are dropped, so all
//! of that runs under the filter; with it, only the last steps do. Measured with a program that
//! only ends, under a filter that logs every call, with runc 1.1.5 and crun 1.8.1. What newer
//! versions need beyond that stands in rows of their own, which say from which version on.

use std::{collections::BTreeSet, fmt};

/// A runtime, and how it starts the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the table is keyed by these")]
pub struct Base {
    /// Whose calls.
    pub runtime: Runtime,
    /// Whether the container has no_new_privs (`noNewPrivileges`,
    /// `allowPrivilegeEscalation: false`).
    pub no_new_privs: bool,
    /// Whether further commands are started in the container, as `podman exec`, `kubectl exec` and
    /// health checks do.
    pub exec: bool,
}

/// A container runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "whoever names them names all")]
pub enum Runtime {
    /// Whichever it will be: what any of them needs.
    Any,
    /// runc, of every version since 1.1, for Docker, containerd and Kubernetes.
    Runc,
    /// crun.
    Crun,
    /// Podman, which starts either of the two.
    Podman,
}

/// How a row of the table applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a runtime starts a command in one of three ways")]
pub enum Verb {
    /// A new container, by `run`, or by `create` and then `start`.
    Run,
    /// A new container by `create` and then `start` alone, as engines do it.
    Create,
    /// Another command in a container.
    Exec,
}

/// One row: who needs what.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Row {
    /// The runtime: [`Runtime::Runc`] or [`Runtime::Crun`].
    pub runtime: Runtime,
    /// The versions, from and to, as the runtime writes them; to the newest known for none.
    pub versions: (&'static str, Option<&'static str>),
    /// With no_new_privs or without; none for both.
    pub no_new_privs: Option<bool>,
    /// One way to start a command; none for all.
    pub verb: Option<Verb>,
    /// For root alone, for others alone; none for both.
    pub root: Option<bool>,
    /// Whether every start makes these calls; if not, chance decides: runc's threads find a lock
    /// taken, or get a signal.
    pub always: bool,
    /// The calls.
    pub names: &'static [&'static str],
}

/// The rows; what is needed is the union of those that apply.
pub const TABLE: &[Row] = &[
    Row {
        runtime: Runtime::Crun,
        versions: ("1.0", None),
        no_new_privs: None,
        verb: None,
        root: None,
        always: true,
        names: &["close", "execve"],
    },
    Row {
        runtime: Runtime::Crun,
        versions: ("1.0", None),
        no_new_privs: Some(false),
        verb: None,
        root: None,
        always: true,
        names: &[
            "capset",
            "prctl",
            "rt_sigaction",
            "rt_sigprocmask",
            "setresgid",
            "setresuid",
            "write",
        ],
    },
    // It waits to be started with the filter on.
    Row {
        runtime: Runtime::Crun,
        versions: ("1.0", None),
        no_new_privs: Some(false),
        verb: Some(Verb::Create),
        root: None,
        always: true,
        names: &["pselect6", "read"],
    },
    // It drops privileges with the filter on, whatever the container has.
    Row {
        runtime: Runtime::Crun,
        versions: ("1.0", None),
        no_new_privs: None,
        verb: Some(Verb::Exec),
        root: None,
        always: true,
        names: &[
            "capset",
            "fchown",
            "ioctl",
            "openat",
            "prctl",
            "read",
            "setgroups",
            "setresgid",
            "setresuid",
            "statx",
            "write",
        ],
    },
    Row {
        runtime: Runtime::Runc,
        versions: ("1.1", None),
        no_new_privs: None,
        verb: None,
        root: None,
        always: true,
        names: &["close", "epoll_ctl", "execve", "fstatfs", "getdents64", "openat"],
    },
    Row {
        runtime: Runtime::Runc,
        versions: ("1.1", None),
        no_new_privs: None,
        verb: None,
        root: None,
        always: false,
        names: &["futex", "rt_sigreturn"],
    },
    Row {
        runtime: Runtime::Runc,
        versions: ("1.1", None),
        no_new_privs: None,
        verb: Some(Verb::Run),
        root: None,
        always: true,
        names: &["getpid", "write"],
    },
    Row {
        runtime: Runtime::Runc,
        versions: ("1.1", None),
        no_new_privs: Some(false),
        verb: None,
        root: None,
        always: true,
        names: &[
            "capget",
            "capset",
            "chdir",
            "faccessat2",
            "fcntl",
            "fstat",
            "getcwd",
            "newfstatat",
            "prctl",
            "read",
            "setgid",
            "setgroups",
            "setuid",
        ],
    },
    Row {
        runtime: Runtime::Runc,
        versions: ("1.1", None),
        no_new_privs: Some(false),
        verb: Some(Verb::Run),
        root: None,
        always: true,
        names: &["getppid"],
    },
    Row {
        runtime: Runtime::Runc,
        versions: ("1.1", None),
        no_new_privs: Some(false),
        verb: None,
        root: Some(false),
        always: true,
        names: &["fchown"],
    },
    Row {
        runtime: Runtime::Runc,
        versions: ("1.2.8", None),
        no_new_privs: None,
        verb: None,
        root: None,
        always: true,
        names: &["openat2", "statx"],
    },
];

impl Base {
    /// What is needed by every known version and for every user: a profile outlives an upgrade.
    pub fn names(self) -> BTreeSet<&'static str> {
        let whose = |row: &&Row| match self.runtime {
            Runtime::Any | Runtime::Podman => true,
            one => row.runtime == one,
        };
        let held = |row: &&Row| row.no_new_privs.is_none_or(|with| with == self.no_new_privs);
        let done = |row: &&Row| self.exec || row.verb != Some(Verb::Exec);
        let rows = TABLE.iter().filter(whose).filter(held).filter(done);
        rows.flat_map(|row| row.names.iter().copied()).collect()
    }
}

/// The remark in a profile.
impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.runtime {
            Runtime::Any => "runc or crun",
            Runtime::Runc => "runc",
            Runtime::Crun => "crun",
            Runtime::Podman => "Podman's runtime, crun or runc,",
        };
        let how = if self.no_new_privs {
            "with no_new_privs"
        } else {
            "without no_new_privs, where it drops privileges under the filter"
        };
        write!(
            f,
            "not recorded: {who} needs these between loading the filter and the command, {how}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_call_and_no_new_privs_needs_fewer() {
        for row in TABLE {
            for name in row.names {
                assert!(callgate_syscalls::syscall(name).is_some(), "{name}");
            }
        }
        let count = |runtime, exec| {
            [true, false].map(|no_new_privs| Base { runtime, no_new_privs, exec }.names().len())
        };
        assert_eq!((count(Runtime::Crun, false), count(Runtime::Crun, true)), ([2, 11], [13, 16]));
        assert_eq!((count(Runtime::Runc, false), count(Runtime::Runc, true)), ([12, 27], [12, 27]));
    }

    #[test]
    fn the_built_in_starting_point_has_what_every_runtime_needs() {
        let text = callgate_policy::builtin::named("fine-grained").unwrap().text;
        let policy = callgate_policy::formats::profile::read(text, None).policy.unwrap();
        let entry = &policy.entries[0];
        let named: BTreeSet<&str> = entry.names.iter().map(|name| name.value.as_str()).collect();
        let mut base = Base { runtime: Runtime::Any, no_new_privs: false, exec: true }.names();
        // The profile has entries of its own for it, by request.
        assert!(base.remove("ioctl"));
        assert_eq!(named, base);
    }
}
