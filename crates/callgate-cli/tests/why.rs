//! `callgate why`: which calls a filter refused, by which rule, from where, and the smallest edit.

#![cfg(target_os = "linux")]

mod common;

#[path = "why/edits.rs"]
mod edits;
#[path = "why/outcomes.rs"]
mod outcomes;

use common::{Scratch, is_root, skip};

/// Refuses mkdir in a way that no permission of a file gives: ENOLCK.
const NO_MKDIR: &str = r#"{
  "defaultAction": "SCMP_ACT_ALLOW",
  "syscalls": [
    { "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 37 },
    { "names": ["acct"], "action": "SCMP_ACT_ERRNO" }
  ]
}
"#;

/// Makes directories with mkdirat in ways that its arguments name; exits with 7 when each call had
/// errno ENOLCK.
const PROGRAM: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int wrong;

static void *make(void *path)
{
    if (syscall(SYS_mkdirat, AT_FDCWD, path, 0750) == 0 || errno != ENOLCK)
        __atomic_fetch_add(&wrong, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "plain")) {
            make("made");
        } else if (!strcmp(argv[i], "escape")) {
            make("a\x1b[31m\n\"b");
        } else if (!strcmp(argv[i], "many")) {
            for (int n = 0; n < 1000; n++)
                make("made");
        } else if (!strcmp(argv[i], "threads")) {
            pthread_t threads[8];
            for (int t = 0; t < 8; t++)
                pthread_create(&threads[t], NULL, make, "made");
            for (int t = 0; t < 8; t++)
                pthread_join(threads[t], NULL);
        } else if (!strcmp(argv[i], "fork")) {
            int status;
            pid_t pid = fork();
            if (pid == 0) {
                make("made");
                _exit(wrong ? 1 : 9);
            }
            if (waitpid(pid, &status, 0) != pid || status != 9 << 8)
                wrong++;
        } else if (!strcmp(argv[i], "exec")) {
            execl(argv[0], argv[0], "plain", NULL);
#ifdef __x86_64__
        } else if (!strcmp(argv[i], "int80")) {
            static char path[] = "made";
            long result;
            __asm__ volatile("int $0x80" : "=a"(result) : "a"(39L), "b"(path), "c"(0750L) : "memory");
            if (result != -ENOLCK)
                wrong++;
#endif
        }
    }
    return wrong ? 1 : 7;
}
"#;

/// The program and the profile, in a folder.
fn prepared() -> Option<Scratch> {
    let scratch = Scratch::new();
    scratch.file("no-mkdir.json", NO_MKDIR);
    // A static address in the low 4 GiB, for int 0x80.
    scratch.cc("make", PROGRAM, &["-pthread", "-no-pie"])?;
    Some(scratch)
}

#[test]
fn a_refused_call_is_decoded_with_its_rule_its_place_and_what_came_of_it() {
    let Some(scratch) = prepared() else { return };
    for as_user in [false, true] {
        let args = ["why", "--profile", "no-mkdir.json", "--", "./make", "plain"];
        let call = if as_user { scratch.callgate_as_user(&args) } else { scratch.callgate(&args) };
        call.run().is_like(
            7,
            "",
            &format!(
                "\
refused   mkdirat(AT_FDCWD, \"made\"*, 0750) = ENOLCK   …1 time
  by      no-mkdir.json: refused by name (entry 0, no-mkdir.json:4:5)
  from    {0}/make+0x… (in make()), through libc syscall()
  then    the program went on and exited with 7
  allow   it: take \"mkdirat\" out of entry 0
note: * was read from the program's memory …
note: `callgate why --profile no-mkdir.json --fix -- ./make plain` writes the edits into no-mkdir.json
",
                scratch.path().display()
            ),
        );
    }
}

