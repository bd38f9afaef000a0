//! Being asked to end, as an event rather than an end.

use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::errno::Errno;
use crate::signals::HeldSignals;
use crate::sys;

/// Ctrl-C, SIGTERM and SIGHUP, held back so that work that has no end of its own can be brought to
/// one. The first that comes is told here; from then on the next ends the program at once, as it
/// would have without this. SIGQUIT always does. Signals that were ignored, as SIGHUP by `nohup`,
/// stay ignored.
///
/// They are held back from the calling thread, and from threads and processes that it starts
/// meanwhile; so make this before other threads, and start no command while it holds.
/// [`Launch`](crate::Launch) has its own way with signals.
///
/// ```
/// use callgate_kernel::EndRequest;
/// use std::time::Duration;
///
/// let mut end = EndRequest::watch()?;
/// // To wait for something else as well: `poll` it together with `end.as_fd()`.
/// assert!(!end.has_come_within(Duration::ZERO));
/// # Ok::<(), callgate_kernel::Errno>(())
/// ```
pub struct EndRequest {
    signals: HeldSignals,
    came: bool,
    /// A mask of signals is a thread's.
    _this_thread: PhantomData<*const ()>,
}

impl EndRequest {
    /// Holds the signals back, until one has come or this is dropped.
    ///
    /// # Errors
    ///
    /// No descriptor is left (`signalfd(2)`).
    pub fn watch() -> Result<EndRequest, Errno> {
        // A signal that is held back is not thrown away for being ignored.
        let heeded = |number: &i32| sys::signal_is_ignored(*number) != Some(true);
        let numbers = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP].into_iter().filter(heeded);
        let signals = HeldSignals::hold(numbers)?;
        Ok(EndRequest { signals, came: false, _this_thread: PhantomData })
    }

    /// Whether this program was asked to end. Doesn't wait.
    pub fn has_come(&mut self) -> bool {
        /// `timeout(1)` sends its signal twice, to the process and to the process group: this long
        /// further ones are the same request.
        const TOGETHER: Duration = Duration::from_millis(50);
        if !self.came && self.signals.next().is_some() {
            self.came = true;
            thread::sleep(TOGETHER);
            while self.signals.next().is_some() {}
            self.signals.release();
        }
        self.came
    }

    /// Waits for it, at most this long; an end that was asked for already is not waited for.
    pub fn has_come_within(&mut self, time: Duration) -> bool {
        if !self.came {
            let time = Timespec::try_from(time).ok();
            // An error is told by what comes next: nothing has come.
            let _ = poll(&mut [PollFd::new(&self.signals, PollFlags::IN)], time.as_ref());
        }
        self.has_come()
    }
}

/// Can be read when a signal has come that was not told yet.
impl AsFd for EndRequest {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }
}

/// What has come and was not told ends the program now.
impl Drop for EndRequest {
    fn drop(&mut self) {
        if !self.came {
            self.signals.release();
        }
    }
}
