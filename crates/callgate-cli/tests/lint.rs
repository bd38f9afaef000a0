//! `callgate lint`: findings for a person, for programs and for code hosts, and the exit status.

mod common;

use std::time::{Duration, Instant};

use callgate_verdict::lint::LINTS;
use common::{Scratch, like};
use serde_json::Value;

/// What every lint is content with.
const CLEAN: &str = r#"{
  "defaultAction": "SCMP_ACT_ERRNO",
  "syscalls": [
    { "names": ["read", "write", "exit_group", "rt_sigreturn"], "action": "SCMP_ACT_ALLOW" }
  ]
}
"#;

/// A warning that an edit mends.
const INTERRUPTED: &str = r#"{
  "defaultAction": "SCMP_ACT_ERRNO",
  "syscalls": [
    { "names": ["read", "write", "poll"], "action": "SCMP_ACT_ALLOW" }
  ]
}
"#;

/// A note alone.
const KILLING: &str = r#"{
  "defaultAction": "SCMP_ACT_KILL_PROCESS",
  "syscalls": [
    { "names": ["read", "write"], "action": "SCMP_ACT_ALLOW" }
  ]
}
"#;

/// Refuses mkdir by its number, whatever the architecture.
const BARE: &str = "ld [nr]\njeq #83, no\nret allow\nno: ret errno(1)\n";

/// For a machine that the test does not depend on.
const MACHINE: [&str; 6] = ["--arch", "x86_64", "--kernel", "6.12", "--dialect", "docker"];

fn lint(scratch: &Scratch, more: &[&str]) -> common::Outcome {
    scratch.callgate(&["lint"]).args(&MACHINE).args(more).run()
}

#[test]
fn a_clean_profile_is_called_clean() {
    let scratch = Scratch::new();
    scratch.file("p.json", CLEAN);
    lint(&scratch, &["p.json"]).is(0, "p.json: clean\n", "");
    let piped = scratch.callgate(&["lint"]).args(&MACHINE).arg("-").input(CLEAN).run();
    piped.is(0, "standard input: clean\n", "");
}

