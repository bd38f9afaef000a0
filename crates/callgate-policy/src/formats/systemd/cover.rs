//! Groups and names that together are a given set of calls.

use alloc::{collections::BTreeSet, vec::Vec};

use callgate_syscalls::groups;

use super::calls;

/// The words for a set of calls: groups that have none but these and calls that do not matter,
/// the one with the most new calls first, and what is left by name.
///
/// `wanted` are the calls by place, `idle` says of another whether it does not matter.
pub(super) fn words(wanted: &BTreeSet<usize>, idle: impl Fn(usize) -> bool) -> Vec<&'static str> {
    let candidates: Vec<(&'static str, BTreeSet<usize>)> = groups::ALL
        .iter()
        .filter_map(|group| {
            let fits = calls::places(group).all(|place| wanted.contains(&place) || idle(place));
            let new = || calls::places(group).filter(|place| wanted.contains(place)).collect();
            fits.then(|| (group.name, new()))
        })
        .collect();
    let mut left = wanted.clone();
    let mut chosen: Vec<usize> = Vec::new();
    loop {
        let gain = |at: usize| candidates[at].1.intersection(&left).count();
        // Of groups with the same gain the smaller says more.
        let best = (0..candidates.len())
            .max_by_key(|&at| (gain(at), core::cmp::Reverse(candidates[at].1.len())));
        let Some(best) = best.filter(|&at| gain(at) >= LEAST_GAIN) else {
            break;
        };
        left.retain(|place| !candidates[best].1.contains(place));
        chosen.push(best);
    }
    // A later group may have made an earlier one idle.
    for at in (0..chosen.len()).rev() {
        let others = chosen.iter().enumerate().filter(|(other, _)| *other != at);
        let rest: BTreeSet<usize> =
            others.flat_map(|(_, &other)| candidates[other].1.iter().copied()).collect();
        if candidates[chosen[at]].1.is_subset(&rest) {
            chosen.remove(at);
        }
    }
    let names = left.into_iter().map(|place| calls::at(place).name);
    chosen.into_iter().map(|at| candidates[at].0).chain(names).collect()
}

/// A group of one call is not shorter than its name.
const LEAST_GAIN: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<usize> {
        let group = |name: &str| groups::find(name).map(|g| calls::places(g).collect::<Vec<_>>());
        names
            .iter()
            .flat_map(|name| {
                group(name).unwrap_or_else(|| calls::place(name).into_iter().collect())
            })
            .collect()
    }

    #[test]
    fn groups_come_back_as_groups() {
        assert_eq!(
            words(&set(&["@mount", "@swap", "getpid"]), |_| false),
            ["@mount", "@swap", "getpid"]
        );
        assert_eq!(words(&set(&["@system-service"]), |_| false), ["@system-service"]);
    }

    #[test]
    fn a_group_with_a_call_too_many_is_not_used() {
        let mut swap = set(&["@swap"]);
        swap.remove(&calls::place("swapoff").unwrap());
        assert_eq!(words(&swap, |_| false), ["swapon"]);
        let off = calls::place("swapoff").unwrap();
        assert_eq!(words(&set(&["@swap"]), |_| false), ["@swap"]);
        let mut clock = set(&["@clock"]);
        clock.remove(&calls::place("clock_settime64").unwrap());
        let idle = calls::place("clock_settime64").unwrap();
        assert_eq!(words(&clock, |place| place == idle), ["@clock"]);
        assert!(!words(&clock, |place| place == off).contains(&"@clock"));
    }
}
