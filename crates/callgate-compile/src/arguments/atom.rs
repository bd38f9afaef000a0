//! Conditions on single words, and on 64-bit arguments of which no half is known yet.

use alloc::vec::Vec;

use callgate_policy::{Comparison, Test};

/// A half of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Half {
    pub(crate) arg: u8,
    pub(crate) high: bool,
}

impl Half {
    fn low(arg: u8) -> Half {
        Half { arg, high: false }
    }

    fn high(arg: u8) -> Half {
        Half { arg, high: true }
    }

    fn other(self) -> Half {
        Half { high: !self.high, ..self }
    }
}

/// What must hold of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Holds {
    In { first: u32, last: u32 },
    Not(u32),
    Masked { mask: u32, value: u32 },
}

/// What must hold of a whole argument, where it is not just something of each half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wide {
    Not(u64),
    AtLeast(u64),
    AtMost(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Atom {
    Word(Half, Holds),
    Wide(u8, Wide),
}

/// What is known of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// It is in a range at whose ends no condition on it changes, but for masks.
    In { first: u32, last: u32 },
    /// Whether it has this value under this mask.
    Masked { mask: u32, value: u32, holds: bool },
}

/// What becomes of a condition.
pub(crate) enum Left {
    Nothing,
    Never,
    Still(Atom),
}

fn truth(holds: bool) -> Left {
    if holds { Left::Nothing } else { Left::Never }
}

/// Low and high word.
fn halves(value: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
    (u32::from_be_bytes([e, f, g, h]), u32::from_be_bytes([a, b, c, d]))
}

const EVERY: Holds = Holds::In { first: 0, last: u32::MAX };

impl Atom {
    /// A comparison as conditions that all must hold; `None` when it never does.
    pub(crate) fn of(comparison: &Comparison, abi_bits: u32) -> Option<Vec<Atom>> {
        let arg = comparison.arg.get();
        let (bits, test) = comparison.on(abi_bits);
        let mut atoms = Vec::new();
        if let Test::MaskedEq { mask, value } = test
            && value & !mask != 0
        {
            return None;
        }
        if bits == 32 {
            let low = |value| halves(value).0;
            let holds = match test {
                Test::Eq(v) => Holds::In { first: low(v), last: low(v) },
                Test::Ne(v) => Holds::Not(low(v)),
                Test::Ge(v) => Holds::In { first: low(v), last: u32::MAX },
                Test::Le(v) => Holds::In { first: 0, last: low(v) },
                Test::Gt(v) => Holds::In { first: low(v).checked_add(1)?, last: u32::MAX },
                Test::Lt(v) => Holds::In { first: 0, last: low(v).checked_sub(1)? },
                Test::MaskedEq { mask, value } => {
                    Holds::Masked { mask: low(mask), value: low(value) }
                }
            };
            push(&mut atoms, Half::low(arg), holds)?;
            return Some(atoms);
        }
        let both = |atoms: &mut Vec<Atom>, low, high| {
            push(atoms, Half::low(arg), low)?;
            push(atoms, Half::high(arg), high)
        };
        match test {
            Test::Eq(value) => {
                let (low, high) = halves(value);
                let is = |word| Holds::In { first: word, last: word };
                both(&mut atoms, is(low), is(high))?;
            }
            Test::MaskedEq { mask, value } => {
                let ((low, high), (low_mask, high_mask)) = (halves(value), halves(mask));
                both(
                    &mut atoms,
                    Holds::Masked { mask: low_mask, value: low },
                    Holds::Masked { mask: high_mask, value: high },
                )?;
            }
            Test::Ne(value) => atoms.push(Atom::Wide(arg, Wide::Not(value))),
            Test::Ge(value) => at_least(&mut atoms, arg, value)?,
            Test::Gt(value) => at_least(&mut atoms, arg, value.checked_add(1)?)?,
            Test::Le(value) => at_most(&mut atoms, arg, value)?,
            Test::Lt(value) => at_most(&mut atoms, arg, value.checked_sub(1)?)?,
        }
        Some(atoms)
    }

