//! Rules in the words that the drivers of contenders understand.

use std::fmt::Write;

use callgate_bpf::Action;
use callgate_policy::{Comparison, Ruleset, Test, Width};
use callgate_syscalls::Abi;

/// A text that grows rule by rule.
pub struct Words {
    text: String,
    default: Action,
}

impl Words {
    /// No rules.
    pub fn new(default: Action, abis: impl Iterator<Item = Abi>) -> Words {
        let mut text = format!("default {:x}\n", default.raw().0);
        for abi in abis {
            let _ = writeln!(text, "arch {}", abi.name());
        }
        Words { text, default }
    }

    /// Adds a rule for a call, by its name or number; none that says what holds by default, which
    /// libseccomp does not take.
    pub fn rule(&mut self, call: &str, action: Action, comparisons: &[Comparison]) {
        if action == self.default {
            return;
        }
        let comparisons: String = comparisons.iter().map(comparison).collect();
        let _ = writeln!(self.text, "rule {call} {:x}{comparisons}", action.raw().0);
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.text
    }
}

/// Rules of one ABI, by number. Of several rules for a number all must have one action, since the
/// contenders do not ask them in order.
pub fn of_one_abi(ruleset: &Ruleset) -> String {
    let Some(table) = ruleset.abis.first() else { return String::new() };
    let mut words = Words::new(table.default, [table.abi].into_iter());
    for (number, rules) in &table.rules {
        for rule in rules {
            words.rule(&number.0.to_string(), rule.action, &rule.comparisons);
        }
    }
    words.into_text()
}

/// Index, `enum scmp_compare` of `seccomp.h`, and its two data.
fn comparison(comparison: &Comparison) -> String {
    /// What asks for the low half of an argument by a mask.
    const LOW: u64 = 0xffff_ffff;
    let (op, a, b) = match (comparison.width, comparison.test) {
        (Width::Low32, Test::Eq(value)) => (7, LOW, value & LOW),
        (Width::Low32, Test::MaskedEq { mask, value }) => (7, mask & LOW, value),
        (_, Test::Ne(value)) => (1, value, 0),
        (_, Test::Lt(value)) => (2, value, 0),
        (_, Test::Le(value)) => (3, value, 0),
        (_, Test::Eq(value)) => (4, value, 0),
        (_, Test::Ge(value)) => (5, value, 0),
        (_, Test::Gt(value)) => (6, value, 0),
        (_, Test::MaskedEq { mask, value }) => (7, mask, value),
    };
    format!(" {} {op} {a:x} {b:x}", comparison.arg.get())
}

#[cfg(test)]
mod tests {
    use callgate_bpf::SyscallNr;
    use callgate_policy::{AbiRules, ArgIndex, Rule};

    use super::*;

    #[test]
    fn rules_are_said_by_number_and_the_low_half_by_a_mask() {
        let arg = ArgIndex::ALL[1];
        let rule = |action, comparisons| vec![Rule { action, comparisons, entry: 0 }];
        let low = Comparison { arg, width: Width::Low32, test: Test::Eq(7) };
        let full = Comparison { arg, width: Width::Full, test: Test::Eq(7) };
        let table = AbiRules {
            abi: Abi::X86_64,
            default: Action::Errno(1),
            rules: [
                (SyscallNr(1), rule(Action::Allow, vec![])),
                (SyscallNr(2), rule(Action::Allow, vec![low, full])),
                (SyscallNr(3), rule(Action::Errno(1), vec![])),
            ]
            .into(),
            newer: None,
        };
        let ruleset = Ruleset { abis: vec![table], other: Action::KillThread, flags: vec![] };
        let text = "default 50001\narch x86_64\nrule 1 7fff0000\n\
                    rule 2 7fff0000 1 7 ffffffff 7 1 4 7 0\n";
        assert_eq!(of_one_abi(&ruleset), text);
    }
}
