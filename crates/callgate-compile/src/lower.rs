//! From rules to the decision graph.

mod chain;
mod fold;
mod price;

use alloc::{collections::BTreeMap, string::ToString, vec, vec::Vec};

use callgate_bpf::{Architecture, ByteOrder, Condition, SyscallNr};
use callgate_policy::{AbiRules, NumberVerdict, Rule, Ruleset};

use crate::{
    Options,
    arguments::{Residue, Search},
    dispatch::{self, Plan, Price, Run},
    error::Contributor,
    graph::{Graph, Node, NodeId, TestNode, Word},
    runs::{Span, run_starts, spans},
    weights::Fate,
};

pub(crate) struct Lowered {
    pub(crate) graph: Graph,
    pub(crate) root: NodeId,
    /// For each number with rules on arguments, where its tests begin.
    arguments: BTreeMap<&'static str, NodeId>,
}

pub(crate) fn lower(ruleset: &Ruleset, order: ByteOrder, options: &Options) -> Lowered {
    let numbers = ruleset.abis.iter().flat_map(|table| table.rules.values());
    let conditional = numbers.filter(|rules| rules.first().is_some_and(|r| !r.is_unconditional()));
    let conditional = conditional.count();
    let mut lowerer = Lowerer {
        ruleset,
        order,
        options,
        graph: Graph::default(),
        search: Search::new(order, price::arguments(options), options.passes.cubes, conditional),
        arguments: BTreeMap::new(),
    };
    let mut root = lowerer.graph.ret(ruleset.other.raw());
    let mut seen: Vec<Architecture> = Vec::new();
    for table in &ruleset.abis {
        if !seen.contains(&table.abi.audit()) {
            seen.push(table.abi.audit());
        }
    }
    // The machine's own architecture comes first in the ruleset and is tested first.
    for &arch in seen.iter().rev() {
        let then = lowerer.architecture(arch);
        root = lowerer.graph.test(TestNode {
            word: Word::ARCH,
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
    options: &'a Options,
    graph: Graph,
    search: Search,
    arguments: BTreeMap<&'static str, NodeId>,
}

impl Lowerer<'_> {
    /// The decision on the numbers of one architecture.
    fn architecture(&mut self, arch: Architecture) -> NodeId {
        let starts = run_starts(self.ruleset, arch);
        let leaves = spans(0, u32::MAX, &starts, |nr| self.leaf(arch, SyscallNr(nr)));
        let weights = self.weights(arch);
        let is_native = self.ruleset.abis.first().is_some_and(|table| table.abi.audit() == arch);
        let price = price::numbers(self.options, is_native);
        match fold::fold(self, arch, &leaves, &weights, price) {
            Some(folded) => folded,
            None => self.dispatch(&leaves, &weights, price),
        }
    }

    /// The weight of each number, in order.
    fn weights(&self, arch: Architecture) -> Vec<(u32, u64)> {
        let mut weights = Vec::new();
        for table in self.ruleset.abis.iter().filter(|table| table.abi.audit() == arch) {
            for (nr, name) in table.abi.syscalls() {
                let fate = match table.rules.get(&nr).map(Vec::as_slice) {
                    None | Some([]) => Fate::Default,
                    Some([rule, ..]) if rule.is_unconditional() && rule.action.runs_call() => {
                        Fate::Cached
                    }
                    Some(_) => Fate::Asked,
                };
                weights.push((nr.0, self.options.weights.of(name, fate)));
            }
        }
        weights.sort_unstable();
        weights
    }

    /// The best tree over the leaves.
    fn dispatch(
        &mut self,
        leaves: &[Span<NodeId>],
        weights: &[(u32, u64)],
        price: Price,
    ) -> NodeId {
        let runs = self.runs(leaves, weights);
        let plan = dispatch::plan(&runs, price);
        self.lay(&plan, NodeId::of_number)
    }

    /// The leaves as runs, with what their numbers weigh together.
    fn runs(&self, leaves: &[Span<NodeId>], weights: &[(u32, u64)]) -> Vec<Run> {
        let mut rest = weights;
        let mut run = |span: &Span<NodeId>| {
            let inside = rest.partition_point(|(nr, _)| *nr <= span.last);
            let (inside, others) = rest.split_at(inside);
            rest = others;
            let weight: u64 = inside.iter().map(|(_, weight)| weight).sum();
            Run {
                first: span.first,
                last: span.last,
                class: span.value.number(),
                weight: weight.max(1),
                depth: self.graph.depth_of(span.value),
            }
        };
        leaves.iter().map(&mut run).collect()
    }

    /// The decision on the arguments of one number.
    fn rules(&mut self, rules: &[Rule], table: &AbiRules) -> NodeId {
        match rules.first() {
            None => return self.graph.ret(table.default.raw()),
            Some(first) if first.is_unconditional() => return self.graph.ret(first.action.raw()),
            Some(_) => {}
        }
        if self.options.passes.words
            && let Ok(node) = self.search.lower(Residue::of(rules, table), &mut self.graph)
        {
            return node;
        }
        self.chain(rules, table.default, table.abi.arg_bits())
    }

    fn lay(&mut self, plan: &Plan, node: impl Fn(u32) -> NodeId) -> NodeId {
        plan.lay(Word::NR, &mut self.graph, &mut |class, _| node(class))
    }

    fn leaf(&mut self, arch: Architecture, nr: SyscallNr) -> NodeId {
        match self.ruleset.rules_for(arch, nr) {
            NumberVerdict::Newer(action) | NumberVerdict::OtherAbi(action) => {
                self.graph.ret(action.raw())
            }
            NumberVerdict::Rules { table, rules } => {
                let leaf = self.rules(rules, table);
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
            if !core::mem::replace(&mut seen[id.index()], true) {
                let node = self.graph.node(id);
                count += usize::from(matches!(node, Node::Test(_)));
                open.extend(node.successors());
            }
        }
        count
    }
}
