//! `callgate hook`, called by Podman.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{LIMIT, bundle, podman, ready, text};
use crate::common::{Scratch, skip};

/// What the containers do: threads of processes, a file, a socket of the kernel.
const LINE: &str = "busybox mkdir /tmp/made; busybox ls / | busybox wc -l; exit 7";

/// Podman's folder of hooks, with callgate's in it, and the folder that it writes to.
fn hooks(scratch: &Scratch) {
    bundle(scratch, "unused");
    for folder in ["hooks", "out"] {
        fs::create_dir(scratch.join(folder)).expect("the folder takes a folder");
        fs::set_permissions(scratch.join(folder), PermissionsExt::from_mode(0o755))
            .expect("it is ours");
    }
    let printed =
        scratch.callgate(&["hook", "--print-config", "--folder"]).arg(scratch.join("out"));
    scratch.file("hooks/callgate.json", printed.run().stdout);
}

/// Runs the line in a container of Podman; its status, and what was said.
fn start(scratch: &Scratch, runtime: &str, options: &[&str]) -> (Option<i32>, String) {
    let _ = fs::remove_dir_all(scratch.join("rootfs/tmp/made"));
    let (hooks, rootfs) = (scratch.join("hooks"), scratch.join("rootfs"));
    let line = ["--hooks-dir", text(&hooks), "run", "--rm", "--network", "none"];
    let command = ["--rootfs", text(&rootfs), "/bin/sh", "-c", LINE];
    let status = podman(scratch, runtime, &[&line[..], options, &command].concat())
        .status()
        .expect("it starts");
    (status.code(), fs::read_to_string(scratch.join("stderr")).unwrap_or_default())
}

fn recorded(scratch: &Scratch, name: &str) -> String {
    let begin = Instant::now();
    while !scratch.join(name).exists() {
        assert!(begin.elapsed() < LIMIT, "{name} is not written");
        thread::sleep(Duration::from_millis(20));
    }
    String::from_utf8(scratch.read(name)).expect("it is text")
}

/// The annotation for this file.
fn of(scratch: &Scratch, name: &str) -> String {
    format!("io.containers.trace-syscall=of:{}", text(&scratch.join(name)))
}

fn records_what_starts_the_container_again(runtime: &str) {
    let scratch = Scratch::new();
    if !ready(&scratch, "podman") || !ready(&scratch, runtime) {
        return;
    }
    hooks(&scratch);
    let (status, said) = start(&scratch, runtime, &[]);
    if status != Some(7) {
        skip(&format!("callgate hook is not tested: no container of podman: {}", said.trim()));
        return;
    }
    assert_eq!(fs::read_dir(scratch.join("out")).expect("it is there").count(), 0, "unasked");
    let annotation = of(&scratch, "out/web.json");
    assert_eq!(start(&scratch, runtime, &["--annotation", &annotation]).0, Some(7));
    let profile = recorded(&scratch, "out/web.json");
    assert!(profile.contains("recorded by /bin/busybox"), "{profile}");
    // What the runtime does on the way is not the container's.
    for call in ["\"mount\"", "\"pivot_root\"", "\"sethostname\"", "\"unshare\""] {
        assert!(!profile.contains(call), "{call} with {runtime}: {profile}");
    }
    // The same runs under it, also with a kill for all else; and something else does not.
    let mut kill: Value = serde_json::from_str(&profile).expect("it is JSON");
    kill["defaultAction"] = json!("SCMP_ACT_KILL_PROCESS");
    for key in ["defaultErrnoRet", "defaultErrno"] {
        kill.as_object_mut().expect("it is an object").remove(key);
    }
    scratch.file("out/kill.json", kill.to_string());
    for name in ["out/web.json", "out/kill.json"] {
        let option = format!("seccomp={}", text(&scratch.join(name)));
        let (status, said) = start(&scratch, runtime, &["--security-opt", &option]);
        assert_eq!(status, Some(7), "{name} with {runtime}: {said}");
        assert!(scratch.join("rootfs/tmp/made").exists(), "{name} with {runtime}");
    }
    // What may not be written keeps the container from starting, and says why.
    let elsewhere = of(&scratch, "web.json");
    let (status, said) = start(&scratch, runtime, &["--annotation", &elsewhere]);
    assert_ne!(status, Some(7), "{said}");
    assert!(!scratch.join("rootfs/tmp/made").exists() && !scratch.join("web.json").exists());
    assert!(runtime != "runc" || said.contains("is no file below"), "{said}");
}

#[test]
fn podman_with_crun_records_what_starts_the_container_again() {
    records_what_starts_the_container_again("crun");
}

#[test]
fn podman_with_runc_records_what_starts_the_container_again() {
    records_what_starts_the_container_again("runc");
}
