//! `callgate caps`: the capabilities, and what the default profile opens with each.

use std::{collections::BTreeSet, fmt::Write};

use callgate_policy::{Dialect, builtin, formats::profile};
use callgate_syscalls::Capability;
use clap::Args as ClapArgs;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, Failure};
use crate::output;

const AFTER_HELP: &str = "\
Examples:
  callgate caps
  callgate caps SYS_ADMIN";

/// List the capabilities: number, kernel, meaning, and the system calls that docker-default opens
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// A capability, with or without CAP_
    name: Option<String>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize, JsonSchema)]
struct Row {
    number: u8,
    name: &'static str,
    since: String,
    description: &'static str,
    /// In docker-default, allowed with this capability and not without it.
    opens: Vec<String>,
}

pub fn main(args: Args) -> Result<Answer, Failure> {
    let wanted: Vec<Capability> = match &args.name {
        None => Capability::ALL.to_vec(),
        Some(name) => vec![
            Capability::from_name(name)
                .ok_or_else(|| format!("no capability `{name}`; `callgate caps` lists them"))?,
        ],
    };
    let opened = opened_by_default_profile();
    let rows: Vec<Row> = wanted
        .into_iter()
        .map(|capability| Row {
            number: capability.number(),
            name: capability.name(),
            since: capability.since().to_string(),
            description: capability.description(),
            opens: opened
                .iter()
                .filter(|(with, _)| *with == capability)
                .map(|(_, name)| name.clone())
                .collect(),
        })
        .collect();
    if args.json {
        output::print_json(&rows)?;
    } else if args.name.is_some() {
        output::print(&details(&rows[0]))?;
    } else {
        output::print(&table(&rows))?;
    }
    Ok(Answer::Yes)
}

/// Pairs of a capability and a system call that docker-default allows with it.
fn opened_by_default_profile() -> BTreeSet<(Capability, String)> {
    let text = builtin::named("docker-default").map_or("", |builtin| builtin.text);
    let policy = profile::read(text, Some(Dialect::Docker)).policy;
    policy
        .iter()
        .flat_map(|policy| &policy.entries)
        .filter(|entry| entry.action.value.runs_call())
        .flat_map(|entry| {
            entry.includes.caps.iter().flat_map(|capability| {
                entry.names.iter().map(|name| (capability.value, name.value.clone()))
            })
        })
        .collect()
}

fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let _ = writeln!(
            text,
            "{:>2}  {:<22} {:<7} {}",
            row.number, row.name, row.since, row.description
        );
    }
    text
}

fn details(row: &Row) -> String {
    let opens = if row.opens.is_empty() { "nothing more".to_owned() } else { row.opens.join(", ") };
    format!(
        "{} (number {}, since Linux {})\n  {}\n  docker-default opens with it: {opens}\n",
        row.name, row.number, row.since, row.description
    )
}

/// The schema of what --json prints.
pub fn schema() -> schemars::Schema {
    output::schema_of::<Vec<Row>>()
}
