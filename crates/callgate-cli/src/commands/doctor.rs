//! `callgate doctor`: what this kernel and this process can do.

#[cfg(target_os = "linux")]
mod findings;
#[cfg(target_os = "linux")]
mod verbs;

use clap::Args as ClapArgs;

use super::{Answer, Failure};

const AFTER_HELP: &str = "\
Everything is tried in short-lived children; nothing of this machine or process changes.

Example:
  callgate doctor";

/// Say what this kernel and this process can do with seccomp
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[cfg(not(target_os = "linux"))]
pub fn main(_: Args) -> Result<Answer, Failure> {
    Err(Failure::Message(
        "doctor asks a Linux kernel; on this system compile, check, disasm, syscall and caps work"
            .to_owned(),
    ))
}

#[cfg(target_os = "linux")]
pub fn main(args: Args) -> Result<Answer, Failure> {
    use crate::output;
    let features = callgate_kernel::Features::probe();
    let report = findings::Report::of(&features);
    if args.json {
        output::print_json(&report)?;
    } else {
        output::print(&report.text())?;
    }
    Ok(Answer::Yes)
}

/// The schema of what --json prints.
#[cfg(target_os = "linux")]
pub fn schema() -> schemars::Schema {
    crate::output::schema_of::<findings::Report>()
}
