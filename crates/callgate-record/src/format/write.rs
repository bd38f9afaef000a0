//! From a run to lines.

use std::collections::{BTreeMap, BTreeSet};

use callgate_syscalls::Abi;
use serde::Serialize;

use super::{
    CallLine, EndLine, FORMAT_VERSION, HEADER, InLine, RunLine, UnwatchedLine, ValuesLine,
};
use crate::{Fact, Key, Recording, Run, RunId};

/// The first line of a recording.
pub(crate) fn header() -> String {
    format!("{{\"{HEADER}\":{FORMAT_VERSION}}}\n")
}

/// Which part of a run is to be written.
pub(crate) struct Change<'a> {
    pub begin: bool,
    pub facts: &'a BTreeSet<Key>,
    /// Everything that is neither the beginning nor a fact.
    pub rest: bool,
}

pub(super) fn text(recording: &Recording) -> String {
    let mut out = header();
    for (&id, run) in &recording.runs {
        let facts = run.facts.keys().cloned().collect();
        out.push_str(&lines(id, run, &Change { begin: true, facts: &facts, rest: true }));
    }
    out
}

/// What has changed of a run, line by line.
pub(crate) fn lines(id: RunId, run: &Run, change: &Change<'_>) -> String {
    let mut out = String::new();
    if change.begin {
        let info = &run.info;
        push(
            &mut out,
            &RunLine {
                run: id.to_string(),
                command: info.command.clone(),
                method: info.method.clone(),
                kernel: info.kernel.clone(),
                machine: info.machine.map(|abi| abi.name().to_owned()),
                start: info.start,
            },
        );
    }
    let line = || InLine { run: id.to_string(), ..InLine::default() };
    for key in change.facts {
        if let Some(fact) = run.facts.get(key) {
            push(&mut out, &InLine { call: Some(call(key, fact)), ..line() });
        }
    }
    if !change.rest {
        return out;
    }
    let mut unwatched: BTreeMap<Abi, Vec<u32>> = BTreeMap::new();
    for call in &run.unwatched {
        unwatched.entry(call.abi).or_default().push(call.number.0);
    }
    for (abi, numbers) in unwatched {
        let unwatched = UnwatchedLine { abi: abi.name().to_owned(), numbers };
        push(&mut out, &InLine { unwatched: Some(unwatched), ..line() });
    }
    if !run.losses.is_empty() {
        push(&mut out, &InLine { lost: Some(run.losses.clone()), ..line() });
    }
    for library in &run.libraries {
        push(&mut out, &InLine { library: Some(library.clone()), ..line() });
    }
    if let Some(end) = run.end {
        let end = EndLine { after: end.after, status: end.status };
        push(&mut out, &InLine { end: Some(end), ..line() });
    }
    out
}

fn call(key: &Key, fact: &Fact) -> CallLine {
    let values = |values: &crate::Values| match values.listed() {
        Some(listed) => ValuesLine::Listed(listed.iter().copied().collect()),
        None => ValuesLine::Mask { mask: values.mask() },
    };
    CallLine {
        abi: key.call.abi.name().to_owned(),
        number: key.call.number.0,
        name: key.call.name().map(str::to_owned),
        exe: key.executable.clone(),
        phase: key.phase.to_string(),
        count: fact.count,
        refused: fact.refused,
        args: fact.arguments.iter().map(|(index, v)| (index.to_string(), values(v))).collect(),
        errors: fact.errors.iter().map(|(errno, &n)| (errno.to_string(), n)).collect(),
        seen: fact.seen,
    }
}

/// One line. Text, numbers and lists always are JSON.
fn push(out: &mut String, line: &impl Serialize) {
    if let Ok(text) = serde_json::to_string(line) {
        out.push_str(&text);
        out.push('\n');
    }
}
