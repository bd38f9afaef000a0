//! For which machine a program is made, and what is said of it.

use super::{PROFILE, TARGET};
use crate::common::Scratch;

#[test]
fn architectures_are_those_asked_for_each_once() {
    let scratch = Scratch::new();
    scratch.file("p.json", PROFILE);
    let architectures = |options: &[&str]| {
        let args = ["compile", "p.json", "--kernel", "6.1", "--json", "-o", "p.bpf"];
        let json = scratch.callgate(&[&args, options].concat()).run().json(0);
        let list = json["architectures"].as_array().expect("a list").clone();
        let names: Vec<&str> = list.iter().map(|a| a["name"].as_str().expect("a name")).collect();
        names.join(" ")
    };
    assert_eq!(architectures(&["--arch", "aarch64"]), "aarch64");
    assert_eq!(architectures(&["--arch", "aarch64", "--arch", "arm"]), "aarch64 arm");
    assert_eq!(
        architectures(&["--arch", "arm", "--arch", "SCMP_ARCH_AARCH64", "--arch", "arm"]),
        "arm aarch64"
    );
    if cfg!(target_arch = "x86_64") {
        assert_eq!(architectures(&[]), "x86_64 x86 x32");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn without_options_it_is_this_machine_this_kernel_and_dockers_capabilities() {
    let scratch = Scratch::new();
    let names = |options: &[&str]| {
        let args = [&["compile", "p.json", "--format", "oci"], options].concat();
        let json = scratch.callgate(&args).run().json(0);
        json["syscalls"].clone()
    };
    let entry = |name: &str, includes: &str| {
        format!(
            r#"{{ "names": ["{name}"], "action": "SCMP_ACT_ALLOW", "includes": {{ {includes} }} }}"#
        )
    };
    scratch.file(
        "p.json",
        format!(
            r#"{{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [ {} ] }}"#,
            [
                entry("read", r#""minKernel": "3.0""#),
                entry("write", r#""minKernel": "99.0""#),
                entry("chroot", r#""caps": ["CAP_SYS_CHROOT"]"#),
                entry("mount", r#""caps": ["CAP_SYS_ADMIN"]"#),
            ]
            .join(",")
        ),
    );
    let allow = |names: &[&str]| serde_json::json!({ "names": names, "action": "SCMP_ACT_ALLOW" });
    assert_eq!(names(&[]), serde_json::json!([allow(&["read"]), allow(&["chroot"])]));
    assert_eq!(names(&["--cap", "default"]), names(&[]));
    assert_eq!(names(&["--cap", "none"]), serde_json::json!([allow(&["read"])]));
    // The other verbs mean the same without options.
    let compile = scratch.callgate(&["compile", "docker-default", "-o", "d.bpf"]).run();
    compile.is(0, "", "");
    let same = "same: the kernel acts alike on every call\n";
    scratch.callgate(&["diff", "docker-default", "d.bpf"]).run().is(0, same, "");
    let listing = scratch.callgate(&["disasm", "docker-default"]).run();
    assert_eq!(listing, scratch.callgate(&["disasm", "d.bpf"]).run());
}

#[test]
fn a_big_endian_target_gets_big_endian_bytes() {
    let scratch = Scratch::new();
    scratch.file("p.json", PROFILE);
    let compile = ["compile", "p.json", "--arch", "s390x", "--kernel", "6.1", "-o", "p.bpf"];
    scratch.callgate(&compile).run().is(0, "", "");
    assert_eq!(scratch.read("p.bpf")[..8], [0, 0x20, 0, 0, 0, 0, 0, 4]);
    let by_arch = scratch.callgate(&["disasm", "p.bpf", "--arch", "s390x"]).run();
    by_arch.is_like(0, "0000: ld   [4] …; arch\n…s390x…mkdir…", "");
    let by_order = scratch.callgate(&["disasm", "p.bpf", "--endian", "big"]).run();
    assert_eq!(by_order, by_arch);
    scratch.callgate(&["disasm", "p.bpf", "--endian", "little"]).run().is_like(
        1,
        "…",
        "warning: p.bpf: the kernel would refuse this program: instruction 0: …; its bytes are a \
         program in big-endian order, for another machine\n",
    );
    let both = ["compile", "p.json", "--arch", "x86_64", "--arch", "s390x", "--kernel", "6.1"];
    scratch.callgate(&both).run().is(
        2,
        "",
        "error: p.json: x86_64 and s390x differ in byte order; one program cannot serve both; \
         nothing was written\n",
    );
}

#[test]
fn targets_that_are_none_are_refused() {
    let scratch = Scratch::new();
    scratch.file("p.json", PROFILE);
    let compile =
        |option: &str, value: &str| scratch.callgate(&["compile", "p.json", option, value]).run();
    compile("--arch", "x86-64").is_like(
        2,
        "",
        "error: invalid value 'x86-64' for '--arch <ARCH>': not an architecture; known: x86_64, x86, x32, aarch64, arm, …",
    );
    compile("--kernel", "new").is_like(
        2,
        "",
        "error: invalid value 'new' for '--kernel <X.Y>': not a kernel version such as 6.1\n…",
    );
    compile("--cap", "SYS_ADMNI").is_like(
        2,
        "",
        "error: invalid value 'SYS_ADMNI' for '--cap <NAME>': not a capability; `callgate caps` lists them\n…",
    );
    compile("--format", "elf").is_like(
        2,
        "",
        "error: invalid value 'elf' for '--format <FORMAT>'…",
    );
}

#[test]
fn statistics_say_what_the_program_does_and_costs() {
    let scratch = Scratch::new();
    scratch.file("p.json", PROFILE);
    let args = [&["compile", "p.json", "--stats", "-o", "p.bpf"], &TARGET[..]].concat();
    let outcome = scratch.callgate(&args).run();
    outcome.is_like(
        0,
        "",
        "note[dialect]: …p.bpf: … instructions for x86_64; kernel path cost … of 32768\n  \
         x86_64 … of … syscalls … always allowed (all in the kernel's cache), 1 by argument, 2 \
         refused; … executed on average, … executed at worst\n  proved to mean what the profile \
         says; compiling and proof took … ms\n",
    );
    let args = [&["compile", "p.json", "--json", "-o", "p.bpf"], &TARGET[..]].concat();
    let json = scratch.callgate(&args).run().json(0);
    let number = |value: &serde_json::Value| value.as_u64().expect("a number");
    assert_eq!(json["name"], "p.bpf");
    let size = u64::try_from(scratch.read("p.bpf").len()).expect("a small file");
    assert_eq!(number(&json["instructions"]) * 8, size);
    assert_eq!(number(&json["path_budget"]), 32768);
    assert!(number(&json["path_cost"]) >= number(&json["instructions"]));
    assert!(json["compile_and_proof_milliseconds"].as_f64().expect("a number") > 0.0);
    let abi = &json["architectures"][0];
    assert_eq!((number(&abi["refused"]), number(&abi["by_argument"])), (2, 1));
    assert_eq!(number(&abi["known"]), number(&abi["always_allowed"]) + 3);
    assert_eq!(abi["cached"], abi["always_allowed"]);
    assert!(number(&abi["executed_worst"]) > 0);
    assert!(abi["executed_mean"].as_f64().expect("a number") > 0.0);
    // The kernel has no cache for x32.
    let x32 = ["compile", "p.json", "--json", "--arch", "x32", "--kernel", "6.1", "-o", "p.bpf"];
    assert!(scratch.callgate(&x32).run().json(0)["architectures"][0]["cached"].is_null());
    let without = ["compile", "p.json", "--json"];
    scratch.callgate(&without).run().is_like(2, "", "error: …--output <FILE>…");
}

#[test]
fn the_default_profile_allows_most_and_fits() {
    let scratch = Scratch::new();
    let args = [&["compile", "docker-default", "--json", "-o", "d.bpf"], &TARGET[..]].concat();
    let json = scratch.callgate(&args).run().json(0);
    assert!(json["instructions"].as_u64().expect("a number") < 500);
    assert!(json["architectures"][0]["always_allowed"].as_u64().expect("a number") > 300);
    assert!(json["architectures"][0]["by_argument"].as_u64().expect("a number") >= 3);
}

/// A list of so many ioctl requests, and a few of another call.
fn many_rules(count: u32) -> String {
    let rule = |name: &str, index: u32, value: u32| {
        format!(
            r#"{{ "names": ["{name}"], "action": "SCMP_ACT_ALLOW", "args": [{{ "index": {index}, "op": "SCMP_CMP_EQ", "value": {value} }}] }}"#
        )
    };
    // A multiplication spreads the values over all 32 bits.
    let ioctl = (0..count).map(|n| rule("ioctl", 1, n.wrapping_mul(2_654_435_761)));
    let fcntl = (0..5).map(|n| rule("fcntl", 1, n * 3));
    let rules: Vec<String> = ioctl.chain(fcntl).collect();
    format!(
        r#"{{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [ {} ] }}"#,
        rules.join(",\n")
    )
}

#[test]
fn a_program_that_is_too_large_is_refused_with_what_makes_it_so() {
    let scratch = Scratch::new();
    scratch.file("p.json", many_rules(5_000));
    scratch.file("p.bpf", "as it was");
    let compile = [&["compile", "p.json", "-o", "p.bpf"], &TARGET[..]].concat();
    scratch.callgate(&compile).run().is_like(
        2,
        "",
        "error: p.json: the program would have … instructions; the kernel takes 4096 at most; most \
         of it: ioctl (… tests), fcntl (… tests); nothing was written\n",
    );
    assert_eq!(scratch.read("p.bpf"), b"as it was");
    let check = [&["check", "p.json"], &TARGET[..]].concat();
    scratch.callgate(&check).run().is_like(
        2,
        "",
        "error: p.json: the program would have …ioctl…\n",
    );
    if cfg!(target_os = "linux") && cfg!(target_arch = "x86_64") {
        scratch.callgate(&["run", "--profile", "p.json", "--", "true"]).run().is_like(
            125,
            "",
            "error: p.json: the program would have …ioctl (… tests)…; nothing was loaded\n",
        );
    }
    // A few hundred fit.
    scratch.file("p.json", many_rules(300));
    scratch.callgate(&compile).run().is(0, "", "");
}
