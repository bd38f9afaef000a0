//! An ordinary user's Podman, recorded by that user: by notification, with all that Podman starts.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{chown, symlink},
    process::{Command, Stdio},
    time::Duration,
};

use super::{called, signal};
use crate::common::{CALLGATE, NOBODY, Scratch, find, root_for, skip, tool_for};

const CONFIGURATION: &str = "[containers]\n\
    default_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
    [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\n";

/// A folder, and what is in it, of the user.
fn give(scratch: &Scratch, name: &str) {
    let owner = format!("{NOBODY}:{NOBODY}");
    scratch.command("chown").args(&["--recursive", "--no-dereference", &owner, name]).run();
}

#[test]
fn a_container_of_an_ordinary_user_is_recorded_by_that_user() {
    let what = "recording a container of rootless podman";
    if !root_for(what)
        || !tool_for("podman", "podman", what)
        || !tool_for("runc", "runc", what)
        || !tool_for("busybox", "busybox-static", what)
    {
        return;
    }
    let scratch = Scratch::new();
    for folder in ["bin", "dev", "etc", "proc", "run", "sys", "tmp"] {
        fs::create_dir_all(scratch.join("rootfs").join(folder)).expect("the folder takes a folder");
    }
    scratch.copy(find("busybox").expect("it was looked for"), "rootfs/bin/busybox", 0o755);
    symlink("busybox", scratch.join("rootfs/bin/sh")).expect("the folder takes a link");
    scratch.file("containers.conf", CONFIGURATION);
    scratch.copy(CALLGATE, "callgate", 0o755);
    for folder in ["home", "run"] {
        fs::create_dir(scratch.join(folder)).expect("the folder takes a folder");
        chown(scratch.join(folder), Some(NOBODY), Some(NOBODY)).expect("root may");
    }
    scratch.command("chmod").args(&["700", "run"]).run().is(0, "", "");
    give(&scratch, "rootfs");
    let user = NOBODY.to_string();
    let rootfs = scratch.join("rootfs").to_string_lossy().into_owned();
    // A user of one number needs no setuid program to make a namespace of users.
    let container = ["run", "--rm", "--network", "none", "--rootfs", &rootfs, "/bin/sh", "-c"];
    let podman = [&["podman", "--runtime", "runc"][..], &container, &["busybox mkdir /tmp/made"]];
    let podman = podman.concat();
    let command = |program: &[&str]| {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"])
            .args(program)
            .current_dir(scratch.path())
            .env("HOME", scratch.join("home"))
            .env("XDG_RUNTIME_DIR", scratch.join("run"))
            .env("CONTAINERS_CONF", scratch.join("containers.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    };
    let end_pause = || {
        let number = fs::read_to_string(scratch.join("run/libpod/tmp/pause.pid"));
        if let Some(number) = number.ok().and_then(|number| number.trim().parse().ok()) {
            signal("KILL", number);
        }
        scratch.command("rm").args(&["-rf", "run/libpod", "rootfs/tmp/made"]).run();
    };
    let alone = command(&podman).output().expect("setpriv starts");
    end_pause();
    if !alone.status.success() {
        skip(&format!("{what}: {}", String::from_utf8_lossy(&alone.stderr).trim()));
        return;
    }
    let recorder = ["./callgate", "record", "-o", "home/p.rec", "--"];
    let mut recorder = command(&[&recorder[..], &podman].concat()).spawn().expect("setpriv starts");
    // Podman leaves a process that holds its namespace.
    let mut told = String::new();
    let mut lines = BufReader::new(recorder.stderr.take().expect("it is piped"));
    while !told.contains("has left others running") {
        assert!(lines.read_line(&mut told).expect("it is text") > 0, "{told}");
    }
    std::thread::sleep(Duration::from_millis(100));
    signal("INT", recorder.id());
    assert_eq!(recorder.wait().expect("it is ours").code(), Some(0), "{told}");
    assert!(scratch.join("rootfs/tmp/made").exists());
    end_pause();
    for (executable, call) in
        [("/bin/busybox", "mkdir"), ("/runc", "seccomp"), ("/podman", "clone")]
    {
        let calls = called(&scratch, "home/p.rec", executable);
        assert!(calls.contains(call), "{call} of {executable}: {calls:?}");
    }
}
