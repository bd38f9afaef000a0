//! `callgate record`: commands, files, and what can go wrong.

#[path = "common/mod.rs"]
mod common;
#[path = "record/ends.rs"]
mod ends;
#[path = "record/faults.rs"]
mod faults;
#[path = "record/phases.rs"]
mod phases;
#[path = "record/podman.rs"]
mod podman;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use serde_json::Value;

use crate::common::{CALLGATE, NOBODY, Scratch, find, is_root, root_for, skip, tool_for};

/// The lines of a recording.
fn lines(scratch: &Scratch, name: &str) -> Vec<Value> {
    let text = String::from_utf8(scratch.read(name)).expect("a recording is text");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

/// The names that were recorded by executables that end so.
fn called(scratch: &Scratch, name: &str, executable: &str) -> BTreeSet<String> {
    lines(scratch, name)
        .iter()
        .filter(|line| line["exe"].as_str().is_some_and(|path| path.ends_with(executable)))
        .filter_map(|line| line["name"].as_str().map(str::to_owned))
        .collect()
}

fn recorder(scratch: &Scratch, args: &[&str]) -> common::Outcome {
    scratch.callgate(&[&["record", "--method", "notify"], args].concat()).run()
}

#[test]
fn a_command_and_its_children_are_recorded_and_its_status_passed_on() {
    let scratch = Scratch::new();
    let script = "ls / | wc -l >/dev/null; exit 3";
    let outcome = recorder(&scratch, &["-o", "a.rec", "--", "sh", "-c", script]);
    outcome.is_like(3, "", "a.rec: … syscalls on …; the last new one came … before the end\n");
    let by_ls = called(&scratch, "a.rec", "/ls");
    assert!(by_ls.contains("getdents64") && by_ls.contains("exit_group"), "{by_ls:?}");
    assert!(called(&scratch, "a.rec", "/wc").contains("read"));
    let lines = lines(&scratch, "a.rec");
    let run = lines.iter().find(|line| line["run"].is_string()).expect("the run began");
    assert_eq!(run["command"], serde_json::json!(["sh", "-c", script]));
    let end = lines.iter().find(|line| line["end"].is_object()).expect("the run ended");
    assert_eq!(end["end"]["status"], 3);
}

#[test]
fn a_second_run_asks_about_what_is_new_alone() {
    let scratch = Scratch::new();
    recorder(&scratch, &["-o", "a.rec", "--", "ls", "/"]);
    let before = scratch.read("a.rec").len();
    let again = recorder(&scratch, &["-o", "a.rec", "--", "ls", "/"]);
    again.is_like(0, "…", "a.rec: … syscalls on …; none new in this run\n");
    let text = String::from_utf8(scratch.read("a.rec")[before..].to_vec()).expect("it is text");
    assert!(!text.contains("getdents64") && text.contains("\"unwatched\""), "{text}");
    let more = recorder(&scratch, &["-o", "a.rec", "--", "mkdir", "new"]);
    assert_eq!(more.status, 0);
    assert!(called(&scratch, "a.rec", "/mkdir").contains("mkdir"));
    // The same in one go.
    let both = recorder(&scratch, &["-o", "w.rec", "--warm-up", "--", "ls", "/"]);
    both.is_like(0, "…", "w.rec: …\nw.rec: …; none new in this run\n");
    // And on top of another recording, or a profile.
    let above = recorder(&scratch, &["-o", "b.rec", "--on-top-of", "a.rec", "--", "mkdir", "b"]);
    above.is_like(0, "", "b.rec: nothing\n");
    let above =
        recorder(&scratch, &["-o", "c.rec", "--on-top-of", "docker-default", "--", "mkdir", "c"]);
    above.is_like(0, "", "c.rec: nothing\n");
    let missing = recorder(&scratch, &["-o", "x.rec", "--on-top-of", "missing", "--", "true"]);
    missing.is_like(125, "", "error: …missing…");
    assert!(!scratch.join("x.rec").exists());
    if find("unshare").is_some() && is_root() {
        recorder(
            &scratch,
            &["-o", "d.rec", "--on-top-of", "docker-default", "--", "unshare", "-m", "true"],
        );
        let beyond = called(&scratch, "d.rec", "/unshare");
        assert!(beyond.contains("unshare") && !beyond.contains("read"), "{beyond:?}");
    }
}

#[test]
fn with_args_known_calls_are_asked_about_when_their_arguments_are_new() {
    let scratch = Scratch::new();
    recorder(&scratch, &["-o", "a.rec", "--", "sh", "-c", "kill -0 $$"]);
    recorder(&scratch, &["-o", "a.rec", "--args", "--", "sh", "-c", "kill -CONT $$"]);
    let signals: BTreeSet<u64> = lines(&scratch, "a.rec")
        .iter()
        .filter(|line| line["name"] == "kill")
        .flat_map(|line| line["args"]["1"].as_array().cloned().unwrap_or_default())
        .filter_map(|value| value.as_u64())
        .collect();
    assert!(signals.contains(&0) && signals.contains(&18), "{signals:?}");
}

#[test]
fn what_a_thread_executes_takes_the_place_of_its_process() {
    if !tool_for("python3", "python3", "an exec by a thread, which gets its process's number") {
        return;
    }
    let scratch = Scratch::new();
    let script = "import os, threading\n\
                  run = lambda: os.execvp('mkdir', ['mkdir', 'new'])\n\
                  threading.Thread(target=run).start()\n\
                  while True: os.getppid()";
    let outcome = recorder(&scratch, &["-o", "a.rec", "--", "python3", "-c", script]);
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    let by_mkdir = called(&scratch, "a.rec", "/mkdir");
    assert!(by_mkdir.contains("mkdir") && by_mkdir.contains("exit_group"), "{by_mkdir:?}");
    assert!(!by_mkdir.contains("getppid"), "{by_mkdir:?}");
}

#[test]
fn an_ordinary_user_records_too() {
    let scratch = Scratch::new();
    let outcome = scratch
        .callgate_as_user(&["record", "--method", "notify", "-o", "u.rec", "--", "id", "-u"])
        .run();
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    if is_root() {
        assert_eq!(outcome.stdout, format!("{NOBODY}\n"));
    }
    assert!(called(&scratch, "u.rec", "/id").contains("geteuid"));
}

fn signal(name: &str, process: u32) {
    let sent = Command::new("kill").args(["-s", name, &process.to_string()]).status();
    assert!(sent.expect("kill is there").success());
}

/// Whether this machine and user can record with eBPF; says loudly what goes untested otherwise.
fn ebpf_for(scratch: &Scratch, what: &str) -> bool {
    let tried = scratch.callgate(&["record", "--method", "ebpf", "-o", "try", "--", "true"]).run();
    if tried.status != 0 {
        skip(&format!("{what} is not tested: {}", tried.stderr.trim()));
    }
    tried.status == 0
}

#[test]
fn every_method_records_the_same() {
    let scratch = Scratch::new();
    if !ebpf_for(&scratch, "recording with eBPF") {
        return;
    }
    let script = "ls -l / | sort >/dev/null; mkdir dir; ls /missing 2>/dev/null; exit 3";
    let mut sets = Vec::new();
    for method in ["ebpf", "notify"] {
        let file = format!("{method}.rec");
        let args = ["record", "--method", method, "-o", &file, "--", "sh", "-c", script];
        let outcome = scratch.callgate(&args).run();
        outcome.is_like(3, "", &format!("{file}: … syscalls on …\n"));
        sets.push(called(&scratch, &file, ""));
        for (program, call) in [("/ls", "getdents64"), ("/mkdir", "mkdir"), ("/sort", "read")] {
            assert!(called(&scratch, &file, program).contains(call), "{program} by {method}");
        }
        // The command's exec is its own, though callgate makes it.
        assert!(called(&scratch, &file, "/callgate").is_empty(), "{method}");
        scratch.command("rmdir").arg("dir").run();
    }
    assert_eq!(sets[0], sets[1]);
    // What notification cannot see: counts of what is known, and results.
    let missing = lines(&scratch, "ebpf.rec").into_iter().any(|line| {
        let by_ls = line["exe"].as_str().is_some_and(|path| path.ends_with("/ls"));
        by_ls && line["errors"]["2"].as_u64().is_some_and(|count| count > 0)
    });
    assert!(missing, "the error of a missing file");
    let counted =
        lines(&scratch, "ebpf.rec").into_iter().rev().find(|line| line["name"] == "mkdir");
    assert_eq!(counted.expect("it was called")["count"], 1);
}

#[test]
fn what_a_filter_refused_is_recorded_by_ebpf() {
    let scratch = Scratch::new();
    if !ebpf_for(&scratch, "refused calls in recordings") {
        return;
    }
    scratch.file(
        "no-mkdir.json",
        r#"{ "defaultAction": "SCMP_ACT_ALLOW",
             "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO" }] }"#,
    );
    let run = [CALLGATE, "run", "--profile", "no-mkdir.json", "--cap-keep", "--", "mkdir", "dir"];
    let args = [&["record", "--method", "ebpf", "-o", "r.rec", "--"][..], &run].concat();
    assert_eq!(scratch.callgate(&args).run().status, 1);
    let refused = lines(&scratch, "r.rec")
        .into_iter()
        .rev()
        .find(|line| line["name"] == "mkdir")
        .expect("it was called");
    assert_eq!((&refused["refused"], &refused["errors"]["1"]), (&1.into(), &1.into()));
    let profile = scratch.callgate(&["profile", "r.rec", "-o", "r.json"]).run();
    assert!(
        profile.stderr.contains("a filter refused them whenever they were called: mkdir"),
        "{}",
        profile.stderr
    );
}

