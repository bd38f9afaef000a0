//! `dump -- COMMAND`: every filter that it and all that it starts load.

use std::path::Path;

use callgate_bpf::{ByteOrder, Layout, Program};
use callgate_kernel::{CaughtFilter, CrossCheck, Launch, LoadCall};
use callgate_syscalls::from_audit;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Args, Format, file};
use crate::{
    commands::{
        Failure,
        compile::format::{self, JsonInstruction},
        run::OWN_ERROR,
    },
    output, report,
    source::plural,
};

#[derive(Serialize, JsonSchema)]
pub struct Json {
    status: u8,
    /// In the order in which they were loaded.
    filters: Vec<JsonFilter>,
}

#[derive(Serialize, JsonSchema)]
struct JsonFilter {
    number: usize,
    pid: i32,
    /// The thread that loaded it.
    tid: i32,
    executable: Option<String>,
    /// Of the call: x86 for an int 0x80 of a 64-bit program.
    arch: String,
    /// `prctl` or `seccomp`.
    call: &'static str,
    /// Without the prefix SECCOMP_FILTER_FLAG_.
    flags: Vec<&'static str>,
    flag_word: u32,
    /// The number of the listener's descriptor in the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<i32>,
    /// `same`, `differs`, or why the kernel was not asked.
    cross_check: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    instructions: Vec<JsonInstruction>,
}

pub fn dump(args: &Args) -> Result<u8, Failure> {
    if callgate_kernel::is_secure_exec() {
        return Err(Failure::Message(
            "callgate was started setuid, setgid or with file capabilities; it does not lend its rights to a command. Remove the bit or the capabilities from the file".to_owned(),
        ));
    }
    if let Some(folder) = &args.output {
        file::make_folder(folder)?;
    } else if args.format.is_some() {
        return Err(Failure::Message(
            "--format says how to write files; say where to with -o DIR".to_owned(),
        ));
    }
    let mut filters = Vec::new();
    let mut unchecked = None;
    let mut failed = false;
    let caught = |filter: CaughtFilter| {
        if let CrossCheck::Unchecked(reason) = &filter.check {
            unchecked.get_or_insert_with(|| reason.to_string());
        }
        let written = write(args, &filter);
        let file = match &written {
            Ok(file) => file.clone(),
            Err(failure) => {
                report::error(failure);
                failed = true;
                None
            }
        };
        crate::report::say_line(line(&filter, file.as_deref()));
        if args.json {
            filters.push(json(&filter, file));
        }
    };
    let finished = Launch::new(&args.command).keep_privileges().run_catching(caught);
    let finished = match finished {
        Ok(finished) => finished,
        Err(error) => {
            report::error(&error);
            return Ok(error.status());
        }
    };
    if let Some(reason) = unchecked {
        report::note(format!(
            "what the calls pointed to is told; it was not compared with what the kernel has: {reason}"
        ));
    }
    if finished.caught == 0 {
        report::note("neither the command nor what it started loaded a filter");
    }
    if finished.released > 0 {
        report::note(format!(
            "{} left running by the command; what it loads from now on is not caught",
            plural(finished.released, "thread")
        ));
    }
    let status = if failed { OWN_ERROR } else { finished.outcome.status() };
    if args.json {
        output::print_json(&Json { status, filters })?;
    }
    Ok(status)
}

/// Writes the file, when a folder is named.
fn write(args: &Args, filter: &CaughtFilter) -> Result<Option<String>, Failure> {
    let Some(folder) = &args.output else { return Ok(None) };
    let layout = Layout::seccomp(ByteOrder::NATIVE);
    let program = Program::new(filter.instructions.clone(), layout)
        .map_err(|error| format!("filter {}: {error}; it was not written", filter.order))?;
    let stem = format!("{}-{}-{}", filter.order, stem_of(filter), filter.pid);
    let path = args.format.unwrap_or(Format::Raw).write(&program, folder, &stem)?;
    Ok(Some(path.display().to_string()))
}

/// The executable's name as a part of a file's name.
fn stem_of(filter: &CaughtFilter) -> String {
    let name = filter.executable.as_deref().and_then(Path::file_name);
    let name = name.map_or_else(|| "unknown".into(), |name| name.to_string_lossy());
    // A file that was replaced meanwhile: `/usr/bin/tor (deleted)`.
    let name = name.strip_suffix(" (deleted)").unwrap_or(&name);
    name.chars()
        .take(64)
        .map(|c| if c.is_ascii_alphanumeric() || "._+-".contains(c) { c } else { '_' })
        .collect()
}

fn line(filter: &CaughtFilter, file: Option<&str>) -> String {
    let who = filter
        .executable
        .as_ref()
        .map_or_else(|| "?".to_owned(), |path| report::printable_name(&path.to_string_lossy()));
    let thread = match filter.tid {
        tid if tid == filter.pid => String::new(),
        tid => format!(", thread {tid}"),
    };
    let listener = filter.listener.map_or_else(String::new, |fd| format!(" (descriptor {fd})"));
    let check = match filter.check {
        CrossCheck::Same => ", as the kernel has it",
        CrossCheck::Differs => ", which the kernel has; the call pointed to another when it began",
        _ => "",
    };
    let file =
        file.map_or_else(String::new, |file| format!(" -> {}", report::printable_name(file)));
    format!(
        "filter {}: {who} (process {}{thread}) by {}, {}, flags {}{listener}: {}{check}{file}",
        filter.order,
        filter.pid,
        call(filter.call),
        arch(filter),
        filter.flags,
        plural(filter.instructions.len(), "instruction"),
    )
}

fn call(call: LoadCall) -> &'static str {
    match call {
        LoadCall::Prctl => "prctl",
        LoadCall::Seccomp => "seccomp",
    }
}

fn arch(filter: &CaughtFilter) -> String {
    from_audit(filter.arch)
        .next()
        .map_or_else(|| format!("{:?}", filter.arch), |abi| abi.name().to_owned())
}

fn json(filter: &CaughtFilter, file: Option<String>) -> JsonFilter {
    JsonFilter {
        number: filter.order,
        pid: filter.pid,
        tid: filter.tid,
        executable: filter.executable.as_ref().map(|path| path.display().to_string()),
        arch: arch(filter),
        call: call(filter.call),
        flags: filter.flags.names(),
        flag_word: filter.flags.0,
        listener: filter.listener,
        cross_check: match &filter.check {
            CrossCheck::Same => "same".to_owned(),
            CrossCheck::Differs => "differs".to_owned(),
            CrossCheck::Unchecked(reason) => reason.to_string(),
            _ => "unknown".to_owned(),
        },
        file,
        instructions: format::json_instructions(&filter.instructions),
    }
}
