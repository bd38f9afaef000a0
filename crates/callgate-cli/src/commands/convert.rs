//! `callgate convert`: the same filter in another format, proved.

use std::path::PathBuf;

use callgate_diagnostic::Diagnostic;
use callgate_policy::{
    Dialect, NewerCalls, Policy, Target,
    formats::{self, Format},
};
use callgate_verdict::{Diagram, Manager, TooComplex};
use clap::Args as ClapArgs;

use super::{Answer, Failure};
use crate::{
    meaning::{Context, Origin},
    output, report,
    target::SourceArgs,
};

const AFTER_HELP: &str = "\
What is written is read back and compared with the source as exact meanings; a format that cannot
say it is refused, with what it has no words for. A program is decompiled: numbers get their names,
and tests of argument words become conditions.

A profile's conditions on capabilities, kernel and machine are kept where the format has them, and
decided for the target elsewhere (--arch, --cap, --kernel).

Examples:
  callgate convert docker-default --to oci -o runc.json
  callgate convert filter.bpf --to docker";

/// Convert a filter to another text format
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// A profile or a program
    source: String,

    /// The format to write
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    to: &'static Format,

    /// Write to this file, which appears whole or not at all [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    reading: SourceArgs,
}

pub fn main(args: Args) -> Result<Answer, Failure> {
    let context = Context::new(args.reading)?;
    let mut manager = context.manager();
    let source = context.read(&mut manager, &args.source)?;
    let kept = match &source.origin {
        Origin::Profile { profile, .. } => profile.policy.as_ref().and_then(|policy| {
            [policy.clone(), policy.flatten(&context.target)].into_iter().find_map(|policy| {
                let text = (args.to.write)(&policy).ok()?;
                proved(&mut manager, source.acted, args.to, &text, &context.target).then_some(text)
            })
        }),
        Origin::Program(_) | Origin::Stack(_) => None,
    };
    let text = match kept {
        Some(text) => text,
        None => from_meaning(&context, &mut manager, source.acted, args.to)?,
    };
    match &args.output {
        Some(path) => output::write_file(path, text.as_bytes())?,
        None => output::print(&text)?,
    }
    Ok(Answer::Yes)
}

/// A format by its name.
pub fn parse_format(name: &str) -> Result<&'static Format, String> {
    formats::named(name).ok_or_else(|| {
        let known: Vec<&str> = formats::ALL.iter().map(|format| format.name).collect();
        format!("not a format; known: {}", known.join(", "))
    })
}

/// Rules for a meaning, in a format, read back and compared.
///
/// # Errors
///
/// When the meaning has no rules, the format has no words for them, or (a defect) what was
/// written means something else.
pub fn from_meaning(
    context: &Context,
    manager: &mut Manager,
    meaning: Diagram,
    format: &Format,
) -> Result<String, Failure> {
    let ruleset =
        manager.synthesize(meaning).map_err(|why| format!("it cannot be put into rules: {why}"))?;
    let dialect = ["docker", "oci", "containers"]
        .into_iter()
        .zip([Dialect::Docker, Dialect::Oci, Dialect::Containers])
        .find_map(|(name, dialect)| (name == format.name).then_some(dialect));
    let policy = Policy::from_rules(&ruleset, dialect)
        .map_err(|why| format!("{} cannot say it: {why}", format.name))?;
    let text = (format.write)(&policy).map_err(|errors| refusal(format, &errors))?;
    if format.read.is_none() {
        return Ok(text);
    }
    // The ABIs are those of the filter, whatever the machine's own are.
    let abis: Vec<_> = ruleset.abis.iter().map(|table| table.abi).collect();
    let newer =
        [context.target.newer, NewerCalls::Enosys, NewerCalls::LikeRunc, NewerCalls::Default];
    for newer in newer {
        let target = Target { abis: Some(abis.clone()), newer, ..context.target.clone() };
        if proved(manager, meaning, format, &text, &target) {
            if newer != context.target.newer {
                report::note(readers_choice(newer));
            }
            return Ok(text);
        }
    }
    Err(Failure::Message(format!(
        "{} cannot say it: what could be written means something else (verdicts on numbers that no system call has, or on newer calls)",
        format.name
    )))
}

fn readers_choice(newer: NewerCalls) -> &'static str {
    match newer {
        NewerCalls::Enosys => "it means the same where newer system calls get ENOSYS",
        NewerCalls::LikeRunc => "it means the same to runc, which gives newer system calls ENOSYS",
        NewerCalls::Default => {
            "it means the same to crun, which gives newer system calls the profile's default"
        }
    }
}

fn refusal(format: &Format, errors: &[Diagnostic]) -> Failure {
    let list: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
    Failure::Message(format!("{} cannot say it: {}", format.name, list.join("; ")))
}

/// Whether a text means this.
fn proved(
    manager: &mut Manager,
    meaning: Diagram,
    format: &Format,
    text: &str,
    target: &Target,
) -> bool {
    let read = format.read.and_then(|read| read(text).policy);
    let ruleset = read.and_then(|policy| policy.resolve(target).ruleset);
    ruleset.is_some_and(|ruleset| {
        let again = manager.ruleset(&ruleset).and_then(|diagram| manager.act(diagram));
        again == Ok::<Diagram, TooComplex>(meaning)
    })
}
