//! `callgate hook` as a runtime calls it: the state of a container on standard input. The container
//! is a process that the test holds; containers of Podman are in `containers/hook.rs`.
#![cfg(target_os = "linux")]

#[path = "common/mod.rs"]
mod common;

use std::{
    fs,
    io::Write,
    os::unix::fs::{PermissionsExt, chown, symlink},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::common::{CALLGATE, NOBODY, Outcome, Scratch, root_for, skip, tell};

const LIMIT: Duration = Duration::from_secs(60);

const ANNOTATION: &str = "io.containers.trace-syscall";

/// A folder for what is written, which is this user's alone.
fn folder(scratch: &Scratch) {
    fs::create_dir(scratch.join("out")).expect("the folder takes a folder");
    fs::set_permissions(scratch.join("out"), PermissionsExt::from_mode(0o755)).expect("it is ours");
}

/// The absolute path of a name in the scratch folder.
fn at(scratch: &Scratch, name: &str) -> String {
    scratch.join(name).to_str().expect("it is text").to_owned()
}

/// A state as runtimes write it.
fn state(pid: i64, annotation: &str) -> String {
    json!({
        "ociVersion": "1.0.2", "id": "web", "status": "creating", "pid": pid, "bundle": "/nowhere",
        "annotations": { ANNOTATION: annotation, "another": "one" },
    })
    .to_string()
}

/// The hook, with its output in pipes that another program reads to their end.
fn hook(scratch: &Scratch, state: &str) -> Outcome {
    const LINE: &str = "{ { \"$0\" hook --folder \"$PWD/out\" && echo started; } 2>&1; } | cat";
    scratch.command("sh").args(&["-c", LINE, CALLGATE]).input(state).run()
}

/// A process of a shell that waits for a line, and then becomes a command.
fn container(scratch: &Scratch, command: &str) -> Child {
    Command::new("sh")
        .args(["-c", &format!("umask 022; read line; exec {command}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .current_dir(scratch.path())
        .spawn()
        .expect("sh starts")
}

fn go(mut container: Child) {
    let mut input = container.stdin.take().expect("it is piped");
    input.write_all(b"go\n").expect("the shell reads");
    container.wait().expect("it is ours");
}

/// What a file has, as soon as it is there.
fn written(scratch: &Scratch, name: &str) -> String {
    let begin = Instant::now();
    while !scratch.join(name).exists() {
        assert!(begin.elapsed() < LIMIT, "{name} is not written");
        thread::sleep(Duration::from_millis(20));
    }
    // It appears whole.
    String::from_utf8(scratch.read(name)).expect("it is text")
}

/// Whether recording works here; says loudly what goes untested otherwise.
fn ready(scratch: &Scratch) -> bool {
    if !root_for("a hook that records") {
        return false;
    }
    let tried = scratch.callgate(&["record", "--method", "ebpf", "-o", "try", "--", "true"]).run();
    if tried.status != 0 {
        skip(&format!("a hook that records is not tested: {}", tried.stderr.trim()));
    }
    tried.status == 0
}

/// The names that a profile allows.
fn allowed(profile: &str) -> Vec<String> {
    let profile: Value = serde_json::from_str(profile).expect("a profile is JSON");
    let entries = profile["syscalls"].as_array().expect("it has entries");
    let allowed = entries.iter().filter(|entry| entry["action"] == "SCMP_ACT_ALLOW");
    allowed
        .flat_map(|entry| entry["names"].as_array().expect("entries have names"))
        .map(|name| name.as_str().expect("a name is text").to_owned())
        .collect()
}

#[test]
fn a_container_is_recorded_from_its_exec_to_its_end() {
    let scratch = Scratch::new();
    folder(&scratch);
    if !ready(&scratch) {
        return;
    }
    // Anybody may open the folder, and lock it.
    let anybody = fs::File::open(scratch.join("out")).expect("it is there");
    anybody.lock().expect("nobody else has");
    let process = container(&scratch, "mkdir made");
    let path = format!("of:{}", at(&scratch, "out/web.json"));
    hook(&scratch, &state(process.id().into(), &path)).is(0, "started\n", "");
    assert!(!scratch.join("out/web.json").exists());
    go(process);
    let names = allowed(&written(&scratch, "out/web.json"));
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    assert!(has("mkdir") && has("execve") && has("exit_group"), "{names:?}");
    // What the runtime, here a shell, did before.
    assert!(!has("umask"), "{names:?}");
    scratch.callgate(&["check", "out/web.json", "--for", "podman"]).run().is_like(0, "…", "…");
    let line = ["run", "--profile", "out/web.json", "--keep-privileges", "--cap-keep", "--"];
    scratch.callgate(&[&line[..], &["mkdir", "again"]].concat()).run().is(0, "", "");
    // Nothing else is left in the folder but the lock, which is nobody else's.
    let left = fs::read_dir(scratch.join("out")).expect("it is there").count();
    assert_eq!(left, 2);
    let lock = fs::metadata(scratch.join("out/.callgate.lock")).expect("it is there");
    assert_eq!(lock.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_recording_gets_another_run() {
    let scratch = Scratch::new();
    folder(&scratch);
    if !ready(&scratch) {
        return;
    }
    let path = format!("of:{}", at(&scratch, "out/web.rec"));
    let runs = |text: &str| text.lines().filter(|line| line.contains("\"command\"")).count();
    for (run, command) in [(1, "mkdir made"), (2, "rmdir made")] {
        let process = container(&scratch, command);
        hook(&scratch, &state(process.id().into(), &path)).is(0, "started\n", "");
        go(process);
        let begin = Instant::now();
        while runs(&written(&scratch, "out/web.rec")) < run {
            assert!(begin.elapsed() < LIMIT, "run {run} is not written");
            thread::sleep(Duration::from_millis(20));
        }
    }
    let text = written(&scratch, "out/web.rec");
    assert!(text.contains("\"mkdir\"") && text.contains("\"rmdir\""), "{text}");
    assert!(text.contains("\"container:web\""), "{text}");
}

#[test]
fn a_profile_is_added_to_and_what_it_refuses_stays_refused() {
    const INPUT: &str = "{\n  \"defaultAction\": \"SCMP_ACT_ERRNO\",\n  \"syscalls\": [\n    { \"names\": [\"ptrace\"], \"action\": \"SCMP_ACT_ALLOW\" },\n    { \"names\": [\"mkdir\"], \"action\": \"SCMP_ACT_ERRNO\" }\n  ]\n}\n";
    let scratch = Scratch::new();
    folder(&scratch);
    if !ready(&scratch) {
        return;
    }
    scratch.file("out/in.json", INPUT);
    let process = container(&scratch, "mkdir made");
    let [input, output] = ["out/in.json", "out/web.json"].map(|name| at(&scratch, name));
    let ask = |pid: u32, output: &str| {
        hook(&scratch, &state(pid.into(), &format!("if:{input};of:{output}")))
    };
    ask(process.id(), &at(&scratch, "out/x.rec")).is_like(0, "error: …`if:` is for a profile…", "");
    ask(process.id(), &output).is(0, "started\n", "");
    go(process);
    let text = written(&scratch, "out/web.json");
    let names = allowed(&text);
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    assert!(has("ptrace") && has("exit_group") && !has("mkdir"), "{names:?}");
    assert!(text.starts_with(INPUT.split_once("\n  ]").expect("it has a list").0), "{text}");
    assert_eq!(scratch.read("out/in.json"), INPUT.as_bytes());
    scratch.file("out/in.json", "{");
    let process = container(&scratch, "true");
    ask(process.id(), &output).is_like(0, "error: …in.json: it is no profile without errors…", "");
    go(process);
}

#[test]
fn what_is_recorded_is_written_when_the_recorder_is_asked_to_end() {
    let scratch = Scratch::new();
    folder(&scratch);
    if !ready(&scratch) {
        return;
    }
    let process = container(&scratch, "sleep 600");
    let path = format!("of:{}", at(&scratch, "out/web.json"));
    hook(&scratch, &state(process.id().into(), &path)).is(0, "started\n", "");
    let (pid, mut process) = (process.id(), process);
    process.stdin.take().expect("it is piped").write_all(b"go\n").expect("the shell reads");
    let begin = Instant::now();
    while !fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.ends_with("sleep")) {
        assert!(begin.elapsed() < LIMIT, "sleep does not start");
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_millis(300));
    let recorder = recorder(&at(&scratch, "out")).expect("it runs in the background");
    let kill = Command::new("kill").arg(recorder.to_string()).status().expect("kill starts");
    assert!(kill.success());
    let names = allowed(&written(&scratch, "out/web.json"));
    assert!(names.iter().any(|name| name == "clock_nanosleep"), "{names:?}");
    process.kill().and_then(|()| process.wait()).expect("it is ours");
}

/// The process that records into this folder.
fn recorder(folder: &str) -> Option<u32> {
    let processes = fs::read_dir("/proc").expect("/proc is there").flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(|pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        words.contains(&b"--recorder".as_slice()) && words.contains(&folder.as_bytes())
    })
}

#[test]
fn a_file_elsewhere_is_refused_and_so_is_every_way_there() {
    let scratch = Scratch::new();
    folder(&scratch);
    let out = |name: &str| scratch.join("out").join(name);
    fs::write(scratch.join("secret"), "s").expect("the folder takes a file");
    symlink("../secret", out("link.json")).expect("the folder takes a link");
    symlink("..", out("up")).expect("the folder takes a link");
    fs::create_dir(out("folder.json")).expect("the folder takes a folder");
    fs::create_dir(out("open")).expect("the folder takes a folder");
    fs::set_permissions(out("open"), PermissionsExt::from_mode(0o777)).expect("it is ours");
    fs::create_dir(out("inner")).expect("the folder takes a folder");
    let path = |name: &str| format!("of:{}", at(&scratch, name));
    // Of this very process, which is no container; nothing gets as far as that.
    let own = i64::from(std::process::id());
    for (annotation, says) in [
        ("of:/etc/web.json".to_owned(), "is no file below"),
        ("of:web.json".to_owned(), "is no file below"),
        (path("web.json"), "is no file below"),
        (path("out"), "is no file below"),
        (path("out/../web.json"), "is no file below"),
        (path("out/inner/../../web.json"), "is no file below"),
        (path("out/link.json"), "something that is no file"),
        (path("out/folder.json"), "something that is no file"),
        (path("out/up/secret"), "a symbolic link is on the way"),
        (path("out/none/web.json"), "its folder: No such file"),
        (path("out/secret/web.json"), "its folder: "),
        (path("out/open/web.json"), "others may write to it"),
        (path(&format!("out/{}.json", "x".repeat(300))), "name too long"),
        ("of:/a\u{1b}[31m\nb".to_owned(), "/a\\u{1b}[31m\\nb is no file below"),
        ("/etc/web.json".to_owned(), "is none of of:FILE"),
        ("of:".to_owned(), "is no file below"),
    ] {
        let outcome = hook(&scratch, &state(own, &annotation));
        let lower = outcome.stdout.to_lowercase();
        assert!(lower.contains(&says.to_lowercase()), "{annotation}: {}", outcome.stdout);
        assert!(!outcome.stdout.contains("started"), "{annotation}");
    }
    assert_eq!(scratch.read("secret"), b"s");
    if root_for("a file of another user in the hook's folder") {
        scratch.file("out/others.json", "o");
        chown(out("others.json"), Some(NOBODY), None).expect("root gives files away");
        let outcome = hook(&scratch, &state(own, &path("out/others.json")));
        outcome.is_like(0, "error: …a file of another user is there, and it is left alone\n", "");
        fs::create_dir(out("theirs")).expect("the folder takes a folder");
        chown(out("theirs"), Some(NOBODY), None).expect("root gives folders away");
        let outcome = hook(&scratch, &state(own, &path("out/theirs/x.json")));
        outcome.is_like(0, "error: …its folder belongs to another user…\n", "");
    }
    fs::remove_dir_all(scratch.join("out")).expect("it is ours");
    hook(&scratch, &state(own, &path("out/web.json"))).is_like(
        0,
        "error: …make it with `mkdir …`\n",
        "",
    );
}

#[test]
fn a_container_that_asks_for_nothing_is_let_be() {
    let scratch = Scratch::new();
    for state in [
        r#"{"ociVersion":"1.0.2","id":"web","pid":1,"bundle":"/b","annotations":{"a":"b"}}"#,
        r#"{"ociVersion":"1.0.2","id":"web","status":"creating","pid":1,"bundle":"/b"}"#,
        r#"{"annotations":null}"#,
    ] {
        hook(&scratch, state).is(0, "started\n", "");
    }
}

#[test]
fn what_is_no_state_is_an_error_and_so_is_an_endless_one() {
    let scratch = Scratch::new();
    folder(&scratch);
    let path = format!("of:{}", at(&scratch, "out/web.json"));
    let ask = |state: &str| scratch.callgate(&["hook"]).input(state).run();
    for state in ["", "{", "[]", "web", "\u{0}", &"[".repeat(1 << 20), &"{\"a\":".repeat(100_000)] {
        ask(state).is_like(2, "", "error: …state…\n");
    }
    ask(&format!("{{{}}}", " ".repeat(5 << 20))).is_like(2, "", "error: …longer than…\n");
    for pid in [0, -1, i64::from(u32::MAX) + 8] {
        ask(&state(pid, &path)).is_like(2, "", "error: the container's state has no pid…\n");
    }
    if ready(&scratch) {
        // A number that no process has.
        let outcome = hook(&scratch, &state(i64::from(i32::MAX), &path));
        outcome.is_like(0, "error: container web: …\n", "");
    }
    assert!(!scratch.join("out/web.json").exists());
}

#[test]
fn without_privilege_a_container_that_asks_does_not_start() {
    let scratch = Scratch::new();
    let user = |args: &[&str]| scratch.callgate_as_user(args);
    scratch.as_user("mkdir").args(&["-m", "755", "theirs"]).run().is(0, "", "");
    let path = format!("of:{}", at(&scratch, "theirs/web.json"));
    let state = state(i64::from(std::process::id()), &path);
    let folder = at(&scratch, "theirs");
    let outcome = user(&["hook", "--folder", &folder]).input(state).run();
    if outcome.status == 0 {
        tell("skipped: a hook without privilege is not tested: this user may record by eBPF");
        return;
    }
    outcome.is_like(2, "", "error: container web: …\n");
}

#[test]
fn the_configuration_is_what_podman_reads() {
    let scratch = Scratch::new();
    let printed = scratch.callgate(&["hook", "--print-config", "--folder", "/srv/x"]).run().json(0);
    assert_eq!(printed["version"], "1.0.0");
    assert_eq!(printed["hook"]["path"], CALLGATE);
    assert_eq!(printed["hook"]["args"], json!(["callgate", "hook", "--folder", "/srv/x"]));
    assert_eq!(printed["stages"], json!(["createRuntime"]));
    let annotations = printed["when"]["annotations"].as_object().expect("it has annotations");
    assert_eq!(annotations.keys().collect::<Vec<_>>(), ["^io\\.containers\\.trace-syscall$"]);
}
