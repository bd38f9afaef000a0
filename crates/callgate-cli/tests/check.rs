//! `callgate check`: every consumer, every error at once, and the lines that use a profile.

mod common;

#[path = "check/consumers.rs"]
mod consumers;

use common::{Scratch, like};

/// What all consumers read alike.
const PLAIN: &str = r#"{
  "defaultAction": "SCMP_ACT_ALLOW",
  "syscalls": [
    { "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }
  ]
}
"#;

const NOTE: &str = "\
note[dialect]: read in the dialect `oci` because of its keys, which all consumers share
 |
 = help: `--dialect docker|oci|containers` says who will read it
";

#[test]
fn a_good_profile_is_understood() {
    let scratch = Scratch::new();
    scratch.file("p.json", PLAIN);
    scratch.callgate(&["check", "p.json"]).run().is(
        0,
        "p.json: understood, in the oci dialect; no warnings\n",
        NOTE,
    );
    scratch.callgate(&["check", "-"]).input(PLAIN).run().is(
        0,
        "standard input: understood, in the oci dialect; no warnings\n",
        NOTE,
    );
    for source in
        ["docker-default", "strict", "strict-exit-group", "audit", "violation", "fine-grained"]
    {
        let said = format!("{source}: understood, in the docker dialect; no warnings\n");
        scratch.callgate(&["check", source]).run().is(0, &said, "");
    }
}

#[test]
fn an_error_has_its_place_the_text_underlined_and_a_suggestion() {
    let scratch = Scratch::new();
    scratch.file(
        "p.json",
        r#"{
  "defaultAction": "SCMP_ACT_ALLOW",
  "syscalls": [
    { "names": ["mkdir"], "action": "SCMP_ACT_ERNO" },
    { "names": ["mkidr"], "action": "SCMP_ACT_ALLOW" }
  ]
}
"#,
    );
    scratch.callgate(&["check", "p.json", "--dialect", "oci"]).run().is_like(
        1,
        "",
        "error[unknown-action]: `SCMP_ACT_ERNO` is not an action
 --> p.json:4:38
  |
4 |     { \"names\": [\"mkdir\"], \"action\": \"SCMP_ACT_ERNO\" },
  |                                      ^^^^^^^^^^^^^ did you mean `SCMP_ACT_ERRNO`?
…p.json: 1 error…; its reader would refuse or misread it
",
    );
}

#[test]
fn all_errors_of_a_file_are_told_at_once() {
    let scratch = Scratch::new();
    scratch.file(
        "p.json",
        r#"{
  "defaultAction": "SCMP_ACT_ALOW",
  "architectures": ["SCMP_ARCH_X86_65"],
  "flags": ["SECCOMP_FILTER_FLAG_LOGG"],
  "colour": "red",
  "syscalls": [
    { "names": ["mkdir"], "action": "SCMP_ACT_ERNO" },
    { "names": ["rmdir"], "action": "SCMP_ACT_ERRNO", "args": [{ "index": 6, "op": "==" }] },
    { "names": [], "action": "SCMP_ACT_ERRNO" },
    { "names": "read", "action": 7 }
  ]
}
"#,
    );
    let outcome = scratch.callgate(&["check", "p.json", "--dialect", "oci"]).run();
    assert_eq!((outcome.status, outcome.stdout.as_str()), (1, ""));
    for (id, place) in [
        ("error[unknown-action]: `SCMP_ACT_ALOW`", "p.json:2:21"),
        ("error[unknown-architecture]: `SCMP_ARCH_X86_65`", "p.json:3:22"),
        ("[unknown-flag]: `SECCOMP_FILTER_FLAG_LOGG`", "p.json:4:14"),
        ("warning[unknown-key]: ", "p.json:5:4"),
        ("error[unknown-action]: `SCMP_ACT_ERNO`", "p.json:7:38"),
        ("error[bad-index]: ", "p.json:8:75"),
        ("error[unknown-operator]: `==`", "p.json:8:85"),
        ("[no-names]: ", "p.json:9:"),
        ("error[wrong-type]: ", "p.json:10:"),
    ] {
        let pattern = format!("…{id}…--> {place}…");
        assert!(like(&outcome.stderr, &pattern), "{id} at {place} in\n{}", outcome.stderr);
    }
    assert!(like(
        &outcome.stderr,
        "…\np.json: … errors, … warning…; its reader would refuse or misread it\n"
    ));
}

