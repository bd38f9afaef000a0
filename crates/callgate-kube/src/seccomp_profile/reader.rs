//! From a resource to a policy.

use callgate_diagnostic::{Diagnostic, Span};
use callgate_policy::{
    Dialect,
    formats::{
        Reading, profile,
        report::{MAX_LENGTH, Report},
    },
};

use super::{GROUP, KIND, places::Made};
use crate::yaml::{self, Kind, Value};

/// The keys of `spec` that go into the profile.
const PROFILE: Keys = Keys {
    what: "`spec`",
    kept: &[
        "defaultAction",
        "architectures",
        "listenerPath",
        "listenerMetadata",
        "syscalls",
        "flags",
    ],
    missed: &[
        ("defaultErrnoRet", "so the default refuses with EPERM"),
        ("defaultErrno", "so the default refuses with EPERM"),
        ("archMap", "so only the machine's own architecture is filtered"),
    ],
};

const ENTRY: Keys = Keys {
    what: "an entry of `syscalls`",
    kept: &["names", "action", "errnoRet", "args"],
    missed: &[
        ("name", "so the entry does not cover it"),
        ("errno", "so the number is EPERM"),
        ("includes", "so the entry always applies"),
        ("excludes", "so the entry always applies"),
    ],
};

const ARGUMENT: Keys =
    Keys { what: "an element of `args`", kept: &["index", "value", "valueTwo", "op"], missed: &[] };

/// What the resource has beside the profile.
const OWN: [&str; 3] = ["baseProfileName", "disabled", "state"];

/// The keys of one kind of object.
struct Keys {
    what: &'static str,
    kept: &'static [&'static str],
    /// Those that runtimes or engines have and the resource has not, and what follows.
    missed: &'static [(&'static str, &'static str)],
}

pub(super) fn read(text: &str) -> Reading {
    let mut report = Report::default();
    let mut found: Vec<Span> = Vec::new();
    let mut reading = None;
    for document in yaml::documents(text) {
        let document = match document {
            Ok(document) => document,
            Err(error) => {
                report.error(|| error);
                return report.into_reading(None);
            }
        };
        for resource in resources(document.root()) {
            found.push(resource.get("kind").unwrap_or(resource).span());
            if reading.is_none() {
                reading = Some(spec(text, resource, &mut report));
            }
        }
    }
    match (&found[..], reading) {
        ([_], Some(reading)) => reading.into_reading(report),
        ([], _) => {
            report.error(|| {
                Diagnostic::error("no-seccomp-profile", format!("there is no {KIND} of {GROUP}"))
                    .at(Span::new(0, 0), "none in this text")
                    .help("`callgate kube check` looks at other objects")
            });
            report.into_reading(None)
        }
        ([first, second, ..], _) => {
            let (first, second, count) = (*first, *second, found.len());
            let mut report = Report::default();
            report.error(|| {
                Diagnostic::error(
                    "several-seccomp-profiles",
                    format!(
                        "the text has {count} resources of the kind {KIND}, and a source is one"
                    ),
                )
                .at(second, "the second")
                .at(first, "the first")
                .help("give one; `kubectl get seccompprofile NAME -o yaml` prints one")
            });
            report.into_reading(None)
        }
        ([_], None) => report.into_reading(None),
    }
}

/// The resources of the kind in a document: itself, or what a list holds.
fn resources<'d>(root: Value<'d>) -> Vec<Value<'d>> {
    let is = |value: &Value<'d>| {
        let says = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
        says("kind") == KIND && says("apiVersion").split('/').next() == Some(GROUP)
    };
    let items = root.get("items").into_iter().flat_map(Value::elements);
    std::iter::once(root).chain(items).filter(is).collect()
}

/// What was made of a resource, before it is known to be the only one.
struct Spec {
    made: Made,
    inner: Option<Reading>,
}

impl Spec {
    fn into_reading(self, mut report: Report) -> Reading {
        let Some(mut inner) = self.inner else { return report.into_reading(None) };
        for mut diagnostic in std::mem::take(&mut inner.diagnostics) {
            self.made.relocate(&mut diagnostic);
            report.add(diagnostic.severity, || diagnostic);
        }
        let policy = inner.policy.map(|policy| self.made.relocate_policy(policy));
        let salvaged = inner.salvaged.map(|policy| self.made.relocate_policy(policy));
        let failed = report.has_errors();
        let mut reading = report.into_reading(policy.clone());
        reading.salvaged = salvaged.or(policy.filter(|_| failed));
        reading.dialect = Some(Dialect::Oci);
        reading
    }
}

fn spec(text: &str, resource: Value<'_>, report: &mut Report) -> Spec {
    let mut made = Made::default();
    let Some(spec) = resource.get("spec").filter(|spec| spec.kind() == Kind::Mapping) else {
        let place = resource.get("spec").or(resource.get("kind")).unwrap_or(resource).span();
        report.error(|| {
            Diagnostic::error("missing-key", "`spec` is missing")
                .at(place, "expected a mapping `spec` in this resource")
        });
        return Spec { made, inner: None };
    };
    own_keys(spec, report);
    made.collection(text, spec, '{', |made| {
        let kept = kept(spec, &PROFILE, report);
        kept.into_iter().enumerate().try_for_each(|(index, (key, value))| {
            made.comma(index);
            made.key(text, key);
            match (key.as_key(), value.kind()) {
                ("syscalls", Kind::Sequence) => entries(text, value, made, report),
                _ => made.value(text, value, MAX_LENGTH),
            }
        })
    });
    if made.json.len() > MAX_LENGTH {
        report.error(|| {
            let limit = MAX_LENGTH >> 20;
            Diagnostic::error("text-size", format!("the profile is longer than {limit} MiB"))
                .at(spec.span(), "no profile comes near this")
                .help("check that this is the file that was meant")
        });
        return Spec { made, inner: None };
    }
    let inner = profile::read(&made.json, Some(Dialect::Oci));
    Spec { made, inner: Some(inner) }
}

