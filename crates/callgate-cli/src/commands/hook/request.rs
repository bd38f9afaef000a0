//! What a runtime tells a hook, and what the container's annotation asks for.

use std::io::Read;

use serde_json::Value;

use crate::report::printable_name;

/// That of oci-seccomp-bpf-hook.
const ANNOTATION: &str = "io.containers.trace-syscall";

/// The most that a state has; the annotations of a pod end at 256 KiB.
const LIMIT: u64 = 4 << 20;

/// A container that asks to be recorded.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    pub id: String,
    /// The container's first process, still the runtime's.
    pub pid: i32,
    /// Where to write.
    pub output: String,
    /// A profile to add to.
    pub input: Option<String>,
}

/// The whole state.
///
/// # Errors
///
/// It is longer than a state can be, or cannot be read.
pub fn read(input: impl Read) -> Result<Vec<u8>, String> {
    let mut state = Vec::new();
    input
        .take(LIMIT + 1)
        .read_to_end(&mut state)
        .map_err(|error| format!("the container's state on standard input: {error}"))?;
    if state.len() as u64 > LIMIT {
        return Err(format!(
            "the container's state on standard input is longer than {LIMIT} bytes"
        ));
    }
    Ok(state)
}

impl Request {
    /// What a state asks for, as config.md and runtime.md of the runtime specification have it;
    /// None where the container has no such annotation.
    ///
    /// # Errors
    ///
    /// It is no state, or its annotation makes no sense.
    pub fn of(state: &[u8]) -> Result<Option<Request>, String> {
        let state: Value = serde_json::from_slice(state).map_err(|error| {
            format!("no container's state on standard input, which a runtime gives to its hooks: {error}")
        })?;
        let missing = |what: &str| format!("the container's state has no {what} that makes sense");
        if !state.is_object() {
            return Err(missing("field"));
        }
        let annotation = match &state["annotations"] {
            Value::Null => return Ok(None),
            Value::Object(annotations) => match annotations.get(ANNOTATION) {
                None => return Ok(None),
                Some(annotation) => annotation.as_str().ok_or_else(|| missing(ANNOTATION))?,
            },
            _ => return Err(missing("annotations")),
        };
        let pid = state["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        let (input, output) = files(annotation)?;
        Ok(Some(Request {
            id: state["id"].as_str().ok_or_else(|| missing("id"))?.to_owned(),
            pid: pid.filter(|&pid| pid > 0).ok_or_else(|| missing("pid"))?,
            output,
            input,
        }))
    }
}

/// `of:FILE`, and `if:PROFILE` before or behind it.
fn files(annotation: &str) -> Result<(Option<String>, String), String> {
    let wrong = || {
        format!(
            "the annotation {ANNOTATION}={} is none of of:FILE and if:PROFILE;of:FILE",
            printable_name(annotation)
        )
    };
    let (mut input, mut output) = (None, None);
    for part in annotation.split(';') {
        let (kind, path) = part.split_once(':').ok_or_else(wrong)?;
        let place = match kind.trim() {
            "if" => &mut input,
            "of" => &mut output,
            _ => return Err(wrong()),
        };
        if place.replace(path.trim().to_owned()).is_some() {
            return Err(wrong());
        }
    }
    Ok((input, output.ok_or_else(wrong)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(annotation: &str) -> Result<Option<Request>, String> {
        let state = serde_json::json!({
            "ociVersion": "1.0.2", "id": "web", "pid": 7, "status": "creating",
            "annotations": { ANNOTATION: annotation },
        });
        Request::of(state.to_string().as_bytes())
    }

    #[test]
    fn annotations_are_those_of_the_hook_that_came_before() {
        let request = |input: Option<&str>| Request {
            id: "web".to_owned(),
            pid: 7,
            output: "/a/b.json".to_owned(),
            input: input.map(str::to_owned),
        };
        assert_eq!(of("of:/a/b.json").unwrap(), Some(request(None)));
        assert_eq!(of("if:/a/c.json;of:/a/b.json").unwrap(), Some(request(Some("/a/c.json"))));
        assert_eq!(of(" of: /a/b.json ; if:/a/c:d").unwrap(), Some(request(Some("/a/c:d"))));
        for wrong in ["", "/a/b.json", "if:/a", "of:/a;of:/b", "of:/a;", "of:/a;xf:/b"] {
            assert!(of(wrong).unwrap_err().contains("is none of"), "{wrong}");
        }
    }

    #[test]
    fn what_asks_for_nothing_is_let_be_and_what_is_no_state_is_an_error() {
        for state in [r#"{"id":"a"}"#, r#"{"annotations":{}}"#, r#"{"annotations":{"x":"of:/a"}}"#]
        {
            assert_eq!(Request::of(state.as_bytes()), Ok(None), "{state}");
        }
        let with = |rest: &str| format!(r#"{{"annotations":{{"{ANNOTATION}":"of:/a"}}{rest}}}"#);
        for state in [
            String::new(),
            "[]".to_owned(),
            "null".to_owned(),
            r#"{"annotations":[]}"#.to_owned(),
            format!(r#"{{"annotations":{{"{ANNOTATION}":1}}}}"#),
            with(""),
            with(r#","id":"a""#),
            with(r#","id":"a","pid":0"#),
            with(r#","id":"a","pid":4294967297"#),
            with(r#","id":1,"pid":7"#),
            "[".repeat(100_000),
        ] {
            assert!(Request::of(state.as_bytes()).is_err(), "{state:.60}");
        }
    }

    #[test]
    fn an_endless_state_ends() {
        assert!(read(std::io::repeat(b' ')).is_err());
    }
}
