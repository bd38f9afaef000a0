//! The command gets what the filter answers.

use std::{process::Stdio, thread, time::Duration};

use crate::common::{CALLGATE, Outcome, Scratch, skip};

const SYS: i32 = 31;

fn profile(action: &str) -> String {
    format!(
        r#"{{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{ "names": ["getpgid"], "action": "{action}" }}] }}"#
    )
}

/// Calls getpgid once, after what its arguments ask for.
const PROGRAM: &str = r#"
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void handle(int number)
{
    (void)number;
    write(1, "handled\n", 8);
    _exit(3);
}

static void tell(int number, siginfo_t *info, void *context)
{
    (void)context;
    dprintf(1, "%d %d %d %d %x %d\n", number, info->si_code, info->si_errno, info->si_syscall,
            info->si_arch, info->si_call_addr != NULL);
}

static void *ask(void *nothing)
{
    syscall(SYS_getpgid, 0);
    return nothing;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "handle"))
        signal(SIGSYS, handle);
    if (argc > 1 && !strcmp(argv[1], "told")) {
        struct sigaction action = {.sa_sigaction = tell, .sa_flags = SA_SIGINFO};
        sigaction(SIGSYS, &action, NULL);
    }
    if (argc > 1 && !strcmp(argv[1], "ignore"))
        signal(SIGSYS, SIG_IGN);
    if (argc > 1 && !strcmp(argv[1], "hidden"))
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (argc > 1 && (!strcmp(argv[1], "thread") || !strcmp(argv[1], "hidden"))) {
        pthread_t thread;
        pthread_create(&thread, NULL, ask, NULL);
        pthread_join(thread, NULL);
        return 5;
    }
    if (argc > 1 && !strcmp(argv[1], "child")) {
        int status;
        if (fork() == 0) {
            ask(NULL);
            _exit(0);
        }
        wait(&status);
        return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    }
    ask(NULL);
    write(1, "went on\n", 8);
    return 4;
}
"#;

fn prepared() -> Option<Scratch> {
    let scratch = Scratch::new();
    scratch.cc("ask", PROGRAM, &["-pthread"])?;
    for (name, action) in [
        ("kill.json", "SCMP_ACT_KILL_PROCESS"),
        ("thread.json", "SCMP_ACT_KILL_THREAD"),
        ("trap.json", "SCMP_ACT_TRAP"),
        ("errno.json", "SCMP_ACT_ERRNO"),
        ("log.json", "SCMP_ACT_LOG"),
    ] {
        scratch.file(name, profile(action));
    }
    Some(scratch)
}

/// What `why` makes of it, and what `run` does.
fn both(scratch: &Scratch, profile: &str, way: &str) -> (Outcome, Outcome) {
    let of = |verb: &str| scratch.callgate(&[verb, "--profile", profile, "--", "./ask", way]).run();
    (of("why"), of("run"))
}

#[test]
fn the_outcome_is_the_one_of_run() {
    let Some(scratch) = prepared() else { return };
    for profile in ["kill.json", "thread.json", "trap.json", "errno.json", "log.json"] {
        for way in ["plain", "ignore", "child"] {
            let (why, run) = both(&scratch, profile, way);
            let of = |outcome: &Outcome| (outcome.status, outcome.stdout.clone());
            if (profile, way) == ("kill.json", "child") {
                assert_eq!(why.status, SYS);
            }
            assert_eq!(of(&why), of(&run), "{profile} {way}\n{}", why.stderr);
            let refused = why.stderr.starts_with("refused   getpgid(0)");
            assert_eq!(refused, profile != "log.json", "{}", why.stderr);
        }
    }
    // A handler for SIGSYS does not stop a kill, and runs for a trap.
    for (profile, status) in
        [("kill.json", 128 + SYS), ("thread.json", 128 + SYS), ("trap.json", 3)]
    {
        let (why, run) = both(&scratch, profile, "handle");
        assert_eq!((why.status, run.status), (status, status), "{profile}");
        assert_eq!(why.stdout, run.stdout, "{profile}");
    }
}

