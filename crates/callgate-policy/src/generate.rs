//! Random rulesets, and calls on the limits of their rules, for tests.
//!
//! Deterministic: a seed gives the same rules on every machine. It needs the feature `testing`
//! and may change with every version.

use alloc::{collections::BTreeMap, vec, vec::Vec};

use callgate_bpf::{Action, SeccompData, SyscallNr, generate::Rng};
use callgate_syscalls::Abi;

use crate::{AbiRules, ArgIndex, Comparison, Newer, Rule, Ruleset, Test};

/// Which rulesets to make.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The ABIs to choose from; all of one byte order.
    pub abis: &'static [Abi],
    /// Rules are for numbers from here on.
    pub first_number: u32,
    /// Numbers with rules, at most.
    pub numbers: usize,
    /// Rules of a number, at most.
    pub rules: usize,
    /// The verdict on what no rule takes; random where there is none.
    pub default: Option<Action>,
}

const ACTIONS: [Action; 9] = [
    Action::Allow,
    Action::Errno(1),
    Action::Errno(2),
    Action::Errno(38),
    Action::KillProcess,
    Action::KillThread,
    Action::Trap(7),
    Action::Trace(9),
    Action::Log,
];

/// A random ruleset: all operators, one and two words, several rules a number, and the rule on
/// newer calls.
pub fn ruleset(rng: &mut Rng, shape: &Shape) -> Ruleset {
    let mut abis: Vec<Abi> = Vec::new();
    for _ in 0..=rng.below(shape.abis.len()) {
        let abi = rng.pick(shape.abis);
        if !abis.contains(&abi) {
            abis.push(abi);
        }
    }
    let default = shape.default.unwrap_or_else(|| rng.pick(&ACTIONS));
    Ruleset {
        abis: abis.into_iter().map(|abi| table(rng, shape, abi, default)).collect(),
        other: rng.pick(&[Action::KillThread, Action::KillProcess, Action::Errno(5)]),
        flags: Vec::new(),
    }
}

fn table(rng: &mut Rng, shape: &Shape, abi: Abi, default: Action) -> AbiRules {
    let mut rules = BTreeMap::new();
    for _ in 0..rng.below(shape.numbers + 1) {
        let spread = if rng.one_in(3) { 400 } else { 12 };
        let offset = u32::try_from(rng.below(spread)).unwrap_or(0);
        let x32 = if abi == Abi::X32 { SyscallNr::X32_BIT } else { 0 };
        let list = (0..=rng.below(shape.rules)).map(|entry| rule(rng, entry)).collect();
        rules.insert(SyscallNr((shape.first_number + offset) | x32), list);
    }
    let last = rules.keys().next_back().copied();
    let newer = last.filter(|_| shape.default.is_none() && rng.one_in(2)).map(|last| Newer {
        last,
        action: Action::Errno(38),
        also: rng.one_in(4).then_some(SyscallNr(0)),
    });
    AbiRules { abi, default, rules, newer }
}

fn rule(rng: &mut Rng, entry: usize) -> Rule {
    let mut comparisons: Vec<Comparison> = Vec::new();
    for _ in 0..rng.below(4) {
        let arg = rng.pick(&ArgIndex::ALL[..3]);
        let test = test(rng);
        comparisons.push(if rng.one_in(4) {
            Comparison::low32(arg, test)
        } else {
            Comparison::full(arg, test)
        });
    }
    Rule { action: rng.pick(&ACTIONS), comparisons, entry }
}

fn test(rng: &mut Rng) -> Test {
    let value = constant(rng);
    match rng.below(8) {
        0 => Test::Ne(value),
        1 => Test::Lt(value),
        2 => Test::Le(value),
        3 => Test::Ge(value),
        4 => Test::Gt(value),
        5 => Test::MaskedEq { mask: constant(rng), value },
        6 => {
            let mask = constant(rng);
            Test::MaskedEq { mask, value: value & mask }
        }
        _ => Test::Eq(value),
    }
}

fn constant(rng: &mut Rng) -> u64 {
    let small = rng.pick(&[0, 1, 2, 3, 8, 38, 40, 0xff, 0x1000, 0x7e02_0000, 0x8000_0000]);
    match rng.below(6) {
        0 => rng.next_u64(),
        1 => rng.pick(&[u64::MAX, u64::from(u32::MAX), 1 << 32, 1 << 63, (1 << 32) + 40]),
        2 => small << 32,
        _ => small,
    }
}

/// Calls around the numbers and constants of a ruleset, some of no architecture it knows.
pub fn calls(rng: &mut Rng, ruleset: &Ruleset, count: usize) -> Vec<SeccompData> {
    let mut numbers = vec![0, 1, 59, SyscallNr::X32_BIT, 0x8000_0000, 0xc000_0000, u32::MAX];
    let mut constants = vec![0, 1, u64::MAX, 1 << 32];
    let mut architectures = vec![callgate_bpf::Architecture(0)];
    for table in &ruleset.abis {
        architectures.extend([table.abi.audit(); 6]);
        numbers.extend(table.newer.iter().map(|newer| newer.last.0));
        for (nr, rules) in &table.rules {
            numbers.extend([nr.0; 4]);
            for comparison in rules.iter().flat_map(|rule| &rule.comparisons) {
                constants.extend(comparison.test.constants());
            }
        }
    }
    let argument = |rng: &mut Rng| {
        let constant = rng.pick(&constants);
        match rng.below(8) {
            0 => constant.wrapping_add(1),
            1 => constant.wrapping_sub(1),
            2 => constant ^ 1 << rng.below(64),
            3 => constant.rotate_left(32),
            4 => constant | rng.next_u64() << 32,
            _ => constant,
        }
    };
    (0..count)
        .map(|_| {
            let near = rng.pick(&[0, 0, 0, 0, 1, u32::MAX]);
            let nr = rng.pick(&numbers).wrapping_add(near);
            let mut data = SeccompData::new(rng.pick(&architectures), SyscallNr(nr));
            data.args = core::array::from_fn(|_| argument(rng));
            data
        })
        .collect()
}
