//! `callgate kube manifest`.

mod common;

use std::{fs, path::Path};

use common::{Scratch, find, like, tell};

/// Root's machine may be another; what is written must not depend on it.
const MACHINE: [&str; 4] = ["--arch", "x86_64", "--kernel", "6.1"];

fn files(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).expect("it was written") {
        let path = entry.expect("it is readable").path();
        if path.is_dir() {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            names.extend(files(&path).into_iter().map(|below| format!("{name}/{below}")));
        } else {
            names.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    names.sort();
    names
}

#[test]
fn the_profile_is_flat_for_its_nodes_and_called_alike_on_all_of_them() {
    let scratch = Scratch::new();
    let outcome = scratch
        .callgate(&["kube", "manifest", "docker-default", "--name", "base", "--kernel", "6.1"])
        .args(&["--arch", "x86_64", "--arch", "aarch64", "-o", "base"])
        .run();
    outcome.is_like(
        0,
        "",
        "note: docker-default depends on capabilities; …\n\
         base: kubectl apply -f base puts callgate/base.json on the nodes; \
         profiles/base.snippet.yaml is what pods say\n",
    );
    assert_eq!(
        files(&scratch.join("base")),
        [
            "base-amd64.yaml",
            "base-arm64.yaml",
            "profiles/base-amd64.json",
            "profiles/base-arm64.json",
            "profiles/base.snippet.yaml",
        ]
    );
    for (architecture, abi) in [("amd64", "x86_64"), ("arm64", "aarch64")] {
        let profile = format!("base/profiles/base-{architecture}.json");
        scratch.callgate(&["check", &profile, "--for", "containerd", "--arch", abi]).run().is_like(
            0,
            "…: understood, in the oci dialect; no warnings\n…",
            "",
        );
        let same = ["--arch", abi, "--kernel", "6.1"];
        let companions: &[&str] =
            if abi == "x86_64" { &["--arch", "x86", "--arch", "x32"] } else { &["--arch", "arm"] };
        scratch
            .callgate(&["diff", "docker-default", &profile])
            .args(&same)
            .args(companions)
            .run()
            .is(0, "same: the kernel acts alike on every call\n", "");
    }
    let snippet = "securityContext:\n  seccompProfile:\n    type: Localhost\n    \
                   localhostProfile: callgate/base.json\n";
    assert_eq!(scratch.read("base/profiles/base.snippet.yaml"), snippet.as_bytes());
}

#[test]
fn without_a_folder_everything_is_one_stream_and_nothing_is_said() {
    let scratch = Scratch::new();
    let outcome = scratch
        .callgate(&["kube", "manifest", "fine-grained", "--name", "web", "--namespace", "edge"])
        .args(&["--node-selector", "pool=web", "--image", "registry.example/sh:1"])
        .args(&["--root", "/k/seccomp", "--folder", "own"])
        .args(&MACHINE)
        .run();
    outcome.is_like(
        0,
        "# …localhostProfile: own/web.json\n---\napiVersion: v1\nkind: ConfigMap\n…\
         namespace: edge\n…---\napiVersion: apps/v1\nkind: DaemonSet\n…\
         kubernetes.io/arch: amd64\n        pool: web\n…image: \"registry.example/sh:1\"\n…\
         path: /k/seccomp/own\n…",
        "",
    );
}

#[test]
fn cri_o_reads_the_form_of_containers_common() {
    let scratch = Scratch::new();
    let made = |runtime: &str| {
        let outcome = scratch
            .callgate(&["kube", "manifest", "violation", "--name", "no", "--runtime", runtime])
            .args(&MACHINE)
            .args(&["-o", runtime])
            .run();
        outcome.is_like(0, "", "…");
        String::from_utf8(scratch.read(&format!("{runtime}/profiles/no-amd64.json"))).unwrap()
    };
    assert!(!made("containerd").contains("defaultErrno\""));
    assert!(made("cri-o").contains("\"defaultErrno\": \"EPERM\""));
}

#[test]
fn kustomize_makes_the_config_map() {
    let scratch = Scratch::new();
    scratch
        .callgate(&["kube", "manifest", "audit", "--name", "web", "--kustomize", "-o", "web"])
        .args(&MACHINE)
        .run()
        .is_like(0, "", "web: kubectl apply -k web puts …");
    assert!(files(&scratch.join("web")).contains(&"kustomization.yaml".to_owned()));
    if find("kubectl").is_none() {
        tell("skipped: kustomize on what is written for it: there is no kubectl");
        return;
    }
    let outcome = scratch.command("kubectl").args(&["kustomize", "web"]).run();
    outcome.is_like(
        0,
        "apiVersion: v1\ndata:\n  web.json: |\n    {\n      \"defaultAction\": \"SCMP_ACT_LOG\",\n…\
         kind: ConfigMap\n…name: callgate-web-amd64\n  namespace: kube-system\n---\n…kind: DaemonSet\n…",
        "",
    );
}

#[test]
fn a_recording_goes_through_its_profile() {
    let scratch = Scratch::new();
    scratch.file("calls", "openat(AT_FDCWD, \"/etc/hosts\", O_RDONLY) = 3\nexit_group(0) = ?\n");
    let recorded = scratch.callgate(&["record", "-o", "web.rec", "--from-strace", "calls"]).run();
    if recorded.status != 0 {
        panic!("{}", recorded.stderr);
    }
    let outcome = scratch
        .callgate(&["kube", "manifest", "--from", "web.rec", "--name", "web", "-o", "web"])
        .args(&MACHINE)
        .run();
    outcome.is_like(0, "", "profile: … recorded + … that runc or crun needs after loading…");
    let profile = scratch.read("web/profiles/web-amd64.json");
    assert!(like(&String::from_utf8(profile).unwrap(), "…\"openat\"…"));
}

#[test]
fn what_kubernetes_or_the_profile_forbids_writes_nothing() {
    let scratch = Scratch::new();
    let refused = |args: &[&str], says: &str| {
        let all = [&["kube", "manifest"], args, &["-o", "out"]].concat();
        scratch.callgate(&all).args(&MACHINE).run().is_like(2, "", says);
        assert!(!scratch.join("out").exists(), "{args:?}");
    };
    refused(
        &["audit", "--name", "Web"],
        "error: the name of the profile: …`Web`…; nothing was written\n",
    );
    refused(&["audit", "--name", "a", "--folder", "../b"], "error: the folder: …");
    refused(&["audit", "--name", "a", "--root", "b"], "error: the kubelet's root …");
    refused(&["audit", "--name", "a", "--node-selector", "b"], "error: …expected KEY=VALUE…");
    refused(&["audit", "--name", "a", "--arch", "x86_64"], "error: x86_64 is named twice; …");
    refused(
        &["audit", "--name", "a", "--arch", "x32"],
        "error: x32 is not the architecture of a node; …",
    );
    refused(&["audit", "--name", "a", "--from", "b"], "error: …cannot be used with…");
    refused(&["--name", "a"], "error: …required…");
    scratch.file("bad.json", "{ \"defaultAction\": \"SCMP_ACT_ERNO\" }");
    refused(
        &["bad.json", "--name", "a"],
        "error[unknown-action]: …bad.json: 1 error; nothing was written\n",
    );
    // A mistake is told once, however many architectures there are.
    let text = "{ \"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [\
                { \"names\": [\"mkidr\"], \"action\": \"SCMP_ACT_ALLOW\" }] }";
    scratch.file("typo.json", text);
    let outcome = scratch
        .callgate(&["kube", "manifest", "typo.json", "--name", "a", "--arch", "aarch64"])
        .args(&MACHINE)
        .run();
    assert_eq!((outcome.status, outcome.stderr.matches("unknown-syscall").count()), (0, 1));
}

#[test]
fn a_node_gets_the_architectures_that_it_runs() {
    let scratch = Scratch::new();
    scratch.file(
        "p.json",
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
             "syscalls": [{ "names": ["read"], "action": "SCMP_ACT_ALLOW" }] }"#,
    );
    scratch
        .callgate(&["kube", "manifest", "p.json", "--name", "p", "-o", "p", "--arch", "aarch64"])
        .args(&MACHINE)
        .run()
        .is_like(0, "", "p: …");
    for (architecture, list) in [
        ("amd64", "\"architectures\": [\"SCMP_ARCH_X86_64\", \"SCMP_ARCH_X86\"]"),
        ("arm64", "\"architectures\": [\"SCMP_ARCH_AARCH64\"]"),
    ] {
        let profile = scratch.read(&format!("p/profiles/p-{architecture}.json"));
        assert!(String::from_utf8(profile).unwrap().contains(list), "{architecture}");
    }
}

