//! A thread that stands still while it is read.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::error::{DumpError, Kind};
use crate::errno::Errno;
use crate::ptrace;

/// How long a thread may take to stop. One that runs stops at once; one that waits for a device,
/// or for the end of its vfork(2), does not before that.
const PATIENCE: Duration = Duration::from_secs(2);

/// A traced thread in a stop. Released when dropped.
pub(super) struct Stopped {
    pid: Pid,
    /// The signal that it was about to get when it stopped; 0 for none.
    signal: i32,
}

impl Stopped {
    /// Attaches and waits for the stop. Where that fails after attaching, the end of the calling
    /// thread releases the tracee.
    pub(super) fn attach(pid: Pid) -> Result<Stopped, DumpError> {
        let tid = pid.as_raw_nonzero().get();
        ptrace::seize(pid, 0).map_err(|errno| DumpError::of_attaching(tid, errno))?;
        let failed = |errno: Errno| match errno.0 {
            libc::ESRCH | libc::ECHILD => Kind::Gone(tid).into(),
            _ => DumpError::from(Kind::Trace(tid, errno)),
        };
        ptrace::interrupt(pid).map_err(failed)?;
        let begin = Instant::now();
        let mut pause = Duration::from_micros(10);
        loop {
            if let Some(signal) = stop_of(pid).map_err(failed)? {
                return match signal {
                    Some(signal) => Ok(Stopped { pid, signal }),
                    None => Err(Kind::Gone(tid).into()),
                };
            }
            if begin.elapsed() > PATIENCE {
                return Err(Kind::NotStopped(tid).into());
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Lets the thread go on; the same as dropping, with a name.
    pub(super) fn release(self) {
        drop(self);
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // It fails for a thread that was killed meanwhile, and then there is nothing to let go.
        let _ = ptrace::detach_with(self.pid, self.signal);
    }
}

/// `None` while the thread runs; `Some(None)` when it has ended; else the signal to give it.
///
/// Nothing is consumed: the thread may be of a child of this process, whose end is for whoever
/// started it.
fn stop_of(pid: Pid) -> Result<Option<Option<i32>>, Errno> {
    let options = WaitIdOptions::STOPPED
        | WaitIdOptions::EXITED
        | WaitIdOptions::NOHANG
        | WaitIdOptions::NOWAIT;
    loop {
        match waitid(WaitId::Pid(pid), options) {
            Ok(None) => return Ok(None),
            Ok(Some(status)) => {
                // A stop's code is the signal, and above it the event, if it is one.
                let signal = |code: i32| if code >> 8 == 0 { code } else { 0 };
                return Ok(Some(status.trapping_signal().map(signal)));
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
