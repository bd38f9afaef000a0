//! Signals that are held back and read, so that they interrupt nothing.
//!
//! # Safety
//!
//! Signal sets are filled by the C library before they are read. No handler is installed, so no
//! code of ours runs in a signal's context.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use crate::errno::Errno;

/// Signals held back from the thread that asked for it, and read here instead.
pub(crate) struct HeldSignals {
    descriptor: OwnedFd,
    mask: libc::sigset_t,
}

/// A signal that has come.
pub(crate) struct HeldSignal {
    pub(crate) number: i32,
    /// Whether a process sent it to this one, rather than the kernel: the terminal sends its
    /// signals to a whole process group.
    pub(crate) sent: bool,
}

impl HeldSignals {
    /// Holds these back from the calling thread, until [`HeldSignals::release`].
    pub(crate) fn hold(numbers: impl IntoIterator<Item = i32>) -> Result<HeldSignals, Errno> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `sigemptyset` fills the set before anything reads it, and the kernel fills
        // the old mask when the call succeeds; the descriptor is new.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for number in numbers {
                libc::sigaddset(set.as_mut_ptr(), number);
            }
            let fd = libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if fd < 0 {
                return Err(Errno::last());
            }
            let descriptor = OwnedFd::from_raw_fd(fd);
            let failed = libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), mask.as_mut_ptr());
            if failed != 0 {
                return Err(Errno(failed));
            }
            Ok(HeldSignals { descriptor, mask: mask.assume_init() })
        }
    }

    /// The next one that has come.
    pub(crate) fn next(&self) -> Option<HeldSignal> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the kernel writes at most `size` bytes, and whole structures only.
        let info = unsafe {
            let read = libc::read(self.descriptor.as_raw_fd(), info.as_mut_ptr().cast(), size);
            if usize::try_from(read) != Ok(size) {
                return None;
            }
            info.assume_init()
        };
        Some(HeldSignal { number: i32::try_from(info.ssi_signo).ok()?, sent: info.ssi_code <= 0 })
    }

    /// What the calling thread held back before.
    pub(crate) fn mask_before(&self) -> libc::sigset_t {
        self.mask
    }

    /// Gives the calling thread, which must be the one that asked, its mask back.
    pub(crate) fn release(&self) {
        set_mask(&self.mask);
    }
}

impl AsFd for HeldSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Sets the calling thread's mask; this may be used between fork and exec.
pub(crate) fn set_mask(mask: &libc::sigset_t) {
    // SAFETY: the kernel reads the set, which was filled where it was made.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, ptr::from_ref(mask), ptr::null_mut()) };
}
