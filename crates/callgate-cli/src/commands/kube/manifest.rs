//! `callgate kube manifest`: a profile on every node of a cluster.

use std::path::{Path, PathBuf};

use callgate_diagnostic::Diagnostic;
use callgate_kube::{
    DEFAULT_ROOT, Runtime,
    install::{Install, Layout, Manifests, Pool},
};
use callgate_policy::{Architectures, Target};
use callgate_syscalls::{Abi, CapabilitySet, KernelVersion};
use clap::Args as ClapArgs;

use super::{
    super::{Answer, Failure, compile, profile as recorded},
    RuntimeArg,
};
use crate::{
    formats, output, report,
    source::{Profile, Source},
    target::{
        NewerArgs, ReadingArgs, TargetArgs, native, parse_abi, parse_caps, parse_kernel, resolve,
    },
};

const AFTER_HELP: &str = "\
Written are a ConfigMap with the profile and a DaemonSet whose container copies it into the node's
folder, whole or not at all, follows the ConfigMap, and removes the file when it is deleted. The
container runs as root without any capability and sees of the node that one folder. The profile is
written without conditions, in the dialect that the runtime reads, read back and compared.

Each --arch is a pool of nodes with a ConfigMap and a DaemonSet of its own; the file is called alike
on all of them, so that one pod runs on any.

Exit status: 0 the manifests were written, 2 error.

Examples:
  callgate kube manifest web.json --name web | kubectl apply -f -
  callgate kube manifest --from web.rec --name web --kustomize -o web/ && kubectl apply -k web/
  callgate kube manifest docker-default --name base --arch x86_64 --arch aarch64 -o base/";

/// Write manifests that put a profile on every node, and take it away again
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The profile
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    source: Option<String>,

    /// Make the profile of a recording, as `callgate profile` does; may be repeated
    #[arg(long, value_name = "RECORDING")]
    from: Vec<PathBuf>,

    /// What the profile is called: pods name it FOLDER/NAME.json
    #[arg(long)]
    name: String,

    /// The nodes' architecture; may be repeated [default: this machine's]
    #[arg(long, value_name = "ARCH", value_parser = parse_abi)]
    arch: Vec<Abi>,

    /// The runtime of the nodes: it decides how the profile is written
    #[arg(long, value_name = "RUNTIME", default_value = "containerd")]
    runtime: RuntimeArg,

    /// Write files into this folder [default: one text on standard output]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Write them for `kubectl apply -k`
    #[arg(long, requires = "output")]
    kustomize: bool,

    /// The namespace of the DaemonSet; it must allow hostPath volumes
    #[arg(long, default_value = "kube-system")]
    namespace: String,

    /// Only nodes with this label; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_label)]
    node_selector: Vec<(String, String)>,

    /// The image of the container; it needs sh, cat, cp, mv, rm, sleep and test
    #[arg(long, default_value = "busybox:stable")]
    image: String,

    /// The kubelet's folder of profiles, on the node
    #[arg(long, value_name = "DIR", default_value = DEFAULT_ROOT)]
    root: String,

    /// The folder below it, which holds nothing else
    #[arg(long, value_name = "FOLDER", default_value = "callgate")]
    folder: String,

    /// The nodes' kernel version, for a profile's `minKernel` [default: the running kernel's]
    #[arg(long, value_name = "X.Y", value_parser = parse_kernel)]
    kernel: Option<KernelVersion>,

    /// Capability that the containers have, for a profile's conditions: a name, `ALL`, `none`, or
    /// `default` for the runtimes' 14; may be repeated [default: default]
    #[arg(long, value_name = "NAME", value_parser = parse_caps)]
    cap: Vec<CapabilitySet>,

    #[command(flatten)]
    reading: ReadingArgs,
}

