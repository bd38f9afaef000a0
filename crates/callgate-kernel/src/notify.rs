//! User notification: a filter that asks a supervisor about calls, in user space.
//!
//! The manual page is `seccomp_unotify(2)`.

mod calls;
mod memory;
mod process;
mod traced;

pub use self::memory::Text;
pub use self::process::{Caller, End, Ended};

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use callgate_bpf::SeccompData;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use self::calls::Sizes;
use crate::errno::Errno;

/// The supervisor's end of a filter: the calls for which it returns USER_NOTIF come here, one by
/// one, and their threads wait for the [`Answer`].
///
/// Dropping it answers every call that waits, and every later one, with ENOSYS. So does the end
/// of this process, however it comes.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    sizes: Sizes,
}

/// What there is at a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "poll(2) tells these apart")]
pub enum Ready {
    /// A call to receive.
    Call,
    /// Nothing, when the time was over.
    Nothing,
    /// No process has the filter any more, so no call will come. Kernels before 5.9 never say so.
    Ended,
}

impl Listener {
    /// Takes the descriptor of a load, such as
    /// [`Loaded::into_listener`](crate::Loaded::into_listener) gives.
    ///
    /// # Errors
    ///
    /// ENOSYS or EINVAL from a kernel without user notification (before Linux 5.0).
    pub fn new(fd: OwnedFd) -> Result<Listener, Errno> {
        Ok(Listener { fd, sizes: Sizes::of_kernel()? })
    }

    /// Says that calls are answered at once, by the thread that waits for them: then who calls and
    /// who answers wake each other on the processor where they are, and none has to be roused from
    /// sleep. Whether the kernel can do that (Linux 6.6); all else is as before.
    #[doc(alias = "SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP")]
    pub fn answers_at_once(&self) -> bool {
        calls::wake_here(self.fd.as_fd()).is_ok()
    }

    /// Waits for a call, so long at most; without end for `None`. A signal ends it early, with
    /// [`Ready::Nothing`].
    ///
    /// # Errors
    ///
    /// None but ENOMEM is known.
    pub fn wait(&self, time: Option<Duration>) -> Result<Ready, Errno> {
        let time = time.map(|time| Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(time.subsec_nanos()),
        });
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        match poll(&mut fds, time.as_ref()) {
            Err(rustix::io::Errno::INTR) => return Ok(Ready::Nothing),
            result => result?,
        };
        let [fd] = fds;
        Ok(if fd.revents().contains(PollFlags::IN) {
            Ready::Call
        } else if fd.revents().contains(PollFlags::HUP) {
            Ready::Ended
        } else {
            Ready::Nothing
        })
    }

    /// The call that has waited longest. After [`Ready::Call`] this returns at once; `None` when
    /// its thread was killed meanwhile.
    ///
    /// # Errors
    ///
    /// EINTR for a signal that came before a call did.
    #[doc(alias = "SECCOMP_IOCTL_NOTIF_RECV")]
    pub fn receive(&self) -> Result<Option<Notification<'_>>, Errno> {
        match calls::receive(self.fd.as_fd(), &self.sizes) {
            Ok((id, pid, data)) => Ok(Some(Notification { listener: self, id, pid, data })),
            Err(Errno(libc::ENOENT)) => Ok(None),
            Err(errno) => Err(errno),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A call that waits for an answer.
///
/// Its thread stands still, unless a signal interrupts it: then the call is over, and
/// [`is_waiting`](Notification::is_waiting) false. Where the filter was loaded with
/// [`killable_listener`](crate::LoadOptions::killable_listener), only a fatal one does.
#[derive(Debug)]
#[must_use = "the thread waits for an answer"]
pub struct Notification<'l> {
    listener: &'l Listener,
    id: u64,
    pid: i32,
    data: SeccompData,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// It runs (SECCOMP_USER_NOTIF_FLAG_CONTINUE, Linux 5.5). *Not a permission*: other threads
    /// can change what its arguments point to after the supervisor has looked.
    Continue,
    /// It does not run, and returns this error; [`Errno`]`(0)` makes it return 0.
    Errno(Errno),
    /// It does not run, and returns this.
    Value(i64),
}

impl Notification<'_> {
    /// The cookie by which the kernel knows it.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The number of the *thread* that called; `None` where this process cannot see it, being in
    /// another pid namespace.
    pub fn thread(&self) -> Option<i32> {
        (self.pid != 0).then_some(self.pid)
    }

    /// The call, as the filter saw it.
    pub fn data(&self) -> &SeccompData {
        &self.data
    }

    /// Whether the thread still waits. What was learnt by its number before this said yes was
    /// learnt about that thread and no other.
    #[doc(alias = "SECCOMP_IOCTL_NOTIF_ID_VALID")]
    pub fn is_waiting(&self) -> bool {
        calls::is_valid(self.listener.fd.as_fd(), self.id)
    }

    /// Answers. Whether the thread was still there, and not yet answered.
    ///
    /// # Errors
    ///
    /// EINVAL for an error number or a value that the kernel does not take, and for
    /// [`Answer::Continue`] before Linux 5.5; the thread waits on then.
    #[doc(alias = "SECCOMP_IOCTL_NOTIF_SEND")]
    pub fn answer(&self, answer: Answer) -> Result<bool, Errno> {
        match calls::send(self.listener.fd.as_fd(), &self.listener.sizes, self.id, answer) {
            Ok(()) => Ok(true),
            Err(Errno(libc::ENOENT | libc::EINPROGRESS)) => Ok(false),
            Err(errno) => Err(errno),
        }
    }
}
