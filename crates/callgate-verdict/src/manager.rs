//! The store of nodes: every node exists once, so equal meaning is equal identity.

use alloc::{vec, vec::Vec};
use core::fmt;

use callgate_bpf::Layout;

use crate::digits::{Digit, Digits};

/// Holds the nodes of the diagrams that are compared with one another.
///
/// Diagrams of different managers must not be mixed: their identities mean nothing to each other.
pub struct Manager {
    pub(crate) digits: Digits,
    nodes: Vec<Node>,
    runs: Vec<Run>,
    /// Open addressing over `nodes`; a power of two, at most half full.
    unique: Vec<u32>,
    pub(crate) cache: Cache,
    /// Runs of nodes that are being made, used as a stack.
    scratch: Vec<Run>,
    /// Nodes and runs together.
    size_limit: usize,
    /// Steps that operations may still take.
    steps: usize,
}

/// A node, or a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeId(u32);

#[derive(Clone, Copy)]
struct Node {
    /// [`Digit::TERMINAL`] in a terminal.
    digit: Digit,
    /// Number of runs less one; 0 in a terminal.
    extra_runs: u8,
    /// First run; the value itself in a terminal.
    start: u32,
}

/// The values up to and including `last`, from behind the run before, lead to `child`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) last: u8,
    pub(crate) child: NodeId,
}

/// A node whose runs are being gathered.
pub(crate) struct Unfinished {
    base: usize,
}

/// A node opened up.
pub(crate) enum View<'a> {
    Terminal(u32),
    Runs(Digit, &'a [Run]),
}

/// The diagram would need more memory or time than the manager may use.
///
/// It says nothing about the function: the answer is "unknown".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooComplex(());

impl core::error::Error for TooComplex {}

impl fmt::Display for TooComplex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "too complex: the exact meaning would take more memory or time than is set aside for it",
        )
    }
}

impl TooComplex {
    pub(crate) const fn new() -> TooComplex {
        TooComplex(())
    }
}

/// Nodes and runs that a manager may hold: with their tables some 50 MB at most.
const SIZE_LIMIT: usize = 2 << 20;

/// Steps that operations may take for each node or run that a manager may hold: some seconds in
/// all. Without a limit, a program could be written that makes few nodes and works for hours.
const STEPS_FOR_EACH: usize = 64;

const EMPTY: u32 = u32::MAX;

impl Manager {
    /// A manager for contexts of this layout; the byte order does not matter to the diagrams.
    pub fn new(layout: Layout) -> Manager {
        Manager::with_limit(layout, SIZE_LIMIT)
    }

    /// A manager that holds at most so many nodes and runs of byte values, and works in
    /// proportion. Each takes some 20 bytes, tables included.
    pub fn with_limit(layout: Layout, size: usize) -> Manager {
        Manager {
            digits: Digits::new(layout),
            nodes: Vec::new(),
            runs: Vec::new(),
            unique: vec![EMPTY; 1 << 10],
            cache: Cache::new(),
            scratch: Vec::new(),
            size_limit: size,
            steps: size.saturating_mul(STEPS_FOR_EACH),
        }
    }

