//! Where two filters differ, call by call.

use alloc::{vec, vec::Vec};

use callgate_bpf::{Action, Architecture, RawAction, SeccompData, SyscallNr};

use crate::{
    Diagram, Manager, Predicate, TooComplex,
    digits::Digit,
    manager::{NodeId, View},
};

/// Numbers of one architecture on which two filters differ in one way.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Difference {
    /// The architecture; the first of several that are treated alike.
    pub arch: Architecture,
    /// The last of them.
    pub last_arch: Architecture,
    /// The first number.
    pub first: SyscallNr,
    /// The last number.
    pub last: SyscallNr,
    /// What the left filter says of these numbers.
    pub left: Diagram,
    /// What the right one says.
    pub right: Diagram,
    /// The arguments on which they differ.
    pub arguments: Predicate,
    /// A call on which they differ.
    pub example: SeccompData,
}

/// Runs of a word beyond which a list of differences counts as too complex.
const SEGMENT_LIMIT: usize = 1 << 16;

/// Values of a word from `first` to `last` that are treated alike.
#[derive(Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) nodes: [NodeId; 2],
}

impl Manager {
    /// Every difference between two filters, by architecture and number, in ascending order.
    /// Empty exactly when the diagrams are the same. Give it what [`Manager::act`] returns to
    /// leave out differences that the kernel does not act on.
    ///
    /// # Errors
    ///
    /// When the numbers that are treated alike do not form a list of reasonable length, or the
    /// manager's memory does not suffice.
    ///
    /// # Panics
    ///
    /// When the manager is not for `struct seccomp_data`.
    pub fn differences(
        &mut self,
        left: Diagram,
        right: Diagram,
    ) -> Result<Vec<Difference>, TooComplex> {
        let mut differences = Vec::new();
        for arch in self.segments("arch", [left.0, right.0], false)? {
            for nr in self.segments("nr", arch.nodes, false)? {
                let [left, right] = nr.nodes.map(Diagram);
                let arguments = self.differ(left, right)?;
                let Some(example) = self.witness(arguments) else {
                    continue;
                };
                differences.push(Difference {
                    arch: Architecture(arch.first),
                    last_arch: Architecture(arch.last),
                    first: SyscallNr(nr.first),
                    last: SyscallNr(nr.last),
                    left,
                    right,
                    arguments,
                    example: SeccompData {
                        arch: Architecture(arch.first),
                        nr: SyscallNr(nr.first),
                        ..example
                    },
                });
            }
        }
        Ok(differences)
    }

    /// The calls that the first filter lets run, or lets somebody decide, and the second does
    /// not: none exactly when the first never permits what the second refuses.
    ///
    /// # Errors
    ///
    /// When the manager's memory does not suffice.
    pub fn permits_more(&mut self, a: Diagram, b: Diagram) -> Result<Predicate, TooComplex> {
        let (a, b) = (self.map_terminals(a, permission)?, self.map_terminals(b, permission)?);
        self.weaker(a, b)
    }

    /// The values of a field of which the predicate holds, as closed intervals, when it depends
    /// on that field alone and there are at most `limit` intervals.
    ///
    /// # Panics
    ///
    /// When the layout has no field of this name.
    pub fn intervals(
        &self,
        predicate: Predicate,
        field: &str,
        limit: usize,
    ) -> Option<Vec<(u64, u64)>> {
        self.value_intervals(predicate, field, 64, limit)
    }

    /// As [`Manager::intervals`], of the low `bits` of the field, the others not mattering.
    pub(crate) fn value_intervals(
        &self,
        predicate: Predicate,
        field: &str,
        bits: u32,
        limit: usize,
    ) -> Option<Vec<(u64, u64)>> {
        let mut digits = self.digits_of(field);
        if bits == 32 {
            digits.drain(..digits.len().saturating_sub(4));
        }
        let mut intervals: Vec<(u64, u64)> = Vec::new();
        let complete = self.walk_values(predicate.0, &digits, &mut |first, last, node| {
            match self.view(node) {
                View::Terminal(0) => true,
                View::Terminal(_) => {
                    match intervals.last_mut() {
                        Some(interval) if interval.1.checked_add(1) == Some(first) => {
                            interval.1 = last;
                        }
                        _ => intervals.push((first, last)),
                    }
                    intervals.len() <= limit
                }
                // It depends on another field as well.
                View::Runs(..) => false,
            }
        });
        complete.then_some(intervals)
    }

