//! Differences as a person would say them, alike ones together.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};

use callgate_bpf::{Action, Architecture, SeccompData, SyscallNr};
use callgate_syscalls::{Abi, Arg, errno, from_audit, syscall};
use callgate_verdict::{Difference, Manager, Predicate};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{names::abi_of, output, source::plural};

/// Values of an argument that are listed one by one.
const VALUE_LIMIT: usize = 4;

/// The column in which the calls of an architecture stand.
const INDENT: &str = "                 ";

#[derive(Serialize, JsonSchema)]
pub struct JsonDifference {
    arch: String,
    names: Vec<&'static str>,
    first_number: u32,
    last_number: u32,
    left: String,
    right: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<String>,
    example: Example,
}

#[derive(Serialize, JsonSchema)]
struct Example {
    text: String,
    arch: u32,
    number: u32,
    arguments: [u64; 6],
}

pub fn json(manager: &Manager, differences: &[Difference]) -> Vec<JsonDifference> {
    differences
        .iter()
        .map(|difference| {
            let [left, right] = actions(manager, difference);
            let abi = abi_of(difference.arch, difference.first);
            JsonDifference {
                arch: architecture(difference),
                names: abi.map_or_else(Vec::new, |abi| names(abi, difference)),
                first_number: difference.first.0,
                last_number: difference.last.0,
                left: left.to_string(),
                right: right.to_string(),
                condition: condition(manager, difference),
                example: Example {
                    text: call(&difference.example),
                    arch: difference.example.arch.0,
                    number: difference.example.nr.0,
                    arguments: difference.example.args,
                },
            }
        })
        .collect()
}

/// Differences of one kind.
#[derive(Default)]
struct Group {
    /// For each architecture, names and ranges of numbers.
    calls: BTreeMap<String, Vec<String>>,
    example: Option<SeccompData>,
}

pub fn text(manager: &Manager, differences: &[Difference], [a, b]: [&str; 2]) -> String {
    let mut groups: Vec<(String, Group)> = Vec::new();
    for difference in differences {
        let [left, right] = actions(manager, difference);
        let when = condition(manager, difference).map_or_else(String::new, |c| format!(" {c}"));
        let sentence = format!("{a} {}, {b} {}{when}", verb(left), verb(right));
        let index = groups.iter().position(|(of, _)| *of == sentence).unwrap_or_else(|| {
            groups.push((sentence, Group::default()));
            groups.len() - 1
        });
        let group = &mut groups[index].1;
        let abi = abi_of(difference.arch, difference.first);
        let named = abi.map_or_else(Vec::new, |abi| names(abi, difference));
        let arch = architecture(difference);
        let calls = group.calls.entry(arch).or_default();
        let has_names = !named.is_empty();
        let range = u64::from(difference.last.0) - u64::from(difference.first.0) + 1;
        let unnamed = range > u64::try_from(named.len()).unwrap_or(u64::MAX);
        calls.extend(named.into_iter().map(str::to_owned));
        if unnamed && !has_names {
            calls.push(numbers(difference));
        } else if unnamed {
            calls.push(format!("unused numbers in {}", numbers(difference)));
        }
        group.example.get_or_insert(difference.example);
    }
    let counts = counts(differences);
    let counts = if counts.is_empty() { "no named syscall".to_owned() } else { counts.join(", ") };
    let mut text = format!("different: {counts}; the same otherwise\n");
    for (sentence, group) in groups {
        let _ = writeln!(text, "  {sentence}");
        for (arch, calls) in group.calls {
            let lines = output::wrapped(INDENT, ", ", &calls);
            let _ = write!(text, "    {arch:<12} {}", &lines[INDENT.len()..]);
        }
        if let Some(example) = group.example {
            let _ = writeln!(text, "    {:<12} {}", "for example", call(&example));
        }
    }
    text
}

/// `3 syscalls on x86` for each architecture on which system calls differ.
pub fn counts(differences: &[Difference]) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for difference in differences {
        let abi = abi_of(difference.arch, difference.first);
        let named = abi.map_or(0, |abi| names(abi, difference).len());
        *counts.entry(architecture(difference)).or_default() += named;
    }
    let counts = counts.iter().filter(|(_, count)| **count > 0);
    counts.map(|(arch, count)| format!("{} on {arch}", plural(*count, "syscall"))).collect()
}

/// A call of which the predicate holds, of this machine if there is one.
pub fn preferred(manager: &mut Manager, predicate: Predicate) -> Option<SeccompData> {
    let native = Abi::native()?;
    let of_native = native.syscalls().find_map(|(nr, _)| {
        manager.nearest(predicate, &SeccompData::new(native.audit(), nr)).ok()?
    });
    of_native.or_else(|| manager.witness(predicate))
}

