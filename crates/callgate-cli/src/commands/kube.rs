//! `callgate kube`: profiles for the containers of a cluster.

pub mod check;

use clap::{Args as ClapArgs, Subcommand};

use super::{Answer, Failure};

const AFTER_HELP: &str = "\
No cluster is needed, nor any right in one; docs/kubernetes.md says more.

Example:
  callgate kube check web.yaml";

/// Find the right profile for every container of a Kubernetes cluster
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    Check(check::Args),
}

pub fn main(args: Args) -> Result<Answer, Failure> {
    match args.what {
        What::Check(args) => check::main(args),
    }
}
