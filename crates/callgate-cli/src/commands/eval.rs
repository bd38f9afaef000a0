//! `callgate eval`: what a filter answers to a call, and why.

mod judge;

use std::{
    fmt::Write,
    fs::File,
    io::{self, BufRead, BufReader},
};

use callgate_bpf::{Program, RawAction, SeccompData, Traced, disasm::Listing};
use callgate_record::calls;
use callgate_verdict::Manager;
use clap::Args as ClapArgs;
use schemars::JsonSchema;
use serde::Serialize;

use self::judge::{By, Judge};
use super::{
    Answer, Failure,
    diff::{call, write_call},
};
use crate::{
    meaning::{Context, Meaning, Origin},
    names::SyscallNames,
    output,
    source::live::filter_name,
    target::SourceArgs,
};

const AFTER_HELP: &str = "\
Arguments are numbers (decimal, 0x…, 0…) or names of constants joined by |; those left out are 0.
A file of calls has one on a line: `name arg arg`, or what strace prints (`name(arg, …) = …`; what is
no number or constant counts as 0, as do pointers' targets). Each is answered as it is read, so a
file may be of any length.

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
    reading: SourceArgs,

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
    let abi = match args.reading.target.arch.first() {
        Some(&abi) => abi,
        None => crate::target::native()?,
    };
    if args.source == "-" && args.calls.as_deref() == Some("-") {
        Err("standard input can be the filter or the calls, not both".to_owned())?;
    }
    // What is wrong with the calls is told before a long filter is read.
    let call = args.calls.is_none().then(|| calls::one(abi, &args.call)).transpose()?;
    let file = args.calls.as_deref().map(open).transpose()?;
    let context = Context::new(args.reading)?;
    let mut manager = context.manager();
    let meaning = context.read(&mut manager, &args.source)?;
    let programs = programs(&meaning, args.trace)?;
    let mut report = Report {
        judge: Judge::new(&meaning, &context),
        manager: &manager,
        meaning: &meaning,
        listings: if args.trace { programs.iter().map(lines).collect() } else { Vec::new() },
        programs,
        context: &context,
        json: args.json.then(Vec::new),
        trace: args.trace,
        text: String::new(),
        all_run: true,
    };
    if let Some(call) = call {
        report.add(&call)?;
    }
    if let (Some(name), Some(file)) = (&args.calls, file) {
        let read = calls::each(abi, name, file, |call| report.add(call));
        // What was answered before an error is not lost.
        output::print(&report.text)?;
        report.text.clear();
        read?;
    }
    report.finish()
}

/// Answers call after call.
struct Report<'a> {
    judge: Judge<'a>,
    manager: &'a Manager,
    meaning: &'a Meaning,
    context: &'a Context,
    /// What is run, newest first, to show the way; the lines of each.
    programs: Vec<Program>,
    listings: Vec<Vec<String>>,
    trace: bool,
    /// With --json, what will be printed when all is well.
    json: Option<Vec<Json>>,
    /// What is yet to be printed.
    text: String,
    all_run: bool,
}

impl Report<'_> {
    fn add(&mut self, data: &SeccompData) -> Result<(), Failure> {
        /// Large enough that writing costs nothing beside the rest.
        const AT_ONCE: usize = 1 << 16;
        let (word, by) = self.judge.decide(data);
        debug_assert_eq!(word, self.manager.decide(self.meaning.raw, data), "{data:?}");
        self.all_run &= word.action().runs_call();
        if let Some(mut list) = self.json.take() {
            list.push(self.object(data, word, by));
            self.json = Some(list);
            return Ok(());
        }
        write_call(&mut self.text, data);
        self.text.push_str(self.judge.sentence(word, by));
        if self.trace {
            let runs = self.runs(data);
            write_trace(&mut self.text, &self.listings, &runs);
        }
        if self.text.len() >= AT_ONCE {
            output::print(&self.text)?;
            self.text.clear();
        }
        Ok(())
    }

    fn finish(self) -> Result<Answer, Failure> {
        match self.json {
            Some(list) => output::print_json(&list)?,
            None => output::print(&self.text)?,
        }
        Ok(if self.all_run { Answer::Yes } else { Answer::No })
    }

    fn object(&self, data: &SeccompData, word: RawAction, by: By) -> Json {
        let stack = matches!(self.meaning.origin, Origin::Stack(_));
        let runs = if self.trace || stack { self.runs(data) } else { Vec::new() };
        Json {
            call: call(data),
            action: word.action().to_string(),
            word: word.0,
            decided_by: self.judge.reason(by),
            path: decisive(&runs).map(|filter| runs[filter].path.clone()).filter(|_| self.trace),
            filters: if stack { filters(&runs, self.trace) } else { Vec::new() },
        }
    }

    fn runs(&self, data: &SeccompData) -> Vec<Traced> {
        let words = data.words(self.context.order());
        let shifts = self.context.shifts();
        self.programs.iter().map(|program| program.run_traced(&words, shifts)).collect()
    }
}

/// The programs that are run; a profile is only compiled to be looked at.
fn programs(meaning: &Meaning, trace: bool) -> Result<Vec<Program>, Failure> {
    match &meaning.origin {
        Origin::Profile { .. } if !trace => Ok(Vec::new()),
        _ => meaning.programs(),
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

/// The lines of a program, each at its instruction's index.
fn lines(program: &Program) -> Vec<String> {
    let listing = Listing::new(program).with_names(&SyscallNames).to_string();
    listing.lines().map(str::to_owned).collect()
}

/// The instructions that were executed, filter by filter.
fn write_trace(text: &mut String, listings: &[Vec<String>], runs: &[Traced]) {
    for (index, (lines, run)) in listings.iter().zip(runs).enumerate() {
        if runs.len() > 1 {
            let name = filter_name(index, runs.len());
            let _ = writeln!(text, "  {name}: {}", run.action.action());
        }
        for &step in &run.path {
            let _ = writeln!(text, "  {}", lines[step]);
        }
    }
}

fn open(file: &str) -> Result<Box<dyn BufRead>, Failure> {
    Ok(match file {
        "-" => Box::new(BufReader::new(io::stdin())),
        _ => {
            let file = File::open(file).map_err(|error| format!("{file}: {error}"))?;
            Box::new(BufReader::with_capacity(1 << 16, file))
        }
    })
}

/// The schema of what --json prints.
pub fn schema() -> schemars::Schema {
    output::schema_of::<Vec<Json>>()
}
