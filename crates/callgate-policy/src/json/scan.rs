//! From text to the flat tree, in one pass without recursion.

use alloc::vec::Vec;

use callgate_diagnostic::Diagnostic;

use super::syntax::{self, Expected};
use super::{MAX_DEPTH, Node, Shape};

/// Reads a text of at most [`super::MAX_LENGTH`] bytes.
pub(super) fn scan(text: &str) -> Result<Vec<Node>, Diagnostic> {
    let mut scanner = Scanner {
        text,
        bytes: text.as_bytes(),
        at: 0,
        nodes: Vec::with_capacity(text.len() / 16 + 4),
        open: Vec::new(),
    };
    scanner.document()?;
    Ok(scanner.nodes)
}

struct Scanner<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    nodes: Vec<Node>,
    /// The arrays and objects around this place, as indices of `nodes`.
    open: Vec<usize>,
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<(), Diagnostic> {
        let mut expected = Expected::Value;
        loop {
            self.space();
            let byte = self.bytes.get(self.at).copied();
            expected = match (expected, byte) {
                (Expected::Value | Expected::FirstElement | Expected::Element, Some(byte))
                    if starts_value(byte) =>
                {
                    self.value(byte)?
                }
                (Expected::FirstKey | Expected::Key, Some(b'"')) => {
                    self.string()?;
                    Expected::Colon
                }
                (Expected::Colon, Some(b':')) => {
                    self.at += 1;
                    Expected::Value
                }
                (Expected::CommaInArray, Some(b',')) => {
                    self.at += 1;
                    Expected::Element
                }
                (Expected::CommaInObject, Some(b',')) => {
                    self.at += 1;
                    Expected::Key
                }
                (Expected::FirstElement | Expected::CommaInArray, Some(b']'))
                | (Expected::FirstKey | Expected::CommaInObject, Some(b'}')) => self.close(),
                (Expected::End, None) => return Ok(()),
                (expected, _) => {
                    let open =
                        self.open.last().map(|&index| super::usize_of(self.nodes[index].start));
                    return Err(syntax::unexpected(self.text, self.at, expected, open));
                }
            };
        }
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    /// A value, or the opening of one; says what may follow.
    fn value(&mut self, first: u8) -> Result<Expected, Diagnostic> {
        match first {
            b'"' => self.string()?,
            b'{' => return self.open(Shape::Object, Expected::FirstKey),
            b'[' => return self.open(Shape::Array, Expected::FirstElement),
            b't' => self.word("true", Shape::Bool)?,
            b'f' => self.word("false", Shape::Bool)?,
            b'n' => self.word("null", Shape::Null)?,
            _ => self.number()?,
        }
        Ok(self.after_value())
    }

    fn open(&mut self, shape: Shape, expected: Expected) -> Result<Expected, Diagnostic> {
        if self.open.len() == MAX_DEPTH {
            return Err(syntax::too_deep(self.at));
        }
        self.open.push(self.nodes.len());
        let start = self.at;
        self.at += 1;
        self.push(shape, start);
        Ok(expected)
    }

    fn close(&mut self) -> Expected {
        self.at += 1;
        if let Some(index) = self.open.pop() {
            self.nodes[index].end = place(self.at);
            self.nodes[index].next = place(self.nodes.len());
        }
        self.after_value()
    }

    fn after_value(&self) -> Expected {
        match self.open.last().map(|&index| self.nodes[index].shape) {
            None => Expected::End,
            Some(Shape::Object) => Expected::CommaInObject,
            Some(_) => Expected::CommaInArray,
        }
    }

    fn word(&mut self, word: &str, shape: Shape) -> Result<(), Diagnostic> {
        let start = self.at;
        let rest = &self.bytes[start..];
        let ends = rest.get(word.len()).is_none_or(|next| !syntax::is_word(*next));
        if !rest.starts_with(word.as_bytes()) || !ends {
            return Err(syntax::unknown_word(self.text, start));
        }
        self.at += word.len();
        self.push(shape, start);
        Ok(())
    }

    fn number(&mut self) -> Result<(), Diagnostic> {
        let start = self.at;
        match well_formed_number(&self.bytes[start..]) {
            Some(length) => {
                self.at += length;
                self.push(Shape::Number, start);
                Ok(())
            }
            None => Err(syntax::bad_number(self.text, start)),
        }
    }

    /// A string; the place is on its opening quote.
    fn string(&mut self) -> Result<(), Diagnostic> {
        let start = self.at;
        let mut shape = Shape::Plain;
        self.at += 1;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    shape = Shape::Escaped;
                    self.escape(start)?;
                }
                Some(0..=0x1f) => {
                    return Err(syntax::control_character(self.text, start, self.at));
                }
                Some(_) => self.at += 1,
                None => return Err(syntax::unclosed_string(self.text, start)),
            }
        }
        self.at += 1;
        self.push(shape, start);
        Ok(())
    }

    fn escape(&mut self, string: usize) -> Result<(), Diagnostic> {
        let start = self.at;
        match self.bytes.get(start + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u')
                if self
                    .bytes
                    .get(start + 2..start + 6)
                    .is_some_and(|four| four.iter().all(u8::is_ascii_hexdigit)) =>
            {
                self.at += 6;
            }
            Some(_) => return Err(syntax::bad_escape(self.text, start)),
            None => return Err(syntax::unclosed_string(self.text, string)),
        }
        Ok(())
    }

    /// Adds a value from `start` to here that holds nothing yet.
    fn push(&mut self, shape: Shape, start: usize) {
        let next = place(self.nodes.len() + 1);
        self.nodes.push(Node { start: place(start), end: place(self.at), next, shape });
    }
}

fn starts_value(byte: u8) -> bool {
    matches!(byte, b'"' | b'{' | b'[' | b't' | b'f' | b'n' | b'-' | b'0'..=b'9')
}

/// The length of the number that begins here, if it is one and nothing hangs on to it.
fn well_formed_number(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        let count = bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then_some(from + count)
    };
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    at = if bytes.get(at) == Some(&b'0') { at + 1 } else { digits(at)? };
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let sign = matches!(bytes.get(at + 1), Some(b'+' | b'-'));
        at = digits(at + 1 + usize::from(sign))?;
    }
    bytes.get(at).is_none_or(|next| !syntax::is_word(*next)).then_some(at)
}

/// Nothing is lost: the text is no longer than [`super::MAX_LENGTH`], and no byte begins two values.
fn place(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}