#[test]
fn a_finding_has_place_consequence_call_page_help_and_edit() {
    let scratch = Scratch::new();
    scratch.file("p.json", INTERRUPTED);
    lint(&scratch, &["p.json", "--no-enosys"]).is(
        1,
        "warning[restart-syscall]: `restart_syscall` is refused, and poll can be interrupted
 --> p.json:2:21
  |
2 |   \"defaultAction\": \"SCMP_ACT_ERRNO\",
  |                     ^^^^^^^^^^^^^^ by the default
  |
  = so: a user's program that is stopped and continued in such a call, or traced, has it refused with EPERM instead of taken up again
  = shown: restart_syscall(): refuses (EPERM)
  = page: docs/lints/restart-syscall.md
  = help: permit `restart_syscall`: it only takes up what was permitted before
help: this would mend it
  |
4 |     { \"names\": [\"read\", \"write\", \"poll\", \"restart_syscall\"], \"action\": \"SCMP_ACT_ALLOW\" }
  |                                       +++++++++++++++++++

p.json: 1 warning
",
        "",
    );
}

#[test]
fn notes_are_findings_with_pedantic_alone_and_ids_can_be_left_out() {
    let scratch = Scratch::new();
    scratch.file("p.json", KILLING);
    let more = ["p.json", "--no-enosys"];
    let outcome = lint(&scratch, &more);
    outcome.is_like(0, "note[kill-default]: …p.json: 1 note\n", "");
    assert_eq!(lint(&scratch, &[&more[..], &["--pedantic"]].concat()).status, 1);
    let silenced =
        lint(&scratch, &[&more[..], &["--pedantic", "--allow", "kill-default"]].concat());
    silenced.is(0, "p.json: clean\n", "");
    scratch.file("q.json", INTERRUPTED);
    lint(&scratch, &["q.json", "--allow", "restart-syscall"]).is(0, "q.json: clean\n", "");
    let misspelt = lint(&scratch, &["q.json", "--allow", "restart-sycall"]);
    misspelt.is_like(2, "", "error: …did you mean `restart-syscall`?…");
}

#[test]
fn a_program_is_placed_by_instruction() {
    let scratch = Scratch::new();
    scratch.file("p.s", BARE);
    scratch
        .callgate(&["asm", "p.s", "-o", "p.bpf", "--endian", "little"])
        .run()
        .is_like(0, "…", "…");
    let outcome = lint(&scratch, &["p.bpf"]);
    outcome.is_like(
        1,
        "error[no-arch-check]: …
 = at: instruction 0000: ld   [0] ; nr
 = so: …
 = shown: mkdir(0, 0) on x86: allows; mkdir(0, 0): refuses (EPERM)
…p.bpf: 1 error, …\n",
        "",
    );
    // Twice the same: filters of one process.
    lint(&scratch, &["p.bpf", "p.bpf"]).is_like(1, "…p.bpf p.bpf: 1 error…\n", "");
}

#[test]
fn json_has_all_that_is_said() {
    let scratch = Scratch::new();
    scratch.file("p.json", INTERRUPTED);
    let report = lint(&scratch, &["p.json", "--json"]).json(1);
    assert_eq!(report["source"], "p.json");
    let finding = &report["findings"][0];
    assert_eq!(finding["id"], "restart-syscall");
    assert_eq!(finding["severity"], "warning");
    assert_eq!(finding["places"][0]["line"], 2);
    assert_eq!(finding["edits"][0]["replacement"], "\", \"restart_syscall");
    assert_eq!(finding["page"], "docs/lints/restart-syscall.md");
    assert_eq!(finding["example"]["call"]["number"], 219);
    assert!(finding["example"]["call"]["action"].as_str().is_some_and(|a| a.starts_with("errno")));
    for key in ["message", "consequence", "help"] {
        assert!(finding[key].as_str().is_some_and(|text| !text.is_empty()), "{key}");
    }
    let schema = scratch.callgate(&["generate", "schema", "lint"]).run();
    assert!(schema.stdout.contains("consequence"), "{}", schema.stderr);
}

#[test]
fn sarif_has_rules_places_and_fixes() {
    let scratch = Scratch::new();
    scratch.file("a profile.json", INTERRUPTED);
    let log = lint(&scratch, &["a profile.json", "--sarif"]).json(1);
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), LINTS.len());
    let result = &run["results"][0];
    let rule = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    assert_eq!(rules[rule]["id"], result["ruleId"]);
    assert_eq!(result["ruleId"], "restart-syscall");
    assert_eq!(result["level"], "warning");
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "a%20profile.json");
    let region = &place["region"];
    let [start, length] = ["byteOffset", "byteLength"].map(|key| number(&region[key]));
    assert_eq!(&INTERRUPTED[start..start + length], "SCMP_ACT_ERRNO");
    assert_eq!((number(&region["startLine"]), number(&region["startColumn"])), (2, 21));
    let change = &result["fixes"][0]["artifactChanges"][0];
    assert_eq!(change["artifactLocation"], place["artifactLocation"]);
    let replacement = &change["replacements"][0];
    let at = number(&replacement["deletedRegion"]["byteOffset"]);
    let inserted = replacement["insertedContent"]["text"].as_str().unwrap();
    // Made in the text, the fix leaves nothing to find.
    let mended = format!("{}{inserted}{}", &INTERRUPTED[..at], &INTERRUPTED[at..]);
    scratch.file("mended.json", mended);
    lint(&scratch, &["mended.json"]).is(0, "mended.json: clean\n", "");
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap_or_else(|| panic!("{value}"))).unwrap()
}

#[test]
fn an_unknown_name_is_a_finding_even_where_it_refuses_the_text() {
    let scratch = Scratch::new();
    let text = r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [ { "names": ["mkidr", "ptrace"], "action": "SCMP_ACT_ERRNO" } ] }"#;
    scratch.file("p.json", text);
    let outcome = lint(&scratch, &["p.json"]);
    // What else there is to find is found.
    outcome.is_like(
        1,
        "error[unknown-syscall]: …did you mean `mkdir`?…warning[process-access]: …",
        "",
    );
}

