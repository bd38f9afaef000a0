//! `cargo xtask`: tests, benchmarks, generated tables and releases of callgate.

mod apt;
mod bench;
mod cargo;
mod ci;
mod dist;
mod kube_lab;
mod packages;
mod tables;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask VERB [--help]

  test      run all tests, with what they need installed
  ci        what every change must pass: test, formatting, lints, documentation, no_std
  kube-lab  run the tests that take a Kubernetes node, which it builds
  bench     measure callgate beside libseccomp
  dist      build the static binary, completions and man pages
  tables    generate the system call tables
  names     generate the constants of `callgate::Syscall` from them";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (verb, rest) = args.split_first().map_or(("", &[][..]), |(v, r)| (v.as_str(), r));
    let result = match verb {
        "test" => test::run(rest),
        "ci" => ci::run(rest),
        "kube-lab" => kube_lab::run(rest),
        "bench" => bench::run(rest),
        "dist" => dist::run(rest),
        "tables" => tables::run(rest),
        "names" => cargo::example("names", &[], rest),
        "--help" | "-h" | "help" => {
            println!("{USAGE}");
            Ok(true)
        }
        "" => Err(USAGE.into()),
        other => Err(format!("no verb `{other}`\n{USAGE}").into()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
