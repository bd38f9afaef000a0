//! Changes to the rules of ABIs that keep what they say, or as much of it as a format has words for.

use std::collections::BTreeMap;

use callgate_bpf::{Action, SyscallNr};
use callgate_policy::{AbiRules, ArgIndex, Comparison, Rule, Ruleset, Test};
use callgate_syscalls::Abi;

/// The verdict on newer calls, said of each that has a name: a language of its own has no other
/// way.
pub fn name_newer(table: &mut AbiRules) {
    let Some(newer) = table.newer.take() else { return };
    let rule = always(newer.action);
    let named = table.abi.syscalls().filter(|(nr, _)| newer.takes(*nr));
    table.rules.extend(named.map(|(nr, _)| (nr, vec![rule.clone()])));
}

/// The rule that takes every call.
pub fn always(action: Action) -> Rule {
    Rule { action, comparisons: Vec::new(), entry: 0 }
}

/// Another default: what had the old one keeps it by name.
pub fn set_default(table: &mut AbiRules, default: Action) {
    if table.default == default {
        return;
    }
    let old = always(table.default);
    for (nr, _) in table.abi.syscalls() {
        let rules = table.rules.entry(nr).or_default();
        if !rules.iter().any(Rule::is_unconditional) {
            rules.push(old.clone());
        }
    }
    table.default = default;
}

/// A table for x32 in which everything has the default, for formats that cannot leave x32 out.
pub fn add_x32(ruleset: &mut Ruleset) {
    let has = |abi: Abi| ruleset.abis.iter().find(|table| table.abi == abi);
    if let (Some(table), None) = (has(Abi::X86_64), has(Abi::X32)) {
        let table =
            AbiRules { abi: Abi::X32, default: table.default, rules: BTreeMap::new(), newer: None };
        ruleset.abis.push(table);
    }
}

/// The calls behind which others are.
pub const WAYS: [&str; 2] = ["socketcall", "ipc"];

/// Gives `socketcall` and `ipc` the rules of the calls behind them.
pub fn follow_ways(ruleset: &mut Ruleset) {
    let of_name = |name: &str, table: &AbiRules| {
        let rules = table.rules.get(&table.abi.number(name)?);
        // A call that still asks something of its arguments is refused for that.
        Some(rules.and_then(|rules| rules.last()).map_or(table.default, |rule| rule.action))
    };
    let tables = ruleset.abis.clone();
    for table in &mut ruleset.abis {
        let ways: Vec<SyscallNr> = WAYS.iter().filter_map(|way| table.abi.number(way)).collect();
        ways.iter().for_each(|way| drop(table.rules.remove(way)));
        for name in callgate_syscalls::all_names() {
            let Some(way) = table.abi.multiplexer(name) else { continue };
            // What an ABI has through `socketcall` alone is treated as on another.
            let verdict = std::iter::once(&*table).chain(&tables);
            let action = verdict.into_iter().find_map(|table| of_name(name, table));
            let Some(action) = action.filter(|action| *action != table.default) else { continue };
            let test = Test::Eq(u64::from(way.call));
            let comparisons = vec![Comparison::full(ArgIndex::ALL[0], test)];
            let rule = Rule { action, comparisons, entry: 0 };
            table.rules.entry(way.nr).or_default().push(rule);
        }
    }
}

/// Whether `socketcall` or `ipc` reaches a call too.
pub fn is_behind(ruleset: &Ruleset, name: &str) -> bool {
    ruleset.abis.iter().any(|table| table.abi.multiplexer(name).is_some())
}

/// The rules without the ABIs that have such ways: whether a format takes those depends on all
/// rules together.
pub fn without_ways(ruleset: &Ruleset) -> Ruleset {
    let mut ruleset = ruleset.clone();
    let has = |table: &AbiRules| WAYS.iter().any(|way| table.abi.number(way).is_some());
    ruleset.abis.retain(|table| !has(table));
    ruleset
}

/// The rules of these names alone.
pub fn only(ruleset: &Ruleset, names: &[&str]) -> Ruleset {
    let mut ruleset = ruleset.clone();
    for table in &mut ruleset.abis {
        let numbers: Vec<SyscallNr> =
            names.iter().filter_map(|name| table.abi.number(name)).collect();
        table.rules.retain(|nr, _| numbers.contains(nr));
    }
    ruleset
}
