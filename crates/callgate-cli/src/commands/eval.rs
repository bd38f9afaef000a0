//! `callgate eval`: what a filter answers to a call, and why.

use std::{fmt::Write, fs, io::Read};

use callgate_bpf::{Action, Program, SeccompData, Traced, disasm::Listing};
use callgate_policy::Decision;
use callgate_record::{strace, words};
use clap::Args as ClapArgs;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, Failure, diff::verb};
use crate::{
    meaning::{Context, Meaning, Origin},
    names::SyscallNames,
    output,
    source::live::filter_name,
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
    /// What each filter of a running process answers, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    filters: Vec<JsonFilter>,
}

#[derive(Serialize, JsonSchema)]
struct JsonFilter {
    /// Counted from 1, the oldest.
    filter: usize,
    action: String,
    word: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Vec<usize>>,
}

pub fn main(args: Args) -> Result<Answer, Failure> {
    let abi = match args.target.arch.first() {
        Some(&abi) => abi,
        None => crate::target::native()?,
    };
    let calls = match &args.calls {
        None => vec![words::call(abi, &args.call)?],
        Some(file) => strace::calls(abi, file, &read(file)?)?,
    };
    let context = Context::new(args.reading, &args.target, &args.order)?;
    let mut manager = context.manager();
    let meaning = context.read(&mut manager, &args.source)?;
    let programs = programs(&meaning, args.trace)?;
    let mut all_run = true;
    let mut answers = Vec::new();
    for data in &calls {
        let word = manager.decide(meaning.raw, data);
        let action = word.action();
        all_run &= action.runs_call();
        let runs: Vec<Traced> = programs
            .iter()
            .map(|program| program.run_traced(&data.words(context.order()), context.shifts()))
            .collect();
        let decisive = decisive(&runs);
        let answer = Json {
            call: super::diff::call(data),
            action: action.to_string(),
            word: word.0,
            decided_by: decided_by(&meaning, data, decisive, &runs),
            path: decisive.map(|filter| runs[filter].path.clone()).filter(|_| args.trace),
            filters: match &meaning.origin {
                Origin::Stack(_) => filters(&runs, args.trace),
                _ => Vec::new(),
            },
        };
        if args.json {
            answers.push(answer);
        } else {
            output::print(&format!(
                "{}: {} {}, by {}\n",
                answer.call,
                meaning.name,
                verb(action),
                answer.decided_by
            ))?;
            if args.trace {
                output::print(&trace(&programs, &runs))?;
            }
        }
    }
    if args.json {
        output::print_json(&answers)?;
    }
    Ok(if all_run { Answer::Yes } else { Answer::No })
}

/// The programs that are run, newest first: the source's own, or with --trace the one that a profile
/// compiles to.
fn programs(meaning: &Meaning, trace: bool) -> Result<Vec<Program>, Failure> {
    match &meaning.origin {
        Origin::Program(program) => Ok(vec![program.clone()]),
        Origin::Stack(stack) => Ok(stack.programs.clone()),
        Origin::Profile { ruleset, .. } if trace => {
            let compiled = callgate_compile::compile(ruleset).map_err(|e| e.to_string())?;
            Ok(vec![compiled.into_program()])
        }
        Origin::Profile { .. } => Ok(Vec::new()),
    }
}

/// The filter whose word the kernel acts on: of those of the strongest rank the newest. Of filters
/// that all allow it is the newest too.
fn decisive(runs: &[Traced]) -> Option<usize> {
    (0..runs.len()).min_by_key(|&filter| runs[filter].action.rank())
}

fn filters(runs: &[Traced], trace: bool) -> Vec<JsonFilter> {
    let one = |(index, run): (usize, &Traced)| JsonFilter {
        filter: runs.len() - index,
        action: run.action.action().to_string(),
        word: run.action.0,
        path: trace.then(|| run.path.clone()),
    };
    runs.iter().enumerate().map(one).collect()
}

/// What decided: a rule of the text, or an instruction.
fn decided_by(
    meaning: &Meaning,
    data: &SeccompData,
    decisive: Option<usize>,
    runs: &[Traced],
) -> String {
    let last = |filter: usize| runs[filter].path.last().copied().unwrap_or(0);
    match (&meaning.origin, decisive) {
        (Origin::Program(_), _) => format!("instruction {}", last(0)),
        (Origin::Stack(_), None) => "nothing: no filter holds it".to_owned(),
        (Origin::Stack(stack), Some(_)) if runs.len() > 1 && allowed(runs) => {
            format!("all {} filters", stack.programs.len())
        }
        (Origin::Stack(stack), Some(filter)) => {
            format!("instruction {} of {}", last(filter), stack.filter_name(filter))
        }
        (Origin::Profile { profile, ruleset }, _) => match ruleset.decide(data).1 {
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

/// Whether no filter said anything stronger than ALLOW.
fn allowed(runs: &[Traced]) -> bool {
    runs.iter().all(|run| run.action.action() == Action::Allow)
}

/// The instructions that were executed, filter by filter.
fn trace(programs: &[Program], runs: &[Traced]) -> String {
    let mut text = String::new();
    for (index, (program, run)) in programs.iter().zip(runs).enumerate() {
        if programs.len() > 1 {
            let _ =
                writeln!(text, "  {}: {}", filter_name(index, programs.len()), run.action.action());
        }
        let listing = Listing::new(program).with_names(&SyscallNames).to_string();
        let lines: Vec<&str> = listing.lines().collect();
        for &step in &run.path {
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
    output::schema_of::<Vec<Json>>()
}
