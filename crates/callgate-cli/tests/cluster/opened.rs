//! A profile of another dialect, which the node's runtime reads as one that refuses less.

use super::{
    Cluster,
    pods::{Seen, localhost, pod},
};

/// What Docker's own profile refuses a container without CAP_SYS_ADMIN.
const UNSHARE: &str = "unshare -U true && echo unshared; grep ^Seccomp /proc/self/status";

const REFUSED: &str = "unshare: unshare(0x10000000): Operation not permitted\n";

#[test]
fn a_profile_that_the_runtime_would_open_is_stopped_by_check() {
    let Some(cluster) = Cluster::open() else { return };
    let docker = cluster.callgate(&["convert", "docker-default", "--to", "docker"], "");
    let docker = docker.expect("callgate convert");
    assert!(docker.contains("\"includes\""), "its entries depend on capabilities: {docker}");
    cluster.put("docker.json", &docker);
    let of_docker = pod("of-docker", localhost("docker.json"), UNSHARE).to_string();

    let stopped = cluster.callgate(&["kube", "check", "-"], &of_docker);
    assert_eq!(stopped.code(), 1, "{stopped:?}");
    let finding = "error[kube-dialect]: containerd reads another profile in `docker.json` than is \
                   written there: entries with conditions always apply";
    assert!(stopped.stdout.contains(finding), "{}", stopped.stdout);

    // Without the check nobody says a word, and what the profile means to refuse is done.
    cluster.apply(&of_docker);
    assert_eq!(cluster.seen("of-docker", "main"), Seen::filtered("unshared\n"));

    // The same profile as the finding's help writes it.
    let flat = cluster.callgate(&["compile", "-", "--format", "oci"], &docker);
    cluster.put("flat.json", &flat.expect("callgate compile"));
    let flat = pod("of-docker-flat", localhost("flat.json"), UNSHARE).to_string();
    let passed = cluster.callgate(&["kube", "check", "-"], &flat);
    assert!(!passed.stdout.contains("error["), "{}", passed.stdout);
    cluster.apply(&flat);
    assert_eq!(cluster.seen("of-docker-flat", "main"), Seen::filtered(REFUSED));
}
