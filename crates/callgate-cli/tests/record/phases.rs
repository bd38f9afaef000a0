//! What a recording keeps apart: the start, what comes after it, and what comes after a marker.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{ebpf_for, lines, recorder};
use crate::common::Scratch;

#[test]
fn the_start_is_told_from_what_comes_after() {
    let scratch = Scratch::new();
    let methods: &[&str] =
        if ebpf_for(&scratch, "phases with eBPF") { &["ebpf", "notify"] } else { &["notify"] };
    for method in methods {
        let file = format!("{method}.rec");
        let script = "mkdir first; sleep 1.6; rmdir first; sleep 0.6";
        let start = ["record", "--method", method, "--start-up", "1", "-o", &file, "--"];
        scratch.callgate(&[&start[..], &["sh", "-c", script]].concat()).run();
        let phases = |name: &str| -> BTreeSet<String> {
            let of_call = lines(&scratch, &file).into_iter().filter(|line| line["name"] == name);
            of_call.filter_map(|line| line["phase"].as_str().map(str::to_owned)).collect()
        };
        assert_eq!(phases("mkdir"), BTreeSet::from(["start-up".to_owned()]), "{method}");
        assert_eq!(phases("rmdir"), BTreeSet::from(["running".to_owned()]), "{method}");
    }
}

#[test]
fn a_marker_parts_what_comes_after_it_from_what_came_before() {
    let scratch = Scratch::new();
    let methods: &[&str] =
        if ebpf_for(&scratch, "markers with eBPF") { &["ebpf", "notify"] } else { &["notify"] };
    // Nothing waits: a call that is new is filed exactly.
    let script = "kill -0 $$; mkdir dir; umask 022; rmdir dir; cd /";
    for method in methods {
        let file = format!("{method}.rec");
        let start = ["record", "--method", method, "--marker", "made=mkdir"];
        let more = ["--marker", "rmdir", "-o", &file, "--", "sh", "-c", script];
        let outcome = scratch.callgate(&[&start[..], &more].concat()).run();
        outcome.is_like(0, "", &format!("{file}: …\n"));
        let phases = |name: &str| -> BTreeSet<String> {
            let of_call = lines(&scratch, &file).into_iter().filter(|line| line["name"] == name);
            of_call.filter_map(|line| line["phase"].as_str().map(str::to_owned)).collect()
        };
        for (call, phase) in [
            ("kill", "start-up"),
            ("mkdir", "start-up"),
            ("umask", "after:made"),
            ("rmdir", "after:made"),
            ("chdir", "after:rmdir"),
        ] {
            assert_eq!(phases(call), BTreeSet::from([phase.to_owned()]), "{call} by {method}");
        }
        let after = |phase: &str| {
            scratch.callgate(&["profile", &file, "--runtime", "none", "--phase", phase]).run()
        };
        let profile = after("after:made");
        assert_eq!(profile.status, 0, "{}", profile.stderr);
        assert!(profile.stdout.contains("\"umask\"") && !profile.stdout.contains("\"kill\""));
        after("after:other").is_like(
            2,
            "",
            "error: no run was in the phase `after:other`; the recorded ones: start-up, after:…\n",
        );
    }
    // What passes unwatched is of no phase.
    recorder(&scratch, &["-o", "known.rec", "--", "sh", "-c", script]);
    recorder(
        &scratch,
        &["-o", "known.rec", "--marker", "mkdir", "--", "sh", "-c", "mkdir d; ln x y"],
    );
    let args = ["profile", "known.rec", "--runtime", "none", "--phase", "after:mkdir"];
    scratch.callgate(&args).run().is_like(
        0,
        "…",
        "warning: … calls may be missing, …: read, …; record once into a new file\n…",
    );
    let wrong = ["record", "--marker", "up=lissten", "-o", "x.rec", "--", "true"];
    scratch.callgate(&wrong).run().is_like(125, "", "error: …did you mean `listen`?…");
}

#[test]
fn calls_of_both_sides_of_a_marker_are_counted_on_both() {
    let scratch = Scratch::new();
    let methods: &[&str] =
        if ebpf_for(&scratch, "counts of phases") { &["ebpf", "notify"] } else { &["notify"] };
    // By eBPF what is known already counts for the phase before until the recorder has looked.
    let script = "kill -0 $$; kill -0 $$; mkdir dir; sleep 1; kill -0 $$; rmdir dir; sleep 0.3";
    for method in methods {
        let file = format!("{method}.rec");
        let args = [
            "record", "--method", method, "--marker", "mkdir", "-o", &file, "--", "sh", "-c",
            script,
        ];
        assert_eq!(scratch.callgate(&args).run().status, 0);
        let counted = |phase: &str| {
            let is = |line: &Value| line["name"] == "kill" && line["phase"] == phase;
            lines(&scratch, &file).into_iter().rev().find(is).map(|line| line["count"].clone())
        };
        assert_eq!(counted("start-up"), Some(2.into()), "{method}");
        assert_eq!(counted("after:mkdir"), Some(1.into()), "{method}");
    }
}
