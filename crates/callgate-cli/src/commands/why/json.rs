//! `why --json`.

use callgate_kernel::{End as ProcessEnd, Outcome, SeccompRecord};
use callgate_syscalls::{Abi, errno};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    container::{Other, kills},
    fix::Edit,
};
use crate::{
    commands::Failure,
    output,
    refusals::{Argument, Known, Place, Refusal, Refusals, Site},
};

#[derive(Serialize, JsonSchema)]
struct Json<'a> {
    profile: &'a str,
    /// What callgate exits with.
    status: u8,
    /// Calls in all.
    refused: u64,
    refusals: Vec<JsonRefusal<'a>>,
    /// Whether callgate was asked to end while processes of the command were left, whose refused
    /// calls fail with ENOSYS from then on.
    left: bool,
    /// Why something went otherwise than under `run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    own_listener: Option<String>,
    /// What is told of a container alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<JsonContainer<'a>>,
}

/// Of a container that ran already.
#[derive(Serialize, JsonSchema)]
pub struct JsonContainer<'a> {
    id: &'a str,
    /// Calls that failed for want of permission, and not by the filter, each once.
    others: Vec<JsonOther<'a>>,
    /// Kills of which only the audit log tells.
    kills: Vec<JsonKill<'a>>,
    /// Calls that a supervisor or a tracer of the container's answered.
    answered: u64,
    /// Calls that the kernel did not enter.
    counted: u64,
    /// Of these, those that came too fast to be looked at.
    lost: u64,
}

#[derive(Serialize, JsonSchema)]
struct JsonOther<'a> {
    syscall: Option<&'static str>,
    text: String,
    errno: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<std::borrow::Cow<'a, str>>,
}

#[derive(Serialize, JsonSchema)]
struct JsonKill<'a> {
    /// Its name, or `syscall` and its number.
    call: String,
    verdict: &'a str,
    process: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<&'a str>,
    instruction_pointer: u64,
}

/// Calls that are alike; what is said beside `count` is of the first.
#[derive(Serialize, JsonSchema)]
struct JsonRefusal<'a> {
    /// None for a number that no table knows.
    syscall: Option<&'static str>,
    number: u32,
    arch: Option<&'static str>,
    audit_arch: u32,
    arguments: Vec<JsonArgument<'a>>,
    /// `unshare(CLONE_NEWUSER)`; what was read from memory has a star.
    text: String,
    action: String,
    /// The error that the program got, where it got one.
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<&'static str>,
    count: u64,
    /// Whether callgate made it itself, on the way to the command; `from` is left out then.
    starts_command: bool,
    /// Whether others of them had other arguments.
    varied: bool,
    by: JsonBy<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<JsonSite<'a>>,
    then: JsonThen,
    /// What would allow it.
    edit: JsonEdit<'a>,
}

#[derive(Serialize, JsonSchema)]
struct JsonArgument<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    value: u64,
    text: &'a str,
    /// The text is what lay in the program's memory: another thread may have changed it since.
    from_memory: bool,
}

#[derive(Serialize, JsonSchema)]
struct JsonBy<'a> {
    /// The filter, where it is another than `profile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<&'a str>,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
struct JsonSite<'a> {
    /// Behind the instruction that made the call.
    at: JsonPlace<'a>,
    /// Who called the library.
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<JsonPlace<'a>>,
    /// The library's function that was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    through: Option<&'a str>,
}

#[derive(Serialize, JsonSchema)]
struct JsonPlace<'a> {
    file: &'a str,
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol_offset: Option<u64>,
}

/// What the process did next.
#[derive(Serialize, JsonSchema)]
struct JsonThen {
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    exited: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    /// What differs from the kernel's own doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    approximation: Option<&'static str>,
}

#[derive(Serialize, JsonSchema)]
struct JsonEdit<'a> {
    text: String,
    /// An entry to add, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    add: Option<serde_json::Value>,
    /// An entry out of which to take the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    remove_from_entry: Option<usize>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    none: Option<&'a str>,
}