/// What each does with the example.
fn actions(manager: &Manager, difference: &Difference) -> [Action; 2] {
    [difference.left, difference.right]
        .map(|diagram| manager.decide(diagram, &difference.example).action())
}

/// `refuses (EPERM)`
pub fn verb(action: Action) -> String {
    match action {
        Action::Allow => "allows".to_owned(),
        Action::Log => "allows and logs".to_owned(),
        Action::Errno(0) => "skips, returning 0,".to_owned(),
        Action::Errno(number) => match errno::name(number) {
            Some(name) => format!("refuses ({name})"),
            None => format!("refuses (error {number})"),
        },
        Action::KillProcess => "kills the process".to_owned(),
        Action::KillThread => "kills the thread".to_owned(),
        Action::Trap(_) => "traps".to_owned(),
        Action::UserNotif => "asks the supervisor".to_owned(),
        Action::Trace(_) => "asks the tracer".to_owned(),
        other => other.to_string(),
    }
}

/// `when domain is 40`, or that it depends on more; nothing where the arguments do not matter.
fn condition(manager: &Manager, difference: &Difference) -> Option<String> {
    let fields = ["args[0]", "args[1]", "args[2]", "args[3]", "args[4]", "args[5]"];
    let everything = [(0, u64::MAX)];
    for (index, field) in fields.into_iter().enumerate() {
        let values = manager.intervals(difference.arguments, field, VALUE_LIMIT);
        match values {
            Some(values) if values == everything => return None,
            Some(values) => {
                let list: Vec<String> = values.into_iter().map(interval).collect();
                let name = argument_name(difference, index);
                return Some(format!("when {name} is {}", list.join(" or ")));
            }
            None => {}
        }
    }
    Some("for some arguments".to_owned())
}

fn argument_name(difference: &Difference, index: usize) -> String {
    arguments(difference.arch, difference.first)
        .and_then(|arguments| arguments.get(index))
        .map_or_else(|| format!("argument {index}"), |argument| argument.name.to_owned())
}

fn arguments(arch: Architecture, nr: SyscallNr) -> Option<&'static [Arg]> {
    let abi = abi_of(arch, nr)?;
    let facts = syscall(abi.name_of(nr)?)?;
    facts.args_known.then(|| facts.args_on(abi))
}

fn interval((first, last): (u64, u64)) -> String {
    match (first, last) {
        _ if first == last => Number(first).to_string(),
        (0, last) => format!("at most {}", Number(last)),
        (first, u64::MAX) => format!("at least {}", Number(first)),
        _ => format!("{} to {}", Number(first), Number(last)),
    }
}

/// Decimal where that is how people write it.
struct Number(u64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0x1_0000 { write!(f, "{}", self.0) } else { write!(f, "{:#x}", self.0) }
    }
}

/// `socket(40, 0, 0)`, with the architecture where it is not this machine's own.
pub fn call(data: &SeccompData) -> String {
    let mut text = String::new();
    write_call(&mut text, data);
    text
}

/// [`call`], at the end of a text.
pub fn write_call(text: &mut String, data: &SeccompData) {
    let abi = abi_of(data.arch, data.nr);
    let name = abi.and_then(|abi| abi.name_of(data.nr));
    let count = name.and_then(syscall).filter(|facts| facts.args_known).zip(abi).map_or_else(
        || 6 - data.args.iter().rev().take_while(|&&value| value == 0).count(),
        |(facts, abi)| facts.args_on(abi).len(),
    );
    let _ = match name {
        Some(name) => write!(text, "{name}("),
        None => write!(text, "syscall {}(", data.nr),
    };
    for (index, &value) in data.args.iter().take(count).enumerate() {
        text.push_str(if index == 0 { "" } else { ", " });
        let _ = write!(text, "{}", Number(value));
    }
    text.push(')');
    let _ = match abi {
        Some(abi) if Some(abi) == Abi::native() => Ok(()),
        Some(abi) => write!(text, " on {}", abi.name()),
        None => write!(text, " on architecture {:?}", data.arch),
    };
}

fn names(abi: Abi, difference: &Difference) -> Vec<&'static str> {
    abi.syscalls_between(difference.first, difference.last).map(|(_, name)| name).collect()
}

fn numbers(difference: &Difference) -> String {
    if difference.first == difference.last {
        format!("number {}", difference.first)
    } else {
        format!("numbers {} to {}", difference.first, difference.last)
    }
}

fn architecture(difference: &Difference) -> String {
    if difference.arch != difference.last_arch {
        return "other architectures".to_owned();
    }
    let name = abi_of(difference.arch, difference.first)
        .or_else(|| from_audit(difference.arch).next())
        .map(|abi| abi.name().to_owned());
    name.unwrap_or_else(|| format!("{:?}", difference.arch))
}
