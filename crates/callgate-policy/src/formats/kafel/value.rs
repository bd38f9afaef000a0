//! What a comparison of Kafel says of an argument.
//!
//! Both sides are made of numbers, arguments, `&` and `|`. Each bit of a side is therefore 0, 1,
//! or a bit of an argument at the same place, and a comparison of one argument with a number
//! comes to a list of [`Comparison`]s of which one must hold.

use alloc::{vec, vec::Vec};

use crate::{ArgIndex, Comparison, Test, Width};

const LOW: u64 = 0xffff_ffff;

/// The relation of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Relation {
    /// What holds when this does not.
    pub fn negated(self) -> Relation {
        match self {
            Relation::Equal => Relation::NotEqual,
            Relation::NotEqual => Relation::Equal,
            Relation::Less => Relation::GreaterEqual,
            Relation::LessEqual => Relation::Greater,
            Relation::Greater => Relation::LessEqual,
            Relation::GreaterEqual => Relation::Less,
        }
    }

    /// The relation with the sides exchanged.
    fn turned(self) -> Relation {
        match self {
            Relation::Less => Relation::Greater,
            Relation::LessEqual => Relation::GreaterEqual,
            Relation::Greater => Relation::Less,
            Relation::GreaterEqual => Relation::LessEqual,
            same => same,
        }
    }

    /// Whether it is so of two numbers.
    pub fn holds(self, left: u64, right: u64) -> bool {
        match self {
            Relation::Equal => left == right,
            Relation::NotEqual => left != right,
            Relation::Less => left < right,
            Relation::LessEqual => left <= right,
            Relation::Greater => left > right,
            Relation::GreaterEqual => left >= right,
        }
    }
}

/// One side of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Number(u64),
    /// `argument & mask | ones`; the two have no bit in common.
    Argument {
        index: ArgIndex,
        mask: u64,
        ones: u64,
        /// Whether Kafel takes 64 bits into account: the prototype has that many, or a number
        /// beside it needs them.
        wide: bool,
    },
}

/// Why a comparison cannot be made of [`Comparison`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsayable {
    TwoArguments,
    /// An argument is less or greater than something made of itself.
    OrderWithItself,
}

/// `&` or `|`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bitwise {
    And,
    Or,
}

impl Side {
    /// An argument as it is.
    pub fn argument(index: ArgIndex, wide: bool) -> Side {
        Side::Argument { index, mask: u64::MAX, ones: 0, wide }
    }

    fn is_wide(self) -> bool {
        match self {
            Side::Number(number) => number > LOW,
            Side::Argument { wide, .. } => wide,
        }
    }

    /// The bits taken from the argument, and those that are 1.
    fn bits(self) -> (u64, u64) {
        match self {
            Side::Number(number) => (0, number),
            Side::Argument { mask, ones, .. } => (mask, ones),
        }
    }

    /// The two combined. As in Kafel, a number that leaves the other side as it is, or makes a
    /// number of it, is gone before anybody asks how wide it was.
    pub fn combine(self, operation: Bitwise, other: Side) -> Result<Side, Unsayable> {
        let (clobber, identity) = match operation {
            Bitwise::And => (0, u64::MAX),
            Bitwise::Or => (u64::MAX, 0),
        };
        let index = match (self, other) {
            (Side::Number(a), Side::Number(b)) => {
                return Ok(Side::Number(match operation {
                    Bitwise::And => a & b,
                    Bitwise::Or => a | b,
                }));
            }
            (Side::Number(number), side) | (side, Side::Number(number)) if number == identity => {
                return Ok(side);
            }
            (Side::Number(number), _) | (_, Side::Number(number)) if number == clobber => {
                return Ok(Side::Number(clobber));
            }
            (Side::Argument { index: a, .. }, Side::Argument { index: b, .. }) if a != b => {
                return Err(Unsayable::TwoArguments);
            }
            (Side::Argument { index, .. }, _) | (_, Side::Argument { index, .. }) => index,
        };
        let ((mask_a, ones_a), (mask_b, ones_b)) = (self.bits(), other.bits());
        let (mask, ones) = match operation {
            Bitwise::And => (mask_a & mask_b | mask_a & ones_b | ones_a & mask_b, ones_a & ones_b),
            Bitwise::Or => ((mask_a | mask_b) & !(ones_a | ones_b), ones_a | ones_b),
        };
        Ok(Side::Argument { index, mask, ones, wide: self.is_wide() || other.is_wide() })
    }
}

