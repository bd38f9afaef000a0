//! `callgate why`: which calls a filter refused, by which rule, from where, and the smallest change.

#[cfg(target_os = "linux")]
mod container;
#[cfg(target_os = "linux")]
mod enforce;
#[cfg(target_os = "linux")]
mod fix;
#[cfg(target_os = "linux")]
mod json;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::Args as ClapArgs;

#[cfg(target_os = "linux")]
pub use self::fix::insert_entry;
use super::run::FilterArgs;

const AFTER_HELP: &str = "\
The command runs under the filter and gets what the filter answers. callgate, which takes no
privilege for it, is asked about each call that is refused while the program waits, so it can tell
the arguments, the place and the rule. Calls that the filter allows are neither seen nor slowed.

Only the filter is seen. What a capability, a security module or the mode of a file refuses comes
after the filter, and is never blamed on it: where the command failed and the filter refused nothing,
that is said.

Not as under `run`: a program that handles or blocks SIGSYS and is to be killed dies of SIGKILL. A
program that wants a listener of its own gets EBUSY. Should callgate be killed, the calls in question
fail with ENOSYS: the kernel's rule.

A container that runs is watched from outside (--container), by eBPF and the audit log: its filter
is read, and asked about each call that failed with the arguments that it had. What it was refused is
told as it comes. Calls that failed for want of permission though the filter allows them are shown as
such. Its profile is the one that its runtime keeps, or --profile.

Exit status: the command's own, 128+N for signal N, 125 callgate failed, 126 not executable,
127 not found. Of a container 0 when nothing was refused, 1 when something was, 2 for an error.

Examples:
  callgate why -- unshare -U true
  callgate why --profile web.json --fix -- nginx -g 'daemon off;'
  callgate why --profile web.json --json -o refused.json -- ./server
  callgate why --container web
  callgate why --container web --profile web.json --fix --for 60";

/// Run a command under a filter, or watch a container, and explain what the filter refuses
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    filter: FilterArgs,

    /// Write the smallest edits that allow what was refused into the profile, a JSON file; all of
    /// them or, where one cannot be made, none
    #[arg(long)]
    fix: bool,

    /// Print JSON on standard output, when the command has ended
    #[arg(long)]
    json: bool,

    /// Write the report to this file, which appears whole or not at all
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Tell what the filter of this running container refuses, until it ends or Ctrl-C: its id, the
    /// beginning of one, its name, or its folder below the --root of runc or crun; takes root
    #[arg(
        long,
        value_name = "ID",
        conflicts_with_all = ["command", "cap_drop", "cap_add", "cap_keep", "keep_privileges",
            "allow_unanswered", "no_enosys", "like"]
    )]
    container: Option<String>,

    /// Watch the container no longer than this
    #[arg(
        long = "for",
        value_name = "SECONDS",
        requires = "container",
        conflicts_with = "command"
    )]
    time: Option<u32>,

    /// The command and its arguments
    #[arg(required_unless_present = "container", trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[cfg(not(target_os = "linux"))]
pub fn main(_: Args) -> ExitCode {
    crate::report::error("why needs a Linux kernel");
    ExitCode::from(super::run::OWN_ERROR)
}

#[cfg(target_os = "linux")]
pub fn main(args: Args) -> ExitCode {
    match &args.container {
        None => super::run::pass_on(|| run(&args)),
        Some(id) => ExitCode::from(container::run(&args, id).unwrap_or_else(|failure| {
            if let super::Failure::Message(message) = failure {
                crate::report::error(message);
            }
            2
        })),
    }
}

#[cfg(target_os = "linux")]
fn run(args: &Args) -> Result<u8, super::Failure> {
    use super::run::filter::{permit_start, prepare};
    use crate::{output, refusals, report};
    use std::path::Path;

    let name = args.filter.profile();
    let ready = prepare(&args.filter)?;
    let mut fixes = fix::Fixes::new(&ready.origin, &ready.target);
    if args.fix {
        fixes.may_be_written(name)?;
        output::may_be_written(Path::new(name))?;
    }
    if let Some(file) = &args.output {
        output::may_be_written(file)?;
    }
    let program = refusals::asking(name, &ready.origin)?;
    let launch = ready.launch(&program, &args.filter, &args.command);
    permit_start(&launch, &ready.program, name)?;
    let mut refused = refusals::Refusals::of_command();
    let end = match enforce::run(launch, &ready, &mut refused) {
        Ok(end) => end,
        Err(error) => {
            report::error(&error);
            return Ok(error.status());
        }
    };
    let edits: Vec<_> = refused.rows().iter().map(|row| fixes.smallest(row)).collect();
    let text = if args.json {
        json::text(name, &refused, &edits, end.status, end.left, None)?
    } else {
        text(name, &refused, &edits)
    };
    match &args.output {
        Some(file) => output::write_file(file, text.as_bytes())?,
        None if args.json => output::print(&text)?,
        None => crate::report::say(&text),
    }
    // JSON says all of it itself.
    if !args.json {
        refusals::notes(&refused, refusals::MEMORY_WAITED, end.left);
    }
    if args.fix && refused.total() > 0 {
        report::note(fixes.write(name, &edits)?);
    } else if refused.total() > 0 {
        let hint = edits.iter().all(Result::is_ok).then(|| fixes.hint(args)).flatten();
        hint.filter(|_| !args.json).into_iter().for_each(report::note);
    } else if !args.json {
        report::note(nothing(&ready, end.status));
    }
    Ok(end.status)
}

/// The rows, each with what came of it and what would allow it.
#[cfg(target_os = "linux")]
fn text(
    name: &str,
    refused: &crate::refusals::Refusals,
    edits: &[Result<fix::Edit, String>],
) -> String {
    let mut text = String::new();
    for (row, edit) in refused.rows().iter().zip(edits) {
        text.push_str(&crate::refusals::row("refused", row, name));
        text.push_str(&crate::refusals::part("then", &row.then()));
        text.push_str(&crate::refusals::part("allow", &fix::words(edit)));
    }
    text
}

/// What to say where the filter refused nothing.
#[cfg(target_os = "linux")]
fn nothing(ready: &super::run::filter::Ready, status: u8) -> String {
    if status == 0 {
        return "the filter refused nothing".to_owned();
    }
    let capabilities = if ready.capabilities.changed {
        "a capability that was taken from it (--cap-keep leaves them)"
    } else {
        "a capability that it lacks"
    };
    format!(
        "the filter refused nothing; if the command failed for want of permission, it was {capabilities}, the mode or owner of a file, or a security module. `strace -f COMMAND` shows the call"
    )
}

/// The schema of what --json prints.
#[cfg(target_os = "linux")]
pub fn schema() -> schemars::Schema {
    json::schema()
}
