//! How a command ended.

use std::fmt;

/// A signal number of Linux, 1 to 64.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signal(pub i32);

impl Signal {
    /// A filter's kill or trap.
    pub const SYS: Signal = Signal(libc::SIGSYS);
    /// Strict mode's kill, among others.
    pub const KILL: Signal = Signal(libc::SIGKILL);
    /// A bad memory access; also `rdtsc` in strict mode.
    pub const SEGV: Signal = Signal(libc::SIGSEGV);

    /// `SIGSYS`; `None` for a realtime signal.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            libc::SIGHUP => "SIGHUP",
            libc::SIGINT => "SIGINT",
            libc::SIGQUIT => "SIGQUIT",
            libc::SIGILL => "SIGILL",
            libc::SIGTRAP => "SIGTRAP",
            libc::SIGABRT => "SIGABRT",
            libc::SIGBUS => "SIGBUS",
            libc::SIGFPE => "SIGFPE",
            libc::SIGKILL => "SIGKILL",
            libc::SIGUSR1 => "SIGUSR1",
            libc::SIGSEGV => "SIGSEGV",
            libc::SIGUSR2 => "SIGUSR2",
            libc::SIGPIPE => "SIGPIPE",
            libc::SIGALRM => "SIGALRM",
            libc::SIGTERM => "SIGTERM",
            libc::SIGCHLD => "SIGCHLD",
            libc::SIGCONT => "SIGCONT",
            libc::SIGSTOP => "SIGSTOP",
            libc::SIGTSTP => "SIGTSTP",
            libc::SIGTTIN => "SIGTTIN",
            libc::SIGTTOU => "SIGTTOU",
            libc::SIGURG => "SIGURG",
            libc::SIGXCPU => "SIGXCPU",
            libc::SIGXFSZ => "SIGXFSZ",
            libc::SIGVTALRM => "SIGVTALRM",
            libc::SIGPROF => "SIGPROF",
            libc::SIGWINCH => "SIGWINCH",
            libc::SIGIO => "SIGIO",
            libc::SIGPWR => "SIGPWR",
            libc::SIGSYS => "SIGSYS",
            _ => return None,
        })
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `SIGSYS`, or `signal 34`.
impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

/// The end of a process, as wait(2) tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a process ends in these two ways")]
pub enum Outcome {
    /// It called exit with this status, 0 to 255.
    Exited(u8),
    /// A signal ended it.
    Signaled {
        /// Which.
        signal: Signal,
        /// Whether a core was dumped.
        core: bool,
    },
}

impl Outcome {
    /// The status that a shell shows in `$?`: the process's own, or 128 and the signal.
    pub fn status(self) -> u8 {
        match self {
            Outcome::Exited(status) => status,
            Outcome::Signaled { signal, .. } => u8::try_from(128 + signal.0).unwrap_or(u8::MAX),
        }
    }

    /// The outcome in a status word of wait(2); `None` where the process lives.
    pub(crate) fn of_code(code: i32) -> Option<Outcome> {
        if libc::WIFSIGNALED(code) {
            let (signal, core) = (Signal(libc::WTERMSIG(code)), libc::WCOREDUMP(code));
            return Some(Outcome::Signaled { signal, core });
        }
        let status = libc::WIFEXITED(code).then(|| libc::WEXITSTATUS(code))?;
        Some(Outcome::Exited(u8::try_from(status).unwrap_or(u8::MAX)))
    }

    /// `None` for a process that was stopped or continued, and lives.
    pub(crate) fn of(status: rustix::process::WaitStatus) -> Option<Outcome> {
        Outcome::of_code(status.as_raw())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_the_one_of_a_shell() {
        assert_eq!(Outcome::Exited(3).status(), 3);
        assert_eq!(Outcome::Signaled { signal: Signal::SYS, core: true }.status(), 159);
        assert_eq!(Signal(34).to_string(), "signal 34");
    }
}
