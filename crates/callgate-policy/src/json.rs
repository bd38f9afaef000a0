//! A JSON reader that keeps the place of every value and every key.
//!
//! It accepts what Go's `encoding/json` accepts, since that is what container engines and
//! runtimes read profiles with: RFC 8259, at most 10,000 levels deep, lone surrogates replaced
//! by U+FFFD. Keys keep their order, and a key that occurs twice stands twice. Numbers stay text.
//!
//! The tree is one flat list, so neither reading nor dropping it needs a stack, and it takes
//! sixteen bytes a value. Strings are not copied unless an escape in them makes it necessary.
//!
//! ```
//! use callgate_policy::json;
//!
//! let document = json::parse(r#"{ "names": ["read", "write"] }"#).unwrap();
//! let (key, names) = document.root().members().next().unwrap();
//! assert_eq!(key.as_str().unwrap(), "names");
//! assert_eq!(names.elements().count(), 2);
//! assert_eq!(names.span().start, 11);
//!
//! let trouble = json::parse("[1, ]").unwrap_err();
//! assert_eq!(trouble.message, "there is no value after the comma");
//! ```

mod scan;
mod string;
mod syntax;

use alloc::{borrow::Cow, format, vec::Vec};

use callgate_diagnostic::{Diagnostic, Span};

/// Go's limit (`maxNestingDepth` in `encoding/json/scanner.go`).
pub const MAX_DEPTH: usize = 10_000;

/// Places are kept in 32 bits, and no profile comes near this.
pub const MAX_LENGTH: usize = 1 << 30;

/// Reads a whole text.
///
/// # Errors
///
/// The first thing that is not JSON (`json-syntax`), more than [`MAX_DEPTH`] levels
/// (`json-depth`), or more than [`MAX_LENGTH`] bytes (`json-size`).
pub fn parse(text: &str) -> Result<Document<'_>, Diagnostic> {
    parse_within(text, MAX_LENGTH)
}

/// The bytes of a file as text.
///
/// # Errors
///
/// `not-utf8`, with the place of the first byte that is wrong. (Go would put U+FFFD in its place
/// and read on; no name in a profile is meant to hold one.)
pub fn text(bytes: &[u8]) -> Result<&str, Diagnostic> {
    core::str::from_utf8(bytes).map_err(|error| {
        let start = error.valid_up_to();
        let end = error.error_len().map_or(bytes.len(), |length| start + length);
        Diagnostic::error("not-utf8", format!("byte {start} is not UTF-8"))
            .at(Span::new(start, end), "not UTF-8 from here")
            .help("a profile is JSON, and JSON is UTF-8; save it in that encoding")
    })
}

/// A text that was read.
#[derive(Clone, Debug)]
pub struct Document<'t> {
    text: &'t str,
    /// In the order of the text; an object's keys stand before their values. Never empty.
    nodes: Vec<Node>,
}

impl Document<'_> {
    /// The outermost value.
    pub fn root(&self) -> Value<'_> {
        Value { document: self, index: 0 }
    }
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "JSON has no other")]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number, of any form and size.
    Number,
    /// A string.
    String,
    /// `[…]`
    Array,
    /// `{…}`
    Object,
}

impl Kind {
    /// With its article: `a string`.
    pub const fn describe(self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::Bool => "a boolean",
            Kind::Number => "a number",
            Kind::String => "a string",
            Kind::Array => "a list",
            Kind::Object => "an object",
        }
    }
}

/// A value or a key of a [`Document`].
#[derive(Clone, Copy)]
pub struct Value<'d> {
    document: &'d Document<'d>,
    index: usize,
}

impl<'d> Value<'d> {
    /// What it is.
    pub fn kind(self) -> Kind {
        match self.node().shape {
            Shape::Null => Kind::Null,
            Shape::Bool => Kind::Bool,
            Shape::Number => Kind::Number,
            Shape::Plain | Shape::Escaped => Kind::String,
            Shape::Array => Kind::Array,
            Shape::Object => Kind::Object,
        }
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// Its place: quotes and brackets included.
    pub fn span(self) -> Span {
        let node = self.node();
        Span::new(usize_of(node.start), usize_of(node.end))
    }

    /// What a reader looks at: the text between a string's quotes; elsewhere as [`Value::span`].
    pub fn inner(self) -> Span {
        let span = self.span();
        match self.kind() {
            Kind::String => Span::new(span.start + 1, span.end - 1),
            _ => span,
        }
    }

    /// The text of the value, as it was written.
    pub fn lexeme(self) -> &'d str {
        self.span().of(self.document.text)
    }

    /// The string that it is, escapes resolved.
    pub fn as_str(self) -> Option<Cow<'d, str>> {
        let raw = self.inner().of(self.document.text);
        match self.node().shape {
            Shape::Plain => Some(Cow::Borrowed(raw)),
            Shape::Escaped => Some(Cow::Owned(string::unescape(raw))),
            _ => None,
        }
    }

    /// The number that it is, if Go would decode it into a `uint64`: digits alone, in range.
    /// `-0`, `1.0` and `1e3` are none.
    pub fn as_u64(self) -> Option<u64> {
        match self.kind() {
            Kind::Number => self.lexeme().parse().ok(),
            _ => None,
        }
    }

    /// The elements of an array; nothing for another value.
    pub fn elements(self) -> impl Iterator<Item = Value<'d>> {
        let mut rest = self.children(Shape::Array);
        core::iter::from_fn(move || rest.next())
    }

    /// The keys and values of an object in the order of the text; nothing for another value.
    pub fn members(self) -> impl Iterator<Item = (Value<'d>, Value<'d>)> {
        let mut rest = self.children(Shape::Object);
        core::iter::from_fn(move || Some((rest.next()?, rest.next()?)))
    }

    fn node(self) -> Node {
        self.document.nodes[self.index]
    }

    fn children(self, shape: Shape) -> Children<'d> {
        let node = self.node();
        let end = if node.shape == shape { usize_of(node.next) } else { self.index + 1 };
        Children { document: self.document, index: self.index + 1, end }
    }
}

/// Walks from sibling to sibling.
struct Children<'d> {
    document: &'d Document<'d>,
    index: usize,
    end: usize,
}

impl<'d> Iterator for Children<'d> {
    type Item = Value<'d>;

    fn next(&mut self) -> Option<Value<'d>> {
        (self.index < self.end).then(|| {
            let value = Value { document: self.document, index: self.index };
            self.index = usize_of(value.node().next);
            value
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Node {
    start: u32,
    end: u32,
    /// The place in the list behind this value and all that it holds.
    next: u32,
    shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Null,
    Bool,
    Number,
    /// A string that stands for itself.
    Plain,
    /// A string with escapes.
    Escaped,
    Array,
    Object,
}

fn parse_within(text: &str, limit: usize) -> Result<Document<'_>, Diagnostic> {
    if text.len() > limit {
        return Err(syntax::too_long(text.len(), limit));
    }
    Ok(Document { text, nodes: scan::scan(text)? })
}

/// Nothing is lost: a place in a text that is in memory.
fn usize_of(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_over_the_limit_is_refused_before_it_is_read() {
        let refused = parse_within("[[[[[[[[[[[", 10).unwrap_err();
        assert_eq!(refused.id, "json-size");
        assert_eq!(refused.message, "the text has 11 bytes, more than 10");
        assert_eq!(parse_within("[[[[[[[[[[", 10).unwrap_err().id, "json-syntax");
    }

    #[test]
    fn a_value_takes_sixteen_bytes() {
        assert_eq!(size_of::<Node>(), 16);
    }
}
