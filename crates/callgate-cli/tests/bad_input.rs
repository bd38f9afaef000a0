//! Input that is no profile: every verb says what is wrong, in bounded time, and does nothing.

mod common;

#[path = "bad_input/formats.rs"]
mod formats;
#[path = "bad_input/large.rs"]
mod large;
#[cfg(target_os = "linux")]
#[path = "bad_input/output.rs"]
mod output;

use std::fs;

use common::{Outcome, Scratch, is_root};

/// How each verb takes a source, and its status when that cannot be read, and when it has errors.
const VERBS: &[(&[&str], i32, i32)] = &[
    (&["check"], 2, 1),
    (&["compile", "-o", "out"], 2, 2),
    (&["convert", "--to", "oci", "-o", "out"], 2, 2),
    (&["diff", "docker-default"], 2, 2),
    (&["disasm"], 2, 2),
    (&["eval"], 2, 2),
    (&["explain"], 2, 2),
    (&["merge", "-o", "out", "docker-default"], 2, 2),
    #[cfg(target_os = "linux")]
    (&["run", "--profile"], 125, 125),
];

/// Runs a verb on a source.
fn verb(scratch: &Scratch, args: &[&str], source: &str) -> Outcome {
    let command: &[&str] = match args[0] {
        "run" => &["--", "touch", "started"],
        "eval" => &["--", "read"],
        _ => &[],
    };
    let outcome = scratch.callgate(&[args, &[source], command].concat()).run();
    assert!(!scratch.join("out").exists() && !scratch.join("started").exists(), "{outcome:?}");
    outcome
}

/// Every verb says this on standard error, nothing else, and ends with the status for what cannot
/// be read.
fn unreadable(scratch: &Scratch, source: &str, said: &str) {
    for (args, status, _) in VERBS {
        verb(scratch, args, source).is_like(*status, "", said);
    }
}

/// The same for what can be read and has errors.
fn erroneous(scratch: &Scratch, source: &str, said: &str) {
    for (args, _, status) in VERBS {
        verb(scratch, args, source).is_like(*status, "", said);
    }
}

/// Bytes that look like chance, always the same.
fn garbage(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    })
    .take(length)
    .collect()
}

#[test]
fn binary_garbage_is_no_source() {
    let scratch = Scratch::new();
    for length in [1000, 4096] {
        scratch.file("garbage", [&[0xff], &garbage(length - 1)[..]].concat());
        unreadable(
            &scratch,
            "garbage",
            &format!(
                "error: garbage is neither a profile nor a BPF program: byte 0 is not UTF-8, and \
                 the {length} bytes are not whole 8-byte instructions that seccomp knows\n"
            ),
        );
    }
}

#[test]
fn a_program_that_was_cut_is_told_as_what_it_is() {
    let scratch = Scratch::new();
    scratch.callgate(&["compile", "docker-default", "-o", "whole.bpf"]).run().is(0, "", "");
    let whole = scratch.read("whole.bpf");
    scratch.file("cut.bpf", &whole[..13]);
    unreadable(
        &scratch,
        "cut.bpf",
        "error: cut.bpf is neither a profile nor a BPF program: it begins with no text, and the 13 \
         bytes are not whole 8-byte instructions that seccomp knows\n",
    );
    // Cut between two instructions: its jumps lead nowhere, and only who lists it goes on.
    scratch.file("cut.bpf", &whole[..16]);
    let refused = "the kernel would refuse this program: instruction 1: … leaves the program (2 instructions)\n";
    let listed = scratch.callgate(&["disasm", "cut.bpf"]).run();
    listed.is_like(1, "0000: …\n0001: …\n", &format!("warning: cut.bpf: {refused}"));
    if cfg!(target_os = "linux") {
        let run = scratch.callgate(&["run", "--profile", "cut.bpf", "--", "true"]).run();
        run.is_like(125, "", &format!("error: cut.bpf: {refused}"));
    }
    for verb in ["check", "compile"] {
        scratch.callgate(&[verb, "whole.bpf"]).run().is(
            2,
            "",
            "error: whole.bpf is a BPF program; this verb takes a profile\n",
        );
    }
}

