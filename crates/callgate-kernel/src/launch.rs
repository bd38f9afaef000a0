//! Running a command under a filter.

mod catch;
mod child;
mod held;
mod lookup;
mod notified;
mod report;
mod signals;
mod strict;

pub use self::catch::{CatchError, CatchFinished, CaughtFilter, CrossCheck, LoadCall, LoadFlags};
pub use self::held::Held;
pub use self::notified::NotifiedFinished;
pub use self::report::Stage;
pub use self::strict::{Moment, RefusedCall, StrictFinished, StrictRunError};

use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use callgate_bpf::{Program, SeccompData, SyscallNr};
use callgate_syscalls::Abi;
use rustix::process::{Pid, getpid};

use self::child::{Exec, Steps};
use self::lookup::Missing;
use self::report::{Progress, Report};
use self::signals::Foreground;
use crate::capability_plan::{CapError, CapPlan};
use crate::errno::Errno;
use crate::load::{FLAG_LOG, FLAG_NEW_LISTENER, FLAG_SPEC_ALLOW, LoadError, Prepared};
use crate::outcome::{Outcome, Signal};
use crate::privileges::is_secure_exec;
use crate::sys;

/// A command, and how it is to be started.
///
/// The child does, in this order: signals, bounding set, no_new_privs, filter, the other
/// capability sets, exec. A filter that is loaded without no_new_privs needs CAP_SYS_ADMIN, so
/// the capabilities go last; what comes after the filter runs under it, so it is as little as can
/// be: [`Launch::calls_after_load`] lists it, for the caller to ask the filter before the start.
///
/// The command is looked up in PATH before the fork. It gets this program's environment,
/// directory, and the descriptors that are not close-on-exec; none is opened for it. A file that
/// the kernel cannot execute for its form is given to `/bin/sh`, as `execvp(3)` and shells do.
///
/// A program that was itself started with more rights than its caller has, setuid for one, is
/// refused: it would lend them to whoever calls it.
pub struct Launch {
    arguments: Vec<OsString>,
    filter: Option<Result<Prepared, LoadError>>,
    /// SECCOMP_FILTER_FLAG_* for the filter.
    flags: u32,
    capabilities: CapPlan,
    no_new_privs: bool,
    /// Called when the command has left others with its filter.
    left: Option<fn()>,
}

/// A command that was started and has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finished {
    /// Its process id, by which the kernel's log knows it.
    pub pid: i32,
    /// How it ended.
    pub outcome: Outcome,
}

