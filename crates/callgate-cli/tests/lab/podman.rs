//! Podman of Debian, with a store of its own.

use std::{fs, path::PathBuf, process::Command};

use super::{
    Lab,
    answers::Outcome,
    bundle::{Runtime, callgate_line, outcome, question},
    calls::Call,
    command::{self, Output},
};

/// The image's name.
pub const IMAGE: &str = "localhost/lab:1";

/// In the laboratory's own `/run`.
const RUN_ROOT: &str = "/run/callgate-lab-podman";

/// Limits that a machine without CAP_SYS_RESOURCE can give; podman's own are higher.
const CONFIGURATION: &str = r#"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
EXTRA_CONTAINERS
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
"#;

/// A store with the image in it.
pub struct Podman {
    folder: PathBuf,
}

impl Podman {
    pub fn start(lab: &Lab) -> Podman {
        let folder = lab.path().join("podman");
        fs::create_dir_all(&folder).expect("the laboratory's folder takes a folder");
        let podman = Podman { folder };
        podman.configure("containers.conf", "");
        let mut import = podman.command(lab, "containers.conf");
        import.arg("import").arg(&lab.rootfs.archive).arg(IMAGE);
        command::run(&mut import, "").expect("podman import");
        podman
    }

    /// Writes a containers.conf with `extra` lines in its section `[containers]`.
    fn configure(&self, name: &str, extra: &str) {
        let text = CONFIGURATION.replace("EXTRA_CONTAINERS", extra);
        fs::write(self.folder.join(name), text).expect("the folder takes a file");
    }

    fn command(&self, lab: &Lab, configuration: &str) -> Command {
        let mut command = lab.cell.command("podman");
        command
            .env("CONTAINERS_CONF", self.folder.join(configuration))
            .arg("--root")
            .arg(self.folder.join("store"))
            .arg("--runroot")
            .arg(RUN_ROOT);
        command
    }

    /// A shell line in the laboratory's world, where `podman run` uses this store and puts
    /// control groups under the laboratory's name.
    pub fn shell(&self, lab: &Lab, line: &str) -> Output {
        let function = format!(
            "podman() {{ shift; command podman --root {} --runroot {RUN_ROOT} run --cgroup-parent /{} --network none \"$@\"; }}",
            self.folder.join("store").display(),
            lab.cell.cgroup(),
        );
        command::run(
            lab.cell
                .command("sh")
                .env("CONTAINERS_CONF", self.folder.join("containers.conf"))
                .args(["-c", &format!("{function}; {line}")]),
            "",
        )
    }

    /// `podman run` of `args`.
    pub fn container(
        &self,
        lab: &Lab,
        runtime: Runtime,
        options: &[&str],
        args: &[&str],
        input: &str,
    ) -> Output {
        self.run_container(lab, "containers.conf", runtime, options, args, input)
    }

    /// The same, with a setting in the section `[containers]` of containers.conf.
    pub fn container_with(
        &self,
        lab: &Lab,
        runtime: Runtime,
        setting: &str,
        args: &[&str],
    ) -> Output {
        let name = format!("containers-{}.conf", lab.unique());
        self.configure(&name, setting);
        self.run_container(lab, &name, runtime, &[], args, "")
    }

    fn run_container(
        &self,
        lab: &Lab,
        configuration: &str,
        runtime: Runtime,
        options: &[&str],
        args: &[&str],
        input: &str,
    ) -> Output {
        let cgroup = format!("/{}", lab.cell.cgroup());
        let mut line = vec!["--runtime", runtime.name(), "run", "--rm", "--interactive"];
        line.extend(["--network", "none", "--cgroup-parent", &cgroup]);
        line.extend(["--security-opt", "no-new-privileges"]);
        line.extend(options);
        line.push(IMAGE);
        line.extend(args);
        command::run(self.command(lab, configuration).args(&line), input)
    }

    /// Podman's answers, with the profile loaded by it and `runtime`.
    pub fn ask(&self, lab: &Lab, runtime: Runtime, profile: &str, calls: &[Call]) -> Outcome {
        let (path, _) = lab.share(profile);
        let seccomp = format!("seccomp={}", path.display());
        let options = ["--security-opt", seccomp.as_str()];
        outcome(calls, &self.container(lab, runtime, &options, &["/bin/probe"], &question(calls)))
    }

    /// Callgate's answers in a container of podman that has no filter of its own.
    pub fn ask_callgate(
        &self,
        lab: &Lab,
        runtime: Runtime,
        profile: &str,
        calls: &[Call],
    ) -> Outcome {
        let (_, inside) = lab.share(profile);
        let share = format!("{}:/lab:ro", lab.path().join("share").display());
        let options = ["--security-opt", "seccomp=unconfined", "--volume", share.as_str()];
        let args = callgate_line("containers", runtime.name(), &inside);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        outcome(calls, &self.container(lab, runtime, &options, &args, &question(calls)))
    }
}