pub fn main(args: Args) -> Result<Answer, Failure> {
    let abis = if args.arch.is_empty() { vec![native()?] } else { args.arch.clone() };
    let mut profile = match &args.source {
        Some(source) => Source::open_profile(source, args.reading.dialect())?,
        None => {
            let text = recorded::of_recordings(&args.from, &abis)?;
            Profile::read("the recorded profile", text, formats::named("oci"))
        }
    };
    let pools = pools(&mut profile, &args, &abis)?;
    conditions(&profile, &args);
    let install = Install {
        name: args.name.clone(),
        namespace: args.namespace.clone(),
        image: args.image.clone(),
        root: args.root.clone(),
        folder: args.folder.clone(),
        node_selector: args.node_selector.clone(),
    };
    let manifests =
        Manifests::new(install, pools).map_err(|error| format!("{error}; nothing was written"))?;
    let how = match &args.output {
        None => {
            output::print(&manifests.stream())?;
            "-f -".to_owned()
        }
        Some(folder) => {
            let layout = if args.kustomize { Layout::Kustomize } else { Layout::Plain };
            let files = manifests.files(layout);
            let each = files.iter().map(|file| (file.path.as_str(), file.text.as_str()));
            output::write_folder(folder, each)?;
            let flag = if args.kustomize { "-k" } else { "-f" };
            tell(&args, &manifests, folder, flag);
            format!("{flag} {}", folder.display())
        }
    };
    if manifests.needs_server_side() {
        report::note(format!(
            "the profile is too large for the copy that kubectl keeps in an annotation; apply it by `kubectl apply --server-side {how}`"
        ));
    }
    Ok(Answer::Yes)
}

/// The profile for each kind of machine, in the runtime's dialect.
fn pools(profile: &mut Profile, args: &Args, abis: &[Abi]) -> Result<Vec<Pool>, Failure> {
    let here = TargetArgs {
        arch: abis.to_vec(),
        kernel: args.kernel,
        cap: args.cap.clone(),
        newer: NewerArgs { no_enosys: false, like: None },
    };
    let here = here.target()?;
    let mut rulesets = Vec::new();
    for &abi in abis {
        let abis = profile.policy.as_ref().and_then(|policy| runs_on(&policy.architectures, abi));
        let target = Target { native: abi, abis, ..here.clone() };
        rulesets.push((abi, resolve(profile, &args.reading, &target), target));
    }
    // What is wrong on each of them is said once.
    let mut once: Vec<Diagnostic> = Vec::new();
    for found in profile.diagnostics.drain(..) {
        if !once.contains(&found) {
            once.push(found);
        }
    }
    profile.diagnostics = once;
    profile.print_diagnostics(false, "nothing was written");
    let mut pools = Vec::new();
    for (abi, ruleset, target) in rulesets {
        let (Some(ruleset), Some(policy)) = (ruleset, &profile.policy) else {
            return Err(Failure::Reported);
        };
        callgate_compile::compile(&ruleset)
            .map_err(|error| format!("{}: {error}; nothing was written", profile.name))?;
        let text = compile::flat(
            policy,
            &ruleset,
            &target,
            profile,
            Runtime::from(args.runtime).dialect(),
        )?;
        pools.push(Pool { abi, profile: text });
    }
    Ok(pools)
}

/// Of a plain list of architectures those that a machine runs; a list for each kind of machine
/// stays as it is.
fn runs_on(architectures: &Architectures, native: Abi) -> Option<Vec<Abi>> {
    let Architectures::List(list) = architectures else { return None };
    let others = list.iter().map(|abi| abi.value);
    let others = others.filter(|abi| native.companions().contains(abi));
    Some(std::iter::once(native).chain(others).collect())
}

/// Says for which capabilities a profile was decided that depends on them.
fn conditions(profile: &Profile, args: &Args) {
    let entries = profile.policy.iter().flat_map(|policy| &policy.entries);
    let depends =
        entries.flat_map(|entry| [&entry.includes, &entry.excludes]).any(|c| !c.caps.is_empty());
    if depends && args.cap.is_empty() {
        report::note(format!(
            "{} depends on capabilities; this is for the 14 that containers have unless told otherwise (--cap)",
            report::printable_name(&profile.name)
        ));
    }
}

/// What was written and what to do with it, on standard error.
fn tell(args: &Args, manifests: &Manifests, folder: &Path, flag: &str) {
    let folder = report::printable_name(&folder.to_string_lossy());
    report::say_line(format_args!(
        "{folder}: kubectl apply {flag} {folder} puts {} on the nodes; profiles/{}.snippet.yaml is what pods say",
        manifests.localhost_profile(),
        args.name
    ));
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| "expected KEY=VALUE, such as pool=web".to_owned())
}