#[test]
fn an_empty_file_is_told_as_one() {
    let scratch = Scratch::new();
    for (name, contents) in [("empty", ""), ("blank", " \n\t\r\n")] {
        scratch.file(name, contents);
        erroneous(
            &scratch,
            name,
            &format!("error[json-syntax]: the text is empty\n --> {name}:…{name}: 1 error; …\n"),
        );
    }
}

#[test]
fn folders_and_missing_files_are_told_by_name() {
    let scratch = Scratch::new();
    unreadable(&scratch, ".", "error: .: Is a directory (os error 21)\n");
    unreadable(
        &scratch,
        "missing.json",
        "error: missing.json: no such file, and no built-in source of this name (built in: \
         docker-default, strict, strict-exit-group, audit, violation, fine-grained)\n",
    );
    scratch.file("file", "");
    unreadable(&scratch, "file/p.json", "error: file/p.json: Not a directory (os error 20)\n");
    // Who misspells a built-in gets the list.
    unreadable(
        &scratch,
        "docker-defualt",
        "error: docker-defualt: no such file, …docker-default, …",
    );
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_is_told_by_name() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    scratch.file("shut.json", "{}");
    let path = scratch.join("shut.json");
    fs::set_permissions(path, PermissionsExt::from_mode(0o000)).expect("it is ours");
    let denied = "error: shut.json: Permission denied (os error 13)\n";
    scratch.callgate_as_user(&["check", "shut.json"]).run().is(2, "", denied);
    let run = ["run", "--profile", "shut.json", "--", "true"];
    if cfg!(target_os = "linux") {
        scratch.callgate_as_user(&run).run().is(125, "", denied);
    }
    assert!(is_root() || scratch.callgate(&["check", "shut.json"]).run().status == 2);
}

#[test]
fn text_that_is_no_json_is_told_with_its_place() {
    let scratch = Scratch::new();
    for (contents, said) in [
        ("nonsense", "error[json-syntax]: … --> p.json:1:1\n…"),
        ("{\n  \"defaultAction\": }\n", "error[json-syntax]: … --> p.json:2:20\n…"),
        ("{\"defaultAction\": \"SCMP_ACT_ALLOW\",}", "error[json-syntax]: … --> p.json:1:3…"),
        ("{\"defaultAction\": \"SCMP_ACT_ALLOW\"", "error[json-syntax]: … --> p.json:1:35\n…"),
        ("{\"defaultAction\": \"SCMP_ACT_ALLOW\"} x", "error[json-syntax]: … --> p.json:1:37\n…"),
        (
            "\u{feff}{}",
            "error[json-syntax]: the text begins with a byte order mark\n --> p.json:1:1\n…",
        ),
        ("[]", "error[wrong-type]: a profile is an object, not a list\n --> p.json:1:1\n…"),
        ("null", "error[wrong-type]: a profile is an object, not …\n --> p.json:1:1\n…"),
        ("{}", "error[no-default-action]: … --> p.json:1:1\n…"),
        ("{\"ociVersion\": \"1.0\"}", "error[runtime-config]: … --> p.json:1:3\n…"),
    ] {
        scratch.file("p.json", contents);
        for (args, _, status) in VERBS {
            let outcome = verb(&scratch, args, "p.json");
            // A note on the dialect may stand before.
            outcome.is_like(*status, "", &format!("…{said}"));
            assert!(outcome.stderr.contains("p.json: 1 error"), "{}", outcome.stderr);
        }
    }
    // Other encodings.
    let utf16: Vec<u8> = "{\"a\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    scratch.file("p.json", [&[0xff, 0xfe], &utf16[..]].concat());
    unreadable(&scratch, "p.json", "error: p.json is neither …: byte 0 is not UTF-8, …");
    scratch.file("p.json", b"{\"defaultAction\": \"SCMP_ACT_ALL\xd6W\"}");
    unreadable(&scratch, "p.json", "error: p.json is neither …: byte 31 is not UTF-8, …");
}

