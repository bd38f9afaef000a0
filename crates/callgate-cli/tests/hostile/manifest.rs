//! Manifests: what is wrong has its place, and what is read is the same when it is written out.

use std::fmt::Write;

use callgate_diagnostic::Diagnostic;
use callgate_kube::{
    Expected, Findings, Level, look, workloads,
    yaml::{self, Kind, Value},
};

/// Deeper values are not compared: what aliases stand for may be deeper than any text.
const DEEP: usize = 100;

/// Reads a text, and looks at the pods in it. Whether it is read to its end.
pub fn check(text: &str) -> bool {
    let mut ended = true;
    for document in yaml::documents(text) {
        assert!(ended, "nothing is read behind an error: {text:?}");
        let document = match document {
            Ok(document) => document,
            Err(error) => {
                assert!(error.is_error(), "{error}");
                check_places(&[error], text);
                ended = false;
                continue;
            }
        };
        check_again(document.root(), text);
        let mut found = Findings::default();
        let expected = Expected { seccomp_default: false, pod_security: Some(Level::Restricted) };
        for workload in workloads(document.root(), &mut found) {
            let pod = look(&workload, expected, &mut found);
            for container in pod.containers {
                assert!(text.get(container.place.start..container.place.end).is_some(), "{text:?}");
            }
        }
        check_places(found.in_order(), text);
    }
    ended
}

fn check_places(found: &[Diagnostic], text: &str) {
    for finding in found {
        assert!(!finding.labels.is_empty(), "{finding}: {text:?}");
        let labels = finding.labels.iter().map(|label| label.span);
        for span in labels.chain(finding.edits.iter().map(|edit| edit.span)) {
            let place = span.start..span.end;
            assert!(text.get(place).is_some(), "{finding} at {span:?} of {text:?}");
        }
    }
}

/// A value written out as JSON is read as the same.
fn check_again(value: Value<'_>, text: &str) {
    let mut json = String::new();
    if !write(value, DEEP, &mut json) {
        return;
    }
    let document = yaml::documents(&json).next().expect("it is one");
    let document = document.unwrap_or_else(|error| panic!("{error}: {json} from {text:?}"));
    let mut again = String::new();
    assert!(write(document.root(), DEEP, &mut again));
    assert_eq!(again, json, "{text:?}");
}

/// Writes a value as JSON; false where it is too deep. Numbers become strings, for YAML has more
/// of them.
fn write(value: Value<'_>, depth: usize, json: &mut String) -> bool {
    if depth == 0 || json.len() > 1 << 20 {
        return false;
    }
    let span = value.span();
    assert!(span.start <= span.end, "{span:?}");
    match value.kind() {
        Kind::Null => json.push_str("null"),
        Kind::Bool => {
            let _ = write!(json, "{}", value.as_bool().expect("it is one"));
        }
        Kind::Number | Kind::String => {
            json.push_str(&serde_json::json!(value.content()).to_string())
        }
        Kind::Sequence => {
            json.push('[');
            for (index, element) in value.elements().enumerate() {
                json.push_str(if index > 0 { "," } else { "" });
                if !write(element, depth - 1, json) {
                    return false;
                }
            }
            json.push(']');
        }
        Kind::Mapping => {
            json.push('{');
            for (index, (key, member)) in value.members().enumerate() {
                json.push_str(if index > 0 { "," } else { "" });
                json.push_str(&serde_json::json!(key.as_key()).to_string());
                json.push(':');
                if !write(member, depth - 1, json) {
                    return false;
                }
                let found = value.get(key.as_key()).map(Value::span);
                assert_eq!(found, Some(member.span()), "{}", key.as_key());
            }
            json.push('}');
        }
    }
    true
}
