//! Why filters could not be read, and what would let it.

use std::fmt;
use std::fs;

use crate::errno::Errno;
use crate::features::in_initial_user_namespace;
use crate::status::{Mode, ThreadStatus};

/// Why the filters of a thread were not read. The thread is as it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpError {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gone(i32),
    Strict(i32),
    Filtered,
    NotPrivileged,
    /// CAP_SYS_ADMIN is there, but of another user namespace than the first.
    Namespace,
    /// Refused for no reason that shows.
    Refused(i32, Errno),
    Traced {
        tid: i32,
        tracer: i32,
        name: Option<String>,
    },
    Own(i32),
    KernelThread(i32),
    Yama(i32, u32),
    NotAllowed(i32),
    NotStopped(i32),
    Unsupported,
    NotClassic(i32),
    Count {
        tid: i32,
        read: usize,
        told: usize,
    },
    Proc(i32, Errno),
    Trace(i32, Errno),
    Thread(Errno),
}

impl From<Kind> for DumpError {
    fn from(kind: Kind) -> DumpError {
        DumpError { kind }
    }
}

impl DumpError {
    /// The reason behind the answer to PTRACE_SEIZE.
    pub(super) fn of_attaching(tid: i32, errno: Errno) -> DumpError {
        let kind = match errno.0 {
            libc::ESRCH => Kind::Gone(tid),
            libc::EPERM => not_attached(tid),
            // Linux before 3.4.
            libc::EIO | libc::ENOSYS => Kind::Unsupported,
            _ => Kind::Trace(tid, errno),
        };
        kind.into()
    }

    /// The reason behind the answer to PTRACE_SECCOMP_GET_FILTER.
    pub(super) fn of_reading(tid: i32, errno: Errno) -> DumpError {
        let kind = match errno.0 {
            libc::ESRCH => Kind::Gone(tid),
            libc::EACCES if in_initial_user_namespace() == Some(false) => Kind::Namespace,
            libc::EACCES => Kind::Refused(tid, errno),
            // The kernel gives EINVAL both to a thread without filters, which `/proc` would have
            // told, and without the option; EIO for a request that it does not know.
            libc::EINVAL => match ThreadStatus::of_thread(tid).map(|status| status.mode) {
                Ok(Some(Mode::Filter)) => Kind::Unsupported,
                Ok(Some(Mode::Strict)) => Kind::Strict(tid),
                Ok(Some(Mode::Other(_))) => Kind::Gone(tid),
                _ => Kind::Trace(tid, errno),
            },
            libc::EIO => Kind::Unsupported,
            libc::EMEDIUMTYPE => Kind::NotClassic(tid),
            _ => Kind::Trace(tid, errno),
        };
        kind.into()
    }

    /// Whether there is no such thread, or it has ended meanwhile.
    pub fn is_gone(&self) -> bool {
        matches!(self.kind, Kind::Gone(_))
    }

    /// Whether the thread is in strict mode, which is no filter.
    pub fn is_strict(&self) -> bool {
        matches!(self.kind, Kind::Strict(_))
    }

    /// Whether the caller may not read filters at all: it lacks CAP_SYS_ADMIN in the first user
    /// namespace.
    pub fn is_not_privileged(&self) -> bool {
        matches!(self.kind, Kind::NotPrivileged | Kind::Namespace | Kind::Refused(..))
    }

    /// Whether a filter holds the caller: the kernel lets nobody read filters through one.
    pub fn is_filtered_caller(&self) -> bool {
        self.kind == Kind::Filtered
    }

    /// The process that traces the thread already.
    pub fn other_tracer(&self) -> Option<i32> {
        match self.kind {
            Kind::Traced { tracer, .. } => Some(tracer),
            _ => None,
        }
    }

    /// Whether this kernel keeps no programs to be read (CONFIG_CHECKPOINT_RESTORE).
    pub fn is_unsupported(&self) -> bool {
        self.kind == Kind::Unsupported
    }
}

/// The kernel has one answer, EPERM, to everything for which a thread cannot be attached to
/// (`ptrace_attach` of `kernel/ptrace.c`).
fn not_attached(tid: i32) -> Kind {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    if tid == own || fs::exists(format!("/proc/self/task/{tid}")).unwrap_or(false) {
        return Kind::Own(tid);
    }
    match ThreadStatus::of_thread(tid) {
        Err(error) if ThreadStatus::is_gone(&error) => return Kind::Gone(tid),
        Ok(status) => {
            if let Some(tracer) = status.tracer {
                let name = ThreadStatus::of_thread(tracer).ok().map(|status| status.name);
                return Kind::Traced { tid, tracer, name };
            }
        }
        Err(_) => {}
    }
    if let Some(kind) = without_calls(tid) {
        return kind;
    }
    let yama = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok();
    match yama.and_then(|text| text.trim().parse().ok()) {
        Some(scope @ 2..) => Kind::Yama(tid, scope),
        _ => Kind::NotAllowed(tid),
    }
}