#[test]
fn a_folder_that_is_there_gets_the_files_and_keeps_the_others() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.join("web")).unwrap();
    scratch.file("web/kept", "x");
    let write = || {
        scratch
            .callgate(&["kube", "manifest", "audit", "--name", "web", "-o", "web"])
            .args(&MACHINE)
            .run()
            .is_like(0, "", "web: …");
    };
    write();
    write();
    assert_eq!(
        files(&scratch.join("web")),
        ["kept", "profiles/web-amd64.json", "profiles/web.snippet.yaml", "web-amd64.yaml"]
    );
    scratch.file("file", "x");
    scratch
        .callgate(&["kube", "manifest", "audit", "--name", "web", "-o", "file/below"])
        .args(&MACHINE)
        .run()
        .is_like(2, "", "error: …Not a directory…");
}

#[test]
fn what_is_too_large_for_an_annotation_is_said_and_for_a_config_map_refused() {
    let scratch = Scratch::new();
    let profile = |entries: usize| {
        let entry = format!(
            "{{ \"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\", \"comment\": \"{}\" }}",
            "x".repeat(1000)
        );
        let list = vec![entry; entries].join(",");
        format!("{{ \"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{list}] }}")
    };
    let run = |entries: usize| {
        scratch.file("p.json", profile(entries));
        scratch.callgate(&["kube", "manifest", "p.json", "--name", "p"]).args(&MACHINE).run()
    };
    run(300).is_like(0, "#…", "note: …`kubectl apply --server-side -f -`\n");
    run(1000).is_like(
        2,
        "",
        "error: the profile for x86_64 has … bytes, and a ConfigMap holds 1048576 at most; …",
    );
    assert_eq!(run(10).stderr, "");
}

