//! Findings as SARIF. A program's findings are placed by byte: eight for each instruction.

use callgate_verdict::lint::LINTS;
use serde_json::Value;

use super::{human, look::Seen};
use crate::report::{Places, SarifResult, SarifRule, sarif};

/// Bytes of one `struct sock_filter`.
const INSTRUCTION: usize = 8;

pub fn log(seen: &Seen) -> Value {
    let places = Places::new(&seen.text);
    let rules: Vec<SarifRule> = LINTS
        .iter()
        .map(|lint| SarifRule {
            id: lint.id,
            summary: lint.summary,
            page: format!("docs/lints/{}.md", lint.id),
            severity: lint.severity,
        })
        .collect();
    let shown = |example| format!("Shown by {}", human::example_text(example));
    let results: Vec<SarifResult<'_>> = seen
        .findings
        .iter()
        .map(|finding| SarifResult {
            name: &seen.name,
            places: &places,
            diagnostic: &finding.diagnostic,
            before: &finding.consequence,
            after: finding.example.as_ref().map_or_else(String::new, shown),
            bytes: finding.instruction.map(|place| {
                let start = INSTRUCTION * place.index;
                start..start + INSTRUCTION
            }),
            page: super::page(finding),
        })
        .collect();
    sarif(&rules, &results)
}
