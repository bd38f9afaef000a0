//! The daemons: a control plane without anything that a single node can do without, and the node.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use super::{
    Cluster, command,
    image::{self, IMAGE},
};

/// The node's name, and the context's.
pub const NODE: &str = "lab";

/// Longest wait for anything on a loaded machine.
const LIMIT: Duration = Duration::from_secs(180);

const RUNTIME: &str = "/run/containerd/containerd.sock";

const SERVER: &str = "https://127.0.0.1:6443";

const CONTAINERD: &str = r#"
version = 2
disabled_plugins = ["io.containerd.internal.v1.opt"]

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "IMAGE"
  restrict_oom_score_adj = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "LAB/cni"

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "LAB/runc"
"#;

const NETWORK: &str = r#"{
  "cniVersion": "0.4.0",
  "name": "lab",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "pods0",
      "isGateway": true,
      "ipam": { "type": "host-local", "subnet": "10.98.0.0/24" }
    }
  ]
}
"#;

/// In front of runc: a machine that is itself confined may be without CAP_SYS_RESOURCE, and then
/// can neither give it to a container nor raise a limit nor lower an OOM score. No profile is
/// touched.
const RUNC: &str = r#"#!/bin/sh
without='def drop: map(select(. != "CAP_SYS_RESOURCE"));
  def process: del(.rlimits)
    | if .capabilities then .capabilities |= map_values(if . then drop else . end) else . end
    | if (.oomScoreAdj // 0) < 0 then del(.oomScoreAdj) else . end;'
bundle=. verb= file= before=
for word; do
    case $before in
        --bundle|-b) bundle=$word ;;
        --process|-p) file=$word ;;
    esac
    case $word in create|run|exec) verb=${verb:-$word} ;; esac
    before=$word
done
case $verb in
    create|run) file=$bundle/config.json filter=".process |= process" ;;
    exec) filter=process ;;
esac
if [ -n "$verb" ] && [ -f "$file" ]; then
    jq "$without $filter" "$file" >"$file.lab" && cat "$file.lab" >"$file" && rm "$file.lab"
fi
exec runc "$@"
"#;

const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
current-context: lab
contexts:
- name: lab
  context: { cluster: lab, user: lab }
clusters:
- name: lab
  cluster: { server: SERVER, insecure-skip-tls-verify: true }
users:
- name: lab
  user: { token: lab }
";

/// The store, the API server, and what acts on its objects.
pub fn start_control_plane(cluster: &Cluster) {
    let lab = cluster.path().display();
    write(cluster, "kubeconfig", &KUBECONFIG.replace("SERVER", SERVER));
    write(cluster, "tokens", "lab,lab,lab,\"system:masters\"\n");
    cluster.shell("openssl genrsa -out sa.key 2048 2>/dev/null");
    // In memory: nothing of it is to last, and a disk takes its time.
    cluster.serve("etcd", &["--data-dir=/run/etcd"]);
    wait("etcd", || {
        let connect = "exec 3<>/dev/tcp/127.0.0.1/2379";
        command::run(cluster.command("bash").args(["-c", connect]), "").success()
    });
    cluster.serve(
        "kube-apiserver",
        &[
            "--etcd-servers=http://127.0.0.1:2379",
            "--bind-address=127.0.0.1",
            // The machine's own name means nothing in this network.
            "--kubelet-preferred-address-types=InternalIP",
            "--cert-dir=/run/apiserver",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            &format!("--service-account-signing-key-file={lab}/sa.key"),
            &format!("--service-account-key-file={lab}/sa.key"),
            &format!("--token-auth-file={lab}/tokens"),
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            "--advertise-address=10.99.0.1",
            "--endpoint-reconciler-type=none",
        ],
    );
    wait("the API server", || cluster.kubectl(&["get", "--raw=/readyz"], "").success());
    let client = format!("--kubeconfig={lab}/kubeconfig");
    let key = format!("--service-account-private-key-file={lab}/sa.key");
    cluster.serve("kube-controller-manager", &[&client, &key, "--leader-elect=false", "--port=0"]);
    cluster.serve("kube-scheduler", &[&client, "--leader-elect=false", "--port=0"]);
}

/// containerd with runc behind it, and the image in its store.
pub fn start_runtime(cluster: &Cluster) {
    let lab = cluster.path().display().to_string();
    write(cluster, "containerd.toml", &CONTAINERD.replace("LAB", &lab).replace("IMAGE", IMAGE));
    write(cluster, "cni/lab.conflist", NETWORK);
    write(cluster, "runc", RUNC);
    cluster.shell("chmod +x $LAB/runc");
    cluster.serve("containerd", &["--config", &format!("{lab}/containerd.toml")]);
    image::write(cluster.path());
    wait("containerd", || {
        command::run(cluster.command("ctr").args(["--timeout", "5s", "version"]), "").success()
    });
    cluster.shell("ctr --namespace k8s.io images import image.tar");
}

/// The kubelet, until its node takes pods.
pub fn join(cluster: &Cluster) {
    let lab = cluster.path().display();
    cluster.serve(
        "kubelet",
        &[
            &format!("--kubeconfig={lab}/kubeconfig"),
            &format!("--hostname-override={NODE}"),
            "--node-ip=10.99.0.1",
            "--container-runtime=remote",
            &format!("--container-runtime-endpoint=unix://{RUNTIME}"),
            "--cgroup-driver=cgroupfs",
            &format!("--cgroup-root=/{}", cluster.cell.cgroup()),
            "--fail-swap-on=false",
            "--eviction-hard=",
            "--anonymous-auth=true",
            "--authorization-mode=AlwaysAllow",
            "--healthz-port=0",
            "--make-iptables-util-chains=false",
            "--volume-plugin-dir=/run/volume-plugins",
            "--node-status-update-frequency=1s",
            // How soon a pod sees a changed ConfigMap; a minute is usual.
            "--sync-frequency=5s",
            // Objects are asked for as often as tests make them.
            "--kube-api-qps=100",
            "--kube-api-burst=100",
        ],
    );
    wait("the node", || {
        let ready = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}{.spec.taints}"#;
        cluster.kubectl(&["get", "node", NODE, "--output", ready], "").stdout == "True"
    });
    // Pods are refused before it is there.
    wait("the service account", || {
        cluster.kubectl(&["get", "serviceaccount", "default"], "").success()
    });
}

fn write(cluster: &Cluster, name: &str, text: &str) {
    let path = cluster.path().join(name);
    fs::create_dir_all(path.parent().expect("it is in a folder")).expect("it takes a folder");
    fs::write(path, text).expect("the folder takes a file");
}

/// Waits until the answer is yes.
///
/// # Panics
///
/// When it never is.
#[track_caller]
pub fn wait(what: &str, mut there: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !there() {
        assert!(begin.elapsed() < LIMIT, "{what} is not there after {LIMIT:?}");
        thread::sleep(Duration::from_millis(100));
    }
}
