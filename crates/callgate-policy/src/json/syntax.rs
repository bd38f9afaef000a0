//! What is said about a text that is not JSON.

use alloc::format;

use callgate_diagnostic::{Diagnostic, Span};

use crate::{quote::quoted, suggest};

use super::MAX_DEPTH;

/// What could have stood at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// A value: the whole text, or behind a colon.
    Value,
    /// An array's first element, or its end.
    FirstElement,
    /// An element behind a comma.
    Element,
    /// An object's first key, or its end.
    FirstKey,
    /// A key behind a comma.
    Key,
    /// The colon behind a key.
    Colon,
    /// What follows an element.
    CommaInArray,
    /// What follows a member.
    CommaInObject,
    /// Nothing more.
    End,
}

impl Expected {
    const fn describe(self) -> &'static str {
        match self {
            Expected::Value | Expected::Element => "a value",
            Expected::FirstElement => "a value or `]`",
            Expected::FirstKey => "a key in double quotes or `}`",
            Expected::Key => "a key in double quotes",
            Expected::Colon => "`:`",
            Expected::CommaInArray => "`,` or `]`",
            Expected::CommaInObject => "`,` or `}`",
            Expected::End => "the end of the text",
        }
    }

    const fn is_key(self) -> bool {
        matches!(self, Expected::Key | Expected::FirstKey)
    }

    const fn is_value(self) -> bool {
        matches!(self, Expected::Value | Expected::FirstElement | Expected::Element)
    }
}

const ID: &str = "json-syntax";

/// Something stands where it can't. `open` is the place of the innermost open bracket.
pub(super) fn unexpected(
    text: &str,
    at: usize,
    expected: Expected,
    open: Option<usize>,
) -> Diagnostic {
    let Some(found) = text[at..].chars().next() else {
        return at_the_end(text, expected, open);
    };
    let span = Span::new(at, at + found.len_utf8());
    let wanted = expected.describe();
    match found {
        '\u{feff}' if at == 0 => Diagnostic::error(ID, "the text begins with a byte order mark")
            .at(span, "JSON begins with a value")
            .help("save it as UTF-8 without a byte order mark; no runtime reads it with one")
            .replace(span, ""),
        '#' => no_comments(span),
        '/' if text[at..].starts_with("//") || text[at..].starts_with("/*") => {
            no_comments(Span::new(at, at + 2))
        }
        '\'' if expected.is_key() || expected.is_value() => {
            Diagnostic::error(ID, "strings stand in double quotes")
                .at(span, format!("expected {wanted}"))
        }
        ']' | '}' if matches!(expected, Expected::Element | Expected::Key) => {
            trailing_comma(text, at, expected)
        }
        '"' | '{' | '[' | '-' | '0'..='9' | 'a'..='z'
            if matches!(expected, Expected::CommaInArray | Expected::CommaInObject) =>
        {
            let behind = text[..at].trim_end().len();
            Diagnostic::error(ID, "there is no comma between two values")
                .at(span, format!("expected {wanted}"))
                .replace(Span::new(behind, behind), ",")
        }
        _ if expected.is_key() && is_letter(found) => {
            let span = word(text, at);
            Diagnostic::error(ID, format!("the key {} has no quotes", quoted(span.of(text))))
                .at(span, "keys stand in double quotes")
                .replace(span, format!("\"{}\"", span.of(text)))
        }
        '+' | '.' if expected.is_value() => bad_number(text, at),
        _ if expected.is_value() && is_letter(found) => unknown_word(text, at),
        _ if expected == Expected::End => {
            Diagnostic::error(ID, "the text goes on behind its value")
                .at(span, "expected the end of the text")
        }
        _ => Diagnostic::error(ID, format!("{} stands in the wrong place", quoted(span.of(text))))
            .at(span, format!("expected {wanted}")),
    }
}

/// A word that is no value.
pub(super) fn unknown_word(text: &str, at: usize) -> Diagnostic {
    let span = word(text, at);
    let found = span.of(text);
    let diagnostic = Diagnostic::error(ID, format!("{} is not a value", quoted(found)));
    match suggest::closest(found, ["true", "false", "null"]) {
        Some(near) => diagnostic.at(span, format!("did you mean `{near}`?")).replace(span, near),
        None => diagnostic
            .at(span, "expected a string, a number, a list, an object, true, false or null"),
    }
}

