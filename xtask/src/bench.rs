//! `cargo xtask bench`: what a filter costs, beside those of other compilers, in one run.
//!
//! The measuring is an example of this package (`src/bench/main.rs`), since it needs the crates
//! that it measures, in the release profile.

use std::error::Error;

use crate::cargo;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "\
usage: cargo xtask bench [--json] [--repeat N] [--only WORD] [--write-docs]

Builds callgate in the release profile and measures, beside other compilers (libseccomp, seccompiler
and Kafel, where they are to be had): the programs of the Docker default profile and of Firecracker,
making and loading them, very many rules, and the proof; and by itself: starting a command, what
recording costs, evaluating calls, and the commands that look at a filter. The status is 1 when a
target is not met. docs/benchmarks.md says what is measured and what it needs.

  --json         the figures as JSON
  --repeat N     how often each contender is timed [default: 200]
  --only WORD    only what has this in its name, as it is told while measuring: `--only recording`
  --write-docs   put the table into docs/benchmarks.md";

/// Runs the verb; the value is whether every target was met.
///
/// # Errors
///
/// When callgate does not build or something that is not a peer cannot be measured.
pub fn run(args: &[String]) -> Result<bool> {
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{USAGE}");
        return Ok(true);
    }
    let build = ["build", "--quiet", "--release", "--package", "callgate-cli"];
    if !cargo::command().args(build).status()?.success() {
        return Err("callgate does not build".into());
    }
    cargo::example("bench", &["--release"], args)
}