#[test]
fn a_kill_is_told_as_one() {
    let Some(scratch) = prepared() else { return };
    both(&scratch, "kill.json", "plain").0.is_like(
        128 + SYS,
        "",
        "refused   getpgid(0) kills the process   …1 time\n…  then    the program died of it: SIGSYS…\n…",
    );
    both(&scratch, "kill.json", "handle").0.is_like(
        128 + SYS,
        "",
        "…  then    the program died of it: SIGKILL (by SIGKILL: it handles, ignores or blocks SIGSYS, …)\n…",
    );
}

#[test]
fn one_thread_ends_and_the_program_goes_on() {
    if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        return skip("the end of one thread: registers of this processor are not known");
    }
    let Some(scratch) = prepared() else { return };
    let (why, run) = both(&scratch, "thread.json", "thread");
    assert_eq!((why.status, run.status), (5, 5), "{}", why.stderr);
    why.is_like(
        5,
        "",
        "refused   getpgid(0) kills the thread   …1 time\n…  then    the program went on and exited with 5\n…",
    );
}

#[test]
fn of_a_program_that_may_not_be_traced_all_threads_end_and_that_is_told() {
    let Some(scratch) = prepared() else { return };
    let args = ["why", "--profile", "thread.json", "--", "./ask", "hidden"];
    scratch.callgate_as_user(&args).run().is_like(
        128 + SYS,
        "",
        "refused   getpgid(0) kills the thread   …\n…(the kernel would have ended the calling thread alone, which could not be done here)\n…",
    );
}

#[test]
fn what_a_traps_handler_is_told_is_what_the_kernel_tells() {
    if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        return skip("a trap's handler: registers of this processor are not known");
    }
    let Some(scratch) = prepared() else { return };
    for as_user in [false, true] {
        let of = |verb: &str| {
            let args = [verb, "--profile", "trap.json", "--", "./ask", "told"];
            if as_user { scratch.callgate_as_user(&args) } else { scratch.callgate(&args) }.run()
        };
        let (why, run) = (of("why"), of("run"));
        assert!(run.stdout.ends_with("went on\n") && run.stdout.len() > 20, "{}", run.stdout);
        assert_eq!((why.status, why.stdout), (run.status, run.stdout), "{}", why.stderr);
    }
}

#[test]
fn the_commands_own_status_is_passed_on() {
    let scratch = Scratch::new();
    for status in [0, 1, 42, 126, 255] {
        let script = format!("exit {status}");
        let outcome = scratch.callgate(&["why", "--", "sh", "-c", &script]).run();
        assert_eq!(outcome.status, status);
    }
    let outcome = scratch.callgate(&["why", "--", "sh", "-c", "kill -TERM $$"]).run();
    assert_eq!(outcome.status, 143);
    let outcome = scratch.callgate(&["why", "--", "no-such-command"]).run();
    outcome.is(127, "", "error: no-such-command: not found in PATH\n");
}

#[test]
fn without_its_supervisor_the_program_gets_enosys() {
    let Some(scratch) = prepared() else { return };
    // The program waits until callgate is gone.
    scratch.file(
        "script",
        "echo $PPID > pid; while kill -0 $PPID; do sleep 0.01; done 2>&-; mkdir made 2> told",
    );
    scratch.file(
        "no-mkdir.json",
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }] }"#,
    );
    let mut callgate = std::process::Command::new(CALLGATE)
        .args(["why", "--profile", "no-mkdir.json", "--", "sh", "script"])
        .current_dir(scratch.path())
        .env("LC_ALL", "C")
        .stderr(Stdio::null())
        .spawn()
        .expect("callgate starts");
    let until = |what: &dyn Fn() -> bool| {
        (0..3000).any(|_| {
            thread::sleep(Duration::from_millis(10));
            what()
        })
    };
    let text = |name: &str| std::fs::read_to_string(scratch.join(name)).unwrap_or_default();
    assert!(until(&|| text("pid").ends_with('\n')), "the command did not start");
    callgate.kill().expect("it is ours");
    callgate.wait().expect("it is ours");
    assert!(until(&|| text("told").ends_with('\n')), "the command never ended");
    assert!(text("told").contains("Function not implemented"), "{}", text("told"));
}
