//! `callgate dump`, and the sources `pid:N` and `tid:N`.

#![cfg(target_os = "linux")]

mod common;

#[path = "dump/background.rs"]
mod background;
#[path = "dump/command.rs"]
mod command;
#[path = "dump/container.rs"]
mod container;
#[path = "dump/reasons.rs"]
mod reasons;
#[path = "dump/stack.rs"]
mod stack;

use background::Background;
use common::{Scratch, find, root_for, skip, tool_for};

/// Whether filters can be read here; says loudly what goes untested otherwise.
fn readable(what: &str) -> bool {
    if !root_for(what) {
        return false;
    }
    let scratch = Scratch::new();
    let held = Background::held(&scratch, &["docker-default"]);
    let outcome = scratch.callgate(&["dump", "--pid", &held.pid()]).run();
    if outcome.status != 0 {
        skip(&format!("{what} is not tested: {}", outcome.stderr.trim()));
    }
    outcome.status == 0
}

#[test]
fn what_run_loads_is_what_dump_reads() {
    if !readable("reading filters back") {
        return;
    }
    let scratch = Scratch::new();
    let held = Background::held(&scratch, &["docker-default"]);
    let pid = held.pid();
    scratch.callgate(&["diff", "docker-default", &format!("pid:{pid}")]).run().is(
        0,
        "same: the kernel acts alike on every call\n",
        "",
    );
    let line = format!(
        "pid:{pid} (thread {pid}): 1 filter\n  \
         filter 1 of 1: … instructions, LOG flag not set -> filters/pid{pid}-1.bpf\n"
    );
    scratch.callgate(&["dump", "--pid", &pid, "-o", "filters"]).run().is_like(0, &line, "");
    scratch.callgate(&["compile", "docker-default", "-o", "made.bpf"]).run().is(0, "", "");
    assert_eq!(scratch.read(&format!("filters/pid{pid}-1.bpf")), scratch.read("made.bpf"));
    // One filter goes to standard output as well.
    let raw = scratch.callgate(&["dump", "--pid", &pid, "--format", "raw"]).run();
    assert_eq!(raw.bytes, scratch.read("made.bpf"));
    // The listing is the assembler's language.
    let listing = scratch.callgate(&["dump", "--pid", &pid]).run();
    scratch.file("listing.asm", &listing.bytes);
    scratch.callgate(&["asm", "listing.asm", "-o", "again.bpf"]).run().is(0, "", "");
    assert_eq!(scratch.read("again.bpf"), scratch.read("made.bpf"));
}

#[test]
fn every_format_is_written() {
    if !readable("the formats of dumped filters") {
        return;
    }
    let scratch = Scratch::new();
    let held = Background::held(&scratch, &["docker-default"]);
    let pid = held.pid();
    let text = |format: &str, ending: &str| {
        let args = ["dump", "--pid", &pid, "--format", format, "-o", "filters"];
        scratch.callgate(&args).run().is_like(0, "…", "");
        String::from_utf8(scratch.read(&format!("filters/pid{pid}-1.{ending}"))).unwrap()
    };
    assert!(text("asm", "asm").contains("ld   [4]"));
    assert!(text("c", "c").contains("struct sock_filter"));
    assert!(text("json", "json").starts_with("[{\"code\":"));
    let json = scratch.callgate(&["dump", "--pid", &pid, "--json"]).run().json(0);
    let filters = &json["groups"][0]["filters"];
    assert_eq!(
        (&json["pid"], &filters[0]["log"]),
        (&pid.parse::<i32>().unwrap().into(), &false.into())
    );
    let instructions = filters[0]["instructions"].as_array().unwrap();
    assert_eq!(
        instructions.len() * 8,
        scratch.callgate(&["compile", "docker-default"]).run().bytes.len()
    );
}

#[test]
fn the_log_flag_is_told_and_loaded_again() {
    if !readable("the LOG flag") {
        return;
    }
    let scratch = Scratch::new();
    let held = Background::start(&scratch, &["run", "--log", "--", "sleep", "60"], "sleep");
    let pid = held.pid();
    let told = scratch.callgate(&["dump", "--pid", &pid]).run().stdout;
    assert!(told.contains("LOG flag set"), "{told}");
    let profile = format!("pid:{pid}");
    let again =
        Background::start(&scratch, &["run", "--profile", &profile, "--", "sleep", "60"], "sleep");
    let told = scratch.callgate(&["dump", "--pid", &again.pid()]).run().stdout;
    assert!(told.contains("LOG flag set"), "{told}");
}

