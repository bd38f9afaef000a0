//! Findings for a person.

use callgate_bpf::{Action, SeccompData, disasm::Listing};
use callgate_diagnostic::Severity;
use callgate_syscalls::errno;
use callgate_verdict::lint::{Example, Finding};

use super::look::Seen;
use crate::{
    commands::diff::{call, verb},
    names::{SyscallNames, abi_of},
    report,
    source::plural,
};

pub fn text(seen: &Seen) -> String {
    let findings = seen.findings.iter().map(|finding| (&finding.diagnostic, said(seen, finding)));
    let mut text = report::findings(&seen.name, &seen.text, findings);
    text.push_str(&format!("{}: {}\n", report::printable_name(&seen.name), summary(seen)));
    text
}

/// What is said of a finding beside its message, places and help.
fn said(seen: &Seen, finding: &Finding) -> Vec<(&'static str, String)> {
    let mut said = Vec::new();
    if let Some(place) = instruction(seen, finding) {
        said.push(("at", place));
    }
    if !finding.consequence.is_empty() {
        said.push(("so", finding.consequence.clone()));
    }
    if let Some(example) = &finding.example {
        said.push(("shown", example_text(example)));
    }
    said.push(("page", super::page(finding)));
    said
}

/// `socket(0x100000028, 0, 0): allows; socket(40, 0, 0): refuses (EPERM)`
pub fn example_text(example: &Example) -> String {
    let one = |data: &SeccompData, action| format!("{}: {}", call(data), answer(data, action));
    let mut text = one(&example.call, example.action);
    if let Some((other, action)) = &example.against {
        text.push_str("; ");
        text.push_str(&one(other, *action));
    }
    text
}

/// What the filter does, with the error as the call's own ABI names it.
fn answer(data: &SeccompData, action: Action) -> String {
    let abi = abi_of(data.arch, data.nr);
    match (action, abi) {
        (Action::Errno(number), Some(abi)) if number != 0 => match errno::name_on(abi, number) {
            Some(name) => format!("refuses ({name})"),
            None => format!("refuses (error {number})"),
        },
        _ => verb(action).trim_end_matches(',').to_owned(),
    }
}

fn instruction(seen: &Seen, finding: &Finding) -> Option<String> {
    let place = finding.instruction?;
    let program = seen.programs.get(place.filter)?;
    let line = Listing::new(program).with_names(&SyscallNames).lines().nth(place.index)?;
    let of = match seen.programs.len() {
        0 | 1 => String::new(),
        count => format!(" of filter {} of {count}", count - place.filter),
    };
    let comment =
        if line.comment.is_empty() { String::new() } else { format!(" ; {}", line.comment) };
    Some(format!("instruction {:04}{of}: {}{comment}", line.index, line.text))
}

fn summary(seen: &Seen) -> String {
    let count = |severity| {
        let of = seen.findings.iter().filter(|f| f.diagnostic.severity == severity);
        of.count()
    };
    let kinds =
        [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Note, "note")];
    let counts: Vec<String> = kinds
        .into_iter()
        .map(|(severity, noun)| (count(severity), noun))
        .filter(|(count, _)| *count > 0)
        .map(|(count, noun)| plural(count, noun))
        .collect();
    if counts.is_empty() { "clean".to_owned() } else { counts.join(", ") }
}
