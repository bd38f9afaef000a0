//! The running kernel as the judge of `callgate-bpf`.
//!
//! Everything unsafe that the oracle tests need, called through libc alone, so that they do not
//! depend on the crate under whose roof they live.
#![allow(dead_code, reason = "each test uses its own part")]

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use callgate_bpf::Instruction;

/// What the kernel says to a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Valid,
    Invalid,
    /// An error number that is no verdict.
    Other(i32),
}

/// A random test's size: the ordinary one, or the full one when `CALLGATE_FULL=1` asks for it.
pub fn size(ordinary: usize, full: usize) -> usize {
    if std::env::var_os("CALLGATE_FULL").is_some_and(|value| value == "1") {
        full
    } else {
        ordinary
    }
}

/// The seed, another one on demand: `CALLGATE_SEED=number`.
pub fn seed() -> u64 {
    std::env::var("CALLGATE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Runs the named test again in a process of its own, which may spoil itself; true in that
/// process. The parent passes on what the child says and fails when it fails.
pub fn is_own_process(test: &str) -> bool {
    const MARK: &str = "CALLGATE_ORACLE_PROCESS";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let this = std::env::current_exe().expect("the test's own path");
    let output = Command::new(this)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .output()
        .expect("the test starts again");
    let text = String::from_utf8_lossy(&output.stdout);
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test} in its own process: {}\n{text}", output.status);
    assert!(text.contains("1 passed"), "{test} did not run:\n{text}");
    false
}

/// False, said loudly, where a filter already holds: it would have its say in every answer, and
/// its part of the budget.
pub fn is_unfiltered() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
    let free = mode.is_some_and(|mode| mode.trim() == "0");
    if !free {
        eprintln!("skipped: a filter holds already (Seccomp: {mode:?} in /proc/self/status)");
    }
    free
}

/// The kernel's form of the instructions.
pub fn filter(instructions: &[Instruction]) -> Vec<libc::sock_filter> {
    instructions
        .iter()
        .map(|i| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k })
        .collect()
}

/// Gives up gaining privileges, for this thread and what it starts, so that it may filter itself.
pub fn set_no_new_privs() -> bool {
    // SAFETY: takes four integers and touches no memory of ours.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 }
}

/// No further descriptor can be opened by this process.
pub fn forbid_descriptors() -> bool {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `none` is a valid rlimit for the length of the call, which only reads it.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const none) == 0 }
}

/// `seccomp(SECCOMP_SET_MODE_FILTER)` for this thread: 0, or the error number.
///
/// Allocates nothing, so a child of fork may call it.
pub fn attach(filter: &[libc::sock_filter], flags: libc::c_ulong) -> i32 {
    let len = u16::try_from(filter.len()).expect("the kernel's length field has 16 bits");
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut() };
    // SAFETY: `program` points to `len` instructions that live through the call, and the kernel
    // only reads them. What the filter then does to this thread is what the test is about.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::c_ulong::from(libc::SECCOMP_SET_MODE_FILTER),
            flags,
            &raw const program,
        )
    };
    if result == -1 { last_error() } else { 0 }
}

/// Whether the kernel would take the program. Attaches nothing, provided
/// [`set_no_new_privs`] and [`forbid_descriptors`] came before: the kernel checks the program
/// first and then finds no descriptor for the listener that is asked for.
pub fn verdict(filter: &[libc::sock_filter]) -> Verdict {
    match attach(filter, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER) {
        libc::EMFILE => Verdict::Valid,
        libc::EINVAL => Verdict::Invalid,
        other => Verdict::Other(other),
    }
}

fn last_error() -> i32 {
    // SAFETY: the pointer is this thread's errno, valid as long as the thread.
    unsafe { *libc::__errno_location() }
}

/// A call of a number that no kernel has: what a filter answers by ERRNO data.
fn raw_call(nr: u32, args: [u64; 6]) -> i64 {
    let nr = libc::c_long::from(i32::from_ne_bytes(nr.to_ne_bytes()));
    let [a, b, c, d, e, f] = args;
    // SAFETY: numbers from 0x10000 up name no call, and the filter answers before the kernel
    // could look, so no argument is taken for a pointer.
    let result = unsafe { libc::syscall(nr, a, b, c, d, e, f) };
    if result == -1 { i64::from(last_error()) } else { result }
}

