//! Which word to ask next.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use callgate_bpf::{ByteOrder, Condition, Layout};

use super::{
    atom::{Atom, Half, Holds, Known},
    cubes,
    partition::partition,
    residue::{Clause, Residue, ResidueId, Residues},
};
use crate::{
    dispatch::{Plan, Price, Run},
    graph::{Graph, NodeId, TestNode, Word},
};

/// The rules of one number have more to them than may be looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TooMuch;

/// Steps for all rules together, and those for the rules of one number.
const STEPS: usize = 1 << 20;
const OWN_STEPS: usize = 1 << 17;

/// Residues up to which every order of words is tried, of all numbers and of each.
const TRIES: usize = 1 << 11;
const TRIES_EACH: usize = 64;

/// With more rules left than this, one order has to do.
const FEW: usize = 128;

/// An instruction executed, in the unit of cost.
const ONE: u64 = 1 << 8;

/// How the decision on a residue goes on, and what it costs once its word is loaded.
#[derive(Clone, Debug)]
struct Solved {
    how: How,
    /// Instructions executed, expected, in units of [`ONE`]; the load is not among them.
    expected: u64,
    /// Tests and loads.
    size: u64,
    depth: u32,
}

/// What a decision costs with its load, where that is needed.
struct Entered {
    expected: u64,
    size: u64,
    depth: u32,
}

#[derive(Clone, Debug)]
enum How {
    Verdict,
    /// As another residue.
    Same(ResidueId),
    /// The plan's classes are residues.
    Word {
        half: Half,
        plan: Plan,
    },
    Mask {
        half: Half,
        mask: u32,
        value: u32,
        then: ResidueId,
        otherwise: ResidueId,
    },
}

impl How {
    fn half(&self) -> Option<Half> {
        match self {
            How::Verdict | How::Same(_) => None,
            How::Word { half, .. } | How::Mask { half, .. } => Some(*half),
        }
    }

    /// Whether its word is in A afterwards.
    fn keeps(&self) -> bool {
        match self {
            How::Mask { mask, value, .. } => single(*mask, *value).is_some(),
            _ => true,
        }
    }
}

/// The one test that tells whether the bits under the mask have the value, with its sense.
fn single(mask: u32, value: u32) -> Option<bool> {
    match value {
        0 => Some(false),
        _ if value == mask && mask.count_ones() == 1 => Some(true),
        _ => None,
    }
}

/// Decisions on residues, kept for all numbers of a program.
pub(crate) struct Search {
    order: ByteOrder,
    price: Price,
    cubes: bool,
    residues: Residues,
    solved: BTreeMap<ResidueId, Solved>,
    built: BTreeMap<ResidueId, NodeId>,
    steps: usize,
    /// Residues of one number that may be tried in every order, and what is left of them.
    tries_each: usize,
    tries: usize,
}

impl Search {
    /// For so many numbers with rules on arguments.
    pub(crate) fn new(order: ByteOrder, price: Price, cubes: bool, numbers: usize) -> Search {
        let tries_each = (TRIES / numbers.max(1)).min(TRIES_EACH);
        Search {
            order,
            price: if tries_each == TRIES_EACH { price } else { price.quick() },
            cubes,
            residues: Residues::default(),
            solved: BTreeMap::new(),
            built: BTreeMap::new(),
            steps: STEPS,
            tries_each,
            tries: 0,
        }
    }

    /// The decision on these rules.
    pub(crate) fn lower(&mut self, residue: Residue, graph: &mut Graph) -> Result<NodeId, TooMuch> {
        let others = self.steps.saturating_sub(OWN_STEPS);
        self.steps -= others;
        self.tries = self.tries_each;
        let id = self.residues.intern(residue);
        let outcome = self.solve(id);
        self.steps += others;
        let id = outcome?;
        Ok(self.build(id, graph))
    }

