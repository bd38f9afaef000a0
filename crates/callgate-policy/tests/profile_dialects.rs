//! Whose profile it is, and what that consumer drops.

mod common;

use callgate_diagnostic::Severity::{Error, Note, Warning};
use callgate_policy::{
    Architectures,
    Dialect::{self, Containers, Docker, Oci},
    formats::profile,
};
use common::{find, policy, show, test_data, unmark};

fn with(more: &str) -> String {
    format!(r#"{{ "defaultAction": "SCMP_ACT_ERRNO"{more} }}"#)
}

fn entry(more: &str) -> String {
    with(&format!(r#", "syscalls": [{{ "names": ["mkdir"], "action": "SCMP_ACT_ALLOW"{more} }}]"#))
}

#[track_caller]
fn detects(marked: &str, dialect: Dialect) {
    let (text, span) = unmark(marked);
    let reading = profile::read(&text, None);
    assert_eq!(reading.dialect, Some(dialect), "{text}");
    let note = &reading.diagnostics[0];
    assert_eq!((note.id, note.severity), ("dialect", Note));
    assert_eq!(note.primary().unwrap().span, span, "{note}");
    assert!(note.message.contains(&format!("`{}`", dialect.name())), "{note}");
}

#[test]
fn the_dialect_is_found_from_the_keys() {
    detects(&with(r#", "«archMap»": []"#), Docker);
    detects(&entry(r#", "«includes»": {}"#), Docker);
    detects(&entry(r#", "«Excludes»": {}"#), Docker);
    detects(&with(r#", "syscalls": [{ "«name»": "a", "action": "SCMP_ACT_ALLOW" }]"#), Docker);
    detects(&with(r#", "archMap": [], "«defaultErrno»": "EPERM""#), Containers);
    detects(&entry(r#", "includes": {}, "«errno»": "EPERM""#), Containers);
    // Only Docker reads it; the others can stand their loss.
    detects(&entry(r#", "errno": "EPERM", "excludes": { "«minKernel»": "4.8" }"#), Docker);
    detects(
        r#"{ "«ociVersion»": "1.0.0", "linux": { "seccomp": { "defaultAction": "SCMP_ACT_LOG" } } }"#,
        Oci,
    );
    let shared = profile::read(&entry(r#", "comment": "c""#), None);
    assert_eq!(shared.dialect, Some(Oci));
    assert_eq!(
        shared.diagnostics[0].message,
        "read in the dialect `oci` because of its keys, which all consumers share"
    );
    assert_eq!(shared.diagnostics[0].primary(), None);
}

#[test]
fn a_stated_dialect_needs_no_note() {
    for dialect in [Docker, Oci, Containers] {
        let reading = profile::read(&with(""), Some(dialect));
        assert_eq!(reading.dialect, Some(dialect));
        assert!(reading.diagnostics.is_empty(), "{}", show(&reading.diagnostics));
        assert_eq!(reading.policy.unwrap().dialect, Some(dialect));
    }
    assert_eq!(profile::read("{", None).dialect, None);
}

#[test]
fn what_a_runtime_drops_is_an_error_where_it_means_something() {
    let archs = r#", "«archMap»": [{ "architecture": "SCMP_ARCH_ARM" }]"#;
    find(&with(archs), Oci, Error, "dropped-key").label("dropped without a word").says(
        "runc and crun drop `archMap`, so only the machine's own architecture is filtered, and \
         every call of another ends in a kill",
    );
    let help =
        find(&entry(r#", "«includes»": { "caps": ["CAP_BPF"] }"#), Oci, Error, "dropped-key")
            .says("runc and crun drop `includes`, so the entry always applies")
            .diagnostic
            .help
            .unwrap();
    assert!(help.contains("`callgate compile --format oci`"), "{help}");
    find(&entry(r#", "«excludes»": { "minKernel": "4.8" }"#), Oci, Error, "dropped-key");
    let name = with(r#", "syscalls": [{ "«name»": "mkdir", "action": "SCMP_ACT_ALLOW" }]"#);
    find(&name, Oci, Error, "dropped-key")
        .says("runc and crun drop `name`, so the entry doesn't cover `mkdir`");
}

#[test]
fn what_a_runtime_drops_is_no_matter_where_it_means_nothing() {
    let text = with(
        r#", "archMap": [], "syscalls": [{ "names": ["a"], "name": "", "action": "SCMP_ACT_ALLOW",
            "comment": 7, "includes": {}, "excludes": { "caps": [], "arches": null } }]"#,
    );
    let reading = profile::read(&text, Some(Oci));
    assert!(reading.diagnostics.is_empty(), "{}", show(&reading.diagnostics));
}

#[test]
fn comments_are_kept_and_dropped_by_all() {
    for dialect in [Docker, Oci, Containers] {
        let text = entry(r#", "comment": "why\n""#);
        let reading = profile::read(&text, Some(dialect));
        assert!(reading.diagnostics.is_empty(), "{}", show(&reading.diagnostics));
        assert_eq!(reading.policy.unwrap().entries[0].comment.as_deref(), Some("why\n"));
    }
    find(&entry(r#", "comment": «7»"#), Docker, Error, "wrong-type");
}

#[test]
fn podman_drops_the_kernel_version() {
    find(&entry(r#", "includes": { "«minKernel»": "4.8" }"#), Containers, Error, "dropped-key")
        .says("Podman drops `minKernel`, so the entry does not depend on the kernel");
}

#[test]
fn newer_engines_drop_newer_keys() {
    for (more, key) in [
        (r#", "«defaultErrnoRet»": 38"#, "defaultErrnoRet"),
        (r#", "«flags»": ["SECCOMP_FILTER_FLAG_LOG"]"#, "flags"),
        (r#", "«listenerPath»": "/run/x""#, "listenerPath"),
    ] {
        find(&with(more), Docker, Warning, "newer-only")
            .says(&format!("Docker engines before 23.0 drop `{key}`"));
        let text = with(more).replace(['«', '»'], "");
        for dialect in [Oci, Containers] {
            let reading = profile::read(&text, Some(dialect));
            assert!(!reading.diagnostics.iter().any(|d| d.message.contains("Docker")));
        }
    }
    // What they take instead is the same.
    let text = with(r#", "defaultErrnoRet": 1, "flags": [], "listenerPath": """#);
    assert!(profile::read(&text, Some(Docker)).diagnostics.is_empty());
}

#[test]
fn old_runtimes_refuse_newer_words() {
    for dialect in [Oci, Containers] {
        let flags = with(r#", "«flags»": ["SECCOMP_FILTER_FLAG_LOG"]"#);
        find(&flags, dialect, Warning, "newer-only").says("runc before 1.2 refuses `flags`");
    }
    for dialect in [Docker, Oci, Containers] {
        let flag = with(r#", "flags": ["«SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV»"]"#);
        find(&flag, dialect, Warning, "newer-only").says("runc before 1.4.1 refuses this flag");
    }
}

#[test]
fn a_runtime_configuration_is_read_by_runtimes_alone() {
    let text = r#"{ "«ociVersion»": "1.0.2", "linux": { "seccomp": { "defaultAction": "SCMP_ACT_LOG" } } }"#;
    policy(&text.replace(['«', '»'], ""), Oci);
    for dialect in [Docker, Containers] {
        find(text, dialect, Error, "runtime-config");
    }
    for linux in ["", r#", "linux": {}"#, r#", "linux": { "seccomp": null }"#] {
        find(&format!(r#"{{ "«ociVersion»": "1.0.2"{linux} }}"#), Oci, Error, "runtime-config")
            .says(
                "this runtime configuration has no `linux.seccomp`: the container runs unfiltered",
            );
    }
}

#[test]
fn both_ways_to_list_architectures_are_read() {
    let list = policy(&with(r#", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X32"]"#), Oci);
    let Architectures::List(abis) = list.architectures else { panic!() };
    let names: Vec<&str> = abis.iter().map(|abi| abi.value.name()).collect();
    assert_eq!(names, ["x86_64", "x32"]);
    let map = r#", "archMap": [{ "architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"] },
                               { "architecture": "SCMP_ARCH_RISCV64", "subArchitectures": null }]"#;
    let Architectures::Map(rows) = policy(&with(map), Docker).architectures else { panic!() };
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0].0.value.name(), rows[0].1.len(), rows[1].1.len()), ("x86_64", 1, 0));
}

#[test]
fn the_default_profiles_of_docker_and_podman_are_read() {
    for (file, dialect, entries) in
        [("moby-default.json", Docker, 33), ("containers-common-seccomp.json", Containers, 40)]
    {
        let Some(text) = test_data(file) else { return };
        for stated in [Some(dialect), None] {
            let reading = profile::read(&text, stated);
            assert_eq!(reading.dialect, Some(dialect));
            let found = reading.diagnostics.iter().filter(|d| d.severity > Note).count();
            assert_eq!(found, 0, "{file}: {}", show(&reading.diagnostics));
            assert_eq!(reading.policy.unwrap().entries.len(), entries);
        }
    }
}

#[test]
fn dockers_default_under_a_runtime_is_refused_at_each_key_that_is_dropped() {
    let Some(text) = test_data("moby-default.json") else { return };
    let reading = profile::read(&text, Some(Oci));
    assert!(reading.policy.is_none());
    assert!(reading.diagnostics.iter().all(|d| d.id == "dropped-key"));
    let places: Vec<usize> =
        reading.diagnostics.iter().map(|d| d.primary().unwrap().span.start).collect();
    let mut expected: Vec<usize> = ["\"archMap\"", "\"includes\"", "\"excludes\""]
        .iter()
        .flat_map(|key| text.match_indices(key).map(|(at, _)| at + 1))
        .collect();
    expected.sort_unstable();
    assert_eq!(places, expected);
    assert!(places.len() > 25);
}
