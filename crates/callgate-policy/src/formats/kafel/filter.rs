//! One system call of an action: which call it is on each ABI, and under which condition.

use alloc::{boxed::Box, collections::BTreeMap, format, rc::Rc, string::String, vec::Vec};

use callgate_bpf::{Action, SyscallNr};
use callgate_diagnostic::{Diagnostic, Span, Spanned};
use callgate_syscalls::{Abi, syscall};

use super::{
    super::report::{suggestion, unknown},
    alternatives::{self, Conjunction, MOST_ALTERNATIVES, Place, Trouble},
    expression::Expression,
    lexer::{Keyword, Symbol, Token},
    names,
    reader::{Item, Reader, Reported},
    value::{Side, Unsayable},
};
use crate::{ArgIndex, Condition, Entry, quote::quoted, suggest};

/// Comparisons that a text may come to, and those made on the way.
pub(super) const MOST_COMPARISONS: usize = 1 << 22;

/// Entries that a text may come to. No program would hold a tenth of them.
const MOST_ENTRIES: usize = 1 << 16;

/// What the entries of a text come to so far.
#[derive(Default)]
pub(super) struct Entries<'t> {
    calls: BTreeMap<&'t str, Rc<Calls>>,
    count: usize,
    /// Whether a number of x32 is named.
    pub names_x32: bool,
}

/// What a name stands for.
struct Calls {
    on: Vec<(Abi, &'static str)>,
    /// What Kafel calls it, where the text has the name of `unistd.h` instead.
    kafel: Option<String>,
}

/// A call as it is written.
enum Call<'t> {
    Name(&'t str),
    Number(u64),
}

struct Filter<'t> {
    call: Spanned<Call<'t>>,
    arguments: Option<Vec<Spanned<&'t str>>>,
    guard: Option<Vec<Abi>>,
    condition: Option<Expression<'t>>,
}

/// Where an argument lies, and whether Kafel compares 64 bits of it.
type Location = (ArgIndex, bool);

impl<'t> Reader<'t> {
    /// Reads a call, and adds its entries to the items; those from `from` on are of the same
    /// action.
    pub fn filter(
        &mut self,
        action: Spanned<Action>,
        from: usize,
        items: &mut Vec<Item<'t>>,
    ) -> Result<(), Reported> {
        let start = self.token.span.start;
        let call = self.call()?;
        let mut filter = Filter { call, arguments: None, guard: None, condition: None };
        if self.token.value == Token::Symbol(Symbol::OpenParen) {
            filter.arguments = Some(self.arguments()?);
        }
        let mut braces = false;
        loop {
            match self.token.value {
                Token::Keyword(Keyword::On) if filter.guard.is_none() => {
                    filter.guard = Some(self.guard()?);
                }
                Token::Symbol(Symbol::OpenBrace) if !braces => {
                    braces = true;
                    filter.condition = self.braces()?;
                }
                _ => break,
            }
        }
        self.emit(&filter, Span::new(start, self.before), action, from, items);
        Ok(())
    }

