//! runc and crun, each with a bundle of its own for every container.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{
    Lab,
    answers::{Answers, Outcome, Refusal},
    calls::Call,
    command::{self, Output},
};

/// The default capabilities of a Docker container.
const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// A runtime that takes an OCI bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    Runc,
    Crun,
}

impl Runtime {
    pub fn name(self) -> &'static str {
        match self {
            Runtime::Runc => "runc",
            Runtime::Crun => "crun",
        }
    }
}

/// Runs `args` in a container whose `linux.seccomp` is the text `seccomp`, or that has none.
pub fn run(
    lab: &Lab,
    runtime: Runtime,
    seccomp: Option<&str>,
    args: &[&str],
    input: &str,
) -> Output {
    let name = format!("c{}", lab.unique());
    let bundle = write(lab, &name, seccomp, args);
    start(lab, runtime, &bundle, &name, input)
}

/// Runs a bundle that was written for the container `name`, and removes it.
pub fn start(lab: &Lab, runtime: Runtime, bundle: &Path, name: &str, input: &str) -> Output {
    // A state folder for each: crun keeps compiled filters in it for the next container.
    let output = command::run(
        lab.cell
            .command(runtime.name())
            .arg("--root")
            .arg(bundle.join("state"))
            .args(["run", "--bundle"])
            .arg(bundle)
            .arg(name),
        input,
    );
    let _ = fs::remove_dir_all(bundle);
    output
}

/// Writes a bundle for the container `name`, and gives its folder.
///
/// The text `seccomp` goes in as it is: letter case and repeated keys are what some tests are
/// about.
pub fn write(lab: &Lab, name: &str, seccomp: Option<&str>, args: &[&str]) -> PathBuf {
    const PLACE: &str = "@seccomp@";
    let bundle = lab.path().join("bundles").join(name);
    fs::create_dir_all(&bundle).expect("the laboratory's folder takes a folder");
    let mut config = json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": args,
            "env": ["PATH=/bin"],
            "cwd": "/",
            "noNewPrivileges": true,
            "capabilities": {
                "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES,
            },
        },
        "root": { "path": lab.rootfs.folder, "readonly": true },
        "hostname": "lab",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
              "options": ["nosuid", "mode=755"] },
            { "destination": "/tmp", "type": "tmpfs", "source": "tmpfs" },
            { "destination": "/lab", "type": "bind", "source": lab.path().join("share"),
              "options": ["rbind", "ro"] },
        ],
        "linux": {
            "cgroupsPath": format!("/{}/{name}", lab.cell.cgroup()),
            "namespaces": [
                { "type": "pid" }, { "type": "network" }, { "type": "ipc" }, { "type": "uts" },
                { "type": "mount" },
            ],
        },
    });
    if seccomp.is_some() {
        config["linux"]["seccomp"] = json!(PLACE);
    }
    let text = config.to_string();
    let text = match seccomp {
        Some(seccomp) => text.replace(&format!("\"{PLACE}\""), seccomp),
        None => text,
    };
    fs::write(bundle.join("config.json"), text).expect("the folder takes a file");

    bundle
}

/// The runtime's own answers, with the profile loaded by it.
pub fn ask(lab: &Lab, runtime: Runtime, seccomp: &str, calls: &[Call]) -> Outcome {
    outcome(calls, &run(lab, runtime, Some(seccomp), &["/bin/probe"], &question(calls)))
}

/// Callgate's answers, with the profile loaded by `callgate run` in an otherwise equal container.
pub fn ask_callgate(lab: &Lab, runtime: Runtime, profile: &str, calls: &[Call]) -> Outcome {
    let (_, inside) = lab.share(profile);
    let args = callgate_line("oci", runtime.name(), &inside);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    outcome(calls, &run(lab, runtime, None, &args, &question(calls)))
}

/// The command line that loads `profile` (a path in the container) and runs the probe.
pub fn callgate_line(dialect: &str, like: &str, profile: &str) -> Vec<String> {
    ["/bin/callgate", "run", "--profile", profile, "--dialect", dialect, "--like", like]
        .into_iter()
        .chain(["--cap-keep", "--allow-unanswered", "--", "/bin/probe"])
        .map(str::to_owned)
        .collect()
}

/// The probe's input.
pub fn question(calls: &[Call]) -> String {
    calls.iter().map(|call| format!("{call}\n")).collect()
}

/// The probe's output, read.
///
/// # Panics
///
/// When the probe ran and its output is not whole: then the profile refuses what it needs.
pub fn outcome(calls: &[Call], output: &Output) -> Outcome {
    if output.success() {
        match Answers::read(calls, &output.stdout) {
            Ok(answers) => Ok(answers),
            Err(why) => panic!("{why}\n{}", output.stderr),
        }
    } else {
        Err(Refusal { status: output.code(), message: output.stderr.clone() })
    }
}
