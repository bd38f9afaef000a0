//! The ranges of a word, and which rules are left on each.

use alloc::{vec, vec::Vec};

use super::{
    atom::{Atom, Half, Holds, Known},
    residue::{Clause, Residue},
};

/// A range of a word on which the same is left to decide.
pub(crate) struct Part {
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) residue: Residue,
    pub(crate) weight: u64,
}

/// What a rule that lets calls run counts, and one that refuses.
const RUNS: u64 = 1 << 16;
const REFUSES: u64 = 1 << 12;

/// How likely a call comes to this verdict, as far as the verdict alone says.
fn likelihood(action: callgate_bpf::RawAction) -> u64 {
    if action.action().runs_call() { RUNS } else { REFUSES }
}

/// The ranges of a word, at least one; `None` when nothing but masks looks at it. `steps` is
/// what may still be done; it runs out to 0.
pub(crate) fn partition(residue: &Residue, half: Half, steps: &mut usize) -> Option<Vec<Part>> {
    let atoms = residue.clauses.iter().flat_map(|clause| &clause.atoms);
    let mut starts: Vec<u32> = atoms.flat_map(|atom| atom.limits(half)).collect();
    if starts.is_empty() {
        return None;
    }
    starts.push(0);
    starts.sort_unstable();
    starts.dedup();
    let mut alive: Vec<Vec<usize>> = vec![Vec::new(); starts.len()];
    for (index, clause) in residue.clauses.iter().enumerate() {
        let (first, last) = bounds(clause, half);
        let from = starts.partition_point(|&start| start <= first) - 1;
        let to = starts.partition_point(|&start| start <= last);
        *steps = steps.saturating_sub(to - from);
        if *steps == 0 {
            return Some(Vec::new());
        }
        alive[from..to].iter_mut().for_each(|part| part.push(index));
    }
    let mut widths = vec![0u64; residue.clauses.len()];
    alive.iter().flatten().for_each(|&index| widths[index] += 1);
    let ends = starts.iter().skip(1).map(|start| start - 1).chain([u32::MAX]);
    let parts = u64::try_from(starts.len()).unwrap_or(u64::MAX);
    let ranges = starts.iter().zip(ends).zip(&alive);
    Some(
        ranges
            .map(|((&first, last), alive)| {
                let known = Known::In { first, last };
                let mut weight = likelihood(residue.default) / parts;
                let left: Vec<Clause> = alive
                    .iter()
                    .filter_map(|&index| {
                        let clause = &residue.clauses[index];
                        let left = clause.given(half, known)?;
                        // The order of a list says a little about what its author met first.
                        let place = u64::try_from(index).unwrap_or(64).min(64);
                        let whole = likelihood(clause.action) * (512 - place) / 512;
                        weight += unusual(&left, whole / widths[index]);
                        Some(left)
                    })
                    .collect();
                if half.high && first != 0 {
                    weight /= 64;
                }
                let residue = Residue::new(left, residue.default);
                Part { first, last, residue, weight: weight.max(1) }
            })
            .collect(),
    )
}

/// Upper halves are rarely anything but 0.
fn unusual(left: &Clause, weight: u64) -> u64 {
    let odd = left.atoms.iter().any(|atom| match atom {
        Atom::Word(Half { high: true, .. }, holds) => {
            matches!(holds, Holds::Not(0) | Holds::In { first: 1.., .. })
        }
        _ => false,
    });
    if odd { weight / 64 } else { weight }
}

/// The least range that holds all values of the word with which the rule can hold.
fn bounds(clause: &Clause, half: Half) -> (u32, u32) {
    let own = clause.atoms.iter().find_map(|atom| match *atom {
        Atom::Word(own, Holds::In { first, last }) if own == half => Some((first, last)),
        _ => None,
    });
    own.unwrap_or((0, u32::MAX))
}
