//! Whether a text means what the policy means: it is read back, and the rules are compared.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    vec::Vec,
};

use callgate_bpf::{Action, SyscallNr};
use callgate_diagnostic::Diagnostic;
use callgate_syscalls::{CapabilitySet, KernelVersion};

use super::{super::reader, fit::Scope, name_span};
use crate::{AbiRules, Comparison, NewerCalls, Policy, Rule, Target};

/// Where a text means something else than a policy; none when it means the same.
///
/// Only the ways through `socketcall` and `ipc` can differ: systemd has a rule for each of them
/// that a policy may lack, and the other way round.
pub(super) fn difference(policy: &Policy, scope: &Scope, text: &str) -> Option<Diagnostic> {
    let target = Target {
        native: scope.abis.first().copied()?,
        abis: Some(scope.abis.clone()),
        capabilities: CapabilitySet::EMPTY,
        kernel: KernelVersion::new(0, 0),
        newer: NewerCalls::Default,
    };
    let wanted = policy.resolve(&target).ruleset;
    let read = reader::read(text).policy.and_then(|policy| policy.resolve(&target).ruleset);
    let (Some(wanted), Some(read)) = (wanted, read) else {
        let why = "the policy has errors of its own";
        return Some(Diagnostic::error("cannot-write", why).at(policy.default.span, ""));
    };
    let tables = wanted.abis.iter().zip(&read.abis);
    let (abi, nr) = tables.into_iter().find_map(|(a, b)| Some((a.abi, unlike(a, b)?)))?;
    let name = abi.name_of(nr).unwrap_or("a call");
    let why = format!("the calls behind `{name}` on {abi} are not treated as the calls themselves");
    Some(
        Diagnostic::error("cannot-write", why)
            .at(name_span(policy, name), "can't be said in a unit file")
            .help("systemd has one verdict on a call and on the way to it through `socketcall` or `ipc`"),
    )
}

/// A number that two tables treat differently.
fn unlike(a: &AbiRules, b: &AbiRules) -> Option<SyscallNr> {
    let numbers: BTreeSet<SyscallNr> = a.rules.keys().chain(b.rules.keys()).copied().collect();
    let of = |table: &AbiRules, nr: SyscallNr| {
        normal(table.rules.get(&nr).map_or(&[][..], Vec::as_slice), table.default)
    };
    numbers.into_iter().find(|nr| of(a, *nr) != of(b, *nr))
}

/// Verdicts on values of arguments, and on the rest.
type Normal = (BTreeMap<Vec<(u8, u64)>, Action>, Action);

/// Rules that ask for equality, in a form in which equal meanings are equal.
fn normal(rules: &[Rule], default: Action) -> Normal {
    let always = rules.iter().position(Rule::is_unconditional);
    let last = always.map_or(default, |at| rules[at].action);
    let mut apart: BTreeMap<Vec<(u8, u64)>, Action> = BTreeMap::new();
    for rule in &rules[..always.unwrap_or(rules.len())] {
        let value = |c: &Comparison| (c.arg.get(), c.test.constants().next().unwrap_or(0));
        apart.entry(rule.comparisons.iter().map(value).collect()).or_insert(rule.action);
    }
    apart.retain(|_, action| *action != last);
    (apart, last)
}