    /// Finds the decision on a residue, which may be another one's.
    ///
    /// Recursion is as deep as there are words and masks in the rules, since each step removes
    /// one.
    fn solve(&mut self, id: ResidueId) -> Result<ResidueId, TooMuch> {
        match self.solved.get(&id) {
            Some(Solved { how: How::Same(other), .. }) => return Ok(*other),
            Some(_) => return Ok(id),
            None => {}
        }
        let residue = self.residues.get(id);
        let halves = residue.halves();
        let mut best: Option<Solved> = None;
        if halves.is_empty() {
            best = Some(Solved { how: How::Verdict, expected: ONE, size: 0, depth: 1 });
        }
        let few = residue.clauses.len() <= FEW;
        let candidates: Vec<Half> = match self.tries.checked_sub(1) {
            Some(left) if few => {
                self.tries = left;
                halves
            }
            _ => commonest(&residue, &halves).into_iter().collect(),
        };
        for half in candidates {
            if let Some(solved) = self.by_ranges(&residue, half)? {
                self.better(&mut best, solved);
                if self.tries == 0 || !few {
                    continue;
                }
            }
            for (mask, value) in masks(&residue, half) {
                let solved = self.by_mask(&residue, half, mask, value)?;
                self.better(&mut best, solved);
                if self.tries == 0 {
                    break;
                }
            }
        }
        let best = best.expect("a residue has words or is a verdict");
        let same = match best.how {
            How::Same(other) => other,
            _ => id,
        };
        self.solved.insert(id, best);
        Ok(same)
    }

    fn better(&self, best: &mut Option<Solved>, new: Solved) {
        let cost = |solved: &Solved| {
            (solved.expected + solved.size * self.price.size, solved.depth, solved.how.half())
        };
        if best.as_ref().is_none_or(|best| cost(&new) < cost(best)) {
            *best = Some(new);
        }
    }

    /// What it costs to go on there with this word in A.
    fn entered(&self, id: ResidueId, held: Option<Half>) -> Entered {
        let Solved { how, expected, size, depth } = &self.solved[&id];
        let load = how.half().is_some_and(|half| Some(half) != held);
        Entered {
            expected: expected + if load { ONE } else { 0 },
            size: size + u64::from(load),
            depth: depth + u32::from(load),
        }
    }

    fn by_ranges(&mut self, residue: &Residue, half: Half) -> Result<Option<Solved>, TooMuch> {
        let Some(parts) = partition(residue, half, &mut self.steps) else {
            return Ok(None);
        };
        self.spend(1)?;
        let mut runs: Vec<Run> = Vec::new();
        for part in parts {
            let id = self.residues.intern(part.residue);
            let id = self.solve(id)?;
            match runs.last_mut() {
                Some(before) if before.class == id.0 => {
                    before.last = part.last;
                    before.weight += part.weight;
                }
                _ => runs.push(Run {
                    first: part.first,
                    last: part.last,
                    class: id.0,
                    weight: part.weight,
                    depth: self.entered(id, Some(half)).depth,
                }),
            }
        }
        if let [only] = &runs[..] {
            // Nothing depends on the word after all.
            let how = How::Same(ResidueId(only.class));
            return Ok(Some(Solved { how, expected: 0, size: 0, depth: 0 }));
        }
        let mut expected = 0u128;
        let mut total = 0;
        let mut size = 0;
        let mut known: BTreeSet<u32> = BTreeSet::new();
        for run in &runs {
            let behind = self.entered(ResidueId(run.class), Some(half));
            total += run.weight;
            expected += u128::from(run.weight) * u128::from(behind.expected);
            if known.insert(run.class) {
                size += behind.size;
            }
        }
        let plan = cubes::plan(&runs, self.price, self.cubes);
        let executed: u128 = runs
            .iter()
            .map(|run| u128::from(plan.executed(run.first)) * u128::from(run.weight))
            .sum();
        let (tests, depth) = (plan.size(), plan.depth(&runs));
        expected += executed * u128::from(ONE);
        let expected = u64::try_from(expected / u128::from(total)).unwrap_or(u64::MAX);
        let how = How::Word { half, plan };
        Ok(Some(Solved { how, expected, size: size + tests, depth }))
    }

