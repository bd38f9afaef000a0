//! Pods of the cluster.

use serde_json::{Value, json};

use super::{Cluster, image::IMAGE, node::wait};

/// A container tries to make a folder, and says what filters it is under.
pub const ATTEMPT: &str = "mkdir /tmp/made && echo made; grep ^Seccomp /proc/self/status";

/// A pod that runs one container to its end, with this `securityContext` and script.
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

    /// What a container has written, once its pod has ended.
    #[track_caller]
    pub fn output_of(&self, pod: &str, container: &str) -> String {
        wait(&format!("the end of pod {pod}"), || {
            let phase = self.get("pod", pod, "{.status.phase}");
            matches!(phase.as_str(), "Succeeded" | "Failed")
        });
        self.kubectl(&["logs", pod, "--container", container], "").expect(pod)
    }

    /// A field of an object; empty when there is none.
    pub fn get(&self, kind: &str, name: &str, path: &str) -> String {
        let path = format!("jsonpath={path}");
        let line = ["get", kind, name, "--ignore-not-found", "--output", &path];
        self.kubectl(&line, "").expect(name)
    }
}
