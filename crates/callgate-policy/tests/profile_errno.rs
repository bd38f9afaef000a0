//! Error numbers, their names, and supervisors.

mod common;

use callgate_bpf::Action;
use callgate_diagnostic::Severity::{Error, Warning};
use callgate_policy::{
    Dialect::{self, Containers, Docker, Oci},
    formats::profile,
};
use common::{find, policy, show};

fn entry(action: &str, more: &str) -> String {
    format!(
        r#"{{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
             {{ "names": ["mkdir"], "action": "{action}"{more} }} ] }}"#
    )
}

#[track_caller]
fn action(text: &str, dialect: Dialect) -> Action {
    policy(text, dialect).entries[0].action.value
}

#[test]
fn every_action_is_read() {
    for (word, expected) in [
        ("SCMP_ACT_KILL", Action::KillThread),
        ("SCMP_ACT_KILL_THREAD", Action::KillThread),
        ("SCMP_ACT_KILL_PROCESS", Action::KillProcess),
        ("SCMP_ACT_TRAP", Action::Trap(0)),
        ("SCMP_ACT_ERRNO", Action::Errno(1)),
        ("SCMP_ACT_TRACE", Action::Trace(1)),
        ("SCMP_ACT_ALLOW", Action::Allow),
        ("SCMP_ACT_LOG", Action::Log),
        ("SCMP_ACT_NOTIFY", Action::UserNotif),
    ] {
        for dialect in [Docker, Oci, Containers] {
            assert_eq!(action(&entry(word, ""), dialect), expected);
        }
    }
}