    fn by_mask(
        &mut self,
        residue: &Residue,
        half: Half,
        mask: u32,
        value: u32,
    ) -> Result<Solved, TooMuch> {
        self.spend(2 * residue.clauses.len())?;
        let sides = [true, false].map(|holds| {
            let known = Known::Masked { mask, value, holds };
            let left: Vec<Clause> =
                residue.clauses.iter().filter_map(|clause| clause.given(half, known)).collect();
            self.residues.intern(Residue::new(left, residue.default))
        });
        let sides = [self.solve(sides[0])?, self.solve(sides[1])?];
        if sides[0] == sides[1] {
            return Ok(Solved { how: How::Same(sides[0]), expected: 0, size: 0, depth: 0 });
        }
        let how = How::Mask { half, mask, value, then: sides[0], otherwise: sides[1] };
        let held = how.keeps().then_some(half);
        let own = if how.keeps() { 1 } else { 2 };
        let [then, otherwise] = sides.map(|side| self.entered(side, held));
        // As if both were as likely.
        let expected = own * ONE + (then.expected + otherwise.expected) / 2;
        let size = own + then.size + otherwise.size;
        let depth = u32::try_from(own).unwrap_or(2) + then.depth.max(otherwise.depth);
        Ok(Solved { how, expected, size, depth })
    }

    fn spend(&mut self, steps: usize) -> Result<(), TooMuch> {
        self.steps = self.steps.saturating_sub(steps);
        if self.steps == 0 { Err(TooMuch) } else { Ok(()) }
    }

    fn build(&mut self, id: ResidueId, graph: &mut Graph) -> NodeId {
        if let Some(&known) = self.built.get(&id) {
            return known;
        }
        let node = match self.solved[&id].how.clone() {
            How::Verdict => graph.ret(self.residues.get(id).default),
            How::Same(other) => self.build(other, graph),
            How::Word { half, plan } => {
                let word = Word::whole(self.offset(half));
                plan.lay(word, graph, &mut |class, graph| self.build(ResidueId(class), graph))
            }
            How::Mask { half, mask, value, then, otherwise } => {
                let (then, otherwise) = (self.build(then, graph), self.build(otherwise, graph));
                let offset = self.offset(half);
                let whole = Word::whole(offset);
                let test = match single(mask, value) {
                    Some(true) => {
                        let condition = Condition::Set;
                        TestNode { word: whole, condition, k: mask, then, otherwise }
                    }
                    Some(false) => TestNode {
                        word: whole,
                        condition: Condition::Set,
                        k: mask,
                        then: otherwise,
                        otherwise: then,
                    },
                    None => TestNode {
                        word: Word { offset, mask },
                        condition: Condition::Eq,
                        k: value,
                        then,
                        otherwise,
                    },
                };
                graph.test(test)
            }
        };
        self.built.insert(id, node);
        node
    }

    fn offset(&self, half: Half) -> u32 {
        match half.high {
            true => Layout::arg_high(self.order, half.arg),
            false => Layout::arg_low(self.order, half.arg),
        }
    }
}

/// The word that most rules look at. Lower halves come first, so that what is left, that the upper
/// ones are 0, is often the same for many calls; then the word with the fewest limits.
fn commonest(residue: &Residue, halves: &[Half]) -> Option<Half> {
    let count = |half: Half| {
        let mut looking = 0;
        let mut limits: Vec<u32> = Vec::new();
        for clause in &residue.clauses {
            looking += usize::from(clause.atoms.iter().any(|a| a.halves().any(|h| h == half)));
            if limits.len() < 16 {
                limits.extend(clause.atoms.iter().flat_map(|atom| atom.limits(half)));
                limits.sort_unstable();
                limits.dedup();
            }
        }
        (looking, !half.high, core::cmp::Reverse(limits.len()))
    };
    halves.iter().copied().max_by_key(|&half| (count(half), core::cmp::Reverse(half)))
}

/// The masks under which a word is compared, a few of them.
fn masks(residue: &Residue, half: Half) -> Vec<(u32, u32)> {
    let atoms = residue.clauses.iter().flat_map(|clause| &clause.atoms);
    let mut masks: Vec<(u32, u32)> = Vec::new();
    for atom in atoms {
        if let Atom::Word(own, Holds::Masked { mask, value }) = *atom
            && own == half
            && !masks.contains(&(mask, value))
        {
            masks.push((mask, value));
            if masks.len() == 4 {
                break;
            }
        }
    }
    masks
}
