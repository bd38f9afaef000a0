//! `callgate compile`: a profile as a BPF program, or as a profile for another reader.

pub mod format;
mod options;
mod statistics;

pub use self::format::ProgramForm;

use std::{path::PathBuf, time::Instant};

use callgate_policy::{Dialect, Policy, Ruleset, Target};
use clap::{Args as ClapArgs, ValueEnum};

use self::options::OptionArgs;
use super::{Answer, Failure};
use crate::{
    output, report,
    source::{Profile, Source},
    target::{ReadingArgs, TargetArgs, resolve, target_of},
};

const AFTER_HELP: &str = "\
Examples:
  callgate compile web.json -o web.bpf --stats
  strace -f -c -o counts ./web; callgate compile web.json --weights counts -o web.bpf
  callgate compile docker-default --arch aarch64 --arch arm --format c -o filter.h
  callgate compile docker.json --format oci --cap default --cap SYS_ADMIN -o runc.json
  bwrap --ro-bind / / --seccomp 9 sh 9<web.bpf";

/// Compile a profile to a BPF program, or to the form that every OCI runtime reads
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The profile
    source: String,

    /// Write to this file, which appears whole or not at all [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// What to write
    #[arg(long, value_enum, default_value_t = Format::Raw)]
    format: Format,

    #[command(flatten)]
    reading: ReadingArgs,

    #[command(flatten)]
    target: TargetArgs,

    #[command(flatten)]
    options: OptionArgs,

    /// Say what the program does and costs, on standard error
    #[arg(long)]
    stats: bool,

    /// Print the statistics on standard output as JSON; needs -o
    #[arg(long, requires = "output")]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// An array of struct sock_filter in the target's byte order, as seccomp(2) and bwrap take it
    Raw,
    /// A listing, as `callgate disasm` prints it
    Asm,
    /// The instructions as JSON
    Json,
    /// A C array
    C,
    /// A Rust array
    Rust,
    /// The profile without conditions, which Docker, Podman and every OCI runtime read alike
    Oci,
}

pub fn main(args: Args) -> Result<Answer, Failure> {
    let mut profile = Source::open_profile(&args.source, args.reading.dialect())?;
    let target = args.target.target()?;
    let ruleset = resolve(&mut profile, &args.reading, &target);
    profile.print_diagnostics(args.stats, "nothing was written");
    let (Some(ruleset), Some(policy)) = (ruleset, &profile.policy) else {
        return Err(Failure::Reported);
    };
    let options = args.options.options()?;
    let start = Instant::now();
    let compiled = callgate_compile::compile_with(&ruleset, &options)
        .map_err(|error| format!("{}: {error}; nothing was written", profile.name))?;
    let took = start.elapsed();
    let program = |form: ProgramForm| form.write(compiled.program(), &profile.name);
    let bytes = match args.format {
        Format::Raw => program(ProgramForm::Raw),
        Format::Asm => program(ProgramForm::Asm),
        Format::Json => program(ProgramForm::Json),
        Format::C => program(ProgramForm::C),
        Format::Rust => program(ProgramForm::Rust),
        Format::Oci => flat(policy, &ruleset, &target, &profile, Dialect::Oci)?.into_bytes(),
    };
    output::write(args.output.as_deref(), &bytes, args.format != Format::Raw)?;
    let name = args.output.map_or(profile.name, |path| path.display().to_string());
    if args.stats {
        crate::report::say(statistics::text(&name, &compiled, &ruleset, took));
    }
    if args.json {
        output::print_json(&statistics::json(&name, &compiled, &ruleset, took))?;
    }
    Ok(Answer::Yes)
}

/// The flat profile in a dialect, read back and compared before anyone sees it.
pub fn flat(
    policy: &Policy,
    ruleset: &Ruleset,
    target: &Target,
    profile: &Profile,
    dialect: Dialect,
) -> Result<String, Failure> {
    use callgate_policy::formats::profile as format;

    let target = &target_of(profile, target);
    let flat = policy.flatten(target);
    let text = format::write(&flat, dialect).map_err(|errors| {
        let list: Vec<String> = errors.iter().map(ToString::to_string).collect();
        format!("{}: {}", profile.name, list.join("; "))
    })?;
    let read = format::read(&text, Some(dialect)).policy;
    let again = read.and_then(|policy| policy.resolve(target).ruleset);
    match again {
        Some(again) if same_rules(&again, ruleset) => {
            if profile.builtin.is_some_and(|builtin| !builtin.ages) {
                report::warning(format!(
                    "{} refuses every other call alike, and a file cannot say so: runc, and callgate without --no-enosys, give ENOSYS to calls newer than those that it names",
                    profile.name
                ));
            }
            Ok(text)
        }
        // What the policy says by itself is not what the rules say: arguments were typed.
        _ if policy.resolve(target).ruleset.is_some_and(|own| !same_rules(&own, ruleset)) => {
            Err(Failure::Message(format!(
                "{}: --typed-args is more than a flat form can say entry by entry; `callgate convert --typed-args` writes the meaning, proved",
                profile.name
            )))
        }
        _ => Err(Failure::Message(format!(
            "internal error: the flat form of {} does not mean what it means; nothing was written",
            profile.name
        ))),
    }
}

/// Whether two rulesets differ in nothing but the entries that their rules come from.
fn same_rules(a: &Ruleset, b: &Ruleset) -> bool {
    let anonymous = |ruleset: &Ruleset| {
        let mut ruleset = ruleset.clone();
        for rules in ruleset.abis.iter_mut().flat_map(|table| table.rules.values_mut()) {
            rules.iter_mut().for_each(|rule| rule.entry = 0);
        }
        ruleset
    };
    anonymous(a) == anonymous(b)
}

/// The schema of what --json prints.
pub fn schema() -> schemars::Schema {
    output::schema_of::<statistics::Json<'static>>()
}
