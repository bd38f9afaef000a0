//! From a set of calls to comparisons of arguments that describe it.
//!
//! The set is taken apart argument by argument: the values of the first argument that matters
//! fall into classes, each with the set that is left for the others; a class is described by
//! bounds, single values or masks, whichever takes fewest. Every description is checked against
//! the diagram, so what comes out is exact.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec,
    vec::Vec,
};

use callgate_policy::{ArgIndex, Comparison, Test, Width};

use crate::{
    Manager, Predicate, TooComplex,
    manager::{NodeId, View},
};

/// Conjunctions of which one must hold.
pub(crate) type Alternatives = Vec<Vec<Comparison>>;

/// Conjunctions beyond which a description is of no use to anyone.
const LIMIT: usize = 1024;

const ARGUMENTS: [&str; 6] = ["args[0]", "args[1]", "args[2]", "args[3]", "args[4]", "args[5]"];

/// Why a set of calls has no description by comparisons of arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Indescribable {
    TooComplex,
    /// It depends on the instruction pointer.
    InstructionPointer,
    /// An ABI of 32-bit arguments whose upper halves matter.
    UpperHalf,
}

impl From<TooComplex> for Indescribable {
    fn from(_: TooComplex) -> Indescribable {
        Indescribable::TooComplex
    }
}

impl Manager {
    /// Describes a set of calls of one number of an ABI whose arguments have `bits` bits.
    pub(crate) fn describe(
        &mut self,
        set: Predicate,
        bits: u32,
    ) -> Result<Alternatives, Indescribable> {
        let (field, classes) = match self.view(set.0) {
            View::Terminal(0) => return Ok(Vec::new()),
            View::Terminal(_) => return Ok(vec![Vec::new()]),
            View::Runs(digit, _) => {
                let (field, _) = self.digits.place(digit);
                (field, self.leaves(set.0, field))
            }
        };
        let name = self.digits.layout().fields[field].name;
        let Some(index) = ARGUMENTS.iter().position(|argument| *argument == name) else {
            return Err(Indescribable::InstructionPointer);
        };
        let never = self.always(false).0;
        let mut alternatives = Vec::new();
        for class in classes.into_iter().filter(|&class| class != never) {
            let values = self.class(set.0, field, class)?;
            let tests = self.describe_values(values, field, bits)?;
            let rest = self.describe(Predicate(class), bits)?;
            for (width, test) in tests {
                let arg = ArgIndex::ALL[index];
                for others in &rest {
                    let first = Comparison { arg, width, test };
                    alternatives.push(core::iter::once(first).chain(others.clone()).collect());
                    if alternatives.len() > LIMIT {
                        return Err(Indescribable::TooComplex);
                    }
                }
            }
        }
        Ok(alternatives)
    }

    /// The distinct nodes that the values of a field lead to.
    fn leaves(&self, root: NodeId, field: usize) -> Vec<NodeId> {
        let (mut leaves, mut seen) = (Vec::new(), BTreeSet::new());
        let mut open = vec![root];
        while let Some(node) = open.pop() {
            if !seen.insert(node) {
                continue;
            }
            match self.view(node) {
                View::Runs(digit, runs) if self.digits.place(digit).0 == field => {
                    open.extend(runs.iter().rev().map(|run| run.child));
                }
                _ => leaves.push(node),
            }
        }
        leaves
    }

    /// The values of a field that lead to one of its leaves.
    fn class(&mut self, node: NodeId, field: usize, leaf: NodeId) -> Result<Predicate, TooComplex> {
        let mut done = BTreeMap::new();
        self.class_of(node, field, leaf, &mut done).map(Predicate)
    }

    fn class_of(
        &mut self,
        node: NodeId,
        field: usize,
        leaf: NodeId,
        done: &mut BTreeMap<NodeId, NodeId>,
    ) -> Result<NodeId, TooComplex> {
        if let Some(&known) = done.get(&node) {
            return Ok(known);
        }
        let inner = match self.view(node) {
            View::Runs(digit, _) => self.digits.place(digit).0 == field,
            View::Terminal(_) => false,
        };
        let result = if inner {
            self.map_children(node, |manager, child| manager.class_of(child, field, leaf, done))?
        } else {
            self.always(node == leaf).0
        };
        done.insert(node, result);
        Ok(result)
    }

