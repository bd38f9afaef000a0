//! Rules on arguments as decisions on words.
//!
//! Rules are conjunctions over 64-bit arguments, asked in order. What they come to is a function of
//! 32-bit words, and that is decided word by word: the values of a word fall into ranges on which
//! the same rules are left, a *residue*, with the conditions on that word gone. Equal residues are
//! one. So a condition that all rules share is asked once, nothing is asked that is known, and a
//! list of values of one word is a search tree.
//!
//! Which word is asked first is tried out, all orders where there are few, and judged by
//! instructions executed and by size.

mod atom;
mod cubes;
mod partition;
mod residue;
mod search;

pub(crate) use self::{residue::Residue, search::Search};
