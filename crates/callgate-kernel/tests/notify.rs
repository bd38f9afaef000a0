//! A filter that asks, and a supervisor that answers.

#[path = "harness/filters.rs"]
mod filters;
mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use callgate_bpf::{
    Action, ByteOrder, Condition, Instruction, Layout, Op, Operand, Program, SyscallNr,
};
use callgate_kernel::{
    Answer, Caller, End, Ended, Errno, Launch, LaunchError, Listener, LoadError, LoadOptions,
    Notification, NotifiedFinished, Outcome, Ready, Signal, load,
};
use callgate_syscalls::{Abi, from_audit};

use self::filters::{always, mkdir, number, refuse};
use self::harness::{Case, TempDir, again, become_nobody, compile, in_child, skip};

fn main() {
    let cases: &[Case] = &[
        ("the_answer_is_what_the_program_gets", answers),
        ("a_filter_that_asks_about_everything_lets_the_command_start", everything),
        ("an_ordinary_user_supervises_too", unprivileged),
        ("threads_children_and_execs_ask_the_same_listener", family),
        ("int_0x80_asks_with_its_own_abi", int80),
        ("a_thousand_calls_are_answered", thousand),
        ("the_path_is_read_from_the_threads_memory", path),
        ("memory_that_is_not_there_is_an_error", no_memory),
        ("a_thread_that_is_killed_while_it_waits_is_gone", killed),
        ("a_signal_does_not_interrupt_a_received_call", uninterrupted),
        ("an_answer_that_the_kernel_refuses_becomes_enosys", bad_answer),
        ("the_end_of_the_command_is_passed_on", ends),
        ("a_command_that_is_not_there_is_told", missing),
        ("no_descriptor_reaches_the_command", descriptors),
        ("a_daemon_is_answered_after_the_commands_end", daemon),
        ("a_signal_ends_the_waiting_for_a_daemon", interrupted),
        ("beside_a_listener_that_holds_there_is_no_second", second_listener),
        ("without_the_supervisor_the_answer_is_enosys", orphaned),
        ("a_listener_of_ones_own_tells_when_nobody_is_left", own_listener),
        ("a_process_is_ended_as_by_a_filter", ended),
        ("a_process_that_blocks_or_handles_sigsys_is_ended_too", ended_by_force),
        ("how_a_child_of_the_command_ended_is_known", child_ends),
        ("a_trap_is_told_as_the_kernel_tells_it", trapped),
        ("one_thread_is_ended_and_its_joiner_goes_on", thread_ended),
        ("_trap", trap_once),
        ("_supervise", supervise),
        ("_follow", follow),
    ];
    harness::main(cases);
}

const EDOM: Answer = Answer::Errno(Errno(libc::EDOM));

fn asking() -> Program {
    refuse(&mkdir(), Action::UserNotif)
}

fn asks(dir: &TempDir) -> std::path::PathBuf {
    // A static address in the low 4 GiB, for int 0x80.
    compile(dir.path(), "asks.c", &["-pthread", "-no-pie"]).unwrap_or_else(|| skip("no C compiler"))
}

