//! The control group of a container.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process,
};

use callgate_kernel::Cgroup;

use super::state::start_of;

/// The container's own folder of the version 2 tree, or why there is none to be used.
pub fn of(init: i32, id: &str) -> Result<PathBuf, String> {
    let path_of = |pid: i32| {
        let group = Cgroup::of_process(pid).map_err(|error| error.to_string());
        group.map(|group| group.path().to_owned())
    };
    let inner = path_of(init)?;
    // A service manager in the container moves itself below what the runtime has made.
    let named = |path: &&Path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| is_of(name, id))
    };
    let own = inner.ancestors().find(named);
    let path = own.unwrap_or(&inner).to_owned();
    let shared = |other: i32| path_of(other).is_ok_and(|other| other.starts_with(&path));
    let parent = parent(init).filter(|&parent| parent > 0);
    if !path.join("cgroup.events").exists() {
        Err("it is in the root of the version 2 tree of cgroups, with all others".to_owned())
    } else if parent.is_some_and(shared)
        || shared(process::id().cast_signed())
        || (own.is_none() && has_others(&path, init))
    {
        Err(format!("others are in its cgroup too, {}", path.display().to_string().escape_debug()))
    } else {
        Ok(path)
    }
}

/// Whether processes are in a group that none of the container's has started and that do not share
/// its namespace of processes.
fn has_others(path: &Path, init: i32) -> bool {
    let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let processes = Cgroup::open(path).ok().and_then(|group| group.processes().ok());
    let processes = processes.unwrap_or_default();
    let inside = |pid: &i32| processes.contains(pid);
    processes
        .iter()
        .any(|&pid| namespace(pid) != namespace(init) && !parent(pid).as_ref().is_some_and(inside))
}

/// Containers that control groups are named after, by id, or by its beginning, with their first
/// processes.
pub fn containers(begin: &str) -> BTreeMap<String, i32> {
    let mut found: BTreeMap<String, BTreeMap<i32, Option<u64>>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        let Some(pid) = pid else { continue };
        let groups = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        let ids = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2)).flat_map(|path| {
            path.split('/')
                .filter_map(engines_id)
                .filter(|id| !begin.is_empty() && id.starts_with(begin))
        });
        for id in ids {
            found.entry(id.to_owned()).or_default().insert(pid, start_of(pid));
        }
    }
    let first = |processes: BTreeMap<i32, Option<u64>>| {
        // Those that were sent in from outside began later.
        let top = processes.iter().filter(|(pid, start)| {
            start.is_some() && parent(**pid).is_none_or(|parent| !processes.contains_key(&parent))
        });
        top.min_by_key(|(_, start)| **start).map(|(pid, _)| *pid)
    };
    found.into_iter().filter_map(|(id, processes)| Some((id, first(processes)?))).collect()
}

/// Whether a group's name is that of a container: `ID`, `libpod-ID.scope`, `cri-containerd-ID.scope`
/// and the like.
fn is_of(name: &str, id: &str) -> bool {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    name.strip_suffix(id).is_some_and(|rest| rest.is_empty() || rest.ends_with(['-', ':']))
}

/// The id in a group's name as engines make them: 64 hexadecimal digits, alone or behind the
/// engine's name. Podman's monitor has a group of its own, `libpod-conmon-ID`.
fn engines_id(name: &str) -> Option<&str> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let (engine, id) = name.rsplit_once(['-', ':']).unwrap_or(("", name));
    let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_id && !engine.ends_with("conmon")).then_some(id)
}

fn parent(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_named_after_containers() {
        let id = "0123456789abcdef".repeat(4);
        for name in
            ["ID", "libpod-ID.scope", "docker-ID.scope", "cri-containerd-ID.scope", "libpod-ID"]
        {
            let name = name.replace("ID", &id);
            assert!(is_of(&name, &id) && engines_id(&name) == Some(&id), "{name}");
        }
        assert_eq!(engines_id(&format!("libpod-conmon-{id}.scope")), None);
        assert_eq!(engines_id("init.scope"), None);
        assert!(is_of("web", "web") && is_of("runc-web.scope", "web"));
        assert!(!is_of("myweb", "web") && !is_of("web2", "web"));
    }
}
