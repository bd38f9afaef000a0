//! Whole programs as text, reviewed like code.
//!
//! A change of the compiler shows here as a change of `golden/*.txt`. `CALLGATE_GOLDEN=1` writes
//! the files anew.

use std::{env, fs, path::Path};

use callgate_bpf::disasm::Listing;
use callgate_compile::{Goal, Options, compile_with};
use callgate_policy::{Dialect, NewerCalls, Policy, Ruleset, Target, builtin, formats::profile};
use callgate_syscalls::{Abi, CapabilitySet, KernelVersion};

fn policy(text: &str) -> Policy {
    profile::read(text, Some(Dialect::Docker)).policy.unwrap()
}

fn resolved(text: &str, abis: &[Abi]) -> Ruleset {
    let target = Target {
        native: abis[0],
        abis: Some(abis.to_vec()),
        capabilities: CapabilitySet::DOCKER_DEFAULT,
        kernel: KernelVersion::new(6, 18),
        newer: NewerCalls::Enosys,
    };
    policy(text).resolve(&target).ruleset.unwrap()
}

fn check(name: &str, ruleset: &Ruleset, options: &Options) {
    let compiled = compile_with(ruleset, options).unwrap();
    let listing = Listing::new(compiled.program()).to_string();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if env::var_os("CALLGATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &listing).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(listing, expected, "{name}: CALLGATE_GOLDEN=1 writes it anew");
}

fn docker_default() -> &'static str {
    builtin::named("docker-default").unwrap().text
}

#[test]
fn docker_default_for_x86_64_with_x86_and_x32() {
    let ruleset = resolved(docker_default(), &[Abi::X86_64, Abi::X86, Abi::X32]);
    check("docker-default-x86_64-x86-x32.txt", &ruleset, &Options::default());
}

#[test]
fn docker_default_for_aarch64_by_size() {
    let mut options = Options::default();
    options.goal = Goal::Size;
    check(
        "docker-default-aarch64-size.txt",
        &resolved(docker_default(), &[Abi::Aarch64]),
        &options,
    );
}

#[test]
fn strict_mode_as_a_filter() {
    let text = builtin::named("strict").unwrap().text;
    check("strict-x86_64.txt", &resolved(text, &[Abi::X86_64]), &Options::default());
}

/// A value set with a mask, values to search among, a masked flag word, and what is asked of two
/// arguments, in both byte orders.
const ARGUMENTS: &str = r#"{
  "defaultAction": "SCMP_ACT_ERRNO",
  "syscalls": [
    { "names": ["read", "write", "exit_group"], "action": "SCMP_ACT_ALLOW" },
    { "names": ["personality"], "action": "SCMP_ACT_ALLOW",
      "args": [{ "index": 0, "value": 0, "op": "SCMP_CMP_EQ" }] },
    { "names": ["personality"], "action": "SCMP_ACT_ALLOW",
      "args": [{ "index": 0, "value": 8, "op": "SCMP_CMP_EQ" }] },
    { "names": ["personality"], "action": "SCMP_ACT_ALLOW",
      "args": [{ "index": 0, "value": 131072, "op": "SCMP_CMP_EQ" }] },
    { "names": ["personality"], "action": "SCMP_ACT_ALLOW",
      "args": [{ "index": 0, "value": 131080, "op": "SCMP_CMP_EQ" }] },
    { "names": ["clone"], "action": "SCMP_ACT_ALLOW",
      "args": [{ "index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }] },
    { "names": ["mmap"], "action": "SCMP_ACT_ALLOW",
      "args": [{ "index": 3, "value": 34, "op": "SCMP_CMP_EQ" },
               { "index": 2, "value": 4, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }] },
    { "names": ["mmap"], "action": "SCMP_ACT_ALLOW",
      "args": [{ "index": 3, "value": 2, "op": "SCMP_CMP_EQ" },
               { "index": 2, "value": 4, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }] },
    { "names": ["fcntl"], "action": "SCMP_ACT_ALLOW",
      "args": [{ "index": 1, "value": 10, "op": "SCMP_CMP_LE" }] }
  ]
}"#;

#[test]
fn arguments_in_both_byte_orders() {
    for (name, abi) in [("arguments-x86_64.txt", Abi::X86_64), ("arguments-s390x.txt", Abi::S390x)]
    {
        check(name, &resolved(ARGUMENTS, &[abi]), &Options::default());
    }
}

#[test]
fn typed_arguments_need_no_upper_halves() {
    let ruleset = resolved(ARGUMENTS, &[Abi::X86_64]).with_typed_arguments();
    check("arguments-x86_64-typed.txt", &ruleset, &Options::default());
}
