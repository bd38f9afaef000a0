//! The objects themselves.

use super::{Install, Manifests, Pool, SCRIPT, node_architecture};
use crate::emit::Node;

/// Where the container finds the profile, and the node's folder.
const FROM: &str = "/profile";
const TO: &str = "/seccomp";

pub(super) fn snippet(localhost_profile: &str) -> Node {
    let profile =
        Node::map([("type", "Localhost".into()), ("localhostProfile", localhost_profile.into())]);
    Node::map([("securityContext", Node::map([("seccompProfile", profile)]))])
}

pub(super) fn config_map(manifests: &Manifests, pool: &Pool) -> Node {
    let data = Node::map([(manifests.file_name(), Node::from(pool.profile.as_str()))]);
    object("v1", "ConfigMap", manifests, pool, ("data", data))
}

pub(super) fn daemon_set(manifests: &Manifests, pool: &Pool) -> Node {
    let template = Node::map([
        ("metadata", Node::map([("labels", labels(manifests, pool))])),
        ("spec", pod(manifests, pool)),
    ]);
    let selector = Node::map([("matchLabels", selector(manifests, pool))]);
    let spec = Node::map([("selector", selector), ("template", template)]);
    object("apps/v1", "DaemonSet", manifests, pool, ("spec", spec))
}

/// The profile's file changes in place, as the DaemonSet's container follows the ConfigMap; a hash
/// in its name would start all of them anew, and take the file away in between.
pub(super) fn kustomization(manifests: &Manifests) -> Node {
    let generators = manifests.pools.iter().map(|pool| {
        let file = format!("{}={}", manifests.file_name(), manifests.profile_path(pool));
        Node::map([
            ("name", object_name(manifests, pool).into()),
            ("files", Node::texts([file])),
            (
                "options",
                Node::map([
                    ("disableNameSuffixHash", Node::Bool(true)),
                    ("labels", labels(manifests, pool)),
                ]),
            ),
        ])
    });
    let resources = manifests.pools.iter().map(|pool| format!("{}.yaml", manifests.instance(pool)));
    Node::map([
        ("apiVersion", "kustomize.config.k8s.io/v1beta1".into()),
        ("kind", "Kustomization".into()),
        ("namespace", manifests.install.namespace.as_str().into()),
        ("resources", Node::texts(resources)),
        ("configMapGenerator", Node::List(generators.collect())),
    ])
}

fn pod(manifests: &Manifests, pool: &Pool) -> Node {
    let Install { root, folder, node_selector, .. } = &manifests.install;
    let mut selector = vec![
        ("kubernetes.io/os".to_owned(), Node::from("linux")),
        ("kubernetes.io/arch".to_owned(), node_architecture(pool.abi).unwrap_or_default().into()),
    ];
    for (key, value) in node_selector {
        selector.retain(|(known, _)| known != key);
        selector.push((key.clone(), value.as_str().into()));
    }
    let path = format!("{}/{folder}", root.trim_end_matches('/'));
    let config_map = Node::map([("name", object_name(manifests, pool).into())]);
    let host_path = Node::map([("path", path.into()), ("type", "DirectoryOrCreate".into())]);
    Node::map([
        ("automountServiceAccountToken", Node::Bool(false)),
        ("enableServiceLinks", Node::Bool(false)),
        // It comes before the pods that need the file, and stays when memory is short.
        ("priorityClassName", "system-node-critical".into()),
        ("terminationGracePeriodSeconds", Node::Number(10)),
        ("nodeSelector", Node::Map(selector)),
        // Every node that can run a pod that names the profile.
        ("tolerations", Node::List(vec![Node::map([("operator", "Exists".into())])])),
        (
            "securityContext",
            Node::map([
                // The folder belongs to root, so that without any capability it takes root to
                // write there.
                ("runAsUser", Node::Number(0)),
                ("runAsGroup", Node::Number(0)),
                ("seccompProfile", Node::map([("type", "RuntimeDefault".into())])),
            ]),
        ),
        ("containers", Node::List(vec![container(manifests)])),
        (
            "volumes",
            Node::List(vec![
                Node::map([("name", "profile".into()), ("configMap", config_map)]),
                Node::map([("name", "seccomp".into()), ("hostPath", host_path)]),
            ]),
        ),
    ])
}

fn container(manifests: &Manifests) -> Node {
    let file = manifests.file_name();
    let (from, to) = (format!("{FROM}/{file}"), format!("{TO}/{file}"));
    let amounts =
        |cpu: &str, memory: &str| Node::map([("cpu", cpu.into()), ("memory", Node::from(memory))]);
    let mount = |name: &str, path: &str, read_only: bool| {
        Node::map([
            ("name", name.into()),
            ("mountPath", path.into()),
            ("readOnly", Node::Bool(read_only)),
        ])
    };
    let probe = Node::map([("command", Node::texts(["test", "-f", to.as_str()]))]);
    Node::map([
        ("name", "install".into()),
        ("image", manifests.install.image.as_str().into()),
        ("command", Node::texts(["sh", "-c", SCRIPT, "install", from.as_str(), to.as_str()])),
        ("readinessProbe", Node::map([("exec", probe), ("periodSeconds", Node::Number(10))])),
        (
            "resources",
            Node::map([("requests", amounts("5m", "16Mi")), ("limits", amounts("100m", "64Mi"))]),
        ),
        (
            "securityContext",
            Node::map([
                ("allowPrivilegeEscalation", Node::Bool(false)),
                ("capabilities", Node::map([("drop", Node::texts(["ALL"]))])),
                ("privileged", Node::Bool(false)),
                ("readOnlyRootFilesystem", Node::Bool(true)),
            ]),
        ),
        (
            "volumeMounts",
            Node::List(vec![mount("profile", FROM, true), mount("seccomp", TO, false)]),
        ),
    ])
}

fn object(
    version: &str,
    kind: &str,
    manifests: &Manifests,
    pool: &Pool,
    content: (&str, Node),
) -> Node {
    let metadata = Node::map([
        ("name", object_name(manifests, pool).into()),
        ("namespace", manifests.install.namespace.as_str().into()),
        ("labels", labels(manifests, pool)),
    ]);
    Node::map([
        ("apiVersion", version.into()),
        ("kind", kind.into()),
        ("metadata", metadata),
        content,
    ])
}

/// `callgate-web-amd64`
fn object_name(manifests: &Manifests, pool: &Pool) -> String {
    format!("callgate-{}", manifests.instance(pool))
}

fn selector(manifests: &Manifests, pool: &Pool) -> Node {
    Node::map([
        ("app.kubernetes.io/name", "callgate-profile".into()),
        ("app.kubernetes.io/instance", Node::from(manifests.instance(pool))),
    ])
}

fn labels(manifests: &Manifests, pool: &Pool) -> Node {
    let Node::Map(mut labels) = selector(manifests, pool) else { unreachable!("it makes a map") };
    labels.push(("app.kubernetes.io/managed-by".to_owned(), "callgate".into()));
    Node::Map(labels)
}
