//! A tree of tests on one word.

use alloc::boxed::Box;

use callgate_bpf::Condition;

use super::{Price, Run};
use crate::graph::{Graph, NodeId, TestNode, Word};

/// Tests on one word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    Class(u32),
    Test {
        condition: Condition,
        k: u32,
        then: Box<Plan>,
        otherwise: Box<Plan>,
    },
    /// Clears the bits outside the mask; what follows tests what is left.
    Mask {
        mask: u32,
        next: Box<Plan>,
    },
}

impl Plan {
    /// The values equal to `k` are of a class, the others as the plan says.
    pub(crate) fn equal(k: u32, class: u32, otherwise: Plan) -> Plan {
        let then = Box::new(Plan::Class(class));
        Plan::Test { condition: Condition::Eq, k, then, otherwise: Box::new(otherwise) }
    }

    /// How many instructions it has.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Plan::Class(_) => 0,
            Plan::Test { then, otherwise, .. } => 1 + then.size() + otherwise.size(),
            Plan::Mask { next, .. } => 1 + next.size(),
        }
    }

    /// How many instructions are executed for a value.
    pub(crate) fn executed(&self, mut value: u32) -> u32 {
        let mut plan = self;
        let mut executed = 0;
        loop {
            plan = match plan {
                Plan::Class(_) => return executed,
                Plan::Test { condition, k, then, otherwise } => {
                    if condition.holds(value, *k) {
                        then
                    } else {
                        otherwise
                    }
                }
                Plan::Mask { mask, next } => {
                    value &= mask;
                    next
                }
            };
            executed += 1;
        }
    }

    /// Instructions executed at worst, those behind the plan included.
    pub(crate) fn depth(&self, runs: &[Run]) -> u32 {
        runs.iter().map(|run| self.executed(run.first) + run.depth).max().unwrap_or(0)
    }

    /// What the plan costs for these runs, in 1/256 of an instruction times all weights.
    pub(crate) fn cost(&self, runs: &[Run], price: Price) -> u128 {
        let wide = |run: &Run| u128::from(self.executed(run.first)) * u128::from(run.weight);
        let executed: u128 = runs.iter().map(wide).sum();
        let total: u128 = runs.iter().map(|run| u128::from(run.weight)).sum();
        let depth = u64::from(self.depth(runs));
        let fixed = u128::from(self.size() * price.size + depth * price.worst);
        256 * executed + fixed * total
    }

    /// Lays the plan out as nodes; `leaf` makes those of the classes.
    pub(crate) fn lay(
        &self,
        word: Word,
        graph: &mut Graph,
        leaf: &mut impl FnMut(u32, &mut Graph) -> NodeId,
    ) -> NodeId {
        match self {
            Plan::Class(class) => leaf(*class, graph),
            Plan::Test { condition, k, then, otherwise } => {
                let otherwise = otherwise.lay(word, graph, leaf);
                let then = then.lay(word, graph, leaf);
                graph.test(TestNode { word, condition: *condition, k: *k, then, otherwise })
            }
            Plan::Mask { mask, next } => {
                next.lay(Word { mask: word.mask & mask, ..word }, graph, leaf)
            }
        }
    }
}
