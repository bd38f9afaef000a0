//! The dynamic program: the best tree for each range of runs.

use alloc::{vec, vec::Vec};

use super::{
    BOUNDED, Plan, Price, Run, TOTAL,
    chain::{Chained, Picks},
    threshold,
};

/// More than any cost: the dearest test is 2^22 and there are 127 at most, and each value executes
/// as many. Three of it still fit.
const NEVER: u32 = u32::MAX / 4;

fn narrow(cost: u64) -> u32 {
    u32::try_from(cost).unwrap_or(NEVER).min(NEVER)
}

/// How far a split is looked for beside those of the ranges without the last and the first run.
/// Where there are no chains the best one lies between these two.
const SLACK: usize = 3;

/// The best tree over the runs.
pub(super) fn best(runs: &[Run], price: Price) -> Plan {
    let table = Table::new(runs, price);
    let free = table.level(None);
    let last = runs.len() - 1;
    let plan = table.build(core::slice::from_ref(&free), 0, last);
    if price.worst == 0 || runs.len() > BOUNDED {
        return plan;
    }
    // Trees of bounded depth, one bound after the other; the free tree is the last one.
    let mut levels: Vec<Level> = Vec::new();
    let mut least = (u64::MAX, 0);
    for depth in 0..=plan.depth(runs) {
        let level = table.level(Some((levels.last(), depth)));
        let worst = u64::from(depth) * price.worst * (TOTAL >> 8);
        least = least.min((u64::from(level.by_first[last]) + worst, levels.len()));
        levels.push(level);
    }
    table.build(&levels[..=least.1], 0, last)
}

/// How a range is decided: the first run of the high part, or behind all runs, which chain.
type Choice = u16;

/// The best trees for all ranges, of one depth at most or of any.
struct Level {
    /// Cost in rows of first runs, and in rows of last runs.
    by_first: Vec<u32>,
    by_last: Vec<u32>,
    choices: Vec<Choice>,
}

struct Table<'a> {
    runs: &'a [Run],
    /// Weight of all runs before each.
    before: Vec<u64>,
    /// What a test costs beside being executed.
    size: u64,
    /// The chains for each first run, up to the last run to which there are any.
    chains: Vec<Vec<Chained>>,
}

impl<'a> Table<'a> {
    fn new(runs: &'a [Run], price: Price) -> Table<'a> {
        let count = runs.len();
        let size = price.size * (TOTAL >> 8);
        let mut before = vec![0];
        for run in runs {
            before.push(before[before.len() - 1] + run.weight);
        }
        let chains = |first: usize| {
            let mut picks = Picks::new(runs, first, price, size);
            (first + 1..count).map_while(|last| picks.add(last)).collect()
        };
        let chains = (0..count).map(chains).collect();
        Table { runs, before, size, chains }
    }

    /// The trees whose parts are of the former level, or of the same where depth does not count.
    fn level(&self, bound: Option<(Option<&Level>, u32)>) -> Level {
        let count = self.runs.len();
        let mut level = Level {
            by_first: vec![NEVER; count * count],
            by_last: vec![NEVER; count * count],
            choices: vec![0; count * count],
        };
        // Where each range splits best, whether or not that is what is best.
        let mut splits = vec![0u16; count * count];
        let index = |at: usize| u16::try_from(at).expect("few runs");
        for first in (0..count).rev() {
            let alone = first * count + first;
            if bound.is_none_or(|(_, depth)| self.runs[first].depth <= depth) {
                level.by_first[alone] = 0;
                level.by_last[alone] = 0;
            }
            splits[alone] = index(first);
            for last in first + 1..count {
                let cell = first * count + last;
                let parts = match bound {
                    None => Some(&level),
                    Some((former, _)) => former,
                };
                let own = narrow(self.before[last + 1] - self.before[first] + self.size);
                // Of the ranges without the last run and without the first one.
                let from = usize::from(splits[cell - 1]).saturating_sub(SLACK).max(first + 1);
                let to = (usize::from(splits[cell + count]) + SLACK).clamp(from, last);
                let mut best = (NEVER, index(from));
                splits[cell] = index(from);
                if let Some(parts) = parts {
                    let low = &parts.by_first[first * count + from - 1..first * count + to];
                    let high = &parts.by_last[last * count + from..=last * count + to];
                    let mut least = u32::MAX;
                    let mut place = from;
                    for (at, (low, high)) in low.iter().zip(high).enumerate() {
                        let sum = low + high;
                        if sum < least {
                            (least, place) = (sum, from + at);
                        }
                    }
                    splits[cell] = index(place);
                    best = ((least + own).min(NEVER), index(place));
                }
                let depth = bound.map_or(u32::MAX, |(_, depth)| depth);
                let chained = self.chains[first].get(last - first - 1);
                if let Some((kind, cost)) = chained.and_then(|chained| chained.within(depth))
                    && narrow(cost) <= best.0
                {
                    best = (narrow(cost), index(count + kind));
                }
                level.by_first[cell] = best.0;
                level.by_last[last * count + first] = best.0;
                level.choices[cell] = best.1;
            }
        }
        level
    }

    /// The tree of the last level; its parts are of those before, as far as there are any.
    fn build(&self, levels: &[Level], first: usize, last: usize) -> Plan {
        if first == last {
            return Plan::Class(self.runs[first].class);
        }
        let (level, former) = levels.split_last().expect("a tree has a level");
        let former = if former.is_empty() { levels } else { former };
        let count = self.runs.len();
        let choice = usize::from(level.choices[first * count + last]);
        match choice.checked_sub(count) {
            None => threshold(
                self.runs[choice].first,
                self.build(former, first, choice - 1),
                self.build(former, choice, last),
            ),
            Some(kind) => {
                let chain = self.chains[first][last - first - 1].chain(kind);
                chain.plan(&self.runs[first..=last])
            }
        }
    }
}
