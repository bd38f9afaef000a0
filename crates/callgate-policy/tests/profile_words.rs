//! What the reader says of words and values that are wrong: id, place, message, correction.

mod common;

use callgate_diagnostic::Severity::{Error, Warning};
use callgate_policy::{
    ArgIndex,
    Dialect::{self, Containers, Docker, Oci},
    Test,
};
use common::{find, policy, show};

const ALL: [Dialect; 3] = [Docker, Oci, Containers];

/// A profile with one entry, which allows `mkdir` under a refusing default.
fn entry(more: &str) -> String {
    format!(
        r#"{{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
             {{ "names": ["mkdir"], "action": "SCMP_ACT_ALLOW"{more} }} ] }}"#
    )
}

/// A profile with one entry that refuses `mkdir` under an allowing default.
fn refusal(more: &str) -> String {
    format!(
        r#"{{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
             {{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO"{more} }} ] }}"#
    )
}

fn profile(more: &str) -> String {
    format!(r#"{{ "defaultAction": "SCMP_ACT_ERRNO"{more} }}"#)
}

#[test]
fn an_unknown_action_is_an_error() {
    for dialect in ALL {
        find(r#"{ "defaultAction": "«SCMP_ACT_ERNO»" }"#, dialect, Error, "unknown-action")
            .says("`SCMP_ACT_ERNO` is not an action")
            .label("did you mean `SCMP_ACT_ERRNO`?")
            .mends_to(r#"{ "defaultAction": "SCMP_ACT_ERRNO" }"#);
    }
    // Go compares the whole word.
    find(r#"{ "defaultAction": "«scmp_act_allow»" }"#, Docker, Error, "unknown-action");
    let found = find(r#"{ "defaultAction": "«DENY»" }"#, Docker, Error, "unknown-action").label("");
    assert!(found.diagnostic.help.unwrap().contains("SCMP_ACT_KILL_PROCESS"));
    let inside = r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["a"], "action": "«ERRNO»" }] }"#;
    find(inside, Oci, Error, "unknown-action").label("did you mean `SCMP_ACT_ERRNO`?");
}

#[test]
fn an_unknown_operator_is_an_error() {
    for (word, meant) in [
        ("SCMP_CMP_EG", "SCMP_CMP_EQ"),
        ("EQ", "SCMP_CMP_EQ"),
        ("==", "SCMP_CMP_EQ"),
        (">=", "SCMP_CMP_GE"),
        ("SCMP_CMP_MASKED_EW", "SCMP_CMP_MASKED_EQ"),
    ] {
        let marked =
            entry(&format!(r#", "args": [{{ "index": 0, "value": 1, "op": "«{word}»" }}]"#));
        find(&marked, Oci, Error, "unknown-operator")
            .says(&format!("`{word}` is not an operator"))
            .label(&format!("did you mean `{meant}`?"));
    }
}

#[test]
fn an_unknown_architecture_is_an_error() {
    for (word, meant) in [
        ("SCMP_ARCH_X86_46", "SCMP_ARCH_X86_64"),
        ("x86_64", "SCMP_ARCH_X86_64"),
        ("amd64", "SCMP_ARCH_X86_64"),
        ("arm64", "SCMP_ARCH_AARCH64"),
    ] {
        find(
            &profile(&format!(r#", "architectures": ["«{word}»"]"#)),
            Oci,
            Error,
            "unknown-architecture",
        )
        .says(&format!("`{word}` is not an architecture"))
        .label(&format!("did you mean `{meant}`?"));
        let map = format!(
            r#", "archMap": [{{ "architecture": "SCMP_ARCH_ARM", "subArchitectures": ["«{word}»"] }}]"#
        );
        find(&profile(&map), Docker, Error, "unknown-architecture");
    }
    find(
        &profile(r#", "architectures": ["«SCMP_ARCH_NATIVE»"]"#),
        Oci,
        Error,
        "unknown-architecture",
    )
    .label("no runtime takes this name");
    find(&profile(r#", "architectures": ["«vax»"]"#), Oci, Error, "unknown-architecture")
        .label("expected a word such as `SCMP_ARCH_X86_64`");
}

#[test]
fn an_unknown_flag_is_an_error() {
    find(&profile(r#", "flags": ["«SECCOMP_FILTER_FLAG_LOGS»"]"#), Oci, Error, "unknown-flag")
        .says("`SECCOMP_FILTER_FLAG_LOGS` is not a flag of a filter")
        .label("did you mean `SECCOMP_FILTER_FLAG_LOG`?");
}

#[test]
fn an_unknown_capability_is_an_error_where_the_filter_gets_looser() {
    let caps = |side: &str| format!(r#", "{side}": {{ "caps": ["«CAP_SYS_ADMN»"] }}"#);
    let never = "no capability is called `CAP_SYS_ADMN`; the entry never applies";
    let always = "no capability is called `CAP_SYS_ADMN`; it never takes the entry out";
    for dialect in [Docker, Containers] {
        let find = |text: String, severity| find(&text, dialect, severity, "unknown-capability");
        find(entry(&caps("includes")), Warning).says(never).label("did you mean `CAP_SYS_ADMIN`?");
        find(refusal(&caps("includes")), Error).says(never);
        find(entry(&caps("excludes")), Error).says(always);
        find(refusal(&caps("excludes")), Warning).says(always);
    }
    // An entry that says what the default says changes nothing.
    let same = r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        { "names": ["a"], "action": "SCMP_ACT_ALLOW", "excludes": { "caps": ["«CAP_FROB»"] } }] }"#;
    find(same, Docker, Warning, "unknown-capability")
        .label("expected a name such as `CAP_SYS_ADMIN`");
}

#[test]
fn engines_know_capabilities_by_their_full_name_alone() {
    for word in ["SYS_ADMIN", "cap_sys_admin"] {
        let marked = entry(&format!(r#", "includes": {{ "caps": ["«{word}»"] }}"#));
        find(&marked, Docker, Warning, "unknown-capability").label("did you mean `CAP_SYS_ADMIN`?");
    }
}

#[test]
fn an_entry_that_never_applies_keeps_its_place_without_names() {
    let text = entry(r#", "includes": { "caps": ["CAP_FROB", "CAP_BPF"] }"#);
    let policy = policy(&text, Docker);
    assert_eq!(policy.entries.len(), 1);
    assert!(policy.entries[0].names.is_empty());
}

#[test]
fn an_unknown_machine_is_an_error_where_the_filter_gets_looser() {
    let arches = |side: &str| format!(r#", "{side}": {{ "arches": ["amd64", "«x86_64»"] }}"#);
    let find = |text: String, severity| find(&text, Docker, severity, "unknown-machine");
    find(entry(&arches("includes")), Warning)
        .says("no machine is called `x86_64` here; it never lets the entry apply")
        .label("did you mean `amd64`?");
    find(refusal(&arches("includes")), Error);
    find(entry(&arches("excludes")), Error)
        .says("no machine is called `x86_64` here; it never takes the entry out");
    find(refusal(&arches("excludes")), Warning);
    find(entry(r#", "includes": { "arches": ["«pdp11»"] }"#), Warning)
        .label("expected a name such as `amd64`");
}

#[test]
fn a_kernel_version_has_two_numbers() {
    for (word, label) in [
        ("4.8.0", "did you mean `4.8`?"),
        ("5.10-rc1", "did you mean `5.10`?"),
        ("4", "expected two numbers, such as `4.8`"),
        ("4.", "expected two numbers, such as `4.8`"),
        ("+4.8", "expected two numbers, such as `4.8`"),
        ("4.x", "expected two numbers, such as `4.8`"),
        ("0.0", "expected two numbers, such as `4.8`"),
    ] {
        let marked = entry(&format!(r#", "includes": {{ "minKernel": "«{word}»" }}"#));
        find(&marked, Docker, Error, "bad-kernel-version")
            .says(&format!("`{word}` is not a kernel version"))
            .label(label);
    }
    // Docker reads eight bits.
    find(
        &entry(r#", "includes": { "minKernel": "«256.1»" }"#),
        Docker,
        Error,
        "bad-kernel-version",
    );
    let read = policy(&entry(r#", "includes": { "minKernel": "4.08" }"#), Docker);
    let version = read.entries[0].includes.min_kernel.unwrap().value;
    assert_eq!((version.major, version.minor), (4, 8));
}

#[test]
fn an_empty_kernel_version_is_one_that_every_kernel_reaches() {
    find(&entry(r#", "includes": { "minKernel": «""» }"#), Docker, Warning, "bad-kernel-version")
        .says("an empty version has no effect");
    find(&entry(r#", "excludes": { "minKernel": «""» }"#), Docker, Warning, "bad-kernel-version")
        .says("an empty version takes the entry out everywhere");
}

#[test]
fn an_argument_has_an_index_below_six() {
    find(
        &entry(r#", "args": [{ "index": «6», "value": 1, "op": "SCMP_CMP_EQ" }]"#),
        Oci,
        Error,
        "bad-index",
    )
    .says("a system call has no argument 6")
    .label("expected 0 to 5");
    find(
        &entry(r#", "args": [{ "index": «18446744073709551615», "op": "SCMP_CMP_EQ" }]"#),
        Oci,
        Error,
        "bad-index",
    );
}

#[test]
fn all_seven_operators_are_read() {
    let words = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
    let args: Vec<String> = words
        .iter()
        .map(|w| format!(r#"{{ "index": 5, "value": 12, "valueTwo": 8, "op": "SCMP_CMP_{w}" }}"#))
        .collect();
    let read = policy(&entry(&format!(r#", "args": [{}]"#, args.join(","))), Oci);
    let tests: Vec<Test> = read.entries[0].comparisons.iter().map(|c| c.value.test).collect();
    let masked = Test::MaskedEq { mask: 12, value: 8 };
    use Test::*;
    assert_eq!(tests, [Ne(12), Lt(12), Le(12), Eq(12), Ge(12), Gt(12), masked]);
    assert!(read.entries[0].comparisons.iter().all(|c| c.value.arg == ArgIndex::ALL[5]));
}

#[test]
fn a_value_that_nobody_looks_at_is_pointed_out() {
    let args = r#", "args": [{ "index": 0, "value": 1, "«valueTwo»": 2, "op": "SCMP_CMP_EQ" }]"#;
    find(&entry(args), Oci, Warning, "no-effect").says("`valueTwo` has no effect on `SCMP_CMP_EQ`");
    find(&entry(r#", "«errnoRet»": 2"#), Oci, Warning, "no-effect")
        .says("`errnoRet` has no effect on `SCMP_ACT_ALLOW`");
    find(&entry(r#", "«errno»": "EPERM""#), Containers, Warning, "no-effect")
        .says("`errno` has no effect on `SCMP_ACT_ALLOW`");
    find(&profile(r#", "«listenerMetadata»": "x""#), Oci, Warning, "no-effect")
        .says("`listenerMetadata` has no effect without `listenerPath`");
    let map = r#", "archMap": [{ "architecture": "SCMP_ARCH_ARM" }, { "architecture": "«SCMP_ARCH_ARM»" }]"#;
    find(&profile(map), Docker, Warning, "no-effect")
        .says("`archMap` has arm twice; the first counts");
    // Podman's own profile writes them all; zero says nothing.
    let zero =
        entry(r#", "args": [{ "index": 0, "value": 1, "valueTwo": 0, "op": "SCMP_CMP_EQ" }]"#);
    let reading = callgate_policy::formats::profile::read(&zero, Some(Oci));
    assert!(reading.diagnostics.is_empty(), "{}", show(&reading.diagnostics));
}

#[test]
fn what_is_missing_is_said() {
    let no_action = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [«{» "names": ["a"] }] }"#;
    find(no_action, Oci, Error, "missing-key")
        .says("`action` is missing")
        .label("expected `action` in this object");
    find(&entry(r#", "args": [«{» "index": 0, "value": 1 }]"#), Oci, Error, "missing-key")
        .says("`op` is missing");
    find(
        &entry(r#", "args": [«{» "value": 1, "op": "SCMP_CMP_EQ" }]"#),
        Oci,
        Warning,
        "missing-key",
    )
    .says("`index` is missing; it counts as 0");
    find(
        &profile(r#", "archMap": [«{» "subArchitectures": null }]"#),
        Docker,
        Warning,
        "missing-key",
    )
    .says("`architecture` is missing; no machine is meant by this");
}

#[test]
fn without_a_default_action_nothing_works() {
    let unfiltered =
        "there is no default action and no system call, so the container would run unfiltered";
    for dialect in ALL {
        find("«{»}", dialect, Error, "no-default-action").says(unfiltered);
        find(r#"{ "defaultAction": «""», "syscalls": [] }"#, dialect, Error, "no-default-action")
            .says(unfiltered);
        let calls = r#"«{» "syscalls": [{ "names": ["a"], "action": "SCMP_ACT_ERRNO" }] }"#;
        find(calls, dialect, Error, "no-default-action").says("there is no default action");
    }
}

#[test]
fn a_system_call_has_a_name() {
    let names = |names: &str| {
        format!(
            r#"{{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{{ {names} "action": "SCMP_ACT_ALLOW" }}] }}"#
        )
    };
    find(&names(r#""names": ["read", «""»],"#), Oci, Error, "empty-name")
        .says("a system call has an empty name");
    find(&names(r#""«names»": [],"#), Oci, Warning, "no-names")
        .says("the entry names no system call");
    let none =
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [«{» "action": "SCMP_ACT_ALLOW" }] }"#;
    let found = find(none, Docker, Warning, "no-names");
    assert!(found.diagnostic.help.unwrap().contains("crun"));
}

#[test]
fn the_old_name_stands_alone() {
    let both = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        { "«name»": "read", "names": ["write"], "action": "SCMP_ACT_ALLOW" }] }"#;
    for dialect in [Docker, Containers] {
        let found = find(both, dialect, Error, "name-and-names")
            .says("`name` and `names` can't stand together");
        assert_eq!(found.diagnostic.labels[1].span.of(&found.text), "names");
    }
    let name = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        { "name": "mkdir", "names": [], "action": "SCMP_ACT_ALLOW" }] }"#;
    assert_eq!(policy(name, Docker).entries[0].names[0].value, "mkdir");
}

#[test]
fn the_two_lists_of_architectures_exclude_each_other() {
    let both = profile(
        r#", "architectures": ["SCMP_ARCH_X86"], "«archMap»": [{ "architecture": "SCMP_ARCH_ARM" }]"#,
    );
    for dialect in [Docker, Containers] {
        find(&both, dialect, Error, "architectures-and-arch-map")
            .says("`architectures` and `archMap` can't stand together");
    }
    let empty =
        profile(r#", "architectures": [], "archMap": [{ "architecture": "SCMP_ARCH_ARM" }]"#);
    policy(&empty, Docker);
}
