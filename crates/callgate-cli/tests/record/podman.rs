//! Podman recorded with all that it starts: by root with eBPF, by an ordinary user by notification.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{chown, symlink},
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use super::{called, ebpf_for, signal};
use crate::common::{CALLGATE, NOBODY, Scratch, find, root_for, skip, tool_for};

const CONFIGURATION: &str = "[containers]\n\
    default_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
    [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\n";

/// A root folder for containers, and what Podman needs to keep to the scratch folder.
struct Podman<'s> {
    scratch: &'s Scratch,
    /// The user who starts it.
    user: Option<u32>,
}

impl Podman<'_> {
    /// None, said loudly, where that cannot be tried.
    fn new<'s>(scratch: &'s Scratch, user: Option<u32>, what: &str) -> Option<Podman<'s>> {
        if !root_for(what)
            || !tool_for("podman", "podman", what)
            || !tool_for("runc", "runc", what)
            || !tool_for("busybox", "busybox-static", what)
        {
            return None;
        }
        for folder in ["bin", "dev", "etc", "proc", "run", "sys", "tmp"] {
            let folder = scratch.join("rootfs").join(folder);
            fs::create_dir_all(&folder).expect("the folder takes a folder");
        }
        scratch.copy(find("busybox").expect("it was looked for"), "rootfs/bin/busybox", 0o755);
        symlink("busybox", scratch.join("rootfs/bin/sh")).expect("the folder takes a link");
        scratch.file("containers.conf", CONFIGURATION);
        scratch.copy(CALLGATE, "callgate", 0o755);
        for folder in ["home", "run"] {
            fs::create_dir(scratch.join(folder)).expect("the folder takes a folder");
            chown(scratch.join(folder), user, user).expect("root may");
        }
        scratch.command("chmod").args(&["700", "run"]).run().is(0, "", "");
        if let Some(user) = user {
            let owner = format!("{user}:{user}");
            scratch.command("chown").args(&["--recursive", "-h", &owner, "rootfs"]).run();
        }
        let podman = Podman { scratch, user };
        let alone = podman.command(&[], "true").output().expect("it starts");
        podman.end_pause();
        if !alone.status.success() {
            skip(&format!("{what}: {}", String::from_utf8_lossy(&alone.stderr).trim()));
            return None;
        }
        Some(podman)
    }

    /// `podman run` of a script, by the user, behind other words.
    fn command(&self, before: &[&str], script: &str) -> Command {
        let rootfs = self.scratch.join("rootfs");
        let mut command = Command::new("setpriv");
        if let Some(user) = self.user {
            let user = user.to_string();
            command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]);
        }
        command.arg("--").args(before).arg("podman");
        if self.user.is_none() {
            let (store, running) = (self.scratch.join("store"), self.scratch.join("running"));
            command.arg("--root").arg(store).arg("--runroot").arg(running);
        }
        command
            .args(["--runtime", "runc", "run", "--rm", "--network", "none", "--rootfs"])
            .arg(rootfs)
            .args(["/bin/sh", "-c", script])
            .current_dir(self.scratch.path())
            .env("HOME", self.scratch.join("home"))
            .env("XDG_RUNTIME_DIR", self.scratch.join("run"))
            .env("CONTAINERS_CONF", self.scratch.join("containers.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// Ends what rootless Podman leaves to hold its namespace.
    fn end_pause(&self) {
        let number = fs::read_to_string(self.scratch.join("run/libpod/tmp/pause.pid"));
        if let Some(number) = number.ok().and_then(|number| number.trim().parse().ok()) {
            signal("KILL", number);
        }
        self.scratch.command("rm").args(&["-rf", "run/libpod"]).run();
    }

    /// That the recording has the engine, the runtime and the container.
    fn assert_recorded(&self, file: &str) {
        assert!(self.scratch.join("rootfs/tmp/made").exists());
        let expected = [("/bin/busybox", "mkdir"), ("/runc", "seccomp"), ("/podman", "clone")];
        for (executable, call) in expected {
            let calls = called(self.scratch, file, executable);
            assert!(calls.contains(call), "{call} of {executable}: {calls:?}");
        }
    }
}

#[test]
fn a_container_is_in_the_recording_of_who_starts_it_whatever_its_cgroup() {
    let scratch = Scratch::new();
    if !ebpf_for(&scratch, "recording podman by eBPF") {
        return;
    }
    let Some(podman) = Podman::new(&scratch, None, "recording podman by eBPF") else { return };
    let recorder = ["./callgate", "record", "--method", "ebpf", "-o", "p.rec", "--"];
    let done = podman.command(&recorder, "busybox mkdir /tmp/made").output().expect("it starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    podman.assert_recorded("p.rec");
}

#[test]
fn a_container_of_an_ordinary_user_is_recorded_by_that_user() {
    let scratch = Scratch::new();
    // A user of one number needs no setuid program to make a namespace of users.
    let podman = Podman::new(&scratch, Some(NOBODY), "recording rootless podman");
    let Some(podman) = podman else { return };
    let recorder = ["./callgate", "record", "-o", "home/p.rec", "--"];
    let mut recorder =
        podman.command(&recorder, "busybox mkdir /tmp/made").spawn().expect("it starts");
    // Podman leaves a process that holds its namespace.
    let mut told = String::new();
    let mut lines = BufReader::new(recorder.stderr.take().expect("it is piped"));
    while !told.contains("has left others running") {
        assert!(lines.read_line(&mut told).expect("it is text") > 0, "{told}");
    }
    sleep(Duration::from_millis(100));
    signal("INT", recorder.id());
    assert_eq!(recorder.wait().expect("it is ours").code(), Some(0), "{told}");
    podman.end_pause();
    podman.assert_recorded("home/p.rec");
}
