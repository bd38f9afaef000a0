//! Fields of objects, with the types that Kubernetes asks of them.

use callgate_diagnostic::Diagnostic;

use crate::{
    findings::Findings,
    yaml::{Kind, Value},
};

/// A field that is a mapping.
pub(crate) fn mapping<'d>(
    object: Value<'d>,
    name: &str,
    found: &mut Findings,
) -> Option<Value<'d>> {
    field(object, name, Kind::Mapping, found)
}

/// A field that is a list.
pub(crate) fn sequence<'d>(
    object: Value<'d>,
    name: &str,
    found: &mut Findings,
) -> Option<Value<'d>> {
    field(object, name, Kind::Sequence, found)
}

/// A field that is a string.
pub(crate) fn string<'d>(object: Value<'d>, name: &str, found: &mut Findings) -> Option<&'d str> {
    field(object, name, Kind::String, found).and_then(Value::as_str)
}

/// A field that is a boolean.
pub(crate) fn boolean(object: Value<'_>, name: &str, found: &mut Findings) -> Option<bool> {
    field(object, name, Kind::Bool, found).and_then(Value::as_bool)
}

/// A field of a kind; what is missing or null is none. Another kind is refused by the API server,
/// and is so here.
pub(crate) fn field<'d>(
    object: Value<'d>,
    name: &str,
    kind: Kind,
    found: &mut Findings,
) -> Option<Value<'d>> {
    let value = object.get(name).filter(|value| !value.is_null())?;
    if value.kind() == kind {
        return Some(value);
    }
    let (is, must) = (value.kind().describe(), kind.describe());
    let mut wrong = Diagnostic::error("kube-type", format!("`{name}` is {is} and must be {must}"))
        .at(value.span(), format!("{is}, as Kubernetes reads it"));
    if kind == Kind::String && matches!(value.kind(), Kind::Number | Kind::Bool) {
        wrong = wrong.help(format!("put it in quotes: \"{}\"", short(value.content())));
    } else if kind == Kind::Bool && value.kind() == Kind::String {
        wrong = wrong.help("write true or false, without quotes");
    }
    found.push(wrong);
    None
}

/// A word of the text for a message, cut where it is longer than any sensible one.
pub(crate) fn short(word: &str) -> String {
    const LONGEST: usize = 100;
    match word.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &word[..at]),
        None => word.to_owned(),
    }
}
