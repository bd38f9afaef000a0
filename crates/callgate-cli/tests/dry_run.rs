//! `callgate run --dry-run`: nothing is refused, and what would have been is told.

#![cfg(target_os = "linux")]

mod common;

use common::{Scratch, root_for};

const NO_MKDIR: &str = r#"{
  "defaultAction": "SCMP_ACT_ALLOW",
  "syscalls": [
    { "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS" },
    { "names": ["rmdir", "unlinkat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 37 }
  ]
}
"#;

fn dry(scratch: &Scratch, script: &str) -> common::Outcome {
    scratch.file("p.json", NO_MKDIR);
    scratch.callgate(&["run", "--profile", "p.json", "--dry-run", "--", "sh", "-c", script]).run()
}

#[test]
fn what_would_be_refused_runs_and_is_listed_once() {
    let scratch = Scratch::new();
    dry(&scratch, "mkdir made && mkdir made/too; echo said; exit 6").is_like(
        6,
        "said\n",
        "\
would be refused   mkdir(\"made\"*, 0777) kills the process  …2 times, not all with these arguments
  by      p.json: refused by name (entry 0, p.json:4:5)
  from    …mkdir+0x…, through libc mkdir()
note: * was read from the program's memory …
note: 2 …calls would have been refused
",
    );
    assert!(scratch.join("made/too").is_dir());
}

#[test]
fn nothing_refused_is_said() {
    let scratch = Scratch::new();
    dry(&scratch, "exit 3").is_like(3, "", "note: nothing would have been refused…\n");
}

#[test]
fn calls_are_counted_where_the_kernel_can() {
    let scratch = Scratch::new();
    let tried = scratch.callgate(&["record", "--method", "ebpf", "-o", "try", "--", "true"]).run();
    if tried.status != 0 {
        common::skip(&format!("the number of calls is not tested: {}", tried.stderr.trim()));
        return;
    }
    let made = |script: &str| -> u64 {
        let stderr = dry(&scratch, script).stderr;
        let number =
            stderr.rsplit_once("refused in ").and_then(|(_, rest)| rest.split_once(" calls"));
        number.expect(&stderr).0.parse().expect("it is a number")
    };
    let loops = |n| format!("i=0; while [ $i -lt {n} ]; do kill -0 $$; i=$((i + 1)); done");
    assert_eq!(made(&loops(1500)) - made(&loops(500)), 1000);
}

#[test]
fn an_ordinary_user_can_too() {
    let scratch = Scratch::new();
    scratch.file("p.json", NO_MKDIR);
    let args = ["run", "--profile", "p.json", "--dry-run", "--", "mkdir", "made"];
    scratch.callgate_as_user(&args).run().is_like(
        0,
        "",
        "would be refused   mkdir(\"made\"*, 0777) kills the process …\n…note: 1 call would have been refused\n",
    );
    assert!(scratch.join("made").is_dir());
}

#[test]
fn a_profile_that_would_not_let_the_command_start_is_told_and_it_starts() {
    let scratch = Scratch::new();
    scratch.file("p.json", r#"{ "defaultAction": "SCMP_ACT_ERRNO" }"#);
    let outcome =
        scratch.callgate(&["run", "--profile", "p.json", "--dry-run", "--", "echo", "said"]).run();
    assert_eq!((outcome.status, outcome.stdout.as_str()), (0, "said\n"), "{}", outcome.stderr);
    assert!(
        outcome.stderr.starts_with("warning: p.json: the command could not be started: `execve`")
    );
    let own = "  from    callgate itself, starting the command\n";
    let rows: Vec<&str> = outcome.stderr.split("would be refused   ").collect();
    let of = |name: &str| rows.iter().find(|row| row.starts_with(name)).expect("it is refused");
    assert!(of("execve(").ends_with(own), "{}", outcome.stderr);
    assert!(!of("write(").contains(own), "{}", outcome.stderr);
    for call in ["execve(", "openat(", "exit_group(0) = EPERM"] {
        assert!(outcome.stderr.contains(&format!("would be refused   {call}")), "{call}");
    }
}

#[test]
fn a_daemon_that_is_left_is_listed_too() {
    let scratch = Scratch::new();
    let outcome = dry(&scratch, "(sleep 0.2; mkdir late) > /dev/null & exit 0");
    assert_eq!(outcome.status, 0);
    assert!(outcome.stderr.contains("would be refused   mkdir(\"late\"*"), "{}", outcome.stderr);
    assert!(scratch.join("late").is_dir());
}

#[test]
fn capabilities_are_taken_as_without_it() {
    if !root_for("capabilities under --dry-run for") {
        return;
    }
    let scratch = Scratch::new();
    let status = |dry: &[&str]| {
        let args = [&["run"], dry, &["--", "grep", "CapPrm", "/proc/self/status"]].concat();
        scratch.callgate(&args).run().stdout
    };
    assert_eq!(status(&["--dry-run"]), status(&[]));
}

#[test]
fn it_goes_with_no_strict_mode_and_no_log() {
    let scratch = Scratch::new();
    for option in ["--strict", "--log"] {
        let outcome = scratch.callgate(&["run", "--dry-run", option, "--", "true"]).run();
        outcome.is_like(125, "", "error: …cannot be used with…");
    }
}