#[test]
fn methods_that_do_not_fit_are_refused_with_the_reason() {
    let scratch = Scratch::new();
    let args = ["record", "--method", "ebpf", "--warm-up", "-o", "a.rec", "--", "touch", "made"];
    scratch.callgate(&args).run().is_like(
        125,
        "",
        "error: --method ebpf: …are for user notification\n",
    );
    let args = ["record", "--method", "ebpf", "-o", "a.rec", "--", "touch", "made"];
    if is_root() {
        scratch.callgate_as_user(&args).run().is_like(
            125,
            "",
            "error: recording by eBPF takes …CAP_BPF…\n",
        );
        assert!(!scratch.join("made").exists() && !scratch.join("a.rec").exists());
    }
    let args = ["record", "--warm-up", "-o", "b.rec", "--", "true"];
    scratch.callgate(&args).run().is_like(0, "", "note: recording by user notification (…)\n…");
}

#[test]
fn a_running_process_and_its_children_are_recorded() {
    let scratch = Scratch::new();
    if !ebpf_for(&scratch, "recording of running processes") {
        return;
    }
    let script = "while [ ! -e go ]; do sleep 0.05; done; mkdir dir; ls / >/dev/null; sleep 0.6";
    let mut child = Command::new("sh")
        .args(["-c", script])
        .current_dir(scratch.path())
        .spawn()
        .expect("sh starts");
    let pid = child.id().to_string();
    let recorder = Command::new(CALLGATE)
        .args(["record", "-o", "p.rec", "--pid", &pid])
        .stderr(Stdio::null())
        .current_dir(scratch.path())
        .spawn()
        .expect("callgate starts");
    // The recording begins before what is to be in it.
    while fs::metadata(scratch.join("p.rec")).map_or(0, |meta| meta.len()) < 100 {
        sleep(Duration::from_millis(20));
    }
    scratch.file("go", "");
    child.wait().expect("it is ours");
    let ended = recorder.wait_with_output().expect("it is ours");
    assert!(ended.status.success());
    assert!(called(&scratch, "p.rec", "/mkdir").contains("mkdir"));
    assert!(called(&scratch, "p.rec", "/ls").contains("getdents64"));
    assert!(lines(&scratch, "p.rec").iter().any(|line| line["end"].is_object()));
    let gone = scratch.callgate(&["record", "-o", "x.rec", "--pid", &pid]).run();
    gone.is_like(2, "", "error: pid:…: there is nothing to record: …\n");
    let own = std::process::id().to_string();
    let timed = scratch.callgate(&["record", "-o", "t.rec", "--pid", &own, "--for", "1"]).run();
    assert_eq!(timed.status, 0, "{}", timed.stderr);
    let none = scratch.callgate(&["record", "-o", "x.rec", "--cgroup", "."]).run();
    none.is_like(2, "", "error: .: there is nothing to record: …\n");
    assert!(!scratch.join("x.rec").exists());
}

