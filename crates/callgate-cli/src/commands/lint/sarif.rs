//! Findings as SARIF 2.1.0 (OASIS, Static Analysis Results Interchange Format).
//!
//! Columns count Unicode code points, as the log says. A program's findings are placed by byte:
//! eight for each instruction.

use callgate_diagnostic::{Edit, Label, Severity, Span};
use callgate_verdict::lint::{Finding, LINTS};
use serde_json::{Map, Value, json};

use super::{human, look::Seen};

/// Where the form is defined.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// Bytes of one `struct sock_filter`.
const INSTRUCTION: usize = 8;

pub fn log(seen: &Seen) -> Value {
    let rules: Vec<Value> = rules(seen);
    let index = |id: &str| rules.iter().position(|rule| rule["id"] == id);
    let results: Vec<Value> =
        seen.findings.iter().map(|finding| result(seen, finding, index)).collect();
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

/// Every lint, and what else was found.
fn rules(seen: &Seen) -> Vec<Value> {
    let mut rules: Vec<Value> = LINTS
        .iter()
        .map(|lint| {
            json!({
                "id": lint.id,
                "shortDescription": { "text": lint.summary },
                "help": { "text": format!("docs/lints/{}.md", lint.id) },
                "defaultConfiguration": { "level": level(lint.severity) },
            })
        })
        .collect();
    for finding in &seen.findings {
        let id = finding.diagnostic.id;
        if !rules.iter().any(|rule| rule["id"] == id) {
            rules.push(json!({
                "id": id,
                "help": { "text": super::page(finding) },
                "defaultConfiguration": { "level": level(finding.diagnostic.severity) },
            }));
        }
    }
    rules
}

fn result(seen: &Seen, finding: &Finding, index: impl Fn(&str) -> Option<usize>) -> Value {
    let diagnostic = &finding.diagnostic;
    let mut message = diagnostic.message.clone();
    for more in [Some(&finding.consequence), diagnostic.help.as_ref()].into_iter().flatten() {
        if !more.is_empty() {
            message.push_str(".\n");
            message.push_str(more);
        }
    }
    if let Some(example) = &finding.example {
        message.push_str(".\nShown by ");
        message.push_str(&human::example_text(example));
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
    let place = match (first, finding.instruction) {
        (Some(label), _) => location(seen, label),
        (None, Some(place)) => in_program(seen, place.index),
        (None, None) => json!({ "physicalLocation": { "artifactLocation": artifact(seen) } }),
    };
    result.insert("locations".into(), json!([place]));
    if !others.is_empty() {
        let others: Vec<Value> = others.iter().map(|label| location(seen, label)).collect();
        result.insert("relatedLocations".into(), others.into());
    }
    if !diagnostic.edits.is_empty() {
        result.insert(
            "fixes".into(),
            json!([fix(seen, &diagnostic.edits, diagnostic.help.as_deref())]),
        );
    }
    result.into()
}

fn location(seen: &Seen, label: &Label) -> Value {
    let mut location = json!({
        "physicalLocation": {
            "artifactLocation": artifact(seen),
            "region": region(&seen.text, label.span),
        },
    });
    if !label.text.is_empty() {
        location["message"] = json!({ "text": label.text });
    }
    location
}

fn in_program(seen: &Seen, index: usize) -> Value {
    json!({
        "physicalLocation": {
            "artifactLocation": artifact(seen),
            "region": { "byteOffset": INSTRUCTION * index, "byteLength": INSTRUCTION },
        },
    })
}

fn fix(seen: &Seen, edits: &[Edit], help: Option<&str>) -> Value {
    let replacements: Vec<Value> = edits
        .iter()
        .map(|edit| {
            json!({
                "deletedRegion": region(&seen.text, edit.span),
                "insertedContent": { "text": edit.replacement },
            })
        })
        .collect();
    json!({
        "description": { "text": help.unwrap_or("mends it") },
        "artifactChanges": [{
            "artifactLocation": artifact(seen),
            "replacements": replacements,
        }],
    })
}

fn region(text: &str, span: Span) -> Value {
    let (line, column) = span.line_and_column(text);
    let (end_line, end_column) = Span::new(span.end, span.end).line_and_column(text);
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
fn artifact(seen: &Seen) -> Value {
    let mut uri = String::new();
    for byte in seen.name.bytes() {
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
