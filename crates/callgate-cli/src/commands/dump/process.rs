//! `dump --pid`: all filters of all threads.

use std::{fmt::Write, path::Path};

use callgate_bpf::{Action, Op, Program, RawAction};
use callgate_kernel::{ThreadGroup, threads_of};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Args, Format, file};
use crate::{
    commands::{
        Failure,
        compile::format::{self, JsonInstruction},
    },
    output, report,
    source::{live, plural},
};

/// Threads that the same filters hold.
struct Group {
    threads: Vec<i32>,
    strict: bool,
    /// Oldest first.
    filters: Vec<Filter>,
}

struct Filter {
    program: Program,
    log: Option<bool>,
    file: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub struct Json {
    pid: i32,
    /// One where all threads are held alike.
    groups: Vec<JsonGroup>,
}

#[derive(Serialize, JsonSchema)]
struct JsonGroup {
    threads: Vec<i32>,
    /// In strict mode, which is no filter.
    strict: bool,
    /// Oldest first.
    filters: Vec<JsonFilter>,
}

#[derive(Serialize, JsonSchema)]
struct JsonFilter {
    /// Counted from 1, the oldest.
    number: usize,
    /// Whether it was loaded with SECCOMP_FILTER_FLAG_LOG; no other flag can be read back, nor
    /// whether the filter has a listener. Null where the kernel does not tell.
    log: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    instructions: Vec<JsonInstruction>,
}

pub fn dump(args: &Args, pid: i32) -> Result<(), Failure> {
    let groups = threads_of(pid).map_err(|error| format!("process {pid}: {error}"))?;
    let mut groups = groups.into_iter().map(programs).collect::<Result<Vec<_>, _>>()?;
    if groups.iter().all(|group| group.filters.is_empty() && !group.strict) {
        report::note(format!("no filter holds process {pid}: every call is allowed"));
    }
    if groups.iter().flat_map(|group| &group.filters).any(|filter| notifies(&filter.program)) {
        report::note(
            "a filter answers user_notif; the kernel does not tell whether it has a listener, without which such a call ends in ENOSYS",
        );
    }
    if let Some(folder) = &args.output {
        write(&mut groups, pid, folder, args.format.unwrap_or(Format::Raw))?;
    }
    match (args.json, &args.output, args.format.unwrap_or(Format::Asm)) {
        (true, ..) => output::print_json(&json(pid, groups))?,
        (false, Some(_), _) => output::print(&summary(pid, &groups))?,
        (false, None, Format::Asm) => output::print(&listing(pid, &groups))?,
        (false, None, other) => print_one(pid, &groups, other)?,
    }
    Ok(())
}

fn programs(group: ThreadGroup) -> Result<Group, Failure> {
    let ThreadGroup { threads, strict, filters, .. } = group;
    let filter = |filter: callgate_kernel::DumpedFilter| {
        let log = filter.log;
        Ok(Filter { program: live::program(filter)?, log, file: None })
    };
    let filters = filters.into_iter().map(filter).collect::<Result<Vec<_>, String>>()?;
    Ok(Group { threads, strict, filters })
}

/// Whether a filter asks a listener about some calls.
fn notifies(program: &Program) -> bool {
    program.instructions().iter().any(|instruction| match instruction.decode() {
        Some(Op::Return(word)) => RawAction(word).action() == Action::UserNotif,
        _ => false,
    })
}

/// The name of a group as a source: the process where all threads are alike, else one thread.
fn source(pid: i32, groups: &[Group], group: &Group) -> (&'static str, i32) {
    match group.threads.first() {
        Some(&tid) if groups.len() > 1 => ("tid", tid),
        _ => ("pid", pid),
    }
}

fn write(groups: &mut [Group], pid: i32, folder: &Path, format: Format) -> Result<(), Failure> {
    file::make_folder(folder)?;
    let names: Vec<String> = groups
        .iter()
        .map(|group| {
            let (kind, number) = source(pid, groups, group);
            format!("{kind}{number}")
        })
        .collect();
    for (group, name) in groups.iter_mut().zip(names) {
        for (index, filter) in group.filters.iter_mut().enumerate() {
            let stem = format!("{name}-{}", index + 1);
            let path = format.write(&filter.program, folder, &stem)?;
            filter.file = Some(path.display().to_string());
        }
    }
    Ok(())
}

/// A program alone, without words around it.
fn print_one(pid: i32, groups: &[Group], format: Format) -> Result<(), Failure> {
    let all: Vec<&Filter> = groups.iter().flat_map(|group| &group.filters).collect();
    let [filter] = all[..] else {
        return Err(Failure::Message(format!(
            "process {pid}: there are {}, and a program in this format stands alone; write them to files with -o DIR",
            plural(all.len(), "filter")
        )));
    };
    let bytes = format.bytes(&filter.program, &format!("pid {pid}"));
    Ok(output::write(None, &bytes, format != Format::Raw)?)
}

fn json(pid: i32, groups: Vec<Group>) -> Json {
    let filter = |(index, filter): (usize, Filter)| JsonFilter {
        number: index + 1,
        log: filter.log,
        instructions: format::json_instructions(filter.program.instructions()),
        file: filter.file,
    };
    let group = |group: Group| JsonGroup {
        threads: group.threads,
        strict: group.strict,
        filters: group.filters.into_iter().enumerate().map(filter).collect(),
    };
    Json { pid, groups: groups.into_iter().map(group).collect() }
}

/// A line for each group and each filter.
fn summary(pid: i32, groups: &[Group]) -> String {
    let mut text = String::new();
    for group in groups {
        heading(&mut text, pid, groups, group);
        for (index, filter) in group.filters.iter().enumerate() {
            let _ = write!(text, "  {}", line(group, index, filter));
            if let Some(file) = &filter.file {
                let _ = write!(text, " -> {}", report::printable_name(file));
            }
            text.push('\n');
        }
    }
    text
}

/// The summary, with the listing after each filter; everything else is a comment of the assembler.
fn listing(pid: i32, groups: &[Group]) -> String {
    let mut text = String::new();
    for group in groups {
        text.push_str("; ");
        heading(&mut text, pid, groups, group);
        for (index, filter) in group.filters.iter().enumerate() {
            let _ = writeln!(text, "; {}", line(group, index, filter));
            text.push_str(&format::listing(&filter.program));
        }
    }
    text
}

fn heading(text: &mut String, pid: i32, groups: &[Group], group: &Group) {
    let (kind, number) = source(pid, groups, group);
    let what = match group.filters.len() {
        _ if group.strict => "strict mode, which is no filter".to_owned(),
        0 => "no filter".to_owned(),
        1 => "1 filter".to_owned(),
        count => format!("{count} filters, oldest first"),
    };
    let _ = writeln!(text, "{kind}:{number} ({}): {what}", live::threads(&group.threads));
}

fn line(group: &Group, index: usize, filter: &Filter) -> String {
    let log = match filter.log {
        Some(true) => "LOG flag set",
        Some(false) => "LOG flag not set",
        None => "LOG flag unknown to this kernel",
    };
    let newest = group.filters.len() - 1 - index;
    format!(
        "{}: {}, {log}",
        live::filter_name(newest, group.filters.len()),
        plural(filter.program.len(), "instruction")
    )
}
