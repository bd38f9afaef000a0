//! The runs of an architecture's numbers.

use alloc::{collections::BTreeSet, vec::Vec};

use callgate_bpf::{Architecture, SyscallNr};
use callgate_policy::Ruleset;

/// Numbers that are treated alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span<T> {
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) value: T,
}

/// What is said of the numbers from `first` to `last`, given where it may change.
pub(crate) fn spans<T: PartialEq>(
    first: u32,
    last: u32,
    starts: &BTreeSet<u32>,
    mut value: impl FnMut(u32) -> T,
) -> Vec<Span<T>> {
    let mut spans: Vec<Span<T>> = Vec::new();
    let inside = starts.range(first..=last).copied().filter(|&start| start != first);
    for start in core::iter::once(first).chain(inside) {
        let value = value(start);
        match spans.last_mut() {
            Some(before) if before.value == value => before.last = last,
            before => {
                if let Some(before) = before {
                    before.last = start - 1;
                }
                spans.push(Span { first: start, last, value });
            }
        }
    }
    spans
}

/// The first number of every run that an architecture may have, in order.
pub(crate) fn run_starts(ruleset: &Ruleset, arch: Architecture) -> BTreeSet<u32> {
    const X32: u32 = SyscallNr::X32_BIT;
    // Where bit 30 changes, and −1: only x86_64 needs them, and elsewhere the runs merge again.
    let mut starts = BTreeSet::from([0, X32, 2 * X32, 3 * X32, u32::MAX]);
    for table in ruleset.abis.iter().filter(|table| table.abi.audit() == arch) {
        let rules = table.rules.keys().copied();
        let newer = table.newer.iter().flat_map(|newer| [newer.last].into_iter().chain(newer.also));
        for nr in rules.chain(newer) {
            starts.insert(nr.0);
            starts.extend(nr.0.checked_add(1));
        }
    }
    starts
}
