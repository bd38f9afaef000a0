//! Findings for programs.

use callgate_bpf::SeccompData;
use callgate_verdict::lint::{Example, Finding};
use schemars::JsonSchema;
use serde::Serialize;

use super::{human, look::Seen};
use crate::{
    commands::diff::call,
    report::{JsonDiagnostic, json_diagnostics},
};

#[derive(Serialize, JsonSchema)]
pub struct Report<'a> {
    source: &'a str,
    /// Of the worst first.
    findings: Vec<JsonFinding<'a>>,
}

#[derive(Serialize, JsonSchema)]
struct JsonFinding<'a> {
    #[serde(flatten)]
    diagnostic: JsonDiagnostic<'a>,
    /// Who gains or loses what.
    #[serde(skip_serializing_if = "str::is_empty")]
    consequence: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    example: Option<JsonExample>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instruction: Option<Instruction>,
    /// Its page in the repository.
    page: String,
}

#[derive(Serialize, JsonSchema)]
struct JsonExample {
    text: String,
    call: Call,
    /// What is treated otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<Call>,
}

#[derive(Serialize, JsonSchema)]
struct Call {
    text: String,
    arch: u32,
    number: u32,
    arguments: [u64; 6],
    action: String,
}

/// The filter counts from the newest, the instruction from the first, both from 0.
#[derive(Serialize, JsonSchema)]
struct Instruction {
    filter: usize,
    index: usize,
}

pub fn report(seen: &Seen) -> Report<'_> {
    let findings = seen.findings.iter().map(|finding| JsonFinding {
        diagnostic: diagnostic(seen, finding),
        consequence: &finding.consequence,
        example: finding.example.as_ref().map(example),
        instruction: finding
            .instruction
            .map(|place| Instruction { filter: place.filter, index: place.index }),
        page: super::page(finding),
    });
    Report { source: &seen.name, findings: findings.collect() }
}

fn diagnostic<'a>(seen: &'a Seen, finding: &'a Finding) -> JsonDiagnostic<'a> {
    let mut one = json_diagnostics(&seen.text, std::slice::from_ref(&finding.diagnostic));
    one.remove(0)
}

fn example(example: &Example) -> JsonExample {
    let of = |data: &SeccompData, action: callgate_bpf::Action| Call {
        text: call(data),
        arch: data.arch.0,
        number: data.nr.0,
        arguments: data.args,
        action: action.to_string(),
    };
    JsonExample {
        text: human::example_text(example),
        call: of(&example.call, example.action),
        against: example.against.as_ref().map(|(data, action)| of(data, *action)),
    }
}
