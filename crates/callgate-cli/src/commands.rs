//! The verbs.

pub mod asm;
pub mod caps;
pub mod check;
pub mod compile;
pub mod convert;
pub mod diff;
pub mod disasm;
pub mod doctor;
pub mod dump;
pub mod eval;
pub mod explain;
pub mod generate;
pub mod hook;
pub mod kube;
pub mod lint;
pub mod merge;
pub mod profile;
pub mod record;
pub mod run;
pub mod syscall;
pub mod why;

use std::{fmt, io, process::ExitCode};

use crate::{
    args::{Cli, Command},
    report,
};

/// What a verb came to, for those that answer yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes, same, clean.
    Yes,
    /// No, different, findings.
    No,
}

/// Why a verb could not do its work.
#[derive(Debug)]
pub enum Failure {
    /// Already told on standard error.
    Reported,
    /// To be told.
    Message(String),
}

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure::Message(message)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Message(error.to_string())
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Failure {
        Failure::Message(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Reported => Ok(()),
            Failure::Message(message) => f.write_str(message),
        }
    }
}

/// The status for a command line that is none. After `run` and `why`, and `dump` or `record` with
/// a command, the small numbers are the command's.
pub fn status_of_wrong_usage() -> u8 {
    let verb = std::env::args_os().nth(1);
    let command = std::env::args_os().any(|argument| argument == "--");
    let runs = |verb: std::ffi::OsString| match verb.to_str() {
        Some("run" | "why") => true,
        Some("dump" | "record") => command,
        _ => false,
    };
    if verb.is_some_and(runs) { run::OWN_ERROR } else { 2 }
}

/// Runs the verb and gives the status to exit with.
pub fn dispatch(cli: Cli) -> ExitCode {
    let answer = match cli.command {
        Command::Run(args) => return run::main(args),
        Command::Why(args) => return why::main(args),
        Command::Dump(args) => return dump::main(args),
        Command::Record(args) => return record::main(args),
        Command::Hook(args) => hook::main(args),
        Command::Profile(args) => profile::main(args),
        Command::Compile(args) => compile::main(args),
        Command::Check(args) => check::main(args),
        Command::Diff(args) => diff::main(args),
        Command::Disasm(args) => disasm::main(args),
        Command::Explain(args) => explain::main(args),
        Command::Syscall(args) => syscall::main(args),
        Command::Caps(args) => caps::main(args),
        Command::Merge(args) => merge::main(args),
        Command::Eval(args) => eval::main(args),
        Command::Convert(args) => convert::main(args),
        Command::Asm(args) => asm::main(args),
        Command::Kube(args) => kube::main(args),
        Command::Lint(args) => lint::main(args),
        Command::Doctor(args) => doctor::main(args),
        Command::Generate(args) => generate::main(args),
    };
    match answer {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Err(failure) => {
            if let Failure::Message(message) = failure {
                report::error(message);
            }
            ExitCode::from(2)
        }
    }
}
