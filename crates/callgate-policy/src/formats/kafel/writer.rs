//! From a policy to Kafel's language.

mod condition;
mod fit;
mod text;

use alloc::{collections::BTreeMap, format, string::String, vec::Vec};

use callgate_bpf::Action;
use callgate_diagnostic::Diagnostic;
use callgate_syscalls::Abi;

use self::{
    condition::{Clause, Condition, condition},
    fit::Scope,
};
use super::{calls, names};
use crate::{Comparison, Entry, Policy, Test};

pub(super) fn write(policy: &Policy) -> Result<String, Vec<Diagnostic>> {
    let scope = Scope::of(policy);
    let unfit = fit::unfit(policy, &scope);
    if !unfit.is_empty() {
        return Err(unfit);
    }
    let same_action = |a: &Entry, b: &Entry| a.action.value == b.action.value;
    let blocks: Vec<Block> = policy
        .entries
        .chunk_by(same_action)
        .map(|entries| Block::of(entries, &scope))
        .filter(|block| !block.rules.is_empty())
        .collect();
    Ok(text::policy(&blocks, &scope, policy.default.value))
}

/// The rules of entries that follow each other and have one action. Their order does not matter.
struct Block {
    action: Action,
    rules: Vec<Rule>,
}

/// A call as it is written.
struct Rule {
    /// `read`, `SYSCALL[0x40000208]`.
    call: String,
    /// The name of a call that is written by its number.
    remark: Option<&'static str>,
    /// `(a0, a1)`, or nothing.
    arguments: String,
    /// For the architectures that it is not for all of.
    guard: Option<Vec<&'static str>>,
    /// One must hold; none means always.
    conditions: Vec<String>,
}

/// What sets a rule apart: the call, its arguments, its condition.
type Key = (String, String, Option<String>);

impl Block {
    fn of(entries: &[Entry], scope: &Scope) -> Block {
        let mut order: Vec<(Key, Option<&'static str>, Vec<Abi>)> = Vec::new();
        let mut known: BTreeMap<Key, usize> = BTreeMap::new();
        for alike in entries.chunk_by(differ_in_a_bit) {
            let entry = &alike[0];
            let clauses = clauses(alike);
            for name in &entry.names {
                for abi in scope.abis_of(entry) {
                    let Some((call, remark)) = call(abi, &name.value) else {
                        continue;
                    };
                    let Condition::Holds { arguments, text } =
                        condition(abi, &name.value, remark.is_some(), &clauses)
                    else {
                        continue;
                    };
                    let key = (call, arguments, text);
                    let at = *known.entry(key.clone()).or_insert_with(|| {
                        order.push((key, remark, Vec::new()));
                        order.len() - 1
                    });
                    // A filter for x86_64 sees x32's calls as its own.
                    let abi = if abi == Abi::X32 { Abi::X86_64 } else { abi };
                    if !order[at].2.contains(&abi) {
                        order[at].2.push(abi);
                    }
                }
            }
        }
        let mut rules: Vec<Rule> = Vec::new();
        for ((call, arguments, text), remark, abis) in order {
            let guard = scope.guard(&call, remark.is_some(), &abis);
            if let (Some(text), Some(last)) = (&text, rules.last_mut())
                && (&last.call, &last.arguments, &last.guard) == (&call, &arguments, &guard)
                && !last.conditions.is_empty()
                && last.conditions.len() < MOST_JOINED
            {
                last.conditions.push(text.clone());
                continue;
            }
            let conditions = text.into_iter().collect();
            rules.push(Rule { call, remark, arguments, guard, conditions });
        }
        Block { action: entries[0].action.value, rules }
    }
}

/// Whether two entries that follow each other ask for one bit of the same argument each: the
/// reader makes such a row of `(flags & 6) != 0`.
fn differ_in_a_bit(a: &Entry, b: &Entry) -> bool {
    let names = |entry: &Entry| -> Vec<String> {
        entry.names.iter().map(|name| name.value.clone()).collect()
    };
    match (one_bit(a), one_bit(b)) {
        (Some(first), Some(second)) => {
            (first.arg, first.width) == (second.arg, second.width)
                && mask(first) < mask(second)
                && a.abis == b.abis
                && names(a) == names(b)
        }
        _ => false,
    }
}

/// The only comparison of an entry, if it asks for one bit that every ABI looks at.
fn one_bit(entry: &Entry) -> Option<Comparison> {
    let is_bit = |mask: u64| mask.is_power_of_two() && mask <= u64::from(u32::MAX);
    match entry.comparisons[..] {
        [one] if is_bit(mask(one.value)) => Some(one.value),
        _ => None,
    }
}

/// The mask of a comparison that has one; another has 0.
fn mask(comparison: Comparison) -> u64 {
    match comparison.test {
        Test::MaskedEq { mask, value } if value & !mask == 0 => mask,
        _ => 0,
    }
}

/// What a row of entries asks for.
fn clauses(alike: &[Entry]) -> Vec<Clause> {
    let bits: Vec<Comparison> = alike.iter().filter_map(one_bit).collect();
    if let [first, _, ..] = bits[..] {
        let all = bits.iter().fold(0, |all, one| all | mask(*one));
        let wanted = bits.iter().fold(0, |all, one| match one.test {
            Test::MaskedEq { value, .. } => all | value,
            _ => all,
        });
        let differs = Test::MaskedEq { mask: all, value: all & !wanted };
        return Vec::from([Clause::Not(Comparison { test: differs, ..first })]);
    }
    alike[0].comparisons.iter().map(|comparison| Clause::Is(comparison.value)).collect()
}

/// Conditions in the braces of one call, at most. Kafel counts each among the levels that it
/// bounds.
const MOST_JOINED: usize = 100;

/// How a call of an ABI is written, and the name of one that is written as a number: x32's, and
/// those whose name is no identifier.
fn call(abi: Abi, name: &str) -> Option<(String, Option<&'static str>)> {
    let nr = abi.number(name)?;
    let known = callgate_syscalls::syscall(name)?.name;
    let kafel = names::kafel_name(abi, known);
    if abi != Abi::X32 && kafel.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Some((kafel, None));
    }
    Some((format!("SYSCALL[{nr}]"), Some(known)))
}

impl Scope {
    /// The guard that keeps a rule to these architectures.
    fn guard(&self, call: &str, by_number: bool, abis: &[Abi]) -> Option<Vec<&'static str>> {
        let all = if self.listed || by_number {
            // Kafel refuses a name that one of its targets lacks.
            self.targets.clone()
        } else {
            calls::targets_of(call)
        };
        let covers = all.iter().all(|abi| abis.contains(abi));
        if covers || (self.listed && self.targets.len() == 1) {
            return None;
        }
        let guarded = names::ARCHITECTURES.iter().filter(|(abi, _)| abis.contains(abi));
        Some(guarded.map(|(_, words)| words[0]).collect())
    }
}

/// The word of an action.
fn action_text(action: Action) -> Option<String> {
    Some(match action {
        Action::Allow => String::from("ALLOW"),
        Action::Log => String::from("LOG"),
        Action::KillThread => String::from("KILL"),
        Action::KillProcess => String::from("KILL_PROCESS"),
        Action::UserNotif => String::from("USER_NOTIF"),
        Action::Errno(number) => format!("ERRNO({number})"),
        Action::Trap(number) => format!("TRAP({number})"),
        Action::Trace(number) => format!("TRACE({number})"),
        _ => return None,
    })
}
