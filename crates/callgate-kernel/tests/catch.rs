//! Catching every filter that a command and what it starts load.

#[path = "harness/filters.rs"]
mod filters;
mod harness;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use callgate_bpf::{Action, Instruction};
use callgate_kernel::{
    CatchFinished, CaughtFilter, CrossCheck, Launch, LoadCall, LoadOptions, Outcome, Signal,
    filters_of, load,
};
use callgate_syscalls::Abi;

use self::filters::always;
use self::harness::{Case, TempDir, again, become_nobody, compile, in_child, is_root, skip};

fn main() {
    let cases: &[Case] = &[
        ("both_calls_are_caught_in_order", both_calls),
        ("flags_and_the_listener_are_told", flags),
        ("int_0x80_is_caught_by_its_own_abi", int80),
        ("threads_and_children_are_followed", children),
        ("tsync_is_one_load_and_a_refused_one_is_none", tsync),
        ("what_fails_is_not_caught", failures),
        ("a_call_that_only_looks_like_success_is_not_caught", pretended),
        ("an_exec_from_another_thread_is_followed", exec),
        ("what_a_daemon_loads_after_the_commands_end_is_caught", daemon),
        ("a_signal_ends_the_following_and_leaves_the_daemon_alone", interrupted),
        ("the_end_of_the_command_is_passed_on", ends),
        ("a_command_that_is_not_there_is_told", missing),
        ("stopping_and_continuing_work", stop_and_continue),
        ("an_ordinary_user_catches_too_without_the_kernels_word", unprivileged),
        ("a_filtered_caller_catches_too_without_the_kernels_word", filtered_caller),
        ("a_command_with_many_threads_runs_as_without", many_threads),
        ("_follow", follow),
    ];
    harness::main(cases);
}

fn program(dir: &TempDir) -> std::path::PathBuf {
    compile(dir.path(), "loads.c", &["-pthread"]).unwrap_or_else(|| skip("no C compiler"))
}

fn catch(ways: &[&str]) -> (CatchFinished, Vec<CaughtFilter>) {
    let dir = TempDir::new("catch");
    catch_in(&program(&dir), ways)
}

