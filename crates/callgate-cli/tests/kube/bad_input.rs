//! Manifests that are none, hide something, or never end.

use super::{CLEAN, SILENT, check};
use crate::common::{Scratch, skip};

/// The text is told at its place, nothing behind it is looked at, and the status says so.
#[track_caller]
fn refused(text: &[u8], said: &str) {
    let scratch = Scratch::new();
    scratch.file("m.yaml", text);
    let outcome = check(&scratch, &["m.yaml"]);
    outcome.is_like(2, &format!("…{said}…"), "error: m.yaml: it was not read to its end\n");
    let json = scratch.callgate(&["kube", "check", "--json", "m.yaml"]).run();
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON all the same");
    assert_eq!(json["files"][0]["whole"], false);
}

#[test]
fn what_is_no_yaml_has_its_place() {
    refused(b"kind: Pod\nspec:\n\tcontainers: []\n", "error[yaml-syntax]: …m.yaml:3:…tabs");
    refused(
        b"kind: Pod\nkind: Job\n",
        "error[yaml-duplicate-key]: the key `kind` stands twice\n…m.yaml:2:1",
    );
    refused(b"kind: *pod\n", "error[yaml-alias]: …m.yaml:1:7");
    refused(b"kind: &a [*a]\n", "error[yaml-alias]: …in itself");
    refused(
        b"kind: Pod\nname: caf\xe9\n",
        "error[yaml-not-utf8]: byte 19 is not UTF-8\n…m.yaml:2:10",
    );
    refused(b"kind: Pod\0\n", "error[yaml-syntax]: …U+0000…m.yaml:1:10");
    refused(b"{\"kind\": \"Pod\",\n\"a\": ]\n", "error[yaml-syntax]: …m.yaml:2:");
    refused(&b"[".repeat(100_000), "error[yaml-depth]: …");
    let both = format!("{SILENT}---\na: [\n---\n{CLEAN}");
    refused(
        both.as_bytes(),
        "Pod silent; …kube-unconfined…yaml-syntax…1 container, 1 error, 1 warning\n",
    );
}

#[test]
fn aliases_that_multiply_are_refused_at_once() {
    let mut bomb =
        "apiVersion: v1\nkind: List\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let below = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", [below.as_str(); 10].join(", "));
    }
    bomb += "items: *a29\n";
    refused(
        bomb.as_bytes(),
        "error[yaml-alias]: the aliases of a document stand for more than 1000000 values\n…m.yaml:8:",
    );
    // Lists of pods in lists, and pods that are merged.
    let mut pods =
        format!("a: &a\n{}\n", SILENT.replace("\n", "\n  ").replace("apiVersion", "  apiVersion"));
    pods +=
        "b: &b { apiVersion: v1, kind: List, items: [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a] }\n";
    for level in 0..10 {
        let (name, below) = (char::from(b'c' + level), char::from(b'b' + level));
        let items = [format!("*{below}"), format!("*{below}")].join(", ");
        pods += &format!("{name}: &{name} {{ apiVersion: v1, kind: List, items: [{items}] }}\n");
    }
    pods += "apiVersion: v1\nkind: List\nitems: [*l]\n";
    let scratch = Scratch::new();
    scratch.file("m.yaml", &pods);
    // Ten thousand pods of one place have one finding.
    let outcome = check(&scratch, &["m.yaml"]);
    let end = "…\nm.yaml: 10240 containers, 1 warning\n";
    outcome.is_like(1, end, "");
}

/// Line ends of Windows change nothing but the length.
#[test]
fn line_ends_of_windows_are_fine() {
    let scratch = Scratch::new();
    scratch.file("m.yaml", format!("\u{feff}{}", SILENT.replace('\n', "\r\n")));
    check(&scratch, &["m.yaml"]).is_like(1, "…--> m.yaml:4:30\n…1 warning\n", "");
}

#[test]
fn fifty_megabytes_of_manifests_are_looked_at() {
    const SIZE: usize = 50_000_000;
    let scratch = Scratch::new();
    let object = r#"{ "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": { "name": "web",
  "namespace": "prod", "labels": { "app": "web", "tier": "front", "release": "stable" } },
  "spec": { "selector": { "matchLabels": { "app": "web" } }, "template": { "metadata": { "labels":
  { "app": "web" } }, "spec": { "containers": [{ "name": "nginx", "image": "nginx:1.25", "env":
  [{ "name": "WHAT", "value": "is said to it, at some length" }] }] } } } }"#;
    let count = SIZE / object.len();
    let items = vec![object; count].join(",\n");
    scratch.file(
        "m.json",
        format!("{{ \"kind\": \"List\", \"apiVersion\": \"v1\", \"items\": [\n{items}\n] }}"),
    );
    // Of a hundred thousand findings a hundred are shown.
    let end = format!(
        "…m.json: {count} containers, {count} warnings; {} of them are not shown\n",
        count - 100
    );
    let outcome = check(&scratch, &["m.json"]);
    outcome.is_like(1, &end, "");
    assert_eq!(outcome.stdout.matches("warning[kube-unconfined]").count(), 100);
    // YAML takes ten times as long, so less of it.
    let documents = vec![CLEAN; SIZE / 10 / CLEAN.len()].join("---\n");
    scratch.file("m.yaml", documents);
    check(&scratch, &["m.yaml"]).is_like(0, "…containers, clean\n", "");
    scratch.file("m.yaml", "#".repeat(65 << 20));
    check(&scratch, &["m.yaml"]).is(2, "", "error: m.yaml: larger than 64 MiB\n");
}

#[test]
fn a_profile_that_never_ends_is_not_waited_for() {
    if crate::common::find("mkfifo").is_none() {
        return skip("no mkfifo: a pipe in the place of a profile is not tested");
    }
    let scratch = Scratch::new();
    scratch.command("mkfifo").arg("pipe.json").run().is(0, "", "");
    let named = "{ type: Localhost, localhostProfile: pipe.json }";
    scratch.file("m.yaml", CLEAN.replace("{ type: RuntimeDefault }", named));
    check(&scratch, &["m.yaml", "--root", "."]).is_like(
        1,
        "…kube-missing-profile…it is no file…",
        "",
    );
}
