//! The built-in profiles that show how things hang together.

use super::{
    Cluster,
    node::wait,
    pods::{MKDIR, Seen, localhost, pod},
};

impl Cluster {
    /// A pod under a built-in profile, as the runtime reads it.
    fn start_under(&self, builtin: &str) {
        let flat = self.callgate(&["compile", builtin, "--format", "oci"], "");
        let file = format!("{builtin}.json");
        self.put(&file, &flat.expect("callgate compile"));
        self.apply(&pod(builtin, localhost(&file), MKDIR).to_string());
    }
}

#[test]
fn audit_and_fine_grained_let_a_pod_run_and_violation_lets_none() {
    let Some(cluster) = Cluster::open() else { return };
    for builtin in ["audit", "fine-grained", "violation"] {
        cluster.start_under(builtin);
    }
    assert_eq!(cluster.seen("audit", "main"), Seen::filtered("made\n"));
    assert_eq!(cluster.seen("fine-grained", "main"), Seen::filtered("made\n"));
    // runc itself is refused before it gets to the program.
    let reason = "{.status.containerStatuses[0].state.terminated.reason}";
    wait("the failure", || cluster.get("pod", "violation", reason) == "StartError");
}
