//! Words one after the other: lists, what was expected, and how to go on after a mistake.

use alloc::{format, string::String};

use callgate_diagnostic::{Diagnostic, Span, Spanned};

use super::{
    super::report::{suggestion, unknown},
    lexer::{KEYWORDS, Keyword, Symbol, Token},
    reader::{Reader, Reported},
};
use crate::quote::quoted;

/// The keywords of actions as a suggestion names them.
const ACTIONS: [&str; 10] = [
    "ALLOW",
    "LOG",
    "KILL",
    "KILL_THREAD",
    "KILL_PROCESS",
    "DENY",
    "ERRNO",
    "TRAP",
    "TRACE",
    "USER_NOTIF",
];

impl<'t> Reader<'t> {
    /// Goes to the next word.
    pub fn bump(&mut self) {
        self.before = self.token.span.end;
        self.token = self.lexer.next();
    }

    /// Passes over a symbol, if it stands here; its place, then.
    pub fn eat(&mut self, symbol: Symbol) -> Option<Span> {
        let span = self.token.span;
        if self.token.value != Token::Symbol(symbol) {
            return None;
        }
        self.bump();
        Some(span)
    }

    pub fn identifier(&mut self, what: &str) -> Result<Spanned<&'t str>, Reported> {
        let span = self.token.span;
        match self.token.value {
            Token::Identifier(name) => {
                self.bump();
                Ok(Spanned::new(name, span))
            }
            Token::Keyword(_) => {
                self.lexer.report.error(|| {
                    let message = format!("expected {what}, found a word of the language");
                    Diagnostic::error("kafel-syntax", message).at(span, "no name can be this word")
                });
                Err(Reported)
            }
            _ => Err(self.unexpected(what)),
        }
    }

    /// Reads `{ item, item }` or the like. A comma that is missing or one too many is reported,
    /// and the list goes on.
    pub fn list(
        &mut self,
        open: Symbol,
        what: &str,
        begins: impl Fn(&Token<'t>) -> bool,
        mut item: impl FnMut(&mut Self) -> Result<(), Reported>,
    ) -> Result<(), Reported> {
        let (opening, close, closing) = match open {
            Symbol::OpenParen => ("`(`", Symbol::CloseParen, "`)`"),
            _ => ("`{`", Symbol::CloseBrace, "`}`"),
        };
        let Some(start) = self.eat(open) else {
            return Err(self.unexpected(opening));
        };
        loop {
            if self.eat(close).is_some() {
                return Ok(());
            }
            if self.ends_list(close) {
                self.lexer.report.error(|| {
                    Diagnostic::error("kafel-syntax", format!("{opening} is never closed"))
                        .at(start, format!("expected {closing} behind it"))
                });
                return Err(Reported);
            }
            if item(self).is_err() {
                self.skip_item();
            }
            let Spanned { value: token, span } = self.token;
            match token {
                Token::Symbol(Symbol::Comma) => {
                    self.bump();
                    if self.token.value == Token::Symbol(close) {
                        let _ = self.trailing_comma(span);
                    }
                }
                Token::Symbol(symbol) if symbol == close => {}
                _ if self.ends_list(close) => {}
                token if begins(&token) => {
                    let place = Span::new(self.before, self.before);
                    self.lexer.report.error(|| {
                        Diagnostic::error("kafel-syntax", format!("expected `,` before {what}"))
                            .at(span, "the next one begins here")
                            .replace(place, ",")
                    });
                }
                _ => {
                    let _ = self.unexpected(&format!("`,` or {closing}"));
                    self.skip_item();
                    self.eat(Symbol::Comma);
                }
            }
        }
    }

    /// Whether a list cannot go on here although it is not closed.
    fn ends_list(&self, close: Symbol) -> bool {
        match self.token.value {
            Token::End | Token::Keyword(Keyword::Policy | Keyword::Default) => true,
            Token::Symbol(symbol) => symbol == Symbol::CloseBrace && close != symbol,
            _ => false,
        }
    }

    pub fn trailing_comma(&mut self, comma: Span) -> Reported {
        self.lexer.report.error(|| {
            Diagnostic::error("kafel-syntax", "nothing follows this comma")
                .at(comma, "Kafel takes no comma at the end")
                .replace(comma, "")
        });
        Reported
    }

    /// Reports that something else was expected here.
    pub fn unexpected(&mut self, expected: &str) -> Reported {
        let Spanned { value: token, span } = self.token;
        let found = match token {
            Token::End => String::from("the end of the text"),
            _ => quoted(span.of(self.lexer.text())),
        };
        self.lexer.report.error(|| {
            Diagnostic::error("kafel-syntax", format!("expected {expected}, found {found}"))
                .at(span, "")
        });
        Reported
    }

    /// Reports a word where a statement begins.
    pub fn no_statement(&mut self, expected: &str) -> Reported {
        let Spanned { value: token, span } = self.token;
        let Token::Identifier(word) = token else {
            return self.unexpected(expected);
        };
        self.lexer.report.error(|| {
            let message = format!("expected {expected}, found {}", quoted(word));
            let diagnostic = Diagnostic::error("kafel-syntax", message);
            match crate::suggest::closest(word, KEYWORDS.iter().map(|(known, _)| *known)) {
                Some(near) => suggestion(diagnostic, span, near),
                None => diagnostic.at(span, "calls stand in the braces of an action"),
            }
        });
        Reported
    }

    pub fn no_action(&mut self) -> Reported {
        let Spanned { value: token, span } = self.token;
        let Token::Identifier(word) = token else {
            return self.unexpected("an action");
        };
        self.bump();
        self.lexer.report.error(|| {
            let message = format!("{} is not an action", quoted(word));
            unknown(Diagnostic::error("unknown-action", message), span, word, ACTIONS)
        });
        Reported
    }

    /// Passes over the rest of an item of a list.
    pub fn skip_item(&mut self) {
        let mut depth = 0_usize;
        loop {
            match self.token.value {
                Token::End => return,
                Token::Symbol(Symbol::Comma)
                | Token::Keyword(Keyword::Policy | Keyword::Default)
                    if depth == 0 =>
                {
                    return;
                }
                Token::Symbol(Symbol::OpenBrace) => depth += 1,
                Token::Symbol(Symbol::CloseBrace) if depth == 0 => return,
                Token::Symbol(Symbol::CloseBrace) => depth -= 1,
                _ => {}
            }
            self.bump();
        }
    }

    /// Passes over what stands in braces, up to the one that closes them.
    pub fn skip_braces(&mut self) {
        let mut depth = 1_usize;
        loop {
            match self.token.value {
                Token::End | Token::Keyword(Keyword::Policy | Keyword::Default) => return,
                Token::Symbol(Symbol::OpenBrace) => depth += 1,
                Token::Symbol(Symbol::CloseBrace) => depth -= 1,
                _ => {}
            }
            self.bump();
            if depth == 0 {
                return;
            }
        }
    }

    /// Passes over the rest of a statement, which is not empty.
    pub fn skip_statement(&mut self) {
        let mut depth = 0_usize;
        loop {
            self.bump();
            match self.token.value {
                Token::End | Token::Keyword(Keyword::Policy | Keyword::Default) => return,
                Token::Symbol(Symbol::OpenBrace) => depth += 1,
                Token::Symbol(Symbol::CloseBrace) if depth <= 1 => {
                    self.bump();
                    return;
                }
                Token::Symbol(Symbol::CloseBrace) => depth -= 1,
                token if depth == 0 && super::reader::begins_statement(&token) => return,
                _ => {}
            }
        }
    }
}
