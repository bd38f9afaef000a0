//! From a text to its statements.

use alloc::{boxed::Box, collections::BTreeMap, format, vec::Vec};
use core::cell::Cell;

use callgate_bpf::Action;
use callgate_diagnostic::{Diagnostic, Span, Spanned};
use callgate_syscalls::{Abi, errno};

use super::{
    super::{
        Reading,
        report::{self, unknown},
    },
    filter::{Entries, MOST_COMPARISONS},
    lexer::{Keyword, Lexer, Symbol, Token},
};
use crate::{Architectures, Entry, Policy, quote::quoted};

/// What Kafel does with calls that no rule takes when nobody says.
const DEFAULT: Action = Action::KillThread;

pub(super) fn read(text: &str) -> Reading {
    if let Some(reading) = report::too_long(text, "policy") {
        return reading;
    }
    let mut reader = Reader::new(text);
    reader.program();
    reader.finish()
}

/// Something was reported, and the reader has to find its way again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported;

/// What is known while a text is read.
pub(super) struct Reader<'t> {
    pub lexer: Lexer<'t>,
    pub token: Spanned<Token<'t>>,
    /// The end of the word before.
    pub before: usize,
    pub constants: BTreeMap<&'t str, Spanned<u64>>,
    policies: BTreeMap<&'t str, NamedPolicy<'t>>,
    /// What stands outside policies.
    main: Vec<Item<'t>>,
    default: Option<Spanned<Action>>,
    pub entries: Entries<'t>,
    pub budget: Cell<usize>,
}

struct NamedPolicy<'t> {
    items: Vec<Item<'t>>,
    name: Span,
    used: bool,
}

