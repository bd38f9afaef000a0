//! From the lines of a unit file to its settings.

use alloc::{collections::BTreeMap, format, vec::Vec};

use callgate_bpf::Action;
use callgate_diagnostic::{Diagnostic, Span, Spanned};
use callgate_syscalls::{Abi, groups};

use super::{
    super::{
        Reading,
        report::{self, Report, suggestion, unknown},
    },
    calls::{self, Calls, Mode},
    lines::{self, Assignment},
    policy, words,
};
use crate::{quote::quoted, suggest};

pub(super) const FILTER: &str = "SystemCallFilter";
pub(super) const ERROR_NUMBER: &str = "SystemCallErrorNumber";
pub(super) const ARCHITECTURES: &str = "SystemCallArchitectures";
pub(super) const LOG: &str = "SystemCallLog";

pub(super) const KEYS: [&str; 4] = [FILTER, ERROR_NUMBER, ARCHITECTURES, LOG];

/// The sections of units that start programs.
const SECTIONS: [&str; 4] = ["Service", "Socket", "Mount", "Swap"];

/// Other settings that load filters, beside those read here.
const OTHER_FILTERS: [&str; 12] = [
    "LockPersonality",
    "MemoryDenyWriteExecute",
    "PrivateDevices",
    "ProtectClock",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "RestrictAddressFamilies",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
];

/// What the text sets.
#[derive(Default)]
pub(super) struct Settings {
    pub filter: Option<Spanned<Calls>>,
    pub log: Option<Spanned<Calls>>,
    /// What the filter refuses with.
    pub refusal: Option<Spanned<Action>>,
    /// The architectures that stay; none when nothing was said.
    pub architectures: Vec<Spanned<Option<Abi>>>,
    /// The first of these settings.
    first: Option<Span>,
}

pub(super) fn read(text: &str) -> Reading {
    if let Some(reading) = report::too_long(text, "unit file") {
        return reading;
    }
    let mut report = Report::default();
    let mut reader = Reader::default();
    lines::each_assignment(text, &mut report, |assignment, report| {
        reader.assignment(&assignment, report);
    });
    reader.note_others(&mut report);
    let Some(first) = reader.settings.first else {
        report.error(|| {
            Diagnostic::error("no-system-call-setting", "the text sets no system call filter")
                .at(Span::new(0, 0), format!("expected `{FILTER}=` or one of its kin"))
                .help("a unit without one has no filter, and its programs may call everything")
        });
        return report.into_reading(None);
    };
    let policy = policy::of(&reader.settings, first, &mut report);
    report.into_reading(Some(policy))
}

#[derive(Default)]
struct Reader {
    settings: Settings,
    others: Vec<(&'static str, Span)>,
    /// The places of each group's calls, once it was used.
    groups: BTreeMap<&'static str, Vec<usize>>,
}

impl Reader {
    fn assignment(&mut self, assignment: &Assignment<'_>, report: &mut Report) {
        let key = assignment.key;
        let Some(known) = KEYS.into_iter().find(|known| *known == key.value) else {
            self.other_key(assignment, report);
            return;
        };
        if let Some(section) = assignment.section
            && !SECTIONS.contains(&section)
        {
            report.warning(|| {
                let message =
                    format!("`{known}=` has no effect in the section {}", quoted(section));
                Diagnostic::warning("no-effect", message)
                    .at(key.span, "systemd ignores it here")
                    .help("it belongs under `[Service]`")
            });
            return;
        }
        self.settings.first.get_or_insert(key.span);
        match known {
            FILTER => self.list(assignment, true, report),
            LOG => self.list(assignment, false, report),
            ERROR_NUMBER => self.error_number(assignment, report),
            _ => self.architectures(assignment, report),
        }
    }

    /// `SystemCallFilter=` or `SystemCallLog=`: a list, which begins with `~` when it is of what
    /// is refused (or not logged). The first one decides which kind the whole is; an empty one
    /// takes everything back.
    fn list(&mut self, assignment: &Assignment<'_>, filter: bool, report: &mut Report) {
        let mut all = assignment.words().peekable();
        let Some(first) = all.peek().copied() else {
            *self.target(filter) = None;
            return;
        };
        let inverted = first.value.starts_with('~');
        if self.target(filter).is_none() {
            let mut calls = Calls::new(!inverted);
            if filter && !inverted {
                // What every program needs is allowed with the first allow list.
                let mode = Mode { inverted, own: None };
                for &place in self.group("@default") {
                    calls.put(place, mode, assignment.key.span);
                }
            }
            *self.target(filter) = Some(Spanned::new(calls, assignment.key.span));
        }
        for (index, mut word) in all.enumerate() {
            if index == 0 && inverted {
                word =
                    Spanned::new(&word.value[1..], Span::new(word.span.start + 1, word.span.end));
            }
            if !word.value.is_empty() {
                self.word(word, inverted, filter, report);
            }
        }
    }

