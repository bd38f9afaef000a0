//! What a runtime keeps about a container.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// The state of a container, running or not.
#[derive(Debug)]
pub struct State {
    /// Its id: the folder's name.
    pub id: String,
    /// Its first process.
    pub init: i32,
    /// When that began, in ticks since the machine's start, as `/proc/PID/stat` has it.
    started: Option<u64>,
    /// The folder that the runtime was given, which its caller has made.
    pub bundle: Option<PathBuf>,
    folder: PathBuf,
}

impl State {
    /// What a folder has: `state.json` of runc, `status` of crun, or `init.pid` of containerd.
    pub fn read(folder: &Path) -> Option<State> {
        let id = folder.file_name()?.to_str()?.to_owned();
        let of = |pid: &Value, started: &Value, bundle: Option<&str>| {
            Some(State {
                id: id.clone(),
                init: process(pid.as_i64()?)?,
                started: started.as_u64(),
                bundle: bundle.map(PathBuf::from),
                folder: folder.to_owned(),
            })
        };
        if let Some(json) = json(&folder.join("state.json")) {
            let labels = json["config"]["labels"].as_array();
            let bundle = labels
                .into_iter()
                .flatten()
                .find_map(|label| label.as_str()?.strip_prefix("bundle="));
            return of(&json["init_process_pid"], &json["init_process_start"], bundle);
        }
        if let Some(json) = json(&folder.join("status")) {
            return of(&json["pid"], &json["process-start-time"], json["bundle"].as_str());
        }
        let pid: i64 = text(&folder.join("init.pid"))?.trim().parse().ok()?;
        of(&Value::from(pid), &Value::Null, folder.to_str())
    }

    /// Whether its first process is there, and no other has its number by now.
    pub fn is_running(&self) -> bool {
        start_of(self.init).is_some_and(|start| self.started.is_none_or(|s| s == 0 || s == start))
    }

    /// Whether the runtime has made it and not started its command: then there is a pipe by which
    /// the first process is told to go on.
    pub fn is_waiting(&self) -> bool {
        self.folder.join("exec.fifo").exists()
    }

    /// What people call it: Podman's and Docker's own lists have that.
    pub fn names(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let docker =
            json(&Path::new("/var/lib/docker/containers").join(&self.id).join("config.v2.json"))
                .and_then(|json| Some(text(&json["Name"])?.trim_start_matches('/').to_owned()));
        // `STORE/overlay-containers/ID/userdata` is the bundle of Podman and CRI-O.
        let store = self.bundle.as_deref().and_then(|bundle| bundle.parent()?.parent());
        let podman = ["containers.json", "volatile-containers.json"]
            .iter()
            .filter_map(|list| json(&store?.join(list)))
            .flat_map(|list| list.as_array().cloned().unwrap_or_default())
            .filter(|entry| entry["id"] == self.id.as_str())
            .flat_map(|entry| entry["names"].as_array().cloned().unwrap_or_default());
        podman.filter_map(|name| text(&name)).chain(docker).collect()
    }
}

/// When a process began, if it has not ended.
pub fn start_of(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name, which may have anything in it: field 3 is the state, 22 the start
    // (proc_pid_stat(5)).
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    fields.nth(18)?.parse().ok().filter(|_| state != "Z" && state != "X")
}

fn process(number: i64) -> Option<i32> {
    i32::try_from(number).ok().filter(|&pid| pid > 0)
}

fn json(path: &Path) -> Option<Value> {
    serde_json::from_str(&text(path)?).ok()
}

/// A file that a user may have put there: no pipe, no link, nothing endless.
fn text(path: &Path) -> Option<String> {
    /// Longer ones are none that a runtime wrote.
    const LIMIT: u64 = 64 << 20;
    let metadata = fs::symlink_metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > LIMIT {
        return None;
    }
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_and_none_has_number_zero() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(start_of(own).is_some_and(|start| start > 0));
        assert_eq!(start_of(i32::MAX), None);
        let state = |started| State {
            id: "x".to_owned(),
            init: own,
            started,
            bundle: None,
            folder: PathBuf::from("/nowhere"),
        };
        assert!(state(start_of(own)).is_running() && state(None).is_running());
        assert!(!state(start_of(own).map(|start| start + 1)).is_running(), "another process");
        assert!(!state(None).is_waiting());
    }
}