#[test]
fn the_daemon_set_passes_its_own_check_and_a_pod_finds_the_profile() {
    let scratch = Scratch::new();
    let stream = scratch
        .callgate(&["kube", "manifest", "fine-grained", "--name", "web"])
        .args(&MACHINE)
        .run()
        .stdout;
    let check = ["kube", "check", "-", "--pod-security", "restricted"];
    scratch.callgate(&check).input(stream).run().is_like(0, "…RuntimeDefault…", "");
    // What its container would do on a node.
    scratch
        .callgate(&["kube", "manifest", "fine-grained", "--name", "web", "-o", "web"])
        .args(&MACHINE)
        .run();
    fs::create_dir_all(scratch.join("root/callgate")).unwrap();
    fs::copy(scratch.join("web/profiles/web-amd64.json"), scratch.join("root/callgate/web.json"))
        .unwrap();
    let snippet = String::from_utf8(scratch.read("web/profiles/web.snippet.yaml")).unwrap();
    let indented: String = snippet.lines().map(|line| format!("  {line}\n")).collect();
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec:\n{indented}  \
         containers: [{{name: nginx, image: nginx}}]\n"
    );
    scratch.file("pod.yaml", &pod);
    let check = ["kube", "check", "pod.yaml", "--root", "root", "--arch", "x86_64"];
    scratch.callgate(&check).run().is_like(0, "…callgate/web.json…", "");
    scratch.file("pod.yaml", pod.replace("web.json", "wbe.json"));
    scratch.callgate(&check).run().is_like(1, "…kube-missing-profile…", "");
}

/// The machine's own tools must be able to read what they get.
#[test]
fn python_reads_the_stream_as_the_objects_it_is() {
    if find("python3").is_none() {
        tell("skipped: the stream in a second reader: there is no python3");
        return;
    }
    let scratch = Scratch::new();
    let outcome = scratch
        .callgate(&["kube", "manifest", "docker-default", "--name", "web"])
        .args(&MACHINE)
        .run();
    scratch.file("stream.yaml", &outcome.stdout);
    let script = "import json, sys\ntry:\n import yaml\nexcept ImportError:\n sys.exit(9)\n\
                  m, d = yaml.safe_load_all(open('stream.yaml'))\n\
                  p = json.loads(m['data']['web.json'])\n\
                  c = d['spec']['template']['spec']['containers'][0]\n\
                  print(p['defaultAction'], len(p['syscalls']) > 9, c['command'][:2], c['command'][4:])\n";
    let read = scratch.command("python3").args(&["-c", script]).run();
    if read.status == 9 {
        tell("skipped: the stream in a second reader: python3 has no yaml");
        return;
    }
    read.is(0, "SCMP_ACT_ERRNO True ['sh', '-c'] ['/profile/web.json', '/seccomp/web.json']\n", "");
}
