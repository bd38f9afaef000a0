//! Manifests are read as Kubernetes reads them, with their places, in bounded time and memory.

use callgate_diagnostic::Diagnostic;
use callgate_kube::yaml::{self, Document, Kind, Value};

fn read(text: &str) -> Vec<Document<'_>> {
    yaml::documents(text)
        .map(|document| document.unwrap_or_else(|e| panic!("{e}: {text}")))
        .collect()
}

fn refused(text: &str) -> Diagnostic {
    let refused = yaml::documents(text).find_map(Result::err);
    refused.unwrap_or_else(|| panic!("it is read: {text:?}"))
}

/// A value as JSON, so that it can be compared.
fn show(value: Value<'_>) -> String {
    let list = |items: Vec<String>| items.join(",");
    match value.kind() {
        Kind::Null => "null".to_owned(),
        Kind::Bool => value.as_bool().expect("it is one").to_string(),
        Kind::Number => value.content().to_owned(),
        Kind::String => format!("{:?}", value.content()),
        Kind::Sequence => format!("[{}]", list(value.elements().map(show).collect())),
        Kind::Mapping => {
            let member = |(key, value): (Value<'_>, Value<'_>)| {
                format!("{:?}:{}", key.as_key(), show(value))
            };
            format!("{{{}}}", list(value.members().map(member).collect()))
        }
    }
}

fn shown(text: &str) -> Vec<String> {
    read(text).iter().map(|document| show(document.root())).collect()
}

