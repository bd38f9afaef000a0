//! From a resolved policy to a program that the kernel accepts, proved before anyone sees it.
//!
//! ```text
//! Ruleset ── lower ──> decision graph ── emit ──> instructions ── Program::new ──> prove
//! ```
//!
//! - `lower` makes a graph of tests on words of the context, equal parts shared: `dispatch` finds
//!   the best tree over numbers, `arguments` the best order of words;
//! - `emit` lays it out backwards, so that every jump target is known when it is needed;
//! - `prove` compares the verdict diagrams of the program and of the rules, which are one node
//!   exactly when they answer every call alike.
//!
//! Every number that is always allowed is decided from the architecture and the number alone, so
//! the kernel (5.11 and later) answers it from its cache without running the program; `cached`
//! makes sure of it.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod arguments;
mod boundary;
mod cached;
mod dispatch;
mod emit;
mod error;
mod graph;
mod lower;
mod options;
mod prove;
mod runs;
mod statistics;
mod weights;

use callgate_bpf::{ByteOrder, Layout, MAX_INSTRUCTIONS, PATH_BUDGET, Program};
use callgate_policy::Ruleset;

pub use crate::{
    error::{CompileError, Contributor},
    options::{Goal, Options, Passes},
    statistics::{AbiStatistics, statistics},
    weights::{Weights, WeightsError},
};

/// A program that answers every call as the rules say: only [`compile`] makes one, and only with
/// the proof.
#[derive(Clone, Debug)]
pub struct Compiled {
    program: Program,
}

impl Compiled {
    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The program, for loading.
    pub fn into_program(self) -> Program {
        self.program
    }
}

/// Compiles the rules, for a machine of the byte order of the first ABI. The same rules give the
/// same program, byte for byte, on every machine.
///
/// # Errors
///
/// When the ABIs differ in byte order, when the program would be longer than the kernel takes or
/// costlier than its path budget, when the proof would need more memory than it may use
/// ([`CompileError::is_too_complex`]), and (a defect of this crate) when the program is not what
/// the rules say or keeps a call out of the kernel's cache.
pub fn compile(ruleset: &Ruleset) -> Result<Compiled, CompileError> {
    compile_with(ruleset, &Options::default())
}

/// As [`compile`], with options.
///
/// # Errors
///
/// As [`compile`].
pub fn compile_with(ruleset: &Ruleset, options: &Options) -> Result<Compiled, CompileError> {
    let order = byte_order(ruleset)?;
    let lowered = lower::lower(ruleset, order, options);
    let instructions = emit::emit(&lowered.graph, lowered.root);
    if instructions.len() > MAX_INSTRUCTIONS {
        return Err(CompileError::too_long(instructions.len(), lowered.contributors()));
    }
    let program =
        Program::new(instructions, Layout::seccomp(order)).map_err(CompileError::invalid)?;
    let cost = program.path_cost();
    if cost > PATH_BUDGET {
        return Err(CompileError::too_costly(cost, lowered.contributors()));
    }
    prove::prove(&program, ruleset)?;
    cached::check(&program, ruleset)?;
    Ok(Compiled { program })
}

fn byte_order(ruleset: &Ruleset) -> Result<ByteOrder, CompileError> {
    let Some(first) = ruleset.abis.first() else {
        return Err(CompileError::no_abi());
    };
    match ruleset.abis.iter().find(|t| t.abi.byte_order() != first.abi.byte_order()) {
        Some(other) => Err(CompileError::mixed_byte_order(first.abi, other.abi)),
        None => Ok(first.abi.byte_order()),
    }
}
