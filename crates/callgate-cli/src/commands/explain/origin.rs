//! Where the verdict on a call comes from in a profile, and what other capabilities would make of it.

use callgate_bpf::{Action, SyscallNr};
use callgate_policy::{NumberVerdict, Policy, Ruleset};
use callgate_syscalls::{Abi, CapabilitySet};

use super::words::{self, Verdict};
use crate::{
    meaning::{Context, Meaning, Origin, entry_place},
    source::Profile,
    target::target_of,
};

/// What the lines of one call are made from.
pub struct Origins<'m> {
    profile: &'m Profile,
    /// The rules with one capability more, or less.
    otherwise: Vec<Otherwise>,
}

struct Otherwise {
    /// `with CAP_BPF`, `without CAP_CHOWN`.
    words: [&'static str; 2],
    ruleset: Ruleset,
}

impl Origins<'_> {
    /// None of a source that has no entries.
    pub fn of<'m>(context: &Context, meaning: &'m Meaning, name: &str) -> Option<Origins<'m>> {
        let Origin::Profile { profile, .. } = &meaning.origin else {
            return None;
        };
        let policy = profile.policy.as_ref()?;
        let mut target = target_of(profile, &context.target);
        let had = target.capabilities;
        let otherwise = asked_of(policy, name).iter().filter_map(|capability| {
            let one = CapabilitySet::of(&[capability]);
            let has = had.contains(capability);
            target.capabilities = if has { had.difference(one) } else { had.union(one) };
            let ruleset = policy.resolve(&target).ruleset?;
            let words = [if has { "without" } else { "with" }, capability.name()];
            Some(Otherwise { words, ruleset })
        });
        let otherwise = otherwise.collect();
        Some(Origins { profile, otherwise })
    }

    /// `entry 19 (web.json:62:5); with CAP_SYS_ADMIN there would be no condition`
    pub fn line(&self, abi: Abi, nr: SyscallNr, name: &str, verdict: NumberVerdict<'_>) -> String {
        let mut line = match verdict {
            NumberVerdict::Newer(_) => {
                "the rule on calls newer than every one that it names".to_owned()
            }
            NumberVerdict::OtherAbi(_) => {
                "the rule on architectures that it does not name".to_owned()
            }
            NumberVerdict::Rules { rules: [], .. } => "its default".to_owned(),
            NumberVerdict::Rules { rules, .. } => {
                let mut entries: Vec<usize> = rules.iter().map(|rule| rule.entry).collect();
                entries.sort_unstable();
                entries.dedup();
                let places = entries.into_iter().map(|index| entry_place(self.profile, index));
                places.collect::<Vec<String>>().join(", ")
            }
        };
        let before = words::verdicts(verdict);
        let mut effects: Vec<(&str, Vec<&str>, String)> = Vec::new();
        for Otherwise { words: [with, capability], ruleset } in &self.otherwise {
            let after = words::verdicts(ruleset.rules_for(abi.audit(), nr));
            if after == before {
                continue;
            }
            let effect = effect(&before, &after, abi, name);
            match effects.iter_mut().find(|(w, _, e)| (*w, e) == (*with, &effect)) {
                Some((_, capabilities, _)) => capabilities.push(capability),
                None => effects.push((with, vec![capability], effect)),
            }
        }
        for (with, capabilities, effect) in effects {
            line.push_str(&format!("; {with} {} {effect}", capabilities.join(" or ")));
        }
        line
    }
}

/// The capabilities that the entries on a call ask about.
fn asked_of(policy: &Policy, name: &str) -> CapabilitySet {
    let mut asked = CapabilitySet::EMPTY;
    let naming = policy.entries.iter().filter(|entry| entry.names.iter().any(|n| n.value == name));
    for entry in naming {
        let capabilities = entry.includes.caps.iter().chain(&entry.excludes.caps);
        capabilities.for_each(|capability| {
            asked.insert(capability.value);
        });
    }
    asked
}

/// What becomes of a call that had other verdicts before.
fn effect(before: &[Verdict], after: &[Verdict], abi: Abi, name: &str) -> String {
    match after {
        [only] if only.action.runs_call() && before.iter().any(|v| v.action == only.action) => {
            "there would be no condition".to_owned()
        }
        [only] => would_be(only.action),
        _ => {
            let parts = after.iter().map(|verdict| {
                let sentence = words::sentence(verdict.action);
                match verdict.condition(abi, name) {
                    Some(condition) => format!("{sentence} when {condition}"),
                    None => format!("{sentence} otherwise"),
                }
            });
            format!("it would be otherwise: {}", parts.collect::<Vec<String>>().join(", "))
        }
    }
}

fn would_be(action: Action) -> String {
    match action {
        Action::Allow | Action::Log | Action::Errno(1..) => {
            format!("it would be {}", words::sentence(action))
        }
        _ => format!("its verdict would be {action}"),
    }
}