fn run(
    program: &Path,
    ways: &[&str],
    notified: impl FnMut(&Notification<'_>) -> Answer,
) -> NotifiedFinished {
    let arguments = [program.to_str().unwrap()].into_iter().chain(ways.iter().copied());
    Launch::new(arguments).filter(&asking()).run_notified(notified).unwrap()
}

/// Runs the ways, answers EDOM, and gives the calls' threads.
fn edom(ways: &[&str]) -> Vec<i32> {
    let dir = TempDir::new("notify");
    let mut threads = Vec::new();
    let finished = run(&asks(&dir), ways, |notification| {
        threads.push(notification.thread().unwrap());
        EDOM
    });
    assert_eq!(finished.outcome, Outcome::Exited(7));
    assert!(!finished.left);
    threads
}

fn answers() {
    let dir = TempDir::new("notify");
    let made = dir.path().join("made");
    let make = |answer| {
        let mut seen = 0;
        let finished = Launch::new(["mkdir", made.to_str().unwrap()])
            .filter(&asking())
            .run_notified(|notification| {
                seen += 1;
                assert!(notification.is_waiting());
                answer
            });
        assert_eq!(seen, 1);
        finished.unwrap().outcome
    };
    assert_eq!(make(Answer::Errno(Errno(libc::EPERM))), Outcome::Exited(1));
    assert_eq!(make(Answer::Value(0)), Outcome::Exited(0));
    assert_eq!(make(Answer::Errno(Errno(0))), Outcome::Exited(0));
    assert!(!made.exists());
    assert_eq!(make(Answer::Continue), Outcome::Exited(0));
    assert!(made.exists());
}

fn everything() {
    let mut names = BTreeSet::new();
    let finished = Launch::new(["sh", "-c", "exit 3"])
        .filter(&always(Action::UserNotif))
        .run_notified(|notification| {
            let data = notification.data();
            let mut abis = from_audit(data.arch);
            names.extend(abis.find_map(|abi| abi.name_of(data.nr)));
            Answer::Continue
        })
        .unwrap();
    assert_eq!(finished.outcome, Outcome::Exited(3));
    assert!(names.contains("execve") && names.contains("exit_group"), "{names:?}");
}

fn unprivileged() {
    let status = in_child(|| {
        let dir = TempDir::new("notify");
        let program = asks(&dir);
        become_nobody();
        let mut paths = Vec::new();
        let finished = run(&program, &["plain", "fork", "thread"], |notification| {
            let path = notification.read_string(notification.data().args[1], 100).unwrap();
            paths.push(String::from_utf8(path.bytes).unwrap());
            EDOM
        });
        assert_eq!(finished.outcome, Outcome::Exited(7));
        assert_eq!(paths.len(), 10);
        assert_eq!(paths[..2], ["/no/plain", "/no/fork"]);
        0
    });
    assert_eq!(status.code(), Some(0));
}

fn family() {
    let threads = edom(&["plain", "thread", "fork", "exec"]);
    assert_eq!(threads.len(), 11);
    let distinct: BTreeSet<i32> = threads.into_iter().collect();
    assert_eq!(distinct.len(), 11);
}

fn int80() {
    let Some(narrow) = Abi::from_name("x86").filter(|_| cfg!(target_arch = "x86_64")) else {
        skip("int 0x80 is of x86");
    };
    let equal = |value: u32, jt: u8, jf: u8| -> Instruction {
        Op::Branch { condition: Condition::Eq, operand: Operand::K(value), jt, jf }.into()
    };
    let SyscallNr(mkdir) = narrow.number("mkdir").unwrap();
    let code = vec![
        Op::Load(4).into(),
        equal(narrow.audit().0, 0, 3),
        Op::Load(0).into(),
        equal(mkdir, 0, 1),
        Op::Return(Action::UserNotif.raw().0).into(),
        Op::Return(Action::Allow.raw().0).into(),
    ];
    let filter = Program::new(code, Layout::seccomp(ByteOrder::NATIVE)).unwrap();
    let dir = TempDir::new("notify");
    let program = asks(&dir);
    let mut paths = Vec::new();
    let finished = Launch::new([program.to_str().unwrap(), "int80"])
        .filter(&filter)
        .run_notified(|notification| {
            assert_eq!(notification.data().arch, narrow.audit());
            let path = notification.read_string(notification.data().args[0], 100).unwrap();
            paths.push(String::from_utf8(path.bytes).unwrap());
            EDOM
        })
        .unwrap();
    if paths.is_empty() {
        skip("this kernel has no int 0x80");
    }
    assert_eq!((paths, finished.outcome), (vec!["/no/int80".to_owned()], Outcome::Exited(7)));
}

fn thousand() {
    assert_eq!(edom(&["many"]).len(), 1000);
}

fn path() {
    let dir = TempDir::new("notify");
    let mut texts = Vec::new();
    run(&asks(&dir), &["plain"], |notification| {
        let address = notification.data().args[1];
        texts.push(notification.read_string(address, 100).unwrap());
        texts.push(notification.read_string(address, 3).unwrap());
        let mut buffer = [0; 4];
        assert_eq!(notification.read(address, &mut buffer), Ok(4));
        assert_eq!(&buffer, b"/no/");
        EDOM
    });
    assert_eq!((texts[0].bytes.as_slice(), texts[0].cut), (b"/no/plain".as_slice(), false));
    assert_eq!((texts[1].bytes.as_slice(), texts[1].cut), (b"/no".as_slice(), true));
}

fn no_memory() {
    let dir = TempDir::new("notify");
    run(&asks(&dir), &["plain"], |notification| {
        assert!(notification.read_string(16, 10).is_err());
        assert!(notification.read(u64::MAX - 1, &mut [0; 8]).is_err());
        EDOM
    });
}

fn kill(thread: i32, signal: i32) {
    // SAFETY: plain numbers; the thread waits for the answer, so the number is its own.
    assert_eq!(unsafe { libc::kill(thread, signal) }, 0);
}

fn killed() {
    let dir = TempDir::new("notify");
    let program = asks(&dir);
    let finished = run(&program, &["plain"], |notification| {
        kill(notification.thread().unwrap(), libc::SIGKILL);
        let start = Instant::now();
        while notification.is_waiting() {
            assert!(start.elapsed() < Duration::from_secs(30));
        }
        assert_eq!(
            notification.read_string(notification.data().args[1], 9),
            Err(Errno(libc::ESRCH))
        );
        assert_eq!(notification.answer(EDOM), Ok(false));
        EDOM
    });
    assert_eq!(finished.outcome, Outcome::Signaled { signal: Signal::KILL, core: false });
}

fn uninterrupted() {
    let dir = TempDir::new("notify");
    let mut seen = 0;
    let finished = run(&asks(&dir), &["signal"], |notification| {
        seen += 1;
        kill(notification.thread().unwrap(), libc::SIGUSR1);
        std::thread::sleep(Duration::from_millis(20));
        if !notification.is_waiting() {
            skip("this kernel has no SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV");
        }
        EDOM
    });
    assert_eq!((seen, finished.outcome), (1, Outcome::Exited(7)));
}

fn bad_answer() {
    let dir = TempDir::new("notify");
    let told = dir.path().join("told");
    let program = asks(&dir);
    for answer in [Answer::Errno(Errno(1_000_000)), Answer::Errno(Errno(i32::MIN))] {
        run(&program, &["tell", told.to_str().unwrap()], |_| answer);
        let number = fs::read_to_string(&told).unwrap();
        // The kernel of today takes any number that is not positive for an error.
        assert_ne!(number.trim(), libc::ENOENT.to_string(), "the call ran");
    }
}

fn ends() {
    let end = |script: &str| {
        let launch = Launch::new(["sh", "-c", script]).filter(&asking());
        launch.run_notified(|_| EDOM).unwrap().outcome
    };
    assert_eq!(end("exit 42"), Outcome::Exited(42));
    let terminated = Outcome::Signaled { signal: Signal(libc::SIGTERM), core: false };
    assert_eq!(end("kill -TERM $$"), terminated);
    assert_eq!(end("mkdir /no/such; exit 5"), Outcome::Exited(5));
}

fn missing() {
    let start = |command: &str| {
        Launch::new([command]).filter(&asking()).run_notified(|_| EDOM).unwrap_err().status()
    };
    assert_eq!(start("no-such-command"), 127);
    assert_eq!(start("/etc/passwd"), 126);
}

fn descriptors() {
    let dir = TempDir::new("notify");
    let list = dir.path().join("list");
    let script = format!("ls -l /proc/self/fd > {}", list.display());
    Launch::new(["sh", "-c", &script]).filter(&asking()).run_notified(|_| EDOM).unwrap();
    let list = fs::read_to_string(list).unwrap();
    assert!(list.contains("/dev/null"), "{list}");
    assert!(
        !list.contains("seccomp") && !list.contains("pidfd") && !list.contains("signalfd"),
        "{list}"
    );
    let own: Vec<_> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter(|target| target.to_string_lossy().contains("seccomp"))
        .collect();
    assert!(own.is_empty(), "the listener was not closed");
}

fn daemon() {
    let threads = edom(&["daemon"]);
    assert_eq!(threads.len(), 1);
}

fn interrupted() {
    let dir = TempDir::new("notify");
    let pid_file = dir.path().join("pid");
    let mut follower = again("_follow");
    follower.env("PID_FILE", &pid_file).stdout(Stdio::null());
    let follower = follower.spawn().unwrap();
    let start = Instant::now();
    let daemon = loop {
        assert!(start.elapsed() < Duration::from_secs(30), "the daemon did not start");
        let pid = fs::read_to_string(&pid_file).ok().and_then(|pid| pid.trim().parse::<i32>().ok());
        if let Some(pid) = pid {
            break pid;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    kill(i32::try_from(follower.id()).unwrap(), libc::SIGTERM);
    let output = follower.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    kill(daemon, libc::SIGKILL);
}

fn follow() {
    let script =
        "sh -c 'echo $$ > $PID_FILE.new; mv $PID_FILE.new $PID_FILE; exec sleep 60' & exit 4";
    let finished =
        Launch::new(["sh", "-c", script]).filter(&asking()).run_notified(|_| EDOM).unwrap();
    assert_eq!((finished.outcome, finished.left), (Outcome::Exited(4), true));
}

fn second_listener() {
    let status = in_child(|| {
        let listener = load(&asking(), &LoadOptions::new().listener()).unwrap();
        let error = Launch::new(["true"]).filter(&asking()).run_notified(|_| EDOM).unwrap_err();
        let load = source(&error);
        assert!(load.has_other_listener(), "{error}");
        assert!(error.to_string().contains("EBUSY"), "{error}");
        drop(listener);
        let finished = Launch::new(["true"]).filter(&asking()).run_notified(|_| EDOM).unwrap();
        assert_eq!(finished.outcome, Outcome::Exited(0));
        0
    });
    assert_eq!(status.code(), Some(0));
}

fn source(error: &LaunchError) -> &LoadError {
    std::error::Error::source(error).unwrap().downcast_ref().unwrap()
}

fn orphaned() {
    let dir = TempDir::new("notify");
    let told = dir.path().join("told");
    let program = asks(&dir);
    let mut supervisor = again("_supervise");
    supervisor.env("PROGRAM", &program).env("TOLD", &told);
    let status = supervisor.status().unwrap();
    assert_eq!(status.code(), None, "the supervisor was to be killed");
    let start = Instant::now();
    let number = loop {
        assert!(start.elapsed() < Duration::from_secs(30), "the command never got an answer");
        match fs::read_to_string(&told) {
            Ok(text) if text.ends_with('\n') => break text,
            _ => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    assert_eq!(number.trim(), libc::ENOSYS.to_string());
}

fn supervise() {
    let variable = |name| std::env::var(name).unwrap();
    let ways = ["tell".to_owned(), variable("TOLD")];
    let ways: Vec<&str> = ways.iter().map(String::as_str).collect();
    run(Path::new(&variable("PROGRAM")), &ways, |_| {
        kill(i32::try_from(std::process::id()).unwrap(), libc::SIGKILL);
        EDOM
    });
}

fn own_listener() {
    let status = in_child(|| {
        let options = LoadOptions::new().listener();
        let filter = refuse(&[libc::SYS_getpgid], Action::UserNotif);
        // Loaded in a thread that ends, so that this process's first has no part in it.
        let (send, receive) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let listener = load(&filter, &options).unwrap().into_listener().unwrap();
            send.send(Listener::new(listener).unwrap()).unwrap();
            // SAFETY: a plain number.
            unsafe { libc::getpgid(0) }
        });
        let listener = receive.recv().unwrap();
        assert_eq!(listener.wait(None), Ok(Ready::Call));
        let notification = listener.receive().unwrap().unwrap();
        assert_eq!(notification.data().nr, number(libc::SYS_getpgid));
        assert_eq!(notification.answer(Answer::Value(4711)), Ok(true));
        assert_eq!(notification.answer(EDOM), Ok(false), "once only");
        assert!(!notification.is_waiting());
        assert_eq!(thread.join().unwrap(), 4711);
        assert_eq!(listener.wait(Some(Duration::from_secs(30))), Ok(Ready::Ended));
        0
    });
    assert_eq!(status.code(), Some(0));
}

/// Ends the process at its first call, and gives how it looks from outside.
fn end_at_first_call(ways: &[&str]) -> (Vec<Ended>, Outcome) {
    let dir = TempDir::new("notify-ended");
    let mut ended = Vec::new();
    let finished = run(&asks(&dir), ways, |notification| {
        match notification.end_process() {
            Ok(how) => ended.push(how),
            // Another thread of the process that is dying.
            Err(errno) => assert_eq!(errno, Errno(libc::ESRCH)),
        }
        EDOM
    });
    (ended, finished.outcome)
}

fn ended() {
    let dir = TempDir::new("notify");
    let program = asks(&dir);
    // What the kernel's own kill looks like here, core or not.
    let kill = refuse(&mkdir(), Action::KillProcess);
    let arguments = [program.to_str().unwrap(), "plain"];
    let real = Launch::new(arguments).filter(&kill).run().unwrap().outcome;
    let (ended, outcome) = end_at_first_call(&["plain", "plain"]);
    assert_eq!(ended, [Ended::Sys]);
    assert_eq!(outcome, real);
    let (ended, outcome) = end_at_first_call(&["thread"]);
    assert!(!ended.is_empty() && ended.iter().all(|ended| *ended == Ended::Sys));
    assert!(matches!(outcome, Outcome::Signaled { signal: Signal::SYS, .. }), "{outcome:?}");
}

fn ended_by_force() {
    for way in ["block-sigsys", "handle-sigsys", "ignore-sigsys"] {
        let (ended, outcome) = end_at_first_call(&[way, "plain", "plain"]);
        assert_eq!(ended, [Ended::Kill], "{way}");
        assert_eq!(outcome, Outcome::Signaled { signal: Signal::KILL, core: false }, "{way}");
    }
}

fn child_ends() {
    let mut callers = Vec::new();
    let script = "sh -c 'mkdir /no/such; exit 5'; sh -c 'mkdir /no/such; kill -TERM $$'; exit 0";
    Launch::new(["sh", "-c", script])
        .filter(&refuse(&mkdir(), Action::UserNotif))
        .run_notified(|notification| {
            let caller = notification.caller().unwrap();
            assert_eq!(caller.end(), End::Alive);
            callers.push(caller);
            EDOM
        })
        .unwrap();
    let ends: Vec<End> = callers.iter().map(Caller::end).collect();
    if ends.contains(&End::Unknown) {
        skip("this kernel tells nobody but the parent how a process ended");
    }
    // Each mkdir is a process of its own, and fails.
    assert_eq!(ends, [End::Known(Outcome::Exited(1)); 2]);
}

fn trapped() {
    let dir = TempDir::new("notify");
    let program = asks(&dir);
    let told = |how: &str| {
        let mut command = again("_trap");
        let output = command.env("PROGRAM", &program).env("HOW", how).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (status, real) = told("kernel");
    assert_eq!(real.lines().count(), 2, "{real}");
    if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        skip("registers of this processor are not known");
    }
    assert_eq!(told("supervisor"), (status, real));
}

/// Runs the program under a filter that traps, or under one that asks.
fn trap_once() {
    let program = std::env::var("PROGRAM").unwrap();
    let arguments = [program.as_str(), "trap", "plain", "fork"];
    let outcome = if std::env::var("HOW").as_deref() == Ok("kernel") {
        let filter = refuse(&mkdir(), Action::Trap(77));
        Launch::new(arguments).filter(&filter).run().unwrap().outcome
    } else {
        let finished = Launch::new(arguments).filter(&asking()).run_notified(|notification| {
            assert_eq!(notification.handles_sigsys(), Ok(true));
            assert_eq!(notification.trap(77), Ok(true));
            EDOM
        });
        finished.unwrap().outcome
    };
    std::process::exit(i32::from(outcome.status()));
}

fn thread_ended() {
    if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        skip("registers of this processor are not known");
    }
    let dir = TempDir::new("notify");
    let mut ended = Vec::new();
    let finished = run(&asks(&dir), &["joined", "joined"], |notification| {
        assert_eq!(notification.thread_count(), Ok(2));
        ended.push(notification.end_thread());
        EDOM
    });
    assert_eq!((ended, finished.outcome), (vec![Ok(()), Ok(())], Outcome::Exited(7)));
}