/// A statement of a policy.
pub(super) enum Item<'t> {
    Entry(Box<Entry>),
    /// `USE`.
    Use(&'t str),
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Reader<'t> {
        let mut lexer = Lexer::new(text);
        let token = lexer.next();
        Reader {
            lexer,
            token,
            before: 0,
            constants: BTreeMap::new(),
            policies: BTreeMap::new(),
            main: Vec::new(),
            default: None,
            entries: Entries::default(),
            budget: Cell::new(MOST_COMPARISONS),
        }
    }

    fn program(&mut self) {
        if self.token.value == Token::End {
            let span = self.token.span;
            self.lexer.report.error(|| {
                Diagnostic::error("kafel-syntax", "the text has no statement")
                    .at(span, "expected `POLICY`, `ALLOW`, `DEFAULT` or another")
            });
        }
        let mut main = Vec::new();
        while self.token.value != Token::End {
            if self.statement(&mut main).is_err() {
                self.skip_statement();
            }
        }
        self.main = main;
    }

    fn statement(&mut self, main: &mut Vec<Item<'t>>) -> Result<(), Reported> {
        let span = self.token.span;
        match self.token.value {
            Token::Symbol(Symbol::Hash) => self.constant(),
            Token::Include => {
                self.bump();
                self.lexer.report.error(|| {
                    Diagnostic::error("kafel-include", "other files are not read")
                        .at(span, "what stands in there is missing here")
                        .help("put the texts of the files in the place of this line")
                });
                Ok(())
            }
            Token::Keyword(Keyword::Policy) => self.policy(),
            Token::Keyword(Keyword::Default) => self.default_action(),
            token if begins_rules(&token) => {
                self.rules(main)?;
                if let Some(comma) = self.eat(Symbol::Comma)
                    && !begins_rules(&self.token.value)
                {
                    return Err(self.trailing_comma(comma));
                }
                Ok(())
            }
            _ => Err(self.no_statement("`POLICY`, `USE`, `DEFAULT`, `#define` or an action")),
        }
    }

    /// `#define NAME 1`
    fn constant(&mut self) -> Result<(), Reported> {
        self.bump();
        if self.token.value != Token::Keyword(Keyword::Define) {
            return Err(self.unexpected("`define` or `include`"));
        }
        self.bump();
        let name = self.identifier("a name for the constant")?;
        let Token::Number(value) = self.token.value else {
            return Err(self.unexpected("a number"));
        };
        let span = self.token.span;
        self.bump();
        let Some(value) = value else {
            return Ok(());
        };
        match self.constants.get(name.value) {
            Some(first) if first.value != value => {
                let first = *first;
                self.lexer.report.error(|| {
                    let message = format!("{} is defined with two values", quoted(name.value));
                    Diagnostic::error("duplicate-name", message)
                        .at(span, "Kafel refuses this one")
                        .at(first.span, "the first")
                });
            }
            _ => {
                self.constants.insert(name.value, Spanned::new(value, span));
            }
        }
        Ok(())
    }

    /// `POLICY name { … }`
    fn policy(&mut self) -> Result<(), Reported> {
        self.bump();
        let name = self.identifier("a name for the policy")?;
        let mut items = Vec::new();
        self.list(Symbol::OpenBrace, "an action or `USE`", begins_rules, |reader| {
            reader.rules(&mut items)
        })?;
        if let Some(first) = self.policies.get(name.value) {
            let first = first.name;
            self.lexer.report.error(|| {
                let message = format!("there are two policies called {}", quoted(name.value));
                Diagnostic::error("duplicate-name", message)
                    .at(name.span, "Kafel refuses this one")
                    .at(first, "the first")
            });
            return Ok(());
        }
        let policy = NamedPolicy { items, name: name.span, used: false };
        self.policies.insert(name.value, policy);
        Ok(())
    }

    /// `DEFAULT action`
    fn default_action(&mut self) -> Result<(), Reported> {
        let word = self.token.span;
        self.bump();
        let action = self.action()?;
        if let Some(first) = self.default {
            self.lexer.report.error(|| {
                Diagnostic::error("duplicate-name", "there are two default actions")
                    .at(word.to(action.span), "Kafel refuses this one")
                    .at(first.span, "the first")
            });
        } else {
            self.default = Some(action);
        }
        Ok(())
    }

    /// `USE name`, or an action and the calls that get it.
    fn rules(&mut self, items: &mut Vec<Item<'t>>) -> Result<(), Reported> {
        if self.token.value == Token::Keyword(Keyword::Use) {
            self.bump();
            let name = self.identifier("the name of a policy")?;
            match self.policies.get_mut(name.value) {
                Some(policy) => policy.used = true,
                None => self.unknown_policy(name),
            }
            items.push(Item::Use(name.value));
            return Ok(());
        }
        if !begins_rules(&self.token.value) {
            return Err(self.no_statement("an action or `USE`"));
        }
        let action = self.action()?;
        let begins = |token: &Token<'_>| {
            matches!(token, Token::Identifier(_) | Token::Keyword(Keyword::Syscall))
        };
        let from = items.len();
        self.list(Symbol::OpenBrace, "a system call", begins, |reader| {
            reader.filter(action, from, items)
        })
    }

    fn unknown_policy(&mut self, name: Spanned<&str>) {
        let Reader { lexer, policies, .. } = self;
        lexer.report.error(|| {
            let message = format!("no policy above is called {}", quoted(name.value));
            unknown(
                Diagnostic::error("unknown-policy", message),
                name.span,
                name.value,
                policies.keys().copied(),
            )
        });
    }

    /// An action, with its number.
    pub fn action(&mut self) -> Result<Spanned<Action>, Reported> {
        let span = self.token.span;
        let Token::Keyword(keyword) = self.token.value else {
            return Err(self.no_action());
        };
        let make: fn(u16) -> Action = match keyword {
            Keyword::Allow => |_| Action::Allow,
            Keyword::Log => |_| Action::Log,
            Keyword::Kill => |_| Action::KillThread,
            Keyword::KillProcess => |_| Action::KillProcess,
            Keyword::UserNotif => |_| Action::UserNotif,
            Keyword::Errno => Action::Errno,
            Keyword::Trap => Action::Trap,
            Keyword::Trace => Action::Trace,
            _ => return Err(self.no_action()),
        };
        self.bump();
        if !matches!(keyword, Keyword::Errno | Keyword::Trap | Keyword::Trace) {
            return Ok(Spanned::new(make(0), span));
        }
        if self.eat(Symbol::OpenParen).is_none() {
            return Err(self.unexpected("a number in parentheses, as in `ERRNO(1)`"));
        }
        let number = self.action_number(keyword)?;
        let Some(end) = self.eat(Symbol::CloseParen) else {
            return Err(self.unexpected("`)`"));
        };
        Ok(Spanned::new(make(number), span.to(end)))
    }

    fn action_number(&mut self, keyword: Keyword) -> Result<u16, Reported> {
        let Spanned { value: token, span } = self.token;
        let value = match token {
            Token::Number(value) => value.unwrap_or(0),
            Token::Identifier(word) => {
                self.bump();
                self.lexer.report.error(|| number_wanted(word, span));
                return Ok(0);
            }
            _ => return Err(self.unexpected("a number")),
        };
        self.bump();
        let Ok(number) = u16::try_from(value) else {
            self.lexer.report.error(|| {
                Diagnostic::error("bad-errno", format!("{value} is too large for an action"))
                    .at(span, "expected 0 to 65535")
            });
            return Ok(0);
        };
        if keyword == Keyword::Errno && number == 0 {
            self.lexer.report.warning(|| {
                Diagnostic::warning("errno-zero", "the calls don't run, and report success")
                    .at(span, "error number 0 is none")
                    .help("`ALLOW` lets a call run; a refusal needs an error number")
            });
        }
        Ok(number)
    }

    /// The policy, with every `USE` replaced by what it names.
    fn finish(mut self) -> Reading {
        let mut report = core::mem::take(&mut self.lexer.report);
        for policy in self.policies.values().filter(|policy| !policy.used) {
            report.warning(|| {
                Diagnostic::warning("unused-policy", "nothing uses this policy")
                    .at(policy.name, "its rules have no effect")
                    .help("`USE` and its name, outside of policies, puts it into force")
            });
        }
        let place = self.default.map_or(Span::default(), |default| default.span);
        let default = self.default.unwrap_or(Spanned::new(DEFAULT, place));
        let with_x32 = self.entries.names_x32 || default.value != DEFAULT;
        let x32 = Spanned::new(Abi::X32, place);
        let policy = Policy {
            dialect: None,
            default,
            architectures: if with_x32 {
                Architectures::Map(Vec::from([(
                    Spanned::new(Abi::X86_64, place),
                    Vec::from([x32]),
                )]))
            } else {
                Architectures::Native
            },
            other: DEFAULT,
            flags: Vec::new(),
            listener: None,
            entries: expand(core::mem::take(&mut self.main), &mut self.policies),
        };
        report.into_reading(Some(policy))
    }
}

