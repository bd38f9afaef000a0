use alloc::{vec, vec::Vec};

use callgate_bpf::generate::Rng;

use super::*;

const PRICE: Price = Price { size: 6, worst: 0, chain: 24, pairs: false };

/// Runs of one to four values each, neighbours of different classes.
fn runs(rng: &mut Rng, count: usize, classes: u32) -> Vec<Run> {
    let mut first = 0;
    let mut before = classes;
    let mut runs = Vec::new();
    for place in 0..count {
        let length = if rng.one_in(2) { 0 } else { 3 };
        let mut class = before;
        while class == before {
            class = u32::try_from(rng.below(usize::try_from(classes).unwrap())).unwrap();
        }
        before = class;
        let last = if place + 1 == count { u32::MAX } else { first + length };
        let weight = 1 + rng.next_u64() % 100;
        runs.push(Run { first, last, class, weight, depth: 0 });
        first = last.wrapping_add(1);
    }
    runs
}

/// The class of a value according to a plan.
fn class(mut plan: &Plan, mut value: u32) -> u32 {
    loop {
        plan = match plan {
            Plan::Class(class) => return *class,
            Plan::Test { condition, k, then, otherwise } => {
                if condition.holds(value, *k) {
                    then
                } else {
                    otherwise
                }
            }
            Plan::Mask { mask, next } => {
                value &= mask;
                next
            }
        };
    }
}

/// The least cost of all trees of thresholds and chains, nothing left out; in the unit of
/// [`Plan::cost`].
fn least(runs: &[Run], price: Price) -> u128 {
    let total: u128 = runs.iter().map(|run| u128::from(run.weight)).sum();
    let test = u128::from(price.size) * total;
    let count = runs.len();
    let mut best = vec![vec![0u128; count]; count];
    for first in (0..count).rev() {
        for last in first + 1..count {
            let inside = &runs[first..=last];
            let weight: u128 = inside.iter().map(|run| u128::from(run.weight)).sum();
            let split = |at: usize| best[first][at - 1] + best[at][last];
            let mut cost = (first + 1..=last).map(split).min().unwrap() + 256 * weight + test;
            for rest in inside.iter().map(|run| run.class) {
                let mut picked: Vec<&Run> = inside.iter().filter(|run| run.class != rest).collect();
                if picked.iter().any(|run| !run.is_single()) {
                    continue;
                }
                picked.sort_by_key(|run| core::cmp::Reverse(run.weight));
                let mut left = weight;
                let mut chain = 0;
                for run in picked {
                    chain += 256 * left + test;
                    left -= u128::from(run.weight);
                }
                cost = cost.min(chain);
            }
            best[first][last] = cost;
        }
    }
    best[0][count - 1]
}

#[test]
fn trees_are_within_two_percent_of_the_best_there_is() {
    let mut rng = Rng::new(1);
    for classes in [2, 3, 5] {
        for _ in 0..40 {
            let count = 4 + rng.below(30);
            let runs = runs(&mut rng, count, classes);
            let plan = plan(&runs, PRICE);
            let (own, best) = (plan.cost(&runs, PRICE), least(&runs, PRICE));
            assert!(own <= best * 102 / 100, "{own} and {best}: {runs:?}");
        }
    }
}

#[test]
fn plans_find_the_class_of_every_value() {
    let mut rng = Rng::new(2);
    for worst in [0, 64] {
        for pairs in [false, true] {
            for count in [1, 2, 3, 10, 60, 200, 1500] {
                let runs = runs(&mut rng, count, 3);
                let plan = plan(&runs, Price { worst, pairs, ..PRICE });
                for run in &runs {
                    for value in [run.first, run.last] {
                        assert_eq!(class(&plan, value), run.class, "{value} of {runs:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_worst_case_has_its_price() {
    // A geometric distribution has a tree like a list.
    let mut runs: Vec<Run> = Vec::new();
    for place in 0..24u32 {
        let weight = 1 << (24 - place);
        runs.push(Run {
            first: 4 * place,
            last: 4 * place + 3,
            class: place % 2,
            weight,
            depth: 0,
        });
    }
    runs.last_mut().unwrap().last = u32::MAX;
    let depth = |worst| plan(&runs, Price { worst, ..PRICE }).depth(&runs);
    assert!(depth(0) > 12, "{}", depth(0));
    assert!(depth(256) <= 8, "{}", depth(256));
}

#[test]
fn a_hole_is_one_equality() {
    let run = |first, last, class| Run { first, last, class, weight: 1, depth: 0 };
    let runs = [run(0, 9, 1), run(10, 10, 0), run(11, u32::MAX, 1)];
    let with = plan(&runs, PRICE);
    assert_eq!(with, Plan::equal(10, 0, Plan::Class(1)));
    assert_eq!(plan(&runs, Price { chain: 0, ..PRICE }).size(), 2);
}

#[test]
fn no_constant_is_2_to_the_31() {
    let run = |first, last, class| Run { first, last, class, weight: 1, depth: 0 };
    let runs = [run(0, 0x7fff_ffff, 0), run(0x8000_0000, u32::MAX, 1)];
    let Plan::Test { condition, k, .. } = plan(&runs, PRICE) else { panic!() };
    assert_eq!((condition, k), (Condition::Gt, 0x7fff_ffff));
}

#[test]
fn no_tree_has_fewer_tests_than_the_bound() {
    let mut rng = Rng::new(3);
    let mut met = 0;
    for count in 1..60 {
        let runs = runs(&mut rng, count, 4);
        // Length alone counts.
        let size = plan(&runs, Price { size: 1 << 16, ..PRICE }).size();
        let fewest = fewest_tests(&runs);
        assert!(fewest <= size, "{count}: {fewest}, {size}");
        met += u32::from(fewest == size);
    }
    assert!(met > 0, "the bound says something");
}
