//! Real servers under load: recorded, by each method and beside strace; then the same load under
//! the profile that was made of the recording, with a default that kills.
//!
//! It takes root and the packages that `cargo xtask test` installs; what is missing is said on
//! standard error.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

#[path = "common/mod.rs"]
mod common;
#[path = "servers/server.rs"]
mod server;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    common::{Scratch, root_for, skip, tool_for},
    server::Server,
};

/// What one run of the same load calls and another does not, and why. Everything else is the same,
/// whoever watches.
const BY_CHANCE: &[(&str, &str)] = &[
    ("futex", "only where a lock was taken by another thread"),
    ("madvise", "allocators give memory back by the amount that is free"),
    ("pwritev", "PostgreSQL, in some runs of one load and not in others"),
    ("restart_syscall", "only where a stop falls into a sleep"),
    ("rt_sigreturn", "only where a signal finds its process running"),
    ("sched_yield", "only where a lock is held by another thread"),
];

#[test]
fn nginx_serves_under_what_was_recorded() {
    let scratch = Scratch::new();
    checks(&scratch, Server::nginx(&scratch), "accept4");
}

#[test]
fn redis_serves_and_saves_under_what_was_recorded() {
    let scratch = Scratch::new();
    checks(&scratch, Server::redis(&scratch), "fdatasync");
}

#[test]
fn postgresql_commits_under_what_was_recorded() {
    let scratch = Scratch::new();
    checks(&scratch, Server::postgresql(&scratch), "fdatasync");
}

#[test]
fn python_serves_under_what_was_recorded() {
    let scratch = Scratch::new();
    checks(&scratch, Server::python(&scratch), "accept4");
}

#[test]
fn node_serves_under_what_was_recorded() {
    let scratch = Scratch::new();
    checks(&scratch, Server::node(&scratch), "accept4");
}

/// Everything that is asked of a server; the load cannot do without the call `vital`.
fn checks(scratch: &Scratch, server: Option<Server<'_>>, vital: &str) {
    let Some(server) = server else { return };
    if !root_for("a server that is recorded by every method") {
        return;
    }
    let tried = scratch.callgate(&["record", "--method", "ebpf", "-o", "try", "--", "true"]).run();
    let mut methods = vec!["notify"];
    if tried.status == 0 {
        methods.insert(0, "ebpf");
    } else {
        skip(&format!("{} recorded by eBPF is not tested: {}", server.name, tried.stderr.trim()));
    }
    for method in &methods {
        let file = format!("{method}.rec");
        // The second run of notification is at nearly full speed, so its load is another.
        for _ in 0..2 {
            server.runs_well(&["record", "--method", method, "-o", &file, "--"]);
        }
    }
    let sets: Vec<BTreeSet<String>> =
        methods.iter().map(|method| called(scratch, &format!("{method}.rec"))).collect();
    if let [ebpf, notify] = &sets[..] {
        let differing: BTreeSet<String> = ebpf.symmetric_difference(notify).cloned().collect();
        assert_by_chance(server.name, "eBPF and notification differ by", &differing);
    }
    if tool_for("strace", "strace", "recordings of servers beside strace") {
        server.traced("trace");
        scratch.callgate(&["record", "-o", "s.rec", "--from-strace", "trace"]).run();
        let traced = called(scratch, "s.rec");
        for (method, set) in methods.iter().zip(&sets) {
            let missing: BTreeSet<String> = traced.difference(set).cloned().collect();
            assert_by_chance(server.name, &format!("strace saw more than {method}:"), &missing);
        }
    }
    for method in &methods {
        profile(scratch, method);
        server.runs_well(&["run", "--profile", "p.json", "--cap-keep", "--"]);
    }
    // And this test would notice.
    scratch.file("p.json", without(&scratch.read("p.json"), vital));
    let why = server.run(&["run", "--profile", "p.json", "--cap-keep", "--"]).err();
    assert!(why.is_some(), "{}: {vital} was refused and nobody noticed", server.name);
}

/// Makes `p.json` of a method's recording.
fn profile(scratch: &Scratch, method: &str) {
    let file = format!("{method}.rec");
    let args = ["profile", &file, "--default", "kill", "--runtime", "none", "-o", "p.json"];
    scratch.callgate(&args).run().is_like(0, "", "p.json: … recorded…");
}

/// A profile that does not have this call.
fn without(profile: &[u8], call: &str) -> String {
    let mut profile: Value = serde_json::from_slice(profile).expect("a profile is JSON");
    for entry in profile["syscalls"].as_array_mut().expect("it has entries") {
        entry["names"].as_array_mut().expect("it has names").retain(|name| name != call);
    }
    let entries = profile["syscalls"].as_array_mut().expect("it has entries");
    entries.retain(|entry| entry["names"].as_array().is_some_and(|names| !names.is_empty()));
    profile.to_string()
}

/// The names in a recording.
fn called(scratch: &Scratch, name: &str) -> BTreeSet<String> {
    let text = String::from_utf8(scratch.read(name)).expect("a recording is text");
    let lines = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).expect("a line is JSON");
        assert!(line["lost"].is_null(), "{name}: {line}");
        line
    });
    lines.filter_map(|line| line["name"].as_str().map(str::to_owned)).collect()
}

#[track_caller]
fn assert_by_chance(server: &str, what: &str, names: &BTreeSet<String>) {
    let unexplained: Vec<&String> =
        names.iter().filter(|name| BY_CHANCE.iter().all(|(known, _)| known != name)).collect();
    assert!(unexplained.is_empty(), "{server}: {what} {unexplained:?}, of {names:?}");
}
