//! A world of their own for the runtimes: mount, network, process and IPC namespaces.
//!
//! Bridges, firewall rules, overlay mounts, daemons and their containers live and die with it:
//! its first process reads from a pipe that only this process writes to, so that the world ends
//! when this process does, however that happens. Only control groups outlive it; they stand
//! under one name in each hierarchy and are removed at the end, or by the next run.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

use super::{NAME, tell};

/// `/run`, `/dev/shm` and the engines' folders get empty file systems, so that nothing of theirs
/// is left behind or found. crun refuses a machine whose cgroup2 tree stands beside cgroup1
/// controllers and owns one of them: the tree is taken out of sight, as the others do not need it.
const SETUP: &str = "
set -e
mount -t tmpfs none /run
mount -t tmpfs none /dev/shm
mkdir -p /var/lib/containers /var/lib/containerd
mount -t tmpfs none /var/lib/containers
mount -t tmpfs none /var/lib/containerd
if [ -d /sys/fs/cgroup/unified ]; then umount -l /sys/fs/cgroup/unified; fi
ip link set lo up
echo ready
exec 3<&0
cat <&3 >/dev/null &
wait $!
";

/// The namespaces, and the process that holds them open.
pub struct Cell {
    holder: Child,
    alive: Option<ChildStdin>,
    cgroup: String,
}

impl Cell {
    /// Opens one whose control groups stand under `name`.
    pub fn open(name: &str) -> Cell {
        let mut holder = Command::new("unshare")
            .args(["--mount", "--net", "--pid", "--ipc", "--fork", "--mount-proc"])
            .args(["--propagation", "private", "sh", "-c", SETUP])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("unshare starts");
        let alive = holder.stdin.take();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().expect("it was piped"))
            .read_line(&mut line)
            .expect("the pipe can be read");
        let cell = Cell { holder, alive, cgroup: name.to_owned() };
        assert_eq!(line.trim(), "ready", "the namespaces could not be set up");
        cell
    }

    /// `program` inside.
    pub fn command(&self, program: &str) -> Command {
        let namespaces = format!("/proc/{}/ns", self.holder.id());
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--mount={namespaces}/mnt"))
            .arg(format!("--net={namespaces}/net"))
            .arg(format!("--ipc={namespaces}/ipc"))
            // unshare itself stays outside; its child is the first process inside.
            .arg(format!("--pid={namespaces}/pid_for_children"))
            .args(["--", program]);
        command
    }

    /// Where containers' control groups go.
    pub fn cgroup(&self) -> &str {
        &self.cgroup
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        // End of file ends the first process, the kernel kills the rest, and unshare ends when
        // the last of them is gone.
        drop(self.alive.take());
        let _ = self.holder.wait();
        remove_cgroups(&self.cgroup);
    }
}

/// Removes what a killed run could not: control groups and files named after a process that is
/// no more.
pub fn remove_leftovers() {
    for hierarchy in hierarchies() {
        for path in stale_in(&hierarchy) {
            remove_tree(&path);
        }
    }
    for path in stale_in(&env::temp_dir()) {
        let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
    }
}

fn stale_in(folder: &Path) -> Vec<PathBuf> {
    let stale = |name: &str| {
        name.strip_prefix(NAME)
            .and_then(|rest| rest.split_once('-'))
            .is_some_and(|(pid, _)| !Path::new("/proc").join(pid).exists())
    };
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(stale))
        .map(|entry| entry.path())
        .collect()
}

fn remove_cgroups(name: &str) {
    for hierarchy in hierarchies() {
        let path = hierarchy.join(name);
        if path.exists() && !remove_tree(&path) {
            tell(&format!("left behind: {}", path.display()));
        }
    }
}

/// The mounted hierarchies: the folders of a cgroup1 layout, or the one cgroup2 tree.
fn hierarchies() -> Vec<PathBuf> {
    let root = PathBuf::from("/sys/fs/cgroup");
    let mut all: Vec<PathBuf> = fs::read_dir(&root)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    all.push(root);
    all
}

fn remove_tree(path: &Path) -> bool {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    fs::remove_dir(path).is_ok()
}
