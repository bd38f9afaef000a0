//! Findings for programs.

use callgate_diagnostic::{Diagnostic, Span};
use schemars::JsonSchema;
use serde::Serialize;

use super::places::Places;

/// One finding.
#[derive(Serialize, JsonSchema)]
pub struct JsonDiagnostic<'a> {
    id: &'static str,
    severity: String,
    message: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    places: Vec<Place<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    edits: Vec<Edit<'a>>,
}

#[derive(Serialize, JsonSchema)]
struct Place<'a> {
    #[serde(flatten)]
    range: Range,
    #[serde(skip_serializing_if = "str::is_empty")]
    label: &'a str,
}

#[derive(Serialize, JsonSchema)]
struct Edit<'a> {
    #[serde(flatten)]
    range: Range,
    replacement: &'a str,
}

/// Lines and columns from 1, the column in characters; bytes from 0.
#[derive(Serialize, JsonSchema)]
struct Range {
    line: usize,
    column: usize,
    start_byte: usize,
    end_byte: usize,
}

/// Findings in a text.
pub fn diagnostics<'a>(text: &str, diagnostics: &'a [Diagnostic]) -> Vec<JsonDiagnostic<'a>> {
    let places = Places::new(text);
    let range = |span: Span| {
        let (line, column) = places.line_and_column(span);
        Range { line, column, start_byte: span.start, end_byte: span.end }
    };
    diagnostics
        .iter()
        .map(|diagnostic| JsonDiagnostic {
            id: diagnostic.id,
            severity: diagnostic.severity.to_string(),
            message: &diagnostic.message,
            places: diagnostic
                .labels
                .iter()
                .map(|label| Place { range: range(label.span), label: &label.text })
                .collect(),
            help: diagnostic.help.as_deref(),
            edits: diagnostic
                .edits
                .iter()
                .map(|edit| Edit { range: range(edit.span), replacement: &edit.replacement })
                .collect(),
        })
        .collect()
}
