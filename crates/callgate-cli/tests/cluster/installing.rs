//! `callgate kube manifest`: what it writes installs a profile, and takes it away again.

use std::fs;

use super::{
    Cluster,
    image::IMAGE,
    node::wait,
    pods::{MKDIR, NO_MKDIR, REFUSED, Seen, kind, localhost, pod},
};

#[test]
fn a_daemon_set_keeps_a_profile_on_the_node_until_it_is_deleted() {
    let Some(cluster) = Cluster::open() else { return };
    fs::write(cluster.path().join("web.json"), NO_MKDIR).expect("the folder takes a file");
    let line = ["kube", "manifest", "web.json", "--name", "web", "--image", IMAGE];
    let manifests = || cluster.callgate(&line, "").expect("kube manifest");
    let first = manifests();
    cluster.apply(&first);
    let rollout = ["rollout", "status", "--namespace=kube-system", "daemonset/callgate-web-amd64"];
    cluster.kubectl(&rollout, "").expect("the rollout");

    let installed = cluster.profiles().join("callgate/web.json");
    let is_what_was_given = || {
        let diff = ["diff", "web.json", &installed.display().to_string()];
        cluster.callgate(&diff, "").stdout.starts_with("same:")
    };
    assert!(is_what_was_given());

    // What the first lines of the manifests tell pods to say.
    assert!(first.contains("#       localhostProfile: callgate/web.json\n"), "{first}");
    let local = localhost("callgate/web.json");
    cluster.apply(&pod("web-localhost", local, MKDIR).to_string());
    cluster.apply(&pod("web-default", kind("RuntimeDefault"), MKDIR).to_string());
    cluster.apply(&pod("web-unconfined", kind("Unconfined"), MKDIR).to_string());
    assert_eq!(cluster.seen("web-localhost", "main"), Seen::filtered(REFUSED));
    assert_eq!(cluster.seen("web-default", "main"), Seen::filtered("made\n"));
    assert_eq!(cluster.seen("web-unconfined", "main"), Seen::unfiltered("made\n"));

    let other = NO_MKDIR.replace("mkdirat", "rmdir");
    fs::write(cluster.path().join("web.json"), other).expect("the folder takes a file");
    assert!(!is_what_was_given());
    cluster.apply(&manifests());
    wait("the changed profile", is_what_was_given);

    cluster.kubectl(&["delete", "--filename", "-"], &first).expect("kubectl delete");
    wait("the file's removal", || !installed.exists());
    let left = fs::read_dir(installed.parent().expect("it is in a folder"));
    assert_eq!(left.expect("the folder stays").count(), 0, "something else was left in it");
}
