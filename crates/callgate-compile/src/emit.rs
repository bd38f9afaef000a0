//! From the graph to instructions, last first.
//!
//! Jumps only go forward, so a node is laid out after its successors, whose distance is then
//! known, and nothing is patched. A verdict is repeated where it is needed rather than jumped to
//! from afar: a RET costs less than a jump.

use alloc::{collections::BTreeMap, vec, vec::Vec};

use callgate_bpf::{AluOp, Instruction, Op, Operand, RawAction};

use crate::graph::{Graph, Node, NodeId, TestNode, Word};

/// Lays out everything that can be reached from the root, which becomes instruction 0.
pub(crate) fn emit(graph: &Graph, root: NodeId) -> Vec<Instruction> {
    let order = successors_first(graph, root);
    let prefixes = prefixes(graph, root, &order);
    let mut emitter = Emitter {
        graph,
        reversed: Vec::new(),
        entries: vec![Entries::default(); graph.len()],
        returns: BTreeMap::new(),
    };
    for &id in &order {
        emitter.node(id, prefixes[id.index()]);
    }
    if let Node::Return(action) = graph.node(root) {
        emitter.push(Op::Return(action.0));
    }
    emitter.reversed.reverse();
    emitter.reversed
}

/// The nodes reachable from the root, each behind its successors.
fn successors_first(graph: &Graph, root: NodeId) -> Vec<NodeId> {
    let mut done = vec![false; graph.len()];
    let mut order = Vec::new();
    let mut open = vec![root];
    while let Some(&id) = open.last() {
        if done[id.index()] {
            open.pop();
            continue;
        }
        match graph.node(id).successors().find(|next| !done[next.index()]) {
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

/// How far what A holds is from what a node needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Way {
    /// A holds it.
    #[default]
    Ready,
    /// A holds more bits of the same word: an AND is missing.
    Mask,
    /// A holds something else.
    Load,
}

fn way(held: Option<Word>, needed: Word) -> Way {
    match held {
        Some(word) if word == needed => Way::Ready,
        Some(word) if word.offset == needed.offset && word.mask & needed.mask == needed.mask => {
            Way::Mask
        }
        _ => Way::Load,
    }
}

/// The longest way on which each node is reached: what must be laid out before it.
fn prefixes(graph: &Graph, root: NodeId, order: &[NodeId]) -> Vec<Way> {
    let mut longest = vec![Way::Ready; graph.len()];
    longest[root.index()] = Way::Load;
    for &id in order {
        let node = graph.node(id);
        for next in node.successors() {
            if let Some(needed) = graph.node(next).word() {
                let way = way(node.word(), needed);
                longest[next.index()] = longest[next.index()].max(way);
            }
        }
    }
    longest
}

/// Distance from the end of the program.
type Place = usize;

/// Where a node can be entered, for each [`Way`].
#[derive(Clone, Copy, Default)]
struct Entries {
    ready: Option<Place>,
    mask: Option<Place>,
    load: Option<Place>,
}

impl Entries {
    fn at(&mut self, way: Way) -> &mut Option<Place> {
        match way {
            Way::Ready => &mut self.ready,
            Way::Mask => &mut self.mask,
            Way::Load => &mut self.load,
        }
    }
}

struct Emitter<'a> {
    graph: &'a Graph,
    reversed: Vec<Instruction>,
    entries: Vec<Entries>,
    /// The latest RET of each word.
    returns: BTreeMap<u32, Place>,
}

#[derive(Clone, Copy)]
enum Destination {
    Return(RawAction),
    Node { id: NodeId, way: Way },
}

impl Emitter<'_> {
    fn push(&mut self, op: Op) -> Place {
        self.reversed.push(op.into());
        self.reversed.len() - 1
    }

    fn node(&mut self, id: NodeId, prefix: Way) {
        let word = match self.graph.node(id) {
            // Laid out by those who need it.
            Node::Return(_) => return,
            Node::Test(test) => {
                self.test(test);
                test.word
            }
            Node::Clear { keep, next } => {
                let next = self.destination(Some(Word::NR), next);
                if self.skip(next) != Some(0) {
                    self.repeat(next);
                }
                self.push(Op::Alu(AluOp::And, Operand::K(keep)));
                Word::NR
            }
        };
        let ready = self.reversed.len() - 1;
        let masks = prefix >= Way::Mask && word.mask != u32::MAX;
        let mask = masks.then(|| self.push(Op::Alu(AluOp::And, Operand::K(word.mask))));
        let load = (prefix == Way::Load).then(|| self.push(Op::Load(word.offset)));
        self.entries[id.index()] = Entries { ready: Some(ready), mask, load };
    }

    fn destination(&self, held: Option<Word>, next: NodeId) -> Destination {
        let node = self.graph.node(next);
        match (node, node.word()) {
            (_, Some(needed)) => Destination::Node { id: next, way: way(held, needed) },
            (Node::Return(action), None) => Destination::Return(action),
            _ => unreachable!("only a verdict needs no word"),
        }
    }

    fn test(&mut self, test: TestNode) {
        let then = self.destination(Some(test.word), test.then);
        let otherwise = self.destination(Some(test.word), test.otherwise);
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
        self.push(Op::Branch { condition, operand: Operand::K(k), jt, jf });
    }

    /// Instructions to skip from the next one laid out to the destination, if they fit a branch.
    fn skip(&mut self, destination: Destination) -> Option<u8> {
        let place = self.place(destination)?;
        u8::try_from(self.reversed.len() - 1 - place).ok()
    }

    fn place(&mut self, destination: Destination) -> Option<Place> {
        match destination {
            Destination::Return(action) => self.returns.get(&action.0).copied(),
            Destination::Node { id, way } => *self.entries[id.index()].at(way),
        }
    }

    /// Lays out a RET or a jump where the destination is too far for a branch.
    fn bring_near(&mut self, destination: Destination) {
        if self.skip(destination).is_none() {
            self.repeat(destination);
        }
    }

    /// Lays out a RET, or a jump to a node.
    fn repeat(&mut self, destination: Destination) {
        match destination {
            Destination::Return(action) => {
                let place = self.push(Op::Return(action.0));
                self.returns.insert(action.0, place);
            }
            Destination::Node { id, way } => {
                let target = self.place(destination).expect("successors are laid out first");
                let distance = u32::try_from(self.reversed.len() - 1 - target)
                    .expect("a graph has fewer nodes than 2^32");
                let place = self.push(Op::Jump(distance));
                *self.entries[id.index()].at(way) = Some(place);
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
            let word = Word::whole(if k % 2 == 0 { 16 } else { 24 });
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
