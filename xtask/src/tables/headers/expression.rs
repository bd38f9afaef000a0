//! Integer expressions of C, as headers use them.

use std::collections::BTreeMap;

/// Macros that refer to each other deeper than this refer to themselves.
const DEPTH: u32 = 32;

/// The value of a macro; `None` when it is no integer expression.
pub fn evaluate(name: &str, macros: &BTreeMap<String, String>) -> Option<u64> {
    let parser = Parser { tokens: vec![name.to_owned()], at: 0, macros, depth: 0, lenient: false };
    parser.whole()
}

/// Whether the condition of an `#if` holds. Unknown names are 0, as in C.
pub fn condition(text: &str, macros: &BTreeMap<String, String>) -> bool {
    let mut parser = Parser { tokens: tokens(text), at: 0, macros, depth: 0, lenient: true };
    parser.binary(0).is_some_and(|value| value != 0)
}

struct Parser<'m> {
    tokens: Vec<String>,
    at: usize,
    macros: &'m BTreeMap<String, String>,
    depth: u32,
    lenient: bool,
}

/// Binary operators from the loosest to the tightest.
const LEVELS: &[&[&str]] = &[
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<", ">", "<=", ">="],
    &["<<", ">>"],
    &["+", "-"],
    &["*"],
];

impl Parser<'_> {
    /// The value when all tokens are used up.
    fn whole(mut self) -> Option<u64> {
        let value = self.binary(0)?;
        (self.at == self.tokens.len()).then_some(value)
    }

    fn next(&mut self) -> Option<String> {
        let token = self.tokens.get(self.at)?.clone();
        self.at += 1;
        Some(token)
    }

    fn binary(&mut self, level: usize) -> Option<u64> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = self.tokens.get(self.at) {
            if !operators.contains(&operator.as_str()) {
                break;
            }
            let operator = operator.clone();
            self.at += 1;
            let right = self.binary(level + 1)?;
            let shift = || u32::try_from(right).ok();
            left = match operator.as_str() {
                "||" => u64::from(left != 0 || right != 0),
                "&&" => u64::from(left != 0 && right != 0),
                "|" => left | right,
                "^" => left ^ right,
                "&" => left & right,
                "==" => u64::from(left == right),
                "!=" => u64::from(left != right),
                "<" => u64::from(left < right),
                ">" => u64::from(left > right),
                "<=" => u64::from(left <= right),
                ">=" => u64::from(left >= right),
                "<<" => left.checked_shl(shift()?)?,
                ">>" => left.checked_shr(shift()?)?,
                "+" => left.wrapping_add(right),
                "-" => left.wrapping_sub(right),
                _ => left.wrapping_mul(right),
            };
        }
        Some(left)
    }

    fn unary(&mut self) -> Option<u64> {
        let token = self.next()?;
        match token.as_str() {
            "-" => Some(self.unary()?.wrapping_neg()),
            "~" => Some(!self.unary()?),
            "!" => Some(u64::from(self.unary()? == 0)),
            "(" => {
                // A cast, `(__force type)`, changes nothing that matters here.
                let rest = &self.tokens[self.at..];
                let words = rest.iter().take_while(|t| *t != ")").count();
                let is_type = |t: &String| {
                    t.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                        && !self.macros.contains_key(t)
                };
                if !self.lenient && words > 0 && rest[..words].iter().all(is_type) {
                    self.at += words + 1;
                    return self.unary();
                }
                let value = self.binary(0)?;
                (self.next()? == ")").then_some(value)
            }
            "defined" => {
                let mut name = self.next()?;
                if name == "(" {
                    name = self.next()?;
                    self.next()?;
                }
                Some(u64::from(self.macros.contains_key(&name)))
            }
            "_BITUL" | "_BITULL" | "BIT" | "BIT_ULL" => {
                let bit = u32::try_from(self.unary()?).ok()?;
                1_u64.checked_shl(bit)
            }
            word if word.starts_with(|c: char| c.is_ascii_digit()) => number(word),
            word if word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') => {
                self.named(word)
            }
            _ => None,
        }
    }

    fn named(&mut self, name: &str) -> Option<u64> {
        let value = self.macros.get(name).filter(|_| self.depth < DEPTH).and_then(|text| {
            let parser = Parser {
                tokens: tokens(text),
                at: 0,
                macros: self.macros,
                depth: self.depth + 1,
                lenient: self.lenient,
            };
            parser.whole()
        });
        if self.lenient { Some(value.unwrap_or(0)) } else { value }
    }
}

/// `12`, `012`, `0x12`, with any of the suffixes.
fn number(word: &str) -> Option<u64> {
    let digits = word.trim_end_matches(['u', 'U', 'l', 'L']);
    if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        u64::from_str_radix(hex, 16).ok()
    } else if digits.len() > 1 && digits.starts_with('0') {
        u64::from_str_radix(digits, 8).ok()
    } else {
        digits.parse().ok()
    }
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let len = if word(first) {
            rest.find(|c| !word(c)).unwrap_or(rest.len())
        } else if ["||", "&&", "==", "!=", "<=", ">=", "<<", ">>"]
            .iter()
            .any(|o| rest.starts_with(o))
        {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(rest[..len].to_owned());
        rest = rest[len..].trim_start();
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_have_their_values_in_c() {
        let macros: BTreeMap<String, String> = [
            ("A", "0x10UL"),
            ("B", "(A | 1 << 2)"),
            ("C", "~0U & 0xff"),
            ("D", "-100"),
            ("E", "010 + 2 * 3"),
            ("F", "_BITUL(5)"),
            ("LOOP", "LOOP2"),
            ("LOOP2", "LOOP"),
            ("CAST", "((__force rwf_t)0x8)"),
            ("TEXT", "\"x\""),
        ]
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .into();
        assert_eq!(evaluate("B", &macros), Some(0x14));
        assert_eq!(evaluate("C", &macros), Some(0xff));
        assert_eq!(evaluate("D", &macros), Some((-100_i64).cast_unsigned()));
        assert_eq!(evaluate("E", &macros), Some(14));
        assert_eq!(evaluate("F", &macros), Some(32));
        assert_eq!(evaluate("CAST", &macros), Some(8));
        assert_eq!(evaluate("LOOP", &macros), None);
        assert_eq!(evaluate("TEXT", &macros), None);
        assert!(condition("defined(A) && !defined(Z)", &macros));
        assert!(condition("Z == 0 || Y", &macros));
        assert!(!condition("A < 4", &macros));
    }
}
