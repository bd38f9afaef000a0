//! `dump -- COMMAND`.

use super::readable;
use crate::common::{CALLGATE, Scratch, is_root};

const NO_MKDIR: &str = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
    {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}"#;

#[test]
fn what_a_command_loads_is_written_and_told_in_a_line() {
    let scratch = Scratch::new();
    let checked = if is_root() { ", as the kernel has it" } else { "" };
    let caught = [CALLGATE, "run", "--profile", "own.json", "--", "sh", "-c", "exit 3"];
    scratch.file("own.json", NO_MKDIR);
    let outcome = scratch.callgate(&[&["dump", "-o", "filters", "--"], &caught[..]].concat()).run();
    outcome.is_like(
        3,
        "",
        &format!(
            "filter 1: …callgate (process …) by seccomp, …, flags none: … instructions{checked} -> \
             filters/1-callgate-….bpf\n…"
        ),
    );
    let mut files = std::fs::read_dir(scratch.join("filters")).unwrap();
    let file = files.next().unwrap().unwrap().file_name().into_string().unwrap();
    assert!(files.next().is_none());
    scratch
        .callgate(&["diff", "own.json", &format!("filters/{file}")])
        .run()
        .is_like(0, "same…", "");
}

#[test]
fn an_ordinary_user_catches_too_and_is_told_what_is_missing() {
    let scratch = Scratch::new();
    let callgate = scratch.copy(CALLGATE, "callgate", 0o755);
    let inner = callgate.to_str().unwrap();
    scratch.callgate_as_user(&["dump", "--", inner, "run", "--", "true"]).run().is_like(
        0,
        "",
        "filter 1: …callgate (process …)…instructions\nnote: …not compared…CAP_SYS_ADMIN…",
    );
}

#[test]
fn the_report_as_json_comes_when_the_command_has_ended() {
    if !readable("the kernel's word on caught filters") {
        return;
    }
    let scratch = Scratch::new();
    let args = ["dump", "--json", "--", CALLGATE, "run", "--log", "--", "sh", "-c", "exit 4"];
    let outcome = scratch.callgate(&args).run();
    assert_eq!(outcome.status, 4);
    let json: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(json["status"], 4);
    let filter = &json["filters"][0];
    assert_eq!(filter["flags"], serde_json::json!(["LOG"]));
    assert_eq!((&filter["call"], &filter["cross_check"]), (&"seccomp".into(), &"same".into()));
}

#[test]
fn statuses_are_those_of_run() {
    let scratch = Scratch::new();
    let dump = |args: &[&str]| scratch.callgate(&[&["dump", "--"], args].concat()).run();
    let none = "note: neither the command nor what it started loaded a filter\n";
    dump(&["sh", "-c", "exit 42"]).is(42, "", none);
    dump(&["sh", "-c", "kill -TERM $$"]).is(143, "", none);
    dump(&["no-such-command"]).is(127, "", "error: no-such-command: not found in PATH\n");
    dump(&["/"]).is_like(126, "", "error: /: Permission denied…");
    scratch.callgate(&["dump", "--format", "asm", "--", "true"]).run().is_like(
        125,
        "",
        "error: …-o DIR\n",
    );
    scratch.callgate(&["dump", "--nonsense", "--", "true"]).run().is_like(125, "", "error: …");
    // The folder cannot be made, so nothing is started.
    scratch.file("file", "");
    scratch.callgate(&["dump", "-o", "file/x", "--", "touch", "made"]).run().is_like(
        125,
        "",
        "error: file/x: …",
    );
    assert!(!scratch.join("made").exists());
}

#[test]
fn the_commands_input_and_output_are_its_own() {
    let scratch = Scratch::new();
    let outcome = scratch.callgate(&["dump", "--", "cat"]).input("through\n").run();
    outcome.is_like(0, "through\n", "note: …");
}
