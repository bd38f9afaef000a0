//! `callgate explain`: what a filter does, as a person would say it.

mod allows;
mod one;
mod origin;
mod whole;
mod words;

#[cfg(target_os = "linux")]
pub use self::words::conjunction;

use clap::Args as ClapArgs;
use schemars::JsonSchema;

use self::{allows::Asked, words::Known};
use super::{Answer, Failure};
use crate::{meaning::Context, output, target::SourceArgs};

const AFTER_HELP: &str = "\
Whatever the filter was written in, the answer comes from its exact meaning.

--allows also says what would be allowed: the nearest call of the same number, or calls that do the
same and are allowed. It takes a name, or a call with arguments as `callgate eval` takes them.

Exit status: 0; with --allows 1 when the call does not run, of a name alone when it never does; 2
error.

Examples:
  callgate explain docker-default
  callgate explain docker-default --syscall clone
  callgate explain web.bpf --action allow
  callgate explain web.json --allows execve && echo 'it can run programs'
  callgate explain docker-default --allows 'clone CLONE_NEWUSER|SIGCHLD'";

/// The words of --action; `kill` is either kill.
const ACTIONS: [&str; 9] =
    ["allow", "log", "errno", "kill", "kill_process", "kill_thread", "trap", "trace", "user_notif"];

/// Say what a filter does: groups of system calls, conditions, the default
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// A profile or a program
    source: String,

    /// Only this system call, on every architecture
    #[arg(long, value_name = "NAME")]
    syscall: Option<String>,

    /// Only names that can get this action
    #[arg(long, value_name = "ACTION", value_parser = ACTIONS, conflicts_with = "syscall")]
    action: Option<String>,

    /// Ask whether this system call can run, and else what can
    #[arg(long, value_name = "CALL", conflicts_with_all = ["syscall", "action"])]
    allows: Option<String>,

    #[command(flatten)]
    reading: SourceArgs,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn main(args: Args) -> Result<Answer, Failure> {
    let asked = args.allows.as_deref().map(|call| Asked::parse(call, &args.reading)).transpose()?;
    let context = Context::new(args.reading)?;
    let mut manager = context.manager();
    let meaning = context.read(&mut manager, &args.source)?;
    let outline = meaning.outline(&context, &mut manager)?;
    let known = Known { ruleset: &outline.ruleset, beyond: &outline.beyond };
    let name = match (&asked, &args.syscall) {
        (Some(asked), _) => Some(asked.name),
        (None, Some(name)) => Some(existing(name)?),
        (None, None) => None,
    };
    let Some(name) = name else {
        let wanted = args.action.as_deref();
        if args.json {
            output::print_json(&whole::json(known, wanted))?;
        } else {
            output::print(&whole::text(&args.source, known, wanted))?;
        }
        return Ok(Answer::Yes);
    };
    let mut sections = one::sections(&context, &meaning, known, name);
    let yes = match &asked {
        None => true,
        Some(asked) => asked.answer(&mut manager, meaning.acted, &mut sections)?,
    };
    if args.json {
        output::print_json(&sections)?;
    } else {
        if let Some(call) = asked.as_ref().and_then(|asked| asked.call) {
            let action = manager.decide(meaning.raw, &call).action();
            let (call, verb) = (super::diff::call(&call), super::diff::verb(action));
            output::print(&format!("{call}: {} {verb}\n", meaning.name))?;
        }
        output::print(&one::text(name, &sections)?)?;
    }
    Ok(if yes { Answer::Yes } else { Answer::No })
}

fn existing(name: &str) -> Result<&'static str, Failure> {
    callgate_syscalls::syscall(name).map(|syscall| syscall.name).ok_or_else(|| {
        let near = callgate_policy::suggest::syscall(name);
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        Failure::Message(format!("no architecture has a system call `{name}`{hint}"))
    })
}

/// The schema of what --json prints: of a whole filter, or with --syscall of one call.
pub fn schema() -> schemars::Schema {
    #[derive(JsonSchema)]
    #[serde(untagged)]
    #[expect(dead_code, reason = "it only describes the two forms")]
    enum Either {
        Whole(whole::Json),
        One(Vec<one::Section>),
    }
    output::schema_of::<Either>()
}
