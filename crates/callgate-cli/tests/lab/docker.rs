//! The Docker engine of Debian, started in the laboratory's world.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{
    Lab,
    answers::Outcome,
    bundle::{callgate_line, outcome, question},
    calls::Call,
    command::{self, Output},
};

/// The image's name.
pub const IMAGE: &str = "lab:1";

/// Longest wait for the engine's socket.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running engine with the image imported.
pub struct Docker {
    daemon: Child,
    folder: PathBuf,
    enter: Vec<String>,
}

impl Docker {
    /// Starts an engine that keeps its files under `name`, with `options` behind the usual ones.
    pub fn start(lab: &Lab, name: &str, options: &[&str]) -> Docker {
        let folder = lab.path().join(name);
        fs::create_dir_all(&folder).expect("the laboratory's folder takes a folder");
        let log = || File::options().create(true).append(true).open(folder.join("log"));
        // A network namespace for each engine: two would fight over one bridge.
        let daemon = lab
            .cell
            .command("unshare")
            .args(["--net", "dockerd"])
            .arg("--data-root")
            .arg(folder.join("data"))
            .arg("--exec-root")
            .arg(folder.join("exec"))
            .arg("--pidfile")
            .arg(folder.join("pid"))
            .arg("--host")
            .arg(format!("unix://{}", folder.join("socket").display()))
            .arg("--cgroup-parent")
            .arg(format!("/{}", lab.cell.cgroup()))
            .args(options)
            .stdin(Stdio::null())
            .stdout(log().expect("the folder takes a file"))
            .stderr(log().expect("the folder takes a file"))
            .spawn()
            .expect("dockerd starts");
        let enter = words(&lab.cell.command("docker"));
        let mut docker = Docker { daemon, folder, enter };
        docker.wait_until_ready();
        docker
            .run(&["import", &lab.rootfs.archive.display().to_string(), IMAGE], "")
            .expect("docker import");
        docker
    }

    fn wait_until_ready(&mut self) {
        let begin = Instant::now();
        while !self.run(&["version"], "").success() {
            let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            if let Ok(Some(status)) = self.daemon.try_wait() {
                panic!("dockerd ended: {status}\n{}", log());
            }
            assert!(begin.elapsed() < START_LIMIT, "dockerd does not answer\n{}", log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// `docker ARGS…` against this engine.
    pub fn run(&self, args: &[&str], input: &str) -> Output {
        command::run(self.command().args(args), input)
    }

    /// The command `docker`, set up for this engine.
    pub fn command(&self) -> Command {
        self.inside(&self.enter)
    }

    /// A shell line in the laboratory's world, where `docker` means this engine.
    pub fn shell(&self, line: &str) -> Output {
        let mut words = self.enter.clone();
        words.truncate(words.len() - 1);
        words.extend(["sh", "-c", line].map(str::to_owned));
        command::run(&mut self.inside(&words), "")
    }

    fn inside(&self, words: &[String]) -> Command {
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .env("DOCKER_HOST", format!("unix://{}", self.folder.join("socket").display()))
            .env("DOCKER_CONFIG", self.folder.join("client"));
        command
    }

    /// The socket of the containerd that the engine brought up.
    pub fn containerd(&self) -> PathBuf {
        self.folder.join("exec/containerd/containerd.sock")
    }

    /// `docker run` with these options, of this command.
    pub fn container(&self, options: &[&str], args: &[&str], input: &str) -> Output {
        let mut line = vec!["run", "--rm", "--interactive", "--network", "none"];
        line.extend(["--security-opt", "no-new-privileges"]);
        line.extend(options);
        line.push(IMAGE);
        line.extend(args);
        self.run(&line, input)
    }

    /// The engine's answers, with the profile loaded by it.
    pub fn ask(&self, lab: &Lab, profile: &str, options: &[&str], calls: &[Call]) -> Outcome {
        let (path, _) = lab.share(profile);
        let seccomp = format!("seccomp={}", path.display());
        let mut all = vec!["--security-opt", seccomp.as_str()];
        all.extend(options);
        outcome(calls, &self.container(&all, &["/bin/probe"], &question(calls)))
    }

    /// Callgate's answers in a container of the engine that has no filter of its own.
    pub fn ask_callgate(
        &self,
        lab: &Lab,
        profile: &str,
        options: &[&str],
        calls: &[Call],
    ) -> Outcome {
        let (_, inside) = lab.share(profile);
        let share = format!("{}:/lab:ro", lab.path().join("share").display());
        let mut all = vec!["--security-opt", "seccomp=unconfined", "--volume", share.as_str()];
        all.extend(options);
        let args = callgate_line("docker", "runc", &inside);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        outcome(calls, &self.container(&all, &args, &question(calls)))
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // The child is the entrance to the namespaces; the daemon itself is behind it.
        if let Ok(pid) = fs::read_to_string(self.folder.join("pid")) {
            self.shell(&format!("kill {}", pid.trim()));
        } else {
            let _ = self.daemon.kill();
        }
        let _ = self.daemon.wait();
    }
}

fn words(command: &Command) -> Vec<String> {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_str().expect("our own words").to_owned())
        .collect()
}
