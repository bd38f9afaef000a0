//! Kafel, the policy language of nsjail and of google/kafel.
//!
//! A policy is a list of actions with the calls that get them, in order; the first that holds
//! decides, and a default takes the rest. [`read`] takes the whole language but `#include`, for
//! which there are no files here:
//!
//! | written | what it is |
//! |---|---|
//! | `POLICY name { … }`, `USE name`, `DEFAULT action` | policies, put together |
//! | `#define NAME 1` | a constant |
//! | `ALLOW`, `LOG`, `KILL` = `KILL_THREAD` = `DENY`, `KILL_PROCESS`, `ERRNO(n)`, `TRAP(n)`, `TRACE(n)`, `USER_NOTIF` | actions |
//! | `read`, `read(fd, buf)`, `SYSCALL[39]` | a call, by Kafel's name or by number |
//! | `read { fd == 1 && (count & 7) == 0 \|\| … }` | a condition; a comma is a weak `\|\|` |
//! | `read ON x86_64`, `read ON { x86_64, arm }` | a call of some architectures |
//!
//! # What it means
//!
//! - Kafel's names are those of the kernel's functions: `newfstat`, `newuname`, `sendfile64`, and
//!   on x86 `chown` for what `unistd.h` calls `chown32`. The policy has those of `unistd.h`.
//! - An argument has the width of its C type: of an `int` the low 32 bits are compared, unless a
//!   number beside it has more. Arguments that are given names have 64 bits.
//! - Which architectures a policy is for is no part of the text: whoever compiles it says so. Any
//!   other architecture gets KILL. A filter for x86_64 takes x32's calls for its own, so they get
//!   the default, or what stands for their number.
//! - On 32-bit ABIs the upper half of an argument counts as 0, which is what it holds unless the
//!   call came by `int 0x80` from 64-bit code.
//!
//! A condition becomes entries whose comparisons all hold, at most 4,096. What [`Comparison`](crate::Comparison)
//! (crate::Comparison) has no words for, one argument against another, is an error.
//!
//! Sources: `src/parser.y`, `src/lexer.l`, `src/expression.c`, `src/codegen.c` and the README of
//! google/kafel.
//!
//! ```
//! use callgate_policy::formats::kafel;
//!
//! let text = "POLICY a { ALLOW { read, write { fd == 1 } } } USE a DEFAULT KILL";
//! let policy = kafel::read(text).policy.unwrap();
//! assert_eq!(policy.entries[1].comparisons[0].value.to_string(), "arg0 == 0x1");
//!
//! let reading = kafel::read("ALLOW { raed }");
//! let found = &reading.diagnostics[0];
//! assert_eq!(found.message, "no architecture has a syscall `raed`");
//! assert_eq!(found.primary().unwrap().text, "did you mean `read`?");
//! ```

mod alternatives;
mod calls;
mod condition;
mod expression;
mod filter;
mod lexer;
mod names;
mod reader;
mod syntax;
mod value;
mod writer;

use alloc::{string::String, vec::Vec};

use callgate_diagnostic::Diagnostic;

use super::Reading;
use crate::Policy;

/// Reads a policy.
pub fn read(text: &str) -> Reading {
    reader::read(text)
}

/// Writes a policy, in the form that old releases of Kafel take as well but for `ON`, which a
/// policy for several architectures may need.
///
/// Which architectures those are has to be said to Kafel's library; a comment says it to whoever
/// reads the text.
///
/// # Errors
///
/// `cannot-write`, one for each thing that Kafel has no words for: a container profile, whose
/// rules combine otherwise; a verdict on other architectures than the end of the thread; x32's
/// calls treated in another way than by the default; conditions, flags.
pub fn write(policy: &Policy) -> Result<String, Vec<Diagnostic>> {
    writer::write(policy)
}

/// Whether a text begins as a policy does.
pub(super) fn detect(text: &str) -> bool {
    reader::detect(text)
}