/// The entries in order. Of a policy that is used twice the second use has no effect: whatever it
/// takes, the first has taken.
fn expand<'t>(
    main: Vec<Item<'t>>,
    policies: &mut BTreeMap<&'t str, NamedPolicy<'t>>,
) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut open = Vec::from([main.into_iter()]);
    while let Some(items) = open.last_mut() {
        match items.next() {
            None => {
                open.pop();
            }
            Some(Item::Entry(entry)) => entries.push(*entry),
            Some(Item::Use(name)) => {
                if let Some(policy) = policies.get_mut(name) {
                    open.push(core::mem::take(&mut policy.items).into_iter());
                }
            }
        }
    }
    entries
}

/// Whether a statement begins here.
pub(super) fn begins_statement(token: &Token<'_>) -> bool {
    begins_rules(token)
        || matches!(
            token,
            Token::Keyword(Keyword::Policy | Keyword::Default)
                | Token::Symbol(Symbol::Hash)
                | Token::Include
        )
}

/// Whether a statement of a policy begins here.
fn begins_rules(token: &Token<'_>) -> bool {
    use Keyword::{Allow, Errno, Kill, KillProcess, Log, Trace, Trap, Use, UserNotif};
    matches!(
        token,
        Token::Keyword(Use | Allow | Log | Kill | KillProcess | Errno | Trap | Trace | UserNotif)
    )
}

/// A word where an action takes digits alone.
fn number_wanted(word: &str, span: Span) -> Diagnostic {
    let message = format!("an action takes a number, not {}", quoted(word));
    let diagnostic = Diagnostic::error("kafel-syntax", message);
    match errno::number(word) {
        Some(number) => {
            let number = format!("{number}");
            diagnostic.at(span, format!("its number is {number}")).replace(span, number)
        }
        None => diagnostic.at(span, "constants have no place here, either"),
    }
}

/// Whether the first words are those of a policy: a statement, and no lone word that a text in
/// another language might begin with.
pub(super) fn detect(text: &str) -> bool {
    let mut lexer = Lexer::new(text);
    let (first, second) = (lexer.next().value, lexer.next().value);
    match first {
        Token::Include => true,
        Token::Symbol(Symbol::Hash) => second == Token::Keyword(Keyword::Define),
        Token::Keyword(Keyword::Policy | Keyword::Use) => matches!(second, Token::Identifier(_)),
        Token::Keyword(Keyword::Default) => matches!(second, Token::Keyword(_)),
        token if begins_rules(&token) => {
            matches!(second, Token::Symbol(Symbol::OpenBrace | Symbol::OpenParen))
        }
        _ => false,
    }
}