fn catch_in(program: &Path, ways: &[&str]) -> (CatchFinished, Vec<CaughtFilter>) {
    let mut caught = Vec::new();
    let arguments = [program.to_str().unwrap()].into_iter().chain(ways.iter().copied());
    let launch = Launch::new(arguments).keep_privileges();
    let finished = launch.run_catching(|filter| caught.push(filter)).unwrap();
    assert_eq!(finished.caught, caught.len());
    assert_eq!(finished.released, 0);
    for (index, filter) in caught.iter().enumerate() {
        assert_eq!(filter.order, index + 1);
        match &filter.check {
            CrossCheck::Same => {}
            CrossCheck::Unchecked(reason)
                if reason.is_not_privileged() || reason.is_filtered_caller() =>
            {
                assert!(!is_root() || reason.is_filtered_caller(), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
    (finished, caught)
}

fn instructions(number: u32) -> Vec<Instruction> {
    vec![
        Instruction { code: 0, jt: 0, jf: 0, k: number },
        Instruction { code: 6, jt: 0, jf: 0, k: Action::Allow.raw().0 },
    ]
}

/// The numbers that the programs carry.
fn numbers(caught: &[CaughtFilter]) -> Vec<u32> {
    let number = |filter: &CaughtFilter| {
        assert_eq!(filter.instructions, instructions(filter.instructions[0].k));
        filter.instructions[0].k
    };
    caught.iter().map(number).collect()
}

fn done(finished: &CatchFinished) {
    assert_eq!(finished.outcome, Outcome::Exited(7));
}

fn both_calls() {
    let (finished, caught) = catch(&["seccomp", "prctl"]);
    done(&finished);
    assert_eq!(numbers(&caught), [1, 2]);
    assert_eq!(
        caught.iter().map(|f| f.call).collect::<Vec<_>>(),
        [LoadCall::Seccomp, LoadCall::Prctl]
    );
    for filter in &caught {
        assert_eq!((filter.pid, filter.tid), (finished.pid, finished.pid));
        assert!(filter.executable.as_ref().unwrap().ends_with("loads"));
        assert_eq!(filter.arch, Abi::native().unwrap().audit());
        assert_eq!((filter.flags.0, filter.listener), (0, None));
    }
}

fn flags() {
    let (finished, caught) = catch(&["log", "listener"]);
    done(&finished);
    assert_eq!(numbers(&caught), [1, 2]);
    assert_eq!(caught[0].flags.to_string(), "LOG");
    assert_eq!(caught[1].flags.to_string(), "NEW_LISTENER");
    assert!(caught[1].listener.unwrap() > 2);
}

fn int80() {
    if !cfg!(target_arch = "x86_64") {
        skip("int 0x80 is of x86");
    }
    let dir = TempDir::new("catch");
    let program = program(&dir);
    let plain = std::process::Command::new(&program).arg("int80").status().unwrap();
    if plain.code() != Some(7) {
        skip("this kernel has no int 0x80");
    }
    let (finished, caught) = catch_in(&program, &["int80", "seccomp", "int80-prctl"]);
    done(&finished);
    assert_eq!(numbers(&caught), [1, 2, 3]);
    let archs: Vec<_> = caught.iter().map(|filter| filter.arch).collect();
    let (narrow, wide) = (Abi::from_name("x86").unwrap().audit(), Abi::native().unwrap().audit());
    assert_eq!(archs, [narrow, wide, narrow]);
    assert_eq!(caught[2].call, LoadCall::Prctl);
}

fn children() {
    let (finished, caught) = catch(&["thread", "fork", "seccomp", "vfork"]);
    done(&finished);
    assert_eq!(numbers(&caught), [1, 2, 3, 4]);
    assert_eq!(caught[0].pid, finished.pid);
    assert_ne!(caught[0].tid, finished.pid);
    for child in [&caught[1], &caught[3]] {
        assert_ne!(child.pid, finished.pid);
        assert_eq!(child.pid, child.tid);
    }
    assert_eq!(caught[2].tid, finished.pid);
}

fn tsync() {
    let (finished, caught) = catch(&["tsync"]);
    done(&finished);
    assert_eq!(numbers(&caught), [1]);
    assert_eq!(caught[0].flags.to_string(), "TSYNC");
    // The thread's own is caught, and not what it made fail.
    let (finished, caught) = catch(&["tsync-refused"]);
    done(&finished);
    assert_eq!(numbers(&caught), [1]);
    assert_ne!(caught[0].tid, finished.pid);
}

fn failures() {
    let (finished, caught) = catch(&["refused"]);
    done(&finished);
    assert!(caught.is_empty());
}

fn pretended() {
    let (finished, caught) = catch(&["pretend"]);
    done(&finished);
    assert_eq!(caught.len(), 1, "the second call loads nothing");
    assert_eq!(caught[0].instructions.len(), 4);
}

fn exec() {
    let (finished, caught) = catch(&["seccomp", "exec", "prctl", "thread"]);
    done(&finished);
    assert_eq!(numbers(&caught), [1, 1, 2]);
    assert!(caught.iter().all(|filter| filter.pid == finished.pid));
}

fn daemon() {
    let (finished, caught) = catch(&["daemon"]);
    done(&finished);
    assert_eq!(numbers(&caught), [1]);
    assert_ne!(caught[0].pid, finished.pid);
}

/// Follows a command that leaves a process behind.
fn follow() {
    let program = std::env::var("CALLGATE_TEST_PROGRAM").unwrap();
    let launch = Launch::new([program.as_str(), "linger"]).keep_privileges();
    let finished = launch.run_catching(|_| ()).unwrap();
    println!("{} {}", finished.released, finished.outcome.status());
}

fn interrupted() {
    let dir = TempDir::new("catch");
    let program = program(&dir);
    let mut command = again("_follow");
    command.env("CALLGATE_TEST_PROGRAM", &program).stdout(Stdio::piped());
    let child = command.spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let begin = Instant::now();
    let lingering = || {
        let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let exe = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
            (exe == program).then_some(pid)
        });
        processes.collect::<Vec<i32>>()
    };
    let field = |pid: i32, name: &str| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<i32>().ok())
    };
    let tracer = |pid: i32| field(pid, "TracerPid:");
    // Until the command has ended, and left a process behind that is nobody's child here.
    let left = loop {
        let all = lingering();
        if let [one] = all[..]
            && tracer(one).is_some_and(|tracer| tracer != 0)
            && field(one, "PPid:") != Some(pid)
        {
            break one;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "{all:?}");
        std::thread::sleep(Duration::from_millis(5));
    };
    // SAFETY: a child that has not been waited for.
    unsafe { libc::kill(pid, libc::SIGINT) };
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1 7\n");
    assert_eq!(tracer(left), Some(0));
    // SAFETY: the process that this test has started.
    unsafe { libc::kill(left, libc::SIGKILL) };
}

