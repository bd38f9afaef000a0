//! What each format holds.

use super::{PROFILE, TARGET};
use crate::common::{Scratch, find, skip, tool_for};

/// Compiles the profile for a fixed target.
fn compile(scratch: &Scratch, format: &str) -> crate::common::Outcome {
    scratch.file("p.json", PROFILE);
    let args = [&["compile", "p.json", "--format", format], &TARGET[..]].concat();
    let outcome = scratch.callgate(&args).run();
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{format}");
    outcome
}

/// `(code, jt, jf, k)` of each instruction of little-endian bytes.
fn instructions(bytes: &[u8]) -> Vec<(u64, u64, u64, u64)> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    assert!(rest.is_empty() && !chunks.is_empty());
    let word = |b: &[u8]| b.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    chunks
        .iter()
        .map(|b| (word(&b[..2]), u64::from(b[2]), u64::from(b[3]), word(&b[4..])))
        .collect()
}

#[test]
fn raw_is_an_array_of_sock_filter_that_starts_by_looking_at_the_architecture() {
    let scratch = Scratch::new();
    let bytes = compile(&scratch, "raw").bytes;
    let list = instructions(&bytes);
    assert_eq!(list[0], (0x20, 0, 0, 4), "ld [4]");
    // What it returns: ALLOW, ERRNO with 37, and for other architectures a kill.
    let mut returns: Vec<u64> =
        list.iter().filter(|(code, ..)| *code == 6).map(|(.., k)| *k).collect();
    returns.sort_unstable();
    returns.dedup();
    assert_eq!(returns, [0, 0x0005_0025, 0x7fff_0000]);
    // The default format.
    let args = [&["compile", "p.json"], &TARGET[..]].concat();
    assert_eq!(scratch.callgate(&args).run().bytes, bytes);
}

#[test]
fn json_has_the_fields_of_sock_filter() {
    let scratch = Scratch::new();
    let json = compile(&scratch, "json").json(0);
    let list: Vec<_> = json
        .as_array()
        .expect("a list")
        .iter()
        .map(|object| {
            let field = |name: &str| object[name].as_u64().expect("a number");
            (field("code"), field("jt"), field("jf"), field("k"))
        })
        .collect();
    assert_eq!(list, instructions(&compile(&scratch, "raw").bytes));
}

#[test]
fn asm_is_what_disasm_prints_of_profile_and_program() {
    let scratch = Scratch::new();
    let listing = compile(&scratch, "asm").stdout;
    assert!(listing.starts_with("0000: ld   [4]                     ; arch\n"), "{listing}");
    for word in ["; mkdir\n", "; x86_64", "; errno(ENOLCK)\n", "; allow\n", "; kill_thread\n"] {
        assert!(listing.contains(word), "{word} in\n{listing}");
    }
    let profile = [&["disasm", "p.json"], &TARGET[..]].concat();
    scratch.callgate(&profile).run().is(0, &listing, "");
    scratch.file("p.bpf", compile(&scratch, "raw").bytes);
    scratch.callgate(&["disasm", "p.bpf", "--endian", "little"]).run().is(0, &listing, "");
    let input = scratch.read("p.bpf");
    scratch.callgate(&["disasm", "-", "--arch", "x86_64"]).input(input).run().is(0, &listing, "");
}

#[test]
fn disasm_names_arguments_and_constants() {
    let scratch = Scratch::new();
    let program: [(u8, u8, u8, u32); 8] = [
        (0x20, 0, 0, 4),
        (0x15, 0, 5, 0xc000_003e),
        (0x20, 0, 0, 0),
        (0x15, 0, 3, 41),
        (0x20, 0, 0, 16),
        (0x15, 0, 1, 16),
        (0x06, 0, 0, 0x0005_0061),
        (0x06, 0, 0, 0x7fff_0000),
    ];
    let bytes: Vec<u8> = program
        .iter()
        .flat_map(|&(code, jt, jf, k)| [&[code, 0, jt, jf], &k.to_le_bytes()[..]].concat())
        .collect();
    scratch.file("p.bpf", bytes);
    scratch.callgate(&["disasm", "p.bpf", "--arch", "x86_64"]).run().is(
        0,
        "0000: ld   [4]                     ; arch\n\
         0001: jeq  #0xc000003e, 0002, 0007 ; x86_64/x32\n\
         0002: ld   [0]                     ; nr\n\
         0003: jeq  #41, 0004, 0007         ; socket\n\
         0004: ld   [16]                    ; args[0].low family\n\
         0005: jeq  #0x10, 0006, 0007       ; AF_NETLINK\n\
         0006: ret  #0x50061                ; errno(EAFNOSUPPORT)\n\
         0007: ret  #0x7fff0000             ; allow\n",
        "",
    );
}

