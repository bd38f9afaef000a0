//! The order of the start, and profiles under which no command can be started.

use crate::common::{Scratch, root_for, tool_for};

fn refusing(call: &str, action: &str) -> String {
    format!(
        r#"{{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [ {{ "names": ["{call}"], "action": "{action}" }} ] }}"#
    )
}

#[test]
fn bounding_set_then_no_new_privs_then_filter_then_capabilities_then_exec() {
    if !root_for("the order of the start")
        || !tool_for("strace", "strace", "the order of the start")
    {
        return;
    }
    let scratch = Scratch::new();
    let outcome = scratch
        .command("strace")
        .args(&["-f", "-qq", "-e", "trace=prctl,seccomp,capset,execve", "-o", "trace"])
        .args(&[crate::common::CALLGATE, "run", "--", "true"])
        .run();
    outcome.is(0, "", "");
    let trace = String::from_utf8(scratch.read("trace")).expect("strace writes text");
    let calls: Vec<&str> = trace
        .lines()
        .filter_map(|line| {
            let what = [
                "PR_CAPBSET_DROP",
                "PR_SET_NO_NEW_PRIVS",
                "SECCOMP_SET_MODE_FILTER",
                "capset(",
                "execve(",
            ];
            what.into_iter().find(|what| line.contains(what))
        })
        .collect();
    let mut order = calls.clone();
    order.dedup();
    // The first execve is strace's, of callgate.
    assert_eq!(
        order,
        [
            "execve(",
            "PR_CAPBSET_DROP",
            "PR_SET_NO_NEW_PRIVS",
            "SECCOMP_SET_MODE_FILTER",
            "capset(",
            "execve("
        ],
        "{trace}"
    );
}

