//! From the graph to instructions, last first.
//!
//! Jumps only go forward, so a node is laid out after its successors, whose distance is then
//! known, and nothing is patched. A verdict is repeated where it is needed rather than jumped to
//! from afar: a RET costs less than a jump.

use alloc::{collections::BTreeMap, vec, vec::Vec};

use callgate_bpf::{Instruction, Op, Operand, RawAction};

use crate::graph::{Graph, Node, NodeId, TestNode};

/// Lays out everything that can be reached from the root, which becomes instruction 0.
pub(crate) fn emit(graph: &Graph, root: NodeId) -> Vec<Instruction> {
    let order = successors_first(graph, root);
    let loads = needed_loads(graph, root, &order);
    let mut emitter =
        Emitter { reversed: Vec::new(), tests: BTreeMap::new(), returns: BTreeMap::new() };
    for &id in &order {
        if let Node::Test(test) = graph.node(id) {
            emitter.test(graph, id, test, loads[id.index()]);
        }
    }
    if let Node::Return(action) = graph.node(root) {
        emitter.push(Op::Return(action.0));
    }
    emitter.reversed.reverse();
    emitter.reversed
}

/// The nodes reachable from the root, each behind its successors; the branch that is likelier to
/// be long is placed next to its test.
fn successors_first(graph: &Graph, root: NodeId) -> Vec<NodeId> {
    let mut done = vec![false; graph.len()];
    let mut order = Vec::new();
    let mut open = vec![root];
    while let Some(&id) = open.last() {
        if done[id.index()] {
            open.pop();
            continue;
        }
        let pending = match graph.node(id) {
            Node::Return(_) => None,
            Node::Test(test) => {
                [test.then, test.otherwise].into_iter().find(|next| !done[next.index()])
            }
        };
        match pending {
            Some(next) => open.push(next),
            None => {
                done[id.index()] = true;
                order.push(id);
                open.pop();
            }
        }
    }
    order
}

/// Which tests are reached with another word in A than theirs, and so need a load.
fn needed_loads(graph: &Graph, root: NodeId, order: &[NodeId]) -> Vec<bool> {
    let mut loads = vec![false; graph.len()];
    loads[root.index()] = true;
    for &id in order {
        let Node::Test(test) = graph.node(id) else { continue };
        for next in [test.then, test.otherwise] {
            if let Node::Test(next_test) = graph.node(next)
                && next_test.word != test.word
            {
                loads[next.index()] = true;
            }
        }
    }
    loads
}

/// Distance from the end of the program.
type Place = usize;

/// Where a test can be entered.
#[derive(Clone, Copy)]
struct Entries {
    /// With its word already in A.
    test: Place,
    /// With anything in A.
    load: Option<Place>,
}

struct Emitter {
    reversed: Vec<Instruction>,
    tests: BTreeMap<NodeId, Entries>,
    /// The latest RET of each word.
    returns: BTreeMap<u32, Place>,
}

#[derive(Clone, Copy)]
enum Destination {
    Return(RawAction),
    Test { id: NodeId, load: bool },
}

impl Emitter {
    fn push(&mut self, op: Op) -> Place {
        self.reversed.push(op.into());
        self.reversed.len() - 1
    }

    fn test(&mut self, graph: &Graph, id: NodeId, test: TestNode, load: bool) {
        let destination = |next: NodeId| match graph.node(next) {
            Node::Return(action) => Destination::Return(action),
            Node::Test(next_test) => {
                Destination::Test { id: next, load: next_test.word != test.word }
            }
        };
        let (then, otherwise) = (destination(test.then), destination(test.otherwise));
        // Bringing one target within reach may push the other out of it.
        let (jt, jf) = loop {
            let before = self.reversed.len();
            self.bring_near(otherwise);
            self.bring_near(then);
            if self.reversed.len() == before
                && let (Some(jt), Some(jf)) = (self.skip(then), self.skip(otherwise))
            {
                break (jt, jf);
            }
        };
        let TestNode { condition, k, .. } = test;
        let place = self.push(Op::Branch { condition, operand: Operand::K(k), jt, jf });
        let load = load.then(|| self.push(Op::Load(test.word)));
        self.tests.insert(id, Entries { test: place, load });
    }

    /// Instructions to skip from the next one laid out to the destination, if they fit a branch.
    fn skip(&self, destination: Destination) -> Option<u8> {
        let place = self.place(destination)?;
        u8::try_from(self.reversed.len() - 1 - place).ok()
    }

    fn place(&self, destination: Destination) -> Option<Place> {
        match destination {
            Destination::Return(action) => self.returns.get(&action.0).copied(),
            Destination::Test { id, load } => {
                let entries = self.tests.get(&id)?;
                if load { entries.load } else { Some(entries.test) }
            }
        }
    }

    /// Lays out a RET or a jump where the destination is too far for a branch.
    fn bring_near(&mut self, destination: Destination) {
        if self.skip(destination).is_some() {
            return;
        }
        match destination {
            Destination::Return(action) => {
                let place = self.push(Op::Return(action.0));
                self.returns.insert(action.0, place);
            }
            Destination::Test { id, load } => {
                let target = self.place(destination).expect("successors are laid out first");
                let distance = u32::try_from(self.reversed.len() - 1 - target)
                    .expect("a graph has fewer nodes than 2^32");
                let place = self.push(Op::Jump(distance));
                let entries = self.tests.get_mut(&id).expect("laid out");
                if load {
                    entries.load = Some(place);
                } else {
                    entries.test = place;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use callgate_bpf::{Action, ByteOrder, Condition, Layout, Program, ShiftRule};

    use super::*;

    /// A chain of equality tests on one word, longer than a branch can reach across.
    fn chain(length: u32) -> (Graph, NodeId) {
        let mut graph = Graph::default();
        let allow = graph.ret(Action::Allow.raw());
        let mut root = graph.ret(Action::KillProcess.raw());
        for k in 0..length {
            // Another word each time, so that no load can be left out.
            let word = if k % 2 == 0 { 16 } else { 24 };
            root = graph.test(TestNode {
                word,
                condition: Condition::Eq,
                k,
                then: allow,
                otherwise: root,
            });
        }
        (graph, root)
    }

    #[test]
    fn verdicts_out_of_reach_are_repeated() {
        let (graph, root) = chain(1000);
        let program = Program::new(emit(&graph, root), Layout::seccomp(ByteOrder::Little)).unwrap();
        let mut words = [0; 16];
        words[4] = 998;
        assert_eq!(program.run(&words, ShiftRule::default()).action(), Action::Allow);
        words[4] = 1;
        assert_eq!(program.run(&words, ShiftRule::default()).action(), Action::KillProcess);
        words[6] = 1;
        assert_eq!(program.run(&words, ShiftRule::default()).action(), Action::Allow);
        let returns = program.instructions().iter().filter(|i| i.code == 6).count();
        assert!((2..20).contains(&returns), "{returns} RETs");
    }

    #[test]
    fn a_lone_verdict_is_one_instruction() {
        let mut graph = Graph::default();
        let root = graph.ret(Action::Log.raw());
        assert_eq!(emit(&graph, root), [Op::Return(Action::Log.raw().0).into()]);
    }
}
