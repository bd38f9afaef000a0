//! `callgate convert`: the same meaning in another format, or what is nearest to it.

mod common;

use std::collections::BTreeSet;

use callgate_bpf::{ByteOrder, Layout};
use callgate_policy::{Dialect, NewerCalls, Policy, Target, builtin, formats};
use callgate_syscalls::{Abi, CapabilitySet, KernelVersion};
use callgate_verdict::{Diagram, Manager};
use common::{Filtered, Scratch, root_for};

/// Actions that systemd has no words for, and a flag.
const VERDICTS: &str = r#"{
  "defaultAction": "SCMP_ACT_KILL_PROCESS",
  "architectures": ["SCMP_ARCH_X86_64"],
  "flags": ["SECCOMP_FILTER_FLAG_LOG"],
  "syscalls": [
    { "names": ["read", "write", "exit_group"], "action": "SCMP_ACT_ALLOW" },
    { "names": ["openat"], "action": "SCMP_ACT_TRAP" },
    { "names": ["mkdir"], "action": "SCMP_ACT_TRACE", "errnoRet": 7 }
  ]
}
"#;

/// Allows all, but getpid only where the upper half of the instruction pointer is 0.
const BY_ADDRESS: &str = "\
ld [arch]
jeq #0xc000003e, this
ret kill_thread
this: ld [nr]
jeq #39, getpid
ret allow
getpid: ld [12]
jeq #0, no
ret allow
no: ret errno(1)
";

const MACHINE: [&str; 4] = ["--arch", "x86_64", "--kernel", "6.18"];

fn target(newer: NewerCalls) -> Target {
    Target {
        native: Abi::X86_64,
        abis: Some(vec![Abi::X86_64]),
        capabilities: CapabilitySet::DOCKER_DEFAULT,
        kernel: KernelVersion::new(6, 18),
        newer,
    }
}

fn meaning(manager: &mut Manager, policy: &Policy, newer: NewerCalls) -> Diagram {
    let ruleset = policy.resolve(&target(newer)).ruleset.expect("it has no errors");
    let diagram = manager.ruleset(&ruleset).expect("it is small");
    manager.act(diagram).expect("it is small")
}

