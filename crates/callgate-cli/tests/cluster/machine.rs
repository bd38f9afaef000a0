//! What the cluster must not change of the machine, and what is removed when its tests are killed.

use std::{
    env, fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{self, Child, ChildStdin, Command, Stdio},
    thread,
};

use crate::common::tell;

/// Settings of the whole machine that a kubelet writes.
const SETTINGS: [&str; 6] = [
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
];

/// In the node's world: a `/var/lib` and a `/var/log` that nothing is left behind in, ordinary files
/// in place of the machine's settings, control groups for the pods, and an address. An address of
/// the loopback interface would not do for a node, and a bridge needs no other end.
const SETUP: &str = "
mkdir /run/var-lib /run/var-work
mount -t overlay none -o lowerdir=/var/lib,upperdir=/run/var-lib,workdir=/run/var-work /var/lib
mount -t tmpfs none /var/log
mkdir -p $LAB/kubelet /var/lib/kubelet /var/lib/containerd
mount --bind $LAB/kubelet /var/lib/kubelet
mount -t tmpfs none /var/lib/containerd
cd /proc/sys
for setting in $SETTINGS; do
    mkdir -p /run/sys/${setting%/*}
    cat $setting >/run/sys/$setting
    mount --bind /run/sys/$setting $setting
done
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir /sys/fs/cgroup/$NAME
else
    for hierarchy in /sys/fs/cgroup/*/; do mkdir -p $hierarchy/$NAME; done
fi
ip link add lab0 type bridge
ip address add 10.99.0.1/24 dev lab0
ip link set lab0 up
";

/// Waits until the tests are gone, however that happened, and removes what outlives the
/// namespaces: control groups, which cannot go before their last process has, and files.
const REAPER: &str = "
cat >/dev/null
for attempt in $(seq 100); do
    left=$(find /sys/fs/cgroup -mindepth 1 -maxdepth 2 -name \"$NAME\" 2>/dev/null)
    [ -n \"$left\" ] || break
    find $left -depth -type d -exec rmdir {} + 2>/dev/null
    sleep 0.1
done
rm -rf \"$LAB\" \"$RUNS\"*
";

/// The script that sets up the node's world.
pub fn setup() -> String {
    format!("SETTINGS='{}'\n{SETUP}", SETTINGS.join(" "))
}

/// The machine as it was.
pub struct Machine {
    settings: Vec<String>,
    folder: PathBuf,
    name: String,
    reaper: Child,
    alive: Option<ChildStdin>,
}

impl Machine {
    /// Remembers the machine, and starts what removes the control groups of this name and this
    /// folder when this process ends.
    pub fn watch(name: &str, folder: &Path) -> Machine {
        let mut reaper = Command::new("sh")
            .args(["-c", REAPER])
            .env("NAME", name)
            .env("LAB", folder)
            // What `command::run` gives programs as their input and output.
            .env("RUNS", env::temp_dir().join(format!("callgate-lab-{}-run-", process::id())))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            // A terminal's Ctrl-C goes to all of a group.
            .process_group(0)
            .spawn()
            .expect("sh starts");
        let alive = reaper.stdin.take();
        Machine {
            settings: settings(),
            folder: folder.to_owned(),
            name: name.to_owned(),
            reaper,
            alive,
        }
    }
}

impl Drop for Machine {
    /// # Panics
    ///
    /// When the machine is not as it was.
    fn drop(&mut self) {
        // Not told to begin: the owners of what it would remove are on their way.
        let _ = self.reaper.kill();
        let _ = self.reaper.wait();
        drop(self.alive.take());
        let mounts = fs::read_to_string("/proc/self/mounts").expect("it can be read");
        let changed = [
            (self.settings != settings(), "settings below /proc/sys"),
            (mounts.contains(&self.folder.display().to_string()), "the mounts"),
            (!groups(&self.name).is_empty(), "the control groups"),
        ];
        let changed: Vec<&str> =
            changed.iter().filter_map(|&(yes, what)| yes.then_some(what)).collect();
        if changed.is_empty() {
            return;
        }
        let what = format!("the cluster changed {} of the machine", changed.join(", "));
        if thread::panicking() { tell(&what) } else { panic!("{what}") }
    }
}

fn settings() -> Vec<String> {
    let read = |name| fs::read_to_string(Path::new("/proc/sys").join(name)).unwrap_or_default();
    SETTINGS.iter().map(read).collect()
}

/// The control groups of this name: of the one version 2 tree, or in each hierarchy.
fn groups(name: &str) -> Vec<PathBuf> {
    let root = PathBuf::from("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(&root).into_iter().flatten().flatten().map(|entry| entry.path());
    hierarchies
        .chain([root.clone()])
        .map(|hierarchy| hierarchy.join(name))
        .filter(|group| group.exists())
        .collect()
}
