//! Chains of equalities.
//!
//! All runs but those of one class are single values, picked out by an equality each, the heaviest
//! first. Where two values of a class differ in one bit only, and other two in the same, clearing
//! that bit first makes one equality of each pair.

use alloc::{boxed::Box, vec::Vec};

use super::{Plan, Price, Run};

/// How the runs of a range are picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    /// The class of the rest.
    class: u32,
    /// The bit that is cleared before pairs are picked, if any.
    bit: Option<u32>,
    /// What is deepest comes first instead of what is heaviest.
    deep: bool,
}

/// The chains of one range that may be best, with cost and depth.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chained {
    /// The cheapest one, and one that is less deep.
    kinds: [Option<(Chain, u64, u32)>; 2],
}

impl Chained {
    /// The cheapest chain of this depth at most, as its place, and its cost.
    pub(super) fn within(&self, depth: u32) -> Option<(usize, u64)> {
        let kinds = self.kinds.iter().enumerate();
        let fitting = kinds.filter_map(|(kind, chain)| {
            chain.filter(|(_, _, own)| *own <= depth).map(|(_, cost, _)| (kind, cost))
        });
        fitting.min_by_key(|(_, cost)| *cost)
    }

    /// The chain at a place that [`Chained::within`] told.
    pub(super) fn chain(&self, kind: usize) -> Chain {
        self.kinds[kind].expect("it was found").0
    }
}

/// The chains that are possible from one run on, while more runs are added.
pub(super) struct Picks<'a> {
    runs: &'a [Run],
    first: usize,
    price: Price,
    /// What a test costs beside being executed.
    size: u64,
    /// One for each class that may be the rest.
    open: Vec<Open>,
}

/// The picked runs of one chain.
struct Open {
    class: u32,
    /// Heaviest first.
    picked: Vec<Run>,
    /// How many pairs differ in each bit.
    pairs: [u8; 32],
    /// What comes behind the rest.
    depth: u32,
    /// Of all runs, the rest included.
    weight: u64,
    /// What the chain costs in the order of weight.
    cost: u64,
}

impl<'a> Picks<'a> {
    pub(super) fn new(runs: &'a [Run], first: usize, price: Price, size: u64) -> Picks<'a> {
        let mut picks = Picks { runs, first, price, size, open: Vec::new() };
        let class = runs[first].class;
        if price.chain > 0 {
            let mut open = Open::new(class);
            open.pick(&runs[first], size, price.pairs);
            picks.open.push(open);
            // Where the first value is single, the next class may be the rest as well.
            if let Some(next) = runs.get(first + 1)
                && runs[first].is_single()
            {
                let mut open = Open::new(next.class);
                open.pick(&runs[first], size, price.pairs);
                picks.open.push(open);
            }
        }
        picks
    }

    /// Adds the next run, and tells the chains up to it; `None` when no chain goes on from here.
    pub(super) fn add(&mut self, last: usize) -> Option<Chained> {
        let run = &self.runs[last];
        if self.open.is_empty() {
            return None;
        }
        if !run.is_single() && self.open.iter().all(|open| open.class != run.class) {
            // Nothing but this class can be the rest, if all before is single.
            let before = &self.runs[self.first..last];
            self.open.clear();
            if before.iter().all(|run| run.is_single()) && before.len() <= self.price.chain {
                let mut open = Open::new(run.class);
                before.iter().for_each(|run| open.pick(run, self.size, self.price.pairs));
                self.open.push(open);
            }
        }
        let (price, size) = (self.price, self.size);
        self.open.retain_mut(|open| {
            let is_rest = open.class == run.class;
            if !is_rest && (!run.is_single() || open.picked.len() == price.chain) {
                return false;
            }
            open.pick(run, size, price.pairs);
            true
        });
        let mut all = Chained::default();
        for open in &self.open {
            open.best(size, price.worst > 0, &mut all);
        }
        (!self.open.is_empty()).then_some(all)
    }
}

impl Open {
    fn new(class: u32) -> Open {
        Open { class, picked: Vec::new(), pairs: [0; 32], depth: 0, weight: 0, cost: 0 }
    }

    fn pick(&mut self, run: &Run, size: u64, pairs: bool) {
        self.weight += run.weight;
        if run.class == self.class {
            self.depth = self.depth.max(run.depth);
            self.cost += count(&self.picked) * run.weight;
            return;
        }
        if pairs {
            for other in self.picked.iter().filter(|other| other.class == run.class) {
                let differ = other.first ^ run.first;
                if differ.is_power_of_two()
                    && let Ok(bit) = usize::try_from(differ.trailing_zeros())
                {
                    self.pairs[bit] += 1;
                }
            }
        }
        let place = self.picked.partition_point(|other| other.weight >= run.weight);
        let (before, _) = self.picked.split_at(place);
        let heavier: u64 = before.iter().map(|run| run.weight).sum();
        // Those before it are executed for it too, and its own test for all that is left.
        self.cost += count(before) * run.weight + (self.weight - heavier) + size;
        self.picked.insert(place, *run);
    }

