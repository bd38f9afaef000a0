//! How several rules of one number combine: libseccomp's decision tree.
//!
//! libseccomp keeps the rules of a number as a tree and takes the first path that holds, depth
//! first. Each level compares one 32-bit word of an argument: its high word, then its low word;
//! on ABIs of 32-bit arguments the low word alone. A list of rules in the order of the paths is
//! the same thing. What it does on insertion (observed, and pinned by tests against runc):
//!
//! | there is | comes | outcome |
//! |---|---|---|
//! | an unconditional rule | anything | the new one has no effect |
//! | conditional rules | an unconditional one | it replaces them all |
//! | a path | the same path, same answer | no effect |
//! | a path | the same path, other answer | refused |
//! | a path | a longer one below it | no effect |
//! | a path | one of which it is the middle, from an argument on | no effect |
//! | paths | a shorter one above them, same answer | it replaces them |
//! | paths | a shorter one above them, other answer | refused |
//!
//! Within a path, arguments ascend. Among siblings the higher argument comes first, the high word
//! before the low one; then equalities and masks, upper bounds, lower bounds; then the larger
//! constant (of upper bounds the smaller); then the older rule. A mask of 0 asks nothing.
//!
//! A bound, and "not equal", is one comparison of both words of a 64-bit argument here.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};

use crate::{Comparison, Rule, Test};

/// Paths of one number beyond which no program would fit the kernel by far.
const PATH_LIMIT: usize = 1 << 16;

/// The rules of one number of an ABI.
pub(super) struct NumberRules {
    /// Bits of an argument that count, 32 or 64.
    bits: u32,
    /// In the order of the text, when they are not to combine as in libseccomp.
    listed: Option<Vec<Rule>>,
    always: Option<Rule>,
    root: Level,
    paths: usize,
}

/// Why a rule cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It contradicts a rule of this entry.
    Conflict(usize),
    /// There are too many.
    TooMany,
}

/// Siblings in their order; the number keeps equal places apart, the older first.
type Level = BTreeMap<(Place, u32), Branch>;

struct Branch {
    node: Node,
    below: Below,
}

enum Below {
    Leaf(Box<Rule>),
    Level(Level),
}

/// A comparison of a word.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Node {
    /// Twice the argument, and 1 for the high word.
    word: u8,
    class: Class,
    /// Of what the class is about.
    test: WordTest,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WordTest {
    Equal(u32),
    Masked {
        mask: u32,
        value: u32,
    },
    /// A bound or "not equal", of the whole argument.
    Whole(Test),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Value,
    UpperBound,
    LowerBound,
}

/// Where a node stands among its siblings: the smaller, the earlier.
type Place = (core::cmp::Reverse<u8>, Class, u64);

impl NumberRules {
    /// No rules yet; `tree` says whether they combine as in libseccomp, or else the first of the
    /// text that holds decides.
    pub(super) fn new(bits: u32, tree: bool) -> NumberRules {
        let listed = (!tree).then(Vec::new);
        NumberRules { bits, listed, always: None, root: Level::new(), paths: 0 }
    }

    /// Adds a rule.
    ///
    /// # Errors
    ///
    /// When libseccomp would refuse it, or the path limit is reached.
    pub(super) fn insert(&mut self, mut rule: Rule) -> Result<(), Refusal> {
        if let Some(listed) = &mut self.listed {
            if listed.len() == PATH_LIMIT {
                return Err(Refusal::TooMany);
            }
            listed.push(rule);
            return Ok(());
        }
        if self.always.is_some() {
            return Ok(());
        }
        rule.comparisons.sort_by_key(|comparison| comparison.arg);
        let path: Vec<Node> = rule.comparisons.iter().flat_map(|c| nodes(c, self.bits)).collect();
        if path.is_empty() {
            rule.comparisons.clear();
            self.root.clear();
            self.always = Some(rule);
            return Ok(());
        }
        if (1..path.len()).any(|start| is_covered(&self.root, &path[start..])) {
            return Ok(());
        }
        if self.paths == PATH_LIMIT {
            return Err(Refusal::TooMany);
        }
        add(&mut self.root, &path, rule)?;
        self.paths += 1;
        Ok(())
    }

