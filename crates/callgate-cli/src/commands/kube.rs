//! `callgate kube`: profiles in Kubernetes.

mod manifest;

use clap::{Args as ClapArgs, Subcommand};

use super::{Answer, Failure};

const AFTER_HELP: &str = "\
Examples:
  callgate kube manifest web.json --name web | kubectl apply -f -";

/// Profiles in Kubernetes: bring them to the nodes
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    Manifest(manifest::Args),
}

pub fn main(args: Args) -> Result<Answer, Failure> {
    match args.verb {
        Verb::Manifest(args) => manifest::main(args),
    }
}
