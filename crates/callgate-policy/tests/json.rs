//! The JSON reader: what it takes, what it refuses and how, and inputs meant to hurt it.

mod common;

use std::thread;

use callgate_diagnostic::{Diagnostic, Span};
use callgate_policy::json::{self, Kind};
use common::{apply, unmark};

#[track_caller]
fn refuses(marked: &str, message: &str, label: &str) -> Diagnostic {
    let (text, span) = unmark(marked);
    let error = json::parse(&text).expect_err("not JSON");
    assert_eq!(error.id, "json-syntax");
    assert_eq!(error.message, message);
    let primary = error.primary().unwrap();
    assert_eq!((primary.span, primary.text.as_str()), (span, label));
    error
}

#[test]
fn every_kind_of_value_is_told_apart() {
    let document = json::parse(r#" [null, true, false, -1.5e+3, "s", [], {}] "#).unwrap();
    let kinds: Vec<Kind> = document.root().elements().map(|value| value.kind()).collect();
    use Kind::*;
    assert_eq!(kinds, [Null, Bool, Bool, Number, String, Array, Object]);
}

#[test]
fn keys_keep_their_order_and_their_doubles() {
    let text = r#"{"b": 1, "a": 2, "b": 3}"#;
    let document = json::parse(text).unwrap();
    let members: Vec<(String, Option<u64>)> = document
        .root()
        .members()
        .map(|(key, value)| (key.as_str().unwrap().into_owned(), value.as_u64()))
        .collect();
    let expected = [("b", 1), ("a", 2), ("b", 3)].map(|(k, v)| (k.to_owned(), Some(v)));
    assert_eq!(members, expected);
}

#[test]
fn every_value_and_key_knows_its_place() {
    let text = r#" {"key" : [ 12 , "a\nb" ] } "#;
    let document = json::parse(text).unwrap();
    let root = document.root();
    assert_eq!(root.span().of(text), text.trim());
    let (key, list) = root.members().next().unwrap();
    assert_eq!(key.span().of(text), r#""key""#);
    assert_eq!(key.inner().of(text), "key");
    assert_eq!(list.span().of(text), r#"[ 12 , "a\nb" ]"#);
    let elements: Vec<_> = list.elements().collect();
    assert_eq!(elements[0].lexeme(), "12");
    assert_eq!(elements[1].inner().of(text), r"a\nb");
    assert_eq!(elements[1].as_str().unwrap(), "a\nb");
}

#[test]
fn a_value_of_another_kind_has_no_elements_and_no_members() {
    let document = json::parse(r#"[{"a": 1}, 2]"#).unwrap();
    let root = document.root();
    assert_eq!(root.members().count(), 0);
    let object = root.elements().next().unwrap();
    assert_eq!((object.elements().count(), object.members().count()), (0, 1));
    let number = root.elements().nth(1).unwrap();
    assert_eq!((number.elements().count(), number.members().count()), (0, 0));
    assert_eq!((number.as_str(), object.as_u64()), (None, None));
}

#[test]
fn a_number_is_a_uint64_where_go_decodes_it_into_one() {
    let is = |text: &str| json::parse(text).unwrap().root().as_u64();
    assert_eq!(is("0"), Some(0));
    assert_eq!(is("18446744073709551615"), Some(u64::MAX));
    for text in ["-0", "-1", "1.0", "1e3", "18446744073709551616", "\"1\"", "null", "[1]"] {
        assert_eq!(is(text), None, "{text}");
    }
}

#[test]
fn what_the_grammar_allows_is_read() {
    let all = [
        "0",
        "-0",
        "-1",
        "10",
        "0.5",
        "1e5",
        "1E+5",
        "1e-05",
        "-12.340e00",
        "true",
        "false",
        "null",
        "\"\"",
        "\"\u{7f}\"",
        "\"\\u0000\\/\\b\"",
        "\"\u{10ffff}\"",
        "[]",
        "[ ]",
        "{}",
        "{ }",
        "[[],{}]",
        "{\"\":{\"\":[]}}",
        " \t\r\n1\n",
        "{\"a\":1,\"a\":1}",
        "\"\\uD800\"",
    ];
    for text in all {
        assert!(json::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn what_the_grammar_forbids_is_refused() {
    let all = [
        "",
        " ",
        "[",
        "]",
        "{",
        "}",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{1:2}",
        "{a:1}",
        "{'a':1}",
        "['a']",
        "01",
        "-",
        "-01",
        "+1",
        ".5",
        "1.",
        "1.e5",
        "1e",
        "1e+",
        "0x10",
        "1_000",
        "NaN",
        "Infinity",
        "-Infinity",
        "True",
        "nul",
        "nulll",
        "truefalse",
        "\"",
        "\"a",
        "\"\n\"",
        "\"\u{1}\"",
        "\"\\\"",
        "\"\\x41\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\'\"",
        "1 2",
        "{} {}",
        "[] x",
        "// c\n1",
        "1 // c",
        "/* */ 1",
        "# c",
        "\u{feff}1",
        "\u{a0}1",
        "1\u{b}",
        "\0",
        "[1\0]",
        "{\"a\":1;\"b\":2}",
        "{\"a\"=1}",
        "{\"a\" \"b\"}",
        "[1}",
        "{\"a\":1]",
    ];
    for text in all {
        let error = json::parse(text).expect_err(text);
        assert_eq!(error.id, "json-syntax", "{text}");
        let span = error.primary().expect("a place").span;
        assert!(span.end <= text.len() && text.get(span.start..span.end).is_some(), "{text}");
    }
}

#[test]
fn the_refusal_names_what_was_expected() {
    refuses("«»", "the text is empty", "expected a value");
    refuses(" \n«»", "the text is empty", "expected a value");
    refuses("{\"a\": 1«»", "the text ends before `{` is closed", "expected `,` or `}`");
    refuses("[1, [2«»", "the text ends before `[` is closed", "expected `,` or `]`");
    refuses("[«:»1]", "`:` stands in the wrong place", "expected a value or `]`");
    refuses("{\"a\"«=»1}", "`=` stands in the wrong place", "expected `:`");
    refuses("{«1»: 2}", "`1` stands in the wrong place", "expected a key in double quotes or `}`");
    refuses("{\"a\": 1}«}»", "the text goes on behind its value", "expected the end of the text");
    refuses(
        "[1\u{a0}]".replace('\u{a0}', "«\u{a0}»").as_str(),
        r"`\u{a0}` stands in the wrong place",
        "expected `,` or `]`",
    );
}

#[test]
fn the_open_bracket_is_shown_too() {
    let error = json::parse("{\n \"a\": [1, 2\n").unwrap_err();
    assert_eq!(error.labels[1].span, Span::new(8, 9));
    assert_eq!(error.labels[1].text, "opened here");
}

#[test]
fn slips_of_the_hand_come_with_their_correction() {
    let cases = [
        ("[1«,» ]", "there is no value after the comma", "[1 ]"),
        ("{\"a\": 1«,»\n}", "there is no key after the comma", "{\"a\": 1\n}"),
        ("[\"a\" «\"»b\"]", "there is no comma between two values", "[\"a\", \"b\"]"),
        (
            "{\"a\": 1\n «\"»b\": 2}",
            "there is no comma between two values",
            "{\"a\": 1,\n \"b\": 2}",
        ),
        ("{«action»: 1}", "the key `action` has no quotes", "{\"action\": 1}"),
        ("[«True»]", "`True` is not a value", "[true]"),
        ("[«nul»]", "`nul` is not a value", "[null]"),
        ("[«0x10»]", "`0x10` is not a number", "[16]"),
        ("«\u{feff}»{}", "the text begins with a byte order mark", "{}"),
        ("\"a«\u{1}»b\"", "a string holds the control character U+0001", "\"a\\u0001b\""),
    ];
    for (marked, message, mended) in cases {
        let (text, span) = unmark(marked);
        let error = json::parse(&text).expect_err(marked);
        assert_eq!(error.message, message);
        assert_eq!(error.primary().unwrap().span, span, "{marked}");
        assert_eq!(apply(&text, &error), mended);
        assert!(json::parse(mended).is_ok(), "{mended}");
    }
}

#[test]
fn what_people_take_for_json_is_explained() {
    refuses("«//» c\n{}", "JSON has no comments", "a comment begins here");
    refuses("[1, «/*» c */ 2]", "JSON has no comments", "a comment begins here");
    refuses("«#»c", "JSON has no comments", "a comment begins here");
    refuses("[«'»a']", "strings stand in double quotes", "expected a value or `]`");
    refuses(
        "[«NaN»]",
        "`NaN` is not a value",
        "expected a string, a number, a list, an object, true, false or null",
    );
    refuses("[«+1»]", "`+1` is not a number", "a number has no `+` in front");
    refuses("[«-01»]", "`-01` is not a number", "a number does not begin with 0");
    refuses(
        "[«1.»]",
        "`1.` is not a number",
        "expected digits, perhaps with `.` or `e` between them",
    );
    refuses("[«\"a»\n\"]", "a string does not end on its line", "expected `\"` at its end");
    refuses("\"«\\x»41\"", r"`\x` is not an escape", r"a backslash itself is written `\\`");
    refuses(
        "\"«\\u12»g4\"",
        r"`\u12` is not an escape",
        r"expected four hexadecimal digits behind `\u`",
    );
    refuses("[\"a«»", "the text ends inside a string", "expected `\"`");
}

#[test]
fn escapes_are_resolved_and_lone_surrogates_replaced() {
    let read = |text: &str| json::parse(text).unwrap().root().as_str().unwrap().into_owned();
    assert_eq!(read(r#""\u0041\ud83d\ude00\n""#), "A\u{1f600}\n");
    assert_eq!(read(r#""\ud800\u0041\udc00""#), "\u{fffd}A\u{fffd}");
}

#[test]
fn bytes_that_are_not_utf8_are_placed() {
    let error = json::text(b"{\"a\": \"\xff\"}").unwrap_err();
    assert_eq!(error.id, "not-utf8");
    assert_eq!(error.message, "byte 7 is not UTF-8");
    assert_eq!(error.primary().unwrap().span, Span::new(7, 8));
    // Cut in the middle of a character.
    assert_eq!(json::text(b"ab\xe2\x82").unwrap_err().primary().unwrap().span, Span::new(2, 4));
    assert_eq!(json::text("é".as_bytes()), Ok("é"));
}

/// Runs with a stack on which ten thousand nested calls would not fit.
fn with_a_small_stack(work: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(64 << 10).spawn(work).unwrap();
    thread.join().unwrap();
}

#[test]
fn ten_thousand_levels_are_read_and_dropped_and_one_more_is_not() {
    with_a_small_stack(|| {
        let nested = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(json::parse(&nested(10_000)).is_ok());
        let error = json::parse(&nested(10_001)).unwrap_err();
        assert_eq!(error.id, "json-depth");
        assert_eq!(error.message, "lists and objects stand more than 10000 deep");
        assert_eq!(error.primary().unwrap().span, Span::new(10_000, 10_001));
        let objects = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
        let document = json::parse(&objects).unwrap();
        drop(document.clone());
    });
}

#[test]
fn endless_brackets_end_at_the_limit() {
    with_a_small_stack(|| {
        for text in ["[".repeat(1 << 20), "{\"a\":".repeat(1 << 20), "[{\"\":".repeat(1 << 20)] {
            assert_eq!(json::parse(&text).unwrap_err().id, "json-depth");
        }
    });
}

#[test]
fn long_texts_are_read_without_copies() {
    let long = format!("\"{}\"", "x".repeat(50 << 20));
    let document = json::parse(&long).unwrap();
    assert!(matches!(document.root().as_str(), Some(std::borrow::Cow::Borrowed(_))));
    let digits = "9".repeat(1 << 20);
    assert_eq!(json::parse(&digits).unwrap().root().as_u64(), None);
    let flat = format!("[{}0]", "0,".repeat(1 << 20));
    assert_eq!(json::parse(&flat).unwrap().root().elements().count(), (1 << 20) + 1);
}

#[test]
fn a_message_repeats_no_more_than_a_line() {
    let error = json::parse(&format!("[{}]", "x".repeat(1 << 20))).unwrap_err();
    assert!(error.message.len() < 100);
    let error = json::parse("{\u{1b}[2J: 1}").unwrap_err();
    assert!(!error.message.contains('\u{1b}'), "{}", error.message);
}