#[test]
fn the_number_goes_with_errno_and_trace() {
    assert_eq!(action(&entry("SCMP_ACT_ERRNO", r#", "errnoRet": 38"#), Oci), Action::Errno(38));
    assert_eq!(action(&entry("SCMP_ACT_TRACE", r#", "errnoRet": 38"#), Oci), Action::Trace(38));
    assert_eq!(action(&entry("SCMP_ACT_ERRNO", r#", "errnoRet": null"#), Oci), Action::Errno(1));
    let text = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38 }"#;
    assert_eq!(policy(text, Oci).default.value, Action::Errno(38));
}

#[test]
fn a_number_has_its_limit() {
    assert_eq!(action(&entry("SCMP_ACT_ERRNO", r#", "errnoRet": 4094"#), Oci), Action::Errno(4094));
    find(&entry("SCMP_ACT_ERRNO", r#", "errnoRet": «4095»"#), Oci, Error, "bad-errno")
        .says("4095 is too large for `SCMP_ACT_ERRNO`")
        .label("expected 0 to 4094");
    // runc and crun would cut it to 16 bits, and mean EPERM.
    find(&entry("SCMP_ACT_ERRNO", r#", "errnoRet": «65537»"#), Docker, Error, "bad-errno");
    assert_eq!(
        action(&entry("SCMP_ACT_TRACE", r#", "errnoRet": 65535"#), Oci),
        Action::Trace(65535)
    );
    find(&entry("SCMP_ACT_TRACE", r#", "errnoRet": «65536»"#), Oci, Error, "bad-errno")
        .label("expected 0 to 65535");
    let default = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": «4095» }"#;
    find(default, Containers, Error, "bad-errno");
}

#[test]
fn zero_is_no_error() {
    find(&entry("SCMP_ACT_ERRNO", r#", "errnoRet": «0»"#), Oci, Warning, "errno-zero")
        .says("the calls don't run, and report success");
    let trace = profile::read(&entry("SCMP_ACT_TRACE", r#", "errnoRet": 0"#), Some(Oci));
    assert!(trace.diagnostics.is_empty(), "{}", show(&trace.diagnostics));
}

#[test]
fn podman_reads_names_before_numbers() {
    let name = |word: &str| entry("SCMP_ACT_ERRNO", &format!(r#", "errno": "{word}""#));
    assert_eq!(action(&name("ENOSYS"), Containers), Action::Errno(38));
    assert_eq!(action(&name("38"), Containers), Action::Errno(38));
    assert_eq!(action(&name(""), Containers), Action::Errno(1));
    let both = entry("SCMP_ACT_ERRNO", r#", "errnoRet": 1, "errno": "«EINVAL»""#);
    let found = find(&both, Containers, Warning, "errno-conflict")
        .says("the name and the number of the error differ")
        .label("the name counts");
    assert_eq!(found.diagnostic.labels[1].span.of(&found.text), "1");
    assert_eq!(action(&both.replace(['«', '»'], ""), Containers), Action::Errno(22));
    let agree = entry("SCMP_ACT_ERRNO", r#", "errnoRet": 22, "errno": "EINVAL""#);
    let reading = profile::read(&agree, Some(Containers));
    assert!(reading.diagnostics.is_empty(), "{}", show(&reading.diagnostics));
}

#[test]
fn the_name_of_an_error_must_be_one() {
    let name = |word: &str| entry("SCMP_ACT_ERRNO", &format!(r#", "errno": "«{word}»""#));
    find(&name("EPREM"), Containers, Error, "unknown-errno")
        .says("`EPREM` is not the name of an error")
        .label("did you mean `EPERM`?");
    for word in ["eperm", "-1", "+1", "1.0", "4294967296", "nope"] {
        find(&name(word), Containers, Error, "unknown-errno");
    }
    // An error of Linux, and a gap in Podman's list.
    find(&name("EINTR"), Containers, Error, "unknown-errno")
        .says("Podman doesn't know the error `EINTR`")
        .mends_to(&name("4").replace(['«', '»'], ""));
    assert_eq!(action(&name("ENOTSUP").replace(['«', '»'], ""), Containers), Action::Errno(95));
    let default = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "«EFROB»" }"#;
    find(default, Containers, Error, "unknown-errno");
}

#[test]
fn others_drop_the_name_and_only_a_difference_is_an_error() {
    for dialect in [Docker, Oci] {
        let who = if dialect == Docker { "Docker drops" } else { "runc and crun drop" };
        let named = entry("SCMP_ACT_ERRNO", r#", "«errno»": "ENOSYS""#);
        find(&named, dialect, Error, "dropped-key")
            .says(&format!("{who} `errno`, so the number is 1 (EPERM)"));
        let default = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "«defaultErrno»": "ENOSYS" }"#;
        find(default, dialect, Error, "dropped-key")
            .says(&format!("{who} `defaultErrno`, so the number is 1 (EPERM)"));
        for same in [
            entry("SCMP_ACT_ERRNO", r#", "errnoRet": 38, "errno": "ENOSYS""#),
            entry("SCMP_ACT_ERRNO", r#", "errno": "EPERM""#),
            entry("SCMP_ACT_ERRNO", r#", "errno": """#),
            entry("SCMP_ACT_ALLOW", r#", "errno": "ENOSYS""#),
            // Nobody looks at the type of a key that is dropped.
            entry("SCMP_ACT_ERRNO", r#", "errno": 38"#),
        ] {
            let reading = profile::read(&same, Some(dialect));
            assert!(reading.policy.is_some(), "{}", show(&reading.diagnostics));
        }
    }
}

#[test]
fn a_supervisor_can_have_neither_everything_nor_write() {
    find(r#"{ "defaultAction": "«SCMP_ACT_NOTIFY»" }"#, Oci, Error, "notify-default")
        .says("`SCMP_ACT_NOTIFY` can't be the default action");
    let write = r#"{ "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/x", "syscalls": [
        { "names": ["read", "«write»"], "action": "SCMP_ACT_NOTIFY" }] }"#;
    for dialect in [Docker, Oci, Containers] {
        find(write, dialect, Error, "notify-write").says("`write` can't be handed to a supervisor");
    }
}

#[test]
fn a_supervisor_needs_a_socket() {
    find(&entry("«SCMP_ACT_NOTIFY»", ""), Oci, Warning, "no-listener")
        .says("the profile asks a supervisor, and names none");
    let text = r#"{ "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/x",
        "listenerMetadata": "m", "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" }] }"#;
    let reading = profile::read(text, Some(Oci));
    assert!(reading.diagnostics.is_empty(), "{}", show(&reading.diagnostics));
    let listener = reading.policy.unwrap().listener.unwrap();
    assert_eq!((listener.path.value.as_str(), listener.metadata.as_deref()), ("/run/x", Some("m")));
}
