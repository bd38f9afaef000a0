//! The JSON Schema says what the reader takes.

mod common;

use std::collections::BTreeSet;

use callgate_policy::{
    Dialect, FilterFlag,
    formats::profile::{self, SCHEMA},
    json::{self, Document, Value},
};
use callgate_syscalls::{Abi, Capability};

fn schema() -> Document<'static> {
    json::parse(SCHEMA).expect("the schema is JSON")
}

#[track_caller]
fn member<'d>(object: Value<'d>, path: &str) -> Value<'d> {
    path.split('/').fold(object, |object, name| {
        let found = object.members().find(|(key, _)| key.as_str().as_deref() == Some(name));
        found.unwrap_or_else(|| panic!("{name} in {path}")).1
    })
}

#[track_caller]
fn words(schema: &Document<'_>, definition: &str) -> Vec<String> {
    let list = member(schema.root(), &format!("$defs/{definition}/enum"));
    let words: Vec<String> =
        list.elements().map(|word| word.as_str().unwrap().into_owned()).collect();
    let distinct: BTreeSet<&String> = words.iter().collect();
    assert_eq!(distinct.len(), words.len(), "{definition} has a word twice");
    words
}

fn keys(schema: &Document<'_>, path: &str) -> BTreeSet<String> {
    let object = if path.is_empty() { schema.root() } else { member(schema.root(), path) };
    let properties = member(object, "properties");
    properties.members().map(|(key, _)| key.as_str().unwrap().into_owned()).collect()
}

/// Whether a text is read without error, and without a word about this id.
fn accepts(text: &str, dialect: Dialect, id: &str) -> bool {
    let reading = profile::read(text, Some(dialect));
    reading.policy.is_some() && reading.diagnostics.iter().all(|found| found.id != id)
}

fn entry(more: &str) -> String {
    format!(
        r#"{{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{ "names": ["a"], {more} }}] }}"#
    )
}

#[test]
fn every_action_of_the_schema_is_read_and_there_is_no_other() {
    let schema = schema();
    let words = words(&schema, "action");
    for word in &words {
        assert!(accepts(&entry(&format!(r#""action": "{word}""#)), Dialect::Oci, ""), "{word}");
    }
    // The reader lists its own words when none is near.
    assert_eq!(words, listed(&entry(r#""action": "?""#), "unknown-action"));
}

#[test]
fn every_operator_of_the_schema_is_read_and_there_is_no_other() {
    let schema = schema();
    let words = words(&schema, "operator");
    let with = |word: &str| {
        entry(&format!(r#""action": "SCMP_ACT_LOG", "args": [{{ "index": 0, "op": "{word}" }}]"#))
    };
    for word in &words {
        assert!(accepts(&with(word), Dialect::Oci, ""), "{word}");
    }
    assert_eq!(words, listed(&with("?"), "unknown-operator"));
}

fn listed(text: &str, id: &str) -> Vec<String> {
    let reading = profile::read(text, Some(Dialect::Oci));
    let found = reading.diagnostics.iter().find(|found| found.id == id).unwrap();
    let help = found.help.as_deref().unwrap().strip_prefix("the words are ").unwrap();
    help.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_other_lists_are_those_of_the_tables() {
    let schema = schema();
    let architectures: Vec<&str> = Abi::ALL.iter().filter_map(|abi| abi.oci_name()).collect();
    assert_eq!(words(&schema, "architecture"), architectures);
    assert_eq!(words(&schema, "flag"), FilterFlag::ALL.map(FilterFlag::name));
    let capabilities: Vec<&str> = Capability::ALL.iter().map(|cap| cap.name()).collect();
    assert_eq!(words(&schema, "capability"), capabilities);
    let machines: Vec<&str> = Abi::ALL.iter().map(|abi| abi.go_name()).collect();
    assert_eq!(words(&schema, "machineName"), machines);
}

#[test]
fn every_listed_word_is_read() {
    let schema = schema();
    let profile = |more: &str| format!(r#"{{ "defaultAction": "SCMP_ACT_ALLOW", {more} }}"#);
    for word in words(&schema, "architecture") {
        assert!(accepts(&profile(&format!(r#""architectures": ["{word}"]"#)), Dialect::Oci, ""));
    }
    for word in words(&schema, "flag") {
        assert!(accepts(&profile(&format!(r#""flags": ["{word}"]"#)), Dialect::Oci, ""));
    }
    let condition = |key: &str, word: &str| {
        entry(&format!(r#""action": "SCMP_ACT_LOG", "includes": {{ "{key}": ["{word}"] }}"#))
    };
    for word in words(&schema, "capability") {
        assert!(accepts(&condition("caps", &word), Dialect::Docker, "unknown-capability"));
    }
    for word in words(&schema, "machineName") {
        assert!(accepts(&condition("arches", &word), Dialect::Docker, "unknown-machine"));
    }
}

#[test]
fn the_schema_has_the_keys_that_the_reader_knows() {
    let schema = schema();
    let nested = |object: &str| {
        match object {
        "entry" => entry(r#""action": "SCMP_ACT_LOG", "?": 1"#),
        "comparison" => entry(r#""action": "SCMP_ACT_LOG", "args": [{ "index": 0, "op": "SCMP_CMP_EQ", "?": 1 }]"#),
        "condition" => entry(r#""action": "SCMP_ACT_LOG", "includes": { "?": 1 }"#),
        "machine" => r#"{ "defaultAction": "SCMP_ACT_LOG", "archMap": [{ "architecture": "SCMP_ARCH_ARM", "?": 1 }] }"#.to_owned(),
        _ => r#"{ "defaultAction": "SCMP_ACT_LOG", "?": 1 }"#.to_owned(),
    }
    };
    for (path, object) in [
        ("", ""),
        ("$defs/entry", "entry"),
        ("$defs/comparison", "comparison"),
        ("$defs/condition", "condition"),
        ("$defs/machine", "machine"),
    ] {
        let reading = profile::read(&nested(object), Some(Dialect::Docker));
        let found = reading.diagnostics.iter().find(|found| found.id == "unknown-key").unwrap();
        let help = found.help.as_deref().unwrap().strip_prefix("its keys are ").unwrap();
        let mut known: BTreeSet<String> = help.split(", ").map(str::to_owned).collect();
        if object.is_empty() {
            known.insert("$schema".to_owned());
        }
        assert_eq!(keys(&schema, path), known, "{path}");
    }
}

#[test]
fn every_reference_of_the_schema_leads_somewhere() {
    let schema = schema();
    for (at, _) in SCHEMA.match_indices("\"$ref\": \"#/$defs/") {
        let name = SCHEMA[at + "\"$ref\": \"#/$defs/".len()..].split('"').next().unwrap();
        member(schema.root(), &format!("$defs/{name}"));
    }
}

#[test]
fn every_property_is_described() {
    let schema = schema();
    let root = schema.root();
    let definitions = member(root, "$defs").members().map(|(_, definition)| definition);
    let described = |property: Value<'_>| {
        let has = |name| property.members().any(|(key, _)| key.as_str().as_deref() == Some(name));
        has("description") || has("$ref")
    };
    for object in definitions.chain([root]) {
        let properties =
            object.members().find(|(key, _)| key.as_str().as_deref() == Some("properties"));
        for (key, property) in properties.into_iter().flat_map(|(_, all)| all.members()) {
            assert!(described(property), "{}", key.lexeme());
        }
    }
}
