//! The words of a Kafel text.

use alloc::format;

use callgate_diagnostic::{Diagnostic, Span, Spanned};

use super::super::report::Report;
use crate::quote::quoted;

/// One word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    Identifier(&'t str),
    Keyword(Keyword),
    /// None for one that was reported.
    Number(Option<u64>),
    Symbol(Symbol),
    /// `#include` and the files, to the end of the line.
    Include,
    End,
}

/// The words that are no identifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Policy,
    Use,
    Default,
    Define,
    Syscall,
    On,
    Allow,
    Log,
    /// `KILL`, `KILL_THREAD` and `DENY`.
    Kill,
    KillProcess,
    Errno,
    Trap,
    Trace,
    UserNotif,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Symbol {
    OpenBrace,
    CloseBrace,
    OpenParen,
    CloseParen,
    OpenBracket,
    CloseBracket,
    Comma,
    Hash,
    Not,
    And,
    Or,
    AndAnd,
    OrOr,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// Every keyword as it is spelled.
pub(super) const KEYWORDS: [(&str, Keyword); 16] = [
    ("POLICY", Keyword::Policy),
    ("USE", Keyword::Use),
    ("DEFAULT", Keyword::Default),
    ("define", Keyword::Define),
    ("SYSCALL", Keyword::Syscall),
    ("ON", Keyword::On),
    ("ALLOW", Keyword::Allow),
    ("LOG", Keyword::Log),
    ("KILL", Keyword::Kill),
    ("KILL_THREAD", Keyword::Kill),
    ("DENY", Keyword::Kill),
    ("KILL_PROCESS", Keyword::KillProcess),
    ("ERRNO", Keyword::Errno),
    ("TRAP", Keyword::Trap),
    ("TRACE", Keyword::Trace),
    ("USER_NOTIF", Keyword::UserNotif),
];

/// Longest first where one begins another.
const SYMBOLS: [(&str, Symbol); 19] = [
    ("&&", Symbol::AndAnd),
    ("||", Symbol::OrOr),
    ("==", Symbol::Equal),
    ("!=", Symbol::NotEqual),
    ("<=", Symbol::LessEqual),
    (">=", Symbol::GreaterEqual),
    ("{", Symbol::OpenBrace),
    ("}", Symbol::CloseBrace),
    ("(", Symbol::OpenParen),
    (")", Symbol::CloseParen),
    ("[", Symbol::OpenBracket),
    ("]", Symbol::CloseBracket),
    (",", Symbol::Comma),
    ("#", Symbol::Hash),
    ("!", Symbol::Not),
    ("&", Symbol::And),
    ("|", Symbol::Or),
    ("<", Symbol::Less),
    (">", Symbol::Greater),
];

const INCLUDE: &str = "#include";

/// Takes a text apart, and reports what is no word.
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
    pub report: Report,
    /// Carriage returns are reported once: they come a line.
    returns: bool,
}

impl<'t> Lexer<'t> {
    pub fn new(text: &'t str) -> Lexer<'t> {
        Lexer { text, at: 0, report: Report::default(), returns: false }
    }

    pub fn text(&self) -> &'t str {
        self.text
    }

