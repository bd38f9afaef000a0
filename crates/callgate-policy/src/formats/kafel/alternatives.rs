//! From a condition to the conjunctions of which one must hold.

use alloc::{vec, vec::Vec};
use core::cell::Cell;

use callgate_diagnostic::{Span, Spanned};

use super::{
    expression::{Expression, Kind, NodeId},
    value::{self, Side, Unsayable},
};
use crate::Comparison;

/// More conjunctions than this are no use: the kernel takes 4,096 instructions.
pub(super) const MOST_ALTERNATIVES: usize = 4096;

/// Comparisons that must all hold, with where they are written.
pub(super) type Conjunction = Vec<Spanned<Comparison>>;

/// Why a condition has no alternatives, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Unsayable(Unsayable, Span),
    TooMany(Span),
}

/// How the arguments of a condition lie on an ABI.
pub(super) struct Place<'a> {
    /// The width of a comparison there.
    pub bits: u32,
    /// What a name stands for. Every name of the condition has one.
    pub sides: &'a dyn Fn(&str) -> Side,
    /// The comparisons that may still be made, of the whole text: a condition that comes to
    /// nothing can take as long as one that comes to much.
    pub budget: &'a Cell<usize>,
}

/// The conjunctions of which one must hold. None means never; always is a single empty one.
pub(super) fn alternatives(
    expression: &Expression<'_>,
    place: &Place<'_>,
) -> Result<Vec<Conjunction>, Trouble> {
    of(expression, expression.root, false, place)
}

/// Those of a node, or of its opposite. As deep as the parser lets nodes stand in each other.
fn of(
    expression: &Expression<'_>,
    id: NodeId,
    negated: bool,
    place: &Place<'_>,
) -> Result<Vec<Conjunction>, Trouble> {
    let node = expression.node(id);
    match node.kind {
        Kind::Not(inner) => of(expression, inner, !negated, place),
        Kind::And(left, right) | Kind::Or(left, right) => {
            let both = matches!(node.kind, Kind::And(..)) != negated;
            let left = of(expression, left, negated, place)?;
            let right = of(expression, right, negated, place)?;
            let joined = if both { product(&left, &right, place.budget) } else { sum(left, right) };
            joined.ok_or(Trouble::TooMany(node.span))
        }
        Kind::Compare(relation, left, right) => {
            let trouble = |why| Trouble::Unsayable(why, node.span);
            let left = side(expression, left, place).map_err(trouble)?;
            let right = side(expression, right, place).map_err(trouble)?;
            let relation = if negated { relation.negated() } else { relation };
            let ways = value::compare(left, relation, right, place.bits).map_err(trouble)?;
            if ways.contains(&None) {
                return Ok(always());
            }
            let ways = ways.into_iter().flatten();
            Ok(ways.map(|way| vec![Spanned::new(way, node.span)]).collect())
        }
        Kind::Number(_) | Kind::Name(_) | Kind::Bits(..) => {
            unreachable!("the parser takes no value for a condition")
        }
    }
}

/// What a value is made of.
fn side(expression: &Expression<'_>, id: NodeId, place: &Place<'_>) -> Result<Side, Unsayable> {
    match expression.node(id).kind {
        Kind::Number(number) => Ok(Side::Number(number)),
        Kind::Name(name) => Ok((place.sides)(name)),
        Kind::Bits(operation, left, right) => {
            let left = side(expression, left, place)?;
            left.combine(operation, side(expression, right, place)?)
        }
        _ => unreachable!("the parser takes no condition for a value"),
    }
}

fn always() -> Vec<Conjunction> {
    vec![Vec::new()]
}

fn is_always(list: &[Conjunction]) -> bool {
    list.first().is_some_and(Vec::is_empty)
}

/// Either of two lists.
fn sum(mut left: Vec<Conjunction>, right: Vec<Conjunction>) -> Option<Vec<Conjunction>> {
    if is_always(&left) || is_always(&right) {
        return Some(always());
    }
    left.extend(right);
    (left.len() <= MOST_ALTERNATIVES).then_some(left)
}

/// Each of the one with each of the other.
fn product(
    left: &[Conjunction],
    right: &[Conjunction],
    budget: &Cell<usize>,
) -> Option<Vec<Conjunction>> {
    if left.len().checked_mul(right.len())? > MOST_ALTERNATIVES {
        return None;
    }
    let mut all = Vec::with_capacity(left.len() * right.len());
    for (a, b) in left.iter().flat_map(|a| right.iter().map(move |b| (a, b))) {
        budget.set(budget.get().saturating_sub(a.len() + b.len()));
        if budget.get() == 0 {
            return None;
        }
        all.push(joined(a, b));
    }
    Some(all)
}

/// All comparisons of two conjunctions, none twice.
fn joined(left: &Conjunction, right: &Conjunction) -> Conjunction {
    let known = |one: &Spanned<Comparison>| left.iter().any(|known| known.value == one.value);
    let new = right.iter().filter(|comparison| !known(comparison));
    left.iter().chain(new).copied().collect()
}
