//! What a seccomp profile says, its text formats, and what it comes to on one machine.
//!
//! - [`Policy`] is the text, read: entries by name, conditions, places.
//! - [`Target`] is a machine: ABIs, capabilities, kernel.
//! - [`Ruleset`] is the policy resolved for a target: per ABI and number, rules in order.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod builtin;
mod comparison;
mod flatten;
pub mod formats;
mod from_rules;
#[cfg(any(test, feature = "testing"))]
pub mod generate;
pub mod json;
mod policy;
mod quote;
mod resolve;
mod ruleset;
pub mod suggest;
mod target;
mod typed;

pub use crate::comparison::{ArgIndex, Comparison, Test, Width};
pub use crate::from_rules::Nameless;
pub use crate::policy::{Architectures, Condition, Dialect, Entry, FilterFlag, Listener, Policy};
pub use crate::resolve::Resolution;
pub use crate::ruleset::{AbiRules, Decision, Newer, NumberVerdict, Rule, Ruleset};
pub use crate::target::{NewerCalls, Target};
