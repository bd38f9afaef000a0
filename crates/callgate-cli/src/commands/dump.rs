//! `callgate dump`: the filters of a running process, or those that a command loads.

#[cfg(target_os = "linux")]
mod command;
#[cfg(target_os = "linux")]
mod file;
#[cfg(target_os = "linux")]
mod process;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{Args as ClapArgs, ValueEnum};

#[cfg(target_os = "linux")]
use super::{Failure, run::OWN_ERROR};
use crate::report;

const AFTER_HELP: &str = "\
With --pid: the filters that hold a process now. With a COMMAND: it is run under ptrace, and every
filter that it and all that it starts load is caught, told on standard error in a line, and with -o
written; by prctl and seccomp(2), in threads, and by int 0x80 too. Its flags are all known then, and
the program is compared with the one that the kernel has. What the command leaves running is followed
to its end; Ctrl-C lets go of it.

Reading filters from the kernel takes CAP_SYS_ADMIN in the first user namespace, a caller that no filter holds, no
other tracer on the process, and a kernel with CONFIG_CHECKPOINT_RESTORE. Each thread is stopped for
a moment, one after the other.

Filters are numbered as they were loaded, 1 the oldest. The kernel tells the program and the LOG
flag of each; whether it has a listener, and the flags TSYNC and SPEC_ALLOW, cannot be read back.

The sources pid:N and tid:N name the same filters for every other verb: all that hold a process or
thread, newest first. Where the threads of a process have different ones, tid:N says which.

Exit status: with --pid 0, or 2 for an error. With a COMMAND its own, 128+N for signal N, 125 callgate
failed, 126 not executable, 127 not found.

Examples:
  callgate dump --pid 1234
  callgate dump --pid 1234 -o filters
  callgate dump -o filters -- firefox
  callgate diff docker-default pid:1234";

/// Dump the filters of a running process, or those that a command loads
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["pid", "command"])))]
pub struct Args {
    /// The process; all of its threads are read
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(i32).range(1..)
    )]
    pid: Option<i32>,

    /// Write each filter to a file in this folder, which is made if need be; a file appears whole
    /// or not at all
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// What to write [default: asm on standard output, raw in files]
    #[arg(long, value_enum)]
    format: Option<Format>,

    /// Print JSON: who, flags, instructions, files; of a command, when it has ended
    #[arg(long)]
    json: bool,

    /// A command and its arguments, to catch what it loads
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// An array of struct sock_filter, as seccomp(2) and bwrap take it
    Raw,
    /// A listing, as `callgate disasm` prints it
    Asm,
    /// A C array
    C,
    /// The instructions as JSON
    Json,
}

#[cfg(not(target_os = "linux"))]
pub fn main(_: Args) -> ExitCode {
    report::error("dump needs a Linux kernel");
    ExitCode::from(2)
}

#[cfg(target_os = "linux")]
pub fn main(args: Args) -> ExitCode {
    let (result, own_error) = match args.pid {
        Some(pid) => (process::dump(&args, pid).map(|()| 0), 2),
        None => (command::dump(&args), OWN_ERROR),
    };
    ExitCode::from(result.unwrap_or_else(|failure| {
        if let Failure::Message(message) = failure {
            report::error(message);
        }
        own_error
    }))
}

/// The schema of what --json prints.
#[cfg(target_os = "linux")]
pub fn schema() -> schemars::Schema {
    #[derive(schemars::JsonSchema)]
    #[serde(untagged)]
    #[expect(dead_code, reason = "it only describes the two forms")]
    enum Either {
        Process(process::Json),
        Command(command::Json),
    }
    crate::output::schema_of::<Either>()
}
