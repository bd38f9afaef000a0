//! Why nothing could be recorded, and what would let it.

use std::fmt;
use std::fs;

use callgate_syscalls::Capability;

use crate::errno::Errno;
use crate::features::in_initial_user_namespace;
use crate::privileges::CapState;

/// Why the recorder was not started. Nothing of it is left in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Architecture,
    NoTypes(Errno),
    /// What was looked for in the kernel's types.
    Type(&'static str),
    /// The capability that is missing.
    NotPrivileged(&'static str),
    Namespace,
    /// Of processes.
    Numbers,
    LockedDown(String),
    /// A filter holds this process.
    Filtered(Errno),
    NoCall,
    Map(&'static str, Errno),
    /// The kernel's last words on a program.
    Program(&'static str, Errno, String),
    Attach(&'static str, Errno),
    Cgroup(Errno),
    Process(i32, Errno),
    Wait(Errno),
}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Error {
        Error { kind }
    }
}

impl Error {
    /// A map was refused.
    pub(super) fn of_map(name: &'static str, errno: Errno) -> Error {
        Error::reason(errno).unwrap_or(Kind::Map(name, errno)).into()
    }

    /// A program was refused, and this is the kernel's log.
    pub(super) fn of_program(name: &'static str, errno: Errno, log: &[u8]) -> Error {
        let log = log.split(|byte| *byte == 0).next().unwrap_or_default();
        let log = String::from_utf8_lossy(log);
        let words: Vec<&str> = log.lines().rev().filter(|line| is_reason(line)).take(2).collect();
        let words = words.into_iter().rev().collect::<Vec<_>>().join("; ");
        Error::reason(errno).unwrap_or(Kind::Program(name, errno, words)).into()
    }

    /// A program could not be attached to its tracepoint.
    pub(super) fn of_attaching(name: &'static str, errno: Errno) -> Error {
        Error::reason(errno).unwrap_or(Kind::Attach(name, errno)).into()
    }

    /// What stands in the way of every bpf(2) of this process, if anything is seen to.
    fn reason(errno: Errno) -> Option<Kind> {
        if !matches!(errno.0, libc::EPERM | libc::EACCES | libc::ENOSYS) {
            return None;
        }
        if let Ok(text) = fs::read_to_string("/sys/kernel/security/lockdown")
            && let Some(mode) = locked_down(&text)
        {
            return Some(Kind::LockedDown(mode));
        }
        if let Ok(state) = CapState::of_this_thread() {
            let has = |capability| state.effective.contains(capability);
            if !has(Capability::SysAdmin) && !has(Capability::Bpf) {
                return Some(Kind::NotPrivileged("CAP_BPF"));
            }
            if !has(Capability::SysAdmin) && !has(Capability::Perfmon) {
                return Some(Kind::NotPrivileged("CAP_PERFMON"));
            }
        }
        if in_initial_user_namespace() == Some(false) {
            return Some(Kind::Namespace);
        }
        if matches!(crate::sys::seccomp_mode(), Ok(1..)) {
            return Some(Kind::Filtered(errno));
        }
        (errno.0 == libc::ENOSYS).then_some(Kind::NoCall)
    }

    /// Whether the caller lacks what another has: a capability, or a place in the first
    /// namespaces.
    pub fn is_not_privileged(&self) -> bool {
        matches!(self.kind, Kind::NotPrivileged(_) | Kind::Namespace | Kind::Numbers)
    }

    /// Whether this machine can't do it, whoever asks: no types, no such call, locked down, or an
    /// architecture that the recorder does not know.
    pub fn is_unsupported(&self) -> bool {
        matches!(
            self.kind,
            Kind::Architecture
                | Kind::NoTypes(_)
                | Kind::Type(_)
                | Kind::LockedDown(_)
                | Kind::NoCall
        )
    }
}

/// The mode in brackets, unless it is `none`.
fn locked_down(text: &str) -> Option<String> {
    let mode = text.split_once('[')?.1.split_once(']')?.0;
    // Integrity mode lets programs read kernel memory; confidentiality mode does not.
    (mode == "confidentiality").then(|| mode.to_owned())
}

/// Whether a line of the verifier says what is wrong, rather than how long it took.
fn is_reason(line: &str) -> bool {
    !line.is_empty()
        && !["processed ", "verification time", "stack depth"].iter().any(|p| line.starts_with(p))
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Architecture => {
                f.write_str("recording by eBPF knows the registers of x86_64 alone so far")
            }
            Kind::NoTypes(errno) => write!(
                f,
                "the kernel's types, /sys/kernel/btf/vmlinux, could not be read: {errno}; recording \
                 by eBPF takes a kernel with CONFIG_DEBUG_INFO_BTF, and /sys mounted"
            ),
            Kind::Type(what) => write!(
                f,
                "the kernel's types, /sys/kernel/btf/vmlinux, do not have `{what}` where the \
                 recorder looks for it: this kernel is too old (5.12 is needed), or newer than this \
                 program knows"
            ),
            Kind::NotPrivileged(capability) => write!(
                f,
                "recording by eBPF takes CAP_BPF and CAP_PERFMON, and this process does not have \
                 {capability}; run it as root"
            ),
            Kind::Namespace => f.write_str(
                "recording by eBPF takes CAP_BPF and CAP_PERFMON in the first user namespace, and \
                 this process is in another; start outside of the container or of `unshare -U`",
            ),
            Kind::Numbers => f.write_str(
                "this process is in a container's namespace of processes, whose numbers the \
                 kernel's programs don't know; start outside of it",
            ),
            Kind::LockedDown(mode) => write!(
                f,
                "the kernel is locked down ({mode}, /sys/kernel/security/lockdown), so no program \
                 may read its memory; boot without that lock"
            ),
            Kind::Filtered(errno) => write!(
                f,
                "a seccomp filter holds this process, and it or something else refuses bpf: \
                 {errno}; start outside of the container"
            ),
            Kind::NoCall => f.write_str("this kernel has no bpf(2)"),
            Kind::Map(name, errno) => {
                write!(f, "the kernel made no map `{name}`: {errno}")?;
                match errno.0 {
                    libc::EPERM => f.write_str(
                        "; before Linux 5.11 the memory of maps counts against `ulimit -l`",
                    ),
                    libc::EINVAL => f.write_str("; Linux 5.12 or newer is needed"),
                    _ => Ok(()),
                }
            }
            Kind::Program(name, errno, words) => {
                write!(f, "the kernel refused the program `{name}`: {errno}")?;
                if words.is_empty() { Ok(()) } else { write!(f, " ({})", words.escape_debug()) }
            }
            Kind::Attach(name, errno) => {
                write!(f, "the program `{name}` could not be attached to its tracepoint: {errno}")
            }
            Kind::Cgroup(errno) => write!(
                f,
                "this is no cgroup of the version 2 tree that could be recorded: {errno}; without \
                 that tree, record a process and what it starts"
            ),
            Kind::Process(pid, errno) => write!(f, "process {pid} could not be followed: {errno}"),
            Kind::Wait(errno) => write!(f, "the recorder could not be waited for: {errno}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_confidentiality_locks_programs_out() {
        assert_eq!(locked_down("none integrity [confidentiality]\n").unwrap(), "confidentiality");
        assert_eq!(locked_down("none [integrity] confidentiality\n"), None);
        assert_eq!(locked_down("[none] integrity confidentiality\n"), None);
        assert_eq!(locked_down(""), None);
    }

    #[test]
    fn the_verifiers_reason_is_kept_and_its_statistics_are_not() {
        let log = b"0: R1=ctx()\n1: (79) r0 = *(u64 *)(r1 +0)\ninvalid bpf_context access\n\
                    verification time 12 usec\nprocessed 2 insns (limit 1000000)\n\0\0junk";
        let error = Error::of_program("enter", Errno(libc::EINVAL), log);
        assert!(error.to_string().contains("invalid bpf_context access"), "{error}");
        assert!(!error.to_string().contains("processed"), "{error}");
    }
}
