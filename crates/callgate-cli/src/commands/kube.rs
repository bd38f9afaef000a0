//! `callgate kube`: profiles for the containers of a cluster.

pub mod check;
mod manifest;

use callgate_kube::Runtime;
use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::{Answer, Failure};

const AFTER_HELP: &str = "\
No cluster is needed, nor any right in one; docs/kubernetes.md says more.

Examples:
  callgate kube manifest web.json --name web | kubectl apply -f -
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
    Manifest(manifest::Args),
    Check(check::Args),
}

/// The runtime of the nodes.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum RuntimeArg {
    Containerd,
    #[value(name = "cri-o")]
    CriO,
}

impl From<RuntimeArg> for Runtime {
    fn from(runtime: RuntimeArg) -> Runtime {
        match runtime {
            RuntimeArg::Containerd => Runtime::Containerd,
            RuntimeArg::CriO => Runtime::CriO,
        }
    }
}

pub fn main(args: Args) -> Result<Answer, Failure> {
    match args.what {
        What::Manifest(args) => manifest::main(args),
        What::Check(args) => check::main(args),
    }
}
