//! The laboratory: real container runtimes in a world of their own.
//!
//! [`Lab::open`] gives the one laboratory of this process, or says loudly what it lacks. Every
//! test holds it through an [`Arc`]; when the last one lets go, everything that was started ends
//! and everything that was made is removed, after a failure too.

mod answers;
mod bundle;
mod calls;
mod cell;
mod command;
mod compare;
mod containerd;
mod docker;
mod facts;
mod names;
mod podman;
mod probe;
mod profiles;
mod rootfs;

mod actions;
mod base_set;
mod default_profile;
mod engine_wide;
mod go_json;
mod mkdir;
mod own_profiles;
mod precedence;
mod printed_lines;
mod random_rules;
mod recorded;
mod starting_points;
mod unnamed_calls;

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

use self::{cell::Cell, docker::Docker, names::Names, podman::Podman, rootfs::Rootfs};

/// Says why something is not tested, where a captured test's output would not be seen. With
/// `CALLGATE_REQUIRE_LAB=1` nothing may be missing.
pub fn skip(why: &str) {
    assert!(
        env::var_os("CALLGATE_REQUIRE_LAB").is_none_or(|value| value != "1"),
        "CALLGATE_REQUIRE_LAB=1, but {why}"
    );
    tell(&format!("skipped: {why}"));
}

/// Prints a line on the real standard error.
pub fn tell(line: &str) {
    // Not a print macro: the test harness would keep it.
    let _ = writeln!(io::stderr(), "{line}");
}

/// What the laboratory runs, and the Debian package that has it.
const PROGRAMS: &[(&str, &str)] = &[
    ("busybox", "busybox-static"),
    ("cc", "gcc"),
    ("containerd", "containerd"),
    ("crun", "crun"),
    ("ctr", "containerd"),
    ("docker", "docker.io"),
    ("docker-compose", "docker-compose"),
    ("dockerd", "docker.io"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("jq", "jq"),
    ("nsenter", "util-linux"),
    ("podman", "podman"),
    ("runc", "runc"),
    ("tar", "tar"),
    ("unshare", "util-linux"),
];

/// Stem of the names of everything that could be left behind; the process id follows.
const NAME: &str = "callgate-lab-";

/// Header of libseccomp-dev: the program that reads the runtimes' own table needs it.
const SECCOMP_HEADER: &str = "/usr/include/seccomp.h";

/// The runtimes' world and what runs in it.
pub struct Lab {
    // The order is the order of dropping: engines, then their world, then the files.
    docker: Mutex<Option<Arc<Docker>>>,
    podman: Mutex<Option<Arc<Podman>>>,
    cell: Cell,
    /// What the runtimes' library knows.
    pub names: Names,
    rootfs: Rootfs,
    serial: AtomicU32,
    dir: Directory,
}

impl Lab {
    /// The laboratory, or None after saying what is missing.
    pub fn open() -> Option<Arc<Lab>> {
        static SHARED: Mutex<Weak<Lab>> = Mutex::new(Weak::new());
        let mut shared = lock(&SHARED);
        if let Some(lab) = shared.upgrade() {
            return Some(lab);
        }
        if let Err(missing) = ready() {
            skip(&missing);
            return None;
        }
        let lab = Arc::new(Lab::build());
        *shared = Arc::downgrade(&lab);
        Some(lab)
    }

    fn build() -> Lab {
        // The one before may still be on its way out, so every laboratory has its own name.
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("{NAME}{}-{serial}", process::id());
        cell::remove_leftovers();
        let dir = Directory::create(&name);
        let rootfs = Rootfs::build(&dir.path);
        let names = Names::read(&dir.path);
        let cell = Cell::open(&name);
        Lab {
            docker: Mutex::new(None),
            podman: Mutex::new(None),
            cell,
            names,
            rootfs,
            serial: AtomicU32::new(0),
            dir,
        }
    }

    /// The Docker engine, started at the first call.
    pub fn docker(&self) -> Arc<Docker> {
        lock(&self.docker)
            .get_or_insert_with(|| Arc::new(Docker::start(self, "engine", &[])))
            .clone()
    }

    /// Podman with the image in its store.
    pub fn podman(&self) -> Arc<Podman> {
        lock(&self.podman).get_or_insert_with(|| Arc::new(Podman::start(self))).clone()
    }

    /// A number that nobody else has: for container names and files.
    pub fn unique(&self) -> u32 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// Where the laboratory keeps its files. Containers see the folder `share` of it as `/lab`.
    pub fn path(&self) -> &Path {
        &self.dir.path
    }

    /// Writes a file that containers see as `/lab/<returned file name>`.
    pub fn share(&self, text: &str) -> (PathBuf, String) {
        let name = format!("{}.json", self.unique());
        let path = self.dir.path.join("share").join(&name);
        fs::write(&path, text).expect("the laboratory's folder takes a file");
        (path, format!("/lab/{name}"))
    }
}

/// A folder that is removed with everything in it.
struct Directory {
    path: PathBuf,
}

impl Directory {
    fn create(name: &str) -> Directory {
        let path = env::temp_dir().join(name);
        fs::create_dir_all(path.join("share")).expect("the temporary folder takes a folder");
        let path = path.canonicalize().expect("the folder is there");
        Directory { path }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tell(&format!("left behind: {} ({error})", self.path.display()));
        }
    }
}

fn ready() -> Result<(), String> {
    if !is_root() {
        return Err("the container runtimes are not tested: that takes root".to_owned());
    }
    let mut missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| command::find(program).is_none())
        .map(|&(_, package)| package)
        .collect();
    if !Path::new(SECCOMP_HEADER).exists() {
        missing.push("libseccomp-dev");
    }
    missing.dedup();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "the container runtimes are not tested: install {} (`cargo xtask test` as root does)",
            missing.join(", ")
        ))
    }
}

fn is_root() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:"))
            .is_some_and(|ids| ids.split_whitespace().nth(1) == Some("0"))
    })
}

/// A failed test must not take the others with it: what the lock guards is whole between calls.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
