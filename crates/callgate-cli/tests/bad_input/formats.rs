//! Policies of Kafel and unit files that are none: cut, in another encoding, or much too long.

use super::{erroneous, unreadable, verb};
use crate::common::{Scratch, tool_for};

/// Memory that is enough for any source, in bytes: 64 MiB of text, and what is made of it.
const ADDRESSES: &str = "--as=2000000000";

/// Every verb says this of a text, and where.
fn wrong(name: &str, text: impl AsRef<[u8]>, said: &str) {
    let scratch = Scratch::new();
    scratch.file(name, text);
    erroneous(&scratch, name, &format!("…{said}…"));
}

#[test]
fn what_was_cut_or_saved_by_another_editor_is_told_with_its_place() {
    wrong("p", "POLICY a {\n  ALLOW { read", "`{` is never closed\n --> p:2:9\n");
    wrong("p", "POLICY a { ALLOW {", "kafel-syntax]: …p:1:1");
    wrong("p", "USE a /* and", "a comment has no end\n --> p:1:7\n");
    wrong("p", "ALLOW { read }\r\nDEFAULT KILL\r\n", "carriage returns…\n --> p:1:15\n");
    wrong("p", "\u{feff}ALLOW { read }", "`\\u{feff}` is no part of Kafel\n --> p:1:1\n");
    wrong("p", "ALLOW {\n re\0ad }", "`\\u{0}` is no part of Kafel\n --> p:2:4\n");
    wrong("p", "[Service\nSystemCallFilter=read\n", "json-syntax]: …p:1:2\n");
    wrong("p", "[Unit]\n[Service]\nSystemCallF", "no-system-call-setting]: …p:1:1\n");
    wrong("p", "[Service]\nSystemCallFilter=re\0ad", "a NUL character in it\n --> p:2:20\n");
    // What systemd takes is no mistake.
    let scratch = Scratch::new();
    for text in
        ["\u{feff}[Service]\nSystemCallFilter=~swapon\n", "[Service]\r\nSystemCallFilter=~swapon"]
    {
        scratch.file("p", text);
        scratch.callgate(&["check", "p"]).run().is_like(0, "p: understood, in the systemd…", "");
    }
    for text in [&b"ALLOW { re\xe9ad }"[..], b"[Service]\nSystemCallFilter=re\xe9ad"] {
        scratch.file("p", text);
        unreadable(&scratch, "p", "error: p is neither …: byte … is not UTF-8, …");
    }
}

/// Runs `check` in bounded memory.
fn check(scratch: &Scratch, text: &str, status: i32, stdout: &str, stderr: &str) {
    scratch.file("p", text);
    let outcome =
        scratch.command("prlimit").args(&[ADDRESSES, crate::common::CALLGATE, "check", "p"]).run();
    assert!(outcome.stderr.len() < 100_000, "{} bytes are said", outcome.stderr.len());
    outcome.is_like(status, stdout, stderr);
}

#[test]
fn much_of_anything_takes_bounded_memory() {
    if !tool_for("prlimit", "util-linux", "memory for long texts") {
        return;
    }
    let scratch = Scratch::new();
    let many = |part: &str, size: usize| part.repeat(size / part.len());
    // Of 100 MB of a source nothing is read.
    let large = "error: p: larger than 64 MiB\n";
    for part in ["POLICY p { ALLOW { read } }\n", "[Service]\n", "{ \"names\": [", "read "] {
        check(&scratch, &many(part, 100_000_000), 2, "", large);
    }
    let long = "…text-size]: the text is longer than 4 MiB\n…";
    check(&scratch, &many("ALLOW { read }\n", 60_000_000), 1, "", long);
    check(&scratch, &many("#define a 1\n", 60_000_000), 1, "", long);
    check(&scratch, &many("[Service]\nSystemCallFilter=read\n", 60_000_000), 1, "", long);

    let size = 4_000_000;
    let names = format!("ALLOW {{ {} write }}", many("read, ", size));
    check(&scratch, &names, 1, "", "…too-many-rules]: …p: 1 error; …");
    let include = many("#include \"a\"\n", size);
    check(&scratch, &include, 1, "", "…kafel-include]: …not-shown]: …p: 100 errors; …");
    let policies: String = (0..200_000).map(|n| format!("POLICY p{n} {{}}\n")).collect();
    check(&scratch, &policies, 0, "p: understood, …", "…unused-policy]: …not-shown]: …");
    // Each uses the one before it twice.
    let chain: String = (1..100_000)
        .map(|n| format!("POLICY p{n} {{ USE p{}, USE p{} }}\n", n - 1, n - 1))
        .collect();
    let chain = format!("POLICY p0 {{ ALLOW {{ read }} }}\n{chain}USE p99999\n");
    check(&scratch, &chain, 0, "p: understood, …", "");

    let service = |rest: &str| format!("[Service]\n{rest}\n");
    let lines = service(&many("SystemCallFilter=@known\n", size));
    check(&scratch, &lines, 0, "p: understood, …", "");
    let line = service(&format!("SystemCallFilter={}", many("read ", size)));
    check(&scratch, &line, 1, "", "…a line is longer than 1 MiB\n…");
    let joined = service(&format!("SystemCallFilter={}", many("\\\n", size)));
    check(&scratch, &joined, 1, "", "…a line is longer than 1 MiB\n…");
    let wrong = service(&many("SystemCallFilter=raed\n", size));
    check(&scratch, &wrong, 0, "p: understood, …", "…unknown-syscall]: …not-shown]: …");
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_is_read_to_its_end() {
    let scratch = Scratch::new();
    let callgate = crate::common::CALLGATE;
    let script = format!("mkfifo p && {{ echo 'ALLOW {{ raed }}' > p & {callgate} check p; }}");
    scratch.command("sh").args(&["-c", &script]).run().is_like(1, "", "…unknown-syscall]: …");
    // One that never ends is no text.
    let script = format!("yes ALLOW | {callgate} check -");
    let large = "error: standard input: larger than 64 MiB\n";
    scratch.command("sh").args(&["-c", &script]).run().is_like(2, "", large);
    assert_eq!(verb(&scratch, &["check"], "/dev/full").status, 2);
}
