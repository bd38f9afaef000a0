//! `callgate check`: will its reader understand this profile, and as what?

mod usage;

use callgate_diagnostic::Severity;
use callgate_policy::Dialect;
use clap::{Args as ClapArgs, ValueEnum};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, Failure};
use crate::{
    formats, output,
    report::{JsonDiagnostic, json_diagnostics, printable_name},
    source::{Profile, Source, plural},
    target::{ReadingArgs, TargetArgs, resolve},
};

const AFTER_HELP: &str = "\
Exit status: 0 the profile is understood, 1 it has errors, 2 it cannot be read.

Examples:
  callgate check web.json
  callgate check web.json --for docker
  callgate check web.json --for runc --json";

/// Check a profile, and print how to use it
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The profile
    source: String,

    /// Read it as this consumer does, and print the lines that give it the profile
    #[arg(long = "for", value_name = "CONSUMER", conflicts_with = "dialect")]
    consumer: Option<Consumer>,

    #[command(flatten)]
    reading: ReadingArgs,

    #[command(flatten)]
    target: TargetArgs,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Who is to read the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Consumer {
    Docker,
    Podman,
    Containerd,
    Crun,
    Runc,
}

/// What the other consumers pass over and crun refuses, or reads the other way round: it is
/// written in C and has its own JSON reader.
const CRUN_REFUSES: &[&str] = &["duplicate-key", "key-case", "no-effect", "no-names"];

impl Consumer {
    fn dialect(self) -> Dialect {
        match self {
            Consumer::Docker => Dialect::Docker,
            Consumer::Podman => Dialect::Containers,
            Consumer::Containerd | Consumer::Crun | Consumer::Runc => Dialect::Oci,
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct Json<'a> {
    source: &'a str,
    dialect: Option<&'static str>,
    understood: bool,
    diagnostics: Vec<JsonDiagnostic<'a>>,
    usage: Vec<usage::Use>,
}

pub fn main(args: Args) -> Result<Answer, Failure> {
    let stated = args.consumer.and_then(|consumer| formats::named(consumer.dialect().name()));
    let mut profile = Source::open_profile(&args.source, stated.or(args.reading.dialect()))?;
    let target = args.target.target()?;
    if args.consumer == Some(Consumer::Crun) {
        profile.make_errors(CRUN_REFUSES);
    }
    let ruleset = resolve(&mut profile, &args.reading, &target);
    let understood = match &ruleset {
        None => false,
        Some(ruleset) => match callgate_compile::compile(ruleset) {
            Ok(_) => true,
            Err(error) => return Err(Failure::Message(format!("{}: {error}", profile.name))),
        },
    };
    let usage = args
        .consumer
        .filter(|_| understood)
        .map_or_else(Vec::new, |consumer| usage::of(consumer, &profile));
    if args.json {
        output::print_json(&Json {
            source: &profile.name,
            dialect: profile.format.map(|format| format.name),
            understood,
            diagnostics: json_diagnostics(&profile.text, &profile.diagnostics),
            usage,
        })?;
    } else {
        profile.print_diagnostics(true, "its reader would refuse or misread it");
        if understood {
            output::print(&summary(&profile, &usage))?;
        }
    }
    Ok(if understood { Answer::Yes } else { Answer::No })
}

fn summary(profile: &Profile, usage: &[usage::Use]) -> String {
    let warnings = profile.count(Severity::Warning);
    let warned = if warnings == 0 { "no warnings".into() } else { plural(warnings, "warning") };
    let dialect = profile.format.map_or("unknown", |format| format.name);
    let name = printable_name(&profile.name);
    let mut text = format!("{name}: understood, in the {dialect} dialect; {warned}\n");
    for usage::Use { what, text: lines } in usage {
        text.push_str(&format!("\n# {what}\n{lines}\n"));
    }
    text
}

/// The schema of what --json prints.
pub fn schema() -> schemars::Schema {
    output::schema_of::<Json<'static>>()
}