/// Each as `kubectl label --local -o json` of kubectl 1.32 reads it.
#[test]
fn values_are_what_kubernetes_reads() {
    let cases = [
        ("a: b", r#"{"a":"b"}"#),
        ("a: [1, 'x', \"y\\n\", z, ~, ]", r#"{"a":[1,"x","y\n","z",null]}"#),
        ("a: {b: yes, c: 'yes', y: on}", r#"{"a":{"b":true,"c":"yes","true":true}}"#),
        ("a: !!str 1\nb: ! 1\nc: !foo 1\nd: !!int '3'", r#"{"a":"1","b":"1","c":"1","d":3}"#),
        ("a: |\n  b\n  c\nd: >-\n  e\n  f", r#"{"a":"b\nc\n","d":"e f"}"#),
        ("a: &x {q: 1, b: 2}\nv: {q: 3, <<: *x}", r#"{"a":{"q":1,"b":2},"v":{"q":1,"b":2}}"#),
        ("a: &x {q: 1}\nv: {<<: *x, q: 3}", r#"{"a":{"q":1},"v":{"q":3}}"#),
        (
            "a: &x {q: 1}\nb: &z {q: 9, w: 1}\nu: {<<: [*x, *z]}",
            r#"{"a":{"q":1},"b":{"q":9,"w":1},"u":{"q":1,"w":1}}"#,
        ),
        ("r: {'<<': {m: 1}}", r#"{"r":{"<<":{"m":1}}}"#),
        ("r: <<", r#"{"r":"<<"}"#),
        ("a: &x b\n*x : c", r#"{"a":"b","b":"c"}"#),
        ("- a\n-\n- - b", r#"["a",null,["b"]]"#),
        ("'it''s': \"\\u00e9\"", r#"{"it's":"é"}"#),
    ];
    for (text, expected) in cases {
        assert_eq!(shown(text), [expected], "{text}");
    }
}

#[test]
fn a_key_is_found_as_members_lists_it() {
    let text = "x: &x {q: 1, <<: {w: 2}}\nv: {q: 3, <<: [*x, {q: 4, e: 5}], w: 6}";
    let documents = read(text);
    let value = documents[0].root().get("v").expect("it is there");
    assert_eq!(show(value), r#"{"q":1,"e":5,"w":6}"#);
    for (key, member) in value.members() {
        let found = value.get(key.as_key()).map(show);
        assert_eq!(found, Some(show(member)), "{}", key.as_key());
    }
    assert!(value.get("x").is_none());
}

#[test]
fn documents_of_a_stream_come_one_by_one() {
    let text = "a: 1\n---\n# nothing\n---\nb: 2\n...\n---\n- c\n";
    assert_eq!(shown(text), [r#"{"a":1}"#, "null", r#"{"b":2}"#, r#"["c"]"#]);
    assert!(shown("").is_empty());
    assert!(shown("# a comment\n").is_empty());
    // What is behind an error is not read, and what is before it is.
    let mut some = yaml::documents("a: 1\n---\na: [\n---\nb: 1\n");
    assert!(some.next().is_some_and(|first| first.is_ok()));
    assert!(some.next().is_some_and(|second| second.is_err()));
    assert!(some.next().is_none());
}

#[test]
fn json_is_read_as_json() {
    let text = "\n{\n\t\"a\": \"\\ud83d\\ude00\\/\",\n\t\"<<\": {\"y\": true, \"n\": -1.5e3}\n}\n";
    assert_eq!(shown(text), [r#"{"a":"😀/","<<":{"y":true,"n":-1.5e3}}"#]);
    // Which begins alike and is none.
    assert_eq!(shown("{a: b, c: [d]}"), [r#"{"a":"b","c":["d"]}"#]);
    assert_eq!(refused("{\"a\": 1, \"a\": 2}").id, "yaml-duplicate-key");
}

/// Line ends of Windows and a byte order mark change nothing but places.
#[test]
fn line_ends_of_windows_change_no_value() {
    let text = "a: b\nc:\n  - \"d\n    e\"\n  - |\n    é\n    f\n---\ng: h\n";
    let plain = shown(text);
    assert_eq!(plain, [r#"{"a":"b","c":["d e","é\nf\n"]}"#, r#"{"g":"h"}"#]);
    assert_eq!(shown(&text.replace('\n', "\r\n")), plain);
    assert_eq!(shown(&format!("\u{feff}{}", text.replace('\n', "\r\n"))), plain);
}

#[test]
fn places_are_bytes_and_hold_the_value_alone() {
    let text = "\u{feff}ä: \"ö\" # \"ü\"\r\nb: 'it''s'  # x\r\nc: é   # y\r\nd: [ü, {e: f}] # z\r\ng:\r\n  h: i\r\nj:\r\n- k\r\n- \"l\r\n  m\"\r\nn: &n o\r\np: *n\r\n";
    let documents = read(text);
    let root = documents[0].root();
    let place = |name: &str| root.get(name).expect("it is there").span().of(text);
    assert_eq!(place("ä"), "\"ö\"");
    assert_eq!(place("b"), "'it''s'");
    assert_eq!(place("c"), "é");
    assert_eq!(place("d"), "[ü, {e: f}]");
    assert_eq!(place("g"), "h: i");
    assert_eq!(place("j"), "k\r\n- \"l\r\n  m\"");
    // Where the anchor stands.
    assert_eq!(place("p"), "&n o");
    assert_eq!(root.span().start, 3);
    let keys: Vec<&str> = root.members().map(|(key, _)| key.span().of(text)).collect();
    assert_eq!(keys, ["ä", "b", "c", "d", "g", "j", "n", "p"]);
}

#[test]
fn what_is_no_yaml_is_refused_at_its_place() {
    let cases = [
        ("a:\n\tb: c", "yaml-syntax", "b"),
        ("a: [1, 2", "yaml-syntax", ""),
        ("a: 'x", "yaml-syntax", "'"),
        ("a: b: c", "yaml-syntax", ":"),
        ("a: b\0c", "yaml-syntax", "\0"),
        ("a: \"\u{1b}\"", "yaml-syntax", "\u{1b}"),
        ("a: *b", "yaml-alias", "*"),
        ("a: &x b\n---\na: *x", "yaml-alias", "*x"),
        ("a: &x [b, *x]", "yaml-alias", "*x"),
        ("a: {<<: 3}", "yaml-merge", "3"),
        ("a: {<<: [{}, 3]}", "yaml-merge", "[{}, 3]"),
        ("a: {~: 3}", "yaml-key", "~"),
        ("[a]: b", "yaml-key", "[a]"),
        ("a: 1\nb: 2\na: 3", "yaml-duplicate-key", "a"),
        ("yes: 1\non: 2", "yaml-duplicate-key", "on"),
    ];
    for (text, id, place) in cases {
        let refused = refused(text);
        let at = refused.primary().map(|label| label.span.of(text));
        assert_eq!((refused.id, at), (id, Some(place)), "{text:?}: {refused}");
    }
    let tab = refused("a:\n\tb: c");
    assert!(tab.help.is_some_and(|help| help.contains("tabs")), "{}", tab.message);
    let left = refused("a:\n  b: [\n  c ]");
    assert!(left.help.is_some_and(|help| help.contains("indent")), "{}", left.message);
    let twice = refused("a: 1\nb: 2\na: 3");
    let places: Vec<(usize, usize)> =
        twice.labels.iter().map(|label| (label.span.start, label.span.end)).collect();
    assert_eq!(places, [(10, 11), (0, 1)]);
}

#[test]
fn bytes_that_are_not_utf8_have_a_place() {
    let refused = yaml::text(b"a: caf\xe9\n").expect_err("it is Latin-1");
    assert_eq!(refused.id, "yaml-not-utf8");
    assert_eq!(refused.primary().map(|label| label.span.start), Some(6));
    assert_eq!(yaml::text("é".as_bytes()), Ok("é"));
}

#[test]
fn nesting_has_an_end() {
    for (open, close) in [("[", "]"), ("- ", ""), ("{a: ", "}"), ("{\"a\":", "}"), ("? ", "")] {
        let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        assert_eq!(refused(&nested(yaml::MAX_DEPTH + 2)).id, "yaml-depth", "{open}");
        assert_eq!(refused(&open.repeat(1_000_000)).id, "yaml-depth", "{open}");
        if open != "? " {
            assert_eq!(read(&nested(yaml::MAX_DEPTH - 1)).len(), 1, "{open}");
        }
    }
}

/// Nine levels of nine aliases each: half a thousand million values in three hundred bytes.
#[test]
fn aliases_that_multiply_are_refused() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..9 {
        let below = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", [below.as_str(); 9].join(","));
    }
    let refused = refused(&bomb);
    assert_eq!(refused.id, "yaml-alias");
    assert!(refused.message.contains("1000000 values"), "{}", refused.message);
    assert!(refused.primary().is_some_and(|label| label.span.of(&bomb).starts_with("*a")));
    // Merges multiply alike.
    let merges =
        bomb.replace("[x,x,x,x,x,x,x,x,x]", "{k: [x,x,x,x,x,x,x,x,x]}").replace("[*", "[{<<: *");
    assert!(yaml::documents(&merges).any(|document| document.is_err()));
    // A few of them are in use.
    assert_eq!(read("a: &a {b: c}\nd: [*a, *a, *a]\n").len(), 1);
}

#[test]
fn a_text_that_is_too_long_is_refused_before_it_is_read() {
    let long = "#".repeat(yaml::MAX_LENGTH + 1);
    let refused = refused(&long);
    assert_eq!(refused.id, "yaml-size");
    assert!(refused.message.contains("64 MiB"), "{}", refused.message);
}