/// A thread that makes no system calls, whatever holds it: one that has ended, a thread of the
/// kernel. State and flags of `proc_pid_stat(5)`; `PF_KTHREAD` of `linux/sched.h`.
pub(super) fn without_calls(tid: i32) -> Option<Kind> {
    let stat = match fs::read(format!("/proc/{tid}/stat")) {
        Err(error) if ThreadStatus::is_gone(&error) => return Some(Kind::Gone(tid)),
        other => other.unwrap_or_default(),
    };
    let stat = String::from_utf8_lossy(&stat);
    let fields: Vec<&str> =
        stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    if fields.first().is_some_and(|state| ["Z", "X"].contains(state)) {
        return Some(Kind::Gone(tid));
    }
    let flags: u32 = fields.get(6).and_then(|flags| flags.parse().ok()).unwrap_or(0);
    (flags & 0x0020_0000 != 0).then_some(Kind::KernelThread(tid))
}

impl std::error::Error for DumpError {}

impl fmt::Display for DumpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Gone(tid) => write!(f, "there is no process or thread {tid}, or it has ended"),
            Kind::Strict(tid) => write!(
                f,
                "thread {tid} is in strict mode, in which there is no filter to read; the built-in \
                 source `strict` is the filter of the same four calls"
            ),
            Kind::Filtered => f.write_str(
                "a filter holds this process itself, as in every container, and the kernel lets \
                 nobody read filters through one; start outside",
            ),
            Kind::NotPrivileged => f.write_str(
                "reading the filters of a process takes CAP_SYS_ADMIN, which this process does not \
                 have; run it as root",
            ),
            Kind::Namespace => f.write_str(
                "reading the filters of a process takes CAP_SYS_ADMIN in the first user namespace, \
                 and this process is in another; start outside of the container or of `unshare -U`",
            ),
            Kind::Refused(tid, errno) => write!(
                f,
                "the kernel refused to show the filters of thread {tid}: {errno}; it wants \
                 CAP_SYS_ADMIN in the first user namespace and a caller that no filter holds"
            ),
            Kind::Traced { tid, tracer, name } => {
                write!(f, "thread {tid} is traced already, by process {tracer}")?;
                if let Some(name) = name {
                    write!(f, " (`{}`)", name.escape_debug())?;
                }
                f.write_str(", and the kernel allows one tracer; end that one, or let it detach")
            }
            Kind::Own(tid) => write!(
                f,
                "thread {tid} belongs to this process, which cannot trace itself; ask from another"
            ),
            Kind::KernelThread(tid) => {
                write!(f, "{tid} is a thread of the kernel, which filters do not hold")
            }
            Kind::Yama(tid, scope) => write!(
                f,
                "thread {tid} could not be attached to: kernel.yama.ptrace_scope is {scope}, which \
                 {}",
                if *scope == 2 {
                    "takes CAP_SYS_PTRACE"
                } else {
                    "forbids it until the next boot of the machine"
                }
            ),
            Kind::NotAllowed(tid) => write!(
                f,
                "thread {tid} could not be attached to (EPERM): that takes CAP_SYS_PTRACE in its \
                 user namespace, or its own user and a process that may be dumped; a security \
                 module may forbid it too"
            ),
            Kind::NotStopped(tid) => write!(
                f,
                "thread {tid} did not stop in time: it waits in the kernel for a device or a file \
                 system, or for a child that it started by vfork; it was let go, try again later"
            ),
            Kind::Unsupported => f.write_str(
                "this kernel keeps no programs of filters to be read: that takes Linux 4.4 or newer \
                 with CONFIG_CHECKPOINT_RESTORE",
            ),
            Kind::NotClassic(tid) => write!(
                f,
                "thread {tid} has a filter that is no classic BPF program, so there is none to read"
            ),
            Kind::Count { tid, read, told } => write!(
                f,
                "thread {tid} shows {read} filters to ptrace and {told} in /proc, which should be \
                 as many; nothing was read"
            ),
            Kind::Proc(pid, errno) => {
                write!(f, "the threads of process {pid} could not be listed: {errno}; is /proc mounted?")
            }
            Kind::Trace(tid, errno) => write!(f, "thread {tid} could not be traced: {errno}"),
            Kind::Thread(errno) => write!(f, "no thread could be started to trace from: {errno}"),
        }
    }
}