#[test]
fn disasm_tells_of_a_program_that_the_kernel_would_refuse() {
    let scratch = Scratch::new();
    // jeq #1, to where no instruction is; ret #0.
    scratch.file("p.bpf", [0x15, 0, 9, 0, 1, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]);
    scratch.callgate(&["disasm", "p.bpf", "--endian", "little"]).run().is_like(
        1,
        "0000: …\n0001: ret  #0x0…\n",
        "warning: p.bpf: the kernel would refuse this program: instruction 0: …\n",
    );
}

/// A C program that writes the instructions of `filter.h` as the kernel takes them.
const C_WRITER: &str = r#"#include <stdio.h>
#include "filter.h"

int main(void)
{
	return fwrite(filter, sizeof filter, 1, stdout) != 1;
}
"#;

#[cfg(all(target_os = "linux", target_endian = "little"))]
#[test]
fn c_compiles_to_the_same_bytes() {
    let scratch = Scratch::new();
    let raw = compile(&scratch, "raw").bytes;
    scratch.file("filter.h", compile(&scratch, "c").bytes);
    let Some(_) = scratch.cc("writer", C_WRITER, &["-std=c99", "-Wextra", "-pedantic"]) else {
        return;
    };
    assert_eq!(scratch.command("./writer").run().bytes, raw);
}

const RUST_WRITER: &str = r#"#![deny(warnings)]
include!("filter.rs");
fn main() {
    for (code, jt, jf, k) in FILTER {
        println!("{code} {jt} {jf} {k}");
    }
}
"#;

