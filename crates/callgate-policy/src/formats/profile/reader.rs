//! From a text to a policy.

use alloc::{format, string::String, vec::Vec};

use callgate_bpf::Action;
use callgate_diagnostic::{Diagnostic, Span, Spanned};
use callgate_syscalls::Abi;

use crate::{
    Architectures, Dialect, FilterFlag, Listener, Policy,
    json::{self, Value},
    quote::quoted,
};

use super::{
    super::{
        Reading,
        report::{Report, suggestion, unknown},
    },
    dialect::{self, Located, first_byte},
    errno::DEFAULT_ERRNO,
    fields::{Fields, Member},
    words,
};

pub(super) fn read(text: &str, stated: Option<Dialect>) -> Reading {
    let document = match json::parse(text) {
        Ok(document) => document,
        Err(error) => {
            return unreadable(stated, Vec::from([error]));
        }
    };
    let mut report = Report::default();
    let Some(Located { profile, dialect }) = dialect::locate(document.root(), stated, &mut report)
    else {
        return unreadable(stated, report.into_diagnostics());
    };
    let mut reader = Reader { dialect, report, default: None, notified: None };
    let policy = reader.profile(profile);
    let (policy, salvaged) =
        if reader.report.has_errors() { (None, policy) } else { (policy, None) };
    Reading {
        policy,
        salvaged,
        dialect: Some(dialect),
        diagnostics: reader.report.into_diagnostics(),
    }
}

fn unreadable(dialect: Option<Dialect>, diagnostics: Vec<Diagnostic>) -> Reading {
    Reading { policy: None, salvaged: None, dialect, diagnostics }
}

/// What is known while a profile is read.
pub(super) struct Reader {
    pub dialect: Dialect,
    pub report: Report,
    /// The default action, once it was read.
    pub default: Option<Action>,
    /// Where an entry first asks a supervisor.
    pub notified: Option<Span>,
}

impl Reader {
    fn profile(&mut self, profile: Value<'_>) -> Option<Policy> {
        let fields = Fields::of(profile, &words::PROFILE, self.dialect, &mut self.report);
        let default = self.default_action(profile, &fields);
        self.default = default.map(|default| default.value);
        let architectures = self.architectures(&fields);
        let flags = self.flags(&fields);
        let entries = fields.get("syscalls").map_or_else(Vec::new, |syscalls| {
            syscalls.value.elements().filter_map(|entry| self.entry(entry)).collect()
        });
        let listener = self.listener(&fields);
        Some(Policy {
            dialect: Some(self.dialect),
            default: default?,
            architectures,
            other: Policy::CONTAINER_OTHER,
            flags,
            listener,
            entries,
        })
    }

    fn default_action(
        &mut self,
        profile: Value<'_>,
        fields: &Fields<'_>,
    ) -> Option<Spanned<Action>> {
        let given = fields.get("defaultAction");
        let Some(word) = given.filter(|given| !given.text().value.is_empty()) else {
            if !fields.is_broken("defaultAction") {
                let span = given.map_or(first_byte(profile), |given| given.value.span());
                let syscalls = fields.get("syscalls");
                let empty = syscalls.is_none_or(|s| s.value.elements().next().is_none());
                self.report.error(|| no_default_action(span, empty));
            }
            return None;
        };
        let action = self.action(word)?;
        if action.value == Action::UserNotif {
            self.report.error(|| {
                Diagnostic::error("notify-default", "`SCMP_ACT_NOTIFY` can't be the default action")
                    .at(action.span, "a runtime refuses this")
                    .help(
                        "the runtime's own calls between loading the filter and handing over its \
                         descriptor would wait for a supervisor that doesn't have it yet",
                    )
            });
            return None;
        }
        let number = fields.get("defaultErrnoRet");
        let action = self.with_errno(action, number, fields.get("defaultErrno"))?;
        if let (Dialect::Docker, Some(number), Action::Errno(errno) | Action::Trace(errno)) =
            (self.dialect, number, action.value)
            && errno != DEFAULT_ERRNO
        {
            self.newer_engine(number);
        }
        Some(action)
    }

