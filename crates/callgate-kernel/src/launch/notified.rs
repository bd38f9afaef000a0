//! Running a command and answering what its filter asks.
//!
//! # Safety
//!
//! One block takes the descriptor that the child has left here.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::thread;
use std::time::Duration;

use rustix::process::{PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};

use super::signals::look;
use super::{Kind, Launch, LaunchError, Started};
use crate::errno::Errno;
use crate::load::{FLAG_NEW_LISTENER, FLAG_WAIT_KILLABLE_RECV};
use crate::notify::{Answer, Listener, Notification, Ready};
use crate::outcome::Outcome;
use crate::sys;

/// A command whose filter was answered, and that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotifiedFinished {
    /// Its process id.
    pub pid: i32,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether processes that it left behind were let go, since a signal asked this process to
    /// end: what their filter asks from now on is answered with ENOSYS.
    pub left: bool,
}

impl Launch {
    /// Of [`Launch::run_notified`]: `tell` is called when the command has ended and has left others
    /// running, which are waited for.
    #[must_use]
    pub fn when_left(mut self, tell: fn()) -> Launch {
        self.left = Some(tell);
        self
    }

    /// Starts the command as [`Launch::run`] does, and answers the calls for which its filter
    /// returns USER_NOTIF. [`Launch::filter`] gives the filter.
    ///
    /// The calls of all processes and threads that have the filter come to `notified`, one after
    /// the other, those of the start itself too ([`Launch::calls_after_load`]). While one is
    /// looked at, the others wait.
    ///
    /// Where the kernel can (Linux 5.19), a call that was received is interrupted by nothing but a
    /// fatal signal. An answer that the kernel does not take becomes ENOSYS.
    ///
    /// This returns when the command *and all that it has left running* have ended; SIGHUP,
    /// SIGINT, SIGQUIT or SIGTERM makes it return at the command's end. **When this process dies
    /// before, every call that the filter asks about fails with ENOSYS**: the kernel's rule.
    ///
    /// # Errors
    ///
    /// The command was not started. Of a filter's [`LoadError`](crate::LoadError) behind it,
    /// [`has_other_listener`](crate::LoadError::has_other_listener) tells that this process has a
    /// filter with an open listener itself, beside which the kernel allows no other.
    pub fn run_notified(
        mut self,
        mut notified: impl FnMut(&Notification<'_>) -> Answer,
    ) -> Result<NotifiedFinished, LaunchError> {
        self.flags |= FLAG_NEW_LISTENER;
        let killable = FLAG_NEW_LISTENER | FLAG_WAIT_KILLABLE_RECV;
        if sys::seccomp_try_flags(killable) != Errno(libc::EINVAL) {
            self.flags |= FLAG_WAIT_KILLABLE_RECV;
        }
        let started = self.start(false)?;
        let listener = started.listener()?;
        if let Some(listener) = &listener {
            // Older kernels can do without.
            let _: bool = listener.answers_at_once();
        }
        started.serve(listener.as_ref(), &mut notified)
    }
}

impl Started {
    /// The child's listener, once it has loaded its filter; `None` when it has ended before.
    fn listener(&self) -> Result<Option<Listener>, LaunchError> {
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let mut pause = Duration::from_micros(20);
        loop {
            if let Some(number) = self.report.listener() {
                // SAFETY: the kernel made this descriptor for the child's load, in the table that
                // is this process's too; nobody else knows of it.
                let fd = unsafe { OwnedFd::from_raw_fd(number) };
                return Listener::new(fd).map(Some).map_err(|errno| self.wait_failed(errno));
            }
            // It cannot wake this process: any call may be one that its filter asks about.
            match waitid(WaitId::Pid(self.pid), ended) {
                Ok(None) => thread::sleep(pause),
                Ok(Some(_)) if self.report.listener().is_some() => {}
                Ok(Some(_)) | Err(_) => return Ok(None),
            }
            pause = (pause * 2).min(Duration::from_millis(1));
        }
    }

    /// Answers until all are gone that could ask.
    fn serve(
        &self,
        listener: Option<&Listener>,
        notified: &mut impl FnMut(&Notification<'_>) -> Answer,
    ) -> Result<NotifiedFinished, LaunchError> {
        /// What ends together with the command has this long for it.
        const ENDING: Duration = Duration::from_millis(50);
        let end = pidfd_open(self.pid, PidfdFlags::empty()).ok();
        let mut command = None;
        let mut open = listener;
        while command.is_none() || open.is_some() {
            let ends = end.as_ref().filter(|_| command.is_none()).map(AsFd::as_fd);
            let mut wake: Vec<BorrowedFd<'_>> = open.iter().map(|open| open.as_fd()).collect();
            wake.extend(ends);
            // A listener tells of calls alone: without a descriptor for the child's end, look often.
            if command.is_none() && end.is_none() {
                wake.clear();
            }
            let has_ended = command.is_some();
            let step = || -> Result<Option<Step>, Errno> {
                if let Some(open) = open {
                    match open.wait(Some(Duration::ZERO))? {
                        Ready::Ended => return Ok(Some(Step::Silent)),
                        Ready::Call => self.serve_calls(open, ends, notified)?,
                        Ready::Nothing => {}
                    }
                }
                if has_ended {
                    return Ok(self.foreground.asked_to_end().then_some(Step::Leave));
                }
                Ok(look(self.pid)?.map(Step::Command))
            };
            let step = self.foreground.until(self.pid, &wake, step);
            match step.map_err(|errno| self.wait_failed(errno))? {
                Step::Silent => open = None,
                Step::Leave => break,
                Step::Command(ended) => {
                    self.foreground.keep_signals();
                    command = Some(ended);
                    if let (Some(open), Some(tell)) = (open, self.left)
                        && open.wait(Some(ENDING)).map_err(|e| self.wait_failed(e))? != Ready::Ended
                    {
                        tell();
                    }
                }
            }
        }
        let Some((outcome, executed)) = command else {
            return Err(self.wait_failed(Errno(libc::ECHILD)));
        };
        match self.failure(outcome, executed) {
            Some(error) => Err(error),
            None => Ok(NotifiedFinished {
                pid: self.pid.as_raw_nonzero().get(),
                outcome,
                left: open.is_some(),
            }),
        }
    }

    /// Answers what waits, and what comes as long as nothing else does: a call takes three system
    /// calls here, and not the dozen with which all is looked at.
    fn serve_calls(
        &self,
        listener: &Listener,
        ends: Option<BorrowedFd<'_>>,
        notified: &mut impl FnMut(&Notification<'_>) -> Answer,
    ) -> Result<(), Errno> {
        loop {
            serve_call(listener, notified)?;
            if !self.foreground.comes_alone(listener.as_fd(), ends)? {
                return Ok(());
            }
        }
    }

    fn wait_failed(&self, errno: Errno) -> LaunchError {
        LaunchError::new(Kind::Wait(self.pid, errno))
    }
}

enum Step {
    /// Nobody has the filter any more.
    Silent,
    /// The command has ended; and whether it had been executed.
    Command((Outcome, bool)),
    /// What the command has left is let go.
    Leave,
}

/// Answers one call, which waits.
fn serve_call(
    listener: &Listener,
    notified: &mut impl FnMut(&Notification<'_>) -> Answer,
) -> Result<(), Errno> {
    let notification = match listener.receive() {
        Ok(Some(notification)) => notification,
        Ok(None) | Err(Errno(libc::EINTR)) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    let answer = notified(&notification);
    if notification.answer(answer).is_err() {
        notification.answer(Answer::Errno(Errno(libc::ENOSYS)))?;
    }
    Ok(())
}
