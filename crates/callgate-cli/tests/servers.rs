//! Real servers under load: recorded, by each method and beside strace; then the same load under
//! the profile that was made of the recording, with a default that kills.
//!
//! It takes root and the packages that `cargo xtask test` installs; what is missing is said on
//! standard error.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

#[path = "common/mod.rs"]
mod common;
#[path = "servers/container.rs"]
mod container;
#[path = "servers/same_run.rs"]
mod same_run;
#[path = "servers/server.rs"]
mod server;

use serde_json::Value;

use crate::{
    common::{Scratch, root_for, skip},
    container::{Container, Runtime},
    server::Server,
};

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

#[test]
fn nginx_serves_in_containers_under_what_was_recorded_there() {
    let scratch = Scratch::new();
    in_containers(&scratch, Server::nginx(&scratch), "accept4");
}

#[test]
fn redis_serves_and_saves_in_containers_under_what_was_recorded_there() {
    let scratch = Scratch::new();
    in_containers(&scratch, Server::redis(&scratch), "fdatasync");
}

#[test]
fn postgresql_commits_in_containers_under_what_was_recorded_there() {
    let scratch = Scratch::new();
    in_containers(&scratch, Server::postgresql(&scratch), "fdatasync");
}

#[test]
fn python_serves_in_containers_under_what_was_recorded_there() {
    let scratch = Scratch::new();
    in_containers(&scratch, Server::python(&scratch), "accept4");
}

#[test]
fn node_serves_in_containers_under_what_was_recorded_there() {
    let scratch = Scratch::new();
    in_containers(&scratch, Server::node(&scratch), "accept4");
}

/// Everything that is asked of a server; the load cannot do without the call `vital`.
fn checks(scratch: &Scratch, server: Option<Server<'_>>, vital: &str) {
    let Some(server) = server else { return };
    if !root_for("a server that is recorded by every method") {
        return;
    }
    let tried = scratch.callgate(&["record", "--method", "ebpf", "-o", "try", "--", "true"]).run();
    if tried.status == 0 {
        same_run::all_back_ends_see_the_same(&server);
        // Another run may find locks taken, and call what this did not.
        for _ in 0..2 {
            server.runs_well(&["record", "--method", "ebpf", "-o", "ebpf.rec", "--"]);
        }
        runs_under_its_profile(&server, "ebpf.rec", &[]);
        runs_under_its_profile(&server, "ebpf.rec", &["--args"]);
    } else {
        skip(&format!("{} recorded by eBPF is not tested: {}", server.name, tried.stderr.trim()));
    }
    // What is known by now runs at nearly full speed, so its load is another.
    server.runs_well(&["record", "--method", "notify", "-o", "notify.rec", "--"]);
    runs_under_its_profile(&server, "notify.rec", &[]);
    // And this test would notice.
    scratch.file("p.json", without(&scratch.read("p.json"), vital));
    let why = server.run(&["run", "--profile", "p.json", "--cap-keep", "--"]).err();
    assert!(why.is_some(), "{}: {vital} was refused and nobody noticed", server.name);
}

/// Makes `p.json` of a recording, and runs the load under it.
fn runs_under_its_profile(server: &Server<'_>, recording: &str, options: &[&str]) {
    let mut args = vec!["profile", recording, "--default", "kill", "--runtime", "none"];
    args.extend(options.iter().chain(&["-o", "p.json"]));
    server.scratch.callgate(&args).run().is_like(0, "", "p.json: … recorded…");
    server.runs_well(&["run", "--profile", "p.json", "--cap-keep", "--"]);
}

/// The same in a container of each runtime.
fn in_containers(scratch: &Scratch, server: Option<Server<'_>>, vital: &str) {
    let Some(server) = server else { return };
    if !root_for("a server that is recorded in a container") {
        return;
    }
    let tried = scratch.callgate(&["record", "--method", "ebpf", "-o", "try", "--", "true"]).run();
    if tried.status != 0 {
        skip(&format!("{} in containers is not tested: {}", server.name, tried.stderr.trim()));
        return;
    }
    for runtime in Runtime::ALL.into_iter().filter(|runtime| runtime.is_here()) {
        let what = format!("{} in {}", server.name, runtime.name());
        let container = Container::new(&server, runtime);
        let recording = format!("{}.rec", runtime.name());
        container.record(&recording);
        let mut args = vec!["profile", &recording, "--default", "kill", "-o", "p.json"];
        args.extend(runtime.options());
        scratch.callgate(&args).run().is_like(0, "", "p.json: … recorded…");
        container.serves_under("p.json").unwrap_or_else(|why| panic!("{what}: {why}"));
        scratch.file("without.json", without(&scratch.read("p.json"), vital));
        let served = container.serves_under("without.json");
        assert!(served.is_err(), "{what}: {vital} was refused and nobody noticed");
    }
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
