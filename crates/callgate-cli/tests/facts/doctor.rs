//! `callgate doctor`: what is probed, and the table of verbs.

use serde_json::Value;

use crate::common::{Scratch, is_root};

/// What was found for `what`, in the text that JSON gives.
fn found(json: &Value, what: &str) -> String {
    let sections = json["sections"].as_array().expect("a list").iter();
    let mut findings = sections.flat_map(|s| s["findings"].as_array().expect("a list"));
    let finding = findings.find(|finding| finding["what"] == what);
    finding.unwrap_or_else(|| panic!("{what} in {json:#}"))["found"]
        .as_str()
        .expect("a text")
        .to_owned()
}

/// The row of a verb.
fn verb<'j>(json: &'j Value, name: &str) -> &'j Value {
    let mut verbs = json["verbs"].as_array().expect("a list").iter();
    verbs.find(|verb| verb["name"] == name).unwrap_or_else(|| panic!("{name} in {json:#}"))
}

#[test]
fn every_thing_asked_for_is_found_and_sections_have_titles() {
    let scratch = Scratch::new();
    let json = scratch.callgate(&["doctor", "--json"]).run().json(0);
    for what in [
        "release",
        "machine",
        "strict mode",
        "filter mode",
        "actions",
        "flags",
        "notifications",
        "logged actions",
        "JIT compiler",
        "JIT hardening",
        "user",
        "capabilities",
        "no_new_privs",
        "already filtered",
        "trace a child",
        "user namespaces",
        "cgroups",
        "audit records",
        "auditing",
    ] {
        assert!(!found(&json, what).is_empty(), "{what}");
    }
    for section in json["sections"].as_array().expect("a list") {
        assert!(section["title"].as_str().is_some_and(|title| !title.is_empty()));
    }
    let release = scratch.command("uname").arg("-r").run().stdout;
    assert_eq!(found(&json, "release"), release.trim_end());
    for action in ["kill_process", "kill_thread", "errno", "allow"] {
        assert!(found(&json, "actions").split(' ').any(|word| word == action), "{action}");
    }
}

#[test]
fn the_table_has_every_verb_with_its_four_circumstances() {
    let scratch = Scratch::new();
    let help = scratch.callgate(&["--help"]).run().stdout;
    let verbs: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .filter(|word| help.contains(&format!("\n  {word} ")))
        .collect();
    assert!(verbs.contains(&"run") && verbs.contains(&"doctor"), "{help}");
    let json = scratch.callgate(&["doctor", "--json"]).run().json(0);
    let text = scratch.callgate(&["doctor"]).run();
    assert_eq!((text.status, text.stderr.as_str()), (0, ""));
    let (_, table) = text.stdout.split_once("\nverbs\n").expect("it ends with a table");
    for name in verbs.iter().copied().chain(["run --strict"]) {
        for circumstance in ["here", "root", "user", "container", "filtered"] {
            let cell = verb(&json, name)[circumstance].as_str();
            assert!(cell.is_some_and(|cell| !cell.is_empty()), "{name} {circumstance}");
        }
        assert!(table.lines().any(|line| line.trim().starts_with(&format!("{name} "))), "{name}");
    }
}

#[test]
fn under_a_filter_it_says_what_is_closed() {
    let scratch = Scratch::new();
    let run = ["run", "--", crate::common::CALLGATE, "doctor", "--json"];
    let json = scratch.callgate(&run).run().json(0);
    assert_eq!(found(&json, "already filtered"), "yes, by 1");
    assert_eq!(found(&json, "no_new_privs"), "yes");
    assert_eq!(found(&json, "strict mode"), "no: Invalid argument (EINVAL)");
    assert_eq!(found(&json, "filter mode"), "yes");
    assert_eq!(verb(&json, "run --strict")["here"], "does not work");
    assert_eq!(verb(&json, "run")["here"], "works");
    let outside = scratch.callgate(&["doctor", "--json"]).run().json(0);
    let here = found(&outside, "already filtered");
    assert!(here == "no" || here.starts_with("yes, by "), "{here}");
}

#[test]
fn an_ordinary_user_gets_an_answer_to_everything() {
    let scratch = Scratch::new();
    let json = scratch.callgate_as_user(&["doctor", "--json"]).run().json(0);
    if is_root() {
        assert_eq!(found(&json, "user"), crate::common::NOBODY.to_string());
        assert_eq!(found(&json, "capabilities"), "none");
        assert_eq!(found(&json, "audit records"), "no: Operation not permitted (EPERM)");
    }
    assert_eq!(found(&json, "filter mode"), "yes");
    assert_eq!(verb(&json, "run")["here"], "works");
}

#[test]
fn asking_changes_nothing() {
    let scratch = Scratch::new();
    let state =
        "grep -E '^(NoNewPrivs|Seccomp|Cap)' /proc/self/status; ulimit -a; ls /proc/self/fd";
    let script =
        format!("{state}; '{}' doctor > /dev/null; echo; {state}", crate::common::CALLGATE);
    let outcome = scratch.command("sh").args(&["-c", &script]).run();
    let (before, after) = outcome.stdout.split_once("\n\n").expect("an empty line between");
    assert_eq!(before.trim(), after.trim());
}