    /// Nodes in all, a measure of the memory used.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn view(&self, id: NodeId) -> View<'_> {
        let node = self.nodes[index(id.0)];
        if node.digit == Digit::TERMINAL {
            View::Terminal(node.start)
        } else {
            View::Runs(node.digit, self.runs_of(node))
        }
    }

    pub(crate) fn digit(&self, id: NodeId) -> Digit {
        self.nodes[index(id.0)].digit
    }

    fn runs_of(&self, node: Node) -> &[Run] {
        let start = index(node.start);
        &self.runs[start..=start + usize::from(node.extra_runs)]
    }

    pub(crate) fn terminal(&mut self, value: u32) -> NodeId {
        let found = self.find(terminal_hash(value), |_, node| {
            node.digit == Digit::TERMINAL && node.start == value
        });
        match found {
            Ok(id) => id,
            Err(slot) => {
                self.insert(slot, Node { digit: Digit::TERMINAL, extra_runs: 0, start: value })
            }
        }
    }

    /// Counts a step of an operation.
    pub(crate) fn take_step(&mut self) -> Result<(), TooComplex> {
        self.steps = self.steps.checked_sub(1).ok_or(TooComplex(()))?;
        Ok(())
    }

    /// Starts the runs of a new node; nodes may be made in between.
    pub(crate) fn begin(&self) -> Unfinished {
        Unfinished { base: self.scratch.len() }
    }

    /// Adds values up to and including `last` to the node that was begun last.
    pub(crate) fn push(&mut self, node: &Unfinished, last: u8, child: NodeId) {
        match self.scratch[node.base..].last_mut() {
            Some(run) if run.child == child => run.last = last,
            _ => self.scratch.push(Run { last, child }),
        }
    }

    /// The node of the runs that were added, which must reach 255.
    pub(crate) fn finish(&mut self, digit: Digit, node: Unfinished) -> Result<NodeId, TooComplex> {
        let result = self.node(digit, node.base);
        self.scratch.truncate(node.base);
        result
    }

    /// Gives up a node, and whatever was begun after it.
    pub(crate) fn abandon(&mut self, node: Unfinished) {
        self.scratch.truncate(node.base);
    }

    fn node(&mut self, digit: Digit, base: usize) -> Result<NodeId, TooComplex> {
        let runs = &self.scratch[base..];
        debug_assert!(runs.last().is_some_and(|run| run.last == u8::MAX));
        debug_assert!(runs.windows(2).all(|w| w[0].last < w[1].last && w[0].child != w[1].child));
        if let [only] = runs {
            return Ok(only.child);
        }
        let found = self.find(hash(digit, runs), |manager, node| {
            node.digit == digit && manager.runs_of(node) == &manager.scratch[base..]
        });
        match found {
            Ok(id) => Ok(id),
            Err(_) if self.nodes.len() + self.runs.len() + runs.len() > self.size_limit => {
                Err(TooComplex(()))
            }
            Err(slot) => {
                let start = u32::try_from(self.runs.len()).map_err(|_| TooComplex(()))?;
                let extra_runs = u8::try_from(runs.len() - 1).expect("at most 256 runs");
                self.runs.extend_from_slice(runs);
                Ok(self.insert(slot, Node { digit, extra_runs, start }))
            }
        }
    }

    /// The node in the chain of this hash that is the one, or the free slot at its end.
    fn find(&self, hash: u64, is: impl Fn(&Manager, Node) -> bool) -> Result<NodeId, usize> {
        let mask = self.unique.len() - 1;
        let mut slot = fold(hash) & mask;
        loop {
            match self.unique[slot] {
                EMPTY => return Err(slot),
                at if is(self, self.nodes[index(at)]) => return Ok(NodeId(at)),
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    fn insert(&mut self, slot: usize, node: Node) -> NodeId {
        let id = u32::try_from(self.nodes.len()).expect("nodes are limited far below 2^32");
        self.nodes.push(node);
        self.unique[slot] = id;
        if self.nodes.len() * 2 > self.unique.len() {
            self.grow();
        }
        NodeId(id)
    }

    fn grow(&mut self) {
        let mut unique = vec![EMPTY; self.unique.len() * 2];
        let mask = unique.len() - 1;
        for (id, &node) in (0u32..).zip(&self.nodes) {
            let hash = if node.digit == Digit::TERMINAL {
                terminal_hash(node.start)
            } else {
                hash(node.digit, self.runs_of(node))
            };
            let mut slot = fold(hash) & mask;
            while unique[slot] != EMPTY {
                slot = (slot + 1) & mask;
            }
            unique[slot] = id;
        }
        self.cache.grow(unique.len());
        self.unique = unique;
    }
}

/// Results of operations on three nodes, kept as long as nothing newer takes the place.
///
/// Forgetting costs time, never correctness. It can cost much: what is forgotten is worked out
/// again with everything below it, so the table grows with the nodes, up to a limit.
pub(crate) struct Cache {
    /// A power of two.
    entries: Vec<Known>,
}

/// An operation, what it was done to, and the result.
type Known = (Operation, [u32; 3], NodeId);

/// What was done to the nodes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    Empty,
    IfThenElse,
    Stack,
    Weaker,
    Differ,
}

impl Cache {
    const NOTHING: Known = (Operation::Empty, [0; 3], NodeId(0));
    const FIRST_SIZE: usize = 1 << 12;
    const LAST_SIZE: usize = 1 << 18;

    fn new() -> Cache {
        Cache { entries: vec![Cache::NOTHING; Cache::FIRST_SIZE] }
    }

    /// Makes room for so many results, a power of two, keeping what is there.
    fn grow(&mut self, size: usize) {
        let size = size.min(Cache::LAST_SIZE);
        if size <= self.entries.len() {
            return;
        }
        let old = core::mem::replace(&mut self.entries, vec![Cache::NOTHING; size]);
        for known in old {
            let slot = self.slot(known.0, known.1);
            self.entries[slot] = known;
        }
    }

    fn slot(&self, operation: Operation, nodes: [u32; 3]) -> usize {
        let [a, b, c] = nodes.map(u64::from);
        let tag = match operation {
            Operation::Empty => 0,
            Operation::IfThenElse => 1,
            Operation::Stack => 2,
            Operation::Weaker => 3,
            Operation::Differ => 4,
        };
        fold(mix(mix(mix(tag ^ a << 8) ^ b) ^ c)) & (self.entries.len() - 1)
    }

    pub(crate) fn get(&self, operation: Operation, nodes: [NodeId; 3]) -> Option<NodeId> {
        let nodes = nodes.map(|node| node.0);
        let (kept, of, result) = self.entries[self.slot(operation, nodes)];
        (kept == operation && of == nodes).then_some(result)
    }

    pub(crate) fn set(&mut self, operation: Operation, nodes: [NodeId; 3], result: NodeId) {
        let nodes = nodes.map(|node| node.0);
        let slot = self.slot(operation, nodes);
        self.entries[slot] = (operation, nodes, result);
    }
}

fn terminal_hash(value: u32) -> u64 {
    mix(u64::from(value) ^ (0xff << 32))
}

fn hash(digit: Digit, runs: &[Run]) -> u64 {
    runs.iter().fold(u64::from(digit.0), |hash, run| {
        mix(hash ^ (u64::from(run.child.0) << 8 | u64::from(run.last)))
    })
}

/// One round of a multiplicative hash.
fn mix(value: u64) -> u64 {
    let product = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ (product >> 29)
}

fn fold(hash: u64) -> usize {
    // The high bits are the well-mixed ones; usize may be 32 bits wide.
    usize::try_from((hash >> 32) ^ (hash & 0x7fff_ffff)).unwrap_or(0)
}

fn index(value: u32) -> usize {
    usize::try_from(value).expect("32 bits fit usize")
}
