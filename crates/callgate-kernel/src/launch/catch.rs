//! Running a command and catching every filter that it loads.

mod install;
mod tracer;

use std::fmt;
use std::path::PathBuf;
use std::thread;

use callgate_bpf::{Architecture, Instruction};

use self::tracer::Tracer;
use super::{Launch, LaunchError, Started};
use crate::dump::DumpError;
use crate::errno::Errno;
use crate::load::FLAG_NAMES;
use crate::outcome::Outcome;
use crate::ptrace;

/// A filter that a process has loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CaughtFilter {
    /// Counted from 1, in the order in which the loads ended, over all processes.
    pub order: usize,
    /// The process.
    pub pid: i32,
    /// The thread that loaded it.
    pub tid: i32,
    /// What the process executes; `None` where `/proc` does not tell.
    pub executable: Option<PathBuf>,
    /// The architecture of the call that loaded it: i386 for an `int 0x80` of a 64-bit program.
    pub arch: Architecture,
    /// The call.
    pub call: LoadCall,
    /// The flags of the call; none with prctl(2).
    pub flags: LoadFlags,
    /// The number that the listener has in the process, with NEW_LISTENER.
    pub listener: Option<i32>,
    /// The program: the kernel's where it could be asked, else what the call pointed to.
    pub instructions: Vec<Instruction>,
    /// Whether the kernel has what the call pointed to.
    pub check: CrossCheck,
}

/// The two ways to load a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the kernel has these two")]
pub enum LoadCall {
    /// prctl(2) with PR_SET_SECCOMP and SECCOMP_MODE_FILTER.
    Prctl,
    /// seccomp(2) with SECCOMP_SET_MODE_FILTER.
    Seccomp,
}

/// SECCOMP_FILTER_FLAG_* of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LoadFlags(pub u32);

impl LoadFlags {
    /// The names of those that are known, without the prefix: `TSYNC`, `NEW_LISTENER`.
    pub fn names(self) -> Vec<&'static str> {
        FLAG_NAMES.iter().filter(|(bit, _)| self.0 & bit != 0).map(|(_, name)| *name).collect()
    }

    pub(crate) fn has(self, flag: u32) -> bool {
        self.0 & flag != 0
    }
}

/// `TSYNC|LOG`; bits without a name in hexadecimal; `none` for none.
impl fmt::Display for LoadFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = FLAG_NAMES.iter().fold(0, |all, (bit, _)| all | bit);
        let mut words: Vec<String> = self.names().into_iter().map(str::to_owned).collect();
        if self.0 & !named != 0 {
            words.push(format!("{:#x}", self.0 & !named));
        }
        f.write_str(if words.is_empty() { "none".to_owned() } else { words.join("|") }.as_str())
    }
}

/// The kernel's word on a caught filter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CrossCheck {
    /// The kernel holds the same program, and the same LOG flag where it tells.
    Same,
    /// The kernel holds another program than the call pointed to when it began: another thread or
    /// process wrote there meanwhile. The kernel's is the one that counts.
    Differs,
    /// The kernel did not let itself be asked, for this reason.
    Unchecked(DumpError),
}

/// A command whose loads were caught, and that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CatchFinished {
    /// Its process id.
    pub pid: i32,
    /// How it ended.
    pub outcome: Outcome,
    /// How many filters were caught.
    pub caught: usize,
    /// How many threads of processes that it left behind were let go, and run on untraced, since a
    /// signal asked this process to end.
    pub released: usize,
}