#[test]
fn auto_says_which_method_and_why() {
    let scratch = Scratch::new();
    let outcome = scratch.callgate(&["record", "-o", "a.rec", "--", "true"]).run();
    outcome.is_like(0, "", "note: recording by …\na.rec: …\n");
}

#[test]
fn a_command_that_does_not_start_leaves_nothing() {
    let scratch = Scratch::new();
    let outcome = recorder(&scratch, &["-o", "a.rec", "--", "no-such-command"]);
    outcome.is(127, "", "error: no-such-command: not found in PATH\n");
    assert!(!scratch.join("a.rec").exists());
    // What was there before stays as it was, whatever way the command is watched.
    recorder(&scratch, &["-o", "b.rec", "--", "true"]);
    let before = scratch.read("b.rec");
    scratch.file("empty.rec", "");
    for (command, status) in [("/no-such-command", 127), ("/", 126)] {
        for method in ["auto", "notify"] {
            for (file, content) in [("b.rec", &before[..]), ("empty.rec", b"")] {
                let args = ["record", "--method", method, "-o", file, "--", command];
                let outcome = scratch.callgate(&args).run();
                assert_eq!(outcome.status, status, "{}", outcome.stderr);
                assert!(scratch.read(file) == content, "{file} by {method}");
            }
        }
    }
    scratch.file("text", "hello");
    let outcome = recorder(&scratch, &["-o", "text", "--", "touch", "made"]);
    outcome.is_like(125, "", "error: text: line 1: this is no recording: …\n");
    assert_eq!(scratch.read("text"), b"hello");
    assert!(!scratch.join("made").exists());
    let outcome = recorder(&scratch, &["-o", "missing/a.rec", "--", "touch", "made"]);
    outcome.is_like(125, "", "error: missing/a.rec: …\n");
    assert!(!scratch.join("made").exists());
}

