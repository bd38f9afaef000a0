//! From rules to the decision graph.

mod arguments;

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::ToString,
    vec,
    vec::Vec,
};

use callgate_bpf::{Architecture, ByteOrder, Condition, SyscallNr};
use callgate_policy::{NumberVerdict, Ruleset};

use crate::{
    error::Contributor,
    graph::{Graph, Node, NodeId, TestNode},
};

/// Byte offsets of the first two words of `struct seccomp_data`.
const NR: u32 = 0;
const ARCH: u32 = 4;

pub(crate) struct Lowered {
    pub(crate) graph: Graph,
    pub(crate) root: NodeId,
    /// For each number with rules on arguments, where its tests begin.
    arguments: BTreeMap<&'static str, NodeId>,
}

pub(crate) fn lower(ruleset: &Ruleset, order: ByteOrder) -> Lowered {
    let mut lowerer =
        Lowerer { ruleset, order, graph: Graph::default(), arguments: BTreeMap::new() };
    let mut root = lowerer.graph.ret(ruleset.other.raw());
    let mut seen: Vec<Architecture> = Vec::new();
    for table in &ruleset.abis {
        if !seen.contains(&table.abi.audit()) {
            seen.push(table.abi.audit());
        }
    }
    // The machine's own architecture comes first in the ruleset and is tested first.
    for &arch in seen.iter().rev() {
        let then = lowerer.dispatch(arch);
        root = lowerer.graph.test(TestNode {
            word: ARCH,
            condition: Condition::Eq,
            k: arch.0,
            then,
            otherwise: root,
        });
    }
    Lowered { graph: lowerer.graph, root, arguments: lowerer.arguments }
}

struct Lowerer<'a> {
    ruleset: &'a Ruleset,
    order: ByteOrder,
    graph: Graph,
    arguments: BTreeMap<&'static str, NodeId>,
}

/// Numbers from `start` to the next run are treated alike.
struct Run {
    start: u32,
    leaf: NodeId,
}

impl Lowerer<'_> {
    /// The decision on the numbers of one architecture.
    fn dispatch(&mut self, arch: Architecture) -> NodeId {
        let mut runs: Vec<Run> = Vec::new();
        for start in run_starts(self.ruleset, arch) {
            let leaf = self.leaf(arch, SyscallNr(start));
            if runs.last().is_none_or(|last| last.leaf != leaf) {
                runs.push(Run { start, leaf });
            }
        }
        self.search(&runs)
    }

    /// A balanced search tree over runs.
    ///
    /// Its depth is logarithmic in the number of runs, so the recursion is at most 32 deep.
    fn search(&mut self, runs: &[Run]) -> NodeId {
        if let [only] = runs {
            return only.leaf;
        }
        let (low, high) = runs.split_at(runs.len() / 2);
        let otherwise = self.search(low);
        let then = self.search(high);
        self.graph.test(TestNode {
            word: NR,
            condition: Condition::Ge,
            k: high[0].start,
            then,
            otherwise,
        })
    }

    fn leaf(&mut self, arch: Architecture, nr: SyscallNr) -> NodeId {
        match self.ruleset.rules_for(arch, nr) {
            NumberVerdict::Newer(action) | NumberVerdict::OtherAbi(action) => {
                self.graph.ret(action.raw())
            }
            NumberVerdict::Rules { table, rules } => {
                let leaf = self.rules(rules, table.default, table.abi.arg_bits());
                if rules.iter().any(|rule| !rule.is_unconditional())
                    && let Some(name) = table.abi.name_of(nr)
                {
                    self.arguments.insert(name, leaf);
                }
                leaf
            }
        }
    }
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

impl Lowered {
    /// The system calls whose argument rules need most, largest first.
    pub(crate) fn contributors(&self) -> Vec<Contributor> {
        let mut all: Vec<Contributor> = self
            .arguments
            .iter()
            .map(|(name, &leaf)| Contributor { name: name.to_string(), tests: self.size(leaf) })
            .collect();
        all.sort_by(|a, b| b.tests.cmp(&a.tests).then_with(|| a.name.cmp(&b.name)));
        all.truncate(5);
        all
    }

    /// Tests reachable from a node.
    fn size(&self, from: NodeId) -> usize {
        let mut seen = vec![false; self.graph.len()];
        let mut open = vec![from];
        let mut count = 0;
        while let Some(id) = open.pop() {
            if !core::mem::replace(&mut seen[id.index()], true)
                && let Node::Test(test) = self.graph.node(id)
            {
                count += 1;
                open.extend([test.then, test.otherwise]);
            }
        }
        count
    }
}
