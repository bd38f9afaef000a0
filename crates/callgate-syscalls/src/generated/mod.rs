//! What `cargo xtask tables` writes, and the little code that gives it its types.

#[rustfmt::skip]
pub(crate) mod constants;
#[rustfmt::skip]
pub(crate) mod errno;
#[rustfmt::skip]
pub(crate) mod groups;
#[rustfmt::skip]
pub(crate) mod names;
#[rustfmt::skip]
pub(crate) mod numbers;
#[rustfmt::skip]
pub(crate) mod syscalls;

use callgate_bpf::SyscallNr;

use self::names::COUNT;
use crate::KernelVersion;
use crate::constants::ConstantSet;
use crate::names::place_of_known;
use crate::syscall::{Arg, Special, Syscall};

/// A number and the place of its name.
///
/// Names are kept in few long texts and not in lists, here and in the other tables: each entry of
/// a list of strings must be relocated when a program starts, and there are some 15,000.
pub(crate) type Entry = (SyscallNr, u16);

/// Names with a space between, and their values.
pub(crate) type Numbers = (&'static str, &'static [u64]);

/// The names and values of [`Numbers`] in pairs.
pub(crate) fn pairs(numbers: Numbers) -> impl Iterator<Item = (&'static str, u64)> + Clone {
    // An empty text is one empty word, which no value stands beside.
    numbers.0.split(' ').zip(numbers.1.iter().copied())
}

/// Whether a text of words with a space between has this one.
pub(crate) fn has_word(text: &str, word: &str) -> bool {
    text.split(' ').any(|w| w == word)
}

/// For each place in the list of names the place in one ABI's table, or [`NONE`].
pub(crate) type Index = [u16; COUNT];

/// In an ABI's index: the name that stands at this place is none of the ABI's.
pub(crate) const NONE: u16 = u16::MAX;

/// A C type: spelling, bits on a 64-bit ABI, whether a pointer, whether signed.
type Type = (&'static str, u32, bool, bool);

/// Numbers become their newtype and names their places, at compile time.
const fn entries<const N: usize>(rows: [(u32, &'static str); N]) -> [Entry; N] {
    let mut typed = [(SyscallNr(0), 0); N];
    let mut i = 0;
    while i < N {
        typed[i] = (SyscallNr(rows[i].0), place_of_known(rows[i].1));
        i += 1;
    }
    typed
}

/// The index of a table, made at compile time.
const fn index(table: &[Entry]) -> Index {
    let mut index = [NONE; COUNT];
    let mut at = 0u16;
    while (at as usize) < table.len() {
        index[table[at as usize].1 as usize] = at;
        at += 1;
    }
    index
}

/// Names and places of types become arguments.
const fn pool<const N: usize>(types: &[Type], rows: [(&'static str, usize); N]) -> [Arg; N] {
    let mut args = [Arg { name: "", c_type: "", bits: 0, pointer: false, signed: false }; N];
    let mut i = 0;
    while i < N {
        let (name, at) = rows[i];
        let (c_type, bits, pointer, signed) = types[at];
        args[i] = Arg { name, c_type, bits, pointer, signed };
        i += 1;
    }
    args
}

/// `len` arguments of the pool, from `start`.
const fn args(pool: &'static [Arg], start: usize, len: usize) -> Option<&'static [Arg]> {
    Some(pool.split_at(start).1.split_at(len).0)
}

/// No kernel source at hand implements the call.
const fn unknown() -> Option<&'static [Arg]> {
    None
}

const fn row(
    name: &'static str,
    args: Option<&'static [Arg]>,
    major: u16,
    minor: u16,
    groups: u32,
) -> Syscall {
    let since = if major == 0 { None } else { Some(KernelVersion::new(major, minor)) };
    Syscall::new(name, args, since, groups)
}

const fn special(name: &'static str, args: Option<&'static [Arg]>) -> Special {
    Special { name, args }
}

/// A set of constants as some tables have it.
pub(crate) struct Variant {
    /// The set's place.
    pub at: usize,
    /// The tables, a space between.
    pub tables: &'static str,
    pub set: ConstantSet,
}

const fn set(
    name: &'static str,
    field: u64,
    names: &'static str,
    values: &'static [u64],
) -> ConstantSet {
    ConstantSet { name, field, own: (names, values), base: None, lacks: "" }
}

const fn variant(
    at: usize,
    tables: &'static str,
    base: &'static ConstantSet,
    names: &'static str,
    values: &'static [u64],
    lacks: &'static str,
) -> Variant {
    let own = (names, values);
    let set = ConstantSet { name: base.name, field: base.field, own, base: Some(base), lacks };
    Variant { at, tables, set }
}
