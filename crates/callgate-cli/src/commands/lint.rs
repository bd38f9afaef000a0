//! `callgate lint`: what is wrong with a filter, or may not be what was meant.

mod human;
mod json;
mod look;
mod sarif;

pub use self::look::of_profile;

use callgate_diagnostic::Severity;
use callgate_verdict::lint::{Finding, LINTS};
use clap::Args as ClapArgs;

use super::{Answer, Failure};
use crate::{
    output,
    target::{ByteOrderArgs, DialectArgs, TargetArgs},
};

const AFTER_HELP: &str = "\
Each finding says who gains or loses by it, and shows it by a call that is made up on the spot.
Its page is docs/lints/ID.md. Several programs are looked at together, as filters of one process,
newest first.

Exit status: 0 clean (notes are no findings, unless --pedantic), 1 warnings or errors, 2 it cannot
be looked at.

Examples:
  callgate lint web.json
  callgate lint web.json --allow kill-default --pedantic
  callgate lint pid:4711 --json
  callgate lint web.json --sarif > web.sarif";

/// Look for what is wrong with a filter
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// A profile, a program, or several programs that hold together
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,

    /// Leave out the findings of this id; may be repeated
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    allow: Vec<String>,

    /// Count notes as findings
    #[arg(long)]
    pedantic: bool,

    #[command(flatten)]
    dialect: DialectArgs,

    #[command(flatten)]
    target: TargetArgs,

    #[command(flatten)]
    order: ByteOrderArgs,

    /// Print JSON
    #[arg(long, conflicts_with = "sarif")]
    json: bool,

    /// Print SARIF 2.1.0, which code hosts and editors show
    #[arg(long)]
    sarif: bool,
}

pub fn main(args: Args) -> Result<Answer, Failure> {
    let mut seen = look::look(&args)?;
    for id in &args.allow {
        let found = seen.findings.iter().any(|finding| finding.diagnostic.id == id);
        if !found && !LINTS.iter().any(|lint| lint.id == id) {
            crate::report::warning(format!("--allow {id}: no lint has this id, nor any finding"));
        }
    }
    seen.findings.retain(|finding| !args.allow.iter().any(|id| id == finding.diagnostic.id));
    let (json, sarif) = (args.json, args.sarif);
    if json {
        output::print_json(&json::report(&seen))?;
    } else if sarif {
        output::print_json(&sarif::log(&seen))?;
    } else {
        output::print(&human::text(&seen))?;
    }
    if seen.unreadable {
        crate::report::error(format!(
            "{}: the text has errors, so its meaning was not looked at",
            seen.name
        ));
        return Err(Failure::Reported);
    }
    let least = if args.pedantic { Severity::Note } else { Severity::Warning };
    let found = seen.findings.iter().any(|finding| finding.diagnostic.severity >= least);
    Ok(if found { Answer::No } else { Answer::Yes })
}

/// The schema of what --json prints.
pub fn schema() -> schemars::Schema {
    output::schema_of::<json::Report<'static>>()
}

/// Where the documentation of a finding stands, in the repository.
fn page(finding: &Finding) -> String {
    let id = finding.diagnostic.id;
    let folder = if LINTS.iter().any(|lint| lint.id == id) { "lints" } else { "diagnostics" };
    format!("docs/{folder}/{id}.md")
}

/// Any id is taken, since readers of text have theirs too; a near miss of a lint's is refused.
fn parse_id(text: &str) -> Result<String, String> {
    let ids = LINTS.iter().map(|lint| lint.id);
    match callgate_policy::suggest::closest(text, ids) {
        Some(near) if near != text && !is_readers_id(text) => {
            Err(format!("no finding has this id; did you mean `{near}`?"))
        }
        _ => Ok(text.to_owned()),
    }
}

/// Ids of readers that look like one of a lint.
fn is_readers_id(text: &str) -> bool {
    matches!(text, "errno-conflict" | "unknown-errno" | "no-effect")
}
