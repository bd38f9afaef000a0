//! What of its surroundings a command keeps: descriptors, input, environment, signals.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use crate::common::{CALLGATE, Scratch};

#[test]
fn no_descriptor_leaks_and_inherited_ones_stay() {
    let scratch = Scratch::new();
    let script = |command: &str| {
        let script = format!("exec 7</dev/null; exec {command}");
        scratch.command("sh").args(&["-c", &script]).run()
    };
    // `ls` itself opens the folder, in both cases under the lowest free number.
    let plain = script("ls /proc/self/fd");
    assert!(plain.stdout.contains("7\n"), "{}", plain.stdout);
    script(&format!("'{CALLGATE}' run -- ls /proc/self/fd")).is(0, &plain.stdout, "");
    script(&format!("'{CALLGATE}' run -v --log -- ls /proc/self/fd")).is_like(
        0,
        &plain.stdout,
        "…",
    );
    let callgate = scratch.copy(CALLGATE, "callgate", 0o755);
    let user = |command: &str| scratch.as_user("sh").args(&["-c", command]).run();
    let plain = user("exec ls /proc/self/fd");
    user(&format!("exec '{}' run -- ls /proc/self/fd", callgate.display())).is(
        0,
        &plain.stdout,
        "",
    );
}

#[test]
fn standard_input_is_the_commands() {
    let scratch = Scratch::new();
    let text = "line\n".repeat(100_000);
    let outcome = scratch.callgate(&["run", "--", "cat"]).input(text.as_bytes()).run();
    outcome.is(0, &text, "");
}

#[test]
fn environment_folder_and_arguments_are_as_they_were() {
    let scratch = Scratch::new();
    let script = "pwd; umask; env | grep -v '^_=' | sort; for a; do echo \"<$a>\"; done";
    let args = ["sh", "-c", script, "sh", "", "two words", "--", "-v", "\u{e9}"];
    let plain = scratch.command(args[0]).args(&args[1..]).env("ODD", "a=b").run();
    let run = scratch.callgate(&["run", "--"]).args(&args).env("ODD", "a=b").run();
    assert_eq!(run, plain);
}

#[test]
fn signals_that_processes_send_are_passed_on() {
    let scratch = Scratch::new();
    for signal in ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2"] {
        let script = format!(
            "trap 'echo got; exit 7' {signal}; echo ready; n=0; while [ $n -lt 600 ]; do sleep 0.1; n=$((n+1)); done"
        );
        let mut callgate = Command::new(CALLGATE)
            .args(["run", "--", "sh", "-c", &script])
            .current_dir(scratch.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("callgate starts");
        let mut lines = BufReader::new(callgate.stdout.take().expect("it is piped")).lines();
        let mut next = || lines.next().map(|line| line.expect("it is text"));
        assert_eq!(next().as_deref(), Some("ready"));
        let kill = format!("kill -{signal} {}", callgate.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("sh starts").success());
        assert_eq!(next().as_deref(), Some("got"), "{signal}");
        assert_eq!(callgate.wait().expect("it is our child").code(), Some(7), "{signal}");
    }
}

#[test]
fn a_signal_that_kills_the_command_shows_in_the_status() {
    let scratch = Scratch::new();
    let mut callgate = Command::new(CALLGATE)
        .args(["run", "--", "sh", "-c", "echo ready; exec sleep 60"])
        .current_dir(scratch.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("callgate starts");
    let mut line = String::new();
    let mut output = BufReader::new(callgate.stdout.take().expect("it is piped"));
    output.read_line(&mut line).expect("it is text");
    assert_eq!(line, "ready\n");
    let kill = format!("kill -TERM {}", callgate.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().expect("sh starts").success());
    assert_eq!(callgate.wait().expect("it is our child").code(), Some(143));
}
