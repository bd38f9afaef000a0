//! `callgate eval`: what a filter answers to a call, and why.

mod calls;

use std::{fmt::Write, fs, io::Read};

use callgate_bpf::{Program, SeccompData, disasm::Listing};
use callgate_policy::Decision;
use clap::Args as ClapArgs;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, Failure, diff::verb};
use crate::{
    meaning::{Context, Meaning, Origin},
    names::SyscallNames,
    output,
    target::{ByteOrderArgs, ReadingArgs, TargetArgs},
};

const AFTER_HELP: &str = "\
Arguments are numbers (decimal, 0x…, 0…) or names of constants joined by |; those left out are 0.
A file of calls has one on a line: `name arg arg`, or what strace prints (`name(arg, …) = …`; what is
no number or constant counts as 0, as do pointers' targets).

Exit status: 0 the call runs (all of them do), 1 it does not, 2 error.

Examples:
  callgate eval docker-default -- socket AF_VSOCK SOCK_STREAM
  callgate eval filter.bpf --trace -- clone CLONE_NEWUSER
  strace -o calls ls; callgate eval docker-default --calls calls";

/// Ask a filter for its answer to a call, or to a file of calls
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// A profile or a program
    source: String,

    /// Calls from a file, or `-` for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "call")]
    calls: Option<String>,

    /// Show the instructions that are executed
    #[arg(long)]
    trace: bool,

    #[command(flatten)]
    reading: ReadingArgs,

    #[command(flatten)]
    target: TargetArgs,

    #[command(flatten)]
    order: ByteOrderArgs,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// A system call, by name or number, and its arguments
    #[arg(last = true, value_name = "SYSCALL [ARG]", required_unless_present = "calls")]
    call: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
struct Json {
    call: String,
    action: String,
    word: u32,
    decided_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Vec<usize>>,
}

pub fn main(args: Args) -> Result<Answer, Failure> {
    let abi = match args.target.arch.first() {
        Some(&abi) => abi,
        None => crate::target::native()?,
    };
    let calls = match &args.calls {
        None => vec![calls::one(abi, &args.call)?],
        Some(file) => calls::file(abi, file, &read(file)?)?,
    };
    let context = Context::new(args.reading, &args.target, &args.order)?;
    let mut manager = context.manager();
    let meaning = context.read(&mut manager, &args.source)?;
    let program = program(&meaning, args.trace)?;
    let mut all_run = true;
    let mut answers = Vec::new();
    for data in &calls {
        let word = manager.decide(meaning.raw, data);
        let action = word.action();
        all_run &= action.runs_call();
        let path = program
            .as_ref()
            .map(|program| program.run_traced(&data.words(context.order()), context.shifts()).path);
        let answer = Json {
            call: super::diff::call(data),
            action: action.to_string(),
            word: word.0,
            decided_by: decided_by(&meaning, data, path.as_deref()),
            path: path.filter(|_| args.trace),
        };
        if args.json {
            answers.push(answer);
        } else {
            output::print(&text(&meaning, &answer, verb(action), program.as_ref()))?;
        }
    }
    if args.json {
        output::print_json(&answers)?;
    }
    Ok(if all_run { Answer::Yes } else { Answer::No })
}

/// The program that is run: the source's own, or with --trace the one that a profile compiles to.
fn program(meaning: &Meaning, trace: bool) -> Result<Option<Program>, Failure> {
    match &meaning.origin {
        Origin::Program(program) => Ok(Some(program.clone())),
        Origin::Profile { ruleset, .. } if trace => {
            let compiled = callgate_compile::compile(ruleset).map_err(|e| e.to_string())?;
            Ok(Some(compiled.into_program()))
        }
        Origin::Profile { .. } => Ok(None),
    }
}

/// What decided: a rule of the text, or an instruction.
fn decided_by(meaning: &Meaning, data: &SeccompData, path: Option<&[usize]>) -> String {
    match &meaning.origin {
        Origin::Program(_) => {
            format!("instruction {}", path.and_then(<[usize]>::last).copied().unwrap_or(0))
        }
        Origin::Profile { profile, ruleset } => match ruleset.decide(data).1 {
            Decision::Rule(rule) => {
                let span = profile.policy.as_ref().map(|policy| policy.entries[rule.entry].span);
                let (line, column) = span.unwrap_or_default().line_and_column(&profile.text);
                format!("entry {} ({}:{line}:{column})", rule.entry, profile.name)
            }
            Decision::Newer => "the rule on calls newer than every one that it names".to_owned(),
            Decision::OtherAbi => "the rule on architectures that it does not name".to_owned(),
            _ => "its default".to_owned(),
        },
    }
}

fn text(meaning: &Meaning, answer: &Json, verb: String, program: Option<&Program>) -> String {
    let Json { call, decided_by, path, .. } = answer;
    let mut text = format!("{call}: {} {verb}, by {decided_by}\n", meaning.name);
    if let (Some(path), Some(program)) = (path, program) {
        let lines: Vec<String> = Listing::new(program)
            .with_names(&SyscallNames)
            .to_string()
            .lines()
            .map(str::to_owned)
            .collect();
        for &step in path {
            let _ = writeln!(text, "  {}", lines[step]);
        }
    }
    text
}

fn read(file: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    if file == "-" {
        std::io::stdin().lock().read_to_end(&mut bytes)?;
    } else {
        bytes = fs::read(file).map_err(|error| format!("{file}: {error}"))?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The schema of what --json prints.
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Vec<Json>)
}