    /// The action of a word, without its data.
    pub fn action(&mut self, word: Member<'_>) -> Option<Spanned<Action>> {
        let Spanned { value: word, span } = word.text();
        if let Some((_, action)) = words::ACTIONS.iter().find(|(known, _)| *known == word) {
            return Some(Spanned::new(*action, span));
        }
        self.report.error(|| {
            let message = format!("{} is not an action", quoted(&word));
            let known = words::ACTIONS.map(|(known, _)| known);
            unknown(Diagnostic::error("unknown-action", message), span, &word, known)
        });
        None
    }

    fn architectures(&mut self, fields: &Fields<'_>) -> Architectures {
        let not_empty = |member: &Member<'_>| member.value.elements().next().is_some();
        let list = fields.get("architectures").filter(not_empty);
        let map = fields.get("archMap");
        if self.dialect == Dialect::Oci {
            if let Some(map) = map
                && map.value.elements().next().is_some()
            {
                self.dropped(map, "so only the machine's own architecture is filtered, and every call of another ends in a kill");
            }
        } else if let Some(map) = map.filter(not_empty) {
            if let Some(list) = list {
                self.report.error(|| {
                    Diagnostic::error(
                        "architectures-and-arch-map",
                        "`architectures` and `archMap` can't stand together",
                    )
                    .at(map.key_span(), "use one of the two")
                    .at(list.key_span(), "the other")
                    .help("`archMap` serves machines of several kinds, `architectures` one")
                });
            }
            let rows = self.arch_map(map);
            return if rows.is_empty() { Architectures::Native } else { Architectures::Map(rows) };
        }
        match list {
            Some(list) => Architectures::List(self.abis(list)),
            // An empty list is none.
            None => Architectures::Native,
        }
    }

    fn arch_map(&mut self, map: Member<'_>) -> Vec<(Spanned<Abi>, Vec<Spanned<Abi>>)> {
        let mut rows: Vec<(Spanned<Abi>, Vec<Spanned<Abi>>)> = Vec::new();
        for row in map.value.elements() {
            let fields = Fields::of(row, &words::ARCH_MAP, self.dialect, &mut self.report);
            let others = fields.get("subArchitectures").map(|list| self.abis(list));
            let Some(main) = fields.get("architecture") else {
                if !fields.is_broken("architecture") {
                    self.report.warning(|| {
                        Diagnostic::warning(
                            "missing-key",
                            "`architecture` is missing; no machine is meant by this",
                        )
                        .at(first_byte(row), "never looked at")
                    });
                }
                continue;
            };
            let Some(main) = self.abi(main.text()) else {
                continue;
            };
            if let Some((first, _)) = rows.iter().find(|(first, _)| first.value == main.value) {
                let first = first.span;
                self.report.warning(|| {
                    Diagnostic::warning(
                        "no-effect",
                        format!("`archMap` has {} twice; the first counts", main.value),
                    )
                    .at(main.span, "never looked at")
                    .at(first, "this one counts")
                });
                continue;
            }
            rows.push((main, others.unwrap_or_default()));
        }
        rows
    }

    fn abis(&mut self, list: Member<'_>) -> Vec<Spanned<Abi>> {
        list.texts().filter_map(|word| self.abi(word)).collect()
    }

    fn abi(&mut self, word: Spanned<impl AsRef<str>>) -> Option<Spanned<Abi>> {
        let span = word.span;
        let word = word.value.as_ref();
        if let Some(abi) = words::architecture(word) {
            return Some(Spanned::new(abi, span));
        }
        self.report.error(|| {
            let message = format!("{} is not an architecture", quoted(word));
            let diagnostic = Diagnostic::error("unknown-architecture", message);
            if word == "SCMP_ARCH_NATIVE" {
                return diagnostic.at(span, "no runtime takes this name").help(
                    "the machine's own architecture is always there; remove the name, or name it",
                );
            }
            let other_name = Abi::from_name(word).or_else(|| Abi::from_go_name(word));
            match other_name.and_then(Abi::oci_name) {
                Some(name) => suggestion(diagnostic, span, name),
                None => unknown(diagnostic, span, word, words::architectures()),
            }
        });
        None
    }

    fn flags(&mut self, fields: &Fields<'_>) -> Vec<Spanned<FilterFlag>> {
        let Some(list) = fields.get("flags") else {
            return Vec::new();
        };
        if list.value.elements().next().is_some() {
            match self.dialect {
                Dialect::Docker => self.newer_engine(list),
                _ => self.newer_runc(list.key_span(), "`flags`", "1.2"),
            }
        }
        list.texts().filter_map(|word| self.flag(&word.value, word.span)).collect()
    }