    fn call(&mut self) -> Result<Spanned<Call<'t>>, Reported> {
        let Spanned { value: token, span } = self.token;
        match token {
            Token::Identifier(word) => {
                self.bump();
                Ok(match self.constants.get(word) {
                    Some(constant) => Spanned::new(Call::Number(constant.value), span),
                    None => Spanned::new(Call::Name(word), span),
                })
            }
            Token::Keyword(Keyword::Syscall) => {
                self.bump();
                if self.eat(Symbol::OpenBracket).is_none() {
                    return Err(self.unexpected("a number in brackets, as in `SYSCALL[39]`"));
                }
                let Token::Number(number) = self.token.value else {
                    return Err(self.unexpected("a number"));
                };
                self.bump();
                let Some(end) = self.eat(Symbol::CloseBracket) else {
                    return Err(self.unexpected("`]`"));
                };
                let number = number.ok_or(Reported)?;
                Ok(Spanned::new(Call::Number(number), span.to(end)))
            }
            _ => Err(self.unexpected("a system call")),
        }
    }

    /// `(fd, buf, count)`
    fn arguments(&mut self) -> Result<Vec<Spanned<&'t str>>, Reported> {
        let mut arguments: Vec<Spanned<&str>> = Vec::new();
        let begins = |token: &Token<'_>| matches!(token, Token::Identifier(_));
        self.list(Symbol::OpenParen, "an argument", begins, |reader| {
            let name = reader.identifier("a name for the argument")?;
            let report = &mut reader.lexer.report;
            if let Some(first) = arguments.iter().find(|known| known.value == name.value) {
                report.error(|| {
                    let message = format!("two arguments are called {}", quoted(name.value));
                    Diagnostic::error("duplicate-name", message)
                        .at(name.span, "Kafel refuses this one")
                        .at(first.span, "the first")
                });
            } else if arguments.len() == ArgIndex::ALL.len() {
                report.error(|| {
                    Diagnostic::error("kafel-syntax", "a system call has six arguments at most")
                        .at(name.span, "this one is too many")
                });
            } else {
                arguments.push(name);
            }
            Ok(())
        })?;
        Ok(arguments)
    }

    /// `ON x86_64` or `ON { x86_64, aarch64 }`
    fn guard(&mut self) -> Result<Vec<Abi>, Reported> {
        self.bump();
        let mut abis = Vec::new();
        let mut architecture = |reader: &mut Reader<'t>| {
            let word = reader.identifier("an architecture")?;
            match names::architecture(word.value) {
                Some(abi) => abis.push(abi),
                None => reader.lexer.report.error(|| {
                    let message = format!("Kafel has no architecture {}", quoted(word.value));
                    let known = names::ARCHITECTURES.map(|(_, words)| words[0]);
                    let diagnostic = Diagnostic::error("unknown-architecture", message);
                    unknown(diagnostic, word.span, word.value, known)
                }),
            }
            Ok(())
        };
        if self.token.value == Token::Symbol(Symbol::OpenBrace) {
            let begins = |token: &Token<'_>| matches!(token, Token::Identifier(_));
            self.list(Symbol::OpenBrace, "an architecture", begins, architecture)?;
        } else {
            architecture(self)?;
        }
        Ok(abis)
    }

    /// A condition in braces; none when they are empty.
    fn braces(&mut self) -> Result<Option<Expression<'t>>, Reported> {
        self.bump();
        if self.eat(Symbol::CloseBrace).is_some() {
            return Ok(None);
        }
        match self.expression() {
            Ok(expression) => {
                self.eat(Symbol::CloseBrace);
                Ok(Some(expression))
            }
            Err(Reported) => {
                self.skip_braces();
                Err(Reported)
            }
        }
    }

    fn emit(
        &mut self,
        filter: &Filter<'t>,
        span: Span,
        action: Spanned<Action>,
        from: usize,
        items: &mut Vec<Item<'t>>,
    ) {
        let mut calls = match filter.call.value {
            Call::Name(name) => self.named(name, filter),
            Call::Number(number) => self.numbered(number, filter),
        };
        if calls.is_empty() {
            return;
        }
        let alternatives = match &filter.condition {
            None => {
                calls.sort_by_key(|(_, name)| *name);
                by_name(&calls)
            }
            Some(condition) => match self.conditional(filter, condition, &calls) {
                Some(alternatives) => alternatives,
                None => return,
            },
        };
        for (name, abis, conjunctions) in alternatives {
            let abis = widened(name, abis);
            for comparisons in conjunctions {
                let name = Spanned::new(String::from(name), filter.call.span);
                if comparisons.is_empty()
                    && let [.., Item::Entry(last)] = &mut items[from..]
                    && last.comparisons.is_empty()
                    && last.abis == abis
                {
                    last.names.push(name);
                    last.span = last.span.to(span);
                    continue;
                }
                if !self.has_room(span) {
                    return;
                }
                items.push(Item::Entry(Box::new(Entry {
                    names: Vec::from([name]),
                    abis: abis.clone(),
                    action,
                    comparisons,
                    includes: Condition::default(),
                    excludes: Condition::default(),
                    comment: None,
                    span,
                })));
            }
        }
    }

    /// Counts an entry, if there may be one more.
    fn has_room(&mut self, span: Span) -> bool {
        self.entries.count += 1;
        if self.entries.count == MOST_ENTRIES {
            self.lexer.report.error(|| {
                Diagnostic::error("too-many-rules", "the policy has too many rules")
                    .at(span, "the 65,535 before it are more than any program can hold")
            });
        }
        self.entries.count < MOST_ENTRIES
    }

    /// The calls of a name, x32's left out: Kafel knows no names for them.
    fn named(&mut self, name: &'t str, filter: &Filter<'t>) -> Vec<(Abi, &'static str)> {
        let calls = self.entries.calls.entry(name).or_insert_with(|| Rc::new(Calls::of(name)));
        let calls = Rc::clone(calls);
        let report = &mut self.lexer.report;
        let span = filter.call.span;
        if calls.on.is_empty() {
            report.error(|| {
                let message = format!("no architecture has a syscall {}", quoted(name));
                let known: Vec<String> = names::all().collect();
                let diagnostic = Diagnostic::error("unknown-syscall", message);
                match suggest::closest(name, known.iter().map(String::as_str)) {
                    Some(near) => suggestion(diagnostic, span, near),
                    None => diagnostic.at(span, "Kafel refuses the policy"),
                }
            });
        }
        if let Some(kafel) = &calls.kafel {
            report.warning(|| {
                let message = format!("Kafel calls {} `{kafel}`", quoted(name));
                Diagnostic::warning("kafel-name", message)
                    .at(span, "Kafel refuses this name where its tables lack it")
                    .help("Kafel's names are those of the kernel's functions")
                    .replace(span, kafel.as_str())
            });
        }
        let on: Vec<_> = match &filter.guard {
            None => calls.on.clone(),
            Some(guard) => {
                calls.on.iter().copied().filter(|(abi, _)| guard.contains(abi)).collect()
            }
        };
        if on.is_empty()
            && !calls.on.is_empty()
            && filter.guard.as_ref().is_some_and(|g| !g.is_empty())
        {
            report.error(|| {
                let message =
                    format!("the architectures named here have no syscall {}", quoted(name));
                Diagnostic::error("unknown-syscall", message).at(span, "Kafel refuses the policy")
            });
        }
        on
    }

    /// The calls that have a number on Kafel's architectures; x32's are among x86_64's.
    fn numbered(&mut self, number: u64, filter: &Filter<'t>) -> Vec<(Abi, &'static str)> {
        let span = filter.call.span;
        // A negative number is the 32-bit word that the kernel shows for it.
        let negative = number > u64::MAX - u64::from(u32::MAX);
        let word = if negative { number & u64::from(u32::MAX) } else { number };
        let Ok(nr) = u32::try_from(word).map(SyscallNr) else {
            self.lexer.report.error(|| {
                Diagnostic::error("unnamed-call", format!("{number} is no system call number"))
                    .at(span, "a number has 32 bits; Kafel cuts off the rest")
            });
            return Vec::new();
        };
        let mut calls = Vec::new();
        let mut without = Vec::new();
        for (abi, _) in names::ARCHITECTURES {
            if filter.guard.as_ref().is_some_and(|guard| !guard.contains(&abi)) {
                continue;
            }
            let x32 = abi == Abi::X86_64 && nr.0 & SyscallNr::X32_BIT != 0;
            let abi = if x32 { Abi::X32 } else { abi };
            match abi.name_of(nr) {
                Some(name) => {
                    calls.push((abi, name));
                    self.entries.names_x32 |= x32;
                }
                // mips counts from 4000 and 5000 on.
                None if abi.syscalls().next().is_some_and(|(first, _)| nr < first) => {}
                None => without.push(abi.name()),
            }
        }
        if calls.is_empty() {
            self.lexer.report.error(|| {
                Diagnostic::error("unnamed-call", format!("no system call has the number {nr}"))
                    .at(span, "rules are kept by name here, and this one has none")
            });
        } else if !without.is_empty() {
            self.lexer.report.warning(|| {
                let message =
                    format!("no system call of {} has the number {nr}", without.join(", "));
                Diagnostic::warning("unnamed-call", message)
                    .at(span, "the rule is left out there")
                    .help("an `ON` guard says for which architectures a number is meant")
            });
        }
        calls
    }

    /// What a condition comes to: for each name the ABIs on which it comes to the same, and the
    /// conjunctions. None when it was reported.
    fn conditional(
        &mut self,
        filter: &Filter<'t>,
        condition: &Expression<'t>,
        calls: &[(Abi, &'static str)],
    ) -> Option<Vec<Alternatives>> {
        for constant in condition.constants() {
            self.lexer.report.warning(|| {
                let says = if constant.value { "always" } else { "never" };
                let message = format!("the two numbers are constant, so this {says} holds");
                Diagnostic::warning("constant-condition", message)
                    .at(constant.span, "no argument takes part")
                    .help("a constant goes before an argument of the same name")
            });
        }
        let mut written: Vec<Spanned<&str>> = condition.names().collect();
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
        written.clear();
        if all.iter().all(|(_, _, conjunctions)| conjunctions.is_empty()) {
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

/// A name, the ABIs that have it, and the conjunctions of which one must hold there.
type Alternatives = (&'static str, Vec<Abi>, Vec<Conjunction>);

/// The calls without a condition, the same names together.
fn by_name(calls: &[(Abi, &'static str)]) -> Vec<Alternatives> {
    calls
        .chunk_by(|a, b| a.1 == b.1)
        .map(|same| {
            let abis = same.iter().map(|(abi, _)| *abi).collect();
            (same[0].1, abis, Vec::from([Conjunction::new()]))
        })
        .collect()
}

/// All ABIs but x32 instead of those that have a name, if they are all: entries of different
/// names then have the same.
fn widened(name: &str, mut abis: Vec<Abi>) -> Vec<Abi> {
    let others = || Abi::ALL.iter().copied().filter(|abi| *abi != Abi::X32);
    if others().all(|abi| abi.number(name).is_none() || abis.contains(&abi)) {
        return others().collect();
    }
    abis.sort();
    abis
}

/// Those of Kafel's architectures on which it has a call of this name.
pub(super) fn targets_of(name: &str) -> Vec<Abi> {
    let on = Calls::of(name).on;
    let targets = names::ARCHITECTURES.iter().map(|(abi, _)| *abi);
    targets.filter(|abi| on.iter().any(|(known, _)| known == abi)).collect()
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

impl Calls {
    fn of(name: &str) -> Calls {
        let mut on = Vec::new();
        let mut exact = false;
        let mut elsewhere = None;
        for abi in Abi::ALL.iter().copied().filter(|abi| *abi != Abi::X32) {
            if let Some(call) = names::call(abi, name) {
                exact = true;
                on.push((abi, call));
            } else if let Some(known) =
                syscall(name).filter(|known| abi.number(known.name).is_some())
            {
                on.push((abi, known.name));
                if abi == Abi::X86_64 || elsewhere.is_none() {
                    elsewhere = Some((abi, names::kafel_name(abi, known.name)));
                }
            }
        }
        // Where x86_64 has it under the name given, the name is right for most.
        let kafel = elsewhere.filter(|(abi, _)| !exact || *abi == Abi::X86_64);
        Calls { on, kafel: kafel.map(|(_, kafel)| kafel) }
    }
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
