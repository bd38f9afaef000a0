//! The exact meaning of a seccomp filter: canonical decision diagrams.
//!
//! A filter is a function from the bytes of a call to a 32-bit word. A [`Diagram`] is that
//! function: a graph that decides byte by byte, in one fixed order, with equal parts shared and
//! no decision that does not matter. Two filters mean the same exactly when their diagrams, made
//! by one [`Manager`], are the same node, whatever they were written in.
//!
//! | to … | use |
//! |---|---|
//! | give a program its meaning | [`Manager::program`] |
//! | give rules their meaning | [`Manager::ruleset`] |
//! | ask for equality | `==` on two diagrams |
//! | see what the kernel makes of the words | [`Manager::act`] |
//! | combine filters | [`Manager::stack`], [`Manager::intersect`], [`Manager::union`] |
//! | find where two differ, or one is weaker | [`Manager::differences`], [`Manager::weaker`] |
//! | ask whether one permits more | [`Manager::permits_more`] |
//! | get an example | [`Manager::witness`] |
//! | turn a meaning into rules again | [`Manager::synthesize`], [`Manager::synthesize_named`], [`Manager::outline`] |
//! | look at one system call | [`Manager::verdict`], [`Manager::nearest`] |
//! | give up what depends on arguments | [`Manager::settle`] |
//! | look for what is wrong with a filter | [`lint`] |
//!
//! Memory and work are bounded: what does not fit is [`TooComplex`], which is no answer and
//! equals nothing.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod conditions;
mod differences;
mod digits;
pub mod lint;
mod manager;
mod one_call;
mod operations;
mod predicate;
mod program;
mod queries;
mod ruleset;
mod synthesize;

pub use crate::{
    differences::Difference,
    manager::{Manager, TooComplex},
    synthesize::{Beyond, Outline, Unsayable},
};

use crate::manager::NodeId;

/// The meaning of a filter, of one [`Manager`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Diagram(pub(crate) NodeId);

/// A set of calls, of one [`Manager`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Predicate(pub(crate) NodeId);
