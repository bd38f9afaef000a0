//! Where the result cannot go: what is written appears whole or not at all.

use std::fs;

use crate::common::{CALLGATE, Scratch, like, root_for, tool_for};

/// Verbs that write files, but for the file.
const WRITING: &[&[&str]] = &[
    &["compile", "docker-default", "--format", "c"],
    &["convert", "docker-default", "--to", "containers"],
    &["merge", "docker-default", "strict"],
];

/// Verbs whose result is longer than a line.
const PRINTING: &[&str] = &[
    "convert docker-default --to containers",
    "disasm docker-default",
    "diff docker-default strict",
    "explain docker-default",
    "lint docker-default",
    "merge docker-default strict",
];

/// Everything in the folder, by name.
fn contents(scratch: &Scratch) -> Vec<String> {
    let names = fs::read_dir(scratch.path()).expect("the folder is there");
    let mut names: Vec<String> = names
        .map(|entry| entry.expect("it is readable").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_folder_that_is_missing_is_told_by_name() {
    for args in WRITING {
        let scratch = Scratch::new();
        let args = [args, &["-o", "none/out"][..]].concat();
        let said = "error: none/out: No such file or directory (os error 2)\n";
        scratch.callgate(&args).run().is_like(2, "", said);
        assert!(contents(&scratch).is_empty());
    }
}

#[test]
fn whoever_is_killed_while_it_writes_leaves_the_file_as_it_was() {
    if !tool_for("prlimit", "util-linux", "an interrupted write") {
        return;
    }
    for args in WRITING {
        let scratch = Scratch::new();
        scratch.file("out", "as it was");
        // The kernel ends the program at this byte of the file.
        let command = [&["--fsize=100", CALLGATE], *args, &["-o", "out"]].concat();
        let outcome = scratch.command("prlimit").args(&command).run();
        assert_eq!(outcome.signal, Some(25), "not ended by SIGXFSZ: {outcome:?}");
        assert_eq!(scratch.read("out"), b"as it was");
        fs::remove_file(scratch.join("out")).expect("it is ours");
        scratch.command("prlimit").args(&command).run();
        assert!(!scratch.join("out").exists());
    }
}

#[test]
fn a_full_disk_is_an_error_and_keeps_nothing() {
    if !root_for("a full disk") || !tool_for("unshare", "util-linux", "a full disk") {
        return;
    }
    let scratch = Scratch::new();
    fs::create_dir(scratch.join("small")).expect("the folder takes one");
    for args in WRITING {
        let script = format!(
            "mount -t tmpfs -o size=4k none small && cd small && \
             {{ {CALLGATE} {} -o out; echo $?; ls -A; }}",
            args.join(" ")
        );
        let full = "error: out: No space left on device (os error 28)\n";
        let outcome = scratch.command("unshare").args(&["-m", "sh", "-c", &script]).run();
        outcome.is_like(0, "2\n", full);
    }
}

#[test]
fn a_reader_that_went_away_is_no_error_and_a_full_device_is() {
    let scratch = Scratch::new();
    let sh = |script: &str| scratch.command("sh").args(&["-c", script]).run();
    for args in PRINTING {
        let whole = sh(&format!("{CALLGATE} {args}"));
        let first = sh(&format!("{{ {CALLGATE} {args}; echo $? >&2; }} | head -n 1"));
        assert_eq!(first.stdout.trim_end(), whole.stdout.lines().next().unwrap_or_default());
        assert!(first.stderr.ends_with(&format!("{}\n", whole.status)), "{args}: {first:?}");
        let none = sh(&format!("{{ {CALLGATE} {args}; echo $? >&2; }} | true"));
        assert!(none.stderr.ends_with(&format!("{}\n", whole.status)), "{args}: {none:?}");
        let full = sh(&format!("{CALLGATE} {args} > /dev/full"));
        assert!(
            full.status == 2 && like(&full.stderr, "…error: …No space left on device …"),
            "{args}: {full:?}"
        );
    }
}