#[test]
fn what_cannot_be_looked_at_is_told_with_its_errors() {
    let scratch = Scratch::new();
    scratch.file("p.json", INTERRUPTED.replace("ALLOW", "ALOW"));
    let outcome = lint(&scratch, &["p.json"]);
    outcome.is_like(
        2,
        "error[unknown-action]: …page: docs/diagnostics/unknown-action.md…p.json: 1 error\n",
        "error: p.json: the text has errors, so its meaning was not looked at\n",
    );
    let json = lint(&scratch, &["p.json", "--json"]);
    assert_eq!(json.status, 2);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["findings"][0]["id"], "unknown-action");
    lint(&scratch, &["missing.json"]).is_like(2, "", "error: missing.json: no such file…");
    scratch.file("q.json", CLEAN);
    lint(&scratch, &["q.json", "q.json"]).is_like(
        2,
        "",
        "error: q.json: a profile is looked at by itself\n",
    );
    scratch.file("broken.bpf", [0u8; 16]);
    lint(&scratch, &["broken.bpf"]).is_like(
        2,
        "",
        "error: broken.bpf: the kernel would refuse it…",
    );
}

#[test]
fn the_readers_warnings_are_findings_too() {
    let scratch = Scratch::new();
    scratch.file("p.json", CLEAN.replace("\"defaultAction\"", "\"commnt\": 1, \"defaultAction\""));
    let outcome = lint(&scratch, &["p.json"]);
    outcome.is_like(1, "warning[unknown-key]: …page: docs/diagnostics/unknown-key.md…", "");
    lint(&scratch, &["p.json", "--allow", "unknown-key"]).is(0, "p.json: clean\n", "");
}

#[test]
fn built_in_profiles_raise_no_false_alarm_and_no_delay() {
    let scratch = Scratch::new();
    for source in ["strict", "strict-exit-group"] {
        let outcome = lint(&scratch, &[source]);
        outcome.is_like(0, "note[kill-default]: …", "");
        assert!(like(&outcome.stdout, &format!("…{source}: 1 note\n")));
    }
    lint(&scratch, &["audit"]).is_like(0, "note[default-open]: …audit: 1 note\n", "");
    for source in ["violation", "fine-grained"] {
        lint(&scratch, &[source]).is(0, &format!("{source}: clean\n"), "");
    }
    let start = Instant::now();
    let report = lint(&scratch, &["docker-default", "--json"]);
    // A fifth of a second when built for release; this may be neither, on a loaded machine.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(report.status < 2, "{}", report.stderr);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    // What a reader of that profile would call true; anything else is looked into.
    let known = ["dirty-upper-half", "multiplexer-open", "process-access", "sign-extension"];
    for finding in report["findings"].as_array().unwrap() {
        let id = finding["id"].as_str().unwrap();
        assert!(known.contains(&id), "{finding:#}");
        assert_ne!(finding["severity"], "error", "{finding:#}");
    }
}

/// Bits that were masked out are compared with a value that has one of them: execve never runs.
/// What the kernel does with it: `known_rows.rs` of `callgate-kernel`.
#[test]
fn a_comparison_that_cannot_hold_allows_nothing() {
    let scratch = Scratch::new();
    scratch.file(
        "p.asm",
        "ld [arch]\njne #0xc000003e, bad\nld [nr]\njeq #59, look\njeq #0, yes\njeq #60, yes, no\n\
         look: ld [args[0].low]\nand #0xff\njeq #0x100, yes\nno: ret errno(1)\n\
         yes: ret allow\nbad: ret kill_process\n",
    );
    let asm = ["asm", "p.asm", "--endian", "little", "-o", "p.bpf"];
    scratch.callgate(&asm).run().is_like(0, "…", "…");
    scratch.callgate(&["explain", "p.bpf", "--allows", "execve"]).args(&MACHINE).run().is_like(
        1,
        "execve …refused…always…\n…",
        "",
    );
    let found = lint(&scratch, &["p.bpf"]).stdout;
    assert!(!found.contains("execve"), "{found}");
}

#[test]
fn a_filter_that_refuses_nothing_is_not_called_clean() {
    let scratch = Scratch::new();
    scratch.file("open.json", r#"{ "defaultAction": "SCMP_ACT_ALLOW" }"#);
    scratch.callgate(&["lint", "open.json"]).run().is_like(
        0,
        "note[default-open]: every call is allowed: the filter refuses nothing\n…open.json: 1 note\n",
        "",
    );
}

#[test]
fn an_id_that_nothing_has_is_pointed_out() {
    let scratch = Scratch::new();
    scratch.callgate(&["lint", "docker-default", "--allow", "nosuchlint"]).run().is_like(
        1,
        "…",
        "…--allow nosuchlint: no lint has this id, nor any finding\n",
    );
}
