//! `callgate merge`: what several filters permit, together or in common.

use std::path::PathBuf;

use callgate_policy::FilterFlag;
use callgate_verdict::{Manager, TooComplex};
use clap::Args as ClapArgs;

use super::{
    Answer, Failure,
    convert::{self, To, Toward, Wanted},
    diff,
};
use crate::{
    meaning::{Context, Meaning},
    output, report,
    target::SourceArgs,
};

const AFTER_HELP: &str = "\
The result is made from the exact meanings, and proved: of two verdicts on a call the weaker one
counts, with --intersect the stronger one, by the kernel's precedence.

Examples:
  callgate merge web.json logging.json -o both.json
  callgate merge --intersect web.json docker-default -o no-weaker.json";

/// Merge filters: permit what any of them permits, or what all do
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Profiles or programs, two or more
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,

    /// Permit only what all permit
    #[arg(long)]
    intersect: bool,

    /// The format to write
    #[arg(long, value_name = "FORMAT", default_value = "oci", value_parser = To::parse)]
    to: To,

    /// Where the format cannot say it, write the nearest filter that never permits less, or more
    #[arg(long, value_name = "SIDE")]
    approximate: Option<Toward>,

    /// Write to this file, which appears whole or not at all [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    reading: SourceArgs,
}

pub fn main(args: Args) -> Result<Answer, Failure> {
    if let [only] = &args.sources[..] {
        return Err(Failure::Message(format!("{only} alone is nothing to merge; name another")));
    }
    let context = Context::new(args.reading)?;
    let mut manager = context.manager();
    let mut sources = Vec::new();
    for source in &args.sources {
        sources.push(context.read(&mut manager, source)?);
    }
    let unknown = |error: TooComplex| format!("the result is unknown: {error}");
    let mut result = sources[0].acted;
    for next in &sources[1..] {
        result = if args.intersect {
            manager.intersect(result, next.acted).map_err(unknown)?
        } else {
            manager.union(result, next.acted).map_err(unknown)?
        };
    }
    if args.intersect {
        report_beyond(&mut manager, &sources).map_err(unknown)?;
    }
    let wanted = Wanted::made("the result", result, common_flags(&sources));
    let bytes = convert::write(&context, &mut manager, &wanted, args.to, args.approximate)?;
    output::write(args.output.as_deref(), &bytes, args.to.is_text())?;
    Ok(Answer::Yes)
}

/// For each two sources of which one permits what the other refuses, a call.
fn report_beyond(manager: &mut Manager, sources: &[Meaning]) -> Result<(), TooComplex> {
    const SHOWN: usize = 6;
    let pairs = sources.iter().flat_map(|a| sources.iter().map(move |b| (a, b)));
    let mut more = 0;
    for (a, b) in pairs {
        let beyond = manager.permits_more(a.acted, b.acted)?;
        let Some(call) = diff::preferred(manager, beyond) else { continue };
        more += 1;
        if more <= SHOWN {
            report::note(format!(
                "{} permits what {} refuses: {}",
                a.name,
                b.name,
                diff::call(&call)
            ));
        }
    }
    if more > SHOWN {
        report::note(format!("and {} more pairs in which one permits more", more - SHOWN));
    }
    Ok(())
}

/// The flags that all sources ask for; the others are said.
fn common_flags(sources: &[Meaning]) -> Vec<FilterFlag> {
    let all: Vec<Vec<FilterFlag>> = sources.iter().map(Meaning::flags).collect();
    FilterFlag::ALL
        .into_iter()
        .filter(|flag| {
            let having = sources.iter().zip(&all).filter(|(_, flags)| flags.contains(flag));
            let names: Vec<&str> = having.map(|(source, _)| source.name.as_str()).collect();
            if !names.is_empty() && names.len() < sources.len() {
                report::warning(format!(
                    "{} is left out, which only {} asks for",
                    flag.name(),
                    names.join(", ")
                ));
            }
            names.len() == sources.len()
        })
        .collect()
}