    /// The words that it looks at.
    pub(crate) fn halves(self) -> impl Iterator<Item = Half> {
        let (first, second) = match self {
            Atom::Word(half, _) => (half, None),
            Atom::Wide(arg, _) => (Half::low(arg), Some(Half::high(arg))),
        };
        core::iter::once(first).chain(second)
    }

    /// The first values of the word's ranges within which it is all the same, 0 apart; nothing
    /// for a mask.
    pub(crate) fn limits(self, half: Half) -> impl Iterator<Item = u32> {
        let (from, behind) = match self {
            Atom::Word(own, holds) if own == half => match holds {
                Holds::In { first, last } => (Some(first), last.checked_add(1)),
                Holds::Not(value) => (Some(value), value.checked_add(1)),
                Holds::Masked { .. } => (None, None),
            },
            Atom::Wide(arg, wide) if arg == half.arg => {
                let (Wide::Not(value) | Wide::AtLeast(value) | Wide::AtMost(value)) = wide;
                let (low, high) = halves(value);
                let word = if half.high { high } else { low };
                match wide {
                    Wide::AtLeast(_) if !half.high => (Some(word), None),
                    Wide::AtMost(_) if !half.high => (None, word.checked_add(1)),
                    _ => (Some(word), word.checked_add(1)),
                }
            }
            _ => (None, None),
        };
        from.into_iter().chain(behind).filter(|&limit| limit != 0)
    }

    /// What is left of it once something is known of a word.
    pub(crate) fn given(self, half: Half, known: Known) -> Left {
        match self {
            Atom::Word(own, holds) if own == half => match holds.given(known) {
                None => Left::Still(self),
                Some(holds) => truth(holds),
            },
            Atom::Wide(arg, wide) if arg == half.arg => match known {
                Known::In { first, last } => wide.given(half, first, last),
                Known::Masked { .. } => Left::Still(self),
            },
            _ => Left::Still(self),
        }
    }
}

impl Holds {
    fn given(self, known: Known) -> Option<bool> {
        match (self, known) {
            (Holds::In { first, last }, Known::In { first: a, last: b }) => {
                if first <= a && b <= last {
                    Some(true)
                } else {
                    (b < first || last < a).then_some(false)
                }
            }
            (Holds::Not(value), Known::In { first, last }) => {
                if !(first..=last).contains(&value) {
                    Some(true)
                } else {
                    (first == last).then_some(false)
                }
            }
            (Holds::Masked { mask, value }, Known::In { first, last }) => {
                let differ = first ^ last;
                // The bits above the highest that differs are the same in the whole range.
                let fixed = u32::MAX.checked_shl(32 - differ.leading_zeros()).unwrap_or(0);
                if (first ^ value) & mask & fixed != 0 {
                    Some(false)
                } else {
                    (mask & !fixed == 0).then_some(true)
                }
            }
            (
                Holds::Masked { mask, value },
                Known::Masked { mask: known, value: is, holds: true },
            ) => {
                if (value ^ is) & mask & known != 0 {
                    Some(false)
                } else {
                    (mask & !known == 0).then_some(true)
                }
            }
            (
                Holds::Masked { mask, value },
                Known::Masked { mask: known, value: not, holds: false },
            ) => (known & !mask == 0 && value & known == not).then_some(false),
            (Holds::In { first, last }, Known::Masked { mask, value, holds }) => {
                let is = first & mask == value;
                (first == last && is != holds).then_some(false)
            }
            (Holds::Not(_), Known::Masked { .. }) => None,
        }
    }
}