impl Launch {
    /// A command of these arguments, its name first. By default: no filter, no_new_privs set,
    /// capabilities left alone.
    pub fn new<I>(arguments: I) -> Launch
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        Launch {
            arguments: arguments.into_iter().map(Into::into).collect(),
            filter: None,
            flags: 0,
            capabilities: CapPlan::keep(),
            no_new_privs: true,
            left: None,
        }
    }

    /// Loads this filter before the command.
    #[must_use]
    pub fn filter(mut self, program: &Program) -> Launch {
        self.filter = Some(Prepared::new(program));
        self
    }

    /// Has the filter log what it refuses: [`LoadOptions::log`](crate::LoadOptions::log).
    #[must_use]
    pub fn log(mut self) -> Launch {
        self.flags |= FLAG_LOG;
        self
    }

    /// [`LoadOptions::spec_allow`](crate::LoadOptions::spec_allow).
    #[must_use]
    pub fn spec_allow(mut self) -> Launch {
        self.flags |= FLAG_SPEC_ALLOW;
        self
    }

    /// Changes the capability sets.
    #[must_use]
    pub fn capabilities(mut self, plan: CapPlan) -> Launch {
        self.capabilities = plan;
        self
    }

    /// Doesn't set no_new_privs. Loading a filter then takes CAP_SYS_ADMIN, unless no_new_privs is
    /// set already, and what the command executes may gain privilege.
    #[must_use]
    pub fn keep_privileges(mut self) -> Launch {
        self.no_new_privs = false;
        self
    }

    /// The system calls that the child makes after loading the filter and before the command is
    /// there, in their order, with the arguments that are known: addresses are 0, as is the
    /// instruction pointer. A filter that refuses one of them makes the launch fail.
    ///
    /// Two more follow when exec fails, and need no permission: another `execve`, of `/bin/sh`,
    /// and `exit_group`; where that one is refused, the child faults. It tells its parent what
    /// went wrong through memory, not by a call.
    ///
    /// Empty on an architecture without a table.
    pub fn calls_after_load(&self) -> Vec<SeccompData> {
        let Some(arch) = Abi::native().map(Abi::audit) else {
            return Vec::new();
        };
        let call = |number: libc::c_long, args: &[u64]| {
            let nr = u32::try_from(number).unwrap_or(u32::MAX);
            let mut data = SeccompData::new(arch, SyscallNr(nr));
            data.args.iter_mut().zip(args).for_each(|(to, from)| *to = *from);
            data
        };
        let (capset, ambient) = self.capabilities.calls_of_rest();
        let raise = |capability: u8| {
            let [operation, what] = [sys::PR_CAP_AMBIENT, sys::PR_CAP_AMBIENT_RAISE]
                .map(|n| u64::try_from(n).unwrap_or(0));
            call(libc::SYS_prctl, &[operation, what, u64::from(capability)])
        };
        let mut calls = Vec::new();
        calls.extend(capset.then(|| call(libc::SYS_capset, &[])));
        calls.extend(ambient.map(raise));
        calls.push(call(libc::SYS_execve, &[]));
        calls
    }

    /// Starts the command in the foreground and waits for its end, as a shell does.
    ///
    /// Meanwhile signals are the command's: those that the terminal sends reach it anyway, as it
    /// is in the same process group, and this program ignores them; SIGHUP, SIGINT, SIGQUIT,
    /// SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGTSTP and SIGCONT that a process sends are passed
    /// on. When the terminal stops the command, this process stops with it.
    ///
    /// Signals are held back for the calling thread alone, so of a program with several threads
    /// another thread may get them.
    ///
    /// # Errors
    ///
    /// The command was not started; [`LaunchError`] knows at which stage that ended, and the
    /// status to exit with.
    pub fn run(self) -> Result<Finished, LaunchError> {
        let started = self.start(false)?;
        let (outcome, executed) = started
            .foreground
            .wait(started.pid)
            .map_err(|errno| LaunchError::new(Kind::Wait(started.pid, errno)))?;
        match started.failure(outcome, executed) {
            Some(error) => Err(error),
            None => Ok(Finished { pid: started.pid.as_raw_nonzero().get(), outcome }),
        }
    }

    /// Forks. A child that is to be held waits until the gate of the report is opened.
    fn start(self, held: bool) -> Result<Started, LaunchError> {
        let start = |errno| LaunchError::new(Kind::Start(errno));
        if is_secure_exec() {
            return Err(LaunchError::new(Kind::SecureExec));
        }
        let exec = self.exec()?;
        let report = Report::new().map_err(start)?;
        let Launch { filter, flags, capabilities, no_new_privs, arguments, left } = self;
        let filter = filter.transpose().map_err(|error| LaunchError::new(Kind::Filter(error)))?;
        let filter = filter.map(|program| (program, flags));
        let foreground = Foreground::enter().map_err(start)?;
        let mut steps = Steps {
            holder: held.then(getpid),
            signals: foreground.inherited(),
            capabilities,
            no_new_privs,
            filter,
            one_table: flags & FLAG_NEW_LISTENER != 0,
            exec,
        };
        let pid = child::fork(&mut steps, &report).map_err(start)?;
        let command = arguments.into_iter().next().unwrap_or_default();
        Ok(Started { pid, foreground, report, flags, command, left })
    }

    /// Everything that execve(2) needs.
    fn exec(&self) -> Result<Exec, LaunchError> {
        let Some(command) = self.arguments.first() else {
            return Err(LaunchError::new(Kind::NoCommand));
        };
        let strings = |strings: Vec<OsString>| -> Result<Vec<CString>, LaunchError> {
            let string = |s: OsString| {
                CString::new(s.into_vec()).map_err(|_| LaunchError::new(Kind::NulByte))
            };
            strings.into_iter().map(string).collect()
        };
        let arguments = strings(self.arguments.clone())?;
        let environment = env::vars_os().map(|(name, value)| {
            let mut pair = name;
            pair.push("=");
            pair.push(value);
            pair
        });
        let environment = strings(environment.collect())?;
        let path = lookup::find(command, env::var_os("PATH").as_deref()).map_err(|missing| {
            LaunchError::new(match missing {
                Missing::NotFound => Kind::NotFound(command.clone()),
                Missing::NotExecutable => Kind::NotExecutable(command.clone()),
            })
        })?;
        Ok(Exec::new(path, arguments, environment))
    }
}

/// A command between fork and its end.
struct Started {
    pid: Pid,
    foreground: Foreground,
    report: Report,
    flags: u32,
    command: OsString,
    left: Option<fn()>,
}

impl Started {
    /// What went wrong in a child that has ended, if anything did.
    fn failure(&self, outcome: Outcome, executed: bool) -> Option<LaunchError> {
        let progress = self.report.progress();
        match (progress.errno, outcome) {
            (Some(errno), _) => {
                Some(LaunchError::from_child(progress, errno, self.flags, &self.command))
            }
            // Another signal came from outside, and would have ended the command as well.
            (None, Outcome::Signaled { signal: Signal::SYS, .. }) if !executed => {
                Some(LaunchError::new(Kind::Killed(progress.stage)))
            }
            (None, _) => None,
        }
    }
}

