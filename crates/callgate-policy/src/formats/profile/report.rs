//! Gathers what the reader finds, in bounded memory.

use alloc::{format, vec::Vec};

use callgate_diagnostic::{Diagnostic, Severity};

/// The most findings of one severity that are kept. Each severity has its own share, so that
/// warnings never push out an error.
const MOST: usize = 100;

#[derive(Default)]
pub(super) struct Report {
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

    /// Adds a note; the reader has few.
    pub fn note(&mut self, note: Diagnostic) {
        self.push(Severity::Note, note);
    }

    pub fn has_errors(&self) -> bool {
        self.errors > 0
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
