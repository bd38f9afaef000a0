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
    source::{Source, Stack},
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
    reading: SourceArgs,

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
    let (ruleset, programs) = rules(&args)?;
    if let Some(name) = args.syscall.as_ref().or(args.allows.as_ref()) {
        let name = known(name)?;
        let runs = runs(&ruleset, name);
        if args.json {
            output::print_json(&json(&ruleset, name))?;
        } else {
            output::print(&one(&ruleset, name, &programs)?)?;
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

/// The filter's meaning as rules, and the programs that stand for it.
fn rules(args: &Args) -> Result<(Ruleset, Vec<Program>), Failure> {
    let order = args.order.order(args.reading.target.arch.first().copied());
    match Source::open(&args.source, args.reading.dialect())? {
        Source::Profile(mut profile) => {
            let target = args.target.target()?;
            let ruleset = resolve(&mut profile, &args.reading, &target);
            profile.print_diagnostics(false, "it has no meaning to explain");
            let ruleset = ruleset.ok_or(Failure::Reported)?;
            let program = callgate_compile::compile(&ruleset).ok().map(|c| c.into_program());
            Ok((ruleset, program.into_iter().collect()))
        }
        Source::Program { name, bytes } => {
            let program = Program::from_bytes(&bytes, order, Layout::seccomp(order))
                .map_err(|error| format!("{name}: the kernel would refuse it: {error}"))?;
            let programs = vec![program];
            Ok((of_programs(&name, &programs, order)?, programs))
        }
        Source::Stack(Stack { name, programs, .. }) => {
            Ok((of_programs(&name, &programs, ByteOrder::NATIVE)?, programs))
        }
    }
}

/// The rules of what filters come to together, newest first.
fn of_programs(name: &str, programs: &[Program], order: ByteOrder) -> Result<Ruleset, Failure> {
    let mut manager = Manager::new(Layout::seccomp(order));
    let shifts =
        Abi::native().map_or_else(ShiftRule::default, |abi| ShiftRule::of_kernel(abi.audit()));
    let nothing = manager.constant(Action::Allow.raw());
    let meaning = programs
        .iter()
        .rev()
        .try_fold(nothing, |older, program| {
            let newer = manager.program(program, shifts)?;
            manager.stack(newer, older)
        })
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
fn one(ruleset: &Ruleset, name: &str, programs: &[Program]) -> Result<String, Failure> {
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
        lines.push(cost(programs, abi, nr, verdict));
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

/// What the programs execute for a call, and whether the kernel even asks them: its cache has what
/// every filter always allows.
fn cost(
    programs: &[Program],
    abi: Abi,
    nr: callgate_bpf::SyscallNr,
    verdict: NumberVerdict<'_>,
) -> String {
    if programs.is_empty() {
        return String::new();
    }
    let data = callgate_bpf::SeccompData::new(abi.audit(), nr);
    let executed = |program: &Program| {
        let words = data.words(program.layout().byte_order);
        program.run_traced(&words, ShiftRule::default()).path.len()
    };
    let executed: usize = programs.iter().map(executed).sum();
    let cached = programs.iter().all(|program| program.always_allows(abi.audit(), nr));
    let allowed = words::verdicts(verdict);
    let cache = if cached && abi.has_kernel_cache() {
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
    output::schema_of::<Either>()
}
