//! `callgate explain`: where a verdict comes from, and the reverse question.

mod common;

use common::Scratch;
use serde_json::json;

/// On x86_64 only, so that there is one section.
fn on_x86_64<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [args, &["--arch", "x86_64"]].concat()
}

#[test]
fn a_profile_says_which_entry_decides_and_what_a_capability_would_change() {
    let scratch = Scratch::new();
    let syscall = |name: &str, more: &[&str]| {
        let args = [&["explain", "docker-default", "--syscall", name], more].concat();
        scratch.callgate(&on_x86_64(&args)).run()
    };
    syscall("clone", &[]).is_like(
        0,
        "clone (x86_64: 56)
  allowed              when clone_flags has none of CLONE_NEWNS|…
  refused with EPERM   otherwise
  from                 entry … (docker-default:…); with CAP_SYS_ADMIN there would be no condition
  cost                 …
",
        "",
    );
    let line = "  from                 entry … (docker-default:…); without CAP_CHROOT …";
    syscall("chroot", &[]).is_like(
        0,
        &line
            .replace("CAP_CHROOT …", "CAP_SYS_CHROOT it would be refused with EPERM")
            .replacen("  from", "chroot (x86_64: 161)\n…\n  from", 1)
            .replace("EPERM", "EPERM\n…"),
        "",
    );
    syscall("bpf", &[]).is_like(
        0,
        "…its default; with CAP_SYS_ADMIN or CAP_BPF it would be allowed\n…",
        "",
    );
    syscall("getpid", &["--cap", "ALL"]).is_like(
        0,
        "…  from                 entry … (docker-default:…)\n  cost…",
        "",
    );
}

#[test]
fn a_program_has_no_entries() {
    let scratch = Scratch::new();
    let compile = ["compile", "docker-default", "-o", "p.bpf"];
    scratch.callgate(&on_x86_64(&compile)).run().is(0, "", "");
    let outcome = scratch.callgate(&on_x86_64(&["explain", "p.bpf", "--syscall", "clone"])).run();
    assert_eq!((outcome.status, &*outcome.stderr), (0, ""));
    assert!(!outcome.stdout.contains("  from "), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("when clone_flags has none of CLONE_NEWNS|"));
}

#[test]
fn a_call_that_is_refused_is_told_with_the_nearest_that_is_allowed() {
    let scratch = Scratch::new();
    let allows = |call: &str| {
        scratch.callgate(&on_x86_64(&["explain", "docker-default", "--allows", call])).run()
    };
    // The forbidden flag goes, the rest stays. 17 is SIGCHLD.
    for call in ["clone CLONE_NEWUSER|SIGCHLD", "clone(CLONE_NEWUSER|SIGCHLD)"] {
        allows(call).is_like(
            1,
            "clone(0x10000011, 0, 0, 0, 0): docker-default refuses (EPERM)
clone (x86_64: 56)
…
  nearest              clone(17, 0, 0, 0, 0) is allowed
…",
            "",
        );
    }
    allows("socket AF_VSOCK SOCK_STREAM").is_like(
        1,
        "…  nearest              socket(41, 1, 0) is allowed\n…",
        "",
    );
    allows("socket AF_INET SOCK_STREAM").is_like(
        0,
        "socket(2, 1, 0): docker-default allows\n…",
        "",
    );
    let outcome = allows("socket AF_INET SOCK_STREAM");
    assert!(!outcome.stdout.contains("nearest"), "{}", outcome.stdout);
    // Of a name alone: by argument, always, never.
    allows("clone").is_like(
        0,
        "…  nearest              clone(0, 0, 0, 0, 0) is allowed, for example\n…",
        "",
    );
    let always = allows("getpid");
    assert!(always.status == 0 && !always.stdout.contains("nearest"), "{}", always.stdout);
    allows("clone3").is_like(
        1,
        "…  nearest              no `clone3` runs; allowed and related: fork, clone(0, 0, 0, 0, 0) and others, vfork\n…",
        "",
    );
    allows("bpf").is_like(
        1,
        "…  nearest              no `bpf` runs, and no call is known that does the same\n…",
        "",
    );
    allows("opne").is(
        2,
        "",
        "error: no architecture has a system call `opne`; did you mean `open`?\n",
    );
    allows("open what").is_like(2, "", "error: …`what` is neither a number nor a known constant\n");
}

#[test]
fn calls_that_do_the_same_are_named_where_they_are_allowed() {
    let scratch = Scratch::new();
    let profile = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"],
                       "syscalls": [{ "names": ["openat"], "action": "SCMP_ACT_ALLOW" }] }"#;
    scratch.file("p.json", profile);
    let json = scratch
        .callgate(&on_x86_64(&["explain", "p.json", "--allows", "open", "--json"]))
        .run()
        .json(1);
    assert_eq!(json[0]["instead"], json!(["openat"]));
    assert_eq!(json[0]["from"], json!("its default"));
    let json = scratch
        .callgate(&on_x86_64(&["explain", "docker-default", "--allows", "socket", "--json"]))
        .run()
        .json(0);
    assert_eq!(json[0]["nearest"], json!("socket(0, 0, 0)"));
    scratch.callgate(&on_x86_64(&["explain", "strict", "--allows", "open"])).run().is_like(
        1,
        "…no `open` runs, nor what is related: openat, openat2, creat\n…",
        "",
    );
}

#[test]
fn a_filter_that_does_not_look_at_the_architecture_is_explained_for_those_of_the_machine() {
    let scratch = Scratch::new();
    scratch.file("n.asm", "ld [0]\njeq #83, no\nret #0x7fff0000\nno: ret #0x00050001\n");
    scratch.callgate(&["asm", "n.asm", "-o", "n.bpf"]).run().is_like(0, "", "…");
    let x86_64 = ["explain", "n.bpf", "--syscall", "mkdir", "--arch", "x86_64"];
    scratch.callgate(&x86_64).run().is_like(
        0,
        "mkdir (x86_64: 83)\n  refused with EPERM   always\n…",
        "",
    );
    let x86 = ["explain", "n.bpf", "--allows", "mkdir", "--arch", "x86"];
    scratch.callgate(&x86).run().is_like(
        0,
        "mkdir (x86: 39)\n  allowed              always\n…",
        "",
    );
}

#[test]
fn an_action_that_is_none_is_no_answer() {
    let scratch = Scratch::new();
    let explain = ["explain", "docker-default", "--action", "SCMP_ACT_ALLOW"];
    scratch.callgate(&explain).run().is_like(2, "", "…possible values: allow, log, …");
}
