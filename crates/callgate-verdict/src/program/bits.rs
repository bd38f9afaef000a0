//! Arithmetic on words of which each bit is a set of calls.
//!
//! Exact for whatever fits: constants against a word always do, two unknown words seldom, since
//! the bits of one word lie behind all bits of the other in the order of variables.

use alloc::{collections::BTreeMap, vec::Vec};

use callgate_bpf::{AluOp, Condition, RawAction, ShiftRule};

use super::state::Value;
use crate::{
    Manager, Predicate,
    manager::{NodeId, TooComplex},
};

/// Bit 0 first; each the calls in which it is set.
pub(super) type Bits = [Predicate; 32];

/// The bit vectors that registers hold, each once.
#[derive(Default)]
pub(super) struct BitVectors {
    vectors: Vec<Bits>,
    known: BTreeMap<[NodeId; 32], u32>,
}

impl BitVectors {
    /// A value bit by bit.
    pub(super) fn of(&self, manager: &mut Manager, value: Value) -> Result<Bits, TooComplex> {
        let mut bits = [manager.always(false); 32];
        match value {
            Value::Bits(id) => {
                return Ok(self.vectors[usize::try_from(id).expect("visits are few")]);
            }
            Value::Constant(k) => {
                for (place, bit) in bits.iter_mut().enumerate() {
                    *bit = manager.always(k >> place & 1 == 1);
                }
            }
            Value::Word { offset, mask } => {
                for (place, bit) in bits.iter_mut().enumerate() {
                    let single = 1 << place;
                    if mask & single != 0 {
                        *bit = manager.word_test(offset, single, Condition::Set, single)?;
                    }
                }
            }
        }
        Ok(bits)
    }

    /// The value that a register holds: a constant where every bit is one.
    pub(super) fn value(&mut self, manager: &mut Manager, bits: Bits) -> Value {
        let always = manager.always(true);
        let never = manager.always(false);
        if bits.iter().all(|&bit| bit == always || bit == never) {
            let set = bits.iter().rev().fold(0, |k, &bit| k << 1 | u32::from(bit == always));
            return Value::Constant(set);
        }
        let next = u32::try_from(self.vectors.len()).expect("visits are limited");
        let id = *self.known.entry(bits.map(|bit| bit.0)).or_insert(next);
        if id == next {
            self.vectors.push(bits);
        }
        Value::Bits(id)
    }
}

pub(super) fn compare(
    manager: &mut Manager,
    condition: Condition,
    left: &Bits,
    right: &Bits,
) -> Result<Predicate, TooComplex> {
    match condition {
        Condition::Eq => {
            let mut equal = manager.always(true);
            for (&a, &b) in left.iter().zip(right) {
                let differ = manager.xor(a, b)?;
                let same = manager.not(differ)?;
                equal = manager.and(equal, same)?;
            }
            Ok(equal)
        }
        Condition::Ge => at_least(manager, left, right),
        Condition::Gt => {
            let at_most = at_least(manager, right, left)?;
            manager.not(at_most)
        }
        Condition::Set => {
            let mut any = manager.always(false);
            for (&a, &b) in left.iter().zip(right) {
                let both = manager.and(a, b)?;
                any = manager.or(any, both)?;
            }
            Ok(any)
        }
    }
}

/// left >= right: no borrow when right is taken from left.
fn at_least(manager: &mut Manager, left: &Bits, right: &Bits) -> Result<Predicate, TooComplex> {
    let mut holds = manager.always(true);
    for (&a, &b) in left.iter().zip(right) {
        let differ = manager.xor(a, b)?;
        holds = select(manager, differ, a, holds)?;
    }
    Ok(holds)
}

pub(super) fn arithmetic(
    manager: &mut Manager,
    operation: AluOp,
    left: &Bits,
    right: &Bits,
    shifts: ShiftRule,
) -> Result<Bits, TooComplex> {
    match operation {
        AluOp::And => each(left, right, |a, b| manager.and(a, b)),
        AluOp::Or => each(left, right, |a, b| manager.or(a, b)),
        AluOp::Xor => each(left, right, |a, b| manager.xor(a, b)),
        AluOp::Add => {
            let no_carry = manager.always(false);
            Ok(add(manager, left, right, no_carry)?.0)
        }
        AluOp::Sub => Ok(subtract(manager, left, right)?.0),
        AluOp::Mul => multiply(manager, left, right),
        AluOp::Div => divide(manager, left, right),
        AluOp::Lsh => shift(manager, left, right, shifts, |bits, by, zero| {
            core::array::from_fn(|i| if i >= by { bits[i - by] } else { zero })
        }),
        AluOp::Rsh => shift(manager, left, right, shifts, |bits, by, zero| {
            core::array::from_fn(|i| bits.get(i + by).copied().unwrap_or(zero))
        }),
    }
}

