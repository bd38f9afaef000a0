//! Trying things in a child, so that nothing of this process changes.
//!
//! # Safety
//!
//! Between fork(2) and its exit a child only makes system calls through `sys` and this file:
//! nothing allocates, locks or panics (`signal-safety(7)`).
#![allow(unsafe_code)]

use std::ffi::c_long;
use std::ptr;

use callgate_bpf::Action;
use rustix::process::{Pid, Signal as Kill, WaitOptions, WaitStatus, kill_process, waitpid};

use super::Probe;
use crate::errno::Errno;
use crate::outcome::Outcome;
use crate::{ptrace, sys};

/// The status of a child that did what it should; errors are their number, which is never 0.
const DONE: u8 = 0;

/// A filter that allows everything.
const ALLOW: [libc::sock_filter; 1] =
    [libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: Action::Allow.raw().0 }];

/// Enters strict mode and leaves it by `exit`.
pub(super) fn strict() -> Probe {
    call(sys::seccomp_set_strict)
}

/// Sets no_new_privs and loads a filter that allows everything.
pub(super) fn filter() -> Probe {
    call(load_filter)
}

fn load_filter() -> Result<(), Errno> {
    sys::set_no_new_privs()?;
    sys::seccomp_set_filter(&ALLOW, 0).map(drop)
}

/// Makes a user namespace.
pub(super) fn user_namespace() -> Probe {
    // SAFETY: takes a number.
    call(|| match unsafe { libc::unshare(libc::CLONE_NEWUSER) } {
        0 => Ok(()),
        _ => Err(Errno::last()),
    })
}

/// Makes the system call `getpid` of the 32-bit ABI of the same kernel.
pub(super) fn compat() -> Probe {
    #[cfg(target_arch = "x86_64")]
    return call(|| {
        const GETPID_I386: i32 = 20;
        let result: i32;
        // SAFETY: the 32-bit entry of the kernel changes rax and, before Linux 4.4, r8 to r11.
        // `getpid` takes nothing. Without that entry the instruction faults, which ends the child.
        unsafe {
            std::arch::asm!(
                "int 0x80",
                inlateout("eax") GETPID_I386 => result,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            );
        }
        if result > 0 { Ok(()) } else { Err(Errno(result.saturating_neg())) }
    });
    #[cfg(target_arch = "aarch64")]
    return call(|| {
        // Refused where no processor runs 32-bit programs (`arch/arm64/kernel/sys.c`).
        // SAFETY: takes a number.
        match unsafe { libc::personality(0x0008) } {
            -1 => Err(Errno::last()),
            _ => Ok(()),
        }
    });
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    Probe::Untried("no 32-bit system call can be made from this build")
}

/// Makes the system call `getpid` of the x32 ABI.
pub(super) fn x32() -> Probe {
    #[cfg(target_arch = "x86_64")]
    return call(|| {
        let number: c_long = 0x4000_0000 | libc::SYS_getpid;
        // SAFETY: `getpid` takes nothing.
        match unsafe { libc::syscall(number) } {
            -1 => Err(Errno::last()),
            _ => Ok(()),
        }
    });
    #[cfg(not(target_arch = "x86_64"))]
    Probe::Untried("x32 belongs to x86_64")
}

/// Whether this process may trace its child, and read the filter of that.
pub(super) fn trace() -> (Probe, Probe) {
    let unknown = |probe: Probe| (probe, Probe::Untried("no process could be traced"));
    let child = match fork(|| {
        let status = load_filter().map_or_else(status, |()| DONE);
        // SAFETY: stops this child alone; a filter cannot be read without one being there.
        unsafe { libc::raise(libc::SIGSTOP) };
        status
    }) {
        Ok(child) => child,
        Err(errno) => return unknown(Probe::Refused(errno)),
    };
    let result = trace_stopped(child);
    // A child that this process made and has not reaped is there to be killed.
    let _ = kill_process(child, Kill::KILL);
    while let Ok(status) = wait(child, WaitOptions::empty()) {
        if Outcome::of(status).is_some() {
            break;
        }
    }
    match result {
        Ok(probes) => probes,
        Err(errno) => unknown(Probe::Refused(errno)),
    }
}

