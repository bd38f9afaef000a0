//! Whether the kernel's cache will hold all that it can.

use alloc::vec::Vec;

use callgate_bpf::{Action, Program};
use callgate_policy::{AbiRules, Rule, Ruleset};

use crate::error::CompileError;

/// # Errors
///
/// A number of an ABI for which the kernel keeps a cache, that is allowed whatever the arguments,
/// and for which it would run the program all the same.
pub(crate) fn check(program: &Program, ruleset: &Ruleset) -> Result<(), CompileError> {
    for table in ruleset.abis.iter().filter(|table| table.abi.has_kernel_cache()) {
        let arch = table.abi.audit();
        let newer = |nr| table.newer.is_some_and(|newer| newer.takes(nr));
        for (nr, _) in table.abi.syscalls() {
            let rules = table.rules.get(&nr).map_or(&[][..], Vec::as_slice);
            let action = if newer(nr) {
                table.newer.map(|newer| newer.action)
            } else {
                always(table, rules)
            };
            if action == Some(Action::Allow) && !program.always_allows(arch, nr) {
                return Err(CompileError::uncached(table.abi, nr));
            }
        }
    }
    Ok(())
}

/// The verdict that all rules agree on, as far as they are ever asked.
fn always(table: &AbiRules, rules: &[Rule]) -> Option<Action> {
    let last = rules.iter().position(|rule| rule.is_unconditional());
    let asked = last.map_or(rules, |last| &rules[..=last]);
    let mut all = asked.iter().map(|r| r.action).chain(last.is_none().then_some(table.default));
    let first = all.next()?;
    all.all(|action| action == first).then_some(first)
}
