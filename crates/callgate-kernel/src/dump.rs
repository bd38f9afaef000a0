//! Reading the filters of a running thread back from the kernel.

mod error;
mod groups;
mod restart;
mod stopped;

pub use self::error::DumpError;
pub use self::groups::{ThreadGroup, threads_of};

use std::thread;

use callgate_bpf::Instruction;
use rustix::process::Pid;

use self::error::Kind;
use self::stopped::Stopped;
use crate::errno::Errno;
use crate::features::in_initial_user_namespace;
use crate::privileges::has_sys_admin;
use crate::ptrace;
use crate::status::{Mode, ThreadStatus};
use crate::sys;

/// A filter as the kernel keeps it.
///
/// The kernel tells the program and, of the flags, LOG. Whether a filter has a listener
/// (NEW_LISTENER, WAIT_KILLABLE_RECV), and whether it was loaded with TSYNC or SPEC_ALLOW, cannot
/// be read back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct DumpedFilter {
    /// The program as it was loaded, in this machine's byte order.
    pub instructions: Vec<Instruction>,
    /// Whether it was loaded with SECCOMP_FILTER_FLAG_LOG; `None` before Linux 4.16, which does
    /// not tell.
    pub log: Option<bool>,
}

/// The filters of one thread, by its number as `/proc` and `ps -L` show it, **oldest first**: the
/// order in which they were loaded. Empty when no filter holds it. A process's number names its
/// first thread.
///
/// The thread is attached to with PTRACE_SEIZE and stopped for as long as the reading takes, well
/// under a millisecond; its other threads run on. It is released whatever happens: the tracing is
/// done by a thread of this function's own, with whose end the kernel lets go of every tracee.
/// A thread that no filter holds is not touched at all.
///
/// To the thread the stop is like one by SIGSTOP and SIGCONT, without the signals: some calls
/// that it waits in fail with EINTR (`signal(7)` lists them), and `nanosleep`, `poll` and `futex`
/// with a timeout go on by way of `restart_syscall`. Where its filters refuse that call, which
/// would end the thread for having been looked at, the interrupted one is made to begin again with
/// its whole timeout (64-bit programs on x86_64 only).
///
/// The manual page is `ptrace(2)`, PTRACE_SECCOMP_GET_FILTER.
///
/// # Errors
///
/// [`DumpError`] says what is missing: the thread, the right to read (CAP_SYS_ADMIN in the first
/// user namespace, and no filter on the caller), the absence of another tracer, the kernel's
/// support (CONFIG_CHECKPOINT_RESTORE). A thread in strict mode is an error too: it is held, and
/// not by a filter; and so is one of the kernel, which makes no system calls.
#[doc(alias = "PTRACE_SECCOMP_GET_FILTER")]
pub fn filters_of(tid: i32) -> Result<Vec<DumpedFilter>, DumpError> {
    match look(tid)? {
        Holds::Nothing => Ok(Vec::new()),
        Holds::Strict => Err(Kind::Strict(tid).into()),
        Holds::Filters => {
            may_read()?;
            in_a_thread(move || read(tid))
        }
    }
}

/// What holds a thread, as `/proc` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Nothing,
    Strict,
    /// Filters, or something that only trying can show.
    Filters,
}

fn look(tid: i32) -> Result<Holds, DumpError> {
    match ThreadStatus::of_thread(tid) {
        Ok(status) => Ok(match status.mode {
            // One that has ended is held by nothing either, and allows nothing.
            Some(Mode::Disabled) => match error::without_calls(tid) {
                Some(kind) => return Err(kind.into()),
                None => Holds::Nothing,
            },
            Some(Mode::Strict) => Holds::Strict,
            _ => Holds::Filters,
        }),
        Err(error) if ThreadStatus::is_gone(&error) => Err(Kind::Gone(tid).into()),
        // `/proc` may be hidden; the kernel will answer.
        Err(_) => Ok(Holds::Filters),
    }
}

/// What the kernel would refuse anyway, found before the thread is disturbed
/// (`seccomp_get_filter` of `kernel/seccomp.c`).
pub(crate) fn may_read() -> Result<(), DumpError> {
    if sys::seccomp_mode() == Ok(2) {
        return Err(Kind::Filtered.into());
    }
    match has_sys_admin() {
        Ok(false) => Err(Kind::NotPrivileged.into()),
        _ if in_initial_user_namespace() == Some(false) => Err(Kind::Namespace.into()),
        // Who cannot ask for its capabilities will hear from the kernel.
        _ => Ok(()),
    }
}

/// Runs `work` in a thread of its own: with its end the kernel releases all that it traced, also
/// a thread that did not stop in time, and one that cannot be released by name any more.
fn in_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DumpError> + Send + 'static,
) -> Result<T, DumpError> {
    let thread = thread::Builder::new()
        .name("dump".to_owned())
        .spawn(work)
        .map_err(|error| DumpError::from(Kind::Thread(Errno::from(&error))))?;
    match thread.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Attaches, reads and releases. The calling thread must end afterwards.
fn read(tid: i32) -> Result<Vec<DumpedFilter>, DumpError> {
    let gone = || DumpError::from(Kind::Gone(tid));
    let pid = Pid::from_raw(tid).filter(|_| tid > 0).ok_or_else(gone)?;
    let stopped = Stopped::attach(pid)?;
    let filters = read_stopped(stopped.pid());
    if let Ok(filters) = &filters {
        // It fails for a thread that was killed, whose end the next request tells.
        let _ = restart::spare(stopped.pid(), filters);
    }
    stopped.release();
    filters
}

/// The filters of a thread that the caller traces and that stands still.
pub(crate) fn read_stopped(pid: Pid) -> Result<Vec<DumpedFilter>, DumpError> {
    let tid = pid.as_raw_nonzero().get();
    let mut filters = Vec::new();
    loop {
        match read_one(pid, filters.len()) {
            Ok(filter) => filters.push(filter),
            Err(Errno(libc::ENOENT)) if counted(tid, filters.len())? => return Ok(filters),
            // Another thread has just given it one more (TSYNC).
            Err(Errno(libc::ENOENT)) => {}
            Err(errno) => return Err(DumpError::of_reading(tid, errno)),
        }
    }
}

/// Filter `index`, counted from the oldest.
pub(crate) fn read_one(pid: Pid, index: usize) -> Result<DumpedFilter, Errno> {
    let instructions = ptrace::filter(pid, index)?;
    let log = match ptrace::filter_flags(pid, index) {
        Ok(flags) => Some(flags & u64::from(crate::load::FLAG_LOG) != 0),
        // The request came with Linux 4.16; before, the kernel answers EIO.
        Err(Errno(libc::EIO)) => None,
        Err(errno) => return Err(errno),
    };
    Ok(DumpedFilter { instructions, log })
}

/// Whether `/proc` counts as many filters; an error when it counts fewer.
fn counted(tid: i32, read: usize) -> Result<bool, DumpError> {
    let status = ThreadStatus::of_thread(tid).ok();
    let told = status.and_then(|status| status.filters).and_then(|n| usize::try_from(n).ok());
    match told {
        Some(told) if told < read => Err(Kind::Count { tid, read, told }.into()),
        Some(told) => Ok(told == read),
        None => Ok(true),
    }
}