/// Something that begins as a number.
pub(super) fn bad_number(text: &str, at: usize) -> Diagnostic {
    let span = word(text, at);
    let found = span.of(text);
    let digits = found.trim_start_matches(['-', '+']);
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let diagnostic = Diagnostic::error(ID, format!("{} is not a number", quoted(found)));
    if let Some(Ok(value)) = hex.map(|hex| u64::from_str_radix(hex, 16)) {
        diagnostic.at(span, "JSON has decimal numbers alone").replace(span, format!("{value}"))
    } else if found.starts_with('+') {
        diagnostic.at(span, "a number has no `+` in front")
    } else if digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit() {
        diagnostic.at(span, "a number does not begin with 0")
    } else {
        diagnostic.at(span, "expected digits, perhaps with `.` or `e` between them")
    }
}

/// A raw control character inside a string.
pub(super) fn control_character(text: &str, string: usize, at: usize) -> Diagnostic {
    let byte = text.as_bytes()[at];
    if byte == b'\n' || byte == b'\r' {
        return Diagnostic::error(ID, "a string does not end on its line")
            .at(Span::new(string, at), "expected `\"` at its end")
            .help("a line break inside a string is written `\\n`");
    }
    let span = Span::new(at, at + 1);
    Diagnostic::error(ID, format!("a string holds the control character U+{byte:04X}"))
        .at(span, format!("written `\\u{byte:04x}`"))
        .replace(span, format!("\\u{byte:04x}"))
}

/// The text ends inside a string.
pub(super) fn unclosed_string(text: &str, string: usize) -> Diagnostic {
    Diagnostic::error(ID, "the text ends inside a string")
        .at(Span::new(text.len(), text.len()), "expected `\"`")
        .at(Span::new(string, string + 1), "the string begins here")
}

/// A backslash with something behind it that is no escape.
pub(super) fn bad_escape(text: &str, at: usize) -> Diagnostic {
    let behind = text[at + 1..].chars().next().map_or(0, char::len_utf8);
    if text[at + 1..].starts_with('u') {
        let digits = text[at + 2..].chars().take(4).take_while(char::is_ascii_hexdigit).count();
        let span = Span::new(at, at + 2 + digits);
        return Diagnostic::error(ID, format!("{} is not an escape", quoted(span.of(text))))
            .at(span, "expected four hexadecimal digits behind `\\u`");
    }
    let span = Span::new(at, at + 1 + behind);
    Diagnostic::error(ID, format!("{} is not an escape", quoted(span.of(text))))
        .at(span, "a backslash itself is written `\\\\`")
}

/// More levels than Go reads.
pub(super) fn too_deep(at: usize) -> Diagnostic {
    Diagnostic::error("json-depth", format!("lists and objects stand more than {MAX_DEPTH} deep"))
        .at(Span::new(at, at + 1), "one too many")
        .help("no profile is more than six levels deep, and no runtime reads this")
}

/// A text that is too long to be a profile.
pub(super) fn too_long(length: usize, limit: usize) -> Diagnostic {
    Diagnostic::error("json-size", format!("the text has {length} bytes, more than {limit}"))
        .help("the largest profiles known have some ten thousand bytes; is this the right file?")
}

/// Whether a byte belongs to the number or word that stands before it.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.' | b'+' | b'-')
}

fn at_the_end(text: &str, expected: Expected, open: Option<usize>) -> Diagnostic {
    let span = Span::new(text.len(), text.len());
    let wanted = expected.describe();
    match open {
        None if text.trim_ascii().is_empty() => {
            Diagnostic::error(ID, "the text is empty").at(span, format!("expected {wanted}"))
        }
        None => {
            Diagnostic::error(ID, "the text ends too early").at(span, format!("expected {wanted}"))
        }
        Some(open) => {
            let bracket = Span::new(open, open + 1);
            let message = format!("the text ends before `{}` is closed", bracket.of(text));
            Diagnostic::error(ID, message)
                .at(span, format!("expected {wanted}"))
                .at(bracket, "opened here")
        }
    }
}

fn trailing_comma(text: &str, at: usize, expected: Expected) -> Diagnostic {
    let comma = text[..at].trim_end().len() - 1;
    let comma = Span::new(comma, comma + 1);
    let what = if expected == Expected::Key { "key" } else { "value" };
    Diagnostic::error(ID, format!("there is no {what} after the comma"))
        .at(comma, format!("remove it, or write another {what}"))
        .replace(comma, "")
}

fn no_comments(span: Span) -> Diagnostic {
    Diagnostic::error(ID, "JSON has no comments")
        .at(span, "a comment begins here")
        .help("an entry of `syscalls` may have a `comment` key, which every consumer ignores")
}

fn is_letter(found: char) -> bool {
    found.is_alphabetic() || matches!(found, '_' | '$')
}

/// The word at a place, or at least one character of it.
fn word(text: &str, at: usize) -> Span {
    let rest = &text[at..];
    let belongs = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.' | '+' | '-');
    let length = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
    let first = rest.chars().next().map_or(0, char::len_utf8);
    Span::new(at, at + length.max(first))
}