fn ends() {
    let (finished, _) = catch(&["segv"]);
    assert!(matches!(finished.outcome, Outcome::Signaled { signal: Signal::SEGV, .. }));
    let (finished, caught) = catch(&["seccomp", "segv"]);
    assert!(matches!(finished.outcome, Outcome::Signaled { signal: Signal::SEGV, .. }));
    assert_eq!(caught.len(), 1);
    for status in [0u8, 1, 255] {
        let script = format!("exit {status}");
        let launch = Launch::new(["sh", "-c", &script]).keep_privileges();
        let finished = launch.run_catching(|_| ()).unwrap();
        assert_eq!(finished.outcome, Outcome::Exited(status));
    }
}

fn missing() {
    let error = Launch::new(["/no/such/file"]).run_catching(|_| ()).unwrap_err();
    assert_eq!(error.status(), 127);
    let error = Launch::new(["/"]).run_catching(|_| ()).unwrap_err();
    assert_eq!(error.status(), 126);
}

fn stop_and_continue() {
    let script = "kill -STOP $$; exit 3";
    let parent = format!("sh -c '{script}' & sleep 0.3; kill -CONT $!; wait $!; exit $?");
    let launch = Launch::new(["sh", "-c", &parent]).keep_privileges();
    let finished = launch.run_catching(|_| ()).unwrap();
    assert_eq!(finished.outcome, Outcome::Exited(3));
}

fn unprivileged() {
    let dir = TempDir::new("catch");
    let program = program(&dir);
    let child = in_child(|| {
        if is_root() {
            become_nobody();
        }
        let mut caught = Vec::new();
        let launch = Launch::new([program.to_str().unwrap(), "seccomp", "thread", "pretend"]);
        let finished = launch.run_catching(|filter| caught.push(filter)).unwrap();
        done(&finished);
        assert_eq!(caught.len(), 3);
        assert_eq!(numbers(&caught[..2]), [1, 2]);
        for filter in caught {
            match filter.check {
                CrossCheck::Unchecked(reason) => assert!(reason.is_not_privileged(), "{reason}"),
                other => panic!("{other:?}"),
            }
        }
        0
    });
    assert_eq!(child.code(), Some(0));
}

fn filtered_caller() {
    let dir = TempDir::new("catch");
    let program = program(&dir);
    load(&always(Action::Allow), &LoadOptions::new()).unwrap();
    assert!(filters_of(i32::try_from(std::process::id()).unwrap()).is_err());
    let (finished, caught) = catch_in(&program, &["seccomp"]);
    done(&finished);
    assert!(matches!(&caught[0].check, CrossCheck::Unchecked(why) if why.is_filtered_caller()));
}

fn many_threads() {
    let dir = TempDir::new("catch");
    let program = program(&dir);
    let ways: Vec<&str> = ["thread", "fork"].into_iter().cycle().take(60).collect();
    let (finished, caught) = catch_in(&program, &ways);
    done(&finished);
    assert_eq!(caught.len(), 60);
}
