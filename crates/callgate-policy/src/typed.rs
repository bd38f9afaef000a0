//! Comparisons in the width of the argument's C type.

use callgate_syscalls::Arg;

use crate::{AbiRules, Comparison, Ruleset, Test, Width};

const LOW: u64 = 0xffff_ffff;

impl Ruleset {
    /// The rules with every comparison of an argument of 32 bits or less made on the low 32 bits,
    /// which is what the kernel reads.
    ///
    /// A container profile means all 64 bits of the register. For an `int` that is a way round the
    /// rule: `socket` with 40 and a dirty upper half is the same call to the kernel. Comparisons
    /// with constants that no value of 32 bits has stay as they are.
    #[must_use]
    pub fn with_typed_arguments(mut self) -> Ruleset {
        for table in self.abis.iter_mut().filter(|table| table.abi.arg_bits() == 64) {
            typed(table);
        }
        self
    }
}

fn typed(table: &mut AbiRules) {
    for (&nr, rules) in &mut table.rules {
        let known = table.abi.name_of(nr).and_then(callgate_syscalls::syscall);
        let args: &[Arg] = known.map_or(&[], |known| known.args_on(table.abi));
        for comparison in rules.iter_mut().flat_map(|rule| &mut rule.comparisons) {
            let arg = args.get(usize::from(comparison.arg));
            if arg.is_some_and(|arg| arg.bits <= 32 && !arg.pointer)
                && comparison.width == Width::Full
                && fits(comparison.test)
            {
                *comparison = Comparison::low32(comparison.arg, comparison.test);
            }
        }
    }
}

/// Whether the low half of the constants says what they say of a number of 32 bits.
fn fits(test: Test) -> bool {
    match test {
        // A negative number may be written with its sign extended.
        Test::Eq(value) | Test::Ne(value) => value <= LOW || value >= u64::MAX - (LOW >> 1),
        Test::Lt(value) | Test::Le(value) | Test::Ge(value) | Test::Gt(value) => value <= LOW,
        // The upper half of the mask asks for zeros.
        Test::MaskedEq { value, .. } => value <= LOW,
    }
}

#[cfg(test)]
mod tests {
    use alloc::{collections::BTreeMap, vec, vec::Vec};

    use callgate_bpf::Action;
    use callgate_syscalls::Abi;

    use super::*;
    use crate::{ArgIndex, Rule};

    fn compared(abi: Abi, call: &str, tests: &[Test]) -> Vec<Comparison> {
        let compare = |test: &Test| Comparison::full(ArgIndex::ALL[0], *test);
        let comparisons = tests.iter().map(compare).collect();
        let rule = Rule { action: Action::Allow, comparisons, entry: 0 };
        let rules = BTreeMap::from([(abi.number(call).unwrap(), vec![rule])]);
        let table = AbiRules { abi, default: Action::Errno(1), rules, newer: None };
        let other = Action::KillThread;
        let ruleset = Ruleset { abis: vec![table], other, flags: Vec::new() };
        let typed = ruleset.with_typed_arguments();
        let mut rules = typed.abis.into_iter().flat_map(|table| table.rules.into_values());
        rules.next().unwrap().remove(0).comparisons
    }

    #[test]
    fn an_int_is_compared_as_one() {
        // int socket(int domain, …)
        let tests = [Test::Eq(40), Test::Lt(38), Test::MaskedEq { mask: u64::MAX, value: 40 }];
        let typed = tests.map(|test| Comparison::low32(ArgIndex::ALL[0], test));
        assert_eq!(compared(Abi::X86_64, "socket", &tests), typed);
        let minus_one = compared(Abi::X86_64, "socket", &[Test::Eq(u64::MAX)]);
        assert_eq!(minus_one, [Comparison::low32(ArgIndex::ALL[0], Test::Eq(LOW))]);
    }

    #[test]
    fn wider_constants_and_arguments_stay() {
        let full = |test| Comparison::full(ArgIndex::ALL[0], test);
        for test in [Test::Eq(1 << 32), Test::Lt(1 << 32), Test::Gt(u64::MAX)] {
            assert_eq!(compared(Abi::X86_64, "socket", &[test]), [full(test)]);
        }
        // unsigned long, a pointer, and an ABI that compares 32 bits anyway
        for (abi, call) in [(Abi::X86_64, "mmap"), (Abi::X86_64, "chdir"), (Abi::X86, "socket")] {
            assert_eq!(compared(abi, call, &[Test::Eq(1)]), [full(Test::Eq(1))]);
        }
    }
}
