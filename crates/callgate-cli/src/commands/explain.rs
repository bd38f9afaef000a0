//! `callgate explain`: what a filter does, as a person would say it.

mod whole;
mod words;

use callgate_bpf::{Action, ByteOrder, Layout, Program, ShiftRule};
use callgate_policy::{NumberVerdict, Ruleset};
use callgate_syscalls::Abi;
use callgate_verdict::Manager;
use clap::Args as ClapArgs;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, Failure};
use crate::{
    output,
    source::Source,
    target::{ByteOrderArgs, ReadingArgs, TargetArgs, resolve},
};

const AFTER_HELP: &str = "\
Whatever the filter was written in, the answer comes from its exact meaning.

Exit status: 0; with --allows 1 when the call never runs; 2 error.

Examples:
  callgate explain docker-default
  callgate explain docker-default --syscall clone
  callgate explain web.bpf --action allow
  callgate explain web.json --allows execve && echo 'it can run programs'";

/// Say what a filter does: groups of system calls, conditions, the default
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// A profile or a program
    source: String,

    /// Only this system call, on every architecture
    #[arg(long, value_name = "NAME")]
    syscall: Option<String>,

    /// Only names that can get this action: allow, log, errno, kill, trap, trace, user_notif
    #[arg(long, value_name = "ACTION", conflicts_with = "syscall")]
    action: Option<String>,

    /// Ask whether this system call can run
    #[arg(long, value_name = "NAME", conflicts_with_all = ["syscall", "action"])]
    allows: Option<String>,

    #[command(flatten)]
    reading: ReadingArgs,

    #[command(flatten)]
    target: TargetArgs,

    #[command(flatten)]
    order: ByteOrderArgs,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One system call on one architecture.
#[derive(Serialize, JsonSchema)]
struct JsonCall {
    arch: &'static str,
    number: u32,
    verdicts: Vec<JsonVerdict>,
}

/// The first whose condition holds decides; the last has none.
#[derive(Serialize, JsonSchema)]
struct JsonVerdict {
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<String>,
}

pub fn main(args: Args) -> Result<Answer, Failure> {
    let (ruleset, program) = rules(&args)?;
    if let Some(name) = args.syscall.as_ref().or(args.allows.as_ref()) {
        let name = known(name)?;
        let runs = runs(&ruleset, name);
        if args.json {
            output::print_json(&json(&ruleset, name))?;
        } else {
            output::print(&one(&ruleset, name, program.as_ref())?)?;
        }
        let no = args.allows.is_some() && !runs;
        return Ok(if no { Answer::No } else { Answer::Yes });
    }
    if args.json {
        output::print_json(&whole::json(&ruleset, args.action.as_deref()))?;
    } else {
        output::print(&whole::text(&args.source, &ruleset, args.action.as_deref()))?;
    }
    Ok(Answer::Yes)
}

/// The filter's meaning as rules, and the program that stands for it.
fn rules(args: &Args) -> Result<(Ruleset, Option<Program>), Failure> {
    let order = args.order.order(args.target.arch.first().copied());
    match Source::open(&args.source, args.reading.dialect())? {
        Source::Profile(mut profile) => {
            let target = args.target.target()?;
            let ruleset = resolve(&mut profile, &args.reading, &target);
            profile.print_diagnostics(false, "it has no meaning to explain");
            let ruleset = ruleset.ok_or(Failure::Reported)?;
            let program = callgate_compile::compile(&ruleset).ok().map(|c| c.into_program());
            Ok((ruleset, program))
        }
        Source::Program { name, bytes } => {
            let program = Program::from_bytes(&bytes, order, Layout::seccomp(order))
                .map_err(|error| format!("{name}: the kernel would refuse it: {error}"))?;
            Ok((of_program(&name, &program, order)?, Some(program)))
        }
    }
}

fn of_program(name: &str, program: &Program, order: ByteOrder) -> Result<Ruleset, Failure> {
    let mut manager = Manager::new(Layout::seccomp(order));
    let shifts =
        Abi::native().map_or_else(ShiftRule::default, |abi| ShiftRule::of_kernel(abi.audit()));
    let meaning = manager
        .program(program, shifts)
        .and_then(|diagram| manager.act(diagram))
        .map_err(|error| format!("{name}: its meaning is unknown: {error}"))?;
    Ok(manager.synthesize(meaning).map_err(|why| {
        format!("{name}: it cannot be put into rules: {why}. `callgate disasm` lists it")
    })?)
}