#[test]
fn a_full_disk_is_told_and_stops_no_call() {
    let scratch = Scratch::new();
    let outcome = recorder(&scratch, &["-o", "/dev/full", "--", "touch", "made"]);
    outcome.is_like(125, "", "error: /dev/full: …No space left on device…\n");
    // It is found out before the command runs.
    assert!(!scratch.join("made").exists());
    if !root_for("a disk that fills while a command is recorded") {
        return;
    }
    let methods: &[&str] =
        if ebpf_for(&scratch, "a full disk with eBPF") { &["ebpf", "notify"] } else { &["notify"] };
    for method in methods {
        let script = format!(
            "mkdir small && mount -t tmpfs -o size=4k none small && \
             {CALLGATE} record --method {method} -o small/a.rec -- \
             sh -c 'ls / >/dev/null; mkdir made; exit 3'; status=$?; cp small/a.rec .; exit $status"
        );
        let outcome = scratch.command("unshare").args(&["-m", "sh", "-c", &script]).run();
        outcome.is_like(125, "", "small/a.rec: …error: small/a.rec: …; the recording lacks what came after the last write that worked\n");
        assert!(scratch.join("made").exists());
        // What is there is whole.
        assert!(lines(&scratch, "a.rec").len() > 1);
        scratch.command("rm").args(&["-r", "made", "small", "a.rec"]).run().is(0, "", "");
    }
}

#[test]
fn what_was_flushed_survives_the_recorder() {
    let scratch = Scratch::new();
    let mut command = Command::new(CALLGATE);
    command
        .args(["record", "--method", "notify", "-o"])
        .arg(scratch.join("k.rec"))
        .args(["--", "sh", "-c", "mkdir dir; echo ready; exec sleep 30"])
        .current_dir(scratch.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0);
    let mut child = command.spawn().expect("callgate starts");
    let mut ready = [0; 5];
    let mut stdout = child.stdout.take().expect("it is piped");
    std::io::Read::read_exact(&mut stdout, &mut ready).expect("the command says so");
    child.kill().expect("it is ours");
    child.wait().expect("it is ours");
    // What is left of its group ends as well.
    let group = format!("kill -KILL -{}", child.id());
    scratch.command("sh").args(&["-c", &group]).run();
    // A line that the end tore is dropped; the rest is whole.
    let mut file = scratch.read("k.rec");
    file.extend_from_slice(b"{\"in\":\"00");
    scratch.file("k.rec", file);
    assert!(String::from_utf8_lossy(&scratch.read("k.rec")).contains("\"mkdir\""));
    let profile = scratch.callgate(&["profile", "k.rec", "-o", "k.json"]).run();
    profile.is_like(0, "", "note: k.rec: line … was torn by the recorder's end, and dropped; …\n…k.json: …warning: 1 run was cut off, so calls at the end are missing\n");
    // The next run cuts it off, and goes on.
    let next = recorder(&scratch, &["-o", "k.rec", "--", "true"]);
    next.is_like(0, "", "note: k.rec: line … was torn …\nk.rec: …\n");
    assert!(lines(&scratch, "k.rec").len() > 10);
}

