//! A server in a container of runc, crun or Podman. Its root file system is the machine's own,
//! read only; its folder is that of the test, and its network the machine's, so that the load is
//! the same.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::Path,
    process::{self, Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use callgate_record::container;
use serde_json::{Value, json};

use crate::{
    common::{CALLGATE, tool_for},
    server::Server,
};

/// What starts containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// With no_new_privs; recorded by its cgroup.
    Runc,
    /// Without no_new_privs, and out of sight of the version 2 tree, which Debian's crun refuses
    /// beside version 1 controllers; recorded by its processes.
    Crun,
    /// With crun, as that.
    Podman,
}

/// A container that can be made again and again.
pub struct Container<'s> {
    server: &'s Server<'s>,
    runtime: Runtime,
    name: String,
}

/// Runs `$@` where crun works.
const WITHOUT_SECOND_TREE: &str =
    "if [ -d /sys/fs/cgroup/unified ]; then umount -l /sys/fs/cgroup/unified; fi; exec \"$@\"";

/// What of the machine is in the containers.
const FOLDERS: [&str; 7] = ["bin", "sbin", "lib", "lib32", "lib64", "usr", "etc"];

/// What Podman gives a container.
const CAPABILITIES: [&str; 11] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// Limits that a machine without CAP_SYS_RESOURCE can give.
const PODMAN: &str = "[containers]\n\
    default_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
    [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\n";

const LIMIT: Duration = Duration::from_secs(60);

impl Runtime {
    pub const ALL: [Runtime; 3] = [Runtime::Runc, Runtime::Crun, Runtime::Podman];

    pub fn name(self) -> &'static str {
        match self {
            Runtime::Runc => "runc",
            Runtime::Crun => "crun",
            Runtime::Podman => "podman",
        }
    }

    /// Whether it is here; says loudly what goes untested otherwise.
    pub fn is_here(self) -> bool {
        let what = &format!("servers in containers of {}", self.name());
        let tools: &[(&str, &str)] = match self {
            Runtime::Runc => &[("runc", "runc")],
            Runtime::Crun => &[("crun", "crun"), ("unshare", "util-linux")],
            Runtime::Podman => &[("podman", "podman"), ("crun", "crun"), ("unshare", "util-linux")],
        };
        tools.iter().all(|(tool, package)| tool_for(tool, package, what))
    }

    /// How `callgate profile` is told of it.
    pub fn options(self) -> &'static [&'static str] {
        match self {
            Runtime::Runc => &["--runtime", "runc", "--no-new-privileges"],
            Runtime::Crun => &["--runtime", "crun"],
            Runtime::Podman => &["--runtime", "podman", "--to", "containers"],
        }
    }
}

