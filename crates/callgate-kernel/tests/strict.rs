//! Strict mode: the library call, unmodified programs, and what is explained.

#[path = "harness/filters.rs"]
mod filters;
mod harness;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use callgate_bpf::Action;
use callgate_kernel::{
    Launch, LoadOptions, Moment, Outcome, Signal, StrictFinished, StrictRunError, exit_strict,
    load, strict,
};

use self::filters::{always, number};
use self::harness::{Case, TempDir, again, compile, in_child, is_root, skip};

fn main() {
    let cases: &[Case] = &[
        ("read_write_and_exit_are_allowed", read_write_and_exit),
        ("anything_else_kills_with_sigkill", anything_else_kills),
        ("exit_group_kills", exit_group_kills),
        ("strict_after_a_filter_is_refused_and_explained", strict_after_filter),
        ("the_time_stamp_counter_faults", time_stamp_counter),
        ("an_unmodified_copier_dies_at_open", unmodified_dies_at_open),
        ("an_unmodified_filter_copies_and_dies_at_exit_group", unmodified_copies),
        ("a_program_that_leaves_by_exit_keeps_its_status", unmodified_raw_exit),
        ("stripped_programs_begin_at_the_entry_point", stripped),
        ("static_programs_work_alike", static_program),
        ("an_unmodified_program_that_reads_the_counter_is_recognised", unmodified_clock),
        ("strict_mode_can_begin_at_a_symbol", at_symbol),
        ("a_missing_symbol_is_told", missing_symbol),
        ("a_failed_start_is_told_as_without_strict_mode", failed_start),
        ("in_a_container_strict_mode_is_refused_and_explained", under_a_filter),
        ("a_kill_from_outside_is_not_taken_for_strict_mode", kill_from_outside),
        ("a_traced_program_stops_and_continues", stop_and_continue),
        ("an_unprivileged_user_may_do_all_of_it", unprivileged),
        ("_runner", runner),
    ];
    harness::main(cases);
}

fn read_write_and_exit() {
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let child = in_child(|| {
        let (mut input, output) = (File::open("/etc/passwd").unwrap(), &mut writer);
        let mut buffer = [0; 16];
        strict().unwrap();
        let length = input.read(&mut buffer).unwrap_or(0);
        let _ = output.write(&buffer[..length]);
        exit_strict(42)
    });
    assert_eq!(child.code(), Some(42));
    drop(writer);
    let mut copied = Vec::new();
    reader.read_to_end(&mut copied).unwrap();
    assert_eq!(copied, fs::read("/etc/passwd").unwrap()[..16]);
}

fn anything_else_kills() {
    for call in [libc::SYS_getpid, libc::SYS_openat, libc::SYS_brk, libc::SYS_futex] {
        let child = in_child(|| {
            strict().unwrap();
            // SAFETY: never gets as far as doing anything.
            unsafe { libc::syscall(call, 0, 0, 0, 0) };
            exit_strict(0)
        });
        assert_eq!(child.signal(), Some(libc::SIGKILL), "{}", number(call));
    }
}

fn exit_group_kills() {
    let child = in_child(|| {
        strict().unwrap();
        0
    });
    assert_eq!(child.signal(), Some(libc::SIGKILL));
}

fn strict_after_filter() {
    load(&always(Action::Allow), &LoadOptions::new()).unwrap();
    let error = strict().unwrap_err();
    assert!(error.is_already_filtered());
    assert!(error.to_string().contains("container"), "{error}");
    // It is as it was.
    assert_eq!(in_child(|| 3).code(), Some(3));
}

fn time_stamp_counter() {
    #[cfg(target_arch = "x86_64")]
    {
        let child = in_child(|| {
            strict().unwrap();
            // SAFETY: reads a counter.
            let _ = unsafe { std::arch::x86_64::_rdtsc() };
            exit_strict(0)
        });
        // Rust's own handler for it makes calls, so what is seen is either of the two.
        let signal = child.signal().unwrap();
        assert!([libc::SIGSEGV, libc::SIGKILL].contains(&signal), "{signal}");
    }
}

/// A file with more than any buffer holds.
fn source(dir: &TempDir) -> (PathBuf, Vec<u8>) {
    let path = dir.path().join("source");
    let content: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    fs::write(&path, &content).unwrap();
    (path, content)
}

fn built(dir: &TempDir, source: &str, flags: &[&str]) -> PathBuf {
    match compile(dir.path(), source, flags) {
        Some(program) => program,
        None => skip("no C compiler"),
    }
}