    /// The next word and its place; at the end [`Token::End`], again and again.
    pub fn next(&mut self) -> Spanned<Token<'t>> {
        loop {
            self.skip_blanks();
            let start = self.at;
            let rest = &self.text[start..];
            let Some(first) = rest.chars().next() else {
                return Spanned::new(Token::End, Span::new(start, start));
            };
            if rest.starts_with(INCLUDE) {
                self.at += rest.find(['\n', ';']).unwrap_or(rest.len());
                let span = Span::new(start, start + self.text[start..self.at].trim_end().len());
                self.at += usize::from(self.text[self.at..].starts_with(';'));
                return Spanned::new(Token::Include, span);
            }
            if first.is_ascii_alphabetic() {
                let word = &rest[..word_length(rest)];
                return self.take(word.len(), identifier(word));
            }
            if first.is_ascii_digit() || negative(rest) {
                let sign = usize::from(first == '-');
                let length = sign + word_length(&rest[sign..]);
                let number = self.number(&rest[..length], Span::new(start, start + length));
                return self.take(length, Token::Number(number));
            }
            if let Some((word, symbol)) = SYMBOLS.iter().find(|(word, _)| rest.starts_with(word)) {
                return self.take(word.len(), Token::Symbol(*symbol));
            }
            self.foreign(rest);
        }
    }

    fn take(&mut self, length: usize, token: Token<'t>) -> Spanned<Token<'t>> {
        let span = Span::new(self.at, self.at + length);
        self.at = span.end;
        Spanned::new(token, span)
    }

    /// Passes over spaces, line breaks and comments.
    fn skip_blanks(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.comment();
            } else if rest.starts_with('\r') {
                let span = Span::new(self.at, self.at + 1);
                self.at += 1;
                if !core::mem::replace(&mut self.returns, true) {
                    self.report.error(|| carriage_return(span));
                }
            } else if rest.starts_with([' ', '\t', '\n']) {
                self.at += 1;
            } else {
                return;
            }
        }
    }

    /// Passes over `/* … */`. Kafel's lexer takes a star and the character behind it together, so
    /// that it misses the end in `**/` and goes on to the next.
    fn comment(&mut self) {
        let start = self.at;
        let opening = Span::new(start, start + 2);
        let body = &self.text.as_bytes()[start + 2..];
        let Some(end) = body.windows(2).position(|pair| pair == b"*/") else {
            self.at = self.text.len();
            self.report.error(|| {
                Diagnostic::error("kafel-syntax", "a comment has no end")
                    .at(opening, "expected `*/` behind it")
            });
            return;
        };
        self.at = start + 2 + end + 2;
        let mut place = 0;
        while place < end {
            place += if body[place] == b'*' { 2 } else { 1 };
        }
        if place > end {
            let span = Span::new(self.at - 3, self.at);
            self.report.error(|| {
                Diagnostic::error("kafel-comment", "Kafel doesn't see the end of this comment")
                    .at(span, "put a space between the stars")
                    .at(opening, "the comment begins here")
                    .help("Kafel takes the two stars together, and all up to the next `*/` for the comment")
                    .replace(span, "* */")
            });
        }
    }

    /// The value of digits as Kafel reads them: `0x…`, `0b…`, `0…` octal, or decimal, which may
    /// be negative and is then what the 64-bit word holds.
    fn number(&mut self, word: &str, span: Span) -> Option<u64> {
        let (negative, digits) =
            word.strip_prefix('-').map_or((false, word), |digits| (true, digits));
        let (radix, digits) = match digits.as_bytes() {
            [b'0', b'x', ..] => (16, &digits[2..]),
            [b'0', b'b', ..] => (2, &digits[2..]),
            [b'0', _, ..] => (8, &digits[1..]),
            _ => (10, digits),
        };
        let well_formed = !digits.is_empty()
            && digits.chars().all(|c| c.is_digit(radix))
            && !(negative && radix != 10);
        let value = u64::from_str_radix(digits, radix).ok().filter(|_| well_formed);
        let value = value.map(|value| if negative { value.wrapping_neg() } else { value });
        if value.is_none() {
            self.report.error(|| bad_number(word, span, well_formed, radix));
        }
        value
    }

    /// Reports characters that no word begins with, and passes over all of them.
    fn foreign(&mut self, rest: &str) {
        let known = |c: char| c.is_ascii_alphanumeric() || " \t\r\n/{}()[],#!&|<>=".contains(c);
        let first = rest.chars().next().map_or(1, char::len_utf8);
        let length = rest[first..].find(known).map_or(rest.len(), |at| at + first);
        let span = Span::new(self.at, self.at + length);
        self.at = span.end;
        self.report.error(|| {
            let found = &rest[..length];
            let diagnostic =
                Diagnostic::error("kafel-syntax", format!("{} is no part of Kafel", quoted(found)));
            match found {
                "=" => diagnostic.at(span, "did you mean `==`?").replace(span, "=="),
                ";" => diagnostic.at(span, "no semicolon is needed here").replace(span, ""),
                _ => diagnostic.at(span, "unexpected here"),
            }
        });
    }
}

/// Letters, digits and underscores from the start.
fn word_length(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

fn negative(text: &str) -> bool {
    text.starts_with('-') && text[1..].starts_with(|c: char| c.is_ascii_digit())
}

fn identifier(word: &str) -> Token<'_> {
    match KEYWORDS.iter().find(|(known, _)| *known == word) {
        Some((_, keyword)) => Token::Keyword(*keyword),
        None => Token::Identifier(word),
    }
}

fn carriage_return(span: Span) -> Diagnostic {
    Diagnostic::error("kafel-syntax", "lines end in carriage returns, which Kafel refuses")
        .at(span, "a carriage return")
        .help("save the text with Unix line ends")
}

fn bad_number(word: &str, span: Span, well_formed: bool, radix: u32) -> Diagnostic {
    if well_formed {
        let message = format!("{} is too large", quoted(word));
        return Diagnostic::error("kafel-number", message).at(span, "a number has 64 bits");
    }
    let diagnostic = Diagnostic::error("kafel-number", format!("{} is not a number", quoted(word)));
    match radix {
        8 => diagnostic.at(span, "a 0 in front makes it octal, with digits 0 to 7"),
        2 => diagnostic.at(span, "binary digits are 0 and 1"),
        _ => diagnostic.at(span, "expected digits, as in `42`, `0xfa1`, `0777` or `0b101`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> alloc::vec::Vec<Token<'_>> {
        let mut lexer = Lexer::new(text);
        core::iter::from_fn(|| Some(lexer.next().value).filter(|t| *t != Token::End)).collect()
    }

    #[test]
    fn numbers_are_read_in_all_their_bases() {
        let values = |text| -> alloc::vec::Vec<Option<u64>> {
            let value = |token| if let Token::Number(value) = token { value } else { None };
            words(text).into_iter().map(value).collect()
        };
        assert_eq!(
            values("0 42 -1 0xfA1 0777 0b101 18446744073709551615"),
            [0, 42, u64::MAX, 0xfa1, 0o777, 5, u64::MAX].map(Some)
        );
        assert_eq!(values("0x 089 0b2 12x 18446744073709551616 -0x1"), [None; 6]);
    }

    #[test]
    fn words_end_where_they_must() {
        use Symbol::{AndAnd, Equal, Hash, Not, Or};
        assert_eq!(
            words("a&&!KILL_PROCESS|b==#define /* x */ // y\nON1"),
            [
                Token::Identifier("a"),
                Token::Symbol(AndAnd),
                Token::Symbol(Not),
                Token::Keyword(Keyword::KillProcess),
                Token::Symbol(Or),
                Token::Identifier("b"),
                Token::Symbol(Equal),
                Token::Symbol(Hash),
                Token::Keyword(Keyword::Define),
                Token::Identifier("ON1"),
            ]
        );
        assert_eq!(
            words("#include \"a\" \"b\"; USE"),
            [Token::Include, Token::Keyword(Keyword::Use),]
        );
    }
}
