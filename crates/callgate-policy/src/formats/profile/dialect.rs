//! Which consumer a text speaks to, and where in it the profile stands.

use alloc::format;

use callgate_diagnostic::{Diagnostic, Span};

use crate::{
    Dialect,
    json::{Kind, Value},
};

use super::{super::report::Report, fields::folds_to};

/// The profile in a text, and whose it is.
pub(super) struct Located<'d> {
    pub profile: Value<'d>,
    pub dialect: Dialect,
}

/// Finds the profile, and the dialect unless it is stated; reports why there is none.
pub(super) fn locate<'d>(
    root: Value<'d>,
    stated: Option<Dialect>,
    report: &mut Report,
) -> Option<Located<'d>> {
    if root.kind() != Kind::Object {
        let span = if root.kind() == Kind::Array { first_byte(root) } else { root.span() };
        report.error(|| {
            let message = format!("a profile is an object, not {}", root.kind().describe());
            Diagnostic::error("wrong-type", message).at(span, "expected an object")
        });
        return None;
    }
    match runtime_configuration(root) {
        Some(configuration) => configuration.locate(stated, report),
        None => {
            let dialect = stated.unwrap_or_else(|| detect(root, report));
            Some(Located { profile: root, dialect })
        }
    }
}

/// A `config.json` of the runtime specification.
struct RuntimeConfiguration<'d> {
    /// The place that shows it to be one.
    sign: Span,
    seccomp: Option<Value<'d>>,
}

fn runtime_configuration(root: Value<'_>) -> Option<RuntimeConfiguration<'_>> {
    let version = find(root, "ociVersion").map(|(key, _)| key);
    let linux = find(root, "linux");
    let seccomp = linux.and_then(|(_, linux)| find(linux, "seccomp"));
    if version.is_none() && (seccomp.is_none() || find(root, "defaultAction").is_some()) {
        return None;
    }
    let sign = version.or(seccomp.map(|(key, _)| key))?.inner();
    let seccomp = seccomp.map(|(_, value)| value).filter(|value| value.kind() == Kind::Object);
    Some(RuntimeConfiguration { sign, seccomp })
}

impl<'d> RuntimeConfiguration<'d> {
    fn locate(self, stated: Option<Dialect>, report: &mut Report) -> Option<Located<'d>> {
        let dialect = stated.unwrap_or(Dialect::Oci);
        if dialect != Dialect::Oci {
            report.error(|| {
                let reader = consumer(dialect);
                Diagnostic::error(
                    "runtime-config",
                    format!("this is a runtime's configuration, and {reader} reads profiles"),
                )
                .at(self.sign, "the runtime specification's `config.json` begins like this")
                .help("take what stands under `linux.seccomp`, or read it with `--dialect oci`")
            });
            return None;
        }
        let Some(profile) = self.seccomp else {
            report.error(|| {
                Diagnostic::error(
                    "runtime-config",
                    "this runtime configuration has no `linux.seccomp`: the container runs unfiltered",
                )
                .at(self.sign, "a runtime's `config.json`")
            });
            return None;
        };
        if stated.is_none() {
            note(dialect, "the runtime configuration that it stands in", Some(self.sign), report);
        }
        Some(Located { profile, dialect })
    }
}

/// The dialect that a profile's keys speak of.
fn detect(profile: Value<'_>, report: &mut Report) -> Dialect {
    let entries =
        || find(profile, "syscalls").into_iter().flat_map(|(_, syscalls)| syscalls.elements());
    let in_entries = |name: &str| entries().find_map(|entry| find(entry, name));
    let version = || {
        ["includes", "excludes"].into_iter().find_map(|condition| {
            entries().find_map(|entry| find(find(entry, condition)?.1, "minKernel"))
        })
    };
    let errno = || find(profile, "defaultErrno").or_else(|| in_entries("errno"));
    let conditional = || {
        find(profile, "archMap")
            .or_else(|| ["includes", "excludes", "name"].into_iter().find_map(in_entries))
    };
    let (dialect, sign) = if let Some((key, _)) = version() {
        (Dialect::Docker, Some(key))
    } else if let Some((key, _)) = errno() {
        (Dialect::Containers, Some(key))
    } else if let Some((key, _)) = conditional() {
        (Dialect::Docker, Some(key))
    } else {
        (Dialect::Oci, None)
    };
    match sign {
        Some(key) => {
            let because = format!("its key `{}`", key.as_str().unwrap_or_default());
            note(dialect, &because, Some(key.inner()), report);
        }
        None => note(dialect, "its keys, which all consumers share", None, report),
    }
    dialect
}

fn note(dialect: Dialect, because: &str, sign: Option<Span>, report: &mut Report) {
    let message = format!("read in the dialect `{}` because of {because}", dialect.name());
    let note = Diagnostic::note("dialect", message)
        .help("`--dialect docker|oci|containers` says who will read it");
    report.note(match sign {
        Some(span) => note.at(span, format!("{} reads this", consumer(dialect))),
        None => note,
    });
}

/// A consumer of a dialect, for messages.
pub(super) const fn consumer(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Docker => "Docker",
        Dialect::Oci => "a runtime",
        Dialect::Containers => "Podman",
    }
}

/// The first byte of a value: where something is missing in it.
pub(super) fn first_byte(value: Value<'_>) -> Span {
    let start = value.span().start;
    Span::new(start, start + 1)
}

/// The last member of a name, in any letter case.
fn find<'d>(object: Value<'d>, name: &str) -> Option<(Value<'d>, Value<'d>)> {
    object
        .members()
        .filter(|(key, value)| {
            !value.is_null() && key.as_str().is_some_and(|word| folds_to(&word, name))
        })
        .last()
}
