//! Gathers what readers find, in bounded memory, and words it alike.
//!
//! A text of a few megabytes can have a million mistakes. Of each severity a hundred are kept, and a
//! note says how many are not.

use alloc::{format, vec::Vec};

use callgate_diagnostic::{Diagnostic, Severity, Span};

use super::Reading;
use crate::{Policy, suggest};

/// The most findings of one severity that are kept. Each severity has its own share, so that
/// warnings never push out an error.
const MOST: usize = 100;

/// The longest text that is read, in bytes. The largest policies known have some ten
/// thousand, and a million words of any kind are answered within a second or two.
pub const MAX_LENGTH: usize = 4 << 20;

/// Longer lists of words help nobody.
const MOST_LISTED: usize = 12;

/// What a reader has found so far.
#[derive(Debug, Default)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
}

impl Report {
    /// Adds an error. It is made only if it is kept: a text can hold a million of them.
    pub fn error(&mut self, make: impl FnOnce() -> Diagnostic) {
        self.errors += 1;
        if self.errors <= MOST {
            self.push(Severity::Error, make());
        }
    }

    /// Adds a warning, likewise.
    pub fn warning(&mut self, make: impl FnOnce() -> Diagnostic) {
        self.warnings += 1;
        if self.warnings <= MOST {
            self.push(Severity::Warning, make());
        }
    }

    /// Adds an error or a warning, likewise.
    pub fn add(&mut self, severity: Severity, make: impl FnOnce() -> Diagnostic) {
        match severity {
            Severity::Error => self.error(make),
            _ => self.warning(make),
        }
    }

    /// Adds a note; the readers have few.
    pub fn note(&mut self, note: Diagnostic) {
        self.push(Severity::Note, note);
    }

    /// Whether there is an error, so that the text means nothing.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// The outcome of reading a format that is no JSON: the policy, if there is no error.
    pub fn into_reading(self, policy: Option<Policy>) -> Reading {
        let policy = policy.filter(|_| !self.has_errors());
        let diagnostics = self.into_diagnostics();
        Reading { policy, salvaged: None, dialect: None, diagnostics }
    }

    /// Everything in the order of the text, behind the notes about the text as a whole.
    pub fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|diagnostic| {
            let place = diagnostic.primary().map(|label| label.span.start);
            (diagnostic.severity > Severity::Note, place)
        });
        let errors = self.errors.saturating_sub(MOST);
        let warnings = self.warnings.saturating_sub(MOST);
        if errors + warnings > 0 {
            let message =
                format!("{errors} more errors and {warnings} more warnings are not shown");
            self.diagnostics.push(Diagnostic::note("not-shown", message));
        }
        self.diagnostics
    }

    fn push(&mut self, severity: Severity, diagnostic: Diagnostic) {
        debug_assert_eq!(diagnostic.severity, severity);
        self.diagnostics.push(diagnostic);
    }
}

/// Refuses a text that is too long to be meant; its reading, then.
pub(super) fn too_long(text: &str, what: &str) -> Option<Reading> {
    if text.len() <= MAX_LENGTH {
        return None;
    }
    let mut report = Report::default();
    report.error(|| {
        let limit = MAX_LENGTH >> 20;
        Diagnostic::error("text-size", format!("the text is longer than {limit} MiB"))
            .at(Span::new(0, 0), format!("no {what} comes near this"))
            .help("check that this is the file that was meant")
    });
    Some(report.into_reading(None))
}

/// A diagnostic about an unknown word: what it may have meant, or else which words there are.
pub(super) fn unknown<'k>(
    diagnostic: Diagnostic,
    span: Span,
    word: &str,
    known: impl IntoIterator<Item = &'k str> + Clone,
) -> Diagnostic {
    match suggest::closest(word, known.clone()) {
        Some(near) => suggestion(diagnostic, span, near),
        None => {
            let all: Vec<&str> = known.into_iter().collect();
            match all.len() {
                0 => diagnostic.at(span, ""),
                1..=MOST_LISTED => {
                    diagnostic.at(span, "").help(format!("the words are {}", all.join(", ")))
                }
                _ => diagnostic.at(span, format!("expected a word such as `{}`", all[0])),
            }
        }
    }
}

/// A diagnostic about a word that stands for another.
pub(super) fn suggestion(diagnostic: Diagnostic, span: Span, near: &str) -> Diagnostic {
    diagnostic.at(span, format!("did you mean `{near}`?")).replace(span, near)
}
