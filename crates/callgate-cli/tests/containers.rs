//! `callgate record --container`: running containers of runc, crun and Podman, found by their ids,
//! their names and their folders.
#![cfg(target_os = "linux")]

#[path = "common/mod.rs"]
mod common;

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{self, Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::common::{CALLGATE, Scratch, find, root_for, skip, tool_for};

const LIMIT: Duration = Duration::from_secs(60);

/// Runs `$@` where crun works: it refuses a version 2 tree beside version 1 controllers.
const WITHOUT_SECOND_TREE: &str =
    "if [ -d /sys/fs/cgroup/unified ]; then umount -l /sys/fs/cgroup/unified; fi; exec \"$@\"";

/// What the containers do once they are told to.
const SCRIPT: &str = "n=0; while [ ! -e /go -a $n -lt 1200 ]; do n=$((n+1)); busybox sleep 0.05; done; busybox mkdir /made; busybox ls / >/dev/null";

/// Whether all of this can be tried here; says loudly what goes untested otherwise.
fn ready(scratch: &Scratch, runtime: &str) -> bool {
    let what = &format!("recording a container of {runtime}");
    if !root_for(what)
        || !tool_for(runtime, runtime, what)
        || !tool_for("busybox", "busybox-static", what)
        || !tool_for("unshare", "util-linux", what)
    {
        return false;
    }
    let tried = scratch.callgate(&["record", "--method", "ebpf", "-o", "try", "--", "true"]).run();
    if tried.status != 0 {
        skip(&format!("{what} is not tested: {}", tried.stderr.trim()));
    }
    tried.status == 0
}

/// A program in a mount namespace of its own, in the scratch folder.
fn inside(scratch: &Scratch, line: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-c", WITHOUT_SECOND_TREE, "sh"])
        .args(line)
        .current_dir(scratch.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(scratch.join("stderr")).expect("the folder takes a file"));
    command
}

fn run(scratch: &Scratch, command: &mut Command) {
    let status = command.status().expect("it starts");
    let said = fs::read_to_string(scratch.join("stderr")).unwrap_or_default();
    assert!(status.success(), "{command:?}: {status}\n{said}");
}

/// A root folder, and a bundle that runs the script in it.
fn bundle(scratch: &Scratch, name: &str) {
    for folder in ["bin", "dev", "etc", "proc", "run", "sys", "tmp"] {
        fs::create_dir_all(scratch.join("rootfs").join(folder)).expect("the folder takes a folder");
    }
    scratch.copy(find("busybox").expect("it was looked for"), "rootfs/bin/busybox", 0o755);
    symlink("busybox", scratch.join("rootfs/bin/sh")).expect("the folder takes a link");
    let namespaces = ["pid", "ipc", "uts", "mount", "network"].map(|kind| json!({ "type": kind }));
    let config = json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false, "user": { "uid": 0, "gid": 0 }, "args": ["/bin/sh", "-c", SCRIPT],
            "env": ["PATH=/bin"], "cwd": "/", "noNewPrivileges": true,
        },
        "root": { "path": scratch.join("rootfs"), "readonly": false },
        "mounts": [{ "destination": "/proc", "type": "proc", "source": "proc" }],
        "linux": { "cgroupsPath": format!("/{name}"), "namespaces": namespaces },
    });
    scratch.file("config.json", config.to_string());
}

/// The recorder of a container, as soon as it records.
fn recorder(scratch: &Scratch, file: &str, container: &str) -> Child {
    let mut child = Command::new(CALLGATE)
        .args(["record", "-o", file, "--container", container])
        .stderr(Stdio::piped())
        .current_dir(scratch.path())
        .spawn()
        .expect("callgate starts");
    let begin = Instant::now();
    while fs::metadata(scratch.join(file)).map_or(0, |meta| meta.len()) < 100 {
        if child.try_wait().expect("it is ours").is_some() || begin.elapsed() > LIMIT {
            let _ = child.kill();
            let said = child.wait_with_output().expect("it is ours").stderr;
            panic!("{container} is not recorded: {}", String::from_utf8_lossy(&said));
        }
        thread::sleep(Duration::from_millis(20));
    }
    child
}

/// What it said when the container had ended.
fn end(recorder: Child) -> String {
    let ended = recorder.wait_with_output().expect("it is ours");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "{said}");
    said
}

/// The names of the calls of a recording.
fn called(scratch: &Scratch, file: &str) -> Vec<String> {
    lines(scratch, file).filter_map(|line| line["name"].as_str().map(str::to_owned)).collect()
}

fn lines(scratch: &Scratch, file: &str) -> impl Iterator<Item = Value> {
    let text = String::from_utf8(scratch.read(file)).expect("a recording is text");
    let parse = |line| serde_json::from_str::<Value>(line).expect("it is JSON");
    text.lines().map(parse).collect::<Vec<_>>().into_iter()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("it is text")
}

fn says_that_the_start_is_missing(said: &str) -> bool {
    said.contains("its start is missing")
}

