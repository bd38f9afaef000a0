//! Where something stands: in the text, or among the instructions.

use alloc::{string::ToString, vec::Vec};

use callgate_bpf::{Action, Op, Program, SyscallNr};
use callgate_diagnostic::{Label, Span};
use callgate_policy::Entry;
use callgate_syscalls::Abi;

use super::{
    Finding, Written,
    view::{Call, Linter},
};

impl Linter<'_> {
    /// The instruction that decided the example: the last branch before the return, in the filter
    /// whose answer it is.
    pub(super) fn place_in_program(&self, finding: &mut Finding) {
        let (None, Some(example), None) =
            (self.subject.written, &finding.example, finding.instruction)
        else {
            return;
        };
        let mut strongest = Action::Allow.raw();
        let mut place = None;
        for (filter, program) in self.subject.programs.iter().enumerate() {
            let words = example.call.words(program.layout().byte_order);
            let traced = program.run_traced(&words, self.shifts);
            if place.is_none() || traced.action.rank() < strongest.rank() {
                strongest = traced.action;
                let branches = traced.path.iter().rev().skip(1);
                let mut branches = branches.filter(|&&index| is_branch(program, index));
                let last = traced.path.last().copied();
                place = branches.next().copied().or(last).map(|index| (filter, index));
            }
        }
        if let Some((filter, index)) = place {
            *finding = finding.clone().at_instruction(filter, index);
        }
    }
}

fn is_branch(program: &Program, index: usize) -> bool {
    matches!(program.instructions()[index].decode(), Some(Op::Branch { .. }))
}

/// Where the text says what becomes of a call.
impl Written<'_> {
    /// The entries with a rule for this number, in the order of the text.
    pub(super) fn entries_of(&self, abi: Abi, nr: SyscallNr) -> Vec<usize> {
        let rules = self.ruleset.abis.iter().find(|rules| rules.abi == abi);
        let rules = rules.and_then(|rules| rules.rules.get(&nr)).map_or(&[][..], Vec::as_slice);
        let mut entries: Vec<usize> = rules.iter().map(|rule| rule.entry).collect();
        entries.sort_unstable();
        entries.dedup();
        entries
    }

    /// The places that decide a call: where entries name it, and what they ask of an argument;
    /// else the default.
    pub(super) fn labels(&self, call: Call, arg: Option<usize>, text: &str) -> Vec<Label> {
        let label = |span: Span, text: &str| Label { span, text: text.to_string() };
        let mut labels = Vec::new();
        for index in self.entries_of(call.abi, call.nr) {
            let Some(entry) = self.policy.entries.get(index) else { continue };
            let asked = entry.comparisons.iter().filter(|c| Some(usize::from(c.value.arg)) == arg);
            let mut asked = asked.map(|comparison| comparison.span).peekable();
            if asked.peek().is_some() {
                labels.extend(asked.map(|span| label(span, text)));
            } else {
                labels.push(label(name_span(entry, call.name), text));
            }
        }
        if labels.is_empty() {
            labels.push(label(self.policy.default.span, "by the default"));
        }
        labels.retain(|label| label.span != Span::default());
        labels
    }
}

/// Where an entry names a call, or the entry.
pub(super) fn name_span(entry: &Entry, name: &str) -> Span {
    entry.names.iter().find(|n| n.value == name).map_or(entry.span, |n| n.span)
}

/// Whether edits can be given: the text is a JSON profile.
pub(super) fn is_json(written: Written<'_>) -> bool {
    written.policy.dialect.is_some()
        && written.text.trim_start_matches('\u{feff}').trim_start().starts_with('{')
}
