//! Pods of the cluster.

use serde_json::{Value, json};

use super::{Cluster, image::IMAGE, node::wait};

/// Refuses `mkdir` with EPERM and allows all else.
pub const NO_MKDIR: &str = r#"{
  "defaultAction": "SCMP_ACT_ALLOW",
  "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }]
}
"#;

/// A container tries to make a folder, and says what filters it is under.
pub const MKDIR: &str = "mkdir /tmp/made && echo made; grep ^Seccomp /proc/self/status";

/// What [`MKDIR`] says where it is refused.
pub const REFUSED: &str = "mkdir: can't create directory '/tmp/made': Operation not permitted\n";

/// What a container left.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it wrote, without the kernel's lines.
    pub said: String,
    /// The kernel's word for what a thread is under: 0 nothing, 2 filters.
    pub mode: u32,
    /// How many filters.
    pub filters: u32,
}

impl Seen {
    fn read(log: &str) -> Seen {
        let kernel = |line: &&str| line.starts_with("Seccomp");
        let word = |name: &str| {
            let number = log.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
            number.unwrap_or_else(|| panic!("no {name} in {log:?}"))
        };
        Seen {
            said: log
                .lines()
                .filter(|line| !kernel(line))
                .map(|line| format!("{line}\n"))
                .collect(),
            mode: word("Seccomp:"),
            filters: word("Seccomp_filters:"),
        }
    }

    /// It is under one filter.
    pub fn filtered(said: &str) -> Seen {
        Seen { said: said.to_owned(), mode: 2, filters: 1 }
    }

    /// It is under none.
    pub fn unfiltered(said: &str) -> Seen {
        Seen { said: said.to_owned(), mode: 0, filters: 0 }
    }
}

/// A pod that runs one container, `main`, to its end, with this `securityContext` and script.
pub fn pod(name: &str, security: Value, script: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name },
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "securityContext": security,
            "containers": [{ "name": "main", "image": IMAGE, "command": ["sh", "-c", script] }],
        },
    })
}

/// The profile that a kubelet takes from a file.
pub fn localhost(file: &str) -> Value {
    json!({ "seccompProfile": { "type": "Localhost", "localhostProfile": file } })
}

/// The profile of this kind.
pub fn kind(kind: &str) -> Value {
    json!({ "seccompProfile": { "type": kind } })
}

impl Cluster {
    /// Makes or changes objects.
    #[track_caller]
    pub fn apply(&self, objects: &str) {
        self.kubectl(&["apply", "--filename", "-"], objects).expect(objects);
    }

    /// What a container left that ends by telling its filters, once its pod has ended.
    #[track_caller]
    pub fn seen(&self, pod: &str, container: &str) -> Seen {
        wait(&format!("the end of pod {pod}"), || {
            let phase = self.get("pod", pod, "{.status.phase}");
            matches!(phase.as_str(), "Succeeded" | "Failed")
        });
        Seen::read(&self.kubectl(&["logs", pod, "--container", container], "").expect(pod))
    }

    /// A field of an object; empty when there is none.
    pub fn get(&self, kind: &str, name: &str, path: &str) -> String {
        let path = format!("jsonpath={path}");
        let line = ["get", kind, name, "--ignore-not-found", "--output", &path];
        self.kubectl(&line, "").expect(name)
    }
}