#[test]
fn zero_bytes_are_told_with_their_place() {
    let scratch = Scratch::new();
    scratch.file("p.json", "{ \"defaultAction\":\n\"SCMP_ACT_ALLOW\0\" }");
    erroneous(
        &scratch,
        "p.json",
        "error[json-syntax]: a string holds the control character U+0000\n --> p.json:2:16\n…",
    );
    scratch.file("p.json", "{ \"defaultAction\": \"SCMP_ACT_ALLOW\" }\0");
    erroneous(&scratch, "p.json", "error[json-syntax]: … --> p.json:1:38\n…");
}

/// What a terminal would obey: an escape sequence, a return, a backspace, a reversed direction.
const STEERING: &str = "\u{1b}[2J\u{1b}]0;title\u{7}\r\u{8}\u{9b}31m\u{202e}";

fn assert_harmless(outcome: &Outcome) {
    for text in [&outcome.stdout, &outcome.stderr] {
        let steers = |c: char| (c.is_control() && c != '\n' && c != '\t') || c == '\u{202e}';
        assert!(!text.contains(steers), "{text:?}");
    }
}

#[test]
fn nothing_of_a_file_steers_the_terminal() {
    let scratch = Scratch::new();
    let word = serde_json::Value::String(STEERING.to_owned()).to_string();
    for text in [
        format!("{{ \"defaultAction\": {word} }}"),
        format!("{{ \"defaultAction\": \"SCMP_ACT_ALOW\", {word}: 1 }}"),
        format!(
            "{{ \"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [ {{ \"names\": [{word}], \"action\": \"SCMP_ACT_ERRNO\", \"comment\": {word} }} ] }}"
        ),
        format!(
            "{{ \"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [ {{ \"names\": [\"read\"], \"action\": {word}, \"includes\": {{ \"caps\": [{word}], \"minKernel\": {word} }} }} ] }}"
        ),
        format!(
            "{{ \"defaultAction\": \"SCMP_ACT_ALLOW\", \"architectures\": [{word}], \"flags\": [{word}] }}"
        ),
        // As it is, not escaped: no JSON.
        format!("{{ \"defaultAction\": \"{STEERING}\" }}"),
        STEERING.to_owned(),
    ] {
        scratch.file("p.json", &text);
        for (args, _, status) in VERBS {
            let outcome = verb(&scratch, args, "p.json");
            assert_harmless(&outcome);
            assert_eq!(outcome.status, *status, "{outcome:?}");
        }
    }
}

#[cfg(unix)]
#[test]
fn no_files_name_steers_the_terminal() {
    let scratch = Scratch::new();
    let name = format!("a{STEERING}\nb.json").replace(['/'], "");
    scratch.file(&name, "{ \"defaultAction\": \"SCMP_ACT_ALOW\" }");
    for (args, _, status) in VERBS {
        let outcome = verb(&scratch, args, &name);
        assert_harmless(&outcome);
        assert_eq!(outcome.status, *status);
        assert!(outcome.stderr.contains("\\nb.json: 1 error"), "{}", outcome.stderr);
    }
    scratch.file(&name, "{ \"defaultAction\": \"SCMP_ACT_ALLOW\" }");
    for consumer in ["docker", "podman", "containerd", "runc"] {
        let outcome = scratch.callgate(&["check", &name, "--for", consumer]).run();
        assert_harmless(&outcome);
        assert_eq!(outcome.status, 0);
    }
    let stats = scratch.callgate(&["compile", &name, "--stats", "-o", &name]).run();
    assert_harmless(&stats);
    // The one in Docker's line is for a shell to read back.
    let missing = scratch.callgate(&["check", &format!("{name}.none")]).run();
    assert_harmless(&missing);
    assert_eq!(missing.status, 2);
}
