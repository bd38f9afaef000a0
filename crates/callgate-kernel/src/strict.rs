//! Strict mode: four system calls and nothing else.

use std::fmt;

use crate::errno::Errno;
use crate::sys;

/// Puts the calling thread into strict mode: from here on it may call `read`, `write`, `exit`
/// and `sigreturn` (on x86_64 `rt_sigreturn`), and the kernel ends it with SIGKILL for anything
/// else. There is no way back, and no privilege is needed.
///
/// What that means for a program:
///
/// - Open every file before. `read` and `write` work on any descriptor that is open.
/// - **Leave by [`exit_strict`].** Returning from `main`, `std::process::exit` and `_exit(3)` all
///   call `exit_group`, which kills.
/// - Don't allocate: the allocator may ask for memory (`brk`, `mmap`). Nor may anything take a
///   contended lock (`futex`) or start a thread. `std::io::Read` and `Write` on a `File` are
///   `read` and `write`; `println!` is too, once its buffer exists.
/// - The clock is gone: on x86 strict mode also turns the time-stamp counter off, and an `rdtsc`
///   instruction then gets **SIGSEGV**, not SIGKILL. The vDSO's `clock_gettime` may use it.
/// - Only the calling thread is in strict mode, and only it dies; other threads go on.
///
/// The manual page is `seccomp(2)`, SECCOMP_SET_MODE_STRICT; the list of calls is
/// `mode1_syscalls` of `kernel/seccomp.c`.
///
/// # Errors
///
/// [`StrictError::is_already_filtered`] when a filter holds this thread, which it always does in
/// a container: the kernel does not change from one mode to the other.
/// [`StrictError::is_unsupported`] when the kernel has no strict mode.
#[doc(alias = "SECCOMP_SET_MODE_STRICT")]
pub fn strict() -> Result<(), StrictError> {
    sys::seccomp_set_strict().map_err(StrictError::of_this_thread)
}

/// Ends the calling thread by the `exit` system call, the one way out of strict mode that is not
/// a kill; of a process with one thread it ends the process, with this status (0 to 255).
///
/// Runs no destructors and flushes no buffers.
#[doc(alias = "SYS_exit")]
pub fn exit_strict(status: u8) -> ! {
    sys::exit_thread(i32::from(status))
}

/// Why strict mode was not entered. The thread is as it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrictError {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    AlreadyFiltered,
    Unsupported,
    Other(Errno),
}

impl StrictError {
    /// Reads the thread's mode to tell the two reasons of EINVAL apart.
    fn of_this_thread(errno: Errno) -> StrictError {
        let filtered = sys::seccomp_mode() == Ok(2);
        StrictError::new(errno, filtered)
    }

    /// The reason behind the kernel's answer to a thread that has a filter, or has none.
    pub(crate) fn new(errno: Errno, filtered: bool) -> StrictError {
        let kind = match errno.0 {
            libc::EINVAL if filtered => Kind::AlreadyFiltered,
            libc::EINVAL | libc::ENOSYS => Kind::Unsupported,
            _ => Kind::Other(errno),
        };
        StrictError { kind }
    }

    /// Whether the thread has a filter already, so that strict mode is closed to it.
    pub fn is_already_filtered(&self) -> bool {
        self.kind == Kind::AlreadyFiltered
    }

    /// Whether the kernel has no strict mode, or none that this thread may ask for.
    pub fn is_unsupported(&self) -> bool {
        self.kind == Kind::Unsupported
    }
}

impl std::error::Error for StrictError {}

impl fmt::Display for StrictError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("strict mode was not entered: ")?;
        match self.kind {
            Kind::AlreadyFiltered => f.write_str(
                "this thread has a seccomp filter already, as every process in a container has, \
                 and the kernel never changes from filter mode to strict mode; use the filter of \
                 the same four calls (the built-in source `strict`), or start outside the container",
            ),
            Kind::Unsupported => f.write_str(
                "this kernel has no seccomp(2) with strict mode \
                 (Linux 3.17 or newer with CONFIG_SECCOMP has)",
            ),
            Kind::Other(errno) => write!(
                f,
                "{errno}; something between this program and the kernel refuses seccomp(2)"
            ),
        }
    }
}