    fn flag(&mut self, word: &str, span: Span) -> Option<Spanned<FilterFlag>> {
        if let Some(flag) = words::flag(word) {
            if flag == FilterFlag::WaitKillableRecv {
                self.newer_runc(span, "this flag", "1.4.1");
            }
            return Some(Spanned::new(flag, span));
        }
        self.report.error(|| {
            let message = format!("{} is not a flag of a filter", quoted(word));
            let known = FilterFlag::ALL.map(FilterFlag::name);
            unknown(Diagnostic::error("unknown-flag", message), span, word, known)
        });
        None
    }

    fn listener(&mut self, fields: &Fields<'_>) -> Option<Listener> {
        let filled = |member: &Member<'_>| !member.text().value.is_empty();
        let path = fields.get("listenerPath").filter(filled);
        let metadata = fields.get("listenerMetadata").filter(filled);
        if let Some(path) = path {
            if self.dialect == Dialect::Docker {
                self.newer_engine(path);
            }
            let Spanned { value, span } = path.text();
            return Some(Listener {
                path: Spanned::new(value.into_owned(), span),
                metadata: metadata.map(|metadata| metadata.text().value.into_owned()),
            });
        }
        if let Some(metadata) = metadata {
            self.report.warning(|| {
                Diagnostic::warning(
                    "no-effect",
                    "`listenerMetadata` has no effect without `listenerPath`",
                )
                .at(metadata.key_span(), "nobody gets this")
            });
        }
        if let Some(span) = self.notified {
            self.report.warning(|| {
                Diagnostic::warning(
                    "no-listener",
                    "the profile asks a supervisor, and names none",
                )
                .at(span, "who answers?")
                .help(
                    "name its socket in `listenerPath`; without, runc refuses the container, and \
                     under crun the calls fail with ENOSYS",
                )
            });
        }
        None
    }

    /// A key that Docker's engines honour only since a certain release.
    fn newer_engine(&mut self, member: Member<'_>) {
        self.report.warning(|| {
            let key = member.key.as_str().unwrap_or_default();
            Diagnostic::warning(
                "newer-only",
                format!("Docker engines before 23.0 drop {}", quoted(&key)),
            )
            .at(member.key_span(), "has an effect with newer engines alone")
        });
    }

    /// Something that runc takes only since a certain release; crun has long done so.
    fn newer_runc(&mut self, span: Span, what: &str, release: &str) {
        self.report.warning(|| {
            Diagnostic::warning("newer-only", format!("runc before {release} refuses {what}"))
                .at(span, "makes an older runc fail")
        });
    }

    /// A key that this dialect's consumer drops although it means something.
    pub fn dropped(&mut self, member: Member<'_>, consequence: &str) {
        let dialect = self.dialect;
        self.report.error(|| {
            let key = member.key.as_str().unwrap_or_default();
            let who = match dialect {
                Dialect::Oci => "runc and crun drop",
                Dialect::Docker => "Docker drops",
                Dialect::Containers => "Podman drops",
            };
            let help = match dialect {
                Dialect::Oci => String::from(
                    "`callgate compile --format oci` writes the flat equivalent for given \
                     capabilities and architectures",
                ),
                _ => format!("read it in the dialect that has `{key}`, or write it without"),
            };
            Diagnostic::error("dropped-key", format!("{who} {}, {consequence}", quoted(&key)))
                .at(member.key_span(), "dropped without a word")
                .help(help)
        });
    }

    /// A key without which the consumer fails.
    pub fn missing(&mut self, key: &str, object: Value<'_>) {
        self.report.error(|| {
            Diagnostic::error("missing-key", format!("`{key}` is missing"))
                .at(first_byte(object), format!("expected `{key}` in this object"))
        });
    }
}

fn no_default_action(span: Span, no_syscalls: bool) -> Diagnostic {
    let message = if no_syscalls {
        "there is no default action and no system call, so the container would run unfiltered"
    } else {
        "there is no default action"
    };
    Diagnostic::error("no-default-action", message)
        .at(span, "expected `defaultAction`")
        .help("`\"defaultAction\": \"SCMP_ACT_ERRNO\"` refuses what no entry takes")
}