/// From `create` on, by the folder that the runtime was told of: the start is there.
fn created_and_started(
    scratch: &Scratch,
    runtime: &str,
    line: fn(&Scratch, &[&str]) -> Command,
) -> String {
    let name = format!("callgate-record-{}-{runtime}", process::id());
    bundle(scratch, &name);
    run(scratch, &mut line(scratch, &[runtime, "--root", "state", "create", &name]));
    let recorder = recorder(scratch, "a.rec", &format!("state/{name}"));
    run(scratch, &mut line(scratch, &[runtime, "--root", "state", "start", &name]));
    scratch.file("rootfs/go", "");
    let said = end(recorder);
    assert!(said.contains(&format!("note: container:{name}: recording ")), "{said}");
    assert!(!says_that_the_start_is_missing(&said), "{said}");
    let calls = called(scratch, "a.rec");
    for call in ["execve", "mkdir", "getdents64"] {
        assert!(calls.iter().any(|name| name == call), "{call} of {runtime}: {calls:?}");
    }
    // What the runtime did until it executed the command is not the container's.
    for line in lines(scratch, "a.rec").filter(|line| line["name"] != "execve") {
        let own = line["exe"].as_str().is_none_or(|exe| exe.ends_with("/busybox"));
        assert!(own, "{runtime} is recorded: {line}");
    }
    let gone = ["record", "-o", "b.rec", "--container", &format!("state/{name}")];
    scratch.callgate(&gone).run().is_like(2, "", "error: …does not run…\n");
    run(scratch, &mut line(scratch, &[runtime, "--root", "state", "delete", "--force", &name]));
    said
}

/// Without the namespace: runc has its own group of the version 2 tree.
fn outside(scratch: &Scratch, line: &[&str]) -> Command {
    let mut command = Command::new(line[0]);
    command
        .args(&line[1..])
        .current_dir(scratch.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(scratch.join("stderr")).expect("the folder takes a file"));
    command
}

#[test]
fn a_container_of_runc_is_recorded_by_its_cgroup_from_its_start() {
    let scratch = Scratch::new();
    if ready(&scratch, "runc") {
        let said = created_and_started(&scratch, "runc", outside);
        let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc is there");
        assert_eq!(said.contains("recording process "), !mounts.contains(" cgroup2 "), "{said}");
    }
}

#[test]
fn a_container_of_crun_is_recorded_from_its_start() {
    let scratch = Scratch::new();
    if ready(&scratch, "crun") {
        created_and_started(&scratch, "crun", inside);
    }
}

#[test]
fn a_container_of_podman_is_found_by_name_and_by_the_beginning_of_its_id() {
    const CONFIGURATION: &str = "[containers]\n\
        default_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
        [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\n";
    let scratch = Scratch::new();
    if !ready(&scratch, "podman") || !ready(&scratch, "crun") {
        return;
    }
    bundle(&scratch, "unused");
    scratch.file("containers.conf", CONFIGURATION);
    let name = format!("callgate-record-{}", process::id());
    let podman = |line: &[&str]| {
        let (store, running) = (scratch.join("store"), scratch.join("running"));
        let stores = ["podman", "--root", text(&store), "--runroot", text(&running)];
        let mut command = inside(&scratch, &[&stores[..], &["--runtime", "crun"], line].concat());
        command.env("CONTAINERS_CONF", scratch.join("containers.conf"));
        command
    };
    let rootfs = scratch.join("rootfs");
    let start = ["run", "--detach", "--name", &name, "--network", "none", "--cidfile", "id"];
    let started =
        podman(&[&start[..], &["--rootfs", text(&rootfs), "/bin/sh", "-c", SCRIPT]].concat())
            .status()
            .expect("unshare starts");
    if !started.success() {
        let said = fs::read_to_string(scratch.join("stderr")).unwrap_or_default();
        skip(&format!("a container of podman is not recorded: {}", said.trim()));
        return;
    }
    let id = String::from_utf8(scratch.read("id")).expect("an id is text");
    let by_name = recorder(&scratch, "name.rec", &name);
    let by_id = recorder(&scratch, "id.rec", &id[..12]);
    scratch.file("rootfs/go", "");
    for (recorder, file) in [(by_name, "name.rec"), (by_id, "id.rec")] {
        let said = end(recorder);
        assert!(said.contains(&id) && says_that_the_start_is_missing(&said), "{said}");
        assert!(called(&scratch, file).iter().any(|call| call == "mkdir"), "{file}");
    }
    run(&scratch, &mut podman(&["rm", "--force", &name]));
}

#[test]
fn what_is_no_running_container_is_an_error_that_says_where_was_looked() {
    let scratch = Scratch::new();
    let record =
        |name: &str| scratch.callgate(&["record", "-o", "x.rec", "--container", name]).run();
    for name in ["no-such-container", ""] {
        record(name).is_like(2, "", "error: …: no running container …/run/…cgroups…ROOT/ID\n");
    }
    record("./").is_like(2, "", "error: ./: no runtime's folder of a container…\n");
    scratch.file("status", "{\"pid\": 2147483647}");
    let own = text(scratch.path());
    record(own).is_like(2, "", "error: …does not run…\n");
    // A number that another process has by now.
    scratch.file("status", format!("{{\"pid\": {}, \"process-start-time\": 1}}", process::id()));
    record(own).is_like(2, "", "error: …does not run…\n");
    assert!(!scratch.join("x.rec").exists());
}
