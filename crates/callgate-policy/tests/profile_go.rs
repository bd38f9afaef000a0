//! What Go's `encoding/json` makes of a text, reproduced and reported.
//!
//! The expectations were compared with programs built by Go 1.19 on some hundred thousand random
//! profiles; the facts that need a place in the sources stand beside their tests.

mod common;

use callgate_bpf::Action;
use callgate_diagnostic::Severity::{Error, Warning};
use callgate_policy::{
    Architectures,
    Dialect::{Docker, Oci},
    formats::profile,
};
use common::{find, policy, show};

fn profile_with(more: &str) -> String {
    format!(r#"{{ "defaultAction": "SCMP_ACT_ERRNO", {more} }}"#)
}

fn entry_with(more: &str) -> String {
    profile_with(&format!(
        r#""syscalls": [{{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", {more} }}]"#
    ))
}

#[test]
fn a_key_matches_in_any_letter_case() {
    find(r#"{ "«DEFAULTACTION»": "SCMP_ACT_LOG" }"#, Oci, Warning, "key-case")
        .says("`DEFAULTACTION` is read as `defaultAction`")
        .label("written `defaultAction`")
        .mends_to(r#"{ "defaultAction": "SCMP_ACT_LOG" }"#);
    assert_eq!(policy(r#"{ "defaultaction": "SCMP_ACT_LOG" }"#, Oci).default.value, Action::Log);
    // `fold.go`: the long s and the Kelvin sign fold to letters.
    let folded = "{ \"defaultAction\": \"SCMP_ACT_LOG\", \"«fl\u{61}g\u{17f}»\": [] }";
    find(folded, Oci, Warning, "key-case");
    let kelvin = profile_with("\"«$\u{17f}chema»\": \"\"");
    // Nobody reads this key, so its case is nobody's matter.
    let reading = profile::read(&kelvin.replace(['«', '»'], ""), Some(Oci));
    assert!(reading.diagnostics.is_empty(), "{}", show(&reading.diagnostics));
    let kernel = entry_with("\"includes\": { \"«min\u{212a}ernel»\": \"4.8\" }");
    find(&kernel, Docker, Warning, "key-case");
}

#[test]
fn escapes_in_keys_are_resolved_first() {
    let text = r#"{ "default\u0041ction": "SCMP_ACT_LO\u0047" }"#;
    let reading = profile::read(text, Some(Oci));
    assert!(reading.diagnostics.is_empty(), "{}", show(&reading.diagnostics));
    assert_eq!(reading.policy.unwrap().default.value, Action::Log);
}

#[test]
fn of_two_keys_the_last_counts() {
    let text = r#"{ "«defaultAction»": "SCMP_ACT_KILL", "DefaultAction": "SCMP_ACT_LOG" }"#;
    let found = find(text, Docker, Warning, "duplicate-key")
        .says("`defaultAction` is given twice; the last one counts")
        .label("this one is ignored");
    assert_eq!(found.diagnostic.labels[1].span.of(&found.text), "DefaultAction");
    assert_eq!(policy(&found.text, Docker).default.value, Action::Log);
    let names = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        { "«names»": ["a", "b"], "names": ["c"], "action": "SCMP_ACT_ALLOW" }] }"#;
    let found = find(names, Oci, Warning, "duplicate-key");
    let names = &policy(&found.text, Oci).entries[0].names;
    assert_eq!((names.len(), names[0].value.as_str()), (1, "c"));
}

#[test]
fn a_second_null_acts_by_type() {
    // A string stays.
    let text = r#"{ "defaultAction": "SCMP_ACT_LOG", "«defaultAction»": null }"#;
    let found = find(text, Oci, Warning, "duplicate-key")
        .says("`defaultAction` is given twice; null leaves what the first says");
    assert_eq!(policy(&found.text, Oci).default.value, Action::Log);
    // A pointer is cleared.
    let text = entry_with(r#""«errnoRet»": 5, "errnoRet": null"#);
    let found = find(&text, Oci, Warning, "duplicate-key");
    assert_eq!(policy(&found.text, Oci).entries[0].action.value, Action::Errno(1));
    // A slice is cleared.
    let text = profile_with(r#""«architectures»": ["SCMP_ARCH_ARM"], "architectures": null"#);
    let found = find(&text, Oci, Warning, "duplicate-key");
    assert_eq!(policy(&found.text, Oci).architectures, Architectures::Native);
}

#[test]
fn two_lists_of_objects_are_mixed_and_refused() {
    // `decodeState.array` decodes into the elements that the slice has.
    let mixed = "`syscalls` is given twice, and Go's reader mixes the two";
    let call = r#"{ "names": ["a"], "action": "SCMP_ACT_ALLOW" }"#;
    let twice = profile_with(&format!(r#""syscalls": [{call}], "«syscalls»": [{call}]"#));
    find(&twice, Oci, Error, "duplicate-key").says(mixed);
    find(
        &profile_with(&format!(r#""syscalls": [{call}], "«syscalls»": []"#)),
        Oci,
        Error,
        "duplicate-key",
    );
    find(
        &profile_with(&format!(r#""«syscalls»": [], "syscalls": [{call}]"#)),
        Oci,
        Warning,
        "duplicate-key",
    );
    let arg = r#"{ "index": 0, "op": "SCMP_CMP_EQ" }"#;
    find(
        &entry_with(&format!(r#""args": [{arg}], "«args»": [{arg}]"#)),
        Oci,
        Error,
        "duplicate-key",
    );
    find(
        &entry_with(r#""includes": { "caps": ["CAP_BPF"] }, "«includes»": { "arches": ["arm"] }"#),
        Docker,
        Error,
        "duplicate-key",
    );
    find(
        &entry_with(r#""includes": { "minKernel": "4.8", "«minKernel»": "4.9" }"#),
        Docker,
        Error,
        "duplicate-key",
    );
}

#[test]
fn a_key_that_nobody_knows_is_ignored() {
    find(&profile_with(r#""«sycalls»": []"#), Oci, Warning, "unknown-key")
        .says("`sycalls` is not a key of a profile; it is ignored")
        .label("did you mean `syscalls`?")
        .mends_to(&profile_with(r#""syscalls": []"#));
    find(&entry_with(r#""«arg»": []"#), Docker, Warning, "unknown-key")
        .says("`arg` is not a key of an entry of `syscalls`; it is ignored");
    let args = r#""args": [{ "index": 0, "op": "SCMP_CMP_EQ", "«val»": 1 }]"#;
    let found = find(&entry_with(args), Oci, Warning, "unknown-key").label("");
    assert_eq!(found.diagnostic.help.unwrap(), "its keys are index, value, valueTwo, op");
    find(&entry_with(r#""includes": { "«cap»": [] }"#), Docker, Warning, "unknown-key")
        .says("`cap` is not a key of a condition; it is ignored");
    find(
        &profile_with(r#""archMap": [{ "architecture": "SCMP_ARCH_ARM", "«sub»": [] }]"#),
        Docker,
        Warning,
        "unknown-key",
    );
}

#[test]
fn the_schema_may_be_named() {
    let text = profile_with(r#""$schema": "profile.schema.json""#);
    assert!(profile::read(&text, Some(Docker)).diagnostics.is_empty());
}

#[test]
fn a_value_of_another_type_refuses_the_text() {
    for (key, value, wanted, found) in [
        ("defaultErrnoRet", "\"1\"", "a number", "a string"),
        ("defaultErrnoRet", "true", "a number", "a boolean"),
        ("architectures", "\"SCMP_ARCH_ARM\"", "a list of strings", "a string"),
        ("architectures", "{}", "a list of strings", "an object"),
        ("listenerPath", "1", "a string", "a number"),
        ("syscalls", "{}", "a list of objects", "an object"),
        ("flags", "[]", "", ""),
    ] {
        let text = profile_with(&format!(r#""{key}": «{value}»"#));
        if wanted.is_empty() {
            policy(&text.replace(['«', '»'], ""), Oci);
            continue;
        }
        find(&text, Oci, Error, "wrong-type")
            .says(&format!("`{key}` must be {wanted}, not {found}"))
            .label(&format!("expected {wanted}"));
    }
    find(&profile_with(r#""flags": [«5»]"#), Oci, Error, "wrong-type")
        .says("an element of `flags` must be a string, not a number");
    find(&profile_with(r#""syscalls": [«null»]"#), Oci, Error, "wrong-type")
        .says("an element of `syscalls` must be an object, not null");
    find(
        &profile_with(r#""syscalls": [{ "action": "SCMP_ACT_LOG", "names": [«null»] }]"#),
        Docker,
        Error,
        "wrong-type",
    );
    // Also where a later key replaces it.
    find(&profile_with(r#""flags": «1», "flags": []"#), Oci, Error, "wrong-type");
    find(r#"«[»{}]"#, Oci, Error, "wrong-type").says("a profile is an object, not a list");
    find("«null»", Docker, Error, "wrong-type").says("a profile is an object, not null");
}

#[test]
fn the_obvious_correction_of_a_type_is_offered() {
    find(&entry_with(r#""errnoRet": «"38"»"#), Oci, Error, "wrong-type")
        .mends_to(&entry_with(r#""errnoRet": 38"#));
    find(&profile_with(r#""architectures": «"SCMP_ARCH_ARM"»"#), Oci, Error, "wrong-type")
        .mends_to(&profile_with(r#""architectures": ["SCMP_ARCH_ARM"]"#));
}

#[test]
fn a_number_is_whole_and_fits() {
    for number in ["-1", "-0", "1.0", "1e3", "18446744073709551616"] {
        find(&entry_with(&format!(r#""errnoRet": «{number}»"#)), Oci, Error, "bad-number")
            .says(&format!("`{number}` is not a whole number from 0 to 18446744073709551615"));
        let args =
            format!(r#""args": [{{ "index": 0, "value": «{number}», "op": "SCMP_CMP_EQ" }}]"#);
        find(&entry_with(&args), Docker, Error, "bad-number").label("`value` takes no other");
    }
    let most = r#""args": [{ "index": 0, "value": 18446744073709551615, "op": "SCMP_CMP_EQ" }]"#;
    policy(&entry_with(most), Docker);
}

#[test]
fn null_is_as_nothing() {
    let text = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": null,
        "architectures": null, "archMap": null, "flags": null, "listenerPath": null,
        "syscalls": [{ "names": ["a"], "name": null, "action": "SCMP_ACT_ALLOW", "errnoRet": null,
            "args": null, "comment": null, "includes": null, "excludes": { "caps": null } }] }"#;
    for dialect in [Docker, Oci] {
        let reading = profile::read(text, Some(dialect));
        assert!(reading.diagnostics.is_empty(), "{}", show(&reading.diagnostics));
    }
}
