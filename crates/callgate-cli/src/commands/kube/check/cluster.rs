//! The objects of a live cluster, through kubectl.

use std::{
    io::{self, Read},
    process::{Command, Stdio},
    thread,
};

use super::look::Text;
use crate::source::read_bounded;

/// What makes pods, and the pods themselves. The ReplicaSets of Deployments would say the same
/// again; one without a Deployment shows by its pods.
const KINDS: &str = "pods,podtemplates,replicationcontrollers,deployments.apps,statefulsets.apps,daemonsets.apps,jobs.batch,cronjobs.batch";

/// Everything of these kinds in all namespaces.
///
/// # Errors
///
/// When kubectl is missing, fails, or says too much.
pub fn objects(context: &str) -> Result<Text, String> {
    let arguments =
        ["get", KINDS, "--all-namespaces", "--output=json", &format!("--context={context}")]
            .map(str::to_owned);
    let mut child = Command::new("kubectl")
        .args(&arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                "kubectl is not on the PATH; --context reads the cluster through it".to_owned()
            }
            _ => format!("kubectl: {error}"),
        })?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let talk = thread::spawn(move || {
        let mut talk = Vec::new();
        let limit = stderr.map(|stderr| stderr.take(1 << 16));
        // What kubectl says is for a message alone; its status counts.
        let _ = limit.map(|mut stderr| stderr.read_to_end(&mut talk));
        String::from_utf8_lossy(&talk).trim().to_owned()
    });
    let read = stdout.map_or_else(|| Ok(Vec::new()), read_bounded);
    if read.is_err() {
        // It may have ended by itself.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| format!("kubectl: {error}"))?;
    let talk = talk.join().unwrap_or_default();
    let bytes = read.map_err(|error| format!("kubectl get: {error}"))?;
    if !status.success() {
        return Err(format!("kubectl get --context={context}: {status}\n{talk}"));
    }
    Ok(Text { name: format!("cluster {context}"), bytes })
}
