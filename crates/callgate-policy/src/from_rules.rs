//! From rules back to a policy: numbers get their names, and what is alike is said once.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::ToString,
    vec::Vec,
};
use core::fmt;

use callgate_bpf::{Action, SyscallNr};
use callgate_diagnostic::{Span, Spanned};
use callgate_syscalls::Abi;

use crate::{AbiRules, Architectures, Comparison, Condition, Dialect, Entry, Policy, Ruleset};

/// Why rules are not a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nameless {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Number(Abi, SyscallNr),
    Defaults(Abi, Abi),
}

impl core::error::Error for Nameless {}

impl fmt::Display for Nameless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Number(abi, nr) => {
                write!(f, "number {nr} has rules, and no system call of {} has it", abi.name())
            }
            Kind::Defaults(a, b) => {
                write!(f, "{} and {} have different defaults", a.name(), b.name())
            }
        }
    }
}

/// The rules of a number, without where they come from.
type Verdicts = Vec<(Action, Vec<Comparison>)>;

impl Policy {
    /// A policy of these rules. The verdict on newer calls is left out: a container dialect
    /// implies it, so there the call up to which the rules go is named, also where it has the
    /// default; another language has to say it for every call. Whoever writes the policy down
    /// compares what it then means.
    ///
    /// # Errors
    ///
    /// When a number with rules has no name, or the ABIs have different defaults.
    pub fn from_rules(ruleset: &Ruleset, dialect: Option<Dialect>) -> Result<Policy, Nameless> {
        let nowhere = Span::default();
        let default = common_default(&ruleset.abis)?;
        let mut groups: BTreeMap<(Vec<usize>, usize), Vec<&'static str>> = BTreeMap::new();
        let mut kinds: Vec<Verdicts> = Vec::new();
        let names = names(&ruleset.abis)?;
        let last = |table: &AbiRules| table.abi.name_of(table.newer?.last);
        let unnamed: BTreeSet<&str> =
            ruleset.abis.iter().filter_map(last).filter(|name| !names.contains(name)).collect();
        if dialect.is_some() && !unnamed.is_empty() {
            kinds.push(Vec::from([(default, Vec::new())]));
            groups.insert((Vec::new(), 0), unnamed.into_iter().collect());
        }
        for name in names {
            for (abis, verdicts) in by_verdicts(&ruleset.abis, name) {
                let kind = kinds.iter().position(|kind| *kind == verdicts).unwrap_or_else(|| {
                    kinds.push(verdicts);
                    kinds.len() - 1
                });
                groups.entry((abis, kind)).or_default().push(name);
            }
        }
        // Plain groups first, the largest first: what a reader wants to see.
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|((abis, kind), names)| {
            let plain = kinds[*kind].iter().all(|(_, comparisons)| comparisons.is_empty());
            (!plain, abis.len(), core::cmp::Reverse(names.len()))
        });
        let mut entries = Vec::new();
        for ((abis, kind), names) in groups {
            for (action, comparisons) in &kinds[kind] {
                entries.push(Entry {
                    names: names.iter().map(|n| Spanned::new(n.to_string(), nowhere)).collect(),
                    abis: abis.iter().map(|&index| ruleset.abis[index].abi).collect(),
                    action: Spanned::new(*action, nowhere),
                    comparisons: comparisons.iter().map(|&c| Spanned::new(c, nowhere)).collect(),
                    includes: Condition::default(),
                    excludes: Condition::default(),
                    comment: None,
                    span: nowhere,
                });
            }
        }
        let abis = ruleset.abis.iter().map(|table| Spanned::new(table.abi, nowhere));
        Ok(Policy {
            dialect,
            default: Spanned::new(default, nowhere),
            architectures: Architectures::List(abis.collect()),
            other: ruleset.other,
            flags: ruleset.flags.iter().map(|&flag| Spanned::new(flag, nowhere)).collect(),
            listener: None,
            entries,
        })
    }
}

fn common_default(tables: &[AbiRules]) -> Result<Action, Nameless> {
    let Some(first) = tables.first() else {
        return Ok(Action::KillThread);
    };
    match tables.iter().find(|table| table.default != first.default) {
        Some(other) => Err(Nameless { kind: Kind::Defaults(first.abi, other.abi) }),
        None => Ok(first.default),
    }
}

/// The names of all numbers that have rules.
fn names(tables: &[AbiRules]) -> Result<BTreeSet<&'static str>, Nameless> {
    let mut names = BTreeSet::new();
    for table in tables {
        for &nr in table.rules.keys() {
            let of_number = table.abi.syscalls_between(nr, nr);
            if of_number.len() == 0 {
                return Err(Nameless { kind: Kind::Number(table.abi, nr) });
            }
            names.extend(of_number.map(|(_, name)| name));
        }
    }
    Ok(names)
}

/// The kinds of rules that a name has, each with the ABIs that have it so; no ABIs where all that
/// know the name agree.
fn by_verdicts(tables: &[AbiRules], name: &str) -> Vec<(Vec<usize>, Verdicts)> {
    let mut kinds: Vec<(Vec<usize>, Verdicts)> = Vec::new();
    let mut known = 0;
    for (index, table) in tables.iter().enumerate() {
        let Some(nr) = table.abi.number(name) else {
            continue;
        };
        known += 1;
        let bits = table.abi.arg_bits();
        let rules = table.rules.get(&nr).map_or(&[][..], Vec::as_slice);
        let verdicts: Verdicts =
            rules.iter().map(|rule| (rule.action, rule.comparisons.clone())).collect();
        let same = |other: &Verdicts, of: usize| {
            let narrow = bits.min(tables[of].abi.arg_bits());
            other.len() == verdicts.len()
                && other.iter().zip(&verdicts).all(|(a, b)| {
                    a.0 == b.0
                        && a.1.len() == b.1.len()
                        && a.1
                            .iter()
                            .zip(&b.1)
                            .all(|(a, b)| a.arg == b.arg && a.on(narrow) == b.on(narrow))
                })
        };
        match kinds.iter_mut().find(|(of, other)| same(other, of[0])) {
            Some((of, kept)) => {
                // The wider ABI says more.
                if bits > tables[of[0]].abi.arg_bits() {
                    *kept = verdicts;
                    of.insert(0, index);
                } else {
                    of.push(index);
                }
            }
            None => kinds.push((alloc::vec![index], verdicts)),
        }
    }
    if let [(of, _)] = &mut kinds[..]
        && of.len() == known
    {
        of.clear();
    }
    kinds.retain(|(_, verdicts)| !verdicts.is_empty());
    kinds
}