    /// The rules, the first that holds deciding.
    pub(super) fn into_ordered(self) -> Vec<Rule> {
        let mut ordered: Vec<Rule> = self.listed.unwrap_or_default();
        ordered.extend(self.always);
        collect(self.root, &mut ordered);
        ordered
    }
}

/// The words that a comparison looks at; none where it asks nothing.
fn nodes(comparison: &Comparison, bits: u32) -> impl Iterator<Item = Node> {
    let word = 2 * comparison.arg.get();
    let (bits, test) = comparison.on(bits);
    let (mask, value, class) = match test {
        Test::Eq(value) => (u64::MAX, value, Class::Value),
        Test::MaskedEq { mask, value } => (mask, value, Class::Value),
        Test::Ne(value) => (u64::MAX, value, Class::Value),
        Test::Lt(value) | Test::Le(value) => (u64::MAX, value, Class::UpperBound),
        Test::Ge(value) | Test::Gt(value) => (u64::MAX, value, Class::LowerBound),
    };
    let half = |mask: u32, value: u32| match test {
        Test::Eq(_) => WordTest::Equal(value),
        _ => WordTest::Masked { mask, value },
    };
    let ((mask_low, mask_high), (low, high)) = (halves(mask), halves(value));
    let top = word + u8::from(bits == 64);
    let (first, second) = match test {
        Test::Eq(_) | Test::MaskedEq { .. } => {
            let asks = mask_low != 0 || bits == 64 && mask_high != 0;
            let high = Node { word: top, class, test: half(mask_high, high) };
            let low = Node { word, class, test: half(mask_low, low) };
            ((asks && bits == 64).then_some(high), asks.then_some(low))
        }
        _ => (Some(Node { word: top, class, test: WordTest::Whole(test) }), None),
    };
    first.into_iter().chain(second)
}

impl Node {
    fn place(&self) -> Place {
        let constant = match self.test {
            WordTest::Equal(value) => u64::from(value),
            WordTest::Masked { mask, value } => u64::from(value & mask),
            WordTest::Whole(Test::Ne(value)) if self.word % 2 == 1 => value >> 32,
            WordTest::Whole(test) => test.constants().next().unwrap_or(0),
        };
        let rank = if self.class == Class::UpperBound { constant } else { !constant };
        (core::cmp::Reverse(self.word), self.class, rank)
    }
}

fn find<'l>(level: &'l Level, node: &Node) -> Option<(&'l (Place, u32), &'l Branch)> {
    let place = node.place();
    level.range((place, 0)..=(place, u32::MAX)).find(|(_, branch)| branch.node == *node)
}

/// Whether a whole path of the tree is the front of this one.
fn is_covered(level: &Level, path: &[Node]) -> bool {
    let Some((node, rest)) = path.split_first() else {
        return false;
    };
    match find(level, node).map(|(_, branch)| &branch.below) {
        None => false,
        Some(Below::Leaf(_)) => true,
        Some(Below::Level(level)) => is_covered(level, rest),
    }
}

fn add(level: &mut Level, path: &[Node], rule: Rule) -> Result<(), Refusal> {
    let Some((node, rest)) = path.split_first() else {
        return Ok(());
    };
    let Some(key) = find(level, node).map(|(key, _)| *key) else {
        let place = node.place();
        let siblings = level.range((place, 0)..=(place, u32::MAX));
        let age = siblings.last().map_or(0, |((_, age), _)| age + 1);
        level.insert((place, age), Branch { node: *node, below: grow(rest, rule) });
        return Ok(());
    };
    let branch = level.get_mut(&key).expect("just found");
    match (&mut branch.below, rest) {
        (Below::Leaf(other), []) if other.action != rule.action => {
            Err(Refusal::Conflict(other.entry))
        }
        (Below::Leaf(_), _) => Ok(()),
        (Below::Level(below), []) => {
            if let Some(other) = other_answer(below, &rule) {
                return Err(Refusal::Conflict(other));
            }
            branch.below = Below::Leaf(Box::new(rule));
            Ok(())
        }
        (Below::Level(below), rest) => add(below, rest, rule),
    }
}

fn grow(path: &[Node], rule: Rule) -> Below {
    path.iter().rev().fold(Below::Leaf(Box::new(rule)), |below, node| {
        Below::Level(Level::from([((node.place(), 0), Branch { node: *node, below })]))
    })
}