fn each(
    left: &Bits,
    right: &Bits,
    mut of: impl FnMut(Predicate, Predicate) -> Result<Predicate, TooComplex>,
) -> Result<Bits, TooComplex> {
    let mut result = *left;
    for (bit, &b) in result.iter_mut().zip(right) {
        *bit = of(*bit, b)?;
    }
    Ok(result)
}

fn select(
    manager: &mut Manager,
    condition: Predicate,
    then: Predicate,
    otherwise: Predicate,
) -> Result<Predicate, TooComplex> {
    use crate::Diagram;
    let chosen = manager.choose(condition, Diagram(then.0), Diagram(otherwise.0))?;
    Ok(Predicate(chosen.0))
}

/// The sum, and the carry out of it.
fn add(
    manager: &mut Manager,
    left: &Bits,
    right: &Bits,
    mut carry: Predicate,
) -> Result<(Bits, Predicate), TooComplex> {
    let mut sum = *left;
    for (bit, &b) in sum.iter_mut().zip(right) {
        let a = *bit;
        let differ = manager.xor(a, b)?;
        *bit = manager.xor(differ, carry)?;
        carry = select(manager, differ, carry, a)?;
    }
    Ok((sum, carry))
}

/// The difference, and whether there was no borrow.
fn subtract(
    manager: &mut Manager,
    left: &Bits,
    right: &Bits,
) -> Result<(Bits, Predicate), TooComplex> {
    let mut inverted = *right;
    for bit in &mut inverted {
        *bit = manager.not(*bit)?;
    }
    let one = manager.always(true);
    add(manager, left, &inverted, one)
}

fn multiply(manager: &mut Manager, left: &Bits, right: &Bits) -> Result<Bits, TooComplex> {
    let never = manager.always(false);
    let mut product = [never; 32];
    for (place, &factor) in right.iter().enumerate() {
        if factor == never {
            continue;
        }
        let mut shifted = [never; 32];
        for i in place..32 {
            shifted[i] = manager.and(left[i - place], factor)?;
        }
        product = add(manager, &product, &shifted, never)?.0;
    }
    Ok(product)
}

/// Long division; the result for a divisor of 0 is meaningless and never used.
fn divide(manager: &mut Manager, left: &Bits, right: &Bits) -> Result<Bits, TooComplex> {
    let never = manager.always(false);
    let mut quotient = [never; 32];
    let mut remainder = [never; 32];
    for place in (0..32).rev() {
        // The bit that is shifted out makes the remainder larger than any divisor.
        let over = remainder[31];
        remainder.rotate_right(1);
        remainder[0] = left[place];
        let (difference, fits) = subtract(manager, &remainder, right)?;
        let fits = manager.or(fits, over)?;
        quotient[place] = fits;
        for (bit, &reduced) in remainder.iter_mut().zip(&difference) {
            *bit = select(manager, fits, reduced, *bit)?;
        }
    }
    Ok(quotient)
}

fn shift(
    manager: &mut Manager,
    left: &Bits,
    distance: &Bits,
    shifts: ShiftRule,
    by: impl Fn(&Bits, usize, Predicate) -> Bits,
) -> Result<Bits, TooComplex> {
    let never = manager.always(false);
    let counted = match shifts {
        ShiftRule::Low6 => 6,
        ShiftRule::Low8 => 8,
        _ => 5,
    };
    let mut result = *left;
    for (place, &bit) in distance.iter().enumerate().take(counted) {
        let shifted = by(&result, 1 << place, never);
        for (kept, moved) in result.iter_mut().zip(shifted) {
            *kept = select(manager, bit, moved, *kept)?;
        }
    }
    Ok(result)
}

/// The diagram whose terminals are the words that the bits make.
pub(super) fn terminals(manager: &mut Manager, bits: &Bits) -> Result<NodeId, TooComplex> {
    let mut result = crate::Diagram(manager.terminal(0));
    let never = manager.always(false);
    for (place, &bit) in bits.iter().enumerate().filter(|(_, bit)| **bit != never) {
        let set = manager.map_terminals(result, |word| RawAction(word.0 | 1 << place))?;
        result = manager.choose(bit, set, result)?;
    }
    Ok(result.0)
}