/// Runs with these standard streams, in a copy of this process, and returns what came out.
fn run(
    launch: Launch,
    moment: &Moment,
    input: &Path,
    output: &Path,
) -> Result<StrictFinished, StrictRunError> {
    let (input, output) = (File::open(input).unwrap(), File::create(output).unwrap());
    // SAFETY: descriptors of ours; this process has one thread, and its own streams are not
    // needed while the command runs.
    unsafe {
        let (saved_in, saved_out) = (libc::dup(0), libc::dup(1));
        libc::dup2(input.as_raw_fd(), 0);
        libc::dup2(output.as_raw_fd(), 1);
        let result = launch.run_strict(moment);
        libc::dup2(saved_in, 0);
        libc::dup2(saved_out, 1);
        libc::close(saved_in);
        libc::close(saved_out);
        result
    }
}

fn unmodified_dies_at_open() {
    let dir = TempDir::new("late");
    let program = built(&dir, "late_copier.c", &[]);
    let (from, content) = source(&dir);
    let to = dir.path().join("copy");
    let launch = || Launch::new([&program, &from, &to]);
    let finished = launch().run_strict(&Moment::Main).unwrap();
    assert_eq!(finished.outcome, Outcome::Signaled { signal: Signal::KILL, core: false });
    assert_eq!(finished.entered, Some(Some("main".to_owned())));
    let call = finished.refused.unwrap();
    assert_eq!(call.nr, number(libc::SYS_openat));
    assert_eq!(call.exit_status(), None);
    assert!(!to.exists());
    // The same program, otherwise.
    assert_eq!(launch().run().unwrap().outcome, Outcome::Exited(0));
    assert_eq!(fs::read(&to).unwrap(), content);
}

fn unmodified_copies() {
    let dir = TempDir::new("copies");
    let program = built(&dir, "stdin_copier.c", &[]);
    let (from, content) = source(&dir);
    let to = dir.path().join("copy");
    let launch = Launch::new([program.as_os_str(), "3".as_ref()]);
    let finished = run(launch, &Moment::Main, &from, &to).unwrap();
    assert_eq!(finished.outcome.status(), 128 + 9);
    assert_eq!(fs::read(&to).unwrap(), content);
    assert_eq!(finished.refused.unwrap().exit_status(), Some(3));
}

fn unmodified_raw_exit() {
    let dir = TempDir::new("raw");
    let program = built(&dir, "stdin_copier.c", &[]);
    let (from, content) = source(&dir);
    let to = dir.path().join("copy");
    let launch = Launch::new([program.as_os_str(), "raw".as_ref()]);
    let finished = run(launch, &Moment::Main, &from, &to).unwrap();
    assert_eq!(finished.outcome, Outcome::Exited(7));
    assert_eq!(finished.refused, None);
    assert_eq!(fs::read(&to).unwrap(), content);
}

fn stripped() {
    let dir = TempDir::new("stripped");
    let program = built(&dir, "stdin_copier.c", &["-s"]);
    let (from, content) = source(&dir);
    let to = dir.path().join("copy");
    let finished = run(Launch::new([&program]), &Moment::Main, &from, &to).unwrap();
    // At the entry point the dynamic loader has done its part, and the rest makes no call.
    assert_eq!(finished.entered, Some(None));
    assert_eq!(finished.refused.unwrap().exit_status(), Some(0));
    assert_eq!(fs::read(&to).unwrap(), content);
}

fn static_program() {
    let dir = TempDir::new("static");
    for flags in [&["-static"][..], &["-static-pie"], &["-no-pie"]] {
        let program = built(&dir, "stdin_copier.c", flags);
        let (from, content) = source(&dir);
        let to = dir.path().join("copy");
        let finished = run(Launch::new([&program]), &Moment::Main, &from, &to).unwrap();
        assert_eq!(finished.entered, Some(Some("main".to_owned())), "{flags:?}");
        assert_eq!(finished.refused.unwrap().exit_status(), Some(0), "{flags:?}");
        assert_eq!(fs::read(&to).unwrap(), content, "{flags:?}");
        // At the entry point of a static program the start-up code is still to come.
        let finished = run(Launch::new([&program]), &Moment::Entry, &from, &to).unwrap();
        assert_eq!(finished.entered, Some(None));
        if flags[0] != "-no-pie" {
            assert!(finished.refused.unwrap().exit_status().is_none(), "{flags:?}");
        }
    }
}

