//! Running an unmodified program in strict mode.

mod image;
mod tracer;

use std::fmt;

use callgate_bpf::{Architecture, SyscallNr};

use self::tracer::Tracer;
use super::{Launch, LaunchError};
use crate::errno::Errno;
use crate::outcome::Outcome;
use crate::ptrace;
use crate::strict::StrictError;

/// When strict mode begins.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Moment {
    /// At the first instruction of `main`, when the program's symbols are there to find it, else
    /// as [`Moment::Entry`]. The dynamic loader and the C library's start-up code have run then.
    #[default]
    Main,
    /// At the first instruction of this function of the program, in whichever thread comes there
    /// first.
    Symbol(String),
    /// At the program's entry point. The dynamic loader has run then, but not the start-up code of
    /// the C library, which in a static program makes calls that strict mode kills.
    Entry,
}

/// A program that was to run in strict mode, and has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StrictFinished {
    /// Its process id.
    pub pid: i32,
    /// How it ended. Strict mode kills by SIGKILL; the program's own exit shows as that when it
    /// leaves by `exit_group`, see [`RefusedCall::exit_status`].
    pub outcome: Outcome,
    /// Where strict mode began: a symbol, or the entry point (`None` within). `None` when the
    /// program ended before it came there, so that it never was in strict mode.
    pub entered: Option<Option<String>>,
    /// The call for which strict mode killed.
    pub refused: Option<RefusedCall>,
    /// The last bad memory access was an `rdtsc` or `rdtscp` instruction, which strict mode takes
    /// away: when the outcome is SIGSEGV, that is why.
    pub time_stamp_fault: bool,
}

/// A system call that strict mode did not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedCall {
    /// The architecture of the call.
    pub arch: Architecture,
    /// Its number.
    pub nr: SyscallNr,
    /// Its arguments.
    pub args: [u64; 6],
    /// The address after the instruction that made it.
    pub instruction_pointer: u64,
}

impl RefusedCall {
    /// The status that the program wanted to exit with, when the call is `exit_group`: that is
    /// how returning from `main` ends, and strict mode kills for it.
    pub fn exit_status(&self) -> Option<u8> {
        let native = callgate_syscalls::Abi::native()?;
        let exit_group = native.number("exit_group")?;
        let [low, ..] = self.args[0].to_le_bytes();
        (self.arch == native.audit() && self.nr == exit_group).then_some(low)
    }
}

impl Launch {
    /// Starts the program under ptrace(2), makes it enter strict mode at `moment` by a system call
    /// in its own name, and leaves it alone from there on: it runs at full speed, and the tracer
    /// is only told of signals and of its end, to say which call that was.
    ///
    /// Signals and the terminal are as with [`Launch::run`]. A filter of this launch, or one that
    /// holds already, makes strict mode impossible.
    ///
    /// Strict mode holds one thread. When the kernel ends it for a call, other threads that the
    /// program has are ended as well. If this process dies before strict mode has begun, the
    /// program is killed.
    ///
    /// # Errors
    ///
    /// The program was not started, or could not be put into strict mode and was killed:
    /// [`StrictRunError`] says which.
    pub fn run_strict(self, moment: &Moment) -> Result<StrictFinished, StrictRunError> {
        if !ptrace::machine::SUPPORTED {
            return Err(Kind::Machine.into());
        }
        let started = self.start(true).map_err(Kind::Launch)?;
        let options = ptrace::EXIT_KILL
            | ptrace::TRACE_EXEC
            | ptrace::TRACE_EXIT
            | ptrace::TRACE_CLONE
            | ptrace::TRACE_FORK
            | ptrace::TRACE_VFORK;
        let mut tracer = Tracer::new(started.pid, moment);
        if let Err(errno) = ptrace::seize(started.pid, options) {
            tracer.kill();
            return Err(Kind::Trace(errno).into());
        }
        started.report.open_gate();
        match started.foreground.until(started.pid, &[], || tracer.look()) {
            Ok(finished) => match started.failure(finished.outcome, tracer.has_executed()) {
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

/// Why a program does not run in strict mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrictRunError {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Launch(LaunchError),
    Machine,
    Trace(Errno),
    Hidden,
    Foreign,
    NoSymbol(String),
    Strict(StrictError),
}

impl From<Kind> for StrictRunError {
    fn from(kind: Kind) -> StrictRunError {
        StrictRunError { kind }
    }
}

/// A request to the tracee, or a wait for it, failed.
impl From<Errno> for StrictRunError {
    fn from(errno: Errno) -> StrictRunError {
        Kind::Trace(errno).into()
    }
}

impl StrictRunError {
    /// The status to exit with: as [`LaunchError::status`], 125 for everything else.
    pub fn status(&self) -> u8 {
        match &self.kind {
            Kind::Launch(error) => error.status(),
            _ => 125,
        }
    }

    /// Whether strict mode is closed to the program because a filter holds it.
    pub fn is_already_filtered(&self) -> bool {
        matches!(&self.kind, Kind::Strict(error) if error.is_already_filtered())
    }

    /// Whether the program has no such symbol.
    pub fn is_no_symbol(&self) -> bool {
        matches!(self.kind, Kind::NoSymbol(_))
    }
}

impl std::error::Error for StrictRunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            Kind::Launch(error) => Some(error),
            Kind::Strict(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for StrictRunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Launch(error) => error.fmt(f),
            Kind::Machine => f.write_str(
                "an unmodified program can be put into strict mode on x86_64 and aarch64 only; \
                 use the library call, or the filter of the same four calls (the source `strict`)",
            ),
            Kind::Trace(errno) => {
                write!(f, "the program could not be traced into strict mode: {errno}")?;
                match errno.0 {
                    libc::EPERM => f.write_str(
                        "; another tracer has it, or kernel.yama.ptrace_scope or a filter forbids it",
                    ),
                    libc::EIO => f.write_str("; is it a 32-bit program?"),
                    _ => Ok(()),
                }
            }
            Kind::Hidden => f.write_str(
                "the program's file may be executed but not read, so its entry cannot be found",
            ),
            Kind::Foreign => {
                f.write_str("the program is not a 64-bit ELF file, so its entry cannot be found")
            }
            Kind::NoSymbol(name) => write!(
                f,
                "the program has no function `{name}`, or its symbols are stripped; \
                 `nm PROGRAM` lists those that it has"
            ),
            Kind::Strict(error) => error.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_group_shows_the_status_that_was_wanted() {
        let native = callgate_syscalls::Abi::native().unwrap();
        let mut call = RefusedCall {
            arch: native.audit(),
            nr: native.number("exit_group").unwrap(),
            args: [0x1_0000_0103, 0, 0, 0, 0, 0],
            instruction_pointer: 0,
        };
        assert_eq!(call.exit_status(), Some(3));
        call.nr = native.number("openat").unwrap();
        assert_eq!(call.exit_status(), None);
    }
}
