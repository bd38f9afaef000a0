//! What is said of a command that a filter killed, and where else that shows.

use std::{thread, time::Duration};

use crate::common::{Outcome, Scratch, is_root, root_for, skip, tool_for};

const KILL_MKDIR: &str = r#"{
  "defaultAction": "SCMP_ACT_ALLOW",
  "syscalls": [
    { "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS" }
  ]
}
"#;

/// SIGSYS.
const SYS: i32 = 31;

/// What is said where the kernel's log cannot be read.
const HOW_TO_FIND_IT: &str = "\
error: the filter killed the command (SIGSYS). Which call it was: `strace -f COMMAND` shows it last; \
as root, `dmesg | grep type=1326` has its number
";

/// Whether the kernel's records reach this user; says what goes untested otherwise.
fn audit_is_readable(scratch: &Scratch) -> bool {
    let doctor = scratch.callgate(&["doctor", "--json"]).run().json(0);
    let findings = doctor["sections"].as_array().expect("a list").iter();
    let found = findings
        .flat_map(|section| section["findings"].as_array().expect("a list"))
        .find(|finding| finding["what"] == "audit records")
        .expect("doctor asks for it");
    let readable = found["found"] == "yes";
    if !readable && is_root() {
        skip(&format!(
            "naming the call of a kill is not tested: audit records: {}",
            found["found"]
        ));
    }
    readable
}

fn killed(scratch: &Scratch, as_user: bool) -> Outcome {
    scratch.file("kill.json", KILL_MKDIR);
    let args = ["run", "--profile", "kill.json", "--", "mkdir", "made"];
    let call = if as_user { scratch.callgate_as_user(&args) } else { scratch.callgate(&args) };
    call.run()
}

#[test]
fn a_kill_is_told_in_one_line_that_names_the_call_for_root() {
    if !root_for("naming the call that a filter killed for") {
        return;
    }
    let scratch = Scratch::new();
    if audit_is_readable(&scratch) {
        let outcome = killed(&scratch, false);
        outcome.is_like(
            128 + SYS,
            "",
            "error: the filter killed the command at mkdir… (SIGSYS), called at 0x…\n",
        );
        assert_eq!(outcome.stderr.lines().count(), 1);
    }
    assert!(!scratch.join("made").exists());
}

#[test]
fn a_kill_is_told_to_an_ordinary_user_with_the_way_to_find_the_call() {
    let scratch = Scratch::new();
    killed(&scratch, true).is(128 + SYS, "", HOW_TO_FIND_IT);
    assert!(!scratch.join("made").exists());
}

#[test]
fn each_way_to_kill_is_recognised() {
    let scratch = Scratch::new();
    for action in ["SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS"] {
        scratch.file("kill.json", KILL_MKDIR.replace("SCMP_ACT_KILL_PROCESS", action));
        let run = ["run", "--profile", "kill.json", "--", "mkdir", "made"];
        scratch.callgate_as_user(&run).run().is(128 + SYS, "", HOW_TO_FIND_IT);
    }
}

#[test]
fn a_kill_below_the_command_is_the_commands_to_tell() {
    let scratch = Scratch::new();
    scratch.file("kill.json", KILL_MKDIR);
    let script = "mkdir made 2>/dev/null; echo $?";
    let run = ["run", "--profile", "kill.json", "--", "sh", "-c", script];
    let outcome = scratch.callgate(&run).run();
    assert_eq!((outcome.status, outcome.stdout.as_str()), (0, "159\n"));
    assert!(!outcome.stderr.contains("error:"), "{}", outcome.stderr);
}

#[test]
fn a_sigsys_that_no_filter_killed_for_is_not_said_to_be_a_kill() {
    if !root_for("telling a trap and a sent SIGSYS from a kill") {
        return;
    }
    let scratch = Scratch::new();
    if !audit_is_readable(&scratch) {
        return;
    }
    let said = "error: the command died of SIGSYS, and the kernel recorded no kill by a filter: …\
                (SCMP_ACT_TRAP)…`strace -f COMMAND` shows it\n";
    let sent = scratch.callgate(&["run", "--", "sh", "-c", "kill -SYS $$"]).run();
    sent.is_like(128 + SYS, "", said);
    scratch.file("trap.json", KILL_MKDIR.replace("SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"));
    let run = ["run", "--profile", "trap.json", "--", "mkdir", "made"];
    scratch.callgate(&run).run().is_like(128 + SYS, "", said);
}

#[test]
fn strace_shows_the_call_last() {
    let scratch = Scratch::new();
    if !tool_for("strace", "strace", "what strace shows of a kill") {
        return;
    }
    scratch.file("kill.json", KILL_MKDIR);
    let callgate = crate::common::CALLGATE;
    let outcome = scratch
        .command("strace")
        .args(&["-f", "-e", "trace=mkdir,mkdirat", "-o", "trace", callgate])
        .args(&["run", "--profile", "kill.json", "--", "mkdir", "made"])
        .run();
    assert_eq!(outcome.status, 128 + SYS);
    let trace = String::from_utf8(scratch.read("trace")).expect("strace writes text");
    let call = trace.lines().position(|line| line.contains("mkdir") && line.contains("\"made\""));
    let end = trace.lines().position(|line| line.contains("+++ killed by SIGSYS"));
    assert!(call.is_some() && call < end, "{trace}");
}

#[test]
fn a_logged_call_shows_in_the_kernels_log() {
    if !root_for("the kernel's log of SCMP_ACT_LOG and of --log") {
        return;
    }
    let scratch = Scratch::new();
    if scratch.command("dmesg").run().status != 0 {
        skip("the kernel's log is not tested: dmesg cannot read it here");
        return;
    }
    let refused = KILL_MKDIR.replace("_KILL_PROCESS", "_ERRNO");
    scratch.file("log.json", KILL_MKDIR.replace("_KILL_PROCESS", "_LOG"));
    scratch.file("refuse.json", refused.as_bytes());
    let mkdir = crate::common::find("mkdir").expect("coreutils are everywhere");
    // By its own name each program is found among all that the machine logs.
    let logged = |name: &str, args: &[&str]| {
        let program = scratch.copy(&mkdir, name, 0o755);
        let program = program.to_str().expect("a plain path");
        // The kernel limits how much it prints, and other tests make it print too.
        for _ in 0..20 {
            scratch.callgate(&[&["run"], args, &["--", program, "made"]].concat()).run();
            let log = scratch.command("dmesg").run().stdout;
            let comm = format!("comm=\"{name}\"");
            if log.lines().any(|line| line.contains("type=1326") && line.contains(&comm)) {
                return true;
            }
            thread::sleep(Duration::from_secs(1));
        }
        false
    };
    let id = std::process::id();
    let auditd = scratch.command("pgrep").args(&["-x", "auditd"]).run().status == 0;
    if auditd {
        skip("the kernel's log is not tested: auditd takes the records");
        return;
    }
    assert!(logged(&format!("a{id}"), &["--profile", "log.json"]), "SCMP_ACT_LOG");
    assert!(scratch.join("made").exists());
    assert!(logged(&format!("b{id}"), &["--profile", "refuse.json", "--log"]), "--log");
}