impl Wide {
    fn given(self, half: Half, first: u32, last: u32) -> Left {
        let (Wide::Not(value) | Wide::AtLeast(value) | Wide::AtMost(value)) = self;
        let (low, high) = halves(value);
        let (own, others) = if half.high { (high, low) } else { (low, high) };
        let still = |first: Option<u32>, last: Option<u32>| match (first, last) {
            (Some(first), Some(last)) => match (Holds::In { first, last }) {
                EVERY => Left::Nothing,
                holds => Left::Still(Atom::Word(half.other(), holds)),
            },
            _ => Left::Never,
        };
        let is_own = first == own && last == own;
        match self {
            Wide::Not(_) if is_own => Left::Still(Atom::Word(half.other(), Holds::Not(others))),
            Wide::Not(_) => Left::Nothing,
            Wide::AtLeast(_) if half.high => match () {
                () if is_own => still(Some(others), Some(u32::MAX)),
                () => truth(first > own),
            },
            Wide::AtMost(_) if half.high => match () {
                () if is_own => still(Some(0), Some(others)),
                () => truth(last < own),
            },
            // The low half decides only where the high one is equal.
            Wide::AtLeast(_) if first >= own => still(Some(others), Some(u32::MAX)),
            Wide::AtLeast(_) => still(others.checked_add(1), Some(u32::MAX)),
            Wide::AtMost(_) if last <= own => still(Some(0), Some(others)),
            Wide::AtMost(_) => still(Some(0), others.checked_sub(1)),
        }
    }
}

fn at_least(atoms: &mut Vec<Atom>, arg: u8, value: u64) -> Option<()> {
    match halves(value) {
        (0, high) => push(atoms, Half::high(arg), Holds::In { first: high, last: u32::MAX }),
        _ => {
            atoms.push(Atom::Wide(arg, Wide::AtLeast(value)));
            Some(())
        }
    }
}

fn at_most(atoms: &mut Vec<Atom>, arg: u8, value: u64) -> Option<()> {
    match halves(value) {
        (u32::MAX, high) => push(atoms, Half::high(arg), Holds::In { first: 0, last: high }),
        _ => {
            atoms.push(Atom::Wide(arg, Wide::AtMost(value)));
            Some(())
        }
    }
}

/// Adds a condition on a word to those that must hold with it; `None` when they never do.
pub(crate) fn push(atoms: &mut Vec<Atom>, half: Half, holds: Holds) -> Option<()> {
    let mut new = simplest(holds);
    if new == EVERY {
        return Some(());
    }
    let mut at = 0;
    while at < atoms.len() {
        let Atom::Word(own, old) = atoms[at] else {
            at += 1;
            continue;
        };
        if own != half {
            at += 1;
            continue;
        }
        match together(old, new)? {
            Some(one) => {
                atoms.remove(at);
                new = one;
                // The new one may decide those before it.
                at = 0;
            }
            None => at += 1,
        }
    }
    let atom = Atom::Word(half, new);
    let place = atoms.partition_point(|other| *other < atom);
    atoms.insert(place, atom);
    Some(())
}

/// A mask over the upper bits alone is a range.
fn simplest(holds: Holds) -> Holds {
    match holds {
        Holds::Masked { mask: 0, .. } => EVERY,
        Holds::Masked { mask, value } if mask.leading_ones() + mask.trailing_zeros() == 32 => {
            Holds::In { first: value, last: value | !mask }
        }
        _ => holds,
    }
}

/// Two conditions on a word as one, where that is possible; outer `None` when they exclude each
/// other.
fn together(a: Holds, b: Holds) -> Option<Option<Holds>> {
    match (a, b) {
        (Holds::In { first, last }, Holds::In { first: other, last: end }) => {
            let (first, last) = (first.max(other), last.min(end));
            (first <= last).then_some(Some(Holds::In { first, last }))
        }
        (Holds::In { first, last }, other) | (other, Holds::In { first, last }) => {
            match other.given(Known::In { first, last }) {
                Some(true) => Some(Some(Holds::In { first, last })),
                Some(false) => None,
                None => Some(match other {
                    Holds::Not(value) if value == first => {
                        Some(Holds::In { first: first + 1, last })
                    }
                    Holds::Not(value) if value == last => Some(Holds::In { first, last: last - 1 }),
                    _ => None,
                }),
            }
        }
        (Holds::Masked { mask: a, value: x }, Holds::Masked { mask: b, value: y }) => {
            let one = Holds::Masked { mask: a | b, value: x | y };
            ((x ^ y) & a & b == 0).then(|| Some(simplest(one)))
        }
        (a, b) => Some((a == b).then_some(a)),
    }
}
