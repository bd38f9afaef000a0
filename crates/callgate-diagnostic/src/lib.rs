//! The data model of an error or a finding in a text: what, how bad, where, and what to do.
//!
//! Readers, the resolver and later the linter return [`Diagnostic`]s. Nothing here draws them:
//! the terminal, JSON and SARIF forms belong to the command line, so that a library user can
//! show them in their own way.
//!
//! ```
//! use callgate_diagnostic::{Diagnostic, Severity, Span};
//!
//! let found = Diagnostic::error("unknown-action", "`SCMP_ACT_ERNO` is not an action")
//!     .at(Span::new(12, 27), "did you mean `SCMP_ACT_ERRNO`?")
//!     .replace(Span::new(12, 27), "SCMP_ACT_ERRNO");
//! assert_eq!(found.severity, Severity::Error);
//! assert_eq!(found.primary().unwrap().span.start, 12);
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::{string::String, vec::Vec};
use core::fmt;

/// A range of bytes in a text, `start..end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Byte offset of the first byte.
    pub start: usize,
    /// Byte offset behind the last byte.
    pub end: usize,
}

impl Span {
    /// The bytes `start..end`.
    pub const fn new(start: usize, end: usize) -> Span {
        Span { start, end }
    }

    /// The smallest range that holds both.
    pub fn to(self, other: Span) -> Span {
        Span::new(self.start.min(other.start), self.end.max(other.end))
    }

    /// The part of the text that this names, or nothing when it lies outside or cuts a character.
    pub fn of(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or("")
    }

    /// Line and column of the start, both from 1; the column counts characters.
    pub fn line_and_column(self, text: &str) -> (usize, usize) {
        let mut start = self.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// A value with its place in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// A value at a place.
    pub const fn new(value: T, span: Span) -> Spanned<T> {
        Spanned { value, span }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "renderers must treat every severity")]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// Accepted, but it may not be what was meant.
    Warning,
    /// Refused: nothing is loaded or written.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// A place with a word about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is to be said of this place; may be empty.
    pub text: String,
}

/// A replacement that would mend the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What to replace; an empty range inserts.
    pub span: Span,
    /// What to put there.
    pub replacement: String,
}

/// One error or finding.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// Stable identifier, lower case with hyphens: the name of its page in the documentation.
    pub id: &'static str,
    /// How bad.
    pub severity: Severity,
    /// One sentence: what happened.
    pub message: String,
    /// Places; the first is the primary one.
    pub labels: Vec<Label>,
    /// What to do about it.
    pub help: Option<String>,
    /// Replacements that mend it.
    pub edits: Vec<Edit>,
}

impl Diagnostic {
    /// A finding without a place yet.
    pub fn new(id: &'static str, severity: Severity, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            id,
            severity,
            message: message.into(),
            labels: Vec::new(),
            help: None,
            edits: Vec::new(),
        }
    }

    /// An error.
    pub fn error(id: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(id, Severity::Error, message)
    }

    /// A warning.
    pub fn warning(id: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(id, Severity::Warning, message)
    }

    /// A note.
    pub fn note(id: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(id, Severity::Note, message)
    }

    /// Adds a place; the first one added is the primary one.
    #[must_use]
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// Adds a replacement.
    #[must_use]
    pub fn replace(mut self, span: Span, replacement: impl Into<String>) -> Diagnostic {
        self.edits.push(Edit { span, replacement: replacement.into() });
        self
    }

    /// The place that the message speaks of.
    pub fn primary(&self) -> Option<&Label> {
        self.labels.first()
    }

    /// Whether this refuses the text.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// `error[unknown-action]: …`, without places.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]: {}", self.severity, self.id, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_start_at_one() {
        let text = "a\näb\n";
        assert_eq!(Span::new(0, 1).line_and_column(text), (1, 1));
        assert_eq!(Span::new(4, 5).line_and_column(text), (2, 2));
        assert_eq!(Span::new(99, 99).line_and_column(text), (3, 1));
        // Inside the two bytes of ä.
        assert_eq!(Span::new(3, 4).line_and_column(text), (2, 1));
    }
}
