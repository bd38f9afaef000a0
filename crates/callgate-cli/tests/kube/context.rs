//! Live objects, through a kubectl that the tests write.

use std::{fs, os::unix::fs::PermissionsExt};

use super::{CLEAN, SILENT};
use crate::common::{Outcome, Scratch};

fn with_kubectl(script: &str) -> Scratch {
    let scratch = Scratch::new();
    fs::create_dir(scratch.join("bin")).expect("it is ours");
    scratch.file("bin/kubectl", format!("#!/bin/sh\n{script}\n"));
    let mode = PermissionsExt::from_mode(0o755);
    fs::set_permissions(scratch.join("bin/kubectl"), mode).expect("it is ours");
    scratch
}

fn check(scratch: &Scratch, args: &[&str]) -> Outcome {
    let path = format!("{}:/usr/bin:/bin", scratch.join("bin").display());
    scratch.callgate(&["kube", "check"]).args(args).env("PATH", path).run()
}

#[test]
fn the_objects_of_a_cluster_are_looked_at() {
    let scratch = with_kubectl("echo \"$@\" > asked; cat objects.json");
    let list = r#"{ "apiVersion": "v1", "kind": "List", "items": [
  { "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "prod" },
    "spec": { "template": { "spec": { "containers": [{ "name": "nginx" }] } } } } ] }"#;
    scratch.file("objects.json", list);
    let found = "cluster my prod:2: Deployment prod/web; …: baseline\n…kube-unconfined…\
                 --> cluster my prod:3:…cluster my prod: 1 container, 1 warning\n";
    check(&scratch, &["--context", "my prod"]).is_like(1, found, "");
    let asked = String::from_utf8(scratch.read("asked")).expect("it is text");
    let (kinds, rest) = asked
        .split_once(' ')
        .map_or(("", ""), |(_, rest)| rest.split_once(' ').unwrap_or((rest, "")));
    assert_eq!(rest, "--all-namespaces --output=json --context=my prod\n");
    for kind in [
        "pods",
        "deployments.apps",
        "statefulsets.apps",
        "daemonsets.apps",
        "jobs.batch",
        "cronjobs.batch",
    ] {
        assert!(kinds.split(',').any(|asked| asked == kind), "{kinds}");
    }
}

#[test]
fn a_kubectl_that_fails_is_an_error() {
    let scratch = with_kubectl("echo 'no such context' >&2; echo '{}'; exit 3");
    check(&scratch, &["--context", "none"]).is_like(
        2,
        "",
        "error: kubectl get --context=none: exit status: 3\n…no such context\n",
    );
    // What it printed is no object.
    let scratch = with_kubectl("echo 'Unable to connect'");
    check(&scratch, &["--context", "c"]).is_like(1, "…error[kube-kind]: this is no object…", "");
    let scratch = with_kubectl("exec yes");
    check(&scratch, &["--context", "c"]).is_like(2, "", "error: kubectl get: larger than 64 MiB\n");
    // There is none.
    let scratch = Scratch::new();
    let missing =
        scratch.callgate(&["kube", "check", "--context", "c"]).env("PATH", "/nowhere").run();
    missing.is(
        2,
        "",
        "error: kubectl is not on the PATH; --context reads the cluster through it\n",
    );
}

#[test]
fn a_cluster_and_files_are_two_questions() {
    let scratch = with_kubectl("exit 1");
    scratch.file("a.yaml", format!("{CLEAN}---\n{SILENT}"));
    check(&scratch, &["a.yaml", "--context", "c"]).is_like(2, "", "error: …cannot be used with…");
}
