//! One system call of an action: how it is written, and the entries that it comes to.

use alloc::{boxed::Box, collections::BTreeMap, format, rc::Rc, string::String, vec::Vec};

use callgate_bpf::Action;
use callgate_diagnostic::{Diagnostic, Span, Spanned};
use callgate_syscalls::Abi;

use super::{
    super::report::unknown,
    alternatives::Conjunction,
    calls::Calls,
    condition::Alternatives,
    expression::Expression,
    lexer::{Keyword, Symbol, Token},
    names,
    reader::{Item, Reader, Reported},
};
use crate::{ArgIndex, Condition, Entry, quote::quoted};

/// Comparisons that a text may come to, and those made on the way.
pub(super) const MOST_COMPARISONS: usize = 1 << 22;

/// Entries that a text may come to. No program would hold a tenth of them.
const MOST_ENTRIES: usize = 1 << 16;

/// What the entries of a text come to so far.
#[derive(Default)]
pub(super) struct Entries<'t> {
    pub calls: BTreeMap<&'t str, Rc<Calls>>,
    count: usize,
    /// Whether a number of x32 is named.
    pub names_x32: bool,
}

/// A call as it is written.
pub(super) enum Call<'t> {
    Name(&'t str),
    Number(u64),
}

pub(super) struct Filter<'t> {
    pub call: Spanned<Call<'t>>,
    pub arguments: Option<Vec<Spanned<&'t str>>>,
    pub guard: Option<Vec<Abi>>,
    condition: Option<Expression<'t>>,
}

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
}

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
