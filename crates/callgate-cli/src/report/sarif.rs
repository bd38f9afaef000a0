//! Findings as SARIF 2.1.0 (OASIS, Static Analysis Results Interchange Format).
//!
//! Columns count Unicode code points, as the log says.

use std::ops::Range;

use callgate_diagnostic::{Diagnostic, Edit, Label, Severity, Span};
use serde_json::{Map, Value, json};

use super::places::Places;

/// Where the form is defined.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// One finding, with what is to be said beside it.
pub struct SarifResult<'a> {
    /// The file.
    pub name: &'a str,
    /// Its text.
    pub places: &'a Places<'a>,
    pub diagnostic: &'a Diagnostic,
    /// Sentences before its help.
    pub before: &'a str,
    /// Sentences behind it.
    pub after: String,
    /// The place of a finding without one in a text.
    pub bytes: Option<Range<usize>>,
    /// Where its documentation stands, in the repository.
    pub page: String,
}

/// What may be found.
pub struct SarifRule {
    pub id: &'static str,
    pub summary: &'static str,
    pub page: String,
    pub severity: Severity,
}

/// The log of a run; rules of results that are not among `known` are added.
pub fn sarif(known: &[SarifRule], results: &[SarifResult<'_>]) -> Value {
    let rules = rules(known, results);
    let index = |id: &str| rules.iter().position(|rule| rule["id"] == id);
    let results: Vec<Value> = results.iter().map(|found| result(found, index)).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "callgate",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rules(known: &[SarifRule], results: &[SarifResult<'_>]) -> Vec<Value> {
    let mut rules: Vec<Value> = known
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id,
                "shortDescription": { "text": rule.summary },
                "help": { "text": rule.page },
                "defaultConfiguration": { "level": level(rule.severity) },
            })
        })
        .collect();
    for found in results {
        let id = found.diagnostic.id;
        if !rules.iter().any(|rule| rule["id"] == id) {
            rules.push(json!({
                "id": id,
                "help": { "text": found.page },
                "defaultConfiguration": { "level": level(found.diagnostic.severity) },
            }));
        }
    }
    rules
}

fn result(found: &SarifResult<'_>, index: impl Fn(&str) -> Option<usize>) -> Value {
    let diagnostic = found.diagnostic;
    let mut message = diagnostic.message.clone();
    let help = diagnostic.help.as_deref();
    for more in [Some(found.before), help, Some(&found.after)].into_iter().flatten() {
        if !more.is_empty() {
            message.push_str(".\n");
            message.push_str(more);
        }
    }
    message.push('.');
    let mut result = Map::new();
    result.insert("ruleId".into(), diagnostic.id.into());
    result.insert("ruleIndex".into(), index(diagnostic.id).into());
    result.insert("level".into(), level(diagnostic.severity).into());
    result.insert("message".into(), json!({ "text": message }));
    let (first, others) = match &diagnostic.labels[..] {
        [first, others @ ..] => (Some(first), others),
        [] => (None, &[][..]),
    };
    let place = match (first, &found.bytes) {
        (Some(label), _) => location(found, label),
        (None, bytes) => {
            let mut physical = json!({ "artifactLocation": artifact(found.name) });
            if let Some(bytes) = bytes {
                physical["region"] =
                    json!({ "byteOffset": bytes.start, "byteLength": bytes.len() });
            }
            json!({ "physicalLocation": physical })
        }
    };
    result.insert("locations".into(), json!([place]));
    if !others.is_empty() {
        let others: Vec<Value> = others.iter().map(|label| location(found, label)).collect();
        result.insert("relatedLocations".into(), others.into());
    }
    if !diagnostic.edits.is_empty() {
        result.insert("fixes".into(), json!([fix(found, &diagnostic.edits, help)]));
    }
    result.into()
}

fn location(found: &SarifResult<'_>, label: &Label) -> Value {
    let mut location = json!({
        "physicalLocation": {
            "artifactLocation": artifact(found.name),
            "region": region(found.places, label.span),
        },
    });
    if !label.text.is_empty() {
        location["message"] = json!({ "text": label.text });
    }
    location
}

fn fix(found: &SarifResult<'_>, edits: &[Edit], help: Option<&str>) -> Value {
    let replacements: Vec<Value> = edits
        .iter()
        .map(|edit| {
            json!({
                "deletedRegion": region(found.places, edit.span),
                "insertedContent": { "text": edit.replacement },
            })
        })
        .collect();
    json!({
        "description": { "text": help.unwrap_or("mends it") },
        "artifactChanges": [{
            "artifactLocation": artifact(found.name),
            "replacements": replacements,
        }],
    })
}

fn region(places: &Places<'_>, span: Span) -> Value {
    let (line, column) = places.line_and_column(span);
    let (end_line, end_column) = places.line_and_column(Span::new(span.end, span.end));
    json!({
        "startLine": line,
        "startColumn": column,
        "endLine": end_line,
        "endColumn": end_column,
        "byteOffset": span.start,
        "byteLength": span.end.saturating_sub(span.start),
    })
}

/// The source as a relative reference (RFC 3986).
fn artifact(name: &str) -> Value {
    let mut uri = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    json!({ "uri": uri })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}