/// What the operator reads for itself.
fn own_keys(spec: Value<'_>, report: &mut Report) {
    let base = spec.get("baseProfileName");
    if let Some(base) = base.filter(|base| base.as_str().is_some_and(|name| !name.is_empty())) {
        report.error(|| {
            Diagnostic::error("base-profile", "the profile adds to another that is in the cluster")
                .at(base.span(), "what this one allows is allowed too")
                .help(
                    "read that one by `kubectl get seccompprofile NAME -o yaml`, put them together \
                     by `callgate merge`, and leave `baseProfileName` out",
                )
        });
    }
    let disabled = spec.get("disabled").filter(|value| value.as_bool() == Some(true));
    let state = spec.get("state").filter(|value| value.as_str() == Some("Disabled"));
    if let Some(value) = disabled.or(state) {
        report.warning(|| {
            Diagnostic::warning("disabled-profile", "the operator does not install this profile")
                .at(value.span(), "it is disabled")
        });
    }
}

fn entries(text: &str, list: Value<'_>, made: &mut Made, report: &mut Report) -> Option<()> {
    made.collection(text, list, '[', |made| {
        list.elements().enumerate().try_for_each(|(index, entry)| {
            made.comma(index);
            if entry.kind() != Kind::Mapping {
                return made.value(text, entry, MAX_LENGTH);
            }
            object(text, entry, &ENTRY, made, report, |key, value, made, report| {
                match (key.as_key(), value.kind()) {
                    ("args", Kind::Sequence) => arguments(text, value, made, report),
                    _ => made.value(text, value, MAX_LENGTH),
                }
            })
        })
    });
    (made.json.len() <= MAX_LENGTH).then_some(())
}

fn arguments(text: &str, list: Value<'_>, made: &mut Made, report: &mut Report) -> Option<()> {
    made.collection(text, list, '[', |made| {
        list.elements().enumerate().try_for_each(|(index, argument)| {
            made.comma(index);
            if argument.kind() != Kind::Mapping {
                return made.value(text, argument, MAX_LENGTH);
            }
            object(text, argument, &ARGUMENT, made, report, |_, value, made, report| {
                if let Some(number) =
                    value.as_u64().filter(|&number| i64::try_from(number).is_err())
                {
                    report.error(|| {
                        Diagnostic::error("bad-number", format!("{number} is above {}", i64::MAX))
                            .at(value.span(), "the API server takes signed numbers of 64 bits")
                    });
                }
                made.value(text, value, MAX_LENGTH)
            })
        })
    });
    (made.json.len() <= MAX_LENGTH).then_some(())
}

/// Adds an object with the keys that it keeps.
fn object(
    text: &str,
    value: Value<'_>,
    keys: &Keys,
    made: &mut Made,
    report: &mut Report,
    mut add: impl FnMut(Value<'_>, Value<'_>, &mut Made, &mut Report) -> Option<()>,
) -> Option<()> {
    made.collection(text, value, '{', |made| {
        let kept = kept(value, keys, report);
        kept.into_iter().enumerate().try_for_each(|(index, (key, value))| {
            made.comma(index);
            made.key(text, key);
            add(key, value, made, report)
        })
    });
    (made.json.len() <= MAX_LENGTH).then_some(())
}

/// The members that the API server keeps and that count; the others are reported.
fn kept<'d>(object: Value<'d>, keys: &Keys, report: &mut Report) -> Vec<(Value<'d>, Value<'d>)> {
    let mut kept = Vec::new();
    for (key, value) in object.members() {
        let word = key.as_key();
        if keys.kept.contains(&word) {
            if word == "errnoRet" && value.as_u64() == Some(0) {
                report.warning(|| {
                    Diagnostic::warning("no-effect", "`errnoRet: 0` counts as none, so it is EPERM")
                        .at(value.span(), "the operator leaves a 0 out")
                });
                continue;
            }
            kept.push((key, value));
            continue;
        }
        if value.is_null() || (keys.what == PROFILE.what && OWN.contains(&word)) {
            continue;
        }
        dropped(key, value, keys, report);
    }
    kept
}

fn dropped(key: Value<'_>, value: Value<'_>, keys: &Keys, report: &mut Report) {
    let word = key.as_key();
    let missed = keys.missed.iter().find(|(name, _)| *name == word);
    let near = keys.kept.iter().find(|known| known.eq_ignore_ascii_case(word));
    let is_default = word == "defaultErrnoRet" && value.as_u64() == Some(1);
    let shown: String = word.chars().take(48).flat_map(char::escape_debug).collect();
    match (missed.filter(|_| !is_default), near) {
        (Some((_, consequence)), _) => report.error(|| {
            Diagnostic::error(
                "dropped-key",
                format!("the API server drops `{shown}`, {consequence}"),
            )
            .at(key.span(), format!("{} has no such key", keys.what))
        }),
        (None, Some(near)) => report.error(|| {
            Diagnostic::error(
                "dropped-key",
                format!("the API server drops `{shown}`, so it is as if it were not there"),
            )
            .at(key.span(), format!("did you mean `{near}`?"))
            .replace(key.span(), *near)
        }),
        (None, None) => report.warning(|| {
            Diagnostic::warning("unknown-key", format!("{} has no key `{shown}`", keys.what))
                .at(key.span(), "the API server drops it")
        }),
    }
}
