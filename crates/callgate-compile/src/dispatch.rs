//! Which tests tell the runs of a word apart at least cost.
//!
//! A word's values fall into *runs* that are treated alike. A tree over them is made of two
//! things: a threshold, which splits the runs in two, and a [chain](chain) of equalities, which
//! picks single values out and leaves one outcome for all the rest. What a chain takes out closes
//! the gap: `allow 0-9, refuse 10, allow 11-20` is one test with it, and two thresholds without.
//!
//! The best tree is found by dynamic programming over (first run, last run), exact for as many
//! runs as there are in any profile; more are cut in pieces at the middle of their weight first.

mod chain;
mod plan;
mod table;

use alloc::{boxed::Box, vec::Vec};

use callgate_bpf::Condition;

pub(crate) use self::plan::Plan;

/// Neighbouring values that are treated alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first: u32,
    pub(crate) last: u32,
    /// What becomes of them; equal numbers are the same.
    pub(crate) class: u32,
    /// How often a value lies here, in any unit.
    pub(crate) weight: u64,
    /// Instructions executed behind the tree at worst.
    pub(crate) depth: u32,
}

impl Run {
    pub(crate) fn is_single(&self) -> bool {
        self.first == self.last
    }
}

/// What counts how much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Price {
    /// An instruction in the program, in 1/256 of an instruction executed for every value.
    pub(crate) size: u64,
    /// An instruction more in the worst case, in the same unit.
    pub(crate) worst: u64,
    /// The longest chain of equalities.
    pub(crate) chain: usize,
    /// Whether a chain may clear a bit, so that one equality picks two values.
    pub(crate) pairs: bool,
}

impl Price {
    /// The same where there is much to do.
    pub(crate) fn quick(self) -> Price {
        Price { worst: 0, chain: self.chain.min(8), pairs: false, ..self }
    }
}

/// The sum of all weights while a tree is looked for.
const TOTAL: u64 = 1 << 18;

/// Up to so many runs the tree is exact, and pieces of more are of this length, or the shorter one
/// where there are very many.
const EXACT: usize = 128;
const SHORT: usize = 32;

/// Up to so many runs the worst case is looked at as well.
const BOUNDED: usize = 64;

/// The best plan for runs that cover a range without gaps, neighbours of different classes.
pub(crate) fn plan(runs: &[Run], price: Price) -> Plan {
    if price.chain > 0
        && let Some(plan) = obvious(runs)
    {
        return plan;
    }
    let total: u128 = runs.iter().map(|run| u128::from(run.weight)).sum::<u128>().max(1);
    let scale = |weight: u64| {
        let scaled = u128::from(weight) * u128::from(TOTAL) / total;
        u64::try_from(scaled).unwrap_or(TOTAL).max(1)
    };
    let scaled: Vec<Run> =
        runs.iter().map(|run| Run { weight: scale(run.weight), ..*run }).collect();
    if runs.len() <= EXACT {
        return table::best(&scaled, price);
    }
    let exact = if runs.len() > 8 * EXACT { SHORT } else { EXACT };
    cut(&scaled, price.quick(), exact)
}

/// The fewest tests by which thresholds and equalities tell the runs apart: one for each limit
/// between two, but that an equality does for both limits of a single value.
pub(crate) fn fewest_tests(runs: &[Run]) -> u64 {
    let limits = runs.len().saturating_sub(1);
    let (mut singles, mut saves) = (0, false);
    for run in runs.iter().take(limits).skip(1) {
        // Neighbours share a limit, so only one of them saves a test.
        saves = run.is_single() && !saves;
        singles += u64::from(saves);
    }
    u64::try_from(limits).unwrap_or(u64::MAX) - singles
}

/// The plan where there is nothing to choose.
fn obvious(runs: &[Run]) -> Option<Plan> {
    match runs {
        [only] => Some(Plan::Class(only.class)),
        [one, rest] | [rest, one] if one.is_single() => {
            Some(Plan::equal(one.first, one.class, Plan::Class(rest.class)))
        }
        [low, high] => Some(threshold(high.first, Plan::Class(low.class), Plan::Class(high.class))),
        [low, one, high] if low.class == high.class && one.is_single() => {
            Some(Plan::equal(one.first, one.class, Plan::Class(low.class)))
        }
        _ => None,
    }
}

/// Cuts at the middle of the weight until the pieces are small enough.
fn cut(runs: &[Run], price: Price, exact: usize) -> Plan {
    if runs.len() <= exact {
        return table::best(runs, price);
    }
    let total: u64 = runs.iter().map(|run| run.weight + 1).sum();
    let mut sum = 0;
    let middle = runs.iter().position(|run| {
        sum += run.weight + 1;
        2 * sum >= total
    });
    // A quarter on each side at least, so that the depth stays logarithmic.
    let quarter = runs.len() / 4;
    let at = middle.unwrap_or(0).clamp(quarter, runs.len() - quarter);
    let (low, high) = runs.split_at(at);
    threshold(runs[at].first, cut(low, price, exact), cut(high, price, exact))
}

/// Values from `first` on go high.
fn threshold(first: u32, low: Plan, high: Plan) -> Plan {
    // A constant from 2^31 up takes the kernel an instruction more.
    let (condition, k) = match first {
        0x8000_0000 => (Condition::Gt, first - 1),
        _ => (Condition::Ge, first),
    };
    Plan::Test { condition, k, then: Box::new(high), otherwise: Box::new(low) }
}

#[cfg(test)]
mod tests;
