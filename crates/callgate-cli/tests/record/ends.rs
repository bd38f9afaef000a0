//! Recordings that have no end of their own, ended by a signal.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use super::{ebpf_for, lines, signal};
use crate::common::{CALLGATE, Scratch};

/// A recorder that goes on until it is asked to end, once it counts; and a command to start then.
fn recording(scratch: &Scratch, method: &str, args: &[&str]) -> Child {
    let recorder = Command::new(CALLGATE)
        .args([&["record", "--method", method, "-o", "e.rec"], args].concat())
        .stderr(Stdio::piped())
        .current_dir(scratch.path())
        .spawn()
        .expect("callgate starts");
    while fs::metadata(scratch.join("e.rec")).map_or(0, |meta| meta.len()) < 100 {
        sleep(Duration::from_millis(20));
    }
    recorder
}

#[test]
fn a_recording_that_is_asked_to_end_is_whole() {
    let scratch = Scratch::new();
    if !ebpf_for(&scratch, "ending the recording of a running process") {
        return;
    }
    let script = "while [ ! -e go ]; do sleep 0.05; done; rm go; i=0
        while [ $i -lt 1000 ]; do kill -0 $$; i=$((i + 1)); done; touch done; exec sleep 30";
    for name in ["INT", "TERM"] {
        let mut child = Command::new("sh")
            .args(["-c", script])
            .current_dir(scratch.path())
            .spawn()
            .expect("sh starts");
        let recorder = recording(&scratch, "ebpf", &["--pid", &child.id().to_string()]);
        scratch.file("go", "");
        while !scratch.join("done").exists() {
            sleep(Duration::from_millis(20));
        }
        signal(name, recorder.id());
        let ended = recorder.wait_with_output().expect("it is ours");
        child.kill().expect("it is ours, and runs still");
        child.wait().expect("it is ours");
        assert_eq!(ended.status.code(), Some(0), "{name}");
        let told = String::from_utf8_lossy(&ended.stderr);
        assert!(told.contains("e.rec: ") && told.contains(" syscalls on "), "{told}");
        let lines = lines(&scratch, "e.rec");
        let kills = lines.iter().rev().find(|line| line["name"] == "kill").expect("it was called");
        assert_eq!(kills["count"], 1000);
        assert!(lines.last().expect("there are lines")["end"].is_object());
        for file in ["e.rec", "done"] {
            fs::remove_file(scratch.join(file)).expect("it is ours");
        }
    }
}

#[test]
fn what_a_command_left_running_is_recorded_until_the_end_is_asked_for() {
    let scratch = Scratch::new();
    let script = "(trap '' INT; mkdir dir; touch made; exec sleep 30) & echo $! >left";
    let methods: &[&str] =
        if ebpf_for(&scratch, "what a command left") { &["ebpf", "notify"] } else { &["notify"] };
    for method in methods {
        let mut recorder = recording(&scratch, method, &["--", "sh", "-c", script]);
        let mut told = BufReader::new(recorder.stderr.take().expect("it is piped"));
        let mut line = String::new();
        while !line.contains("has left others running") {
            assert!(told.read_line(&mut line).expect("it is text") > 0, "{line}");
        }
        while !scratch.join("made").exists() {
            sleep(Duration::from_millis(20));
        }
        signal("INT", recorder.id());
        assert_eq!(recorder.wait().expect("it is ours").code(), Some(0), "{method}");
        let left = String::from_utf8(scratch.read("left")).expect("it is a number");
        signal("KILL", left.trim().parse().expect("it is a number"));
        let lines = lines(&scratch, "e.rec");
        let made = lines.iter().rev().find(|line| line["name"] == "mkdir").expect("it was called");
        assert_eq!(made["count"], 1, "{method}");
        assert!(lines.last().expect("there are lines")["end"].is_object(), "{method}");
        scratch.command("rm").args(&["-r", "dir", "made", "e.rec"]).run().is(0, "", "");
    }
}