/// The entry of a rule below that answers otherwise.
fn other_answer(level: &Level, rule: &Rule) -> Option<usize> {
    level.values().find_map(|branch| match &branch.below {
        Below::Leaf(other) => (other.action != rule.action).then_some(other.entry),
        Below::Level(level) => other_answer(level, rule),
    })
}

fn collect(level: Level, ordered: &mut Vec<Rule>) {
    for branch in level.into_values() {
        match branch.below {
            Below::Leaf(rule) => ordered.push(*rule),
            Below::Level(level) => collect(level, ordered),
        }
    }
}

/// Low and high word.
fn halves(value: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
    (u32::from_be_bytes([e, f, g, h]), u32::from_be_bytes([a, b, c, d]))
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use callgate_bpf::Action;

    use super::*;
    use crate::ArgIndex;

    fn rule(errno: u16, conditions: &[(usize, Test)]) -> Rule {
        let full = |&(arg, test): &(usize, Test)| Comparison::full(ArgIndex::ALL[arg], test);
        Rule {
            action: Action::Errno(errno),
            comparisons: conditions.iter().map(full).collect(),
            entry: usize::from(errno),
        }
    }

    fn order(bits: u32, rules: &[Rule]) -> Result<Vec<usize>, Refusal> {
        let mut number = NumberRules::new(bits, true);
        rules.iter().try_for_each(|rule| number.insert(rule.clone()))?;
        Ok(number.into_ordered().into_iter().map(|rule| rule.entry).collect())
    }

    #[test]
    fn an_unconditional_rule_is_the_only_one() {
        let conditional = rule(1, &[(0, Test::Eq(1))]);
        let always = rule(2, &[]);
        assert_eq!(order(64, &[conditional.clone(), always.clone()]), Ok(vec![2]));
        assert_eq!(order(64, &[always, conditional]), Ok(vec![2]));
        assert_eq!(
            order(64, &[rule(3, &[(0, Test::MaskedEq { mask: 0, value: 0 })])]),
            Ok(vec![3])
        );
    }

    #[test]
    fn equal_paths_must_agree() {
        let [one, two] = [1, 2].map(|errno| rule(errno, &[(0, Test::Eq(1))]));
        assert_eq!(order(64, &[one.clone(), two]), Err(Refusal::Conflict(1)));
        assert_eq!(order(64, &[one.clone(), one]), Ok(vec![1]));
    }

    #[test]
    fn a_longer_path_below_or_around_a_rule_has_no_effect() {
        let short = rule(1, &[(1, Test::Eq(2))]);
        let around = rule(2, &[(0, Test::Eq(1)), (1, Test::Eq(2))]);
        let below = rule(3, &[(1, Test::Eq(2)), (2, Test::Eq(3))]);
        assert_eq!(order(64, &[short.clone(), around]), Ok(vec![1]));
        assert_eq!(order(64, &[short.clone(), below.clone()]), Ok(vec![1]));
        assert_eq!(order(64, &[below, short]), Err(Refusal::Conflict(3)));
    }

    #[test]
    fn siblings_go_by_argument_then_constant_then_age() {
        let rules = [
            rule(1, &[(0, Test::Eq(9))]),
            rule(2, &[(0, Test::Gt(20))]),
            rule(3, &[(0, Test::Gt(30))]),
            rule(4, &[(0, Test::Lt(8))]),
            rule(5, &[(2, Test::Eq(0))]),
            rule(6, &[(0, Test::Eq(11))]),
        ];
        assert_eq!(order(32, &rules), Ok(vec![5, 6, 1, 4, 3, 2]));
    }

    #[test]
    fn words_of_equal_place_go_by_age() {
        // The high words are alike in place, so the older rule comes first on 64-bit ABIs.
        let value = rule(1, &[(0, Test::Eq(0x15))]);
        let masked = rule(2, &[(0, Test::MaskedEq { mask: 0xf, value: 5 })]);
        assert_eq!(order(64, &[masked.clone(), value.clone()]), Ok(vec![2, 1]));
        assert_eq!(order(64, &[value.clone(), masked.clone()]), Ok(vec![1, 2]));
        assert_eq!(order(32, &[masked, value]), Ok(vec![1, 2]));
    }
}
