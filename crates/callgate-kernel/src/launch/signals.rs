//! Signals while a command runs: what the parent does with its own, and what the child inherits.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal as Kill, WaitId, WaitIdOptions, WaitOptions, getpid, kill_process,
    pidfd_open, waitid, waitpid,
};

use crate::errno::Errno;
use crate::outcome::Outcome;
use crate::signals::{HeldSignal, HeldSignals, set_mask};
use crate::sys;

/// What the command should find: the mask and the dispositions of whoever called this program.
pub(super) struct Inherited {
    mask: libc::sigset_t,
    ignore_sigchld: bool,
}

impl Inherited {
    /// In the child. Handlers are taken off first: they would be by execve(2) anyway, and until
    /// then they would run code of the parent. Ignored signals stay ignored, but for SIGPIPE,
    /// which Rust's start-up code ignores in the parent; whether it was ignored before is
    /// not known, so the command gets the default, as from `std::process::Command`.
    pub(super) fn restore(&self) {
        (1..=64).for_each(sys::signal_remove_handler);
        sys::signal_default(libc::SIGPIPE);
        if self.ignore_sigchld {
            sys::signal_ignore(libc::SIGCHLD);
        }
        set_mask(&self.mask);
    }
}

/// The signals that are not the parent's to act upon while the command runs.
const HELD: [i32; 9] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGWINCH,
    libc::SIGTSTP,
    libc::SIGCONT,
];

/// Those of them that ask a program to end.
const END: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// The parent's signals, held back while this lives.
pub(super) struct Foreground {
    signals: HeldSignals,
    ignore_sigchld: bool,
    asked_to_end: AtomicBool,
    keeps_signals: AtomicBool,
}

impl Foreground {
    /// Holds the signals back, for the calling thread. Before the fork, so that none is missed.
    pub(super) fn enter() -> Result<Foreground, Errno> {
        let signals = HeldSignals::hold(HELD.into_iter().chain([libc::SIGCHLD]))?;
        // An ignored SIGCHLD would make the kernel throw the command's status away.
        let ignore_sigchld = sys::signal_is_ignored(libc::SIGCHLD) == Some(true);
        if ignore_sigchld {
            sys::signal_default(libc::SIGCHLD);
        }
        Ok(Foreground {
            signals,
            ignore_sigchld,
            asked_to_end: AtomicBool::new(false),
            keeps_signals: AtomicBool::new(false),
        })
    }

    /// What to give the child.
    pub(super) fn inherited(&self) -> Inherited {
        Inherited { mask: self.signals.mask_before(), ignore_sigchld: self.ignore_sigchld }
    }

    /// Waits for the child to end, and passes signals on meanwhile. Also whether the child had
    /// executed anything by then.
    pub(super) fn wait(&self, child: Pid) -> Result<(Outcome, bool), Errno> {
        // Without pidfds (Linux before 5.3) only SIGCHLD tells, which another thread of this
        // process may take; so look every now and then.
        let end = pidfd_open(child, PidfdFlags::empty()).ok();
        let end: Vec<BorrowedFd<'_>> = end.iter().map(AsFd::as_fd).collect();
        self.until(child, &end, || look(child))
    }

