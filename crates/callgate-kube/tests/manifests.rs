//! Manifests that are written: what the reader makes of them, and what is refused.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use callgate_kube::{
    emit::Node,
    install::{Install, LARGEST_CONFIG_MAP, Layout, Manifests, Pool},
    yaml::{self, Kind, Value},
};
use callgate_syscalls::Abi;

const PROFILE: &str = "{\n  \"defaultAction\": \"SCMP_ACT_LOG\"\n}\n";

fn install() -> Install {
    Install {
        name: "web".into(),
        namespace: "kube-system".into(),
        image: "busybox:stable".into(),
        root: "/var/lib/kubelet/seccomp".into(),
        folder: "callgate".into(),
        node_selector: Vec::new(),
    }
}

fn pool(abi: Abi) -> Pool {
    Pool { abi, profile: PROFILE.into() }
}

fn manifests() -> Manifests {
    Manifests::new(install(), vec![pool(Abi::X86_64), pool(Abi::Aarch64)]).unwrap()
}

fn at<'d>(value: Value<'d>, path: &str) -> Value<'d> {
    path.split(' ').fold(value, |value, step| match step.parse() {
        Ok(index) => value.elements().nth(index).unwrap_or_else(|| panic!("{step} of {path}")),
        Err(_) => value.get(step).unwrap_or_else(|| panic!("{step} of {path}")),
    })
}

#[track_caller]
fn says(value: Value<'_>, path: &str, expected: &str) {
    assert_eq!(at(value, path).content(), expected, "{path}");
}

#[test]
fn each_architecture_has_a_config_map_and_a_daemon_set() {
    let text = manifests().stream();
    assert!(text.starts_with("# The pods and containers that use the profile say so:\n"));
    assert!(text.contains("#       localhostProfile: callgate/web.json\n"));
    let documents: Vec<_> = yaml::documents(&text).map(Result::unwrap).collect();
    assert_eq!(documents.len(), 4);
    for (index, architecture) in ["amd64", "arm64"].iter().enumerate() {
        let (map, set) = (documents[2 * index].root(), documents[2 * index + 1].root());
        let name = format!("callgate-web-{architecture}");
        says(map, "kind", "ConfigMap");
        says(map, "metadata name", &name);
        says(map, "data web.json", PROFILE);
        says(set, "apiVersion", "apps/v1");
        says(set, "metadata namespace", "kube-system");
        let pod = at(set, "spec template spec");
        says(pod, "nodeSelector kubernetes.io/arch", architecture);
        says(pod, "volumes 0 configMap name", &name);
        says(pod, "volumes 1 hostPath path", "/var/lib/kubelet/seccomp/callgate");
        says(pod, "containers 0 command 3", "install");
        says(pod, "containers 0 command 5", "/seccomp/web.json");
        // What selects the pods is what they have.
        for (key, value) in at(set, "spec selector matchLabels").members() {
            let labels = at(set, "spec template metadata labels");
            assert_eq!(labels.get(key.content()).unwrap().content(), value.content());
        }
    }
}

#[test]
fn the_container_has_no_more_rights_than_the_one_folder() {
    let text = manifests().stream();
    let documents: Vec<_> = yaml::documents(&text).map(Result::unwrap).collect();
    let pod = at(documents[1].root(), "spec template spec");
    says(pod, "automountServiceAccountToken", "false");
    says(pod, "securityContext seccompProfile type", "RuntimeDefault");
    says(pod, "containers 0 securityContext allowPrivilegeEscalation", "false");
    says(pod, "containers 0 securityContext privileged", "false");
    says(pod, "containers 0 securityContext readOnlyRootFilesystem", "true");
    says(pod, "containers 0 securityContext capabilities drop 0", "ALL");
    says(pod, "containers 0 volumeMounts 0 readOnly", "true");
    says(pod, "tolerations 0 operator", "Exists");
    for absent in ["hostPID", "hostNetwork", "hostIPC", "serviceAccountName"] {
        assert!(pod.get(absent).is_none(), "{absent}");
    }
    assert_eq!(at(pod, "volumes").elements().count(), 2);
    assert!(at(pod, "containers 0 resources limits memory").as_str().is_some());
}

#[test]
fn kubectl_meets_no_file_that_is_no_object() {
    for layout in [Layout::Plain, Layout::Kustomize] {
        let files = manifests().files(layout);
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let beside: Vec<_> = files.iter().filter(|file| !file.path.contains('/')).collect();
        for file in &beside {
            for document in yaml::documents(&file.text) {
                let document = document.unwrap();
                says(document.root(), "apiVersion", at(document.root(), "apiVersion").content());
                assert!(document.root().get("kind").is_some(), "{}", file.path);
            }
        }
        assert!(paths.contains(&"profiles/web-amd64.json"), "{paths:?}");
        assert!(paths.contains(&"profiles/web.snippet.yaml"), "{paths:?}");
        assert_eq!(paths.contains(&"kustomization.yaml"), layout == Layout::Kustomize);
    }
    let files = manifests().files(Layout::Kustomize);
    let file = files.iter().find(|file| file.path == "kustomization.yaml").unwrap();
    let document = yaml::documents(&file.text).next().unwrap().unwrap();
    for resource in at(document.root(), "resources").elements() {
        let path = resource.as_str().unwrap();
        let text = &files.iter().find(|file| file.path == path).unwrap().text;
        // The ConfigMap is the generator's.
        assert!(!text.contains("kind: ConfigMap"), "{path}");
    }
    for generator in at(document.root(), "configMapGenerator").elements() {
        let file = at(generator, "files 0").as_str().unwrap();
        let (key, path) = file.split_once('=').unwrap();
        assert_eq!(key, "web.json");
        assert_eq!(files.iter().find(|file| file.path == path).unwrap().text, PROFILE);
        says(generator, "options disableNameSuffixHash", "true");
    }
}

