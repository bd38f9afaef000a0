//! How several rules of one number combine: libseccomp's decision tree.
//!
//! libseccomp keeps the rules of a number as a tree of comparisons, the higher argument nearer
//! the root, and takes the first path that holds. A list sorted by the paths is the same thing.
//! What it does on insertion (observed, and pinned by tests against runc):
//!
//! | there is | comes | outcome |
//! |---|---|---|
//! | an unconditional rule | anything | the new one has no effect |
//! | conditional rules | an unconditional one | it replaces them all |
//! | a path | the same path, same answer | no effect |
//! | a path | the same path, other answer | refused |
//! | a path | a longer one below it | no effect |
//! | a path | a shorter one above it, same answer | it replaces the longer |
//! | a path | a shorter one above it, other answer | refused |

use alloc::{collections::BTreeMap, vec::Vec};
use core::cmp::Ordering;

use crate::{Comparison, Rule};

/// The rules of one number.
#[derive(Default)]
pub(super) struct NumberRules {
    always: Option<Rule>,
    paths: BTreeMap<Path, Rule>,
}

impl NumberRules {
    /// Adds a rule.
    ///
    /// # Errors
    ///
    /// The entry of the rule that it contradicts.
    pub(super) fn insert(&mut self, mut rule: Rule) -> Result<(), usize> {
        if self.always.is_some() {
            return Ok(());
        }
        if rule.is_unconditional() {
            self.paths.clear();
            self.always = Some(rule);
            return Ok(());
        }
        rule.comparisons.sort_by(Comparison::tree_order);
        let path = Path(rule.comparisons.iter().copied().map(Node).collect());
        for length in 1..path.0.len() {
            if self.paths.contains_key(&Path(path.0[..length].to_vec())) {
                return Ok(());
            }
        }
        let below: Vec<Path> = self
            .paths
            .range(path.clone()..)
            .take_while(|(other, _)| other.0.starts_with(&path.0))
            .map(|(other, _)| other.clone())
            .collect();
        if let Some(other) = below.iter().find(|other| self.paths[*other].action != rule.action) {
            return Err(self.paths[other].entry);
        }
        if below.contains(&path) {
            return Ok(());
        }
        for longer in &below {
            self.paths.remove(longer);
        }
        self.paths.insert(path, rule);
        Ok(())
    }

    /// The rules, the first that holds deciding.
    pub(super) fn into_ordered(self) -> Vec<Rule> {
        self.always.into_iter().chain(self.paths.into_values()).collect()
    }
}

/// The comparisons of a rule, from the root of the tree down.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Path(Vec<Node>);

#[derive(Clone, Copy, PartialEq, Eq)]
struct Node(Comparison);

impl Ord for Node {
    fn cmp(&self, other: &Node) -> Ordering {
        self.0.tree_order(&other.0)
    }
}

impl PartialOrd for Node {
    fn partial_cmp(&self, other: &Node) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
