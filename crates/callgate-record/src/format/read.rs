//! From lines to a recording.

use std::{collections::BTreeMap, fmt::Display, str::FromStr};

use callgate_bpf::SyscallNr;
use callgate_syscalls::Abi;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    CallLine, FACT_LIMIT, FORMAT_VERSION, FormatError, HEADER, InLine, Kind, LINE_LIMIT, Reading,
    RunLine, ValuesLine,
};
use crate::{Call, End, Fact, Key, Recording, Run, RunId, RunInfo, Values};

/// The largest error number, the kernel's MAX_ERRNO.
const MAX_ERRNO: u16 = 4095;

pub(super) fn read(bytes: &[u8]) -> Result<Reading, FormatError> {
    let mut recording = Recording::default();
    let mut facts = 0;
    let mut rest = bytes;
    let mut line = 0;
    while !rest.is_empty() {
        line += 1;
        let end = rest.iter().position(|&byte| byte == b'\n');
        let (text, after) = match end {
            Some(end) => (&rest[..end], &rest[end + 1..]),
            None => (rest, &[][..]),
        };
        let read = one(text, line == 1, &mut recording);
        match read {
            Ok(is_fact) => facts += usize::from(is_fact),
            // Only the last line can have been torn by the recorder's end. A first line that is
            // the beginning of a header was, too.
            Err(Kind::Json(_)) if end.is_none() && line > 1 => {
                return Ok(Reading {
                    recording,
                    torn: Some(line),
                    whole: bytes.len() - rest.len(),
                });
            }
            Err(kind) => return Err(FormatError { line, kind }),
        }
        if facts > FACT_LIMIT {
            return Err(FormatError { line, kind: Kind::TooMuch });
        }
        rest = after;
    }
    if line == 0 {
        return Err(FormatError { line: 1, kind: Kind::NoHeader });
    }
    Ok(Reading { recording, torn: None, whole: bytes.len() })
}

/// Reads a line; the result is whether it held a fact.
fn one(text: &[u8], first: bool, recording: &mut Recording) -> Result<bool, Kind> {
    if text.len() > LINE_LIMIT {
        return Err(if first { Kind::NoHeader } else { Kind::LongLine });
    }
    let value = serde_json::from_slice::<Map<String, Value>>(text);
    let object = match value {
        Ok(object) => object,
        Err(_) if first => return Err(Kind::NoHeader),
        Err(error) => return Err(Kind::Json(brief(&error))),
    };
    if let Some(version) = object.get(HEADER) {
        return match version.as_u64() {
            Some(FORMAT_VERSION) => Ok(false),
            version => Err(Kind::Version(version.unwrap_or(0))),
        };
    }
    if first {
        return Err(Kind::NoHeader);
    }
    if object.contains_key("run") {
        let (id, info) = run(typed(object, "run")?)?;
        recording.merge(&Recording::of_run(id, Run { info, ..Run::default() }));
        return Ok(false);
    }
    if !object.contains_key("in") {
        return Err(Kind::Nothing);
    }
    let is_fact = object.contains_key("number");
    // The fields of a call are all there or none is: say which one is wrong.
    let call = if is_fact { Some(typed::<CallLine>(object.clone(), "call")?) } else { None };
    let line: InLine = typed(object, "in")?;
    let id = parsed::<RunId>(&line.run, "in", "no run's sixteen hexadecimal digits")?;
    let mut run = Run::default();
    if let Some(call) = call {
        let (key, fact) = fact(call)?;
        run.facts.insert(key, fact);
    }
    if let Some(unwatched) = line.unwatched {
        let abi = abi(&unwatched.abi)?;
        let call = |number| Call { abi, number: SyscallNr(number) };
        run.unwatched.extend(unwatched.numbers.into_iter().map(call));
    }
    run.losses = line.lost.unwrap_or_default();
    run.libraries.extend(line.library);
    run.end = line.end.map(|end| End { after: end.after, status: end.status });
    if run == Run::default() {
        return Err(Kind::Nothing);
    }
    recording.merge(&Recording::of_run(id, run));
    Ok(is_fact)
}

fn run(line: RunLine) -> Result<(RunId, RunInfo), Kind> {
    let id = parsed(&line.run, "run", "no run's sixteen hexadecimal digits")?;
    let info = RunInfo {
        command: line.command,
        method: line.method,
        kernel: line.kernel,
        machine: line.machine.as_deref().map(abi).transpose()?,
        start: line.start,
    };
    Ok((id, info))
}

fn fact(line: CallLine) -> Result<(Key, Fact), Kind> {
    let call = Call { abi: abi(&line.abi)?, number: SyscallNr(line.number) };
    let phase = parsed(&line.phase, "phase", "none of unknown, start-up, running, after:…")?;
    let mut arguments = BTreeMap::new();
    for (index, values) in line.args {
        let index = parsed::<u8>(&index, "args", "no argument's position")?;
        if index > 5 {
            return Err(Kind::Field("args", format!("a call has no argument {index}")));
        }
        let values = match values {
            ValuesLine::Listed(values) => Values::of(values),
            ValuesLine::Mask { mask } => Values::from_parts(mask, None),
        };
        arguments.insert(index, values);
    }
    let mut errors = BTreeMap::new();
    for (errno, count) in line.errors {
        let errno = parsed::<u16>(&errno, "errors", "no error number")?;
        if errno == 0 || errno > MAX_ERRNO {
            return Err(Kind::Field("errors", format!("{errno} is no error number")));
        }
        errors.insert(errno, count);
    }
    if line.seen.is_some_and(|(first, last)| first > last) {
        return Err(Kind::Field("seen", "the last time is before the first".to_owned()));
    }
    let key = Key { call, executable: line.exe, phase };
    let fact =
        Fact { count: line.count, refused: line.refused, arguments, errors, seen: line.seen };
    Ok((key, fact))
}

fn abi(name: &str) -> Result<Abi, Kind> {
    Abi::from_name(name)
        .ok_or_else(|| Kind::Field("abi", format!("{:.40?} is no architecture", name)))
}

fn parsed<T: FromStr>(text: &str, field: &'static str, why: &str) -> Result<T, Kind> {
    text.parse().map_err(|_| Kind::Field(field, format!("{text:.40?} is {why}")))
}

fn typed<T: DeserializeOwned>(object: Map<String, Value>, what: &'static str) -> Result<T, Kind> {
    serde_json::from_value(Value::Object(object)).map_err(|error| Kind::Field(what, brief(&error)))
}

/// An error without the place, which would be one within the line, and no longer than a line.
fn brief(error: &impl Display) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    text.escape_debug().take(120).collect()
}
