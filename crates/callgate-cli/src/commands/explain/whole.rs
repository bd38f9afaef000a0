//! A whole filter: groups of system calls, conditions, and what differs between architectures.

use std::{collections::BTreeMap, fmt::Write};

use callgate_bpf::Action;
use callgate_policy::AbiRules;
use callgate_syscalls::Abi;
use schemars::JsonSchema;
use serde::Serialize;

use super::words::{self, Known, Verdict};
use crate::{output, source::plural};

/// So many names are listed even when they are only what the default says.
const LISTED: usize = 60;

#[derive(Serialize, JsonSchema)]
pub struct Json {
    other_architectures: String,
    architectures: Vec<JsonAbi>,
}

#[derive(Serialize, JsonSchema)]
struct JsonAbi {
    name: &'static str,
    default: String,
    newer: Option<JsonNewer>,
    always: BTreeMap<String, Vec<&'static str>>,
    by_argument: BTreeMap<&'static str, Vec<JsonVerdict>>,
}

#[derive(Serialize, JsonSchema)]
struct JsonNewer {
    above: u32,
    action: String,
}

#[derive(Serialize, JsonSchema)]
struct JsonVerdict {
    action: String,
    when: Option<String>,
}

/// What one ABI's calls come to, by name.
struct Calls {
    abi: Abi,
    verdicts: BTreeMap<&'static str, Vec<Verdict>>,
}

impl Calls {
    fn of(known: Known<'_>, table: &AbiRules) -> Calls {
        let abi = table.abi;
        let verdicts = abi.syscalls().map(|(nr, name)| (name, known.verdicts(abi, nr))).collect();
        Calls { abi, verdicts }
    }

    /// Names whose verdict does not depend on arguments, by verdict, the larger group first.
    fn always(&self, wanted: Option<&str>) -> Vec<(Action, Vec<&'static str>)> {
        let mut groups: BTreeMap<Action, Vec<&'static str>> = BTreeMap::new();
        for (name, verdicts) in &self.verdicts {
            if let [only] = &verdicts[..]
                && is_wanted(only.action, wanted)
            {
                groups.entry(only.action).or_default().push(name);
            }
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(action, _)| std::cmp::Reverse(*action));
        groups
    }

    fn by_argument(&self, wanted: Option<&str>) -> Vec<(&'static str, &[Verdict])> {
        self.verdicts
            .iter()
            .filter(|(_, verdicts)| {
                verdicts.len() > 1 && verdicts.iter().any(|v| is_wanted(v.action, wanted))
            })
            .map(|(name, verdicts)| (*name, &verdicts[..]))
            .collect()
    }
}

/// `kill` means both kills.
fn is_wanted(action: Action, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| {
        action.name() == wanted || wanted == "kill" && action.name().starts_with("kill")
    })
}

pub fn json(known: Known<'_>, wanted: Option<&str>) -> Json {
    let abi = |table: &AbiRules| {
        let calls = Calls::of(known, table);
        let by_argument = calls.by_argument(wanted).into_iter().map(|(name, verdicts)| {
            let verdicts = verdicts.iter().map(|verdict| JsonVerdict {
                action: verdict.action.to_string(),
                when: verdict.condition(table.abi, name),
            });
            (name, verdicts.collect())
        });
        JsonAbi {
            name: table.abi.name(),
            default: table.default.to_string(),
            newer: table
                .newer
                .map(|newer| JsonNewer { above: newer.last.0, action: newer.action.to_string() }),
            always: calls
                .always(wanted)
                .into_iter()
                .map(|(action, names)| (action.to_string(), names))
                .collect(),
            by_argument: by_argument.collect(),
        }
    };
    Json {
        other_architectures: known.other().map_or("varies".to_owned(), |action| action.to_string()),
        architectures: known.ruleset.abis.iter().map(abi).collect(),
    }
}

