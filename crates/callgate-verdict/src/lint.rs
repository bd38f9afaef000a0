//! What is wrong with a filter, or may not be what was meant.
//!
//! [`lint`] looks at the meaning of a filter, and at its text or its instructions where there are
//! any. Each [`Finding`] says what was found, who gains or loses what by it, and how to mend it,
//! and shows it by a call. The call is made up from the diagram at the moment of asking.
//!
//! [`LINTS`] lists what is looked for. Every id has a page in `docs/lints`.
//!
//! ```
//! use callgate_bpf::{Action, ByteOrder, Layout, Op, Program};
//! use callgate_syscalls::Abi;
//! use callgate_verdict::{Manager, lint::{self, Subject}};
//!
//! let order = ByteOrder::Little;
//! // Refuses number 2, whichever architecture it is of.
//! let is_2 = Op::Branch {
//!     condition: callgate_bpf::Condition::Eq,
//!     operand: callgate_bpf::Operand::K(2),
//!     jt: 0,
//!     jf: 1,
//! };
//! let instructions = [
//!     Op::Load(0),
//!     is_2,
//!     Op::Return(Action::Errno(1).raw().0),
//!     Op::Return(Action::Allow.raw().0),
//! ];
//! let program = Program::new(instructions.map(Into::into).to_vec(), Layout::seccomp(order))?;
//! let subject = Subject::of_programs(core::slice::from_ref(&program), Abi::X86_64);
//! let findings = lint::lint(&mut Manager::new(Layout::seccomp(order)), &subject)?;
//! assert_eq!(findings[0].diagnostic.id, "no-arch-check");
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

mod abis;
mod catalog;
mod edits;
mod families;
mod finding;
mod places;
mod pointers;
mod program;
mod refusals;
mod rules;
mod unused;
mod view;
mod ways;
mod width;
mod words;

use alloc::vec::Vec;

use callgate_bpf::Program;
use callgate_policy::{Policy, Ruleset, Target};
use callgate_syscalls::{Abi, KernelVersion};

pub use self::{
    catalog::{LINTS, Lint},
    edits::remove_name,
    families::relatives,
    finding::{Example, Finding, InstructionPlace},
};

use self::view::Linter;
use crate::{Manager, TooComplex};

/// A filter to look at.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Subject<'a> {
    /// What a person wrote, where there is a text.
    pub written: Option<Written<'a>>,
    /// The programs that hold together, newest first; for a text, what it is compiled to. The
    /// meaning is theirs where there is no text.
    pub programs: &'a [Program],
    /// The ABI of the machine that the filter is for.
    pub native: Abi,
    /// The kernel that it is for, where that is known.
    pub kernel: Option<KernelVersion>,
}

/// A policy, its text, and the rules that it comes to.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a lint of a text needs all of it")]
pub struct Written<'a> {
    /// The text, for edits; empty where the policy has none.
    pub text: &'a str,
    /// What it says.
    pub policy: &'a Policy,
    /// What it was resolved for.
    pub target: &'a Target,
    /// What it came to.
    pub ruleset: &'a Ruleset,
}

impl<'a> Subject<'a> {
    /// Programs that hold a thread together, newest first.
    pub const fn of_programs(programs: &'a [Program], native: Abi) -> Subject<'a> {
        Subject { written: None, programs, native, kernel: None }
    }

    /// A text, with the program that it is compiled to where that is at hand.
    pub const fn of_text(written: Written<'a>, programs: &'a [Program]) -> Subject<'a> {
        let Target { native, kernel, .. } = *written.target;
        Subject { written: Some(written), programs, native, kernel: Some(kernel) }
    }

    /// The same, for a kernel of this release.
    #[must_use]
    pub const fn on_kernel(self, kernel: KernelVersion) -> Subject<'a> {
        Subject { kernel: Some(kernel), ..self }
    }
}

/// Everything that is found, the worst first, then in the order of the text.
///
/// The manager may have diagrams already; it must be for `struct seccomp_data`.
///
/// # Errors
///
/// When the meaning, or a question about it, needs more memory than the manager may use.
///
/// # Panics
///
/// When the manager is for another context.
pub fn lint(manager: &mut Manager, subject: &Subject<'_>) -> Result<Vec<Finding>, TooComplex> {
    let mut linter = Linter::new(manager, subject)?;
    linter.abis()?;
    linter.widths()?;
    linter.pointers()?;
    linter.families()?;
    linter.ways()?;
    linter.refusals()?;
    linter.rules()?;
    linter.unused()?;
    linter.programs()?;
    Ok(linter.finish())
}

/// The finding that a text's rules fit no program that the kernel takes; `why` is a sentence of
/// whoever tried.
pub fn does_not_compile(why: &str) -> Finding {
    let message = alloc::format!("no program says this: {why}");
    Finding::new("path-budget", message, "a user has no filter at all").error()
}