/// The comparisons of which one must hold, on an ABI whose arguments have so many bits. None
/// means never; one that is `None` means always.
pub(super) fn compare(
    left: Side,
    relation: Relation,
    right: Side,
    abi_bits: u32,
) -> Result<Vec<Option<Comparison>>, Unsayable> {
    let wide = left.is_wide() || right.is_wide();
    // On ABIs of 32 bits the upper half of a register counts as 0, which is what it holds unless
    // the call came from 64-bit code.
    let domain = if wide && abi_bits == 64 { u64::MAX } else { LOW };
    let cut = |(mask, ones): (u64, u64)| (mask & domain, if wide { ones } else { ones & LOW });
    let ((left_mask, left_ones), (right_mask, right_ones)) = (cut(left.bits()), cut(right.bits()));
    let (index, relation, mask, ones, number) = match (left, right) {
        (Side::Number(_), Side::Number(_)) => {
            return Ok(constant(relation.holds(left_ones, right_ones)));
        }
        (Side::Argument { index, .. }, Side::Number(_)) => {
            (index, relation, left_mask, left_ones, right_ones)
        }
        (Side::Number(_), Side::Argument { index, .. }) => {
            (index, relation.turned(), right_mask, right_ones, left_ones)
        }
        (Side::Argument { index: a, .. }, Side::Argument { index: b, .. }) if a != b => {
            return Err(Unsayable::TwoArguments);
        }
        (Side::Argument { index, .. }, Side::Argument { .. }) => {
            // Where one side has a bit of the argument and the other a constant, the bit must be
            // that; where both have constants, they must agree.
            let agree = relation == Relation::Equal;
            if (left_mask, left_ones) == (right_mask, right_ones) {
                return Ok(constant(relation.holds(0, 0)));
            }
            if !agree && relation != Relation::NotEqual {
                return Err(Unsayable::OrderWithItself);
            }
            let mask = left_mask ^ right_mask;
            let differ = (left_ones ^ right_ones) & !(left_mask | right_mask);
            let value = (left_ones | right_ones) & mask;
            if differ != 0 {
                return Ok(constant(!agree));
            }
            (index, relation, mask, 0, value)
        }
    };
    let argument = Argument { index, domain, low: !wide };
    let beside = !mask;
    Ok(match relation {
        Relation::Equal if number & beside != ones => constant(false),
        Relation::NotEqual if number & beside != ones => constant(true),
        Relation::Equal => vec![argument.masked(mask, number & mask)],
        Relation::NotEqual => argument.not_masked(mask, number & mask),
        _ => argument.ordered(mask, ones, relation, number),
    })
}

fn constant(holds: bool) -> Vec<Option<Comparison>> {
    if holds { vec![None] } else { Vec::new() }
}

/// An argument as a comparison sees it.
#[derive(Clone, Copy)]
struct Argument {
    index: ArgIndex,
    /// The bits that it can have.
    domain: u64,
    /// Whether its low 32 bits alone count.
    low: bool,
}

impl Argument {
    fn test(self, test: Test) -> Comparison {
        let width = if self.low { Width::Low32 } else { Width::Full };
        Comparison { arg: self.index, width, test }
    }

    /// The same argument cut to 32 bits, if it has more.
    fn low(self) -> Argument {
        Argument { domain: LOW, low: self.low || self.domain != LOW, ..self }
    }

    /// `argument & mask == value`.
    fn masked(self, mask: u64, value: u64) -> Option<Comparison> {
        match mask {
            0 => None,
            _ if mask == self.domain => Some(self.test(Test::Eq(value))),
            LOW => Some(self.low().test(Test::Eq(value))),
            _ => Some(self.test(Test::MaskedEq { mask, value })),
        }
    }

    /// `argument & mask != value`: a bound on each side of the range that is left out, or each
    /// bit on its own.
    fn not_masked(self, mask: u64, value: u64) -> Vec<Option<Comparison>> {
        if mask == 0 {
            return Vec::new();
        }
        let narrow = if mask <= LOW { self.low() } else { self };
        if mask == narrow.domain {
            return vec![Some(narrow.test(Test::Ne(value)))];
        }
        let below = narrow.domain & !mask;
        if below & (below + 1) == 0 {
            let last = value | below;
            let less = (value > 0).then(|| Some(narrow.test(Test::Lt(value))));
            let greater = (last < narrow.domain).then(|| Some(narrow.test(Test::Gt(last))));
            return less.into_iter().chain(greater).collect();
        }
        bits(mask).map(|bit| self.masked(bit, !value & bit)).collect()
    }

