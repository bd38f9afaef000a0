//! Inputs at which a verdict may change: one on each side of every limit in the rules.

use alloc::{collections::BTreeSet, vec::Vec};

use callgate_bpf::{Architecture, SeccompData, SyscallNr};
use callgate_policy::{Comparison, NumberVerdict, Rule, Ruleset, Test};

use crate::runs::run_starts;

/// Calls `visit` with calls on both sides of every limit of the rules, some of an architecture
/// that the rules do not know included.
///
/// # Errors
///
/// The first that `visit` returns.
pub(crate) fn inputs<E>(
    ruleset: &Ruleset,
    mut visit: impl FnMut(&SeccompData) -> Result<(), E>,
) -> Result<(), E> {
    let known: BTreeSet<Architecture> =
        ruleset.abis.iter().map(|table| table.abi.audit()).collect();
    // The empty value, and neighbours of the known ones.
    let strange = core::iter::once(Architecture(0))
        .chain(known.iter().map(|arch| Architecture(arch.0 ^ 1)))
        .chain(known.iter().map(|arch| Architecture(arch.0 ^ 0x8000_0000)));
    for arch in strange.filter(|arch| !known.contains(arch)) {
        visit(&SeccompData::new(arch, SyscallNr(0)))?;
        visit(&SeccompData::new(arch, SyscallNr(59)))?;
    }
    for &arch in &known {
        for start in run_starts(ruleset, arch) {
            for nr in [start, start.wrapping_sub(1)] {
                let mut data = SeccompData::new(arch, SyscallNr(nr));
                visit(&data)?;
                // Every argument register full: nothing but rules may look at them.
                data.args = [u64::MAX; 6];
                data.instruction_pointer = u64::MAX;
                visit(&data)?;
            }
            if let NumberVerdict::Rules { rules, .. } = ruleset.rules_for(arch, SyscallNr(start)) {
                arguments(rules, SeccompData::new(arch, SyscallNr(start)), &mut visit)?;
            }
        }
    }
    Ok(())
}

/// For each rule: arguments that satisfy it, and each comparison's neighbours in turn.
fn arguments<E>(
    rules: &[Rule],
    base: SeccompData,
    visit: &mut impl FnMut(&SeccompData) -> Result<(), E>,
) -> Result<(), E> {
    for rule in rules.iter().filter(|rule| !rule.is_unconditional()) {
        let mut satisfied = base;
        for comparison in &rule.comparisons {
            satisfied.args[usize::from(comparison.arg)] = witness(comparison.test);
        }
        visit(&satisfied)?;
        for comparison in &rule.comparisons {
            for value in neighbours(comparison) {
                let mut data = satisfied;
                data.args[usize::from(comparison.arg)] = value;
                visit(&data)?;
            }
        }
    }
    Ok(())
}

/// A value of which the test holds, where there is one.
fn witness(test: Test) -> u64 {
    match test {
        Test::Eq(value) | Test::Le(value) | Test::Ge(value) => value,
        Test::Ne(value) => !value,
        Test::Lt(value) => value.saturating_sub(1),
        Test::Gt(value) => value.saturating_add(1),
        Test::MaskedEq { mask, value } => value & mask,
    }
}

/// Values around the constants of a comparison: one more and less, halves exchanged or dirtied,
/// single bits of a mask turned.
fn neighbours(comparison: &Comparison) -> Vec<u64> {
    const HIGH: u64 = 1 << 32;
    let mut values = Vec::from([0, u64::MAX, u64::from(u32::MAX)]);
    for constant in comparison.test.constants() {
        values.extend([
            constant,
            constant.wrapping_add(1),
            constant.wrapping_sub(1),
            constant.wrapping_add(HIGH),
            constant.wrapping_sub(HIGH),
            constant ^ HIGH,
            constant ^ (1 << 63),
            constant.rotate_left(32),
            constant & u64::from(u32::MAX),
            !constant,
        ]);
    }
    if let Test::MaskedEq { mask, value } = comparison.test {
        let bits = (0..64).map(|bit| 1u64 << bit);
        values.extend(bits.filter(|bit| mask & bit != 0).map(|bit| value ^ bit));
        values.push(value | !mask);
    }
    values
}
