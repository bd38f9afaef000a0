//! A command that waits, forked, to be let go.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::process::{PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, waitpid};

use super::signals::look;
use super::{Finished, Kind, Launch, LaunchError, Started};
use crate::errno::Errno;

/// A command that is forked and waits before its first step: what is to see it from its beginning
/// can be put around it now. Dropped, it is killed.
pub struct Held {
    /// `None` once it was let go.
    started: Option<Started>,
}

impl Launch {
    /// Forks, and holds the child back. No descriptor that this process opens from now on is the
    /// command's. Signals are held back as with [`Launch::run`] until this is let go or dropped.
    ///
    /// # Errors
    ///
    /// Nothing was forked.
    pub fn hold(self) -> Result<Held, LaunchError> {
        self.start(true).map(|started| Held { started: Some(started) })
    }
}

impl Held {
    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.started.as_ref().map_or(0, |started| started.pid.as_raw_nonzero().get())
    }

    /// Lets it go, and waits for its end as [`Launch::run`] does. `meanwhile` is called again and
    /// again: whenever one of `wake` can be read, which it must do then, and when a signal has come
    /// or a child's state has changed; once more after the end.
    ///
    /// # Errors
    ///
    /// As [`Launch::run`].
    pub fn run(
        mut self,
        wake: &[BorrowedFd<'_>],
        mut meanwhile: impl FnMut(),
    ) -> Result<Finished, LaunchError> {
        let started = self.started.take().ok_or_else(|| LaunchError::new(Kind::NoCommand))?;
        let pid = started.pid;
        // Without pidfds only SIGCHLD tells of the end, so look every now and then.
        let end = pidfd_open(pid, PidfdFlags::empty()).ok();
        let mut wakers: Vec<BorrowedFd<'_>> = end.iter().map(AsFd::as_fd).collect();
        if end.is_some() {
            wakers.extend(wake);
        }
        started.report.open_gate();
        let step = || -> Result<_, Errno> {
            let ended = look(pid)?;
            meanwhile();
            Ok(ended)
        };
        let (outcome, executed) = started
            .foreground
            .until(pid, &wakers, step)
            .map_err(|errno| LaunchError::new(Kind::Wait(pid, errno)))?;
        match started.failure(outcome, executed) {
            Some(error) => Err(error),
            None => Ok(Finished { pid: pid.as_raw_nonzero().get(), outcome }),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(started) = &self.started {
            // It is this process's child and has not been waited for, so the number is its own.
            let _ = kill_process(started.pid, Signal::KILL);
            let _ = waitpid(Some(started.pid), WaitOptions::empty());
        }
    }
}