/// What is told of a container.
pub fn of_container<'a>(
    id: &'a str,
    others: &'a [Other],
    kills: &'a [SeccompRecord],
    [answered, counted, lost]: [u64; 3],
) -> JsonContainer<'a> {
    let other = |other: &'a Other| JsonOther {
        syscall: other.call.name,
        text: other.call.to_string(),
        errno: other.errno,
        executable: other.executable.as_ref().map(|path| path.to_string_lossy()),
    };
    let kill = |record: &'a SeccompRecord| JsonKill {
        call: kills::call(record),
        verdict: kills::verdict(record),
        process: record.pid,
        executable: record.exe.as_deref(),
        instruction_pointer: record.instruction_pointer,
    };
    JsonContainer {
        id,
        others: others.iter().map(other).collect(),
        kills: kills.iter().map(kill).collect(),
        answered,
        counted,
        lost,
    }
}

pub fn text(
    profile: &str,
    refused: &Refusals,
    edits: &[Result<Edit, String>],
    status: u8,
    left: bool,
    container: Option<JsonContainer<'_>>,
) -> Result<String, Failure> {
    let json = Json {
        profile,
        status,
        left,
        refused: refused.total(),
        refusals: refused.rows().iter().zip(edits).map(|(row, edit)| refusal(row, edit)).collect(),
        own_listener: refused.own_listener(),
        container,
    };
    let mut text = serde_json::to_string_pretty(&json)?;
    text.push('\n');
    Ok(text)
}

fn refusal<'a>(row: &'a Refusal, edit: &'a Result<Edit, String>) -> JsonRefusal<'a> {
    let name = match row.action {
        callgate_bpf::Action::Errno(number) => errno::name(number),
        _ => None,
    };
    JsonRefusal {
        syscall: row.call.name,
        number: row.data.nr.0,
        arch: row.call.abi.map(Abi::name),
        audit_arch: row.data.arch.0,
        arguments: row.call.arguments.iter().map(argument).collect(),
        text: row.call.to_string(),
        action: row.action.to_string(),
        errno: name,
        count: row.count,
        starts_command: row.is_start,
        varied: row.varied,
        by: JsonBy {
            filter: row.by.filter.as_deref(),
            text: &row.by.text,
            entry: row.by.entry,
            line: row.by.place.map(|place| place.0),
            column: row.by.place.map(|place| place.1),
        },
        executable: row.executable.as_ref().map(|path| path.display().to_string()),
        process: row.caller.as_ref().map(callgate_kernel::Caller::pid),
        from: row.site.as_ref().map(site),
        then: then(row),
        edit: match edit {
            Ok(Edit { rule, remove }) => JsonEdit {
                text: super::fix::words(edit),
                add: rule.as_ref().and_then(|rule| serde_json::from_str(rule).ok()),
                remove_from_entry: remove.as_ref().map(|(_, entry)| *entry),
                none: None,
            },
            Err(why) => JsonEdit {
                text: super::fix::words(edit),
                add: None,
                remove_from_entry: None,
                none: Some(why),
            },
        },
    }
}

fn argument(argument: &Argument) -> JsonArgument<'_> {
    JsonArgument {
        name: argument.name,
        value: argument.value,
        text: &argument.text,
        from_memory: argument.known == Known::Memory,
    }
}

fn site(site: &Site) -> JsonSite<'_> {
    JsonSite {
        at: place(&site.at),
        caller: site.caller.as_ref().map(place),
        through: site.through.as_deref().filter(|_| site.caller.is_some()),
    }
}

fn place(place: &Place) -> JsonPlace<'_> {
    JsonPlace {
        file: &place.file,
        offset: place.offset,
        symbol: place.symbol.as_ref().map(|symbol| symbol.name.as_str()),
        symbol_offset: place.symbol.as_ref().map(|symbol| symbol.offset),
    }
}

fn then(row: &Refusal) -> JsonThen {
    let end = row.end();
    let exited = match end {
        ProcessEnd::Known(Outcome::Exited(status)) => Some(status),
        _ => None,
    };
    let signal = match end {
        ProcessEnd::Known(Outcome::Signaled { signal, .. }) => Some(signal.to_string()),
        _ => None,
    };
    JsonThen { text: row.then(), exited, signal, approximation: row.approximation }
}

/// The schema of what --json prints.
pub fn schema() -> schemars::Schema {
    output::schema_of::<Json<'static>>()
}