fn known(name: &str) -> Result<&'static str, Failure> {
    callgate_syscalls::syscall(name).map(|syscall| syscall.name).ok_or_else(|| {
        let near = callgate_policy::suggest::syscall(name);
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        Failure::Message(format!("no architecture has a system call `{name}`{hint}"))
    })
}

/// Whether some call of this name runs on some architecture.
fn runs(ruleset: &Ruleset, name: &str) -> bool {
    ruleset.abis.iter().any(|table| {
        table.abi.number(name).is_some_and(|nr| {
            words::verdicts(ruleset.rules_for(table.abi.audit(), nr))
                .iter()
                .any(|verdict| verdict.action.runs_call())
        })
    })
}

fn json(ruleset: &Ruleset, name: &str) -> Vec<JsonCall> {
    let of = |abi: Abi| {
        let nr = abi.number(name)?;
        let verdicts = words::verdicts(ruleset.rules_for(abi.audit(), nr));
        Some(JsonCall {
            arch: abi.name(),
            number: nr.0,
            verdicts: verdicts
                .into_iter()
                .map(|verdict| JsonVerdict {
                    action: verdict.action.to_string(),
                    when: verdict.condition(abi, name),
                })
                .collect(),
        })
    };
    ruleset.abis.iter().filter_map(|table| of(table.abi)).collect()
}

/// One call on every architecture; those that treat it alike together.
fn one(ruleset: &Ruleset, name: &str, program: Option<&Program>) -> Result<String, Failure> {
    let mut sections: Vec<(Vec<String>, Vec<String>)> = Vec::new();
    for table in &ruleset.abis {
        let abi = table.abi;
        let Some(nr) = abi.number(name) else { continue };
        let verdict = ruleset.rules_for(abi.audit(), nr);
        let mut lines: Vec<String> = words::verdicts(verdict)
            .into_iter()
            .map(|verdict| {
                let when = verdict.condition(abi, name);
                let when = when.map_or_else(|| "otherwise".to_owned(), |c| format!("when {c}"));
                format!("{:<20} {when}", words::sentence(verdict.action))
            })
            .collect();
        if let [only] = &mut lines[..] {
            *only = only.replace("otherwise", "always");
        }
        lines.push(cost(program, abi, nr, verdict));
        let place = format!("{}: {nr}", abi.name());
        match sections.iter_mut().find(|(_, of)| *of == lines) {
            Some((places, _)) => places.push(place),
            None => sections.push((vec![place], lines)),
        }
    }
    if sections.is_empty() {
        return Err(Failure::Message(format!(
            "no architecture that the filter speaks of has a system call `{name}`"
        )));
    }
    let mut text = String::new();
    for (places, lines) in sections {
        text.push_str(&format!("{name} ({})\n", places.join(", ")));
        lines.into_iter().filter(|line| !line.is_empty()).for_each(|line| {
            text.push_str(&format!("  {line}\n"));
        });
    }
    Ok(text)
}

/// What the program executes for a call, and whether the kernel even asks it.
fn cost(
    program: Option<&Program>,
    abi: Abi,
    nr: callgate_bpf::SyscallNr,
    verdict: NumberVerdict<'_>,
) -> String {
    let Some(program) = program else { return String::new() };
    let data = callgate_bpf::SeccompData::new(abi.audit(), nr);
    let words = data.words(program.layout().byte_order);
    let executed = program.run_traced(&words, ShiftRule::default()).path.len();
    let allowed = words::verdicts(verdict);
    let cache = if program.always_allows(abi.audit(), nr) && abi.has_kernel_cache() {
        "answered by the kernel's cache"
    } else if allowed.iter().all(|verdict| verdict.action == Action::Allow) {
        "the kernel has no cache for it"
    } else if allowed.len() > 1 {
        "never in the kernel's cache, since it looks at an argument"
    } else {
        "never in the kernel's cache, which holds only what is allowed"
    };
    format!("{:<20} {executed} instructions when all arguments are 0; {cache}", "cost")
}

/// The schema of what --json prints: of a whole filter, or with --syscall of one call.
pub fn schema() -> schemars::Schema {
    #[derive(JsonSchema)]
    #[serde(untagged)]
    #[expect(dead_code, reason = "it only describes the two forms")]
    enum Either {
        Whole(whole::Json),
        One(Vec<JsonCall>),
    }
    schemars::schema_for!(Either)
}
