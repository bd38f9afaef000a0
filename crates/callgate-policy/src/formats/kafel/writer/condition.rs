//! Comparisons of a call as a condition.

use alloc::{
    format,
    string::{String, ToString as _},
    vec::Vec,
};

use callgate_syscalls::{Abi, Arg, syscall};

use super::super::lexer::KEYWORDS;
use crate::{Comparison, Test, Width};

const LOW: u64 = 0xffff_ffff;

/// One thing that is asked of an argument.
#[derive(Clone, Copy)]
pub(super) enum Clause {
    Is(Comparison),
    /// That a masked comparison does not hold.
    Not(Comparison),
}

impl Clause {
    fn comparison(self) -> Comparison {
        match self {
            Clause::Is(comparison) | Clause::Not(comparison) => comparison,
        }
    }
}

/// What becomes of the comparisons of a call.
pub(super) enum Condition {
    /// They can never all hold.
    Never,
    Holds {
        /// The arguments that have to be named: `(a0, a1)`, or nothing.
        arguments: String,
        /// None when there is nothing to ask.
        text: Option<String>,
    },
}

/// The condition of clauses that must all hold.
///
/// A named argument of the kernel's prototype has its width; where a comparison is of another,
/// or the name is no identifier, the arguments get names here, and 64 bits with them.
pub(super) fn condition(abi: Abi, name: &str, by_number: bool, clauses: &[Clause]) -> Condition {
    let args = syscall(name).map_or(&[][..], |call| call.args_on(abi));
    let named = |comparison: &Comparison| {
        let arg = args.get(usize::from(comparison.arg)).filter(|_| !by_number)?;
        let wide = arg.bits == 64;
        let natural = abi.arg_bits() == 32 || wide == (comparison.width == Width::Full);
        (natural && is_usable(arg, args)).then_some(arg.name)
    };
    let by_name = clauses.iter().all(|clause| named(&clause.comparison()).is_some());
    let mut last = None;
    let mut parts: Vec<String> = Vec::new();
    for clause in clauses {
        let comparison = clause.comparison();
        let (bits, test) = comparison.on(abi.arg_bits());
        let (argument, low) = match named(&comparison).filter(|_| by_name) {
            Some(name) => (String::from(name), false),
            None => {
                last = last.max(Some(comparison.arg.get()));
                let whole = bits == 64 || abi.arg_bits() == 32;
                (format!("a{}", comparison.arg.get()), !whole)
            }
        };
        let part = match clause {
            Clause::Is(_) => part(&argument, low, bits, test),
            Clause::Not(_) => not_masked(&argument, test),
        };
        match part {
            Part::Always => {}
            Part::Never => return Condition::Never,
            Part::Text(text) if parts.contains(&text) => {}
            Part::Text(text) => parts.push(text),
        }
    }
    let arguments = match last.filter(|_| !parts.is_empty()) {
        None => String::new(),
        Some(last) => {
            let names: Vec<String> = (0..=last).map(|index| format!("a{index}")).collect();
            format!("({})", names.join(", "))
        }
    };
    let text = (!parts.is_empty()).then(|| parts.join(" && "));
    Condition::Holds { arguments, text }
}

/// Whether an argument can be named: by an identifier that no other argument has.
fn is_usable(arg: &Arg, args: &[Arg]) -> bool {
    arg.name.starts_with(|c: char| c.is_ascii_alphabetic())
        && arg.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && KEYWORDS.iter().all(|(word, _)| *word != arg.name)
        && args.iter().filter(|other| other.name == arg.name).count() == 1
}

enum Part {
    Always,
    Never,
    Text(String),
}

/// One comparison. `low` asks for the low half of an argument that has 64 bits.
fn part(argument: &str, low: bool, bits: u32, test: Test) -> Part {
    let all = if bits == 32 { LOW } else { u64::MAX };
    let cut = || if low { masked(argument, LOW) } else { String::from(argument) };
    Part::Text(match test {
        Test::MaskedEq { mask, value } if value & !mask != 0 => return Part::Never,
        Test::MaskedEq { mask: 0, .. } => return Part::Always,
        Test::MaskedEq { mask, value } if mask != all => {
            format!("{} == {}", masked(argument, mask), number(value))
        }
        Test::MaskedEq { value, .. } | Test::Eq(value) => format!("{} == {}", cut(), number(value)),
        Test::Ne(value) => format!("{} != {}", cut(), number(value)),
        Test::Lt(value) => format!("{} < {}", cut(), number(value)),
        Test::Le(value) => format!("{} <= {}", cut(), number(value)),
        Test::Ge(value) => format!("{} >= {}", cut(), number(value)),
        Test::Gt(value) => format!("{} > {}", cut(), number(value)),
    })
}

/// The opposite of a masked comparison.
fn not_masked(argument: &str, test: Test) -> Part {
    match test {
        Test::MaskedEq { mask, value } => {
            Part::Text(format!("{} != {}", masked(argument, mask), number(value)))
        }
        _ => Part::Always,
    }
}

fn masked(argument: &str, mask: u64) -> String {
    format!("({argument} & {})", number(mask))
}

/// Small numbers count something, large ones are made of bits.
fn number(value: u64) -> String {
    const SMALL: u64 = 1024;
    if value < SMALL { value.to_string() } else { format!("{value:#x}") }
}