    /// `argument & mask | ones` against a number, for the four orders.
    fn ordered(
        self,
        mask: u64,
        ones: u64,
        relation: Relation,
        number: u64,
    ) -> Vec<Option<Comparison>> {
        let narrow = if mask == LOW { self.low() } else { self };
        if mask == narrow.domain && ones == 0 {
            return match relation {
                Relation::Less if number > mask => constant(true),
                Relation::Less if number == 0 => constant(false),
                Relation::LessEqual if number >= mask => constant(true),
                Relation::Greater if number >= mask => constant(false),
                Relation::GreaterEqual if number > mask => constant(false),
                Relation::GreaterEqual if number == 0 => constant(true),
                Relation::Less => vec![Some(narrow.test(Test::Lt(number)))],
                Relation::LessEqual => vec![Some(narrow.test(Test::Le(number)))],
                Relation::Greater => vec![Some(narrow.test(Test::Gt(number)))],
                _ => vec![Some(narrow.test(Test::Ge(number)))],
            };
        }
        match relation {
            Relation::Less => self.differing(mask, ones, number, 1),
            Relation::Greater => self.differing(mask, ones, number, 0),
            Relation::LessEqual => match number.checked_add(1) {
                Some(next) => self.differing(mask, ones, next, 1),
                None => constant(true),
            },
            _ => match number.checked_sub(1) {
                Some(before) => self.differing(mask, ones, before, 0),
                None => constant(true),
            },
        }
    }

    /// The ways in which `argument & mask | ones` first differs from a number, from the highest
    /// bit down, at a bit that the number has so: less for 1, greater for 0.
    fn differing(self, mask: u64, ones: u64, number: u64, has: u64) -> Vec<Option<Comparison>> {
        let mut ways = Vec::new();
        let (mut equal_mask, mut equal_value) = (0, 0);
        for place in (0..64).rev() {
            let bit = 1 << place;
            let wanted = number & bit;
            if mask & bit != 0 {
                if number >> place & 1 == has {
                    let way = self.masked(equal_mask | bit, equal_value | (wanted ^ bit));
                    ways.push(way);
                }
                equal_mask |= bit;
                equal_value |= wanted;
            } else if ones & bit != wanted {
                if number >> place & 1 == has {
                    ways.push(self.masked(equal_mask, equal_value));
                }
                return ways;
            }
        }
        ways
    }
}

fn bits(mask: u64) -> impl Iterator<Item = u64> {
    (0..64).map(|place| 1 << place).filter(move |bit| mask & bit != 0)
}

#[cfg(test)]
mod tests {
    use callgate_bpf::generate::Rng;

    use super::*;

    const A: ArgIndex = ArgIndex::ALL[0];
    const RELATIONS: [Relation; 6] = [
        Relation::Equal,
        Relation::NotEqual,
        Relation::Less,
        Relation::LessEqual,
        Relation::Greater,
        Relation::GreaterEqual,
    ];

    /// A side, and the function that it is.
    fn side(rng: &mut Rng, depth: u32) -> (Side, alloc::boxed::Box<dyn Fn(u64) -> u64>) {
        let number = |rng: &mut Rng| {
            let small = rng.pick(&[0, 1, 5, 0xff, 0xff00, LOW, u64::MAX, 1 << 32, LOW << 32]);
            if rng.one_in(3) { rng.next_u64() } else { small }
        };
        match rng.below(if depth == 0 { 2 } else { 4 }) {
            0 => (Side::argument(A, true), alloc::boxed::Box::new(|a| a)),
            1 => {
                let number = number(rng);
                (Side::Number(number), alloc::boxed::Box::new(move |_| number))
            }
            n => {
                let (left, f) = side(rng, depth - 1);
                let (right, g) = side(rng, depth - 1);
                let (operation, both): (_, alloc::boxed::Box<dyn Fn(u64) -> u64>) = if n == 2 {
                    (Bitwise::And, alloc::boxed::Box::new(move |a| f(a) & g(a)))
                } else {
                    (Bitwise::Or, alloc::boxed::Box::new(move |a| f(a) | g(a)))
                };
                (left.combine(operation, right).unwrap(), both)
            }
        }
    }

