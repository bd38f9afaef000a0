//! The ioctls of a listener.
//!
//! # Safety
//!
//! Every buffer handed to the kernel is a local one of at least the size that the kernel says it
//! writes or reads (SECCOMP_GET_NOTIF_SIZES), and aligned to 8 bytes as its structures are.
#![allow(unsafe_code)]

use std::mem::offset_of;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use callgate_bpf::{Architecture, SeccompData, SyscallNr};

use super::Answer;
use crate::errno::Errno;
use crate::sys;

/// SECCOMP_IOC_MAGIC, `!`.
const MAGIC: u32 = 0x21;

/// In words of 8 bytes; never less than the structures that this file knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    notification: usize,
    response: usize,
}

impl Sizes {
    pub(super) fn of_kernel() -> Result<Sizes, Errno> {
        let [notification, response, _] = sys::seccomp_notif_sizes()?;
        let words = |kernel: u16, own: usize| usize::from(kernel).max(own).div_ceil(8);
        Ok(Sizes {
            notification: words(notification, size_of::<libc::seccomp_notif>()),
            response: words(response, size_of::<libc::seccomp_notif_resp>()),
        })
    }
}

/// SECCOMP_IOCTL_NOTIF_RECV: id, thread, call.
pub(super) fn receive(fd: BorrowedFd<'_>, sizes: &Sizes) -> Result<(u64, i32, SeccompData), Errno> {
    // The kernel wants it zeroed.
    let mut buffer = vec![0u64; sizes.notification];
    // SAFETY: the kernel writes one notification into a buffer that holds one.
    check(unsafe {
        libc::ioctl(fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, buffer.as_mut_ptr())
    })?;
    // SAFETY: the buffer is aligned to 8 bytes and not shorter than the structure, of which every
    // bit pattern is a value.
    let got = unsafe { ptr::read(buffer.as_ptr().cast::<libc::seccomp_notif>()) };
    let data = SeccompData {
        nr: SyscallNr(got.data.nr.cast_unsigned()),
        arch: Architecture(got.data.arch),
        instruction_pointer: got.data.instruction_pointer,
        args: got.data.args,
    };
    Ok((got.id, i32::try_from(got.pid).unwrap_or(0), data))
}

/// SECCOMP_IOCTL_NOTIF_SEND.
pub(super) fn send(
    fd: BorrowedFd<'_>,
    sizes: &Sizes,
    id: u64,
    answer: Answer,
) -> Result<(), Errno> {
    /// SECCOMP_USER_NOTIF_FLAG_CONTINUE.
    const CONTINUE: u32 = 1;
    let (val, error, flags) = match answer {
        Answer::Continue => (0, 0, CONTINUE),
        Answer::Errno(Errno(number)) => (0, number.checked_neg().unwrap_or(0), 0),
        Answer::Value(value) => (value, 0, 0),
    };
    let response = libc::seccomp_notif_resp { id, val, error, flags };
    let mut buffer = vec![0u64; sizes.response];
    // SAFETY: the buffer is aligned to 8 bytes and not shorter than the structure; the kernel
    // reads one response from it.
    check(unsafe {
        ptr::write(buffer.as_mut_ptr().cast::<libc::seccomp_notif_resp>(), response);
        libc::ioctl(fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, buffer.as_ptr())
    })
}

/// SECCOMP_IOCTL_NOTIF_SET_FLAGS with SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP.
pub(super) fn wake_here(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    const SET_FLAGS: libc::Ioctl = libc::_IOW::<u64>(MAGIC, 4);
    const SYNC_WAKE_UP: libc::c_ulong = 1;
    // SAFETY: the kernel takes the flags as the argument itself, and touches no memory.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), SET_FLAGS, SYNC_WAKE_UP) })
}

/// SECCOMP_IOCTL_NOTIF_ID_VALID, by its first number, in which the direction was wrong: later
/// kernels (5.10.20 and on) know that one as well as the right one, earlier ones no other.
pub(super) fn is_valid(fd: BorrowedFd<'_>, id: u64) -> bool {
    const WRONG_DIRECTION: libc::Ioctl = libc::_IOR::<u64>(MAGIC, 2);
    // SAFETY: the kernel reads eight bytes from a reference that lives until the call returns.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), WRONG_DIRECTION, ptr::from_ref(&id)) }).is_ok()
}

fn check(result: libc::c_int) -> Result<(), Errno> {
    if result < 0 { Err(Errno::last()) } else { Ok(()) }
}

const _: () = assert!(size_of::<libc::seccomp_notif>() == 80);
const _: () = assert!(size_of::<libc::seccomp_notif_resp>() == 24);
const _: () = assert!(offset_of!(libc::seccomp_notif, data) == 16);
