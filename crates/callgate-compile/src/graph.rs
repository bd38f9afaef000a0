//! The decision graph: tests on words of the context, leading to verdicts, equal parts shared.

use alloc::{collections::BTreeMap, vec::Vec};

use callgate_bpf::{Condition, RawAction};

/// A node; its successors have smaller numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(u32);

impl NodeId {
    /// The place of the node among all.
    pub(crate) fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Return(RawAction),
    Test(TestNode),
}

/// Is the word at this byte offset so?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TestNode {
    pub(crate) word: u32,
    pub(crate) condition: Condition,
    pub(crate) k: u32,
    pub(crate) then: NodeId,
    pub(crate) otherwise: NodeId,
}

#[derive(Default)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    known: BTreeMap<Key, NodeId>,
}

/// A node as an ordered key.
type Key = (u8, u32, u32, u32, u32);

fn key(node: Node) -> Key {
    match node {
        Node::Return(action) => (0, action.0, 0, 0, 0),
        Node::Test(test) => {
            let condition = match test.condition {
                Condition::Eq => 1,
                Condition::Gt => 2,
                Condition::Ge => 3,
                Condition::Set => 4,
            };
            (condition, test.word, test.k, test.then.0, test.otherwise.0)
        }
    }
}

impl Graph {
    pub(crate) fn node(&self, id: NodeId) -> Node {
        self.nodes[id.index()]
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn ret(&mut self, action: RawAction) -> NodeId {
        self.add(Node::Return(action))
    }

    /// A test, or its outcome where that does not depend on the word.
    pub(crate) fn test(&mut self, test: TestNode) -> NodeId {
        let TestNode { condition, k, then, otherwise, .. } = test;
        match condition {
            _ if then == otherwise => then,
            Condition::Ge if k == 0 => then,
            Condition::Gt if k == u32::MAX => otherwise,
            Condition::Set if k == 0 => otherwise,
            _ => self.add(Node::Test(test)),
        }
    }

    fn add(&mut self, node: Node) -> NodeId {
        let next =
            NodeId(u32::try_from(self.nodes.len()).expect("fewer nodes than bytes of memory"));
        let id = *self.known.entry(key(node)).or_insert(next);
        if id == next {
            self.nodes.push(node);
        }
        id
    }
}
