//! A container that runs, seen from its node.

use super::{
    Cluster,
    command::Output,
    node::wait,
    pods::{NO_MKDIR, localhost, pod},
};

impl Cluster {
    /// Compares a profile on the node with the filter of a container that runs under it.
    fn compare(&self, name: &str, profile: &str) -> Output {
        let file = format!("{name}.json");
        self.put(&file, profile);
        self.apply(&pod(name, localhost(&file), "exec sleep 3600").to_string());
        wait("the container", || self.get("pod", name, "{.status.phase}") == "Running");
        let id = self.get("pod", name, "{.status.containerStatuses[0].containerID}");
        let id = id.trim_start_matches("containerd://");
        let tasks = self.shell("ctr --namespace k8s.io tasks list");
        let task = tasks.lines().find(|line| line.starts_with(id));
        let pid = task.and_then(|line| line.split_whitespace().nth(1)).expect("it has a process");
        let file = self.profiles().join(file).display().to_string();
        self.callgate(&["diff", &file, &format!("pid:{pid}")], "")
    }
}

#[test]
fn a_running_container_has_the_filter_that_its_profile_means() {
    let Some(cluster) = Cluster::open() else { return };
    // Names that the runtime's library does not know would be refused where the profile allows
    // them; these two have none.
    let flat = cluster.callgate(&["compile", "fine-grained", "--format", "oci"], "");
    let flat = flat.expect("callgate compile");
    for (pod, profile) in [("running-no-mkdir", NO_MKDIR), ("running-fine-grained", &flat)] {
        let compared = cluster.compare(pod, profile);
        let same = compared.code() == 0 && compared.stdout.starts_with("same:");
        assert!(same, "{pod}: {compared:?}");
    }
}
