//! Sets of values that one mask covers.
//!
//! `0, 8, 0x20000, 0x20008` are all values without bits outside `0x20008`: one test tells them
//! from everything else, where equalities need four.

use alloc::{boxed::Box, collections::BTreeSet, vec::Vec};

use callgate_bpf::Condition;

use crate::dispatch::{self, Plan, Price, Run};

/// Most values of which a cube is looked for, and most that one may have.
const VALUES: usize = 64;
const LARGEST: u32 = 6;

/// The best plan, first with masks as far as they pay.
pub(crate) fn plan(runs: &[Run], price: Price, cubes: bool) -> Plan {
    let mut best = dispatch::plan(runs, price);
    if !cubes {
        return best;
    }
    let mut least = best.cost(runs, price);
    for cube in candidates(runs) {
        let rest = without(runs, &cube);
        let otherwise = match &rest[..] {
            [only] => Plan::Class(only.class),
            // A second mask takes its turn only where it is tried on what the first one left.
            _ => plan(&rest, price, true),
        };
        let (then, otherwise) = (Box::new(otherwise), Box::new(Plan::Class(cube.class)));
        let new = Plan::Test { condition: Condition::Set, k: !cube.bits, then, otherwise };
        let cost = new.cost(runs, price);
        if cost < least {
            (best, least) = (new, cost);
        }
    }
    best
}

/// All values without bits outside `bits` are of the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cube {
    bits: u32,
    class: u32,
}

/// Subsets of the bits, the full one first.
fn subsets(bits: u32) -> impl Iterator<Item = u32> {
    core::iter::successors(Some(bits), move |&subset| (subset != 0).then(|| (subset - 1) & bits))
}

fn class_of(runs: &[Run], value: u32) -> Option<u32> {
    let at = runs.partition_point(|run| run.last < value);
    runs.get(at).filter(|run| run.first <= value).map(|run| run.class)
}

/// The largest cubes of the class of 0, those within others left out.
fn candidates(runs: &[Run]) -> Vec<Cube> {
    let Some(class) = class_of(runs, 0) else { return Vec::new() };
    let own: Vec<&Run> = runs.iter().filter(|run| run.class == class).take(VALUES).collect();
    if own.len() < 3 {
        return Vec::new();
    }
    let covered = |bits: u32| {
        bits.count_ones() <= LARGEST
            && subsets(bits).all(|value| class_of(runs, value) == Some(class))
    };
    let mut found: BTreeSet<u32> =
        own.iter().flat_map(|run| [run.first, run.last]).filter(|&bits| covered(bits)).collect();
    // Joined until nothing new comes: a set of 64 values has 6 bits at most.
    loop {
        let bits: Vec<u32> = found.iter().copied().collect();
        let before = found.len();
        for (index, a) in bits.iter().enumerate() {
            found.extend(bits[..index].iter().map(|b| a | b).filter(|&bits| covered(bits)));
        }
        if found.len() == before || found.len() > VALUES {
            break;
        }
    }
    let largest = |&bits: &u32| !found.iter().any(|&other| other != bits && bits & !other == 0);
    let several = |&bits: &u32| runs_inside(runs, bits) >= 2;
    let cubes = found.iter().copied().filter(largest).filter(several);
    cubes.take(4).map(|bits| Cube { bits, class }).collect()
}

/// Runs that a cube takes away whole.
fn runs_inside(runs: &[Run], bits: u32) -> usize {
    runs.iter().filter(|run| is_inside(run, bits)).count()
}

fn is_inside(run: &Run, bits: u32) -> bool {
    run.last - run.first < 1 << LARGEST && (run.first..=run.last).all(|value| value & !bits == 0)
}

/// The runs when the cube's values may count as their neighbours.
fn without(runs: &[Run], cube: &Cube) -> Vec<Run> {
    let mut rest: Vec<Run> = Vec::new();
    let mut from = None;
    for run in runs {
        let first = from.take().unwrap_or(run.first);
        if run.class == cube.class && is_inside(run, cube.bits) {
            // A range before it reaches across; else the next one reaches back.
            match rest.last_mut() {
                Some(before) if before.first != before.last => before.last = run.last,
                _ => from = Some(first),
            }
            continue;
        }
        match rest.last_mut() {
            Some(before) if before.class == run.class => {
                before.last = run.last;
                before.weight += run.weight;
                before.depth = before.depth.max(run.depth);
            }
            _ => rest.push(Run { first, ..*run }),
        }
    }
    if let (Some(_), Some(last)) = (from, rest.last_mut()) {
        last.last = u32::MAX;
    }
    rest
}
