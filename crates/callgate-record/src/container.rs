//! Running containers, found through what their runtimes keep about them.
//!
//! runc and crun have a folder for each container, named by its id, and so have those who use
//! them: Podman, CRI-O, containerd and Docker. Where there is none, control groups tell: their
//! names have the id in them.

mod group;
mod state;

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use self::state::State;
use crate::ebpf::Running;

/// A container that runs.
#[derive(Debug)]
#[non_exhaustive]
pub struct Container {
    /// Its whole id.
    pub id: String,
    /// Its first process, by the number that this process sees.
    pub init: i32,
    /// Whether it is made and not started yet (`runc create`, `podman init`): then its start is
    /// still to come.
    pub is_waiting: bool,
    /// Its folder in the version 2 tree, or why that cannot be used.
    pub cgroup: Result<PathBuf, String>,
}

impl Container {
    /// What there is to watch: its cgroup, or else its first process and what that starts.
    pub fn running(&self) -> Running<'_> {
        match &self.cgroup {
            cgroup if self.is_waiting => {
                Running::Made { init: self.init, cgroup: cgroup.as_deref().ok() }
            }
            Ok(path) => Running::Cgroup(path),
            Err(_) => Running::Process(self.init),
        }
    }
}

/// Where runtimes keep a folder for each container; `*` is any one name.
const ROOTS: &[&str] = &[
    "/run/runc",
    "/run/crun",
    "/run/user/*/runc",
    "/run/user/*/crun",
    "/run/containerd/runc/*",
    "/run/containerd/io.containerd.runtime.v2.task/*",
    "/run/docker/runtime-runc/*",
    "/run/user/*/docker/runtime-runc/*",
];

/// The container of an id, of the beginning of one, of a name that Podman or Docker gave it, or of
/// the folder in which its runtime keeps its state (`ROOT/ID`, after `--root ROOT`): what has a
/// slash is a folder.
///
/// # Errors
///
/// No container that runs is meant, or several are.
pub fn find(name: &str) -> Result<Container, ContainerError> {
    if name.contains('/') {
        let folder = Path::new(name);
        let state = State::read(folder).ok_or_else(|| error(name, Kind::NoState))?;
        return if state.is_running() {
            Ok(state.into())
        } else {
            Err(error(name, Kind::Ended(vec![state.id])))
        };
    }
    let roots: Vec<PathBuf> = ROOTS.iter().flat_map(|root| folders(root)).collect();
    let states = roots.iter().flat_map(|root| entries(root)).filter_map(|path| State::read(&path));
    let (mut exact, mut begun) = (BTreeMap::new(), BTreeMap::new());
    for state in states {
        // containerd keeps two folders for one container; that of runc comes first, and has more.
        if state.id == name || state.names().iter().any(|other| other == name) {
            exact.entry(state.id.clone()).or_insert(state);
        } else if !name.is_empty() && state.id.starts_with(name) {
            begun.entry(state.id.clone()).or_insert(state);
        }
    }
    let meant = if exact.is_empty() { begun } else { exact };
    let (mut run, ended): (Vec<State>, Vec<State>) =
        meant.into_values().partition(State::is_running);
    match run.pop() {
        Some(state) if run.is_empty() => return Ok(state.into()),
        Some(state) => {
            let ids = run.into_iter().chain([state]).map(|state| state.id).collect();
            return Err(error(name, Kind::Several(ids)));
        }
        None => {}
    }
    let mut groups = group::containers(name);
    match groups.pop_first() {
        Some((id, init)) if groups.is_empty() => {
            let cgroup = group::of(init, &id);
            Ok(Container { id, init, is_waiting: false, cgroup })
        }
        Some((id, _)) => Err(error(name, Kind::Several(groups.into_keys().chain([id]).collect()))),
        None if !ended.is_empty() => {
            Err(error(name, Kind::Ended(ended.into_iter().map(|state| state.id).collect())))
        }
        None => Err(error(name, Kind::Unknown(roots))),
    }
}

impl From<State> for Container {
    fn from(state: State) -> Container {
        let cgroup = group::of(state.init, &state.id);
        Container { is_waiting: state.is_waiting(), id: state.id, init: state.init, cgroup }
    }
}

/// The folders of a pattern that are there.
fn folders(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        found = match part {
            "*" => found.iter().flat_map(|path| entries(path)).collect(),
            _ => found.into_iter().map(|path| path.join(part)).collect(),
        };
        found.retain(|path| path.is_dir());
    }
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut list: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    list.sort();
    list
}

/// Why no container was found.
#[derive(Debug)]
pub struct ContainerError {
    name: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    NoState,
    Ended(Vec<String>),
    Several(Vec<String>),
    Unknown(Vec<PathBuf>),
}

fn error(name: &str, kind: Kind) -> ContainerError {
    ContainerError { name: name.to_owned(), kind }
}

impl std::error::Error for ContainerError {}

impl fmt::Display for ContainerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Longer lists are cut.
        const SHOWN: usize = 8;
        let name = self.name.escape_debug();
        let list = |ids: &[String]| {
            let shown: Vec<String> =
                ids.iter().take(SHOWN).map(|id| id.escape_debug().to_string()).collect();
            let more = if ids.len() > SHOWN { ", …" } else { "" };
            format!("{}{more}", shown.join(", "))
        };
        match &self.kind {
            Kind::NoState => write!(
                f,
                "{name}: no runtime's folder of a container: it has no state.json (runc), status (crun) or init.pid (containerd) that can be read"
            ),
            Kind::Ended(ids) => write!(
                f,
                "{name}: the container {} does not run, or its processes cannot be seen from here",
                list(ids)
            ),
            Kind::Several(ids) => {
                write!(
                    f,
                    "{name}: several containers are meant: {}; give more of the id",
                    list(ids)
                )
            }
            Kind::Unknown(roots) => {
                let roots: Vec<String> =
                    roots.iter().map(|root| root.to_string_lossy().into_owned()).collect();
                let roots = if roots.is_empty() {
                    format!("no folder of a runtime is there ({})", ROOTS.join(", "))
                } else {
                    format!("looked in {}", list(&roots))
                };
                write!(
                    f,
                    "{name}: no running container has this id or name, or an id that begins so; {roots}, and among the cgroups of all processes. Of a runtime with another --root give the folder: ROOT/ID"
                )
            }
        }
    }
}