#[test]
fn flags_of_the_profile_and_of_the_command_line_reach_the_kernel() {
    if !tool_for("strace", "strace", "the flags that a filter is loaded with") {
        return;
    }
    let scratch = Scratch::new();
    let loaded = |options: &[&str]| {
        let outcome = scratch
            .command("strace")
            .args(&["-f", "-qq", "-e", "trace=seccomp", "-o", "trace", crate::common::CALLGATE])
            .args(&[&["run", "--profile", "p.json"], options, &["--", "true"]].concat())
            .run();
        assert_eq!(outcome.status, 0, "{}", outcome.stderr);
        let trace = String::from_utf8(scratch.read("trace")).expect("strace writes text");
        let line = trace.lines().find(|line| line.contains("SECCOMP_SET_MODE_FILTER"));
        let line = line.unwrap_or_else(|| panic!("a filter is loaded\n{trace}"));
        line.split(", ").nth(1).expect("flags come second").to_owned()
    };
    let flags = |flags: &str| {
        let text = format!(r#"{{ "defaultAction": "SCMP_ACT_ALLOW", "flags": [{flags}] }}"#);
        scratch.file("p.json", text);
    };
    flags("");
    assert_eq!(loaded(&[]), "0");
    assert_eq!(loaded(&["--log"]), "SECCOMP_FILTER_FLAG_LOG");
    flags(r#""SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW""#);
    assert_eq!(loaded(&[]), "SECCOMP_FILTER_FLAG_LOG|SECCOMP_FILTER_FLAG_SPEC_ALLOW");
}

#[test]
fn a_profile_that_refuses_execve_is_found_before_the_start() {
    let scratch = Scratch::new();
    for (action, answer) in [
        ("SCMP_ACT_ERRNO", "errno(1)"),
        ("SCMP_ACT_KILL", "kill_thread"),
        ("SCMP_ACT_TRAP", "trap(0)"),
    ] {
        scratch.file("p.json", refusing("execve", action));
        scratch.callgate(&["run", "--profile", "p.json", "--", "true"]).run().is(
            125,
            "",
            &format!(
                "error: p.json: the command could not be started: `execve` must be allowed, which \
                 comes between loading the filter and the command, and the filter answers \
                 {answer}. Allow it; a program that loads its filter itself, after its start, \
                 needs no execve (see the library)\n"
            ),
        );
    }
    // So it is where a list of what is allowed forgot it, and with a program instead of a profile.
    scratch.file(
        "list.json",
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [ { "names": ["read"], "action": "SCMP_ACT_ALLOW" } ] }"#,
    );
    let said = "error: …`execve` must be allowed…";
    scratch.callgate(&["run", "--profile", "list.json", "--", "true"]).run().is_like(125, "", said);
    scratch.callgate(&["compile", "list.json", "-o", "list.bpf"]).run().is(0, "", "");
    scratch.callgate(&["run", "--profile", "list.bpf", "--", "true"]).run().is_like(125, "", said);
    scratch.callgate(&["run", "--profile", "strict", "--", "true"]).run().is_like(125, "", said);
}

#[test]
fn a_profile_that_refuses_capset_matters_only_when_capabilities_change() {
    let scratch = Scratch::new();
    scratch.file("p.json", refusing("capset", "SCMP_ACT_KILL_PROCESS"));
    let run = |args: &[&str]| {
        scratch.callgate(&[&["run", "--profile", "p.json"], args, &["--", "true"]].concat()).run()
    };
    run(&[]).is(0, "", "");
    run(&["--cap-keep"]).is(0, "", "");
    if root_for("a profile that refuses capset where capabilities change") {
        run(&["--cap-drop", "CHOWN"]).is(
            125,
            "",
            "error: p.json: the command could not be started: `capset` must be allowed, which \
             comes between loading the filter and the command, and the filter answers \
             kill_process. Allow it, or leave the capability sets alone with --cap-keep\n",
        );
    }
}

#[test]
fn a_profile_that_refuses_write_and_exit_starts_commands_all_the_same() {
    let scratch = Scratch::new();
    // Nothing of ours writes between loading the filter and the command: its refusal is the
    // command's own affair.
    scratch.file("p.json", refusing("write", "SCMP_ACT_ERRNO"));
    let run = |command: &[&str]| {
        scratch.callgate(&[&["run", "--profile", "p.json", "--"], command].concat()).run()
    };
    run(&["true"]).is(0, "", "");
    let outcome = run(&["echo", "never"]);
    assert_eq!((outcome.status, outcome.stdout.as_str()), (1, ""));
    // A failed start is told although the child may not write.
    scratch.file("plain", "text");
    run(&["./plain"]).is(126, "", "error: ./plain: Permission denied (EACCES)\n");
    scratch.file("p.json", refusing("exit_group", "SCMP_ACT_ERRNO"));
    run(&["./plain"]).is(126, "", "error: ./plain: Permission denied (EACCES)\n");
}

#[test]
fn calls_that_nobody_would_answer_are_refused_before_the_start() {
    let scratch = Scratch::new();
    let cases =
        [("SCMP_ACT_NOTIFY", "no supervisor listens"), ("SCMP_ACT_TRACE", "no tracer is attached")];
    for (action, who) in cases {
        scratch.file("p.json", refusing("mkdir\", \"mkdirat", action));
        let run = |args: &[&str]| {
            let args = [&["run", "--profile", "p.json"], args, &["--", "mkdir", "made"]].concat();
            scratch.callgate(&args).run()
        };
        run(&[]).is_like(
            125,
            "",
            &format!(
                "…error: p.json: mkdir, mkdirat: {action}, but under `run` {who}, so the calls \
                 would fail with ENOSYS. Use another action, or --allow-unanswered to start all \
                 the same\n"
            ),
        );
        let enosys = "…mkdir: cannot create directory 'made': Function not implemented\n";
        run(&["--allow-unanswered"]).is_like(1, "", enosys);
        assert!(!scratch.join("made").exists());
    }
}

#[test]
fn a_default_that_nobody_would_answer_is_refused_too() {
    let scratch = Scratch::new();
    scratch.file(
        "p.json",
        r#"{ "defaultAction": "SCMP_ACT_TRACE", "syscalls": [ { "names": ["execve"], "action": "SCMP_ACT_ALLOW" } ] }"#,
    );
    scratch.callgate(&["run", "--profile", "p.json", "--", "true"]).run().is_like(
        125,
        "",
        "error: p.json: the default: SCMP_ACT_TRACE, but under `run` no tracer is attached…",
    );
}
