//! x32 beside x86_64: the same numbers with bit 30, and some differences.

use alloc::{boxed::Box, collections::BTreeSet, vec::Vec};

use callgate_bpf::{Architecture, SyscallNr};
use callgate_syscalls::Abi;

use super::{Lowerer, price};
use crate::{
    dispatch::{self, Plan, Price, Run},
    graph::NodeId,
    runs::{Span, spans},
};

const X32: u32 = SyscallNr::X32_BIT;

/// The tree for both, where folding is possible and makes it smaller.
///
/// Numbers with bit 30 first meet the exceptions: numbers of which something else is said than of
/// the same without the bit. For all others the bit is cleared, and what follows is the tree of
/// x86_64, or so much of it as does not lead back here.
pub(super) fn fold(
    lowerer: &mut Lowerer<'_>,
    arch: Architecture,
    leaves: &[Span<NodeId>],
    weights: &[(u32, u64)],
    price: Price,
) -> Option<NodeId> {
    let has = |abi| lowerer.ruleset.abis.iter().any(|table| table.abi == abi);
    let possible = arch == Abi::X86_64.audit() && has(Abi::X86_64) && has(Abi::X32);
    if !possible || !lowerer.options.passes.fold {
        return None;
    }
    let starts: BTreeSet<u32> = leaves.iter().map(|span| span.first).collect();
    let at = |nr: u32| leaves[leaves.partition_point(|span| span.last < nr)].value;
    // What is said from bit 31 up must be one thing, and the same as just below bit 30.
    let high = at(X32 - 1);
    if leaves.iter().any(|span| span.last >= 2 * X32 && span.value != high) {
        return None;
    }
    // What is said below bit 30, as far as any number goes.
    let plain = spans(0, X32 - 1, &starts, at);
    // Larger numbers go the way of the last run, which an equality would spoil.
    if plain.last()?.first == X32 - 1 {
        return None;
    }
    let (own, others): (Vec<_>, Vec<_>) = weights.iter().copied().partition(|(nr, _)| *nr < X32);
    let mut runs = lowerer.runs(&plain, &own);
    // Hardly any system runs x32 programs, so they may take the longer way.
    runs.push(Run { first: X32, last: u32::MAX, class: FOLDED, weight: 1, depth: 0 });
    let all = dispatch::plan(&runs, price);
    // What is said of x32 by itself, and with what is said of x86_64 left out.
    let apart = spans(X32, u32::MAX, &starts, at);
    if apart.len() == 1 {
        return None;
    }
    let apart = lowerer.runs(&apart, &others);
    let both: BTreeSet<u32> = starts.iter().map(|start| start & !X32).collect();
    // Behind the last of them all is one thing, said at once rather than by the tree.
    let tail = both.range(..X32).next_back().copied().filter(|&start| at(start) == high);
    let exceptions = spans(0, u32::MAX, &both, |nr| {
        if tail.is_some_and(|tail| nr >= tail) || nr >= X32 {
            return at(nr | X32);
        }
        let own = at(nr | X32);
        if own == at(nr) { NodeId::of_number(FOLDED) } else { own }
    });
    let shift = |nr: u32| if nr < X32 { nr | X32 } else { nr };
    let exceptions: Vec<Span<NodeId>> = exceptions
        .iter()
        .map(|span| Span { first: shift(span.first), last: shift(span.last), value: span.value })
        .collect();
    let exceptions = lowerer.runs(&exceptions, &others);
    let exceptions = dispatch::plan(&exceptions, price::x32(lowerer.options));
    let tests = exceptions.size() + 1;
    // Mostly that is fewer than any tree has, and none has to be found.
    let apart = (tests >= dispatch::fewest_tests(&apart))
        .then(|| dispatch::plan(&apart, price::x32(lowerer.options)))
        .filter(|apart| tests >= apart.size());
    let x32 = if let Some(apart) = apart {
        lowerer.lay(&apart, NodeId::of_number)
    } else {
        let tree = lowerer.lay(&without(&all), NodeId::of_number);
        let fall = lowerer.graph.clear(!X32, tree);
        let node = |class| if class == FOLDED { fall } else { NodeId::of_number(class) };
        lowerer.lay(&exceptions, node)
    };
    let node = |class| if class == FOLDED { x32 } else { NodeId::of_number(class) };
    Some(lowerer.lay(&all, node))
}

/// The class of the numbers with bit 30 while their tree is not made.
const FOLDED: u32 = u32::MAX;

/// The plan for numbers that are never of that class.
fn without(plan: &Plan) -> Plan {
    let (condition, k, then, otherwise) = match plan {
        Plan::Class(_) => return plan.clone(),
        Plan::Mask { mask, next } => {
            return Plan::Mask { mask: *mask, next: Box::new(without(next)) };
        }
        Plan::Test { condition, k, then, otherwise } => (condition, k, then, otherwise),
    };
    match (&**then, &**otherwise) {
        (Plan::Class(FOLDED), rest) | (rest, Plan::Class(FOLDED)) => rest.clone(),
        _ => {
            let (then, otherwise) = (Box::new(without(then)), Box::new(without(otherwise)));
            Plan::Test { condition: *condition, k: *k, then, otherwise }
        }
    }
}