#[test]
fn signals_reach_the_command() {
    let scratch = Scratch::new();
    let script =
        "trap 'exit 7' INT; echo $PPID >pid; kill -INT $PPID; while :; do sleep 0.05; done";
    let outcome = recorder(&scratch, &["-o", "s.rec", "--", "sh", "-c", script]);
    assert_eq!(outcome.status, 7, "{}", outcome.stderr);
}

#[test]
fn traces_of_strace_become_runs() {
    if !tool_for("strace", "strace", "reading what strace wrote") {
        return;
    }
    let scratch = Scratch::new();
    for (file, command) in [("one", "ls / >/dev/null"), ("two", "mkdir dir")] {
        scratch
            .command("strace")
            .args(&["-f", "-o", file, "sh", "-c", command])
            .run()
            .is(0, "", "");
    }
    let args = ["record", "-o", "s.rec", "--from-strace", "one", "--from-strace", "two"];
    scratch.callgate(&args).run().is_like(
        0,
        "",
        "s.rec: … syscalls on …\ns.rec: … syscalls on …; … new in this run\n",
    );
    assert!(called(&scratch, "s.rec", "/ls").contains("getdents64"));
    assert!(called(&scratch, "s.rec", "/mkdir").contains("mkdir"));
    // The same trace is the same run.
    let again = scratch.callgate(&["record", "-o", "s.rec", "--from-strace", "one"]).run();
    again.is_like(0, "", "note: s.rec: one is in it already, as run …; it counts once\ns.rec: …; none new in this run\n");
}

#[test]
fn what_notification_records_is_what_strace_sees() {
    if !tool_for("strace", "strace", "recordings beside strace") {
        return;
    }
    let scratch = Scratch::new();
    let script = "ls -l / | sort | head -n 1 >/dev/null";
    scratch.command("strace").args(&["-f", "-o", "t", "sh", "-c", script]).run().is(0, "", "");
    scratch.callgate(&["record", "-o", "s.rec", "--from-strace", "t"]).run();
    recorder(&scratch, &["-o", "n.rec", "--", "sh", "-c", script]);
    let (traced, notified) = (called(&scratch, "s.rec", ""), called(&scratch, "n.rec", ""));
    let missing: Vec<_> = traced.difference(&notified).collect();
    assert!(missing.is_empty(), "strace saw {missing:?} too");
}

#[test]
fn logs_become_runs_and_hostile_ones_do_no_harm() {
    let scratch = Scratch::new();
    let fields = "auid=1 uid=0 gid=0 ses=1 pid=7 comm=\"a\" exe=2F1B5B324A sig=31 arch=c000003e \
                  syscall=83 compat=0 ip=0x1 code=0x80000000";
    scratch.file("log", format!("noise\ntype=1326 audit(1.5:1): {fields}\n"));
    scratch.callgate(&["record", "-o", "l.rec", "--from-audit", "log"]).run().is_like(
        0,
        "",
        "l.rec: 1 syscall on x86_64…\n",
    );
    // One that is lost is told in the words of many.
    scratch.file("less", format!("audit: rate limit exceeded\ntype=1326 audit(1.5:1): {fields}\n"));
    scratch.callgate(&["record", "-o", "less.rec", "--from-audit", "less"]).run().is_like(
        0,
        "",
        "…not recorded: records that the kernel left out of its log: 1\n",
    );
    let profile = scratch.callgate(&["profile", "l.rec", "--runtime", "none"]).run();
    assert_eq!(profile.status, 0, "{}", profile.stderr);
    assert!(profile.stdout.contains("mkdir") && !profile.stdout.contains('\u{1b}'));
    for name in ["noise", "log"] {
        scratch.file("noise", "nothing\n");
        let outcome = scratch.callgate(&["record", "-o", "x.rec", "--from-strace", name]).run();
        outcome.is_like(2, "", "error: …no line of it is a call as strace prints them\n");
    }
    scratch.callgate(&["record", "-o", "x.rec", "--from-audit", "noise"]).run().is_like(
        2,
        "",
        "error: noise: no line of it is a seccomp record …\n",
    );
    assert!(fs::metadata(scratch.join("x.rec")).is_err());
}

#[test]
fn wrong_usage_is_told() {
    let scratch = Scratch::new();
    scratch.callgate(&["record", "-o", "a.rec"]).run().is_like(2, "", "error: …required…");
    let mixed = ["record", "-o", "a.rec", "--from-strace", "x", "--", "true"];
    scratch.callgate(&mixed).run().is_like(125, "", "error: …cannot be used with…");
}
