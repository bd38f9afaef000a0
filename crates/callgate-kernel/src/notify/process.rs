//! The process of a call, held so that its number cannot become another's.
//!
//! # Safety
//!
//! One ioctl fills a structure of the size that its number carries; one call sends a signal and
//! takes plain numbers.
#![allow(unsafe_code)]

use std::ffi::c_long;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal as Kill, pidfd_open, pidfd_send_signal};

use super::Notification;
use crate::errno::Errno;
use crate::outcome::Outcome;

/// A process that called, by a descriptor (`pidfd_open(2)`, Linux 5.3).
#[derive(Debug)]
pub struct Caller {
    fd: OwnedFd,
    pid: i32,
}

/// What is known of a process's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// It lives.
    Alive,
    /// It has ended, and how is known.
    Known(Outcome),
    /// It has ended; how, only its parent was told. The kernel tells others from Linux 6.15 on,
    /// and only once the parent has asked.
    Unknown,
}

/// How a process was ended in a filter's stead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are these two signals to send")]
pub enum Ended {
    /// By SIGSYS, as the kernel would.
    Sys,
    /// By SIGKILL, since the program handles, ignores or blocks SIGSYS: to whoever waits for it, it
    /// died of another signal than a filter's kill, and left no core.
    Kill,
}

/// `struct pidfd_info` of `linux/pidfd.h`, its first version.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    /// pid, tgid, ppid and four pairs of user and group.
    ids: [u32; 11],
    exit_code: i32,
}

/// PIDFD_INFO_EXIT.
const INFO_EXIT: u64 = 1 << 3;

impl Notification<'_> {
    /// The calling thread's process.
    ///
    /// # Errors
    ///
    /// ESRCH when the thread does not wait any more or is not visible here; ENOSYS before Linux
    /// 5.3, EPERM where a filter forbids it.
    pub fn caller(&self) -> Result<Caller, Errno> {
        let status = self.status()?;
        let pid = field(&status, "Tgid:").and_then(|pid| pid.parse().ok());
        let process = pid.and_then(Pid::from_raw).ok_or(Errno(libc::ESRCH))?;
        let fd = pidfd_open(process, PidfdFlags::empty())?;
        if !self.is_waiting() {
            return Err(Errno(libc::ESRCH));
        }
        Ok(Caller { fd, pid: process.as_raw_nonzero().get() })
    }

    /// Ends the process as a filter's kill would: with SIGSYS, whatever the program does about that
    /// signal. **Answer afterwards**: no instruction of the calling thread is executed then; of
    /// other threads a few may be, which the kernel's own kill lets happen too.
    ///
    /// What differs from the kernel's kill: there is no audit record, a core says that a process
    /// sent the signal, and [`Ended::Kill`].
    ///
    /// # Errors
    ///
    /// As [`Notification::caller`].
    pub fn end_process(&self) -> Result<Ended, Errno> {
        let caller = self.caller()?;
        let status = self.status()?;
        let has = |set: &str| {
            let bits = field(&status, set).and_then(|set| u64::from_str_radix(set, 16).ok());
            bits.is_none_or(|bits| bits & (1 << (libc::SIGSYS - 1)) != 0)
        };
        // The first process of a pid namespace gets no signal that it has no handler for.
        let first = status
            .lines()
            .find_map(|line| line.strip_prefix("NSpid:"))
            .is_some_and(|pids| pids.split_whitespace().next_back() == Some("1"));
        if first || ["SigBlk:", "SigIgn:", "SigCgt:"].into_iter().any(has) {
            pidfd_send_signal(&caller.fd, Kill::KILL)?;
            return Ok(Ended::Kill);
        }
        self.send_to_thread(&caller)?;
        Ok(Ended::Sys)
    }

    /// Sends SIGSYS to the calling thread, which finds it when its call returns: a handler runs
    /// then, before anything else.
    ///
    /// # Errors
    ///
    /// As [`Notification::caller`].
    pub fn send_sigsys(&self) -> Result<(), Errno> {
        self.send_to_thread(&self.caller()?)
    }

    pub(super) fn send_to_thread(&self, caller: &Caller) -> Result<(), Errno> {
        let thread = self.thread().ok_or(Errno(libc::ESRCH))?;
        let [process, thread, signal] = [caller.pid, thread, libc::SIGSYS].map(c_long::from);
        // SAFETY: plain numbers.
        match unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal) } {
            0 => Ok(()),
            _ => Err(Errno::last()),
        }
    }

    /// Whether the program has a handler for SIGSYS, which a filter's trap calls.
    ///
    /// # Errors
    ///
    /// ESRCH when the thread does not wait any more.
    pub fn handles_sigsys(&self) -> Result<bool, Errno> {
        let status = self.status()?;
        let number = |set| field(&status, set).and_then(|set| u64::from_str_radix(set, 16).ok());
        let has = |set| number(set).is_some_and(|bits| bits & (1 << (libc::SIGSYS - 1)) != 0);
        // A signal that is blocked is forced on the program without its handler.
        Ok(has("SigCgt:") && !has("SigBlk:"))
    }

    /// How many threads the process has.
    ///
    /// # Errors
    ///
    /// ESRCH when the thread does not wait any more.
    pub fn thread_count(&self) -> Result<usize, Errno> {
        let status = self.status()?;
        field(&status, "Threads:").and_then(|n| n.parse().ok()).ok_or(Errno(libc::ESRCH))
    }

    pub(super) fn status(&self) -> Result<String, Errno> {
        let thread = self.thread().ok_or(Errno(libc::ESRCH))?;
        let status = fs::read(format!("/proc/{thread}/status"));
        let status = status.map_err(|_| Errno(libc::ESRCH))?;
        if !self.is_waiting() {
            return Err(Errno(libc::ESRCH));
        }
        // A thread may give itself any bytes for a name.
        Ok(String::from_utf8_lossy(&status).into_owned())
    }
}

impl Caller {
    /// Holds a process by its number, which it has at this moment.
    ///
    /// # Errors
    ///
    /// ESRCH when there is none; ENOSYS before Linux 5.3.
    pub fn hold(process: i32) -> Result<Caller, Errno> {
        let process = Pid::from_raw(process).filter(|_| process > 0).ok_or(Errno(libc::ESRCH))?;
        let fd = pidfd_open(process, PidfdFlags::empty())?;
        Ok(Caller { fd, pid: process.as_raw_nonzero().get() })
    }

    /// The process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether and how it has ended.
    pub fn end(&self) -> End {
        let mut fds = [PollFd::from_borrowed_fd(self.fd.as_fd(), PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut fds, Some(&now)) == Ok(0) {
            return End::Alive;
        }
        /// PIDFD_GET_INFO.
        const GET_INFO: libc::Ioctl = libc::_IOWR::<PidfdInfo>(0xff, 11);
        let mut info = PidfdInfo { mask: INFO_EXIT, ..PidfdInfo::default() };
        // SAFETY: the kernel writes a structure of the size in the number, which this one has.
        let result = unsafe { libc::ioctl(self.fd.as_raw_fd(), GET_INFO, &raw mut info) };
        if result != 0 || info.mask & INFO_EXIT == 0 {
            return End::Unknown;
        }
        Outcome::of_code(info.exit_code).map_or(End::Unknown, End::Known)
    }
}

/// The first word behind a key of a status file.
pub(super) fn field<'s>(status: &'s str, key: &str) -> Option<&'s str> {
    status.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next())
}

const _: () = assert!(size_of::<PidfdInfo>() == 64);