pub fn text(name: &str, known: Known<'_>, wanted: Option<&str>) -> String {
    let names: Vec<&str> = known.ruleset.abis.iter().map(|table| table.abi.name()).collect();
    let mut text = match (&names[..], known.other()) {
        ([], Some(action)) => {
            return format!(
                "{name}: every call of every architecture: {}\n",
                words::sentence(action)
            );
        }
        (_, Some(action)) => format!(
            "{name}: for {}; a call of another architecture: {}\n",
            names.join(", "),
            words::sentence(action)
        ),
        (_, None) => {
            format!("{name}: for {}; for other architectures ask with --arch\n", names.join(", "))
        }
    };
    let mut first: Option<Calls> = None;
    for table in &known.ruleset.abis {
        let calls = Calls::of(known, table);
        match &first {
            None => {
                whole_abi(&mut text, table, &calls, wanted);
                first = Some(calls);
            }
            Some(first) => differences(&mut text, table, first, &calls, wanted),
        }
    }
    text
}

fn heading(text: &mut String, table: &AbiRules, count: usize) {
    let _ = write!(
        text,
        "\n{} ({}), otherwise {}",
        table.abi.name(),
        plural(count, "syscall"),
        words::sentence(table.default)
    );
    if let Some(newer) = table.newer {
        let last = table.abi.name_of(newer.last).unwrap_or("no name");
        let _ = write!(
            text,
            "; numbers above {} ({last}): {}",
            newer.last,
            words::sentence(newer.action)
        );
    }
    text.push('\n');
}

fn whole_abi(text: &mut String, table: &AbiRules, calls: &Calls, wanted: Option<&str>) {
    heading(text, table, calls.verdicts.len());
    groups(text, table, calls, wanted);
}

/// Names by verdict. What is as the default is not listed where it is most of what there is: nobody
/// reads it, and `--action` lists it for whoever does.
fn groups(text: &mut String, table: &AbiRules, calls: &Calls, wanted: Option<&str>) {
    for (action, names) in calls.always(wanted) {
        let sentence = words::sentence(action);
        let most = 2 * names.len() > calls.verdicts.len() && names.len() > LISTED;
        if action == table.default && most && wanted.is_none() {
            let _ = writeln!(text, "  {sentence} ({}): all others", names.len());
        } else {
            let _ = writeln!(text, "  {sentence} ({}):", names.len());
            text.push_str(&output::wrapped("    ", " ", &names));
        }
    }
    conditional(text, calls.abi, calls.by_argument(wanted));
}

fn conditional(text: &mut String, abi: Abi, calls: Vec<(&'static str, &[Verdict])>) {
    if calls.is_empty() {
        return;
    }
    let _ = writeln!(text, "  by argument ({}):", calls.len());
    for (name, verdicts) in calls {
        let _ = writeln!(text, "    {name}");
        for verdict in verdicts {
            let when = verdict.condition(abi, name);
            let when = when.map_or_else(|| "otherwise".to_owned(), |c| format!("when {c}"));
            let _ = writeln!(text, "      {} {when}", words::sentence(verdict.action));
        }
    }
}

/// What an ABI does otherwise than the first one, and with the calls that only it has.
fn differences(
    text: &mut String,
    table: &AbiRules,
    first: &Calls,
    calls: &Calls,
    wanted: Option<&str>,
) {
    heading(text, table, calls.verdicts.len());
    let alike = |name: &str, verdicts: &[Verdict]| {
        first
            .verdicts
            .get(name)
            .is_some_and(|theirs| same(theirs, first.abi, verdicts, calls.abi, name))
    };
    let rest: BTreeMap<&'static str, Vec<Verdict>> = calls
        .verdicts
        .iter()
        .filter(|(name, verdicts)| !alike(name, verdicts))
        .map(|(name, verdicts)| (*name, verdicts.clone()))
        .collect();
    let same = calls.verdicts.len() - rest.len();
    let rest = Calls { abi: calls.abi, verdicts: rest };
    let mut others = String::new();
    groups(&mut others, table, &rest, wanted);
    let and = if others.is_empty() { "" } else { ", and:" };
    let _ = writeln!(text, "  {same} as on {}{and}", first.abi.name());
    text.push_str(&others);
}

/// Whether two ABIs treat a call alike, as far as words say it.
fn same(a: &[Verdict], abi_a: Abi, b: &[Verdict], abi_b: Abi, name: &str) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| {
            a.action == b.action && a.condition(abi_a, name) == b.condition(abi_b, name)
        })
}
