//! The program against the rules, on every call there is.
//!
//! The two diagrams come from different code: `callgate-verdict` runs the program symbolically,
//! and lays out the rules' tables directly. They share the data types with the compiler and none
//! of its logic.

use callgate_bpf::{Program, ShiftRule};
use callgate_policy::Ruleset;
use callgate_verdict::Manager;

use crate::error::{CompileError, Mismatch};

/// # Errors
///
/// A call on which the two differ, or that they do not fit in memory.
pub(crate) fn prove(program: &Program, ruleset: &Ruleset) -> Result<(), CompileError> {
    let mut manager = Manager::new(*program.layout());
    let rules = manager.ruleset(ruleset).map_err(CompileError::too_complex)?;
    // Compiled programs do not shift.
    let shifts = ShiftRule::default();
    let compiled = manager.program(program, shifts).map_err(CompileError::too_complex)?;
    if rules == compiled {
        return Ok(());
    }
    let differ = manager.differ(rules, compiled).map_err(CompileError::too_complex)?;
    let data = manager.witness(differ).expect("unequal diagrams differ somewhere");
    Err(CompileError::mismatch(Mismatch {
        data,
        rules: manager.decide(rules, &data).action(),
        program: manager.decide(compiled, &data).action(),
    }))
}
