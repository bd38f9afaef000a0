//! What `callgate kube check` says of each container, and what the kernel says in it.

use serde_json::{Value, json};

use super::{
    Cluster,
    image::IMAGE,
    pods::{MKDIR, NO_MKDIR, REFUSED, Seen, kind, localhost},
};

/// A container of a pod whose restart policy is never.
fn container(name: &str, security: Value) -> Value {
    json!({
        "name": name, "image": IMAGE, "command": ["sh", "-c", MKDIR], "securityContext": security,
    })
}

fn pod(name: &str, security: Value, containers: &[Value]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name },
        "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
            "securityContext": security, "containers": containers,
        },
    })
}

/// Each way in which a container gets its profile.
fn pods() -> Value {
    let nothing = json!({});
    let mut init = pod("init", kind("RuntimeDefault"), &[container("main", nothing.clone())]);
    init["spec"]["initContainers"] = json!([container("first", localhost("agreed.json"))]);
    let mut privileged = kind("RuntimeDefault");
    privileged["privileged"] = json!(true);
    let items = [
        pod("said-nothing", nothing.clone(), &[container("main", nothing.clone())]),
        pod(
            "said-by-pod",
            localhost("agreed.json"),
            &[
                container("main", nothing.clone()),
                container("other", kind("Unconfined")),
                container("third", kind("RuntimeDefault")),
            ],
        ),
        init,
        pod("privileged", nothing, &[container("main", privileged)]),
    ];
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

/// A pod as one said its profile before Kubernetes 1.19. To the check that is no profile; the API
/// server of the laboratory makes a field of it.
fn annotated() -> Value {
    let mut pod = pod("annotated", json!({}), &[container("main", json!({}))]);
    pod["metadata"]["annotations"] =
        json!({ "seccomp.security.alpha.kubernetes.io/pod": "runtime/default" });
    pod
}

/// Pods, containers and the profiles that the report of a check has.
fn checked(report: &str) -> Vec<(String, String, String)> {
    let report: Value = serde_json::from_str(report).expect("it is JSON");
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut all = Vec::new();
    for pod in report["files"][0]["pods"].as_array().expect("there are pods") {
        for container in pod["containers"].as_array().expect("there are containers") {
            all.push((word(&pod["name"]), word(&container["name"]), word(&container["profile"])));
        }
    }
    all
}

#[test]
fn check_and_kernel_agree_on_every_container() {
    let Some(cluster) = Cluster::open() else { return };
    cluster.put("agreed.json", NO_MKDIR);
    let pods = pods().to_string();
    let of_file = checked(&cluster.callgate(&["kube", "check", "-", "--json"], &pods).stdout);
    assert_eq!(of_file.len(), 7, "{of_file:?}");
    cluster.apply(&pods);
    let annotated = annotated().to_string();
    let of_annotated = cluster.callgate(&["kube", "check", "-"], &annotated);
    assert!(of_annotated.stdout.contains("warning[kube-annotation]"), "{}", of_annotated.stdout);
    cluster.apply(&annotated);

    for (pod, container, profile) in &of_file {
        let expected = match profile.as_str() {
            "Localhost" => Seen::filtered(REFUSED),
            "RuntimeDefault" => Seen::filtered("made\n"),
            "Unconfined" => Seen::unfiltered("made\n"),
            other => panic!("{pod}/{container}: {other}"),
        };
        assert_eq!(cluster.seen(pod, container), expected, "{pod}/{container}: {profile}");
    }

    assert_eq!(cluster.seen("annotated", "main"), Seen::filtered("made\n"));

    // The objects that live in the cluster have fields and annotations that the file has not.
    let live = ["kube", "check", "--context", "lab", "--json"];
    let live = cluster.callgate(&live, "");
    assert!(live.code() < 2, "{live:?}");
    let live = checked(&live.stdout);
    let of_annotated = ["annotated", "main", "RuntimeDefault"].map(str::to_owned);
    for of_file in of_file.iter().chain([&of_annotated.into()]) {
        assert!(live.contains(of_file), "{of_file:?} is not among {live:?}");
    }
}