    fn target(&mut self, filter: bool) -> &mut Option<Spanned<Calls>> {
        if filter { &mut self.settings.filter } else { &mut self.settings.log }
    }

    /// A call or a group, with what it gets behind a colon.
    fn word(&mut self, word: Spanned<&str>, inverted: bool, filter: bool, report: &mut Report) {
        let Spanned { value: text, span } = word;
        let (name, own) = match text.split_once(':').filter(|_| filter) {
            None => (text, None),
            Some((name, refusal)) => {
                let place = Span::new(span.start + name.len() + 1, span.end);
                match own_refusal(Spanned::new(refusal, place), span, inverted, report) {
                    Some(action) => (name, Some(action)),
                    None => return,
                }
            }
        };
        let name_span = Span::new(span.start, span.start + name.len());
        let mode = Mode { inverted, own };
        if name.starts_with('@') {
            let Some(group) = groups::find(name) else {
                report.warning(|| unknown_group(name, name_span, inverted));
                return;
            };
            let places = self.group(group.name).clone();
            if let Some(calls) = self.target(filter) {
                for place in places {
                    calls.value.put(place, mode, span);
                }
            }
            return;
        }
        match calls::place(name) {
            Some(place) => {
                if let Some(calls) = self.target(filter) {
                    calls.value.put(place, mode, span);
                }
            }
            None => report.warning(|| unknown_call(name, name_span, inverted && filter)),
        }
    }

    /// The places of a group's calls.
    fn group(&mut self, name: &'static str) -> &Vec<usize> {
        self.groups.entry(name).or_insert_with(|| {
            groups::find(name).map(calls::places).into_iter().flatten().collect()
        })
    }

    fn error_number(&mut self, assignment: &Assignment<'_>, report: &mut Report) {
        let span = assignment.value_span();
        let mut all = assignment.words();
        let (Some(word), None) = (all.next(), all.next()) else {
            // Empty means the end of the process, as if nothing had been said.
            if span.start != span.end {
                report.warning(|| bad_error_number("several words", span));
            } else {
                self.settings.refusal = None;
            }
            return;
        };
        match words::refusal(word.value) {
            Some(Action::Errno(0)) | None => {
                report.warning(|| {
                    let diagnostic = bad_error_number(&quoted(word.value), word.span);
                    near_errno(diagnostic, word)
                });
            }
            Some(action) => {
                check_errno(action, word.span, report);
                self.settings.refusal = Some(Spanned::new(action, word.span));
            }
        }
    }

    fn architectures(&mut self, assignment: &Assignment<'_>, report: &mut Report) {
        let mut any = false;
        for word in assignment.words() {
            any = true;
            let abi = words::architecture(word.value);
            if abi.is_none() && word.value != words::NATIVE {
                report.warning(|| {
                    let message = format!(
                        "systemd knows no architecture {}; it is ignored",
                        quoted(word.value)
                    );
                    let diagnostic = Diagnostic::warning("unknown-architecture", message);
                    let known = words::ARCHITECTURES.map(|(known, _)| known);
                    match Abi::from_name(word.value).and_then(words::architecture_word) {
                        Some(near) => suggestion(diagnostic, word.span, near),
                        None => unknown(diagnostic, word.span, word.value, known),
                    }
                });
                continue;
            }
            let known = self.settings.architectures.iter().any(|one| one.value == abi);
            if !known {
                self.settings.architectures.push(Spanned::new(abi, word.span));
            }
        }
        if !any {
            self.settings.architectures.clear();
        }
    }

    /// A key of something else: of interest when it looks like one of ours, or loads a filter.
    fn other_key(&mut self, assignment: &Assignment<'_>, report: &mut Report) {
        let key = assignment.key;
        if let Some(known) = OTHER_FILTERS.into_iter().find(|known| *known == key.value) {
            let off = ["no", "n", "false", "f", "off", "0"];
            let on = assignment.words().next().is_some_and(|word| {
                off.iter().all(|known| !known.eq_ignore_ascii_case(word.value))
            });
            if on && self.others.iter().all(|(other, _)| *other != known) {
                self.others.push((known, key.span));
            }
            return;
        }
        if let Some(near) = suggest::closest(key.value, KEYS) {
            report.warning(|| {
                let message =
                    format!("systemd knows no setting {}; it is ignored", quoted(key.value));
                suggestion(Diagnostic::warning("unknown-key", message), key.span, near)
            });
        }
    }

