//! Calls to try a program on: every number of each ABI, and the boundaries of its rules.

use callgate_bpf::{Action, SeccompData};
use callgate_policy::{AbiRules, Rule, Ruleset, Test};
use callgate_syscalls::Abi;

/// Calls of one ABI, with what the rules say of them.
pub struct Calls {
    /// The ABI.
    pub abi: Abi,
    /// One call of each number that the ABI has, its arguments 0.
    pub plain: Vec<(SeccompData, Action)>,
    /// Calls with arguments at the values of the rules and next to them.
    pub boundary: Vec<(SeccompData, Action)>,
}

impl Calls {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &(SeccompData, Action)> {
        self.plain.iter().chain(&self.boundary)
    }
}

/// The calls of each ABI that the rules speak of.
pub fn of(ruleset: &Ruleset) -> Vec<Calls> {
    ruleset.abis.iter().map(|table| of_abi(ruleset, table)).collect()
}

fn of_abi(ruleset: &Ruleset, table: &AbiRules) -> Calls {
    let answered = |data: SeccompData| (data, ruleset.decide(&data).0);
    let arch = table.abi.audit();
    let mut numbers: Vec<_> = table.abi.syscalls().map(|(nr, _)| nr).collect();
    // A number may have two names.
    numbers.dedup();
    let mut boundary = Vec::new();
    for (&nr, rules) in &table.rules {
        for rule in rules {
            let mut calls = vec![SeccompData::new(arch, nr)];
            vary(rule, &mut calls);
            boundary.extend(calls.into_iter().map(answered));
        }
    }
    let plain = numbers.into_iter().map(|nr| answered(SeccompData::new(arch, nr))).collect();
    Calls { abi: table.abi, plain, boundary }
}

/// Every way to give the rule's arguments one of their interesting values.
fn vary(rule: &Rule, calls: &mut Vec<SeccompData>) {
    for comparison in &rule.comparisons {
        let index = usize::from(comparison.arg);
        let values = interesting(comparison.test);
        *calls = calls
            .iter()
            .flat_map(|call| {
                values.iter().map(|&value| {
                    let mut call = *call;
                    call.args[index] = value;
                    call
                })
            })
            .collect();
    }
}

fn interesting(test: Test) -> Vec<u64> {
    const HIGH_BIT: u64 = 1 << 32;
    let mut values: Vec<u64> = test
        .constants()
        .flat_map(|k| [k.wrapping_sub(1), k, k.wrapping_add(1), !k, k ^ HIGH_BIT])
        .collect();
    values.sort_unstable();
    values.dedup();
    values
}
