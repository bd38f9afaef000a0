//! From a filter to one that asks about whatever the first refuses.

use callgate_bpf::{Action, ByteOrder, Instruction, Layout, Op, Program, RawAction};
use callgate_policy::{ArgIndex, Comparison, Rule, Ruleset, Test, Width};

use crate::{commands::Failure, meaning::Origin};

/// The filter that allows what this one allows, and asks a supervisor about all else. Where the
/// rules are known it also asks about a filter with a listener of its own, which the kernel will
/// refuse beside ours: that must not be taken for the profile's doing.
///
/// # Errors
///
/// When it cannot be compiled, or a program returns a word that it has worked out.
pub fn asking(name: &str, origin: &Origin) -> Result<Program, Failure> {
    match origin {
        Origin::Profile { ruleset, .. } => {
            let compiled = callgate_compile::compile(&asking_rules(ruleset.clone()));
            let compiled = compiled.map_err(|e| format!("{name}, made to ask: {e}"))?;
            Ok(compiled.into_program())
        }
        Origin::Program(program) => asking_program(name, program),
        Origin::Stack(_) => {
            Err(Failure::Message(format!("{name}: several filters are no profile")))
        }
    }
}

fn ask(action: Action) -> Action {
    if action.runs_call() { action } else { Action::UserNotif }
}

fn asking_rules(mut ruleset: Ruleset) -> Ruleset {
    ruleset.other = ask(ruleset.other);
    for table in &mut ruleset.abis {
        table.default = ask(table.default);
        if let Some(newer) = &mut table.newer {
            newer.action = ask(newer.action);
        }
        table.rules.values_mut().flatten().for_each(|rule| rule.action = ask(rule.action));
        if let Some(nr) = table.abi.number("seccomp")
            && let Some(own_listener) = own_listener()
        {
            table.rules.entry(nr).or_default().insert(0, own_listener);
        }
    }
    ruleset
}

/// `seccomp` with SECCOMP_FILTER_FLAG_NEW_LISTENER among its flags.
fn own_listener() -> Option<Rule> {
    const NEW_LISTENER: u64 = 1 << 3;
    let test = Test::MaskedEq { mask: NEW_LISTENER, value: NEW_LISTENER };
    let comparison = Comparison { arg: ArgIndex::new(1)?, width: Width::Low32, test };
    Some(Rule { action: Action::UserNotif, comparisons: vec![comparison], entry: usize::MAX })
}

/// Only the words that are returned change, so the program asks exactly where it refused.
fn asking_program(name: &str, program: &Program) -> Result<Program, Failure> {
    let asking = program.instructions().iter().map(|&instruction| match instruction.decode() {
        Some(Op::Return(word)) => {
            Ok(Instruction::from(Op::Return(ask(RawAction(word).action()).raw().0)))
        }
        Some(Op::ReturnA) => Err(format!(
            "{name}: the program returns a word that it works out while it runs (ret A), so it cannot be made to ask; a profile can"
        )),
        _ => Ok(instruction),
    });
    let asking = asking.collect::<Result<Vec<_>, String>>()?;
    let program = Program::new(asking, Layout::seccomp(ByteOrder::NATIVE));
    Ok(program.map_err(|error| format!("internal error: {error}"))?)
}
