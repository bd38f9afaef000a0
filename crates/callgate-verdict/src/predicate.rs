//! Sets of calls that a comparison of one word, or one field, describes.

use callgate_bpf::Condition;
use callgate_policy::Test;

use crate::{
    Manager, Predicate,
    digits::Digit,
    manager::{NodeId, TooComplex},
};

impl Manager {
    /// `(word & mask) condition k`, the word at a byte offset of the context.
    pub(crate) fn word_test(
        &mut self,
        offset: u32,
        mask: u32,
        condition: Condition,
        k: u32,
    ) -> Result<Predicate, TooComplex> {
        let digits = self.digits.of_word(offset);
        let bytes = zip4(mask.to_be_bytes(), k.to_be_bytes());
        let places = digits.into_iter().zip(bytes).rev();
        self.bytes_test(places, condition)
    }

    /// A policy's test on the low 32 or all 64 bits of a field.
    pub(crate) fn field_test(
        &mut self,
        field: usize,
        bits: u32,
        test: Test,
    ) -> Result<Predicate, TooComplex> {
        let (condition, mask, k, negated) = match test {
            Test::Eq(k) => (Condition::Eq, u64::MAX, k, false),
            Test::Ne(k) => (Condition::Eq, u64::MAX, k, true),
            Test::Ge(k) => (Condition::Ge, u64::MAX, k, false),
            Test::Lt(k) => (Condition::Ge, u64::MAX, k, true),
            Test::Gt(k) => (Condition::Gt, u64::MAX, k, false),
            Test::Le(k) => (Condition::Gt, u64::MAX, k, true),
            Test::MaskedEq { mask, value } => (Condition::Eq, mask, value, false),
        };
        let bytes = mask.to_be_bytes().into_iter().zip(k.to_be_bytes());
        let places: alloc::vec::Vec<_> = self.digits.of_field(field).zip(bytes).collect();
        let counted = if bits == 32 { &places[4..] } else { &places[..] };
        let holds = self.bytes_test(counted.iter().rev().copied(), condition)?;
        if negated { self.not(holds) } else { Ok(holds) }
    }

    /// Compares bytes, the least significant first: `(mask, k)` for each digit.
    fn bytes_test(
        &mut self,
        places: impl Iterator<Item = (Digit, (u8, u8))>,
        condition: Condition,
    ) -> Result<Predicate, TooComplex> {
        let (never, always) = (self.terminal(0), self.terminal(1));
        // What holds when all bytes are equal.
        let mut below = match condition {
            Condition::Eq | Condition::Ge => always,
            Condition::Gt | Condition::Set => never,
        };
        for (digit, (mask, k)) in places {
            let step = |byte: u8| -> NodeId {
                let masked = byte & mask;
                match condition {
                    Condition::Set if masked & k != 0 => always,
                    Condition::Set => below,
                    _ if masked == k => below,
                    Condition::Ge | Condition::Gt if masked > k => always,
                    _ => never,
                }
            };
            let unfinished = self.begin();
            if mask == u8::MAX && condition != Condition::Set {
                // The usual case has three runs at most.
                if let Some(before) = k.checked_sub(1) {
                    self.push(&unfinished, before, never);
                }
                self.push(&unfinished, k, below);
                if k < u8::MAX {
                    let above = if condition == Condition::Eq { never } else { always };
                    self.push(&unfinished, u8::MAX, above);
                }
            } else {
                for byte in 0..=u8::MAX {
                    self.push(&unfinished, byte, step(byte));
                }
            }
            below = self.finish(digit, unfinished)?;
        }
        Ok(Predicate(below))
    }
}

fn zip4(a: [u8; 4], b: [u8; 4]) -> [(u8, u8); 4] {
    [(a[0], b[0]), (a[1], b[1]), (a[2], b[2]), (a[3], b[3])]
}