fn unmodified_clock() {
    if cfg!(not(target_arch = "x86_64")) {
        skip("only x86 has the instruction");
    }
    let dir = TempDir::new("clock");
    let program = built(&dir, "clock.c", &[]);
    let finished = Launch::new([&program]).run_strict(&Moment::Main).unwrap();
    assert!(matches!(finished.outcome, Outcome::Signaled { signal: Signal::SEGV, .. }));
    assert!(finished.time_stamp_fault);
    assert_eq!(finished.refused, None);
    assert_eq!(Launch::new([&program]).run().unwrap().outcome, Outcome::Exited(0));
}

fn at_symbol() {
    let dir = TempDir::new("symbol");
    let program = built(&dir, "phases.c", &["-pthread"]);
    let to = dir.path().join("out");
    let null = Path::new("/dev/null");
    let moment = Moment::Symbol("work".to_owned());
    let finished = run(Launch::new([&program]), &moment, null, &to).unwrap();
    assert_eq!(finished.entered, Some(Some("work".to_owned())), "{finished:?}");
    // The forked child wrote once, without strict mode, and the program once, within.
    assert_eq!(fs::read_to_string(&to).unwrap(), "working\nworking\n");
    assert_eq!(finished.refused.as_ref().unwrap().exit_status(), Some(5), "{finished:?}");
}

fn missing_symbol() {
    let dir = TempDir::new("missing");
    let program = built(&dir, "stdin_copier.c", &[]);
    let moment = Moment::Symbol("no_such_function".to_owned());
    let error = Launch::new([&program]).run_strict(&moment).unwrap_err();
    assert!(error.is_no_symbol());
    assert_eq!(error.status(), 125);
    assert!(error.to_string().contains("`no_such_function`"), "{error}");
}

fn failed_start() {
    let fail = |command: &str| Launch::new([command]).run_strict(&Moment::Main).unwrap_err();
    assert_eq!(fail("no-such-command-here").status(), 127);
    assert_eq!(fail("/no/such/file").status(), 127);
    assert_eq!(fail("/etc/passwd").status(), 126);
}

fn under_a_filter() {
    load(&always(Action::Allow), &LoadOptions::new()).unwrap();
    let error = Launch::new(["cat"]).run_strict(&Moment::Main).unwrap_err();
    assert!(error.is_already_filtered(), "{error}");
    assert!(error.to_string().contains("container"), "{error}");
    assert_eq!(error.status(), 125);
}

/// Not a case: runs the program in PROGRAM in strict mode, and says how it ended.
fn runner() {
    let Some(program) = std::env::var_os("PROGRAM") else { return };
    let finished = Launch::new([program]).run_strict(&Moment::Main).unwrap();
    eprintln!("{} {}", finished.outcome.status(), finished.refused.is_some());
    std::process::exit(i32::from(finished.outcome.status()));
}

/// Starts `waits` in strict mode under a launcher; both, once it is ready.
fn waiting(dir: &TempDir) -> (Child, i32) {
    let program = built(dir, "waits.c", &[]);
    let mut launcher = again("_runner")
        .env("PROGRAM", &program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    launcher.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let pid = launcher.id();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    (launcher, children.trim().parse().unwrap())
}

fn kill_from_outside() {
    let dir = TempDir::new("outside");
    for (signal, status) in [(libc::SIGKILL, 137), (libc::SIGTERM, 143)] {
        let (launcher, program) = waiting(&dir);
        // SAFETY: a process that this test started.
        unsafe { libc::kill(program, signal) };
        let output = launcher.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(status));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), format!("{status} false\n"));
    }
}

fn stop_and_continue() {
    let dir = TempDir::new("stop");
    let (mut launcher, program) = waiting(&dir);
    let pid = i32::try_from(launcher.id()).unwrap();
    let mut status = 0;
    // SAFETY: processes that this test started; the kernel writes an int.
    unsafe {
        libc::kill(program, libc::SIGTSTP);
        assert_eq!(libc::waitpid(pid, &raw mut status, libc::WUNTRACED), pid);
        assert!(libc::WIFSTOPPED(status), "{status:#x}");
        libc::kill(pid, libc::SIGCONT);
    }
    launcher.stdin.take().unwrap().write_all(b"x").unwrap();
    let output = launcher.wait_with_output().unwrap();
    // It read the byte and returned from main.
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "137 true\n");
}

fn unprivileged() {
    if !is_root() {
        skip("the other cases have run without root already");
    }
    let dir = TempDir::new("nobody");
    let program = built(&dir, "stdin_copier.c", &[]);
    let child = in_child(|| {
        harness::become_nobody();
        let finished =
            Launch::new([program.as_os_str(), "4".as_ref()]).run_strict(&Moment::Main).unwrap();
        assert_eq!(finished.refused.unwrap().exit_status(), Some(4));
        0
    });
    assert_eq!(child.code(), Some(0));
}