/// The profile as the command takes it, and as the library does.
fn sources(scratch: &Scratch) -> [(&'static str, Policy); 2] {
    let docker = builtin::named("docker-default").expect("it is built in");
    let read = |text: &str| {
        formats::profile::read(text, Some(Dialect::Docker)).policy.expect("it has no errors")
    };
    scratch.file("verdicts.json", VERDICTS);
    [("docker-default", read(docker.text)), ("verdicts.json", read(VERDICTS))]
}

#[test]
fn what_a_format_cannot_say_is_told_with_its_nearest_neighbours() {
    let scratch = Scratch::new();
    let args = ["convert", "docker-default", "--to", "systemd", "--no-enosys"];
    scratch.callgate(&[&args[..], &MACHINE].concat()).run().is_like(
        2,
        "",
        "error: systemd cannot say docker-default: the rule on `clone` compares arguments …
  …weaker    differs on 3 syscalls on x86_64; …: it allows, docker-default refuses (EPERM)
  …stricter  differs on 3 syscalls on x86_64; …: it refuses (EPERM), docker-default allows
  …--approximate weaker or stricter writes that instead
",
    );
    scratch.file("p.json", VERDICTS);
    scratch.callgate(&["convert", "p.json", "--to", "systemd", "--dialect", "oci"]).run().is_like(
        2,
        "",
        "…error: systemd cannot say p.json: …no words for the action trap(0)…weaker…stricter…",
    );
}

#[test]
fn an_approximation_is_on_its_side_of_the_source_and_changes_nothing_else() {
    let scratch = Scratch::new();
    for (source, policy) in sources(&scratch) {
        for (format, read) in [
            ("systemd", formats::systemd::read as fn(&str) -> formats::Reading),
            ("kafel", formats::kafel::read),
        ] {
            for side in ["weaker", "stricter"] {
                let args = ["convert", source, "--to", format, "--approximate", side, "-o", "out"];
                let outcome = scratch.callgate(&[&args[..], &MACHINE].concat()).run();
                let what = format!("{source} --to {format} --approximate {side}");
                assert_eq!((outcome.status, &*outcome.stdout), (0, ""), "{what}");
                let said = format!("{side} than {source}: it differs on ");
                assert!(outcome.stderr.contains(&said), "{what}: {}", outcome.stderr);
                let text = String::from_utf8(scratch.read("out")).expect("it is text");
                let again = read(&text).policy.expect("it is read back");
                let mut manager = Manager::new(Layout::seccomp(ByteOrder::Little));
                let before = meaning(&mut manager, &policy, NewerCalls::Enosys);
                let after = meaning(&mut manager, &again, NewerCalls::Default);
                let mut changed = BTreeSet::new();
                for difference in manager.differences(before, after).expect("it is small") {
                    if difference.arch != Abi::X86_64.audit() || difference.first.0 >= 1 << 30 {
                        continue;
                    }
                    let [less, more] = match side {
                        "weaker" => [difference.left, difference.right],
                        _ => [difference.right, difference.left],
                    };
                    let beyond = manager.weaker(less, more).expect("it is small");
                    assert_eq!(manager.witness(beyond), None, "{what}: {difference:?}");
                    let names = Abi::X86_64.syscalls_between(difference.first, difference.last);
                    changed.extend(names.map(|(_, name)| name));
                }
                let expected: &[&str] = match (source, format) {
                    ("docker-default", "systemd") => &["clone", "personality", "socket"],
                    ("docker-default", _) => &[],
                    (_, "systemd") => &["mkdir", "openat"],
                    // Kafel's default must be what x32's calls get, or theirs what it is.
                    _ => &[],
                };
                let expected: BTreeSet<&str> = expected.iter().copied().collect();
                assert_eq!(changed, expected, "{what}");
            }
        }
    }
}

#[test]
fn what_a_format_can_say_is_not_approximated() {
    let scratch = Scratch::new();
    let convert = |approximate: &[&str]| {
        let args = ["convert", "docker-default", "--to", "kafel", "--no-enosys"];
        scratch.callgate(&[&args[..], approximate].concat()).run()
    };
    let exact = convert(&[]);
    assert_eq!((exact.status, &*exact.stderr), (0, ""));
    convert(&["--approximate", "stricter"]).is(0, &exact.stdout, "");
}

#[test]
fn a_text_that_nobody_reads_back_is_said_to_be_one() {
    let scratch = Scratch::new();
    let args = ["convert", "docker-default", "--to", "libseccomp-c", "--no-enosys"];
    scratch.callgate(&args).run().is_like(
        0,
        "/*…seccomp_rule_add…",
        "note: libseccomp-c is not read back: …callgate diff`\n",
    );
    // What runc does besides is no part of such a program.
    scratch.callgate(&args[..4]).run().is_like(
        2,
        "",
        "error: libseccomp-c cannot say …--no-enosys…",
    );
}

#[test]
fn a_test_that_no_rule_can_name_is_given_up_for_that_call_alone() {
    let scratch = Scratch::new();
    scratch.file("p.asm", BY_ADDRESS);
    scratch.callgate(&["asm", "p.asm", "-o", "p.bpf", "--endian", "little"]).run().is(0, "", "");
    let convert = |more: &[&str]| {
        let args = ["convert", "p.bpf", "--to", "oci", "--arch", "x86_64"];
        scratch.callgate(&[&args[..], more].concat()).run()
    };
    convert(&[]).is_like(2, "", "error: oci cannot say p.bpf: number 39 …instruction pointer…");
    for (side, action) in [("weaker", "allows"), ("stricter", "refuses (EPERM)")] {
        let outcome = convert(&["--approximate", side, "-o", "out.json"]);
        outcome.is_like(
            0,
            "",
            &format!("…{side} than p.bpf: it differs on …1 syscall on x86_64; …"),
        );
        let eval = ["eval", "out.json", "--arch", "x86_64", "--", "getpid"];
        let outcome = scratch.callgate(&eval).run();
        assert!(
            outcome.stdout.starts_with(&format!("getpid(): out.json {action}, ")),
            "{outcome:?}"
        );
    }
}

#[test]
fn a_filter_that_never_looks_at_the_architecture_is_kept_for_one() {
    let scratch = Scratch::new();
    scratch.file("p.asm", "ld [nr]\njeq #83, no\nret allow\nno: ret errno(1)\n");
    scratch.callgate(&["asm", "p.asm", "-o", "p.bpf", "--endian", "little"]).run().is(0, "", "");
    let args = ["convert", "p.bpf", "--to", "oci", "--arch", "x86_64"];
    scratch.callgate(&args).run().is_like(
        2,
        "",
        "error: oci cannot say p.bpf: architectures …
  …weaker    not by changing the verdicts of whole calls
  …stricter  differs on …other architectures; …
  …--approximate stricter writes that instead
",
    );
    let args = [&args[..], &["--approximate", "stricter", "-o", "out.json"]].concat();
    scratch.callgate(&args).run().is_like(0, "", "note: stricter than p.bpf: …");
    for (call, status) in [("mkdir", 1), ("rmdir", 0)] {
        let eval = ["eval", "out.json", "--arch", "x86_64", "--", call];
        assert_eq!(scratch.callgate(&eval).run().status, status, "{call}");
    }
}

#[test]
fn arrays_hold_the_program_that_the_source_is_or_compiles_to() {
    let scratch = Scratch::new();
    let run = |args: &[&str]| {
        let outcome = scratch.callgate(&[args, &MACHINE].concat()).run();
        assert_eq!((outcome.status, &*outcome.stderr), (0, ""), "{args:?}");
        outcome.bytes
    };
    let to = |source: &str, format: &str| run(&["convert", source, "--to", format]);
    for (format, same) in [("raw", "raw"), ("asm", "asm"), ("c-array", "c"), ("rust", "rust")] {
        let compiled = run(&["compile", "docker-default", "--format", same]);
        assert_eq!(to("docker-default", format), compiled, "{format}");
    }
    // A program stays as it is, also one that its rules would not give.
    let odd = "ld [nr]\njeq #1, a\na: ret allow\n";
    scratch.file("p.asm", odd);
    scratch.callgate(&["asm", "p.asm", "-o", "p.bpf", "--endian", "little"]).run().is(0, "", "");
    assert_eq!(to("p.bpf", "raw"), scratch.read("p.bpf"));
    let text = String::from_utf8(to("p.bpf", "rust")).expect("it is text");
    assert!(text.contains("[(u16, u8, u8, u32); 3]"), "{text}");
    scratch.callgate(&["convert", "p.bpf", "--to", "cobol"]).run().is_like(
        2,
        "",
        "error: invalid value 'cobol' for '--to <FORMAT>': not a format; known: docker, …, c-array, rust\n…",
    );
}

#[test]
fn flags_are_kept_or_said_to_be_lost() {
    let scratch = Scratch::new();
    scratch.file("p.json", VERDICTS);
    let convert = |format: &str| {
        let args = ["convert", "p.json", "--dialect", "oci", "--to", format];
        scratch.callgate(&[&args[..], &MACHINE].concat()).run()
    };
    let lost = "SECCOMP_FILTER_FLAG_LOG is left to whoever loads it";
    let oci = convert("oci");
    assert_eq!(oci.status, 0, "{}", oci.stderr);
    assert!(oci.stdout.contains("SECCOMP_FILTER_FLAG_LOG") && !oci.stderr.contains(lost));
    let array = convert("c-array");
    assert_eq!(array.status, 0, "{}", array.stderr);
    assert!(array.stderr.contains(lost), "{}", array.stderr);
}

#[test]
fn a_filter_read_from_a_process_keeps_its_flag_and_comes_back_as_the_same_profile() {
    if !root_for("converting what holds a process") {
        return;
    }
    let scratch = Scratch::new();
    let process = Filtered::start(&["--log"]);
    let source = format!("pid:{}", process.pid());
    scratch.callgate(&["convert", &source, "--to", "oci", "-o", "out.json"]).run().is(0, "", "");
    let text = String::from_utf8(scratch.read("out.json")).expect("it is text");
    assert!(text.contains("\"flags\": [\"SECCOMP_FILTER_FLAG_LOG\"]"), "{text}");
    scratch.callgate(&["diff", "docker-default", "out.json"]).run().is_like(
        0,
        "same: the kernel acts alike on every call\n",
        "…",
    );
    let array = scratch.callgate(&["convert", &source, "--to", "c-array"]).run();
    array.is_like(0, "/*…struct sock_filter…", "warning: …SECCOMP_FILTER_FLAG_LOG…\n");
}

#[test]
fn a_program_that_is_asked_for_as_one_takes_no_meaning() {
    let scratch = Scratch::new();
    // One word of an argument against another, bit by bit: no diagram has room for it.
    let asm = "ld [16]\nst M[0]\nldx M[0]\nld [24]\nxor x\nst M[1]\nld [32]\nst M[2]\nldx M[2]\nld M[1]\nmul x\njset #0x55555555, no\nret #0x7fff0000\nno: ret #0x00050001\n";
    scratch.file("x.asm", asm);
    scratch.callgate(&["asm", "x.asm", "-o", "x.bpf"]).run().is_like(0, "", "…");
    scratch.callgate(&["explain", "x.bpf"]).run().is_like(2, "", "…its meaning is unknown…");
    scratch.callgate(&["convert", "x.bpf", "--to", "raw", "-o", "y.bpf"]).run().is(0, "", "");
    assert_eq!(scratch.read("x.bpf"), scratch.read("y.bpf"));
}
