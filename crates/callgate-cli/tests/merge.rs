//! `callgate merge`: union and intersection, exact, readable, with a call for what one permits and
//! another refuses.

mod common;

use common::{Outcome, Scratch};
use serde_json::Value;

/// Entries of a profile that a node may limit it to.
const ENTRY_LIMIT: usize = 128;

fn entries(profile: &Outcome) -> usize {
    let json: Value = serde_json::from_str(&profile.stdout).expect("it is JSON");
    json["syscalls"].as_array().expect("a list").len()
}

fn profile(default: &str, entries: &[(&str, &str, &str)]) -> String {
    let entries: Vec<String> = entries
        .iter()
        .map(|(name, action, args)| {
            format!(r#"{{ "names": ["{name}"], "action": "SCMP_ACT_{action}", "args": [{args}] }}"#)
        })
        .collect();
    format!(
        r#"{{ "defaultAction": "SCMP_ACT_{default}", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [{}] }}"#,
        entries.join(", ")
    )
}

/// The first argument has none of these bits.
fn none_of(mask: u64) -> String {
    format!(r#"{{ "index": 0, "op": "SCMP_CMP_MASKED_EQ", "value": {mask}, "valueTwo": 0 }}"#)
}

fn answer(scratch: &Scratch, file: &str, call: &[&str]) -> String {
    let args = ["eval", file, "--json", "--arch", "x86_64", "--"];
    let outcome = scratch.callgate(&[&args[..], call].concat()).run();
    let json: Value = serde_json::from_str(&outcome.stdout).expect("it is JSON");
    json[0]["action"].as_str().expect("an action").to_owned()
}

#[test]
fn a_profile_merged_with_itself_means_the_same_in_few_entries() {
    let scratch = Scratch::new();
    for how in [&["--intersect"][..], &[]] {
        let merge = [&["merge", "docker-default", "docker-default"], how].concat();
        let merged = scratch.callgate(&merge).run();
        assert_eq!((merged.status, &*merged.stderr), (0, ""), "{how:?}");
        // The author's own has four times as many.
        assert!(entries(&merged) <= 10, "{} entries", entries(&merged));
        scratch.file("merged.json", &merged.stdout);
        let diff = scratch.callgate(&["diff", "docker-default", "merged.json"]).run();
        diff.is_like(0, "same: the kernel acts alike on every call\n", "…");
        // What is written has nothing that its reader warns of.
        scratch.callgate(&["check", "--pedantic", "merged.json"]).run().is_like(0, "…", "…");
    }
    let union = scratch.callgate(&["merge", "docker-default", "strict"]).run();
    assert!(union.status == 0 && entries(&union) < ENTRY_LIMIT, "{}", union.stdout);
}

#[test]
fn conditions_on_one_argument_are_combined_exactly() {
    const NEWUSER: u64 = 0x1000_0000;
    const NEWNS: u64 = 0x0002_0000;
    let scratch = Scratch::new();
    scratch.file("a.json", profile("ERRNO", &[("clone", "ALLOW", &none_of(NEWUSER))]));
    scratch.file("b.json", profile("ERRNO", &[("clone", "ALLOW", &none_of(NEWNS))]));
    let merge = |args: &[&str]| {
        let outcome = scratch.callgate(&[&["merge", "a.json", "b.json"], args].concat()).run();
        assert_eq!(outcome.status, 0, "{}", outcome.stderr);
        outcome
    };
    let both = merge(&["--intersect", "-o", "both.json"]);
    merge(&["-o", "either.json"]);
    for (flags, in_both, in_either) in [
        ("0", "allow", "allow"),
        ("CLONE_NEWUSER", "errno(1)", "allow"),
        ("CLONE_NEWNS", "errno(1)", "allow"),
        ("CLONE_NEWNS|CLONE_NEWUSER", "errno(1)", "errno(1)"),
        ("CLONE_VM|CLONE_FS", "allow", "allow"),
    ] {
        assert_eq!(answer(&scratch, "both.json", &["clone", flags]), in_both, "{flags}");
        assert_eq!(answer(&scratch, "either.json", &["clone", flags]), in_either, "{flags}");
    }
    // Each permits something that the other refuses.
    both.is_like(
        0,
        "",
        "note: a.json permits what b.json refuses: clone(0x20000, 0, 0, 0, 0)…
note: b.json permits what a.json refuses: clone(0x10000000, 0, 0, 0, 0)…
",
    );
}

#[test]
fn a_rule_with_arguments_and_one_without_are_combined_exactly() {
    let scratch = Scratch::new();
    scratch.file("a.json", profile("ERRNO", &[("clone", "ALLOW", "")]));
    scratch.file("b.json", profile("ERRNO", &[("clone", "ALLOW", &none_of(1))]));
    let merge = |args: &[&str]| {
        scratch.callgate(&[&["merge", "a.json", "b.json", "-o", "out.json"], args].concat()).run()
    };
    merge(&["--intersect"]).is_like(
        0,
        "",
        "note: a.json permits what b.json refuses: clone(1, 0, 0, 0, 0)…\n",
    );
    scratch.callgate(&["diff", "out.json", "b.json"]).run().is_like(0, "same…", "");
    merge(&[]).is(0, "", "");
    scratch.callgate(&["diff", "out.json", "a.json"]).run().is_like(0, "same…", "");
}

#[test]
fn of_two_actions_the_kernels_order_decides() {
    // From the strongest to the weakest, as the kernel has them.
    let order = ["KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO", "NOTIFY", "TRACE", "LOG", "ALLOW"];
    let scratch = Scratch::new();
    let name = |action: &str| format!("{action}.json");
    for action in order {
        // `write` and a default may not ask a supervisor.
        scratch.file(&name(action), profile("KILL_PROCESS", &[("mkdir", action, "")]));
    }
    for pair in order.windows(2) {
        let [strong, weak] = [name(pair[0]), name(pair[1])];
        for (how, expected) in [(Some("--intersect"), &strong), (None, &weak)] {
            for sources in [[&strong, &weak], [&weak, &strong]] {
                let mut args = vec!["merge", sources[0], sources[1], "-o", "out.json"];
                args.extend(how);
                let outcome = scratch.callgate(&args).run();
                assert_eq!(outcome.status, 0, "{}", outcome.stderr);
                let diff = scratch.callgate(&["diff", "out.json", expected]).run();
                assert_eq!(diff.status, 0, "{args:?}: {}", diff.stdout);
            }
        }
    }
}

#[test]
fn a_counter_example_is_told_for_each_ordered_pair_but_for_a_few() {
    let scratch = Scratch::new();
    let names: Vec<String> = ["mkdir", "rmdir", "chmod", "chown", "link"]
        .iter()
        .map(|call| {
            let name = format!("{call}.json");
            scratch.file(&name, profile("ERRNO", &[(call, "ALLOW", "")]));
            name
        })
        .collect();
    let mut args = vec!["merge", "--intersect", "-o", "out.json"];
    args.extend(names.iter().map(String::as_str));
    let outcome = scratch.callgate(&args).run();
    assert_eq!(outcome.status, 0);
    let lines: Vec<&str> = outcome.stderr.lines().filter(|l| l.starts_with("note: ")).collect();
    assert_eq!(lines[0], "note: mkdir.json permits what rmdir.json refuses: mkdir(0, 0)");
    assert_eq!(lines.last(), Some(&"note: and 14 more pairs in which one permits more"));
    assert_eq!(lines.len(), 7);
    // A part of another permits nothing that it refuses.
    let args = ["merge", "--intersect", "strict", "docker-default", "-o", "out.json"];
    let outcome = scratch.callgate(&args).run();
    assert!(outcome.stderr.starts_with("note: docker-default permits what strict refuses: "));
    assert!(!outcome.stderr.contains("note: strict permits"), "{}", outcome.stderr);
}

#[test]
fn profiles_that_end_at_different_calls_are_merged_in_either_order() {
    let scratch = Scratch::new();
    scratch.file("old.json", profile("ERRNO", &[("mkdir", "ALLOW", "")]));
    scratch.file("kill.json", profile("KILL_PROCESS", &[("rmdir", "ALLOW", "")]));
    for sources in [["docker-default", "old.json"], ["old.json", "kill.json"]] {
        for [a, b] in [sources, [sources[1], sources[0]]] {
            let merge = ["merge", "--intersect", a, b, "--arch", "x86_64", "-o", "out.json"];
            let merged = scratch.callgate(&merge).run();
            assert_eq!(merged.status, 0, "{a} {b}: {}", merged.stderr);
            for source in [a, b] {
                let diff = ["diff", "--subset", "out.json", source, "--arch", "x86_64"];
                let diff = scratch.callgate(&diff).run();
                assert_eq!(diff.status, 0, "{a} {b}: {}", diff.stdout);
            }
        }
    }
}

#[test]
fn only_flags_that_all_ask_for_are_kept() {
    let scratch = Scratch::new();
    let with = |flags: &str| {
        profile("ERRNO", &[("mkdir", "ALLOW", "")]).replacen(
            '{',
            &format!(r#"{{ "flags": [{flags}],"#),
            1,
        )
    };
    scratch.file("a.json", with(r#""SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC""#));
    scratch.file("b.json", with(r#""SECCOMP_FILTER_FLAG_LOG""#));
    let outcome = scratch.callgate(&["merge", "a.json", "b.json"]).run();
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    assert!(outcome.stdout.contains(r#""flags": ["SECCOMP_FILTER_FLAG_LOG"]"#));
    let said = "warning: SECCOMP_FILTER_FLAG_TSYNC is left out, which only a.json asks for\n";
    assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
}

#[test]
fn a_merge_is_written_in_any_format_or_as_a_program() {
    let scratch = Scratch::new();
    let merge = ["merge", "docker-default", "strict", "--intersect", "--to"];
    let program = scratch.callgate(&[&merge[..], &["raw", "-o", "out.bpf"]].concat()).run();
    assert_eq!(program.status, 0, "{}", program.stderr);
    scratch.callgate(&["diff", "out.bpf", "strict"]).run().is_like(0, "same…", "");
}

#[test]
fn options_may_stand_between_the_sources_of_which_there_are_two() {
    let scratch = Scratch::new();
    let merge = ["merge", "docker-default", "-o", "out.json", "docker-default"];
    scratch.callgate(&merge).run().is_like(0, "", "…");
    scratch.callgate(&["diff", "out.json", "docker-default"]).run().is_like(0, "same…", "…");
    let alone = "error: strict alone is nothing to merge; name another\n";
    scratch.callgate(&["merge", "strict"]).run().is(2, "", alone);
}
