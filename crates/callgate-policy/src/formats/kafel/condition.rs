//! What the condition of a call comes to.

use alloc::{format, vec::Vec};

use callgate_diagnostic::{Diagnostic, Spanned};
use callgate_syscalls::{Abi, syscall};

use super::{
    super::report::unknown,
    alternatives::{self, Conjunction, MOST_ALTERNATIVES, Place, Trouble},
    expression::Expression,
    filter::{Call, Filter},
    reader::Reader,
    value::{Side, Unsayable},
};
use crate::{ArgIndex, quote::quoted};

/// A name, the ABIs that have it, and the conjunctions of which one must hold there.
pub(super) type Alternatives = (&'static str, Vec<Abi>, Vec<Conjunction>);

/// Where an argument lies, and whether Kafel compares 64 bits of it.
type Location = (ArgIndex, bool);

impl<'t> Reader<'t> {
    /// What a condition comes to: for each name the ABIs on which it comes to the same, and the
    /// conjunctions. None when it was reported.
    pub fn conditional(
        &mut self,
        filter: &Filter<'t>,
        condition: &Expression<'t>,
        calls: &[(Abi, &'static str)],
    ) -> Option<Vec<Alternatives>> {
        let mut constant = false;
        for comparison in condition.constants() {
            constant = true;
            self.lexer.report.warning(|| {
                let says = if comparison.value { "always" } else { "never" };
                let message = format!("the two numbers are constant, so this {says} holds");
                Diagnostic::warning("constant-condition", message)
                    .at(comparison.span, "no argument takes part")
                    .help("a constant goes before an argument of the same name")
            });
        }
        let written: Vec<Spanned<&str>> = condition.names().collect();
        let locate = |(abi, name): (Abi, &str)| -> Vec<Option<Location>> {
            written.iter().map(|word| location(filter, abi, name, word.value)).collect()
        };
        let located: Vec<_> = calls.iter().map(|call| locate(*call)).collect();
        let mut missing = Vec::new();
        for at in 0..written.len() {
            if located.iter().all(|locations| locations[at].is_none()) {
                missing.push(written[at]);
            }
        }
        for word in &missing {
            self.unknown_argument(*word, filter, calls);
        }
        if !missing.is_empty() {
            return None;
        }
        // Each way to lay the arguments out is looked at once.
        type Way = (&'static str, u32, Vec<Option<Location>>, Vec<Abi>);
        let mut ways: Vec<Way> = Vec::new();
        for (&(abi, name), locations) in calls.iter().zip(located) {
            if locations.iter().any(Option::is_none) {
                continue;
            }
            let bits = abi.arg_bits();
            let same =
                ways.iter_mut().find(|way| (way.0, way.1, &way.2) == (name, bits, &locations));
            match same {
                Some(way) => way.3.push(abi),
                None => ways.push((name, bits, locations, Vec::from([abi]))),
            }
        }
        let mut all: Vec<Alternatives> = Vec::new();
        for (name, bits, locations, abis) in ways {
            let sides = |word: &str| {
                let at = written.iter().position(|known| known.value == word);
                let (index, wide) = at.and_then(|at| locations[at]).expect("all are located");
                Side::argument(index, wide)
            };
            let place = Place { bits, sides: &sides, budget: &self.budget };
            let conjunctions = match alternatives::alternatives(condition, &place) {
                Ok(conjunctions) => conjunctions,
                Err(trouble) => {
                    let spent = self.budget.get() == 0;
                    self.lexer.report.error(|| trouble.diagnostic(spent));
                    return None;
                }
            };
            match all.iter_mut().find(|one| one.0 == name && one.2 == conjunctions) {
                Some(one) => one.1.extend(abis),
                None => all.push((name, abis, conjunctions)),
            }
        }
        if !constant && all.iter().all(|(_, _, conjunctions)| conjunctions.is_empty()) {
            let span = condition.node(condition.root).span;
            self.lexer.report.warning(|| {
                Diagnostic::warning("constant-condition", "the condition never holds")
                    .at(span, "the rule has no effect")
            });
        }
        Some(all)
    }

    fn unknown_argument(
        &mut self,
        word: Spanned<&str>,
        filter: &Filter<'t>,
        calls: &[(Abi, &'static str)],
    ) {
        self.lexer.report.error(|| {
            let message = format!("{} is neither an argument nor a constant", quoted(word.value));
            let diagnostic = Diagnostic::error("unknown-argument", message);
            let known: Vec<&str> = match (&filter.arguments, &filter.call.value) {
                (Some(arguments), _) => arguments.iter().map(|argument| argument.value).collect(),
                (None, Call::Number(_)) => Vec::new(),
                (None, Call::Name(_)) => {
                    let args = syscall(calls[0].1).map_or(&[][..], |call| call.args_on(calls[0].0));
                    args.iter().map(|arg| arg.name).collect()
                }
            };
            match (known.is_empty(), &filter.call.value) {
                (true, Call::Number(_)) => diagnostic
                    .at(word.span, "a call by number has no names for its arguments")
                    .help("name them, as in `SYSCALL[39](first, second) { first == 1 }`"),
                (true, Call::Name(_)) => diagnostic.at(word.span, "this call has no arguments"),
                _ => unknown(diagnostic, word.span, word.value, known.iter().copied()),
            }
        });
    }
}

/// Where an argument of a call lies on an ABI.
fn location(filter: &Filter<'_>, abi: Abi, name: &str, word: &str) -> Option<Location> {
    if let Some(arguments) = &filter.arguments {
        let at = arguments.iter().position(|argument| argument.value == word)?;
        return Some((*ArgIndex::ALL.get(at)?, true));
    }
    if matches!(filter.call.value, Call::Number(_)) {
        return None;
    }
    let call = syscall(name)?;
    let find = |args: &[callgate_syscalls::Arg]| {
        let at = args.iter().position(|arg| arg.name == word)?;
        Some((*ArgIndex::ALL.get(at)?, args[at].bits == 64))
    };
    find(call.args_on(abi)).or_else(|| find(call.args))
}

impl Trouble {
    /// `spent` says whether the conditions before have left nothing.
    fn diagnostic(self, spent: bool) -> Diagnostic {
        match self {
            Trouble::Unsayable(Unsayable::TwoArguments, span) => {
                Diagnostic::error("two-arguments", "an argument is compared with another")
                    .at(span, "rules here compare an argument with numbers")
                    .help("Kafel can; write the values that are meant, each in a rule of its own")
            }
            Trouble::Unsayable(Unsayable::OrderWithItself, span) => {
                Diagnostic::error("two-arguments", "an argument is ordered against itself")
                    .at(span, "rules here compare an argument with numbers")
            }
            Trouble::TooMany(span) if spent => {
                Diagnostic::error("too-many-rules", "the conditions come to too many rules")
                    .at(span, "with those before it, more than any program can hold")
            }
            Trouble::TooMany(span) => {
                let message =
                    format!("the condition comes to more than {MOST_ALTERNATIVES} alternatives");
                Diagnostic::error("too-many-alternatives", message)
                    .at(span, "each is a rule of its own")
                    .help("`(x & MASK) != 0` comes to one for each bit of the mask; ask for equality instead")
            }
        }
    }
}