fn trace_stopped(child: Pid) -> Result<(Probe, Probe), Errno> {
    if Outcome::of(wait(child, WaitOptions::UNTRACED)?).is_some() {
        return Err(Errno(libc::ECHILD));
    }
    ptrace::seize(child, 0)?;
    wait(child, WaitOptions::empty())?;
    let read = match ptrace::filter_length(child, 0) {
        Ok(_) => Probe::Works,
        // The child has no filter, so nothing was learnt.
        Err(Errno(libc::EINVAL)) => Probe::Untried("no filter could be loaded to be read"),
        Err(errno) => Probe::Refused(errno),
    };
    Ok((Probe::Works, read))
}

fn wait(child: Pid, options: WaitOptions) -> Result<WaitStatus, Errno> {
    loop {
        match waitpid(Some(child), options) {
            Ok(Some((_, status))) => return Ok(status),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// prctl(2) PR_SET_SECCOMP with SECCOMP_MODE_FILTER and no program: EFAULT where it is known.
pub(super) fn prctl_filter() -> Probe {
    const PR_SET_SECCOMP: c_long = 22;
    const SECCOMP_MODE_FILTER: c_long = 2;
    call(|| {
        // SAFETY: the null pointer makes the kernel stop at EFAULT, before anything is attached.
        let result = unsafe {
            libc::syscall(
                libc::SYS_prctl,
                PR_SET_SECCOMP,
                SECCOMP_MODE_FILTER,
                ptr::null::<libc::sock_fprog>(),
            )
        };
        match Errno::last() {
            Errno(libc::EFAULT) if result == -1 => Ok(()),
            errno => Err(errno),
        }
    })
}

/// seccomp(2) with these flags and no program.
pub(super) fn flags(flags: u32) -> Probe {
    call(|| match sys::seccomp_try_flags(flags) {
        Errno(libc::EFAULT) => Ok(()),
        errno => Err(errno),
    })
}

/// Whether `call` succeeds. It must be safe between fork and exec. A filter that kills for it
/// kills the child, not this process.
pub(super) fn call<T>(call: impl Fn() -> Result<T, Errno>) -> Probe {
    in_child(|| match call() {
        Ok(_) => DONE,
        Err(errno) => status(errno),
    })
}

fn in_child(work: impl Fn() -> u8) -> Probe {
    let end = fork(work).and_then(|child| wait(child, WaitOptions::empty()));
    match end.map(Outcome::of) {
        Ok(Some(Outcome::Exited(DONE))) => Probe::Works,
        Ok(Some(Outcome::Exited(errno))) => Probe::Refused(Errno(i32::from(errno))),
        Ok(Some(Outcome::Signaled { signal, .. })) => Probe::Dies(signal),
        Ok(None) => Probe::Untried("the child of the probe was stopped"),
        Err(errno) => Probe::Refused(errno),
    }
}

/// An error as an exit status. All that the probes meet are below 256.
fn status(errno: Errno) -> u8 {
    u8::try_from(errno.0).unwrap_or(u8::MAX)
}

/// The child does `work` and ends by the `exit` system call, which strict mode allows.
fn fork(work: impl Fn() -> u8) -> Result<Pid, Errno> {
    // SAFETY: the child only resets signals and a limit, and does `work`; see the top.
    match unsafe { libc::fork() } {
        0 => {
            // A handler of this process would run its code; a core file would be litter.
            (1..=64).for_each(sys::signal_remove_handler);
            let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: the kernel reads one structure.
            unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
            sys::exit_thread(i32::from(work()))
        }
        pid => Pid::from_raw(pid).filter(|_| pid > 0).ok_or_else(Errno::last),
    }
}