/// A program and the calls to make under it; filled in by the thread that makes them.
pub struct Session {
    filter: Vec<libc::sock_filter>,
    calls: Vec<(u32, [u64; 6])>,
    answers: Vec<AtomicU32>,
    answered: AtomicUsize,
    attach_error: AtomicU32,
}

/// What became of a [`Session`].
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The ERRNO data of each call until the thread ended.
    pub answers: Vec<u32>,
    /// The error number of attaching, 0 for none.
    pub attach_error: u32,
}

impl Session {
    pub fn new(instructions: &[Instruction], calls: Vec<(u32, [u64; 6])>) -> Session {
        Session {
            filter: filter(instructions),
            answers: calls.iter().map(|_| AtomicU32::new(u32::MAX)).collect(),
            calls,
            answered: AtomicUsize::new(0),
            attach_error: AtomicU32::new(0),
        }
    }

    /// Makes the calls on a thread of its own, under the program. The program may kill the
    /// thread, and must allow the numbers below 0x10000, by which the thread ends otherwise.
    pub fn run(self) -> Outcome {
        extern "C" fn body(session: *mut c_void) -> *mut c_void {
            // SAFETY: `run` passes its own session, which outlives the thread since `run` joins
            // it, and nobody writes to it but through atomics.
            let session = unsafe { &*session.cast::<Session>().cast_const() };
            session.make_calls();
            ptr::null_mut()
        }
        let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
        // A thread of the C library, not of std: std's join panics when a filter killed the
        // thread, the C library's sees it end like any other.
        // SAFETY: `thread` is writable; `body` treats its argument as the shared session that it
        // is, and the join below comes before the session goes.
        let error = unsafe {
            libc::pthread_create(
                thread.as_mut_ptr(),
                ptr::null(),
                body,
                (&raw const self).cast_mut().cast::<c_void>(),
            )
        };
        assert_eq!(error, 0, "pthread_create");
        // SAFETY: the thread was just created, so its id is written; it is joinable, and joined
        // once.
        let error = unsafe { libc::pthread_join(thread.assume_init(), ptr::null_mut()) };
        assert_eq!(error, 0, "pthread_join");
        let answered = self.answered.load(Ordering::SeqCst);
        let answers =
            self.answers[..answered].iter().map(|answer| answer.load(Ordering::SeqCst)).collect();
        Outcome { answers, attach_error: self.attach_error.load(Ordering::SeqCst) }
    }

    /// Runs on the new thread, which may end at any call: allocates and holds nothing.
    fn make_calls(&self) {
        let error = if set_no_new_privs() { attach(&self.filter, 0) } else { libc::EPERM };
        if error != 0 {
            self.attach_error.store(error.unsigned_abs(), Ordering::SeqCst);
            return;
        }
        for ((nr, args), answer) in self.calls.iter().zip(&self.answers) {
            let value = u32::try_from(raw_call(*nr, *args)).unwrap_or(u32::MAX);
            answer.store(value, Ordering::SeqCst);
            self.answered.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Attaches all programs in order in a child process: `Ok` with 0 or the error number for the
/// last one, `Err` when an earlier one was refused already.
pub fn attach_in_child(filters: &[Vec<libc::sock_filter>]) -> Result<i32, i32> {
    const EARLY: i32 = 128;
    // SAFETY: the child makes system calls and leaves; it allocates nothing and takes no lock,
    // so it does not matter what other threads of the parent held.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork");
    if child == 0 {
        let mut status = if set_no_new_privs() { 0 } else { EARLY | libc::EPERM };
        for (index, filter) in filters.iter().enumerate() {
            if status == 0 {
                let error = attach(filter, 0);
                let early = if index + 1 < filters.len() && error != 0 { EARLY } else { 0 };
                status = early | error;
            }
        }
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(status) }
    }
    let mut status = 0;
    // SAFETY: `child` is our own child, `status` is writable.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child, "waitpid");
    assert!(libc::WIFEXITED(status), "a filter that allows everything killed its process");
    let code = libc::WEXITSTATUS(status);
    if code & EARLY == 0 { Ok(code) } else { Err(code & !EARLY) }
}