#[test]
fn what_kubernetes_would_refuse_is_refused_first() {
    let refused = |change: &dyn Fn(&mut Install)| {
        let mut install = install();
        change(&mut install);
        Manifests::new(install, vec![pool(Abi::X86_64)]).unwrap_err().to_string()
    };
    let long = "a".repeat(60);
    assert!(
        refused(&|i| i.name = "Web".into())
            .starts_with("the name of the profile: Kubernetes does not take `Web`")
    );
    assert!(refused(&|i| i.name = "../x".into()).starts_with("the name of the profile: "));
    assert!(refused(&|i| i.name = String::new()).ends_with("a name is empty"));
    assert!(
        refused(&|i| i.name = long.clone()).contains("has 66 bytes; Kubernetes takes at most 63")
    );
    assert!(refused(&|i| i.namespace = "a.b".into()).starts_with("the namespace: "));
    assert!(refused(&|i| i.folder = "../etc".into()).starts_with("the folder: "));
    assert!(refused(&|i| i.folder = "/etc".into()).starts_with("the folder: "));
    assert!(refused(&|i| i.root = "var/lib".into()).contains("no absolute path"));
    assert!(refused(&|i| i.root = "/var/../etc".into()).contains("no absolute path"));
    assert!(refused(&|i| i.image = "a b".into()).contains("not the name of an image"));
    assert!(
        refused(&|i| i.node_selector = vec![("a b".into(), "c".into())])
            .contains("the key of a node's label")
    );
    assert!(
        refused(&|i| i.node_selector = vec![("a".into(), "-".into())])
            .contains("the value of a node's label")
    );

    let made = |pools| Manifests::new(install(), pools);
    assert!(made(Vec::new()).is_err());
    assert!(
        made(vec![pool(Abi::X32)])
            .unwrap_err()
            .to_string()
            .contains("not the architecture of a node")
    );
    assert!(
        made(vec![pool(Abi::X86_64), pool(Abi::X86_64)]).unwrap_err().to_string().contains("twice")
    );
    let large = |size| vec![Pool { abi: Abi::X86_64, profile: "a".repeat(size) }];
    assert!(made(large(LARGEST_CONFIG_MAP + 1)).unwrap_err().is_too_large());
    assert!(made(large(LARGEST_CONFIG_MAP)).unwrap().needs_server_side());
    assert!(!manifests().needs_server_side());
}

#[test]
fn what_is_written_is_what_is_read_whatever_the_strings_are() {
    let texts = [
        "",
        " ",
        "a",
        "yes",
        "No",
        "~",
        "null",
        "0",
        "0x1",
        "1e3",
        "-",
        "- a",
        "a: b",
        "#",
        "a #b",
        "'",
        "\"",
        "\\",
        "\t",
        "\n",
        "a\n",
        "a\nb\n",
        "a\n\nb\n",
        "a\nb",
        " a\nb\n",
        "a\n b\n",
        "\na\n",
        "a\n\n",
        "a \nb \n",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\u{1f600}",
        "ä\nö\n",
        "a\r\nb\n",
        "---\na\n",
        "%a\nb\n",
        "|\n>\n",
        "@a",
        "&a",
        "*a",
        "!a",
        "[a]",
        "{a}",
        "a,b",
        "<<",
        "=",
        "2001-01-01",
        "1:20",
        ".5",
        "+1",
        "_1",
        "a\u{0}b",
        "SCMP_ACT_ALLOW",
    ];
    let list = Node::List(texts.iter().map(|&text| Node::from(text)).collect());
    let map =
        Node::map(texts.iter().filter(|text| **text != "<<").map(|&text| (text, Node::from(text))));
    let nested =
        Node::List(vec![list.clone(), Node::map([("a", Node::map([("b", list.clone())]))])]);
    for node in [list, map, nested] {
        let text = node.to_yaml();
        let document = yaml::documents(&text)
            .next()
            .unwrap()
            .unwrap_or_else(|error| panic!("{error} at {:?}\n{text}", error.labels));
        same(&node, document.root());
        python_agrees(&node, &text);
    }
}

fn same(node: &Node, value: Value<'_>) {
    match node {
        Node::Text(text) => {
            assert_eq!((value.kind(), value.content()), (Kind::String, text.as_str()));
        }
        Node::Number(number) => assert_eq!(value.as_u64(), Some(*number)),
        Node::Bool(is) => assert_eq!(value.as_bool(), Some(*is)),
        Node::List(items) => {
            assert_eq!(value.elements().count(), items.len());
            items.iter().zip(value.elements()).for_each(|(node, value)| same(node, value));
        }
        Node::Map(members) => {
            assert_eq!(value.members().count(), members.len());
            for ((key, node), (read, value)) in members.iter().zip(value.members()) {
                assert_eq!((read.kind(), read.content()), (Kind::String, key.as_str()));
                same(node, value);
            }
        }
    }
}

/// A second reader, where it is there.
fn python_agrees(node: &Node, text: &str) {
    const READ: &str =
        "import sys, json, yaml\njson.dump(yaml.safe_load(sys.stdin.buffer.read()), sys.stdout)";
    let python = Command::new("python3").args(["-c", "import yaml"]).output();
    if !python.is_ok_and(|output| output.status.success()) {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: YAML read by Python: there is no python3 with yaml"
        );
        return;
    }
    let mut child = Command::new("python3")
        .args(["-c", READ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{text}");
    let json = String::from_utf8(output.stdout).unwrap();
    let document = yaml::documents(&json).next().unwrap().unwrap();
    same(node, document.root());
}