    /// Says which settings load filters that are not in the policy.
    fn note_others(&self, report: &mut Report) {
        if self.others.is_empty() {
            return;
        }
        let names: Vec<_> = self.others.iter().map(|(name, _)| format!("`{name}=`")).collect();
        let message =
            format!("filters of other settings are not in the policy: {}", names.join(", "));
        let note = Diagnostic::note("other-filters", message);
        report.note(self.others.iter().fold(note, |note, (_, span)| note.at(*span, "")));
    }
}

/// What a word says behind its colon; none when systemd ignores the word.
fn own_refusal(
    refusal: Spanned<&str>,
    word: Span,
    inverted: bool,
    report: &mut Report,
) -> Option<Action> {
    let Some(action) = words::refusal(refusal.value) else {
        report.warning(|| {
            let message = format!(
                "{} is not an error, so systemd ignores the word and the calls are not refused by it",
                quoted(refusal.value)
            );
            near_errno(Diagnostic::warning("unknown-errno", message), refusal)
        });
        return None;
    };
    if !inverted {
        report.warning(|| {
            Diagnostic::warning(
                "errno-on-allow-list",
                "an allowed call takes no error, so systemd ignores the word",
            )
            .at(word, "this is not allowed by it")
            .at(refusal.span, "an error belongs to a list that begins with `~`")
        });
        return None;
    }
    if action == Action::Errno(0) {
        report.warning(|| {
            Diagnostic::warning("errno-zero", "the calls don't run, and report success")
                .at(refusal.span, "error number 0 is none")
        });
    }
    check_errno(action, refusal.span, report);
    Some(action)
}

/// Refuses the one number that systemd takes and libseccomp does not.
fn check_errno(action: Action, span: Span, report: &mut Report) {
    if let Action::Errno(number) = action
        && number > words::LARGEST_ERRNO
    {
        report.error(|| {
            Diagnostic::error("bad-errno", format!("{number} is too large for an error"))
                .at(span, format!("expected 0 to {}", words::LARGEST_ERRNO))
                .help("libseccomp refuses it, and the unit does not start")
        });
    }
}

fn bad_error_number(what: &str, span: Span) -> Diagnostic {
    let message = format!("{what} is no error; systemd ignores it, and the process is killed");
    Diagnostic::warning("unknown-errno", message).at(span, "expected `EPERM`, a number or `kill`")
}

/// The error that a word may have meant.
fn near_errno(mut diagnostic: Diagnostic, word: Spanned<&str>) -> Diagnostic {
    let all = callgate_syscalls::errno::all().map(|(name, _)| name).chain([words::KILL]);
    match suggest::closest(word.value, all) {
        Some(near) => {
            diagnostic.labels.clear();
            suggestion(diagnostic, word.span, near)
        }
        None if diagnostic.labels.is_empty() => {
            diagnostic.at(word.span, "expected `EPERM`, a number up to 4095, or `kill`")
        }
        None => diagnostic,
    }
}

fn unknown_group(name: &str, span: Span, inverted: bool) -> Diagnostic {
    let message = format!("there is no group {}; {}", quoted(name), ignored(inverted));
    let diagnostic = Diagnostic::warning("unknown-group", message);
    unknown(diagnostic, span, name, groups::ALL.iter().map(|group| group.name))
}

fn unknown_call(name: &str, span: Span, inverted: bool) -> Diagnostic {
    let message = format!("no architecture has a syscall {}; {}", quoted(name), ignored(inverted));
    let diagnostic = Diagnostic::warning("unknown-syscall", message);
    // The `@` of a group is easily forgotten.
    let group = groups::ALL.iter().find(|group| group.name.strip_prefix('@') == Some(name));
    match group.map(|group| group.name).or_else(|| suggest::syscall(name)) {
        Some(near) => suggestion(diagnostic, span, near),
        None => diagnostic.at(span, ""),
    }
}

fn ignored(inverted: bool) -> &'static str {
    if inverted { "systemd ignores it, and refuses nothing by it" } else { "systemd ignores it" }
}
