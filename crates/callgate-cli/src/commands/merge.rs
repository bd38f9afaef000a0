//! `callgate merge`: what several filters permit, together or in common.

use std::path::PathBuf;

use callgate_verdict::TooComplex;
use clap::Args as ClapArgs;

use super::{Answer, Failure, convert};
use crate::{meaning::Context, output, target::SourceArgs};

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
    /// Profiles or programs
    #[arg(required = true, num_args = 2..)]
    sources: Vec<String>,

    /// Permit only what all permit
    #[arg(long)]
    intersect: bool,

    /// The format to write
    #[arg(long, value_name = "FORMAT", default_value = "oci", value_parser = convert::parse_format)]
    to: &'static callgate_policy::formats::Format,

    /// Write to this file, which appears whole or not at all [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    reading: SourceArgs,
}

pub fn main(args: Args) -> Result<Answer, Failure> {
    let context = Context::new(args.reading)?;
    let mut manager = context.manager();
    let unknown = |error: TooComplex| format!("the result is unknown: {error}");
    let mut result = None;
    for source in &args.sources {
        let next = context.read(&mut manager, source)?.acted;
        result = Some(match result {
            None => next,
            Some(before) if args.intersect => manager.intersect(before, next).map_err(unknown)?,
            Some(before) => manager.union(before, next).map_err(unknown)?,
        });
    }
    let result = result.ok_or_else(|| "nothing to merge".to_owned())?;
    let text = convert::from_meaning(&context, &mut manager, result, args.to)?;
    match &args.output {
        Some(path) => output::write_file(path, text.as_bytes())?,
        None => output::print(&text)?,
    }
    Ok(Answer::Yes)
}
