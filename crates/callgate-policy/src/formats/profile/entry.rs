//! One element of `syscalls`.

use alloc::{format, string::String, vec::Vec};

use callgate_bpf::Action;
use callgate_diagnostic::{Diagnostic, Span, Spanned};

use crate::{ArgIndex, Comparison, Condition, Dialect, Entry, Test, json::Value, quote::quoted};

use super::{
    super::report::{suggestion, unknown},
    dialect::first_byte,
    fields::{Fields, Member},
    reader::Reader,
    words,
};

impl Reader {
    /// Reads an entry; none when nothing can be made of it.
    pub fn entry(&mut self, entry: Value<'_>) -> Option<Entry> {
        let fields = Fields::of(entry, &words::ENTRY, self.dialect, &mut self.report);
        let names = self.names(entry, &fields);
        let action = self.entry_action(entry, &fields);
        let comparisons = fields.get("args").map_or_else(Vec::new, |args| {
            args.value.elements().filter_map(|argument| self.argument(argument)).collect()
        });
        let comment = fields.get("comment").map(|comment| comment.text().value.into_owned());
        let mut entry = Entry {
            names,
            abis: Vec::new(),
            // The conditions are read even if the action is not, for what is wrong in them.
            action: action.unwrap_or(Spanned::new(Action::Allow, entry.span())),
            comparisons,
            includes: Condition::default(),
            excludes: Condition::default(),
            comment: comment.filter(|comment| !comment.is_empty()),
            span: entry.span(),
        };
        self.conditions(&fields, action.map(|action| action.value), &mut entry);
        if action.is_none() {
            // The text is refused; its names can be looked at all the same.
            entry.action.value = self.default?;
            return Some(entry);
        }
        if entry.action.value == Action::UserNotif {
            self.notified.get_or_insert(entry.action.span);
            self.notify_write(&entry);
        }
        Some(entry)
    }

    fn names(&mut self, entry: Value<'_>, fields: &Fields<'_>) -> Vec<Spanned<String>> {
        let list = fields.get("names");
        let mut names = list.map_or_else(Vec::new, |list| self.name_list(list));
        let name = fields
            .get("name")
            .filter(|name| name.value.as_str().is_some_and(|name| !name.is_empty()));
        if let Some(name) = name {
            if self.dialect == Dialect::Oci {
                let missed = quoted(&name.text().value);
                self.dropped(name, &format!("so the entry doesn't cover {missed}"));
                return names;
            }
            if !names.is_empty() {
                self.report.error(|| {
                    Diagnostic::error("name-and-names", "`name` and `names` can't stand together")
                        .at(name.key_span(), "move it into `names`")
                        .at(list.map_or(entry.span(), Member::key_span), "the other")
                        .help("Docker and Podman refuse the whole profile")
                });
            }
            let Spanned { value, span } = name.text();
            names.push(Spanned::new(value.into_owned(), span));
        }
        let broken = fields.is_broken("names") || fields.is_broken("name");
        if names.is_empty() && !broken {
            self.report.warning(|| {
                let key = list.map_or(first_byte(entry), Member::key_span);
                let diagnostic = Diagnostic::warning("no-names", "the entry names no system call")
                    .at(key, "has no effect");
                match list {
                    Some(_) => diagnostic,
                    None => diagnostic.help("crun refuses an entry without `names`"),
                }
            });
        }
        names
    }

    fn name_list(&mut self, list: Member<'_>) -> Vec<Spanned<String>> {
        let mut names = Vec::new();
        for Spanned { value, span } in list.texts() {
            if value.is_empty() {
                // The quotes, since there is nothing between them.
                let span = Span::new(span.start - 1, span.end + 1);
                self.report.error(|| {
                    Diagnostic::error("empty-name", "a system call has an empty name")
                        .at(span, "a runtime refuses this")
                });
            }
            names.push(Spanned::new(value.into_owned(), span));
        }
        names
    }

    fn entry_action(&mut self, entry: Value<'_>, fields: &Fields<'_>) -> Option<Spanned<Action>> {
        let Some(word) = fields.get("action") else {
            if !fields.is_broken("action") {
                self.missing("action", entry);
            }
            return None;
        };
        let action = self.action(word)?;
        self.with_errno(action, fields.get("errnoRet"), fields.get("errno"))
    }

    fn argument(&mut self, argument: Value<'_>) -> Option<Spanned<Comparison>> {
        let fields = Fields::of(argument, &words::ARGUMENT, self.dialect, &mut self.report);
        let number = |name: &str| fields.get(name).and_then(Member::number);
        let index = number("index");
        let arg = match index {
            Some(Spanned { value, span }) => {
                let arg = u8::try_from(value).ok().and_then(ArgIndex::new);
                if arg.is_none() {
                    self.report.error(|| {
                        Diagnostic::error(
                            "bad-index",
                            format!("a system call has no argument {value}"),
                        )
                        .at(span, "expected 0 to 5")
                    });
                }
                arg
            }
            None => {
                if !fields.is_broken("index") {
                    self.report.warning(|| {
                        Diagnostic::warning("missing-key", "`index` is missing; it counts as 0")
                            .at(first_byte(argument), "of which argument?")
                    });
                }
                ArgIndex::new(0)
            }
        };
        let make = match fields.get("op") {
            Some(op) => self.operator(op),
            None => {
                if !fields.is_broken("op") {
                    self.missing("op", argument);
                }
                None
            }
        };
        let value = number("value").map_or(0, |value| value.value);
        let second = fields.get("valueTwo");
        let test = make?(value, second.and_then(Member::number).map_or(0, |value| value.value));
        if let Some(second) = second
            && second.number().is_some_and(|value| value.value != 0)
            && !matches!(test, Test::MaskedEq { .. })
        {
            self.report.warning(|| {
                Diagnostic::warning(
                    "no-effect",
                    format!("`valueTwo` has no effect on `{}`", words::operator(test).0),
                )
                .at(second.key_span(), "only `SCMP_CMP_MASKED_EQ` takes a second value")
            });
        }
        Some(Spanned::new(Comparison::full(arg?, test), argument.span()))
    }

    fn operator(&mut self, op: Member<'_>) -> Option<words::MakeTest> {
        let Spanned { value: word, span } = op.text();
        if let Some((_, make)) = words::OPERATORS.iter().find(|(known, _)| *known == word) {
            return Some(*make);
        }
        self.report.error(|| {
            let message = format!("{} is not an operator", quoted(&word));
            let diagnostic = Diagnostic::error("unknown-operator", message);
            match words::SYMBOLS.iter().find(|(symbol, _)| *symbol == word) {
                Some((_, meant)) => suggestion(diagnostic, span, meant),
                None => unknown(diagnostic, span, &word, words::OPERATORS.map(|(known, _)| known)),
            }
        });
        None
    }

    fn notify_write(&mut self, entry: &Entry) {
        let Some(write) = entry.names.iter().find(|name| name.value == "write") else {
            return;
        };
        self.report.error(|| {
            Diagnostic::error("notify-write", "`write` can't be handed to a supervisor")
                .at(write.span, "runc refuses this")
                .at(entry.action.span, "this action")
                .help(
                    "runc writes the descriptor's number to its parent after loading the filter, \
                     and would wait for the supervisor that is to get it",
                )
        });
    }
}