impl Launch {
    /// Starts the command under ptrace(2), follows it and all that it starts, and gives each
    /// filter that one of them loads to `caught`, while the thread that has just loaded it stands
    /// still.
    ///
    /// Loads are recognised by the call's own ABI, so those by `int 0x80` of a 64-bit program are
    /// too, and by their success: a thread must have more filters than before.
    /// [`CaughtFilter::instructions`] are read from the thread's memory when the call begins, and
    /// from the kernel when it has ended, which takes what [`filters_of`](crate::filters_of)
    /// takes.
    ///
    /// Signals and the terminal are as with [`Launch::run`]. This returns when the command *and
    /// all that it has left running* have ended; SIGHUP, SIGINT, SIGQUIT or SIGTERM makes it
    /// return at the command's end, and lets go of the rest. When this process dies, the command
    /// runs on.
    ///
    /// The command sees that it is traced where it asks for that (`TracerPid`), cannot be traced
    /// by another (so no debugger and no strict mode within), runs slower, since each system call
    /// stops it twice, and without CAP_SYS_PTRACE here its setuid programs gain no privilege.
    /// A process that it starts with CLONE_UNTRACED is not followed.
    ///
    /// # Errors
    ///
    /// The command was not started, or could not be traced (Linux 5.3 is needed) and was killed.
    pub fn run_catching(
        self,
        caught: impl FnMut(CaughtFilter) + Send,
    ) -> Result<CatchFinished, CatchError> {
        let started = self.start(true).map_err(Kind::Launch)?;
        // A thread of its own, with whose end the kernel lets go of what is left.
        thread::scope(|scope| match scope.spawn(|| started.follow(caught)).join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }
}

impl Started {
    /// Traces the child and all that it starts, until their end.
    fn follow(&self, caught: impl FnMut(CaughtFilter)) -> Result<CatchFinished, CatchError> {
        let mut tracer = Tracer::new(self.pid, caught);
        if let Err(errno) = ptrace::seize(self.pid, tracer::OPTIONS) {
            tracer.kill();
            return Err(Kind::Trace(errno).into());
        }
        self.report.open_gate();
        let foreground = &self.foreground;
        let look = || {
            let result = tracer.look(foreground.asked_to_end());
            if tracer.has_ended() {
                foreground.keep_signals();
            }
            result
        };
        match foreground.until(self.pid, &[], look) {
            Ok(finished) => match self.failure(finished.outcome, tracer.has_executed()) {
                Some(error) => Err(Kind::Launch(error).into()),
                None => Ok(finished),
            },
            Err(error) => {
                tracer.kill();
                Err(error)
            }
        }
    }
}

/// Why a command's loads were not caught.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatchError {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Launch(LaunchError),
    Unsupported,
    Trace(Errno),
}

impl From<Kind> for CatchError {
    fn from(kind: Kind) -> CatchError {
        CatchError { kind }
    }
}

/// A request to a tracee, or a wait for it, failed.
impl From<Errno> for CatchError {
    fn from(errno: Errno) -> CatchError {
        Kind::Trace(errno).into()
    }
}

impl CatchError {
    /// The status to exit with: as [`LaunchError::status`], 125 for everything else.
    pub fn status(&self) -> u8 {
        match &self.kind {
            Kind::Launch(error) => error.status(),
            Kind::Unsupported | Kind::Trace(_) => 125,
        }
    }
}

impl std::error::Error for CatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            Kind::Launch(error) => Some(error),
            Kind::Unsupported | Kind::Trace(_) => None,
        }
    }
}

impl fmt::Display for CatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Launch(error) => error.fmt(f),
            Kind::Unsupported => f.write_str(
                "catching a command's filters takes Linux 5.3 or newer, which tells a tracer the \
                 architecture of each call (PTRACE_GET_SYSCALL_INFO)",
            ),
            Kind::Trace(errno) => {
                write!(f, "the command could not be traced: {errno}")?;
                match errno.0 {
                    libc::EPERM => f.write_str(
                        "; another tracer has it, or kernel.yama.ptrace_scope or a filter forbids it",
                    ),
                    _ => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_named() {
        assert_eq!(LoadFlags(0).to_string(), "none");
        assert_eq!(LoadFlags(0b1001).to_string(), "TSYNC|NEW_LISTENER");
        assert_eq!(LoadFlags(0x8000_0002).to_string(), "LOG|0x80000000");
    }
}