    /// Offers the chains of these runs; their depth only where it counts.
    fn best(&self, size: u64, depth: bool, all: &mut Chained) {
        let class = self.class;
        let plain = Chain { class, bit: None, deep: false };
        if depth {
            all.offer(plain, self.cost(&self.picked, None, size));
            if self.picked.windows(2).any(|pair| pair[0].depth < pair[1].depth) {
                let deepest = self.cost(&deepest_first(&self.picked), None, size);
                all.offer(Chain { deep: true, ..plain }, deepest);
            }
        } else {
            all.offer(plain, (self.cost, 0));
        }
        for (bit, _) in (0..).zip(self.pairs).filter(|(_, pairs)| *pairs >= 2) {
            let bit = Some(1u32 << bit);
            all.offer(Chain { bit, ..plain }, self.cost(&self.picked, bit, size));
        }
    }

    /// Each instruction of the chain is executed for all that is left at it.
    fn cost(&self, picked: &[Run], bit: Option<u32>, size: u64) -> (u64, u32) {
        let (mut left, mut length) = (self.weight, 0);
        let (mut cost, mut depth) = (0, 0);
        let mut step = |weight: u64, behind: u32| {
            cost += left + size;
            left -= weight;
            length += 1;
            depth = depth.max(length + behind);
        };
        match bit {
            None => picked.iter().for_each(|run| step(run.weight, run.depth)),
            Some(bit) => {
                let partner = |run: &Run| partner(picked, run, bit);
                for run in picked.iter().filter(|run| partner(run).is_none()) {
                    step(run.weight, run.depth);
                }
                step(0, 0);
                for run in picked.iter().filter(|run| run.first & bit == 0) {
                    if let Some(other) = partner(run) {
                        step(run.weight + other.weight, run.depth.max(other.depth));
                    }
                }
            }
        }
        (cost, depth.max(length + self.depth))
    }
}

impl Chained {
    /// Keeps the cheapest and the least deep.
    fn offer(&mut self, chain: Chain, (cost, depth): (u64, u32)) {
        let new = Some((chain, cost, depth));
        let is_better = |old: Option<(Chain, u64, u32)>, key: fn(u64, u32) -> (u64, u64)| {
            old.is_none_or(|(_, c, d)| key(cost, depth) < key(c, d))
        };
        if is_better(self.kinds[0], |cost, depth| (cost, depth.into())) {
            self.kinds[0] = new;
        }
        if is_better(self.kinds[1], |cost, depth| (depth.into(), cost)) {
            self.kinds[1] = new;
        }
    }
}

fn count(runs: &[Run]) -> u64 {
    u64::try_from(runs.len()).unwrap_or(u64::MAX)
}

fn deepest_first(picked: &[Run]) -> Vec<Run> {
    let mut picked = picked.to_vec();
    picked.sort_by_key(|run| core::cmp::Reverse(run.depth));
    picked
}

/// The run whose value differs in this bit alone.
fn partner<'a>(picked: &'a [Run], run: &Run, bit: u32) -> Option<&'a Run> {
    picked.iter().find(|other| other.first == run.first ^ bit && other.class == run.class)
}

impl Chain {
    pub(super) fn plan(self, runs: &[Run]) -> Plan {
        let mut open = Open::new(self.class);
        runs.iter().for_each(|run| open.pick(run, 0, false));
        let picked = &if self.deep { deepest_first(&open.picked) } else { open.picked };
        let Some(bit) = self.bit else {
            return each(picked.iter(), Plan::Class(self.class));
        };
        let is_paired = |run: &&Run| partner(picked, run, bit).is_some();
        let halves = picked.iter().filter(|run| is_paired(run) && run.first & bit == 0);
        let pairs = each(halves, Plan::Class(self.class));
        let rest = Plan::Mask { mask: !bit, next: Box::new(pairs) };
        each(picked.iter().filter(|run| !is_paired(run)), rest)
    }
}

/// An equality for each of the runs, in their order.
fn each<'a>(runs: impl DoubleEndedIterator<Item = &'a Run>, rest: Plan) -> Plan {
    runs.rev().fold(rest, |otherwise, run| Plan::equal(run.first, run.class, otherwise))
}
