//! A node of Kubernetes in a world of its own.
//!
//! [`Cluster::open`] gives the one cluster of this process, or says loudly what it lacks. Every
//! test holds it through an [`Arc`]; when the last one lets go, everything that was started ends,
//! everything that was made is removed, and the machine is looked at.

#[path = "../lab/cell.rs"]
mod cell;
#[path = "../lab/command.rs"]
mod command;
mod image;
mod machine;
mod node;
mod pods;
mod service;

mod agreement;
mod installing;
mod missing;
mod opened;
mod running;
mod starting_points;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use self::{cell::Cell, command::Output, machine::Machine, service::Service};
use crate::common::{Scratch, root_for, skip, tell, tool_for};

/// Stem of the names of control groups that could be left behind; the process id follows.
const NAME: &str = "callgate-kube-lab-";

/// The variable that names the folder with Kubernetes' programs.
const PROGRAMS: &str = "CALLGATE_KUBE_LAB";

/// What else the node runs, and the Debian package that has it.
const TOOLS: &[(&str, &str)] = &[
    ("busybox", "busybox-static"),
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("etcd", "etcd-server"),
    ("ip", "iproute2"),
    ("jq", "jq"),
    ("nsenter", "util-linux"),
    ("openssl", "openssl"),
    ("runc", "runc"),
    ("unshare", "util-linux"),
];

/// A running control plane and its one node.
pub struct Cluster {
    // The order is the order of dropping: daemons, then their world, then the files.
    services: Mutex<Vec<Service>>,
    cell: Cell,
    _machine: Machine,
    programs: PathBuf,
    scratch: Scratch,
}

impl Cluster {
    /// The cluster with its node ready, or None after saying what is missing.
    pub fn open() -> Option<Arc<Cluster>> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().expect("the cluster of another test starts");
        if let Some(cluster) = shared.upgrade() {
            return Some(cluster);
        }
        let programs = ready()?;
        let cluster = Arc::new(Cluster::start(programs));
        *shared = Arc::downgrade(&cluster);
        Some(cluster)
    }

    fn start(programs: PathBuf) -> Cluster {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("{NAME}{}-{serial}", process::id());
        cell::remove_leftovers();
        let scratch = Scratch::new();
        let machine = Machine::watch(&name, scratch.path());
        let cell = Cell::open(&name);
        let cluster = Cluster {
            services: Mutex::new(Vec::new()),
            cell,
            _machine: machine,
            programs,
            scratch,
        };
        cluster.shell(&machine::setup());
        thread::scope(|scope| {
            scope.spawn(|| node::start_control_plane(&cluster));
            scope.spawn(|| node::start_runtime(&cluster));
        });
        node::join(&cluster);
        cluster
    }

    /// The folder that the cluster's files are in.
    pub fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// Where the node's kubelet looks for profiles, as this process sees it.
    pub fn profiles(&self) -> PathBuf {
        self.scratch.join("kubelet/seccomp")
    }

    /// Puts a profile on the node by hand.
    pub fn put(&self, name: &str, profile: &str) {
        fs::create_dir_all(self.profiles()).expect("the kubelet's folder takes a folder");
        fs::write(self.profiles().join(name), profile).expect("the folder takes a file");
    }

    /// `program` in the node's world, for which `kubectl` means this cluster.
    pub fn command(&self, program: &str) -> Command {
        // Whoever enters a mount namespace stands at its root.
        let mut command = self.cell.command("env");
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = [self.programs.clone()].into_iter().chain(env::split_paths(&path));
        command
            .env("PATH", env::join_paths(folders).expect("they were split at colons"))
            .env("KUBECONFIG", self.scratch.join("kubeconfig"))
            .env("HOME", self.path())
            .env("NAME", self.cell.cgroup())
            .env("LAB", self.path())
            .arg("--chdir")
            .args([self.path(), Path::new(program)]);
        command
    }

    /// A script in the node's world that has to succeed: its output. It finds the folder of the
    /// cluster's files in `LAB` and the name of its control groups in `NAME`.
    pub fn shell(&self, script: &str) -> String {
        command::run(self.command("sh").args(["-ec", script]), "").expect(script)
    }

    /// `kubectl ARGS…`.
    pub fn kubectl(&self, args: &[&str], input: &str) -> Output {
        self.check_services();
        command::run(self.command("kubectl").args(args), input)
    }

    /// `callgate ARGS…` in the node's world, in the folder of the cluster's files.
    pub fn callgate(&self, args: &[&str], input: &str) -> Output {
        command::run(self.command(crate::common::CALLGATE).args(args), input)
    }

    /// Starts a daemon in the node's world. It ends with it.
    fn serve(&self, program: &str, options: &[&str]) {
        let service = Service::start(self.command(program).args(options), program, self.path());
        self.services.lock().unwrap_or_else(PoisonError::into_inner).push(service);
    }

    /// # Panics
    ///
    /// With the end of its log, when a daemon has ended.
    fn check_services(&self) {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        for service in services.iter_mut() {
            service.check();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() {
            let services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
            // These two know why a pod is not what it should be.
            for service in services.iter().filter(|s| ["kubelet", "containerd"].contains(&s.name()))
            {
                tell(&format!("{}:\n{}", service.name(), service.log()));
            }
        }
    }
}

/// The folder of Kubernetes' programs, if all that a node takes is there.
fn ready() -> Option<PathBuf> {
    let what = "`callgate kube` on a real node";
    let Some(programs) = env::var_os(PROGRAMS).map(PathBuf::from) else {
        // No `skip`: nobody but `cargo xtask kube-lab` has those programs.
        tell(&format!("skipped: {what} is not tested here: `cargo xtask kube-lab` tests it"));
        return None;
    };
    if !root_for(what) || !TOOLS.iter().all(|(tool, package)| tool_for(tool, package, what)) {
        return None;
    }
    if !programs.join("kubelet").exists() {
        skip(&format!("{what} is not tested: {} has no kubelet", programs.display()));
        return None;
    }
    Some(programs)
}