#[test]
fn with_the_default_profile_the_missing_capability_is_named() {
    let scratch = Scratch::new();
    let args = ["why", "--", "unshare", "-U", "true"];
    for call in [scratch.callgate(&args), scratch.callgate_as_user(&args)] {
        call.run().is_like(
            1,
            "",
            "\
unshare: unshare failed: Operation not permitted
refused   unshare(CLONE_NEWUSER) = EPERM   …1 time
  by      docker-default: allowed only with CAP_SYS_ADMIN (entry …, docker-default:…)
  from    …unshare+0x…, through libc unshare()
  then    the program went on and exited with 1
  allow   just this: { \"names\": [\"unshare\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": [{ \"index\": 0, \"value\": 268435456, \"op\": \"SCMP_CMP_EQ\" }] }
note: to allow it, make a profile of your own, and have it changed:
  …callgate convert docker-default --to docker -o my.json
  …callgate why --profile my.json --fix -- unshare -U true
",
        );
    }
}

#[test]
fn where_the_filter_refused_nothing_it_is_not_blamed() {
    let scratch = Scratch::new();
    let why = |command: &[&str]| scratch.callgate(&[&["why", "--"], command].concat()).run();
    why(&["true"]).is(0, "", "note: the filter refused nothing\n");
    why(&["cat", "/no/such"]).is_like(
        1,
        "",
        "cat: …\nnote: the filter refused nothing; if the command failed for want of permission, it was a capability…, the mode or owner of a file, or a security module. …\n",
    );
    // EPERM of the kernel's own, for want of a capability.
    let args = ["why", "--profile", "docker-default", "--", "chown", "0:0", "."];
    let outcome = scratch.callgate_as_user(&args).run();
    assert!(outcome.stderr.contains("the filter refused nothing"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("refused   "), "{}", outcome.stderr);
}

#[test]
fn alike_calls_are_one_row_with_their_number() {
    let Some(scratch) = prepared() else { return };
    let json = |ways: &[&str]| {
        let args =
            [&["why", "--profile", "no-mkdir.json", "--json", "--", "./make"], ways].concat();
        let json = scratch.callgate(&args).run().json(7);
        let rows = json["refusals"].as_array().expect("a list").clone();
        (json["refused"].as_u64().expect("a number"), rows)
    };
    let (total, rows) = json(&["many", "threads"]);
    assert_eq!((total, rows.len()), (1008, 1));
    assert_eq!(rows[0]["count"], 1008);
    assert_eq!(rows[0]["syscall"], "mkdirat");
    assert_eq!(rows[0]["arguments"][1]["text"], "\"made\"");
    assert_eq!(rows[0]["arguments"][1]["from_memory"], true);
    assert_eq!(rows[0]["arguments"][2]["value"], 0o750);
    assert_eq!(rows[0]["errno"], "ENOLCK");
    assert_eq!((&rows[0]["by"]["line"], &rows[0]["by"]["column"]), (&4.into(), &5.into()));
    assert_eq!(rows[0]["then"]["exited"], 7);
    // Children and what is executed are held by the same filter; the first of the calls counts.
    let (total, rows) = json(&["fork", "exec"]);
    assert_eq!((total, rows.len()), (2, 1));
    if rows[0]["then"]["exited"].is_null() {
        skip("how a child of the command ended: this kernel tells its parent alone");
    } else {
        assert_eq!(rows[0]["then"]["exited"], 9);
    }
}

#[test]
fn a_32_bit_call_is_decoded_by_its_own_table() {
    if cfg!(not(target_arch = "x86_64")) {
        return skip("int 0x80 is of x86");
    }
    let Some(scratch) = prepared() else { return };
    if scratch.command("./make").args(&["int80"]).run().status == 139 {
        return skip("a 32-bit call: this kernel has no int 0x80");
    }
    let profile = NO_MKDIR.replace(
        "\"syscalls\"",
        "\"architectures\": [\"SCMP_ARCH_X86_64\", \"SCMP_ARCH_X86\"], \"syscalls\"",
    );
    scratch.file("both.json", profile);
    scratch.callgate(&["why", "--profile", "both.json", "--", "./make", "int80"]).run().is_like(
        7,
        "",
        "refused   mkdir(\"made\"*, 0750) on x86 = ENOLCK   …1 time\n  by      both.json: …(entry 0, both.json:4:5)\n  from    …/make+0x… (in main())\n…",
    );
}

#[test]
fn what_a_program_chose_steers_no_terminal() {
    let Some(scratch) = prepared() else { return };
    let name = "odd\u{1b}[2J";
    scratch.copy(scratch.join("make"), name, 0o755);
    let program = format!("./{name}");
    let args = ["why", "--profile", "no-mkdir.json", "--", &program, "escape"];
    let outcome = scratch.callgate(&args).run();
    assert_eq!(outcome.status, 7);
    assert!(outcome.stderr.contains(r#""a\u{1b}[31m\n\"b"*"#), "{}", outcome.stderr);
    assert!(outcome.stderr.contains(r"odd\u{1b}[2J+0x"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains('\u{1b}'), "{:?}", outcome.stderr);
}

#[test]
fn a_report_goes_to_a_file() {
    let Some(scratch) = prepared() else { return };
    let base = ["why", "--profile", "no-mkdir.json", "-o", "report"];
    let args = [&base[..], &["--json", "--", "./make", "plain"]].concat();
    scratch.callgate(&args).run().is(7, "", "");
    let json: serde_json::Value = serde_json::from_slice(&scratch.read("report")).expect("JSON");
    assert_eq!(json["refused"], 1);
    scratch.callgate(&[&base[..], &["--", "./make", "plain"]].concat()).run().is_like(
        7,
        "",
        "note: …",
    );
    assert!(String::from_utf8_lossy(&scratch.read("report")).starts_with("refused   mkdirat("));
    // That it could not be written is found out before the command runs.
    for file in ["missing/report", "."] {
        let args = ["why", "--profile", "no-mkdir.json", "-o", file, "--", "touch", "made"];
        scratch.callgate(&args).run().is_like(125, "", &format!("error: {file}: …\n"));
        assert!(!scratch.join("made").exists());
    }
}

#[test]
fn a_program_is_enforced_and_explained_too() {
    let Some(scratch) = prepared() else { return };
    scratch.callgate(&["compile", "no-mkdir.json", "-o", "filter.bpf"]).run();
    scratch.callgate(&["why", "--profile", "filter.bpf", "--", "./make", "plain"]).run().is_like(
        7,
        "",
        "refused   mkdirat(…) = ENOLCK   …\n  by      filter.bpf: instruction …\n…  allow   no edit: a program has no entries; …\n…",
    );
}

#[test]
fn a_filter_that_would_not_let_the_command_start_is_refused_before() {
    let scratch = Scratch::new();
    scratch.file(
        "no-exec.json",
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["execve"], "action": "SCMP_ACT_ERRNO" }] }"#,
    );
    scratch.callgate(&["why", "--profile", "no-exec.json", "--", "true"]).run().is_like(
        125,
        "",
        "error: no-exec.json: the command could not be started: `execve` must be allowed…\n",
    );
    scratch.file(
        "ask.json",
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" }] }"#,
    );
    scratch.callgate(&["why", "--profile", "ask.json", "--", "true"]).run().is_like(
        125,
        "",
        "warning[no-listener]: …error: ask.json: mkdir: SCMP_ACT_NOTIFY, but under `run` no supervisor listens…\n",
    );
    let unanswered = ["why", "--profile", "ask.json", "--allow-unanswered", "--", "true"];
    let outcome = scratch.callgate(&unanswered).run();
    outcome.is_like(0, "", "warning[no-listener]: …note: the filter refused nothing\n");
}

#[test]
fn within_a_process_that_has_a_listener_there_is_no_other() {
    let Some(scratch) = prepared() else { return };
    // callgate within callgate: the outer one listens.
    let callgate = common::CALLGATE;
    if is_root() {
        scratch.callgate(&["why", "--", callgate, "why", "--", "true"]).run().is_like(
            125,
            "",
            "error: the filter was not loaded: a filter of this thread has an open notification descriptor already…(EBUSY)…\nwarning: …callgate asked for a listener of a filter of its own; …EBUSY…\n…",
        );
    }
    // A filter without one within: both hold.
    let args = [
        "why",
        "--profile",
        "no-mkdir.json",
        "--",
        callgate,
        "run",
        "--cap-keep",
        "--",
        "./make",
        "plain",
    ];
    let outcome = scratch.callgate(&args).run();
    assert_eq!(outcome.status, 7, "{}", outcome.stderr);
    assert!(outcome.stderr.starts_with("refused   mkdirat("), "{}", outcome.stderr);
}
