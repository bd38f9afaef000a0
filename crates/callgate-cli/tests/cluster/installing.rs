//! `callgate kube manifest`: what it writes installs a profile, and takes it away again.

use std::fs;

use super::{
    Cluster,
    image::IMAGE,
    node::wait,
    pods::{MKDIR, NO_MKDIR, REFUSED, Seen, kind, localhost, pod},
};

#[test]
fn a_daemon_set_puts_a_profile_on_the_node_until_it_is_deleted() {
    let Some(cluster) = Cluster::open() else { return };
    fs::write(cluster.path().join("web.json"), NO_MKDIR).expect("the folder takes a file");
    let line = ["kube", "manifest", "web.json", "--name", "web", "--image", IMAGE];
    let manifests = cluster.callgate(&line, "").expect("kube manifest");
    cluster.apply(&manifests);
    let rollout = ["rollout", "status", "--namespace=kube-system", "daemonset/callgate-web-amd64"];
    cluster.kubectl(&rollout, "").expect("the rollout");

    let installed = cluster.profiles().join("callgate/web.json");
    let diff = ["diff", "web.json", &installed.display().to_string()];
    let same = cluster.callgate(&diff, "").expect("callgate diff");
    assert!(same.starts_with("same:"), "{same}");

    // What the first lines of the manifests tell pods to say.
    assert!(manifests.contains("#       localhostProfile: callgate/web.json\n"), "{manifests}");
    let local = localhost("callgate/web.json");
    cluster.apply(&pod("web-localhost", local, MKDIR).to_string());
    cluster.apply(&pod("web-default", kind("RuntimeDefault"), MKDIR).to_string());
    cluster.apply(&pod("web-unconfined", kind("Unconfined"), MKDIR).to_string());
    assert_eq!(cluster.seen("web-localhost", "main"), Seen::filtered(REFUSED));
    assert_eq!(cluster.seen("web-default", "main"), Seen::filtered("made\n"));
    assert_eq!(cluster.seen("web-unconfined", "main"), Seen::unfiltered("made\n"));

    cluster.kubectl(&["delete", "--filename", "-"], &manifests).expect("kubectl delete");
    wait("the file's removal", || !installed.exists());
    let left = fs::read_dir(installed.parent().expect("it is in a folder"));
    assert_eq!(left.expect("the folder stays").count(), 0, "something else was left in it");
}