    /// Tests of one field, one of which holds exactly of these values.
    fn describe_values(
        &mut self,
        values: Predicate,
        field: usize,
        bits: u32,
    ) -> Result<Vec<(Width, Test)>, Indescribable> {
        let low_only = self.is_low_half(values, field);
        if bits == 32 && !low_only {
            return Err(Indescribable::UpperHalf);
        }
        let width = if low_only && bits == 64 { Width::Low32 } else { Width::Full };
        let bits = if low_only { 32 } else { 64 };
        let outside = self.not(values)?;
        if let [Test::Eq(value)] = self.bounds(outside, field, bits)[..] {
            return Ok(vec![(width, Test::Ne(value))]);
        }
        let bounds = self.bounds(values, field, bits);
        let tests = match self.cubes(values, field, bits) {
            Ok(cubes) if bounds.is_empty() || cubes.len() < bounds.len() => cubes,
            Err(error) if bounds.is_empty() => return Err(error),
            _ => bounds,
        };
        Ok(tests.into_iter().map(|test| (width, test)).collect())
    }

    /// Whether the upper 32 bits of a field do not matter to a set of its values.
    fn is_low_half(&self, values: Predicate, field: usize) -> bool {
        match self.view(values.0) {
            View::Terminal(_) => true,
            View::Runs(digit, _) => {
                let (of, below) = self.digits.place(digit);
                of == field && below < 32
            }
        }
    }

    /// Values as single values and open-ended ranges; empty when that does not do.
    fn bounds(&self, values: Predicate, field: usize, bits: u32) -> Vec<Test> {
        let name = self.digits.layout().fields[field].name;
        let Some(intervals) = self.value_intervals(values, name, bits, 16) else {
            return Vec::new();
        };
        let top = if bits == 32 { u64::from(u32::MAX) } else { u64::MAX };
        let test = |(first, last): (u64, u64)| match (first, last) {
            _ if first == last => Some(Test::Eq(first)),
            (0, last) if last == top => None,
            (0, last) => Some(Test::Le(last)),
            (first, last) if last == top => Some(Test::Ge(first)),
            // Few values are listed; more are better said by masks.
            _ => None,
        };
        let mut tests = Vec::new();
        for (first, last) in intervals {
            match test((first, last)) {
                Some(test) => tests.push(test),
                None if last - first < 8 => {
                    tests.extend((first..=last).map(Test::Eq));
                }
                None => return Vec::new(),
            }
        }
        tests
    }

    /// Values as masks, each as wide as it can be.
    fn cubes(
        &mut self,
        values: Predicate,
        field: usize,
        bits: u32,
    ) -> Result<Vec<Test>, Indescribable> {
        let outside = self.not(values)?;
        let never = self.always(false);
        let all = if bits == 32 { u64::from(u32::MAX) } else { u64::MAX };
        let mut left = values;
        let mut cubes = Vec::new();
        while let Some(found) = self.field_witness(left, field) {
            let (mut mask, mut value) = (all, found & all);
            let bytes = (0..bits / 8).rev().map(|byte| 0xff << (8 * byte));
            let single = (0..bits).rev().map(|bit| 1 << bit);
            for freed in bytes.chain(single) {
                let test = Test::MaskedEq { mask: mask & !freed, value: value & !freed };
                let cube = self.field_test(field, bits, test)?;
                if mask & freed != 0 && self.and(cube, outside)? == never {
                    mask &= !freed;
                    value &= !freed;
                }
            }
            let test = Test::MaskedEq { mask, value };
            let cube = self.field_test(field, bits, test)?;
            let beyond = self.not(cube)?;
            left = self.and(left, beyond)?;
            cubes.push(if mask == all { Test::Eq(value) } else { test });
            if cubes.len() > 64 {
                return Err(Indescribable::TooComplex);
            }
        }
        Ok(cubes)
    }

    /// Some value of a field in a set of its values.
    fn field_witness(&self, values: Predicate, field: usize) -> Option<u64> {
        let mut at = values.0;
        let mut value = 0;
        loop {
            match self.view(at) {
                View::Terminal(0) => return None,
                View::Terminal(_) => return Some(value),
                View::Runs(digit, runs) => {
                    let next = runs
                        .iter()
                        .position(|run| !matches!(self.view(run.child), View::Terminal(0)))?;
                    let byte = next.checked_sub(1).map_or(0, |before| runs[before].last + 1);
                    let (of, below) = self.digits.place(digit);
                    debug_assert_eq!(of, field);
                    value |= u64::from(byte) << below;
                    at = runs[next].child;
                }
            }
        }
    }
}
