//! Whether libseccomp's order of rules means what a first-match policy says.
//!
//! The policy is resolved twice, as it stands and as if it were a container profile, whose rules
//! combine as in libseccomp; then the two lists of each number are compared. Lists are alike when
//! they have the same rules and no two of them that exchanged places can both hold.

use alloc::{collections::BTreeSet, format, vec::Vec};

use callgate_bpf::{Action, SyscallNr};
use callgate_diagnostic::Diagnostic;
use callgate_syscalls::{Abi, CapabilitySet, KernelVersion};

use super::fit;
use crate::{
    AbiRules, Architectures, Comparison, Dialect, Entry, NewerCalls, Policy, Rule, Target, Test,
};

/// Longer lists than this are refused: they would be compared pair by pair.
const MOST_RULES: usize = 512;

/// # Errors
///
/// `cannot-write`, where libseccomp would decide otherwise.
pub(super) fn check(policy: &Policy) -> Result<(), Vec<Diagnostic>> {
    if policy.dialect.is_some() {
        return Ok(());
    }
    let mut abis = fit::listed(policy);
    if abis.is_empty() {
        // Whatever machine it will be.
        abis.extend(Abi::ALL.iter().copied().filter(|abi| abi.oci_name().is_some()));
    }
    let target = Target {
        native: abis[0],
        abis: Some(abis),
        capabilities: CapabilitySet::EMPTY,
        kernel: KernelVersion::new(0, 0),
        newer: NewerCalls::Default,
    };
    // The lists differ in what is left out as equal to the default, so the architectures' own
    // entries are kept: they were checked before.
    let combined = Policy {
        dialect: Some(Dialect::Oci),
        architectures: Architectures::Native,
        ..policy.clone()
    };
    let first_match = policy.resolve(&target);
    let combined = combined.resolve(&target);
    let (Some(a), Some(b)) = (first_match.ruleset, combined.ruleset) else {
        let all = first_match.diagnostics.into_iter().chain(combined.diagnostics);
        let why: Vec<_> = all.filter(Diagnostic::is_error).map(|error| error.message).collect();
        let message = format!("libseccomp refuses its rules: {}", why.join("; "));
        let place = policy.default.span;
        return Err(Vec::from([Diagnostic::error("cannot-write", message).at(place, "")]));
    };
    let tables = a.abis.iter().zip(&b.abis);
    match tables.into_iter().find_map(|(a, b)| Some((a.abi, unlike(a, b)?))) {
        None => Ok(()),
        Some((abi, nr)) => Err(Vec::from([refusal(policy, abi, nr)])),
    }
}

fn refusal(policy: &Policy, abi: Abi, nr: SyscallNr) -> Diagnostic {
    let name = abi.name_of(nr).unwrap_or("a call");
    let named = |entry: &&Entry| entry.names.iter().any(|known| known.value == name);
    let span = policy.entries.iter().find(named).map_or(policy.default.span, |entry| entry.span);
    if name == "socketcall" || name == "ipc" {
        let why = format!("libseccomp adds rules for `{name}` on {abi} that the policy lacks");
        return Diagnostic::error("cannot-write", why)
            .at(span, "can't be said to libseccomp")
            .help("a call that has such a way in has its rule there, too");
    }
    let why = format!("libseccomp would not take the rules of `{name}` in this order on {abi}");
    Diagnostic::error("cannot-write", why)
        .at(span, "can't be said to libseccomp")
        .help("rules of one call that exclude each other, or have one action, can be said")
}

/// A number that two tables treat differently, as far as this can tell.
fn unlike(a: &AbiRules, b: &AbiRules) -> Option<SyscallNr> {
    let numbers: BTreeSet<SyscallNr> = a.rules.keys().chain(b.rules.keys()).copied().collect();
    let of = |table: &AbiRules, nr: SyscallNr| -> Option<(Vec<Plain>, Action)> {
        let rules = table.rules.get(&nr).map_or(&[][..], Vec::as_slice);
        (rules.len() <= MOST_RULES).then(|| reduced(rules, table.default))
    };
    numbers.into_iter().find(|nr| match (of(a, *nr), of(b, *nr)) {
        (Some((a_rules, a_rest)), Some((b_rules, b_rest))) => {
            a_rest != b_rest || !alike(&a_rules, &b_rules, a.abi.arg_bits())
        }
        _ => true,
    })
}

/// A rule as it decides.
type Plain = (Action, Vec<Comparison>);

/// The rules that have an effect, and the verdict where none of them holds: no rule twice, and
/// none at the end that says what the rest gets.
fn reduced(rules: &[Rule], default: Action) -> (Vec<Plain>, Action) {
    let always = rules.iter().position(Rule::is_unconditional);
    let rest = always.map_or(default, |at| rules[at].action);
    let mut plain: Vec<Plain> = Vec::new();
    for rule in &rules[..always.unwrap_or(rules.len())] {
        let mut comparisons = rule.comparisons.clone();
        comparisons.sort_by_key(|comparison| comparison.arg);
        if !plain.iter().any(|known| known.1 == comparisons) {
            plain.push((rule.action, comparisons));
        }
    }
    while plain.last().is_some_and(|(action, _)| *action == rest) {
        plain.pop();
    }
    (plain, rest)
}

/// Whether two lists mean the same.
fn alike(a: &[Plain], b: &[Plain], bits: u32) -> bool {
    if a == b {
        return true;
    }
    if a.len() != b.len() {
        return false;
    }
    let places: Option<Vec<usize>> =
        a.iter().map(|rule| b.iter().position(|other| other == rule)).collect();
    let Some(places) = places else {
        return false;
    };
    (0..a.len()).all(|second| {
        (0..second).all(|first| {
            places[first] < places[second]
                || a[first].0 == a[second].0
                || exclude(&a[first].1, &a[second].1, bits)
        })
    })
}

/// Whether two conjunctions can't both hold, as far as masks and values tell.
fn exclude(a: &[Comparison], b: &[Comparison], bits: u32) -> bool {
    let masked = |comparison: &Comparison| {
        let (bits, test) = comparison.on(bits);
        let all = if bits == 32 { u64::from(u32::MAX) } else { u64::MAX };
        match test {
            Test::Eq(value) => Some((all, value)),
            Test::MaskedEq { mask, value } => Some((mask & all, value)),
            _ => None,
        }
    };
    a.iter().any(|one| {
        b.iter().filter(|other| other.arg == one.arg).any(|other| {
            match (masked(one), masked(other)) {
                (Some((mask_a, a)), Some((mask_b, b))) => (a ^ b) & mask_a & mask_b != 0,
                _ => false,
            }
        })
    })
}