    #[test]
    fn comparisons_hold_exactly_where_the_expression_does() {
        let mut rng = Rng::new(5);
        let mut compared = 0;
        for _ in 0..4000 {
            let (left, f) = side(&mut rng, 2);
            let (right, g) = side(&mut rng, 1);
            let relation = rng.pick(&RELATIONS);
            for bits in [64, 32] {
                let Ok(ways) = compare(left, relation, right, bits) else {
                    continue;
                };
                compared += 1;
                for _ in 0..40 {
                    let near = rng.pick(&[0, 1, 4, 5, 6, 0xff, 0x100, LOW, u64::MAX, 1 << 32]);
                    let a = if rng.one_in(2) { rng.next_u64() } else { near };
                    let a = if bits == 32 { a & LOW } else { a };
                    let expected = relation.holds(f(a), g(a));
                    let holds = |way: &Option<Comparison>| way.is_none_or(|c| c.holds(a, bits));
                    let found = ways.iter().any(holds);
                    assert_eq!(found, expected, "{left:?} {relation:?} {right:?} {a:#x}: {ways:?}");
                    let negated = compare(left, relation.negated(), right, bits).unwrap();
                    assert_eq!(negated.iter().any(holds), !expected);
                }
            }
        }
        assert!(compared > 6000, "{compared}");
    }

    #[test]
    fn narrow_arguments_are_compared_on_their_low_half() {
        let fd = Side::argument(A, false);
        let one = |side, number| {
            let ways = compare(side, Relation::Equal, Side::Number(number), 64).unwrap();
            ways[0].unwrap()
        };
        assert_eq!(one(fd, 3), Comparison::low32(A, Test::Eq(3)));
        // A number of more than 32 bits makes the whole register count, as in Kafel.
        let wide = (1 << 32) + 3;
        assert_eq!(one(fd, wide), Comparison::full(A, Test::Eq(wide)));
        // One that changes nothing does not.
        let same = fd.combine(Bitwise::And, Side::Number(u64::MAX)).unwrap();
        assert_eq!(one(same, 3), Comparison::low32(A, Test::Eq(3)));
        let whole = Side::argument(A, true);
        assert_eq!(one(whole, 3), Comparison::full(A, Test::Eq(3)));
        let low = whole.combine(Bitwise::And, Side::Number(LOW)).unwrap();
        assert_eq!(one(low, 3), Comparison::low32(A, Test::Eq(3)));
    }

    #[test]
    fn what_people_write_stays_short() {
        let flags = Side::argument(A, false);
        let count = |mask, relation, number| {
            let side = flags.combine(Bitwise::And, Side::Number(mask)).unwrap();
            compare(side, relation, Side::Number(number), 64).unwrap().len()
        };
        assert_eq!(count(4, Relation::Equal, 0), 1);
        assert_eq!(count(4, Relation::NotEqual, 0), 1);
        assert_eq!(count(0x7e02_0000, Relation::NotEqual, 0), 7);
        assert_eq!(count(0xffff_fff0, Relation::NotEqual, 0), 1);
        assert_eq!(count(0xffff_fff0, Relation::NotEqual, 16), 2);
    }

    #[test]
    fn two_arguments_are_refused() {
        let b = Side::argument(ArgIndex::ALL[1], true);
        let a = Side::argument(A, true);
        assert_eq!(a.combine(Bitwise::Or, b), Err(Unsayable::TwoArguments));
        assert_eq!(compare(a, Relation::Less, b, 64), Err(Unsayable::TwoArguments));
        assert_eq!(compare(a, Relation::Less, a, 64), Ok(vec![]));
        let part = a.combine(Bitwise::And, Side::Number(6)).unwrap();
        assert_eq!(compare(a, Relation::Less, part, 64), Err(Unsayable::OrderWithItself));
        let even = a.combine(Bitwise::And, Side::Number(!1)).unwrap();
        let test = Test::MaskedEq { mask: 1, value: 0 };
        assert_eq!(
            compare(a, Relation::Equal, even, 64),
            Ok(vec![Some(Comparison::full(A, test))])
        );
    }
}
