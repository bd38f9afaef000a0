//! A pod that names a profile which is not on its node.

use super::{
    Cluster,
    node::wait,
    pods::{MKDIR, localhost, pod},
};

#[test]
fn a_missing_profile_is_the_error_that_check_foretold() {
    let Some(cluster) = Cluster::open() else { return };
    let pod = pod("missing", localhost("nowhere/web.json"), MKDIR).to_string();
    // The kubelet's folder has to be there, or the check would not look for files.
    cluster.put("other.json", "{}");
    let foretold = cluster.callgate(&["kube", "check", "-"], &pod);
    assert_eq!(foretold.code(), 1, "{foretold:?}");
    let file = "/var/lib/kubelet/seccomp/nowhere/web.json";
    assert!(foretold.stdout.contains("kube-missing-profile"), "{}", foretold.stdout);
    assert!(foretold.stdout.contains(file), "{}", foretold.stdout);
    assert!(foretold.stdout.contains("CreateContainerError"), "{}", foretold.stdout);

    cluster.apply(&pod);
    let waiting = "{.status.containerStatuses[0].state.waiting.reason}";
    wait("the error", || cluster.get("pod", "missing", waiting) == "CreateContainerError");
    let said = "{.status.containerStatuses[0].state.waiting.message}";
    let said = cluster.get("pod", "missing", said);
    assert!(said.contains(file) && said.contains("no such file or directory"), "{said}");
}
