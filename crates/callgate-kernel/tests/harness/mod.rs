//! Runs each case in a fresh process with one thread.
//!
//! What these tests change (filters, no_new_privs, capabilities, strict mode) can never be undone
//! and belongs to a thread, so libtest's threads won't do. A case is run by executing the test
//! program again with the case's name in the environment; arguments select cases by part of
//! their name, as libtest has it. A name that begins with `_` is no case, but a program that some
//! case starts.
#![allow(dead_code, reason = "each test program uses its own part of this")]

use std::env;
use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

/// A name and what to run.
pub type Case = (&'static str, fn());

const VARIABLE: &str = "CALLGATE_TEST_CASE";

/// The status of a case that could not check anything.
const SKIPPED: i32 = 77;

/// The test program.
pub fn main(cases: &[Case]) {
    if let Ok(name) = env::var(VARIABLE) {
        let case = cases.iter().find(|case| case.0 == name).expect("the parent knows the cases");
        (case.1)();
        return;
    }
    let filters: Vec<String> = env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let (mut passed, mut skipped, mut failed) = (0, Vec::new(), Vec::new());
    for (name, _) in cases.iter().filter(|case| !case.0.starts_with('_')) {
        if !filters.is_empty() && !filters.iter().any(|filter| name.contains(filter.as_str())) {
            continue;
        }
        print!("test {name} ... ");
        std::io::stdout().flush().unwrap();
        let output = run(name);
        match output.status.code() {
            Some(0) => {
                passed += 1;
                println!("ok");
            }
            Some(SKIPPED) => {
                skipped.push(*name);
                println!("SKIPPED");
                show(&output);
            }
            _ => {
                failed.push(*name);
                println!("FAILED ({})", output.status);
                show(&output);
            }
        }
    }
    println!("\n{passed} passed, {} failed, {} skipped", failed.len(), skipped.len());
    if !failed.is_empty() {
        println!("failed: {}", failed.join(", "));
        std::process::exit(1);
    }
}

/// Runs a case in a process group of its own, which ends after a minute.
fn run(name: &str) -> Output {
    let mut command = again(name);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = command.spawn().unwrap();
    let group = i32::try_from(child.id()).unwrap();
    let (done, ended) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        if ended.recv_timeout(Duration::from_secs(60)) == Err(RecvTimeoutError::Timeout) {
            println!("ended after a minute");
            // SAFETY: the group of a child that has not been waited for.
            unsafe { libc::kill(-group, libc::SIGKILL) };
        }
    });
    let output = child.wait_with_output().unwrap();
    drop(done);
    output
}

fn show(output: &Output) {
    println!("{}", String::from_utf8_lossy(&output.stdout));
    println!("{}", String::from_utf8_lossy(&output.stderr));
}

/// Ends the case without a verdict.
pub fn skip(why: &str) -> ! {
    eprintln!("skipped: {why}");
    std::process::exit(SKIPPED);
}

/// This test program, to run a case.
pub fn again(name: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(VARIABLE, name).stdin(Stdio::null());
    command
}

/// Runs `child` in a forked copy of this process, which has one thread, and returns its end. The
/// copy exits with what `child` returns, or with 101 when that panics.
pub fn in_child(child: impl FnOnce() -> u8) -> ExitStatus {
    // SAFETY: a case runs in a process with one thread, so the copy is whole.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(101);
        // SAFETY: leaves without running what belongs to the parent.
        unsafe { libc::_exit(i32::from(status)) };
    }
    let status = wait_for(pid);
    if status.code() == Some(SKIPPED) {
        // The copy has said why.
        std::process::exit(SKIPPED);
    }
    status
}

/// Waits for a child by its number.
pub fn wait_for(pid: i32) -> ExitStatus {
    let mut status = 0;
    loop {
        // SAFETY: the kernel writes an int.
        if unsafe { libc::waitpid(pid, &raw mut status, 0) } == pid {
            return ExitStatus::from_raw(status);
        }
    }
}

/// Whether the tests run as root with the capabilities that the privileged rows need.
pub fn is_root() -> bool {
    // SAFETY: no arguments.
    unsafe { libc::geteuid() == 0 }
}

/// The user and group "nobody" by number.
pub const NOBODY: u32 = 65534;

/// Becomes an ordinary user without capabilities, from root; without groups, and traceable, as a
/// program is that was executed by that user.
pub fn become_nobody() {
    // SAFETY: plain numbers, and an empty list.
    let became = unsafe {
        libc::setgroups(0, std::ptr::null()) == 0
            && libc::setresgid(NOBODY, NOBODY, NOBODY) == 0
            && libc::setresuid(NOBODY, NOBODY, NOBODY) == 0
            && libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) == 0
    };
    if !became {
        skip("this root cannot become another user: it is one of a user namespace");
    }
}

/// A directory of its own, removed when dropped; anybody may enter it.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new(name: &str) -> TempDir {
        use std::os::unix::fs::PermissionsExt;
        let path = env::temp_dir().join(format!("callgate-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
        TempDir(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Compiles a C program of `tests/programs`; `None`, said loudly, where there is no compiler.
pub fn compile(directory: &Path, source: &str, flags: &[&str]) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
    let program = directory.join(source.trim_end_matches(".c"));
    let status = Command::new("cc")
        .args(["-O1", "-Wall", "-Werror", "-o"])
        .arg(&program)
        .arg(root.join(source))
        .args(flags)
        .status();
    match status {
        Err(error) => {
            eprintln!("skipped: no C compiler to build {source}: {error}");
            None
        }
        Ok(status) => {
            assert!(status.success(), "cc failed on {source}");
            Some(program)
        }
    }
}
