//! `callgate kube check`: which profile holds each container of a manifest, and whether it can.

mod cluster;
mod human;
mod json;
mod look;
mod profile;

use std::path::PathBuf;

use callgate_diagnostic::Severity;
use callgate_kube::{DEFAULT_ROOT, Expected, Level, Runtime};
use clap::{Args as ClapArgs, ValueEnum};

use self::look::{Seen, Text};
use super::RuntimeArg;
use crate::{
    commands::{Answer, Failure},
    output,
    report::{self, Places, SarifResult, sarif},
    target::TargetArgs,
};

const AFTER_HELP: &str = "\
A container's own profile counts, then the pod's, then the node's default; a privileged container
has none. With --root the files that Localhost profiles name are read as the node's runtime reads
them, and looked at as by `callgate lint`. Findings have pages: docs/diagnostics/ID.md.

Exit status: 0 clean (notes are no findings), 1 findings, 2 a manifest cannot be read.

Examples:
  callgate kube check web.yaml --pod-security restricted
  kubectl kustomize overlays/prod | callgate kube check - --root profiles/
  callgate kube check --context prod --json
  callgate kube check *.yaml --sarif > kube.sarif";

/// Check which profile holds each container of a manifest, and whether it can
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Manifests in YAML or JSON; `-` for standard input
    #[arg(required_unless_present = "context", conflicts_with = "context", value_name = "FILE")]
    files: Vec<String>,

    /// Look at the pods and controllers of the cluster of this context, through kubectl
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// Folder with the node's profiles: the kubelet's seccomp root [default:
    /// /var/lib/kubelet/seccomp, where it is there and files are checked]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,

    /// The runtime of the nodes: it decides how a profile is read
    #[arg(long, value_name = "RUNTIME", default_value = "containerd")]
    runtime: RuntimeArg,

    /// The kubelet gives containers without a profile the runtime's (`seccompDefault`)
    #[arg(long)]
    seccomp_default: bool,

    /// Pod Security level that must admit the pods, as far as seccomp decides
    #[arg(long, value_name = "LEVEL")]
    pod_security: Option<LevelArg>,

    /// Leave out the findings of this id; may be repeated
    #[arg(long, value_name = "ID")]
    allow: Vec<String>,

    #[command(flatten)]
    target: TargetArgs,

    /// Print JSON
    #[arg(long, conflicts_with = "sarif")]
    json: bool,

    /// Print SARIF 2.1.0, which code hosts and editors show
    #[arg(long)]
    sarif: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LevelArg {
    Baseline,
    Restricted,
}

pub fn main(args: Args) -> Result<Answer, Failure> {
    let mut failed = false;
    let mut texts: Vec<Text> = Vec::new();
    if let Some(context) = &args.context {
        texts.push(cluster::objects(context)?);
    }
    for file in &args.files {
        match Text::read(file) {
            Ok(text) => texts.push(text),
            Err(error) => {
                report::error(error);
                failed = true;
            }
        }
    }
    let mut profiles = profile::Profiles::new(args.root(), args.runtime(), &args.target);
    let expected = args.expected();
    let mut all = Vec::new();
    for text in texts {
        all.push(look::look(text, expected, &args.allow, &mut profiles)?);
    }
    if args.json {
        output::print_json(&json::report(&mut all))?;
    } else if args.sarif {
        output::print_json(&sarif_log(&mut all))?;
    } else {
        for seen in &mut all {
            output::print(&human::text(seen))?;
        }
    }
    for seen in all.iter().filter(|seen| !seen.is_whole) {
        report::error(format!("{}: it was not read to its end", seen.name));
        failed = true;
    }
    let found = |seen: &Seen| {
        seen.findings.count(Severity::Error) + seen.findings.count(Severity::Warning) > 0
    };
    match (failed, all.iter().any(found)) {
        (true, _) => Err(Failure::Reported),
        (false, true) => Ok(Answer::No),
        (false, false) => Ok(Answer::Yes),
    }
}

impl Args {
    fn root(&self) -> Option<PathBuf> {
        let default = || PathBuf::from(DEFAULT_ROOT);
        // A node's own folder says nothing of the nodes of a cluster elsewhere.
        let here = || Some(default()).filter(|root| self.context.is_none() && root.is_dir());
        self.root.clone().or_else(here)
    }

    fn runtime(&self) -> Runtime {
        self.runtime.into()
    }

    fn expected(&self) -> Expected {
        let pod_security = self.pod_security.map(|level| match level {
            LevelArg::Baseline => Level::Baseline,
            LevelArg::Restricted => Level::Restricted,
        });
        Expected { seccomp_default: self.seccomp_default, pod_security }
    }
}

/// The schema of what --json prints.
pub fn schema() -> schemars::Schema {
    output::schema_of::<json::Report<'static>>()
}

fn sarif_log(all: &mut [Seen]) -> serde_json::Value {
    let mut seen = Vec::new();
    for Seen { name, text, findings, .. } in all {
        seen.push((name, Places::new(text), findings.in_order()));
    }
    let results = seen.iter().flat_map(|(name, places, findings)| {
        findings.iter().map(move |diagnostic| SarifResult {
            name,
            places,
            diagnostic,
            before: "",
            after: String::new(),
            bytes: None,
            page: page(diagnostic.id),
        })
    });
    sarif(&[], &results.collect::<Vec<_>>())
}

/// Where the documentation of a finding stands, in the repository.
fn page(id: &str) -> String {
    format!("docs/diagnostics/{id}.md")
}
