//! The child between fork and exec.
//!
//! # Safety
//!
//! After fork(2) in a process with several threads only async-signal-safe functions may be
//! called (`signal-safety(7)`): another thread may have held any lock, the allocator's too, and
//! that thread is gone. So everything is prepared before, and [`run`] and what it calls allocate
//! nothing, take no lock, never panic and never return.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_long};
use std::ptr;

use rustix::process::Pid;

use super::report::{Report, Stage};
use super::signals::Inherited;
use crate::capability_plan::{CapError, CapPlan};
use crate::errno::Errno;
use crate::load::Prepared;
use crate::sys;

/// Everything that the child needs, allocated.
pub(super) struct Steps {
    /// The parent, when it holds the child back until it has seen to it.
    pub(super) holder: Option<Pid>,
    pub(super) signals: Inherited,
    pub(super) capabilities: CapPlan,
    pub(super) no_new_privs: bool,
    pub(super) filter: Option<(Prepared, u32)>,
    /// Whether parent and child have one table of descriptors until exec, so that the listener that
    /// the child makes is the parent's at once: under a filter that may ask about any call, none
    /// is left to send it by.
    pub(super) one_table: bool,
    pub(super) exec: Exec,
}

/// The interpreter of a script that names none, as `execvp(3)` and every shell have it.
const SHELL: &CStr = c"/bin/sh";

/// The arguments of execve(2).
pub(super) struct Exec {
    path: CString,
    /// Pointers into `strings`, ended by null; the first is for the shell, see [`Exec::shell`].
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    _strings: Vec<CString>,
}

impl Exec {
    pub(super) fn new(path: CString, arguments: Vec<CString>, environment: Vec<CString>) -> Exec {
        let pointers = |strings: &[CString]| -> Vec<*const c_char> {
            strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
        };
        let mut argument_pointers = pointers(&arguments);
        argument_pointers.insert(0, SHELL.as_ptr());
        let environment_pointers = pointers(&environment);
        // Moving a CString does not move its bytes.
        let strings = arguments.into_iter().chain(environment).collect();
        Exec {
            path,
            arguments: argument_pointers,
            environment: environment_pointers,
            _strings: strings,
        }
    }

    /// Executes the file, or, when the kernel does not know its form, the shell with it as a
    /// script. Returns only when that fails.
    fn exec(&mut self) -> Errno {
        let errno = Exec::execve(&self.path, self.arguments.get(1..), &self.environment);
        if errno != Errno(libc::ENOEXEC) {
            return errno;
        }
        if let Some(script) = self.arguments.get_mut(1) {
            *script = self.path.as_ptr();
        }
        Exec::execve(SHELL, self.arguments.get(..), &self.environment)
    }

    fn execve(
        path: &CStr,
        arguments: Option<&[*const c_char]>,
        environment: &[*const c_char],
    ) -> Errno {
        let Some(arguments) = arguments else { return Errno(libc::EINVAL) };
        // SAFETY: the two arrays end in null and point to strings that `self` owns.
        unsafe {
            libc::syscall(libc::SYS_execve, path.as_ptr(), arguments.as_ptr(), environment.as_ptr())
        };
        Errno::last()
    }
}

/// Forks; the child goes through the steps and never comes back.
pub(super) fn fork(steps: &mut Steps, report: &Report) -> Result<Pid, Errno> {
    // SAFETY: the child calls nothing but `run`, which keeps the rules above.
    let pid = unsafe { if steps.one_table { fork_with_one_table() } else { libc::fork() } };
    match pid {
        0 => run(steps, report),
        pid => Pid::from_raw(pid).filter(|_| pid > 0).ok_or_else(Errno::last),
    }
}

/// clone(2) as fork(2) calls it, with CLONE_FILES. execve(2) gives the child a table of its own.
///
/// # Safety
///
/// As `fork` of the C library, whose handlers are not run: the child may call nothing but the
/// kernel.
unsafe fn fork_with_one_table() -> libc::pid_t {
    let flags = c_long::from(libc::CLONE_FILES | libc::SIGCHLD);
    let none: c_long = 0;
    // No stack of its own, nothing to store, no thread area; s390 has the first two swapped.
    let (first, second) = if cfg!(target_arch = "s390x") { (none, flags) } else { (flags, none) };
    // SAFETY: without CLONE_VM the child has a copy of the memory, this stack included.
    let pid = unsafe { libc::syscall(libc::SYS_clone, first, second, none, none, none) };
    libc::pid_t::try_from(pid).unwrap_or(-1)
}

fn run(steps: &mut Steps, report: &Report) -> ! {
    if let Err((errno, error)) = prepare(steps, report) {
        report.fail(errno, error.map(|error| (error.set(), error.capability())));
        leave();
    }
    report.enter(Stage::Exec);
    report.fail(steps.exec.exec(), None);
    leave();
}

/// All but exec, in the order that [`Stage`] has.
fn prepare(steps: &Steps, report: &Report) -> Result<(), (Errno, Option<CapError>)> {
    let plain = |errno: Errno| (errno, None);
    let capability = |error: CapError| (error.errno().unwrap_or(Errno(libc::EIO)), Some(error));

    report.enter(Stage::Signals);
    if steps.holder.is_some_and(|parent| !report.wait_at_gate(parent)) {
        return Err(plain(Errno(libc::ESRCH)));
    }
    steps.signals.restore();
    report.enter(Stage::BoundingSet);
    steps.capabilities.apply_bounding().map_err(capability)?;
    report.enter(Stage::NoNewPrivs);
    if steps.no_new_privs {
        sys::set_no_new_privs().map_err(plain)?;
    }
    report.enter(Stage::Filter);
    if let Some((filter, flags)) = &steps.filter {
        let result = filter.attach(*flags).map_err(plain)?;
        if steps.one_table {
            report.leave_listener(result);
        }
    }
    report.enter(Stage::Capabilities);
    steps.capabilities.apply_rest().map_err(capability)
}

/// Ends the child whatever the filter refuses: `exit_group`, else `exit`, else an instruction
/// that faults. Nobody sees the status, since the report holds an error.
fn leave() -> ! {
    let status: c_long = 125;
    // SAFETY: no pointers; `abort` ends in a trapping instruction where it may not send a signal.
    unsafe {
        libc::syscall(libc::SYS_exit_group, status);
        libc::syscall(libc::SYS_exit, status);
        libc::abort()
    }
}