    fn digits_of(&self, field: &str) -> Vec<Digit> {
        let fields = self.digits.layout().fields;
        let index = fields.iter().position(|f| f.name == field).expect("a field of the layout");
        self.digits.of_field(index).collect()
    }

    /// The values of a 32-bit field at the root of both diagrams in runs that both treat alike;
    /// `all`, or only where the two differ.
    pub(crate) fn segments(
        &self,
        field: &str,
        nodes: [NodeId; 2],
        all: bool,
    ) -> Result<Vec<Segment>, TooComplex> {
        let digits = self.digits_of(field);
        let mut lists = [Vec::new(), Vec::new()];
        for (list, node) in lists.iter_mut().zip(nodes) {
            let complete = self.walk_values(node, &digits, &mut |_, last, node| {
                let last = u32::try_from(last).expect("a field of four bytes");
                match list.last_mut() {
                    Some((before, of)) if *of == node => *before = last,
                    _ => list.push((last, node)),
                }
                list.len() <= SEGMENT_LIMIT
            });
            if !complete {
                return Err(TooComplex::new());
            }
        }
        let [left, right] = lists;
        let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
        let mut segments = vec![];
        let mut first = 0;
        while let (Some(&(a_last, a)), Some(&(b_last, b))) = (left.peek(), right.peek()) {
            let last = a_last.min(b_last);
            if all || a != b {
                segments.push(Segment { first, last, nodes: [a, b] });
            }
            if a_last == last {
                left.next();
            }
            if b_last == last {
                right.next();
            }
            first = last.wrapping_add(1);
        }
        Ok(segments)
    }

    /// Visits the ranges of values of a field in ascending order, each with what it leads to,
    /// until the visitor has enough. Neighbouring ranges may lead to the same.
    fn walk_values(
        &self,
        node: NodeId,
        digits: &[Digit],
        visit: &mut impl FnMut(u64, u64, NodeId) -> bool,
    ) -> bool {
        fn walk(
            manager: &Manager,
            node: NodeId,
            digits: &[Digit],
            base: u64,
            visit: &mut impl FnMut(u64, u64, NodeId) -> bool,
        ) -> bool {
            let bits = 8 * u32::try_from(digits.len()).expect("eight digits at most");
            let span = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
            let (Some((digit, below)), View::Runs(of, runs)) =
                (digits.split_first(), manager.view(node))
            else {
                return visit(base, base + span, node);
            };
            if !digits.contains(&of) {
                return visit(base, base + span, node);
            }
            let step = (span >> 8).wrapping_add(1);
            if of != *digit {
                return (0..=255).all(|byte| walk(manager, node, below, base + byte * step, visit));
            }
            let mut first = 0u64;
            for run in runs {
                let last = u64::from(run.last);
                // A child beyond this field is one range, however many bytes the run has.
                let whole = match manager.view(run.child) {
                    View::Runs(of, _) => !below.contains(&of),
                    View::Terminal(_) => true,
                };
                let going = if whole {
                    visit(base + first * step, base + last * step + (step - 1), run.child)
                } else {
                    (first..=last)
                        .all(|byte| walk(manager, run.child, below, base + byte * step, visit))
                };
                if !going {
                    return false;
                }
                first = last + 1;
            }
            true
        }
        walk(self, node, digits, 0, visit)
    }
}

/// How much a verdict permits, as the weakest word of its class: the call runs, somebody decides,
/// or it is refused.
fn permission(action: RawAction) -> RawAction {
    match action.action() {
        Action::Allow | Action::Log => Action::Allow,
        Action::Trace(_) | Action::UserNotif => Action::Trace(0),
        _ => Action::KillThread,
    }
    .raw()
}