impl<'s> Container<'s> {
    pub fn new(server: &'s Server<'s>, runtime: Runtime) -> Container<'s> {
        let scratch = server.scratch;
        let root = scratch.join("rootfs");
        for folder in ["dev", "proc", "run", "sys", "tmp", "var"] {
            fs::create_dir_all(root.join(folder)).expect("the folder takes a folder");
        }
        for folder in FOLDERS {
            let inside = root.join(folder);
            let made = match fs::read_link(Path::new("/").join(folder)) {
                Ok(target) => symlink(target, inside),
                Err(_) if Path::new("/").join(folder).is_dir() => fs::create_dir_all(inside),
                Err(_) => Ok(()),
            };
            let again = |error: &io::Error| error.kind() == io::ErrorKind::AlreadyExists;
            assert!(made.as_ref().err().is_none_or(again), "{folder}: {made:?}");
        }
        // Control groups of this name are the container's own.
        let who = server.name.to_lowercase();
        let name = format!("callgate-servers-{}-{who}-{}", process::id(), runtime.name());
        Container { server, runtime, name }
    }

    /// Records the load into a file, from before the command to its end.
    pub fn record(&self, file: &str) {
        self.server.prepare().unwrap_or_else(|why| panic!("{}: {why}", self.name));
        self.write(None);
        match self.runtime {
            Runtime::Podman => {
                self.run(&words(&self.podmans_line("create", None)));
                self.run(&["init", &self.name]);
            }
            _ => self.run(&["create", &self.name]),
        }
        let mut record = Command::new(CALLGATE);
        record.args(["record", "-o", file, "--container", &self.state()]);
        let mut recorder = self.server.start(&mut record);
        self.wait_for(&mut recorder, file);
        self.run(&["start", &self.name]);
        let served = self.server.serve(recorder, || self.main());
        self.remove();
        served.unwrap_or_else(|why| panic!("{}: recording: {why}", self.name));
    }

    /// Runs the load under a profile.
    pub fn serves_under(&self, profile: &str) -> Result<(), String> {
        self.server.prepare()?;
        self.write(Some(profile));
        let mut command = match self.runtime {
            Runtime::Podman => self.command(&words(&self.podmans_line("run", Some(profile)))),
            _ => self.command(&["run", &self.name]),
        };
        let child = self.server.start(&mut command);
        let served = self.server.serve(child, || self.main());
        self.remove();
        served
    }

    /// What `main` does: the first process, by the number that it has outside.
    fn main(&self) -> String {
        match container::find(&self.state()) {
            Ok(found) => format!("echo {}", found.init),
            Err(error) => format!("echo {error:?} >&2; false"),
        }
    }

    /// How callgate is told which container it is.
    fn state(&self) -> String {
        match self.runtime {
            Runtime::Podman => self.name.clone(),
            _ => format!("{}/{}", self.server.scratch.join("state").display(), self.name),
        }
    }

    /// Until the file of a recording has more than its first line.
    fn wait_for(&self, recorder: &mut Child, file: &str) {
        let begin = Instant::now();
        let path = self.server.scratch.join(file);
        while fs::metadata(&path).map_or(0, |meta| meta.len()) < 100 {
            let ended = recorder.try_wait().expect("it is ours").is_some();
            let log = || String::from_utf8_lossy(&self.server.scratch.read("log")).into_owned();
            assert!(!ended && begin.elapsed() < LIMIT, "{}: not recorded: {}", self.name, log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The runtime with these words, where it works.
    fn command(&self, line: &[&str]) -> Command {
        let scratch = self.server.scratch;
        let mut command = match self.runtime {
            Runtime::Runc => Command::new("runc"),
            Runtime::Crun | Runtime::Podman => {
                let mut command = Command::new("unshare");
                command.args(["--mount", "--propagation", "private", "sh", "-c"]);
                command.args([WITHOUT_SECOND_TREE, "sh", self.runtime.name()]);
                command
            }
        };
        match self.runtime {
            Runtime::Podman => {
                command.env("CONTAINERS_CONF", scratch.join("containers.conf"));
                command.arg("--root").arg(scratch.join("store"));
                command.arg("--runroot").arg(scratch.join("running"));
                command.args(["--runtime", "crun"]);
            }
            _ => {
                command.arg("--root").arg(scratch.join("state"));
            }
        }
        command.args(line).current_dir(scratch.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, line: &[&str]) {
        let log = self.server.scratch.join("runtime");
        let file = fs::File::create(&log).expect("the folder takes a file");
        let output = file.try_clone().expect("descriptors are free");
        let status = self.command(line).stdout(output).stderr(file).status().expect("it starts");
        let said = fs::read_to_string(log).unwrap_or_default();
        assert!(status.success(), "{} {line:?}: {status}\n{said}", self.runtime.name());
    }

    fn remove(&self) {
        let verb = if self.runtime == Runtime::Podman { "rm" } else { "delete" };
        let mut command = self.command(&[verb, "--force", &self.name]);
        // It may have gone by itself.
        let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }

    /// Writes what the runtime reads.
    fn write(&self, profile: Option<&str>) {
        let scratch = self.server.scratch;
        if self.runtime == Runtime::Podman {
            scratch.file("containers.conf", PODMAN);
            return;
        }
        let own = scratch.path();
        let bind = |path: &Path, how: &str| json!({ "destination": path, "type": "bind", "source": path, "options": ["bind", how] });
        let empty = |path: &str, mode: &str| json!({ "destination": path, "type": "tmpfs", "source": "tmpfs", "options": [mode] });
        let mut mounts = vec![
            json!({ "destination": "/proc", "type": "proc", "source": "proc" }),
            empty("/dev", "mode=755"),
            empty("/dev/shm", "mode=1777"),
            empty("/run", "mode=755"),
            empty("/var", "mode=755"),
        ];
        mounts.extend(self.folders().iter().map(|folder| bind(Path::new(folder), "ro")));
        mounts.push(bind(own, "rw"));
        let namespaces = ["pid", "ipc", "uts", "mount"].map(|kind| json!({ "type": kind }));
        let mut config = json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": false, "user": { "uid": 0, "gid": 0 }, "args": self.server.command,
                "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], "cwd": own,
                "noNewPrivileges": self.runtime == Runtime::Runc,
                "capabilities": {
                    "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES,
                },
            },
            "root": { "path": scratch.join("rootfs"), "readonly": true },
            "mounts": mounts,
            "linux": { "cgroupsPath": format!("/{}", self.name), "namespaces": namespaces },
        });
        if let Some(profile) = profile {
            let profile: Value = serde_json::from_slice(&scratch.read(profile)).expect("JSON");
            config["linux"]["seccomp"] = profile;
        }
        scratch.file("config.json", config.to_string());
    }

    /// `podman create` or `podman run`.
    fn podmans_line(&self, verb: &str, profile: Option<&str>) -> Vec<String> {
        let own = self.server.scratch.path().display();
        let filter = profile.map_or("unconfined".to_owned(), |profile| format!("{own}/{profile}"));
        let mut line: Vec<String> = [verb, "--name", &self.name, "--network", "host", "--no-hosts"]
            .iter()
            .map(|word| (*word).to_owned())
            .collect();
        line.push(format!("--security-opt=seccomp={filter}"));
        line.push(format!("--workdir={own}"));
        line.push(format!("--volume={own}:{own}"));
        line.extend(self.folders().iter().map(|folder| format!("--volume={folder}:{folder}:ro")));
        line.push("--rootfs".to_owned());
        line.push(self.server.scratch.join("rootfs").display().to_string());
        line.extend(self.server.command.iter().cloned());
        line
    }

    /// The machine's folders that are no links.
    fn folders(&self) -> Vec<String> {
        let all = FOLDERS.iter().map(|folder| format!("/{folder}"));
        all.filter(|folder| fs::symlink_metadata(folder).is_ok_and(|meta| meta.is_dir())).collect()
    }
}

fn words(line: &[String]) -> Vec<&str> {
    line.iter().map(String::as_str).collect()
}
