//! What decided a call, in words, with its place.

use callgate_bpf::{Action, ByteOrder, SeccompData, ShiftRule};
use callgate_diagnostic::Span;
use callgate_policy::{Comparison, Decision, Entry, Policy, Target};
use callgate_syscalls::Abi;

use crate::{
    commands::explain::conjunction,
    meaning::Origin,
    names::{abi_of, syscall_name},
    report::printable_name,
    source::Profile,
};

/// What decided.
#[derive(Clone, Debug)]
pub struct DecidedBy {
    /// Another filter than the one that all is about.
    pub filter: Option<String>,
    /// `allowed only with CAP_SYS_ADMIN (entry 27, p.json:4:17)`, behind the filter's name.
    pub text: String,
    /// The rule's own entry, or the first that would have allowed the call.
    pub entry: Option<usize>,
    /// Line and column of that entry, or of the default.
    pub place: Option<(usize, usize)>,
    /// Whether the entry itself refuses, rather than not allow.
    pub refuses: bool,
}

/// The verdict of the filter itself, not of the one that asks.
pub fn decide(origin: &Origin, target: &Target, data: &SeccompData) -> (Action, DecidedBy) {
    match origin {
        Origin::Profile { profile, ruleset } => {
            let (action, decision) = ruleset.decide(data);
            let words = Words { profile, data };
            let by = match (&profile.policy, decision) {
                (Some(policy), Decision::Rule(rule)) => {
                    words.entry(policy, rule.entry, &rule.comparisons)
                }
                (Some(policy), Decision::Default) => words.default(policy, target),
                (_, Decision::Newer) => words.plain("newer than every call that it names"),
                (_, Decision::OtherAbi) => words.plain(&format!(
                    "a call of {}, an architecture that it does not speak of",
                    abi_of(data.arch, data.nr).map_or_else(
                        || format!("architecture {:#x}", data.arch.0),
                        |abi| abi.name().to_owned()
                    )
                )),
                _ => words.plain("its default"),
            };
            (action, by)
        }
        Origin::Program(program) => {
            let shifts = ShiftRule::of_kernel(data.arch);
            let run = program.run_traced(&data.words(ByteOrder::NATIVE), shifts);
            let text = format!("instruction {}", run.path.last().copied().unwrap_or(0));
            let by = DecidedBy { filter: None, text, entry: None, place: None, refuses: false };
            (run.action.action(), by)
        }
        Origin::Stack(_) => {
            let text = "several filters".to_owned();
            (
                Action::KillProcess,
                DecidedBy { filter: None, text, entry: None, place: None, refuses: false },
            )
        }
    }
}

struct Words<'w> {
    profile: &'w Profile,
    data: &'w SeccompData,
}

impl Words<'_> {
    fn plain(&self, text: &str) -> DecidedBy {
        DecidedBy { filter: None, text: text.to_owned(), entry: None, place: None, refuses: false }
    }

    /// A rule of an entry decided.
    fn entry(&self, policy: &Policy, index: usize, comparisons: &[Comparison]) -> DecidedBy {
        let reason = match self.condition(comparisons) {
            Some(condition) => format!("refused when {condition}"),
            None => "refused by name".to_owned(),
        };
        self.with_entry(policy, index, &reason, true)
    }

    /// No rule took the call: of entries that name it, what they ask for.
    fn default(&self, policy: &Policy, target: &Target) -> DecidedBy {
        let Some(name) = syscall_name(self.data.arch, self.data.nr) else {
            return self.at_default(policy, "its default, for a number without a name");
        };
        let mut conditions = Vec::new();
        let mut first = None;
        for (index, entry) in policy.entries.iter().enumerate() {
            let names_it = entry.names.iter().any(|n| n.value == name);
            if names_it
                && entry.action.value.runs_call()
                && let Some(condition) = self.asked(entry, target)
            {
                first.get_or_insert(index);
                conditions.push(condition);
            }
        }
        match first {
            Some(index) => {
                conditions.dedup();
                let reason = format!("allowed only {}", conditions.join(", or "));
                self.with_entry(policy, index, &reason, false)
            }
            None => self.at_default(policy, "its default, as no entry allows it"),
        }
    }

    /// What an entry that allows the call wants, which was not so.
    fn asked(&self, entry: &Entry, target: &Target) -> Option<String> {
        if entry.applies_to(target) {
            let comparisons: Vec<Comparison> = entry.comparisons.iter().map(|c| c.value).collect();
            return self.condition(&comparisons).map(|condition| format!("when {condition}"));
        }
        let has = |cap| target.capabilities.contains(cap);
        let names = |condition: &callgate_policy::Condition, held: bool| {
            let caps = condition.caps.iter().map(|cap| cap.value);
            let caps = caps.filter(|&cap| has(cap) == held).map(|cap| cap.name());
            caps.collect::<Vec<_>>()
        };
        let (missing, excluded) = (names(&entry.includes, false), names(&entry.excludes, true));
        Some(match (missing.is_empty(), excluded.is_empty()) {
            (false, _) => format!("with {}", missing.join(" and ")),
            (true, false) => format!("without {}", excluded.join(" and ")),
            (true, true) => "on another machine or kernel".to_owned(),
        })
    }

    fn condition(&self, comparisons: &[Comparison]) -> Option<String> {
        let abi: Abi = abi_of(self.data.arch, self.data.nr)?;
        let name = abi.name_of(self.data.nr)?;
        (!comparisons.is_empty()).then(|| conjunction(abi, name, comparisons))
    }

    fn with_entry(&self, policy: &Policy, index: usize, reason: &str, refuses: bool) -> DecidedBy {
        let span = policy.entries.get(index).map_or_else(Span::default, |entry| entry.span);
        let (line, column) = span.line_and_column(&self.profile.text);
        let file = printable_name(&self.profile.name);
        DecidedBy {
            filter: None,
            text: format!("{reason} (entry {index}, {file}:{line}:{column})"),
            entry: Some(index),
            place: Some((line, column)),
            refuses,
        }
    }

    fn at_default(&self, policy: &Policy, reason: &str) -> DecidedBy {
        let (line, column) = policy.default.span.line_and_column(&self.profile.text);
        let file = printable_name(&self.profile.name);
        DecidedBy {
            filter: None,
            text: format!("{reason} ({file}:{line}:{column})"),
            entry: None,
            place: Some((line, column)),
            refuses: false,
        }
    }
}
