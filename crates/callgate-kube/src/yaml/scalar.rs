//! What Kubernetes takes a scalar without quotes for: the rules of go-yaml's second version
//! (`resolve.go` in `sigs.k8s.io/yaml/goyaml.v2`), which are those of YAML 1.1 without numbers to
//! the base of 60.

use super::Kind;

const TRUE: [&str; 11] = ["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"];
const FALSE: [&str; 11] =
    ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"];
const NULL: [&str; 5] = ["", "~", "null", "Null", "NULL"];
const NO_FINITE_NUMBER: [&str; 12] = [
    ".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf",
    "-.INF",
];

/// The kind of a plain scalar.
pub(super) fn kind(text: &str) -> Kind {
    if NULL.contains(&text) {
        Kind::Null
    } else if TRUE.contains(&text) || FALSE.contains(&text) {
        Kind::Bool
    } else if is_number(text) {
        Kind::Number
    } else {
        Kind::String
    }
}

/// Which boolean a word is that is one.
pub(super) fn is_true(word: &str) -> bool {
    TRUE.contains(&word)
}

/// The value of a whole number that is not negative.
pub(super) fn unsigned(text: &str) -> Option<u64> {
    let plain = without_separators(text);
    let plain = plain.strip_prefix('+').unwrap_or(&plain);
    let (digits, base) = digits_and_base(plain)?;
    u64::from_str_radix(digits, base).ok()
}

fn is_number(text: &str) -> bool {
    // What begins otherwise is none, `_1` among it.
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return false;
    }
    if NO_FINITE_NUMBER.contains(&text) {
        return true;
    }
    if text.starts_with('.') {
        return is_decimal(text);
    }
    let plain = without_separators(text);
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    digits_and_base(unsigned).is_some() || is_decimal(unsigned)
}

/// The digits of a whole number without a sign, of any size, and their base.
fn digits_and_base(text: &str) -> Option<(&str, u32)> {
    let (digits, base) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', b'o' | b'O', ..] => (&text[2..], 8),
        [b'0', b'b' | b'B', ..] => (&text[2..], 2),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    let all = !digits.is_empty() && digits.chars().all(|c| c.is_digit(base));
    all.then_some((digits, base))
}

/// `1.5`, `.5`, `1.`, `1e3`; a sign stands before the exponent alone.
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_is_one = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    digits(whole) && digits(fraction) && whole.len() + fraction.len() > 0 && exponent_is_one
}

fn without_separators(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('_') { text.replace('_', "").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `kubectl label --local -o json` of kubectl 1.32 shows them.
    #[test]
    fn scalars_are_what_kubectl_takes_them_for() {
        let cases = [
            (Kind::Number, "0x1f 1_000 0b11 017 0o17 089 1e3 .5 1. +1 1__0 09_1.5 -0x1F 1E-3"),
            (Kind::Number, "123456789012345678901234567890 -.inf .NaN 0 00 -0"),
            (Kind::String, "12:30 0x _1 1e 1.2.3 .. - + -a .inF tRUE nUll 1.2e+ yess << 0b2"),
            (Kind::Bool, "y N yes No ON off true FALSE"),
            (Kind::Null, "~ null NULL"),
        ];
        for (expected, words) in cases {
            for word in words.split(' ') {
                assert_eq!(kind(word), expected, "{word}");
            }
        }
        assert_eq!(kind(""), Kind::Null);
    }

    #[test]
    fn whole_numbers_have_their_value() {
        let cases = [
            ("0", Some(0)),
            ("+7", Some(7)),
            ("0x1F", Some(31)),
            ("017", Some(15)),
            ("1_000", Some(1000)),
            ("0b101", Some(5)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("-1", None),
            ("1.0", None),
            ("089", None),
        ];
        for (text, value) in cases {
            assert_eq!(unsigned(text), value, "{text}");
        }
    }
}