/// Why a command was not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchError {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    SecureExec,
    NoCommand,
    NulByte,
    NotFound(OsString),
    NotExecutable(OsString),
    Start(Errno),
    Wait(Pid, Errno),
    NoNewPrivs(Errno),
    Filter(LoadError),
    Capabilities(CapError),
    Exec(OsString, Errno),
    Killed(Stage),
}

impl LaunchError {
    fn new(kind: Kind) -> LaunchError {
        LaunchError { kind }
    }

    /// The child gave up with this error.
    fn from_child(progress: Progress, errno: Errno, flags: u32, command: &OsStr) -> LaunchError {
        LaunchError::new(match (progress.stage, progress.capability) {
            (_, Some((set, capability))) => {
                Kind::Capabilities(CapError::refused(set, capability, errno))
            }
            (Stage::NoNewPrivs, _) => Kind::NoNewPrivs(errno),
            (Stage::Filter, _) => Kind::Filter(LoadError::explain(errno, flags)),
            (Stage::Exec, _) => Kind::Exec(command.to_owned(), errno),
            (Stage::Signals | Stage::BoundingSet | Stage::Capabilities, _) => Kind::Start(errno),
        })
    }

    /// The stage at which the child failed; `None` where it was not even started.
    pub fn stage(&self) -> Option<Stage> {
        match &self.kind {
            Kind::NoNewPrivs(_) => Some(Stage::NoNewPrivs),
            Kind::Filter(_) => Some(Stage::Filter),
            Kind::Capabilities(error) if error.set() == crate::privileges::CapSet::Bounding => {
                Some(Stage::BoundingSet)
            }
            Kind::Capabilities(_) => Some(Stage::Capabilities),
            Kind::Exec(..) => Some(Stage::Exec),
            Kind::Killed(stage) => Some(*stage),
            _ => None,
        }
    }

    /// The status that a program that launches exits with, as shells and `env(1)` have it: 127
    /// for a command that is not found, 126 for one that is found and cannot be executed, 125 for
    /// everything else.
    pub fn status(&self) -> u8 {
        match self.kind {
            Kind::NotFound(_) | Kind::Exec(_, Errno(libc::ENOENT)) => 127,
            Kind::NotExecutable(_) | Kind::Exec(..) => 126,
            _ => 125,
        }
    }

    /// What the kernel answered, where a single answer was the reason.
    pub fn errno(&self) -> Option<Errno> {
        match &self.kind {
            Kind::Start(errno)
            | Kind::Wait(_, errno)
            | Kind::NoNewPrivs(errno)
            | Kind::Exec(_, errno) => Some(*errno),
            Kind::Capabilities(error) => error.errno(),
            _ => None,
        }
    }
}

impl std::error::Error for LaunchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            Kind::Filter(error) => Some(error),
            Kind::Capabilities(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::SecureExec => f.write_str(
                "this program was started with more rights than its caller has (setuid, setgid or \
                 file capabilities), and would lend them to any command; take them off its file",
            ),
            Kind::NoCommand => f.write_str("there is no command to run"),
            Kind::NulByte => f.write_str(
                "an argument or environment variable has a NUL byte, which no program can be given",
            ),
            Kind::NotFound(command) => {
                write!(f, "{}: not found in PATH", command.display())
            }
            Kind::NotExecutable(command) => write!(
                f,
                "{}: found in PATH, but not as a file that this user may execute",
                command.display()
            ),
            Kind::Start(errno) => write!(f, "no process could be started: {errno}"),
            Kind::Wait(pid, errno) => write!(
                f,
                "the command runs as process {}, but its end could not be awaited: {errno}",
                pid.as_raw_nonzero()
            ),
            Kind::NoNewPrivs(errno) => {
                write!(f, "no_new_privs could not be set: {errno}; does a filter refuse prctl?")
            }
            Kind::Filter(error) => error.fmt(f),
            Kind::Capabilities(error) => error.fmt(f),
            Kind::Exec(command, errno) => {
                write!(f, "{}: {errno}", command.display())?;
                match errno.0 {
                    libc::ENOENT if command.as_bytes().contains(&b'/') => f.write_str(
                        "; where the file is there, its interpreter (the `#!` line or the \
                         dynamic loader) is not",
                    ),
                    libc::ENOENT => f.write_str("; its interpreter is missing"),
                    libc::EPERM | libc::ENOSYS => f.write_str(
                        "; unless the file system says so (noexec gives EACCES), the filter \
                         refuses execve",
                    ),
                    _ => Ok(()),
                }
            }
            Kind::Killed(stage) => {
                let what = match stage {
                    Stage::Exec => "executing the command (execve)",
                    Stage::Capabilities => "setting capabilities (capset or prctl)",
                    _ => "preparing the command, by a filter that held before",
                };
                write!(
                    f,
                    "the child was killed by SIGSYS while {what}; a filter must allow the calls \
                     between its loading and the start of the command"
                )
            }
        }
    }
}
