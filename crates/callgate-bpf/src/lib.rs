//! Classic BPF as Linux seccomp uses it, and the words of its ABI.
//!
//! A seccomp filter is a loop-free program over 64 bytes of *context* (`struct seccomp_data`)
//! that returns one 32-bit word. This crate holds that machine and nothing of the meaning of
//! system calls: names come in through the [`Names`] trait.
//!
//! | to … | use |
//! |---|---|
//! | name a verdict, an architecture, a number | [`Action`], [`RawAction`], [`Architecture`], [`SyscallNr`] |
//! | describe what a filter reads | [`SeccompData`], [`Layout`], [`ByteOrder`] |
//! | hold instructions | [`Instruction`], [`Op`] |
//! | hold a program that the kernel would accept | [`Program`], made by [`Program::new`] alone |
//! | run a program as the kernel runs it | [`Program::run`] |
//! | ask what the kernel charges for a program | [`Program::path_cost`] |
//! | ask which calls the kernel will not even run the program for | [`Program::always_allows`] |
//! | run all filters of a thread | [`Stack`] |
//! | read and write text | [`asm`], [`disasm`] |
//! | see which ways lead through a program | [`graph`] |
//!
//! Feature `testing` adds the module `generate`: random programs and inputs, for tests.
//!
//! No unsafe code, no dependency, no floating point, no I/O; allocation for instructions, texts
//! and paths.
//!
//! The rules come from `kernel/seccomp.c` and `net/core/filter.c` of Linux, and are tested
//! against the running kernel in `callgate-kernel`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod action;
mod architecture;
pub mod asm;
mod cache;
mod context;
mod cost;
pub mod disasm;
#[cfg(any(test, feature = "testing"))]
pub mod generate;
pub mod graph;
mod instruction;
mod interpret;
mod invalid;
mod knowledge;
mod names;
mod program;
mod stack;
mod validate;

pub use crate::action::{Action, RawAction};
pub use crate::architecture::{Architecture, SyscallNr};
pub use crate::context::{ByteOrder, Field, Layout, SeccompData};
pub use crate::cost::{ATTACHED_PENALTY, PATH_BUDGET};
pub use crate::instruction::{AluOp, Condition, Instruction, Op, Operand};
pub use crate::interpret::{Ended, ShiftRule, Traced};
pub use crate::invalid::Invalid;
pub use crate::names::{Names, NoNames};
pub use crate::program::{MAX_INSTRUCTIONS, Program, SCRATCH_WORDS};
pub use crate::stack::{Decision, Stack};
