//! What the tests of this crate share.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{env, fs, path::PathBuf};

use callgate_diagnostic::{Diagnostic, Severity, Span, Spanned};
use callgate_policy::{
    Dialect, Policy,
    formats::{Reading, profile},
};

/// A value of no place.
pub fn here<T>(value: T) -> Spanned<T> {
    Spanned::new(value, Span::default())
}

/// Takes the marks «» out of a text and says where they stood.
pub fn unmark(marked: &str) -> (String, Span) {
    let start = marked.find('«').expect("an opening mark");
    let text = marked.replacen('«', "", 1);
    let end = text.find('»').expect("a closing mark");
    (text.replacen('»', "", 1), Span::new(start, end))
}

/// The policy of a text that must be right.
#[track_caller]
pub fn policy(text: &str, dialect: Dialect) -> Policy {
    let Reading { policy, diagnostics, .. } = profile::read(text, Some(dialect));
    policy.unwrap_or_else(|| panic!("refused: {}", show(&diagnostics)))
}

/// The one diagnostic with this id at the marked place, its severity and message as given.
#[track_caller]
pub fn find(marked: &str, dialect: Dialect, severity: Severity, id: &str) -> Found {
    let (text, span) = unmark(marked);
    let reading = profile::read(&text, Some(dialect));
    let here = |d: &&Diagnostic| d.id == id && d.primary().is_some_and(|l| l.span == span);
    let found: Vec<&Diagnostic> = reading.diagnostics.iter().filter(here).collect();
    let [found] = found[..] else {
        panic!("expected one `{id}` at {span:?}, got: {}", show(&reading.diagnostics));
    };
    assert_eq!(found.severity, severity, "{found}");
    let failed = reading.diagnostics.iter().any(Diagnostic::is_error);
    assert_eq!(reading.policy.is_none(), failed, "a policy exactly when there is no error");
    Found { text, diagnostic: found.clone() }
}

/// A diagnostic, to ask more of.
pub struct Found {
    pub text: String,
    pub diagnostic: Diagnostic,
}

impl Found {
    #[track_caller]
    pub fn says(self, message: &str) -> Found {
        assert_eq!(self.diagnostic.message, message);
        self
    }

    #[track_caller]
    pub fn label(self, label: &str) -> Found {
        assert_eq!(self.diagnostic.labels[0].text, label);
        self
    }

    /// What the text becomes when all edits are made.
    #[track_caller]
    pub fn mends_to(self, mended: &str) -> Found {
        assert_eq!(apply(&self.text, &self.diagnostic), mended);
        self
    }
}

/// A text with the edits of a diagnostic made.
pub fn apply(text: &str, diagnostic: &Diagnostic) -> String {
    let mut out = text.to_owned();
    let mut edits: Vec<_> = diagnostic.edits.iter().collect();
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.span.start));
    for edit in edits {
        out.replace_range(edit.span.start..edit.span.end, &edit.replacement);
    }
    out
}

pub fn show(diagnostics: &[Diagnostic]) -> String {
    let lines: Vec<String> = diagnostics
        .iter()
        .map(|d| format!("{d} {:?}", d.primary().map(|label| label.span)))
        .collect();
    format!("[{}]", lines.join("; "))
}

/// A file of the test data, which is not part of the repository; skips loudly without it.
pub fn test_data(name: &str) -> Option<String> {
    let folder = env::var_os("CALLGATE_TEST_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    match fs::read_to_string(folder.join(name)) {
        Ok(text) => Some(text),
        Err(error) => {
            eprintln!("skipped: {name} can't be read ({error}); set CALLGATE_TEST_DATA");
            None
        }
    }
}