#[test]
fn json_output_has_every_finding_with_its_place() {
    let scratch = Scratch::new();
    scratch.file(
        "p.json",
        "{ \"defaultAction\": \"SCMP_ACT_ALLOW\",\n  \"é\": 1, \"syscalls\": [ { \"names\": [\"mkdir\"], \"action\": \"SCMP_ACT_ERNO\" } ] }\n",
    );
    let json = scratch.callgate(&["check", "p.json", "--json"]).run().json(1);
    assert_eq!(json["source"], "p.json");
    assert_eq!(json["dialect"], "oci");
    assert_eq!(json["understood"], false);
    assert_eq!(json["usage"], serde_json::json!([]));
    let finding = |id: &str| {
        let mut list = json["diagnostics"].as_array().expect("a list").iter();
        list.find(|finding| finding["id"] == id).unwrap_or_else(|| panic!("{id} in {json:#}"))
    };
    assert_eq!(finding("dialect")["severity"], "note");
    assert_eq!(finding("unknown-key")["severity"], "warning");
    let error = finding("unknown-action");
    assert_eq!(error["severity"], "error");
    assert_eq!(error["message"], "`SCMP_ACT_ERNO` is not an action");
    // Columns count characters, bytes bytes: the key before has a character of two bytes.
    let place = serde_json::json!({
        "line": 2, "column": 58, "start_byte": 95, "end_byte": 108,
        "label": "did you mean `SCMP_ACT_ERRNO`?"
    });
    assert_eq!(error["places"], serde_json::json!([place]));
    assert_eq!(error["edits"][0]["replacement"], "SCMP_ACT_ERRNO");
    assert_eq!(error["edits"][0]["start_byte"], 95);
}

#[test]
fn a_name_that_no_table_has_is_a_warning_or_an_error_by_what_ignoring_it_means() {
    let scratch = Scratch::new();
    // Stricter without it: the call stays refused.
    let stricter = PLAIN.replace("ACT_ALLOW", "ACT_X").replace("ACT_ERRNO", "ACT_ALLOW");
    let stricter = stricter.replace("ACT_X", "ACT_ERRNO").replace("mkdir\"", "mkidr\"");
    scratch.file("stricter.json", stricter);
    let warning = "warning[unknown-syscall]: no architecture has a syscall `mkidr`; ignored, so \
                   the default stays: errno(1)
 --> stricter.json:4:18
  |
4 |     { \"names\": [\"mkidr\", \"mkdirat\"], \"action\": \"SCMP_ACT_ALLOW\" }
  |                  ^^^^^ did you mean `mkdir`?
";
    scratch.callgate(&["check", "stricter.json", "--dialect", "oci"]).run().is(
        0,
        "stricter.json: understood, in the oci dialect; 1 warning\n",
        warning,
    );
    scratch.callgate(&["check", "stricter.json", "--dialect", "oci", "--pedantic"]).run().is(
        1,
        "",
        &format!(
            "{}stricter.json: 1 error; its reader would refuse or misread it\n",
            warning.replacen("warning", "error", 1)
        ),
    );
    // Looser without it: the refusal would vanish.
    scratch.file("looser.json", PLAIN.replace("mkdir\"", "mkidr\""));
    scratch.callgate(&["check", "looser.json", "--dialect", "oci"]).run().is_like(
        1,
        "",
        "error[unknown-syscall]: no architecture has a syscall `mkidr`; ignoring it would leave \
         the call to the default, allow\n --> looser.json:4:18\n…did you mean `mkdir`?\n\
         looser.json: 1 error; its reader would refuse or misread it\n",
    );
}

#[test]
fn go_reads_more_than_it_should_and_each_is_told() {
    let scratch = Scratch::new();
    scratch.file(
        "p.json",
        r#"{
  "DefaultAction": "SCMP_ACT_ERRNO",
  "defaultAction": "SCMP_ACT_ALLOW",
  "syscalls": [ { "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "Comment": "x" } ]
}
"#,
    );
    let outcome = scratch.callgate(&["check", "p.json", "--dialect", "docker"]).run();
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    for (id, place) in [("[key-case]: ", "p.json:2:4"), ("[duplicate-key]: ", "p.json:")] {
        let pattern = format!("warning…{id}…--> {place}…");
        assert!(like(&outcome.stderr, &pattern), "{id} in\n{}", outcome.stderr);
    }
    // The last one counts, as Go has it: mkdir alone is refused.
    let args = ["compile", "p.json", "--dialect", "docker", "--format", "oci", "--arch", "x86_64"];
    let outcome = scratch.callgate(&[&args[..], &["--kernel", "6.1"]].concat()).run();
    assert!(
        outcome.stdout.starts_with("{\n  \"defaultAction\": \"SCMP_ACT_ALLOW\",\n"),
        "{outcome:?}"
    );
}

#[test]
fn conflicting_rules_are_an_error_with_both_places() {
    let scratch = Scratch::new();
    scratch.file(
        "p.json",
        r#"{
  "defaultAction": "SCMP_ACT_ALLOW",
  "syscalls": [
    { "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [{ "index": 1, "op": "SCMP_CMP_EQ", "value": 7 }] },
    { "names": ["rmdir", "mkdir"], "action": "SCMP_ACT_TRAP", "args": [{ "index": 1, "op": "SCMP_CMP_EQ", "value": 7 }] }
  ]
}
"#,
    );
    let json = scratch.callgate(&["check", "p.json", "--json"]).run().json(1);
    let list = json["diagnostics"].as_array().expect("a list");
    let conflict = list.iter().find(|d| d["id"] == "conflicting-rules").expect("runc fails too");
    let lines: Vec<&serde_json::Value> =
        conflict["places"].as_array().expect("a list").iter().map(|place| &place["line"]).collect();
    assert_eq!(lines, [5, 4]);
}
