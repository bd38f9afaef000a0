//! `cargo xtask ci`: what every change must pass.
//!
//! All lanes share one target directory and one set of features. Formatting, lints and
//! documentation come first, since they only check code; the tests are the one lane that builds
//! it. A lane whose tool or target cannot be had is told as unchecked, and is no pass.

use std::{error::Error, process::Command, time::Instant};

use crate::{cargo, kube_lab, test::is_root};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "\
usage: cargo xtask ci [LANE]...

Runs all lanes, or those named, and fails when one of them does.

  format   rustfmt changes nothing
  lints    no warning from rustc or clippy, in any target
  docs     no warning from rustdoc
  no-std   the core crates build for a machine without an operating system
  hosts    the command builds, without a warning, for a system other than Linux
  msrv     everything builds with the oldest Rust promised, where that is installed
  test     cargo xtask test
  kube     cargo xtask kube-lab, whose node is built beside the other lanes; takes root";

/// Crates that need no operating system.
const CORE: [&str; 6] = [
    "callgate-bpf",
    "callgate-syscalls",
    "callgate-diagnostic",
    "callgate-policy",
    "callgate-verdict",
    "callgate-compile",
];

/// Bare machines, any of which will do: 32 bits before 64, where more can go wrong.
const BARE: [&str; 2] = ["thumbv7em-none-eabi", "x86_64-unknown-none"];

/// Another system, for the verbs that need no Linux.
const OTHER_HOST: &str = "aarch64-apple-darwin";

/// What became of a lane.
enum Outcome {
    Passed,
    Failed,
    /// It could not be run: why.
    Unchecked(String),
}

type Lane = (&'static str, fn() -> Result<Outcome>);

const LANES: [Lane; 8] = [
    ("format", format),
    ("lints", lints),
    ("docs", docs),
    ("no-std", no_std),
    ("hosts", hosts),
    ("msrv", msrv),
    ("test", test),
    ("kube", kube),
];

/// Runs the verb; the value is whether no lane failed.
///
/// # Errors
///
/// For a lane that there is not, and when cargo does not start.
pub fn run(args: &[String]) -> Result<bool> {
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{USAGE}");
        return Ok(true);
    }
    if let Some(unknown) = args.iter().find(|arg| LANES.iter().all(|(name, _)| name != arg)) {
        return Err(format!("no lane `{unknown}`\n{USAGE}").into());
    }
    let is_chosen = |name: &str| args.is_empty() || args.iter().any(|arg| arg == name);
    let chosen = LANES.iter().filter(|(name, _)| is_chosen(name));
    // The last lane waits for it; a failure is that lane's, which tries again.
    let building = (is_chosen("kube") && is_root()).then(kube_lab::build_in_background);
    if let Some(Err(error)) = &building {
        eprintln!("the Kubernetes node is not built meanwhile: {error}");
    }
    let mut told = Vec::new();
    let mut failed = false;
    for (name, lane) in chosen {
        println!("\n=== {name}");
        let begin = Instant::now();
        let outcome = match lane()? {
            Outcome::Passed => "passed".to_owned(),
            Outcome::Failed => {
                failed = true;
                "FAILED".to_owned()
            }
            Outcome::Unchecked(why) => format!("NOT CHECKED: {why}"),
        };
        told.push(format!("{name:8} {:4} s  {outcome}", begin.elapsed().as_secs()));
    }
    println!("\n{}", told.join("\n"));
    Ok(!failed)
}

fn format() -> Result<Outcome> {
    let has_tool = has_component("fmt");
    if !has_tool {
        return Ok(Outcome::Unchecked("rustfmt is not installed".to_owned()));
    }
    check(cargo::command().args(["fmt", "--all", "--check"]))
}

fn lints() -> Result<Outcome> {
    if !has_component("clippy") {
        return Ok(Outcome::Unchecked("clippy is not installed".to_owned()));
    }
    let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    check(cargo::command().args(arguments))
}

fn docs() -> Result<Outcome> {
    let mut command = cargo::command();
    // The command's binary has the library's name, and pages of binaries interest nobody.
    command.args(["doc", "--workspace", "--no-deps", "--lib"]).env("RUSTDOCFLAGS", "-D warnings");
    check(&mut command)
}

fn no_std() -> Result<Outcome> {
    let Some(target) = BARE.into_iter().find(|target| cargo::have_target(target)) else {
        let why = format!("none of the targets {} can be installed", BARE.join(", "));
        return Ok(Outcome::Unchecked(why));
    };
    let mut command = cargo::command();
    command.args(["check", "--target", target]);
    command.args(CORE.iter().flat_map(|package| ["--package", package]));
    check(&mut command)
}

fn hosts() -> Result<Outcome> {
    if !cargo::have_target(OTHER_HOST) {
        return Ok(Outcome::Unchecked(format!("the target {OTHER_HOST} cannot be installed")));
    }
    let arguments = ["clippy", "--package", "callgate-cli", "--target", OTHER_HOST];
    check(cargo::command().args(arguments).args(["--", "-D", "warnings"]))
}

fn msrv() -> Result<Outcome> {
    let version = cargo::rust_version()?;
    let installed = Command::new("rustup").args(["run", &version, "rustc", "--version"]).output();
    if !installed.is_ok_and(|output| output.status.success()) {
        return Ok(Outcome::Unchecked(format!("Rust {version} is not installed")));
    }
    let arguments = ["run", &version, "cargo", "check", "--workspace", "--all-targets"];
    check(Command::new("rustup").args(arguments).current_dir(cargo::workspace()))
}

fn test() -> Result<Outcome> {
    check(cargo::command().args(["xtask", "test"]))
}

fn kube() -> Result<Outcome> {
    if !is_root() {
        return Ok(Outcome::Unchecked("a Kubernetes node takes root".to_owned()));
    }
    check(cargo::command().args(["xtask", "kube-lab"]))
}

/// Whether this toolchain has the subcommand, with the component added by rustup if need be.
fn has_component(name: &str) -> bool {
    let there = || {
        let output = cargo::command().args([name, "--version"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let component = if name == "fmt" { "rustfmt" } else { name };
    there()
        || (Command::new("rustup")
            .args(["component", "add", component])
            .status()
            .is_ok_and(|status| status.success())
            && there())
}

/// Shows the command, runs it in the workspace, and takes its status for the outcome.
fn check(command: &mut Command) -> Result<Outcome> {
    let arguments: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy()).collect();
    let variables: String = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_str()?, value?.to_str()?)))
        .map(|(name, value)| format!("{name}='{value}' "))
        .collect();
    let program = command.get_program().to_string_lossy();
    let program = program.rsplit('/').next().unwrap_or("cargo");
    println!("+ {variables}{program} {}", arguments.join(" "));
    let status = command.current_dir(cargo::workspace()).status()?;
    Ok(if status.success() { Outcome::Passed } else { Outcome::Failed })
}
