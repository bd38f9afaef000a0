//! Sources in other languages than JSON: recognised by their text, read by every verb, written
//! and read back.

mod common;

use common::Scratch;

const KAFEL: &str = "\
POLICY worker {
  ALLOW {
    read, write, close, exit_group,
    socket(domain, type, protocol) { domain == 1 || domain == 2 }
  },
  ERRNO(38) { clone3 }
}
USE worker DEFAULT KILL
";

const UNIT: &str = "\
[Service]
ExecStart=/usr/bin/true
SystemCallFilter=~@swap @mount
SystemCallErrorNumber=EPERM
SystemCallArchitectures=native
";

#[test]
fn a_text_is_recognised_by_what_it_says() {
    let scratch = Scratch::new();
    for (format, text) in [("kafel", KAFEL), ("systemd", UNIT)] {
        let said = format!("standard input: understood, in the {format} dialect; no warnings\n");
        scratch.callgate(&["check", "-"]).input(text).run().is(0, &said, "");
        scratch.callgate(&["check", "-", "--dialect", format]).input(text).run().is(0, &said, "");
        scratch
            .callgate(&["check", "-", "--dialect", "docker"])
            .input(text)
            .run()
            .is_like(1, "…", "…");
    }
}

#[test]
fn a_text_that_looks_like_nothing_is_told_how_to_be_read() {
    let scratch = Scratch::new();
    scratch.callgate(&["check", "-"]).input("POLCY a { ALLOW { read } }\n").run().is_like(
        1,
        "",
        "error[json-syntax]: `POLCY` is not a value\n…`--dialect kafel` or `--dialect systemd` reads it as that\n…",
    );
    scratch.callgate(&["check", "-", "--dialect", "kafel"]).input("POLCY a { }\n").run().is_like(
        1,
        "",
        "error[kafel-syntax]: …\n --> standard input:1:…",
    );
}

#[test]
fn errors_have_their_place_in_every_language() {
    let scratch = Scratch::new();
    scratch.file("a.kafel", "POLICY a {\n  ALLOW { raed }\n}\nUSE a DEFAULT KILL\n");
    scratch.callgate(&["explain", "a.kafel"]).run().is_like(
        2,
        "",
        "error[unknown-syscall]: …\n --> a.kafel:2:11\n…did you mean `read`?\n…",
    );
    scratch.file("a.service", "[Service]\nSystemCallFilter=read @mout\n");
    scratch.callgate(&["check", "a.service", "--pedantic"]).run().is_like(
        1,
        "",
        "error[unknown-group]: …\n --> a.service:2:23\n…did you mean `@mount`?\n…",
    );
}

#[test]
fn every_verb_reads_every_language() {
    let scratch = Scratch::new();
    for (name, text) in [("a.kafel", KAFEL), ("a.service", UNIT)] {
        scratch.file(name, text);
        for verb in ["check", "explain", "disasm"] {
            scratch.callgate(&[verb, name]).run().is_like(0, "…", "…");
        }
        scratch.callgate(&["compile", name, "-o", "a.bpf"]).run().is_like(0, "…", "…");
        scratch.callgate(&["diff", name, "a.bpf"]).run().is_like(0, "…", "…");
        scratch.callgate(&["eval", name, "--", "read"]).run().is_like(0, "…", "…");
        scratch.callgate(&["eval", name, "--", "swapon"]).run().is_like(1, "…", "…");
        scratch.callgate(&["merge", name, name, "-o", "b.json"]).run().is_like(0, "…", "…");
        scratch.callgate(&["diff", name, "b.json", "--no-enosys"]).run().is_like(0, "…", "…");
    }
    scratch.callgate(&["lint", "a.service"]).run();
    scratch.file("b.service", "SystemCallFilter=~mkdir mkdirat\nSystemCallErrorNumber=EXDEV\n");
    let run = ["run", "--profile", "b.service", "--", "mkdir", "folder"];
    scratch.callgate(&run).run().is_like(1, "", "mkdir: …: Invalid cross-device link\n");
    assert!(!scratch.join("folder").exists());
}

#[test]
fn what_is_written_is_read_back_as_the_same() {
    let scratch = Scratch::new();
    for (name, text) in [("a.kafel", KAFEL), ("a.service", UNIT)] {
        scratch.file(name, text);
        scratch.callgate(&["compile", name, "-o", "a.bpf"]).run().is_like(0, "…", "…");
        for format in ["kafel", "systemd", "oci", "docker", "containers"] {
            let sayable = match format {
                "kafel" => name == "a.kafel",
                "systemd" => name == "a.service",
                _ => true,
            };
            let convert = ["convert", name, "--to", format, "-o", "back"];
            if sayable {
                scratch.callgate(&convert).run().is_like(0, "…", "…");
                scratch
                    .callgate(&["diff", "a.bpf", "back", "--no-enosys"])
                    .run()
                    .is_like(0, "…", "…");
            } else {
                scratch.callgate(&convert).run().is_like(2, "…", "…");
            }
        }
    }
}
