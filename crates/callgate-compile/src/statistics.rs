//! What a program does with each ABI's system calls, and what that costs.

use alloc::vec::Vec;

use callgate_bpf::{ByteOrder, Program, SeccompData, ShiftRule, SyscallNr};
use callgate_policy::{AbiRules, NumberVerdict, Ruleset};
use callgate_syscalls::Abi;

use crate::boundary;

/// What a program does with the system calls of one ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AbiStatistics {
    /// The ABI.
    pub abi: Abi,
    /// System calls that the ABI has.
    pub known: usize,
    /// Those that run whatever their arguments.
    pub allowed: usize,
    /// Those of `allowed` that the kernel answers without running the program (Linux 5.11).
    pub cached: usize,
    /// Those that depend on arguments.
    pub conditional: usize,
    /// Those that never run.
    pub refused: usize,
    /// Instructions executed for all system calls that the rules name, added up, and how many
    /// those are; arguments are 0.
    pub executed: (usize, usize),
    /// Most instructions executed on any boundary of any rule.
    pub worst: usize,
}

/// The statistics of each ABI of the rules, in their order.
pub fn statistics(program: &Program, ruleset: &Ruleset) -> Vec<AbiStatistics> {
    ruleset.abis.iter().map(|table| of_abi(program, ruleset, table)).collect()
}

fn of_abi(program: &Program, ruleset: &Ruleset, table: &AbiRules) -> AbiStatistics {
    let abi = table.abi;
    let arch = abi.audit();
    let mut result = AbiStatistics {
        abi,
        known: 0,
        allowed: 0,
        cached: 0,
        conditional: 0,
        refused: 0,
        executed: (0, 0),
        worst: 0,
    };
    let mut last = None;
    for (nr, _) in abi.syscalls() {
        // Some numbers have two names.
        if last.replace(nr) == Some(nr) {
            continue;
        }
        result.known += 1;
        match class(ruleset.rules_for(arch, nr)) {
            Class::Allowed => {
                result.allowed += 1;
                result.cached += usize::from(program.always_allows(arch, nr));
            }
            Class::Conditional => result.conditional += 1,
            Class::Refused => result.refused += 1,
        }
        if table.rules.contains_key(&nr) {
            let executed = executed(program, &SeccompData::new(arch, nr));
            result.executed = (result.executed.0 + executed, result.executed.1 + 1);
        }
    }
    let visited: Result<(), core::convert::Infallible> = boundary::inputs(ruleset, |data| {
        if data.arch == arch && owns(abi, data.nr) {
            result.worst = result.worst.max(executed(program, data));
        }
        Ok(())
    });
    let Ok(()) = visited;
    result
}

enum Class {
    Allowed,
    Conditional,
    Refused,
}

fn class(verdict: NumberVerdict<'_>) -> Class {
    let fixed = |runs: bool| if runs { Class::Allowed } else { Class::Refused };
    match verdict {
        NumberVerdict::Newer(action) | NumberVerdict::OtherAbi(action) => fixed(action.runs_call()),
        NumberVerdict::Rules { table, rules } => {
            let last = rules.iter().position(|rule| rule.is_unconditional());
            let outcomes = rules[..last.map_or(rules.len(), |last| last + 1)]
                .iter()
                .map(|rule| rule.action)
                .chain(last.is_none().then_some(table.default));
            let mut runs = outcomes.map(|action| action.runs_call());
            let first = runs.next().unwrap_or(false);
            if runs.all(|other| other == first) { fixed(first) } else { Class::Conditional }
        }
    }
}

/// Bit 30 of a number of the x86_64 architecture says which of its two ABIs it is of.
fn owns(abi: Abi, nr: SyscallNr) -> bool {
    match abi {
        Abi::X86_64 => nr.0 & SyscallNr::X32_BIT == 0,
        Abi::X32 => nr.0 & SyscallNr::X32_BIT != 0,
        _ => true,
    }
}

fn executed(program: &Program, data: &SeccompData) -> usize {
    let order: ByteOrder = program.layout().byte_order;
    program.run_traced(&data.words(order), ShiftRule::of_kernel(data.arch)).path.len()
}
