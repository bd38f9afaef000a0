//! From the text between quotes to the string it stands for.

use alloc::string::String;

/// Resolves the escapes of a string that the scanner has accepted.
pub(super) fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = rest.as_bytes()[at + 1];
        rest = &rest[at + 2..];
        out.push(match escape {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let (character, length) = unicode(rest);
                rest = &rest[length..];
                character
            }
            // The quote, the backslash and the slash stand for themselves.
            other => char::from(other),
        });
    }
    out.push_str(rest);
    out
}

/// The character of the digits behind `\u`, and how many bytes it took. A high surrogate takes
/// the low one in the next escape with it; a surrogate without partner becomes U+FFFD and leaves
/// what follows alone (`unquoteBytes` in Go's `encoding/json/decode.go`).
fn unicode(digits: &str) -> (char, usize) {
    let unit = code_unit(digits);
    let partner = digits[4..].strip_prefix("\\u").map(code_unit);
    let pair = [unit, partner.unwrap_or(0)];
    match (char::decode_utf16(pair).next(), unit) {
        (Some(Ok(character)), 0xd800..=0xdbff) => (character, 10),
        (Some(Ok(character)), _) => (character, 4),
        _ => (char::REPLACEMENT_CHARACTER, 4),
    }
}

fn code_unit(digits: &str) -> u16 {
    digits.get(..4).and_then(|four| u16::from_str_radix(four, 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_escape_has_its_character() {
        assert_eq!(unescape(r#"\"\\\/\b\f\n\r\t"#), "\"\\/\u{8}\u{c}\n\r\t");
        assert_eq!(unescape(r"a\u0041b\u00e9\u20AC\u0000"), "aAb\u{e9}\u{20ac}\0");
    }

    #[test]
    fn surrogates_pair_up_or_become_the_replacement_character() {
        assert_eq!(unescape(r"\ud83d\ude00"), "\u{1f600}");
        assert_eq!(unescape(r"\ud83d"), "\u{fffd}");
        assert_eq!(unescape(r"\ude00\ud83d"), "\u{fffd}\u{fffd}");
        assert_eq!(unescape(r"\ud83dx"), "\u{fffd}x");
        assert_eq!(unescape(r"\ud83d\n"), "\u{fffd}\n");
        assert_eq!(unescape(r"\ud83d\u0041"), "\u{fffd}A");
        assert_eq!(unescape(r"\ud83d\ud83d\ude00"), "\u{fffd}\u{1f600}");
    }
}
