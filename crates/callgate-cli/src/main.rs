//! The command `callgate`: argument parsing and printing. What it prints, the libraries found.

mod args;
mod commands;
mod formats;
mod meaning;
mod names;
mod output;
#[cfg(target_os = "linux")]
mod refusals;
mod report;
mod source;
mod target;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match args::Cli::try_parse() {
        Ok(cli) => commands::dispatch(cli),
        Err(error) => {
            // Standard error going away leaves nobody to tell.
            let _ = error.print();
            match error.exit_code() {
                0 => ExitCode::SUCCESS,
                _ => ExitCode::from(commands::status_of_wrong_usage()),
            }
        }
    }
}
