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

    /// The node as a plain number, and back.
    pub(crate) fn number(self) -> u32 {
        self.0
    }

    pub(crate) fn of_number(number: u32) -> NodeId {
        NodeId(number)
    }
}

/// What stands in A: a word of the context, all of it or some bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Word {
    /// Byte offset in the context.
    pub(crate) offset: u32,
    /// The bits that are left of it.
    pub(crate) mask: u32,
}

impl Word {
    /// The number of the system call.
    pub(crate) const NR: Word = Word::whole(0);
    /// The architecture.
    pub(crate) const ARCH: Word = Word::whole(4);

    pub(crate) const fn whole(offset: u32) -> Word {
        Word { offset, mask: u32::MAX }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Return(RawAction),
    Test(TestNode),
    /// Clears bits of the number; the successor takes the outcome for the number.
    Clear {
        keep: u32,
        next: NodeId,
    },
}

/// Is the word so?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TestNode {
    pub(crate) word: Word,
    pub(crate) condition: Condition,
    pub(crate) k: u32,
    pub(crate) then: NodeId,
    pub(crate) otherwise: NodeId,
}

impl Node {
    /// The word that must be in A.
    pub(crate) fn word(self) -> Option<Word> {
        match self {
            Node::Return(_) => None,
            Node::Test(test) => Some(test.word),
            Node::Clear { .. } => Some(Word::NR),
        }
    }

    pub(crate) fn successors(self) -> impl Iterator<Item = NodeId> {
        let (first, second) = match self {
            Node::Return(_) => (None, None),
            Node::Test(test) => (Some(test.then), Some(test.otherwise)),
            Node::Clear { next, .. } => (Some(next), None),
        };
        first.into_iter().chain(second)
    }
}

#[derive(Default)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    known: BTreeMap<Key, NodeId>,
    /// Instructions executed from each node on at worst, its word being in A.
    depths: Vec<u32>,
}

/// A node as an ordered key.
type Key = (u8, u32, u32, u32, u32, u32);

fn key(node: Node) -> Key {
    match node {
        Node::Return(action) => (0, action.0, 0, 0, 0, 0),
        Node::Test(test) => {
            let condition = match test.condition {
                Condition::Eq => 1,
                Condition::Gt => 2,
                Condition::Ge => 3,
                Condition::Set => 4,
            };
            let Word { offset, mask } = test.word;
            (condition, offset, mask, test.k, test.then.0, test.otherwise.0)
        }
        Node::Clear { keep, next } => (5, keep, next.0, 0, 0, 0),
    }
}

impl Graph {
    pub(crate) fn node(&self, id: NodeId) -> Node {
        self.nodes[id.index()]
    }

    /// Instructions executed from a node on at worst; 0 for what is no node yet.
    pub(crate) fn depth_of(&self, id: NodeId) -> u32 {
        self.depths.get(id.index()).copied().unwrap_or(0)
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

    /// What `next` says of the number without the bits outside `keep`.
    pub(crate) fn clear(&mut self, keep: u32, next: NodeId) -> NodeId {
        match self.node(next) {
            Node::Return(_) => next,
            _ => self.add(Node::Clear { keep, next }),
        }
    }

    fn add(&mut self, node: Node) -> NodeId {
        let next =
            NodeId(u32::try_from(self.nodes.len()).expect("fewer nodes than bytes of memory"));
        let id = *self.known.entry(key(node)).or_insert(next);
        if id == next {
            let word = node.word();
            let behind = node.successors().map(|next| {
                let needed = self.node(next).word();
                self.depths[next.index()] + u32::from(needed.is_some() && needed != word)
            });
            let depth = 1 + behind.max().unwrap_or(0);
            self.nodes.push(node);
            self.depths.push(depth);
        }
        id
    }
}
