//! Rules on arguments: comparisons of 64-bit words made of tests on their halves.

use callgate_bpf::{Action, Condition, Layout};
use callgate_policy::{ArgIndex, Comparison, Rule, Test};

use super::Lowerer;
use crate::graph::{NodeId, TestNode, Word};

/// Where a test leads.
#[derive(Clone, Copy)]
struct Ways {
    then: NodeId,
    otherwise: NodeId,
}

impl Ways {
    fn swapped(self) -> Ways {
        Ways { then: self.otherwise, otherwise: self.then }
    }
}

impl Lowerer<'_> {
    /// The first rule that holds decides, else the default.
    pub(super) fn chain(&mut self, rules: &[Rule], default: Action, bits: u32) -> NodeId {
        let mut otherwise = self.graph.ret(default.raw());
        for rule in rules.iter().rev() {
            let mut then = self.graph.ret(rule.action.raw());
            for comparison in rule.comparisons.iter().rev() {
                then = self.comparison(*comparison, bits, Ways { then, otherwise });
            }
            otherwise = then;
        }
        otherwise
    }

    fn comparison(&mut self, comparison: Comparison, bits: u32, ways: Ways) -> NodeId {
        let arg = comparison.arg;
        let (bits, test) = comparison.on(bits);
        if bits == 32 {
            return self.low_only(arg, test, ways);
        }
        match test {
            Test::Eq(value) => self.equal(arg, value, ways),
            Test::Ne(value) => self.equal(arg, value, ways.swapped()),
            Test::Ge(value) => self.at_least(arg, value, Condition::Ge, ways),
            Test::Gt(value) => self.at_least(arg, value, Condition::Gt, ways),
            Test::Lt(value) => self.at_least(arg, value, Condition::Ge, ways.swapped()),
            Test::Le(value) => self.at_least(arg, value, Condition::Gt, ways.swapped()),
            Test::MaskedEq { mask, value } => {
                if value & !mask != 0 {
                    return ways.otherwise;
                }
                let (mask_low, mask_high) = halves(mask);
                let (low, high) = halves(value);
                let then = self.masked(self.low(arg), mask_low, low, ways);
                self.masked(self.high(arg), mask_high, high, Ways { then, ..ways })
            }
        }
    }

    fn low_only(&mut self, arg: ArgIndex, test: Test, ways: Ways) -> NodeId {
        let word = self.low(arg);
        let low = |value| halves(value).0;
        match test {
            Test::Eq(value) => self.word(word, Condition::Eq, low(value), ways),
            Test::Ne(value) => self.word(word, Condition::Eq, low(value), ways.swapped()),
            Test::Ge(value) => self.word(word, Condition::Ge, low(value), ways),
            Test::Gt(value) => self.word(word, Condition::Gt, low(value), ways),
            Test::Lt(value) => self.word(word, Condition::Ge, low(value), ways.swapped()),
            Test::Le(value) => self.word(word, Condition::Gt, low(value), ways.swapped()),
            Test::MaskedEq { mask, value } => {
                if value & !mask != 0 {
                    return ways.otherwise;
                }
                self.masked(word, low(mask), low(value), ways)
            }
        }
    }

    fn equal(&mut self, arg: ArgIndex, value: u64, ways: Ways) -> NodeId {
        let (low, high) = halves(value);
        let then = self.word(self.low(arg), Condition::Eq, low, ways);
        self.word(self.high(arg), Condition::Eq, high, Ways { then, ..ways })
    }

    /// argument >= value, or > value as `last` says.
    fn at_least(&mut self, arg: ArgIndex, value: u64, last: Condition, ways: Ways) -> NodeId {
        let (low, high) = halves(value);
        let by_low = self.word(self.low(arg), last, low, ways);
        let word = self.high(arg);
        let not_above = Ways { then: by_low, otherwise: ways.otherwise };
        let otherwise = self.word(word, Condition::Eq, high, not_above);
        self.word(word, Condition::Gt, high, Ways { then: ways.then, otherwise })
    }

    /// word & mask == value, where the value has no bit outside the mask.
    ///
    /// The instruction set tests "any of these bits set" without changing A; everything else of
    /// this shape is made of that: all of `value` set means each bit set, so one test per bit.
    /// A is not masked in place, since it would have to be loaded again for the next test.
    fn masked(&mut self, word: u32, mask: u32, value: u32, ways: Ways) -> NodeId {
        if mask == u32::MAX {
            return self.word(word, Condition::Eq, value, ways);
        }
        let clear = Ways { then: ways.otherwise, otherwise: ways.then };
        let mut then = self.word(word, Condition::Set, mask & !value, clear);
        for bit in (0..32).map(|bit| 1 << bit).filter(|bit| value & bit != 0) {
            then = self.word(word, Condition::Set, bit, Ways { then, ..ways });
        }
        then
    }

    fn word(&mut self, word: u32, condition: Condition, k: u32, ways: Ways) -> NodeId {
        let Ways { then, otherwise } = ways;
        let word = Word::whole(word);
        self.graph.test(TestNode { word, condition, k, then, otherwise })
    }

    fn low(&self, arg: ArgIndex) -> u32 {
        Layout::arg_low(self.order, arg.get())
    }

    fn high(&self, arg: ArgIndex) -> u32 {
        Layout::arg_high(self.order, arg.get())
    }
}

/// Low and high word.
fn halves(value: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
    (u32::from_be_bytes([e, f, g, h]), u32::from_be_bytes([a, b, c, d]))
}
