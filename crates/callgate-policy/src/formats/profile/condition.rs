//! `includes` and `excludes`.

use alloc::{format, string::String};

use callgate_bpf::Action;
use callgate_diagnostic::{Diagnostic, Severity, Span, Spanned};
use callgate_syscalls::{Abi, Capability, KernelVersion};

use crate::{Condition, Dialect, Entry, json::Kind, quote::quoted, suggest};

use super::{
    super::report::suggestion,
    fields::{Fields, Member},
    reader::Reader,
    words,
};

/// Which of an entry's two conditions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Includes,
    Excludes,
}

impl Reader {
    /// Reads both conditions into an entry. `action` is none if it was wrong.
    pub fn conditions(&mut self, fields: &Fields<'_>, action: Option<Action>, entry: &mut Entry) {
        let mut never = false;
        for side in [Side::Includes, Side::Excludes] {
            let (key, condition) = match side {
                Side::Includes => ("includes", &mut entry.includes),
                Side::Excludes => ("excludes", &mut entry.excludes),
            };
            let Some(member) = fields.get(key) else { continue };
            if self.dialect == Dialect::Oci {
                if says_something(member) {
                    self.dropped(member, "so the entry always applies");
                }
                continue;
            }
            let severity = self.severity_of_unknown(side, action);
            never |= self.condition(member, side, severity, condition);
        }
        if never {
            // A capability that nobody has keeps the entry from ever applying. An entry without
            // names says that, and leaves the entries behind it their numbers.
            entry.names.clear();
        }
    }

    /// How bad it is that an entry never applies (`includes`) or is never taken out (`excludes`):
    /// an error where the filter becomes looser than its author wrote, a warning elsewhere.
    fn severity_of_unknown(&self, side: Side, action: Option<Action>) -> Severity {
        let (Some(default), Some(action)) = (self.default, action) else {
            return Severity::Warning;
        };
        let (action, default) = (action.raw().rank(), default.raw().rank());
        let looser = match side {
            Side::Includes => action < default,
            Side::Excludes => action > default,
        };
        if looser { Severity::Error } else { Severity::Warning }
    }

    /// Reads one; says whether it can never hold.
    fn condition(
        &mut self,
        member: Member<'_>,
        side: Side,
        severity: Severity,
        condition: &mut Condition,
    ) -> bool {
        let fields = Fields::of(member.value, &words::CONDITION, self.dialect, &mut self.report);
        let mut never = false;
        for word in fields.get("caps").into_iter().flat_map(Member::texts) {
            match words::capability(&word.value) {
                Some(capability) => condition.caps.push(Spanned::new(capability, word.span)),
                None => {
                    never |= side == Side::Includes;
                    self.unknown_capability(&word.value, word.span, side, severity);
                }
            }
        }
        for word in fields.get("arches").into_iter().flat_map(Member::texts) {
            if Abi::from_go_name(&word.value).is_none() {
                self.unknown_machine(&word.value, word.span, side, severity);
            }
            condition.arches.push(Spanned::new(String::from(word.value), word.span));
        }
        if let Some(version) = fields.get("minKernel") {
            condition.min_kernel = self.min_kernel(version, side);
        }
        never
    }

    fn unknown_capability(&mut self, word: &str, span: Span, side: Side, severity: Severity) {
        self.report.add(severity, || {
            let consequence = match side {
                Side::Includes => "the entry never applies",
                Side::Excludes => "it never takes the entry out",
            };
            let message = format!("no capability is called {}; {consequence}", quoted(word));
            let diagnostic = Diagnostic::new("unknown-capability", severity, message);
            // `from_name` takes other letter cases and a missing `CAP_`; engines don't.
            let near = Capability::from_name(word).map(Capability::name).or_else(|| {
                suggest::closest(word, Capability::ALL.iter().map(|capability| capability.name()))
            });
            match near {
                Some(near) => suggestion(diagnostic, span, near),
                None => diagnostic.at(span, "expected a name such as `CAP_SYS_ADMIN`"),
            }
        });
    }

    fn unknown_machine(&mut self, word: &str, span: Span, side: Side, severity: Severity) {
        self.report.add(severity, || {
            let consequence = match side {
                Side::Includes => "it never lets the entry apply",
                Side::Excludes => "it never takes the entry out",
            };
            let message = format!("no machine is called {} here; {consequence}", quoted(word));
            let diagnostic = Diagnostic::new("unknown-machine", severity, message);
            let near = Abi::from_name(word)
                .map(Abi::go_name)
                .or_else(|| suggest::closest(word, Abi::ALL.iter().map(|abi| abi.go_name())));
            match near {
                Some(near) => suggestion(diagnostic, span, near),
                None => diagnostic.at(span, "expected a name such as `amd64`"),
            }
        });
    }

    /// Docker's form: two numbers of at most 255. An empty string is version 0.0, which every
    /// kernel reaches (`KernelVersion.UnmarshalJSON` in moby's `profiles/seccomp`).
    fn min_kernel(&mut self, version: Member<'_>, side: Side) -> Option<Spanned<KernelVersion>> {
        let key = version;
        let Spanned { value: text, span } = version.text();
        if self.dialect == Dialect::Containers {
            // Without it an entry of `includes` with an empty version still applies.
            if !(text.is_empty() && side == Side::Includes) {
                self.dropped(key, "so the entry does not depend on the kernel");
            }
            return None;
        }
        if text.is_empty() {
            self.report.warning(|| {
                let consequence = match side {
                    Side::Includes => "has no effect",
                    Side::Excludes => "takes the entry out everywhere",
                };
                Diagnostic::warning("bad-kernel-version", format!("an empty version {consequence}"))
                    .at(key.value.span(), "every kernel is newer than this")
            });
            return Some(Spanned::new(KernelVersion::new(0, 0), span));
        }
        let part = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse::<u8>().ok().filter(|_| digits).map(u16::from)
        };
        let numbers = text.split_once('.').and_then(|(a, b)| Some((part(a)?, part(b)?)));
        if let Some((major, minor)) = numbers.filter(|numbers| *numbers != (0, 0)) {
            return Some(Spanned::new(KernelVersion::new(major, minor), span));
        }
        self.report.error(|| {
            let message = format!("{} is not a kernel version", quoted(&text));
            let diagnostic = Diagnostic::error("bad-kernel-version", message);
            match text.parse::<KernelVersion>() {
                Ok(near) if near > KernelVersion::new(0, 0) => {
                    let near = format!("{near}");
                    suggestion(diagnostic, span, &near)
                }
                _ => diagnostic.at(span, "expected two numbers, such as `4.8`"),
            }
        });
        None
    }
}

/// Whether a condition asks for anything, as the engine that reads it would see it.
fn says_something(condition: Member<'_>) -> bool {
    condition.value.members().any(|(key, value)| {
        let known = key.as_str().is_some_and(|word| words::CONDITION.place(&word).is_some());
        let empty =
            value.is_null() || (value.kind() == Kind::Array && value.elements().next().is_none());
        known && !empty
    })
}