    /// Passes signals on until `look`, which is asked after each change of a child, and when there
    /// is something at a descriptor of `wake`, has a result. With nothing to wake it, it is asked
    /// ten times a second.
    pub(super) fn until<T, E: From<Errno>>(
        &self,
        child: Pid,
        wake: &[BorrowedFd<'_>],
        mut look: impl FnMut() -> Result<Option<T>, E>,
    ) -> Result<T, E> {
        let pause = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        loop {
            while let Some(signal) = self.signals.next() {
                if END.contains(&signal.number) {
                    self.asked_to_end.store(true, Ordering::Relaxed);
                }
                if !self.keeps_signals.load(Ordering::Relaxed) {
                    pass_on(child, &signal);
                }
            }
            if let Some(result) = look()? {
                return Ok(result);
            }
            let mut fds = vec![PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN)];
            fds.extend(wake.iter().map(|&fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
            match poll(&mut fds, if wake.is_empty() { Some(&pause) } else { None }) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(Errno::from(errno).into()),
            }
        }
    }

    /// Waits until there is something at `one` or at another descriptor, or a signal; a tenth of a
    /// second at most. Whether there is something to read at `one`, and nothing else.
    pub(super) fn comes_alone(
        &self,
        one: BorrowedFd<'_>,
        other: Option<BorrowedFd<'_>>,
    ) -> Result<bool, Errno> {
        let pause = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        let fds = [one, self.signals.as_fd(), other.unwrap_or(one)];
        let mut fds = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        // The last one only where there is another.
        let fds = &mut fds[..if other.is_some() { 3 } else { 2 }];
        match poll(fds, Some(&pause)) {
            Ok(1) => Ok(fds[0].revents() == PollFlags::IN),
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether a signal has come that asks a program to end, from the terminal or a process.
    pub(super) fn asked_to_end(&self) -> bool {
        self.asked_to_end.load(Ordering::Relaxed)
    }

    /// The child has been waited for: its number is nobody's, or another's.
    pub(super) fn keep_signals(&self) {
        self.keeps_signals.store(true, Ordering::Relaxed);
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        // A signal from the terminal was the command's; one that a process sent and that came
        // too late for the command is this program's.
        let mut late = Vec::new();
        while let Some(signal) = self.signals.next() {
            if signal.sent && signal.number != libc::SIGCHLD {
                late.push(signal.number);
            }
        }
        if self.ignore_sigchld {
            sys::signal_ignore(libc::SIGCHLD);
        }
        self.signals.release();
        for number in late {
            if let Some(signal) = Kill::from_named_raw(number) {
                // Sending to oneself a signal that exists cannot fail.
                let _ = kill_process(getpid(), signal);
            }
        }
    }
}

/// The terminal sends its signals to the whole process group, so the command has those already.
fn pass_on(child: Pid, signal: &HeldSignal) {
    if !signal.sent || signal.number == libc::SIGCHLD {
        return;
    }
    if let Some(signal) = Kill::from_named_raw(signal.number) {
        // A child that ended meanwhile is a zombie until `look` reaps it: nobody else is hit.
        let _ = kill_process(child, signal);
    }
}

/// The child's end, if it has ended, and whether it had executed anything. When the terminal
/// stopped it, stops this process too, so that the shell sees its whole job stopped.
pub(super) fn look(child: Pid) -> Result<Option<(Outcome, bool)>, Errno> {
    let options = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    loop {
        // Asked while it is a zombie: once it is waited for, it is gone.
        let executed = match waitid(WaitId::Pid(child), ended) {
            Ok(Some(_)) => has_executed(child),
            Ok(None) | Err(_) => true,
        };
        match waitpid(Some(child), options) {
            Ok(None) => return Ok(None),
            Ok(Some((_, status))) => {
                if let Some(outcome) = Outcome::of(status) {
                    return Ok(Some((outcome, executed)));
                }
                if let Some(signal) = status.stopping_signal() {
                    stop_with(signal)?;
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Whether a process has executed a file since it was forked; true where `/proc` does not tell.
fn has_executed(pid: Pid) -> bool {
    /// `PF_FORKNOEXEC` of `linux/sched.h`, in the flags that `proc_pid_stat(5)` shows.
    const FORK_NO_EXEC: u32 = 0x40;
    let stat = fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    let stat = String::from_utf8_lossy(&stat);
    // The second field, the name, ends with the last parenthesis; the flags are the ninth.
    let flags = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(6));
    flags.and_then(|flags| flags.parse::<u32>().ok()).is_none_or(|flags| flags & FORK_NO_EXEC == 0)
}

/// The child was stopped by this signal: stops this process as well, when the terminal sent it.
pub(super) fn stop_with(signal: i32) -> Result<(), Errno> {
    if [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU].contains(&signal) {
        kill_process(getpid(), Kill::STOP)?;
    }
    Ok(())
}