#[test]
fn what_is_not_told_of_listeners_is_said() {
    if !readable("filters with a listener") {
        return;
    }
    let scratch = Scratch::new();
    scratch.file(
        "notify.json",
        r#"{"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["chroot"], "action": "SCMP_ACT_NOTIFY"}]}"#,
    );
    let args = ["run", "--profile", "notify.json", "--allow-unanswered", "--", "sleep", "60"];
    let held = Background::start(&scratch, &args, "sleep");
    let note = "note: a filter answers user_notif; the kernel does not tell…\n";
    scratch.callgate(&["dump", "--pid", &held.pid()]).run().is_like(0, "…", note);
}

#[test]
fn a_process_without_filters_allows_everything() {
    let scratch = Scratch::new();
    let plain = Background::of(scratch.path(), "sleep", &["60"]);
    let pid = plain.pid();
    scratch.callgate(&["dump", "--pid", &pid]).run().is(
        0,
        &format!("; pid:{pid} (thread {pid}): no filter\n"),
        &format!("note: no filter holds process {pid}: every call is allowed\n"),
    );
    let source = format!("pid:{pid}");
    scratch.callgate(&["eval", &source, "--", "reboot"]).run().is_like(
        0,
        &format!("reboot…: {source} allows, by …no filter…"),
        "note: …",
    );
    scratch.callgate(&["run", "--profile", &source, "--", "true"]).run().is_like(
        125,
        "",
        "note: …error: …nothing to load…",
    );
}

#[test]
fn what_is_no_process_is_told() {
    let scratch = Scratch::new();
    for verb in ["disasm", "explain", "check", "compile"] {
        scratch.callgate(&[verb, "pid:x"]).run().is(
            2,
            "",
            "error: pid:x: `x` is no process number; a file of this name is ./pid:x\n",
        );
    }
    scratch.callgate(&["explain", "tid:2147483647"]).run().is(
        2,
        "",
        "error: tid:2147483647: there is no process or thread 2147483647, or it has ended\n",
    );
    scratch.callgate(&["dump", "--pid", "2147483647", "-o", "out"]).run().is_like(
        2,
        "",
        "error: …",
    );
    assert!(!scratch.join("out").exists(), "nothing is made for nothing");
    scratch.callgate(&["dump"]).run().is_like(2, "", "error: …--pid…COMMAND…");
    scratch.callgate(&["dump", "--pid", "0"]).run().is_like(2, "", "error: …");
    scratch.callgate(&["dump", "--pid", "1", "--", "true"]).run().is_like(125, "", "error: …");
}

#[test]
fn an_ordinary_user_is_told_what_it_takes() {
    let scratch = Scratch::new();
    let held = Background::held(&scratch, &["docker-default"]);
    let source = format!("pid:{}", held.pid());
    scratch.callgate_as_user(&["explain", &source]).run().is(
        2,
        "",
        &format!(
            "error: {source}: reading the filters of a process takes CAP_SYS_ADMIN, which this \
             process does not have; run it as root\n"
        ),
    );
    // Through a filter nobody reads, root neither.
    let args = ["run", "--cap-keep", "--", common::CALLGATE, "explain", &source];
    scratch.callgate(&args).run().is_like(2, "", "error: …a filter holds this process itself…");
}

#[test]
fn another_tracer_is_named() {
    if !readable("a process with another tracer") {
        return;
    }
    let scratch = Scratch::new();
    let args = ["dump", "--", common::CALLGATE, "run", "--", "sleep", "60"];
    let traced = Background::start(&scratch, &args, "sleep");
    let pid = traced.pid();
    scratch.callgate(&["dump", "--pid", &pid]).run().is_like(
        2,
        "",
        &format!("error: process {pid}: thread {pid} is traced already, by process …(`…`)…"),
    );
}

#[test]
fn a_process_that_dies_while_it_is_dumped_is_told_or_dumped() {
    if !readable("processes that die") {
        return;
    }
    let scratch = Scratch::new();
    scratch.callgate(&["compile", "docker-default", "-o", "made.bpf"]).run().is(0, "", "");
    let whole = scratch.read("made.bpf").len();
    let (mut dumped, mut gone) = (0, 0);
    for round in 0..40 {
        let time = format!("0.00{round:02}");
        let dying = Background::start(&scratch, &["run", "--", "sleep", &time], "");
        let folder = format!("out{round}");
        let pid = dying.pid();
        let outcome = scratch.callgate(&["dump", "--pid", &pid, "-o", &folder]).run();
        let written: Vec<_> =
            std::fs::read_dir(scratch.join(&folder)).into_iter().flatten().collect();
        match outcome.status {
            0 => {
                dumped += 1;
                for file in written {
                    assert_eq!(file.unwrap().metadata().unwrap().len(), whole as u64);
                }
            }
            2 => {
                gone += 1;
                assert!(outcome.stderr.contains("it has ended"), "{}", outcome.stderr);
                assert!(written.is_empty());
            }
            _ => panic!("{outcome:?}"),
        }
    }
    assert_eq!(dumped + gone, 40);
}