#[test]
fn rust_compiles_to_the_same_instructions() {
    let scratch = Scratch::new();
    let Some(rustc) = find("rustc") else {
        skip("the Rust format is not tested: there is no rustc in PATH");
        return;
    };
    let list = instructions(&compile(&scratch, "raw").bytes);
    scratch.file("filter.rs", compile(&scratch, "rust").bytes);
    scratch.file("writer.rs", RUST_WRITER);
    let build = scratch.command(rustc).args(&["--edition", "2024", "writer.rs"]).run();
    build.is(0, "", "");
    let expected: String =
        list.iter().map(|(code, jt, jf, k)| format!("{code} {jt} {jf} {k}\n")).collect();
    scratch.command("./writer").run().is(0, &expected, "");
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn raw_loads_in_other_programs() {
    let scratch = Scratch::new();
    scratch.file("p.bpf", compile(&scratch, "raw").bytes);
    let refusal = "mkdir: cannot create directory 'made': No locks available\n";
    let run = ["run", "--profile", "p.bpf", "--", "mkdir", "made"];
    scratch.callgate(&run).run().is(1, "", refusal);
    if !tool_for("bwrap", "bubblewrap", "loading the raw format with bwrap") {
        return;
    }
    let script = format!(
        "bwrap --bind / / --chdir {} --seccomp 9 mkdir made 9<p.bpf",
        scratch.path().display()
    );
    let outcome = scratch.command("sh").args(&["-c", &script]).run();
    if outcome.stderr.starts_with("bwrap:") {
        skip(&format!("loading with bwrap: it cannot work here: {}", outcome.stderr.trim_end()));
        return;
    }
    outcome.is(1, "", refusal);
    assert!(!scratch.join("made").exists());
}

#[test]
fn oci_is_the_flat_equivalent_for_given_capabilities_and_architectures() {
    let scratch = Scratch::new();
    for caps in [&[][..], &["--cap", "none"], &["--cap", "default", "--cap", "SYS_ADMIN"]] {
        let target = [&TARGET[..], caps].concat();
        let write = ["compile", "docker-default", "--format", "oci", "-o", "flat.json"];
        scratch.callgate(&[&write, &target[..]].concat()).run().is(0, "", "");
        // No runtime drops anything of it.
        for consumer in ["runc", "crun", "containerd", "docker", "podman"] {
            let outcome = scratch.callgate(&["check", "flat.json", "--for", consumer]).run();
            assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{consumer}");
        }
        // It means the same, whatever capabilities it is read for.
        let compile = |source: &str, target: &[&str]| {
            let args = [&["compile", source], target].concat();
            let outcome = scratch.callgate(&args).run();
            assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{source}");
            scratch.file("left.bpf", &outcome.bytes);
            outcome.bytes
        };
        let bytes = compile("docker-default", &target);
        assert_eq!(compile("flat.json", &TARGET), bytes, "{caps:?}");
        assert_eq!(compile("flat.json", &[&TARGET[..], &["--cap", "ALL"]].concat()), bytes);
    }
}

#[test]
fn oci_drops_what_the_target_does_not_meet() {
    let scratch = Scratch::new();
    scratch.file(
        "p.json",
        r#"{
  "defaultAction": "SCMP_ACT_ERRNO",
  "archMap": [ { "architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"] } ],
  "syscalls": [
    { "name": "read", "action": "SCMP_ACT_ALLOW" },
    { "names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": { "minKernel": "4.8" } },
    { "names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": { "caps": ["CAP_SYS_ADMIN"] } },
    { "names": ["chroot"], "action": "SCMP_ACT_ALLOW", "excludes": { "caps": ["CAP_SYS_ADMIN"] } },
    { "names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": { "arches": ["amd64"] } },
    { "names": ["swapon"], "action": "SCMP_ACT_ALLOW", "includes": { "arches": ["s390x"] } }
  ]
}
"#,
    );
    let names = |options: &[&str]| {
        let args = [&["compile", "p.json", "--format", "oci"], options].concat();
        let json = scratch.callgate(&args).run().json(0);
        let entries = json["syscalls"].as_array().expect("a list").clone();
        let mut names: Vec<String> = entries
            .iter()
            .flat_map(|entry| entry["names"].as_array().expect("a list"))
            .map(|name| name.as_str().expect("a string").to_owned())
            .collect();
        names.sort();
        (names.join(" "), json["architectures"].clone())
    };
    let x86_64 = ["--arch", "x86_64"];
    let with = |options: &[&str]| names(&[&x86_64[..], options].concat()).0;
    assert_eq!(with(&["--kernel", "4.7", "--cap", "none"]), "arch_prctl chroot read");
    assert_eq!(with(&["--kernel", "4.8", "--cap", "none"]), "arch_prctl chroot ptrace read");
    assert_eq!(with(&["--kernel", "6.1", "--cap", "SYS_ADMIN"]), "arch_prctl mount ptrace read");
    let (s390x, architectures) = names(&["--arch", "s390x", "--kernel", "6.1", "--cap", "none"]);
    assert_eq!(s390x, "chroot ptrace read swapon");
    assert_eq!(architectures, serde_json::json!(["SCMP_ARCH_S390X"]));
    // Without --arch the machine's row of archMap counts.
    if cfg!(target_arch = "x86_64") {
        let (_, architectures) = names(&["--kernel", "6.1"]);
        assert_eq!(architectures, serde_json::json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]));
    }
}

#[test]
fn the_strict_sources_have_a_flat_form_with_a_warning() {
    let scratch = Scratch::new();
    let args = [&["compile", "strict", "--format", "oci"], &TARGET[..]].concat();
    scratch.callgate(&args).run().is_like(
        0,
        "{\n  \"defaultAction\": \"SCMP_ACT_KILL_THREAD\",\n…\"rt_sigreturn\"…}\n",
        "warning: strict refuses every other call alike, and a file cannot say so: runc, and \
         callgate without --no-enosys, give ENOSYS to calls newer than those that it names\n",
    );
}
