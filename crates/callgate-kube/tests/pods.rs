//! Which profile holds each container, and what is found, for each manifest of tests/pods.
//!
//! Each begins with what is expected of it, in comments: `# options: …` (`seccomp-default`,
//! `baseline`, `restricted`), a line for each object that makes pods, below it one for each
//! container, and one for each finding with its line and the text at its place.

use std::{fs, path::Path};

use callgate_diagnostic::Diagnostic;
use callgate_kube::{Container, Expected, Findings, Level, Profile, look, workloads, yaml};

fn expected_of(header: &str) -> Expected {
    let mut expected = Expected::default();
    let options = header.lines().next().and_then(|line| line.strip_prefix("options:"));
    for option in options.unwrap_or("").split_whitespace() {
        match option {
            "seccomp-default" => expected.seccomp_default = true,
            "baseline" => expected.pod_security = Some(Level::Baseline),
            "restricted" => expected.pod_security = Some(Level::Restricted),
            other => panic!("no option {other}"),
        }
    }
    expected
}

fn line_of(container: &Container<'_>) -> String {
    let profile = match container.profile {
        Some(Profile::Localhost { path, .. }) => format!("Localhost {path}"),
        Some(profile) => profile.name().to_owned(),
        None => "refused".to_owned(),
    };
    let name = container.name.unwrap_or("(no name)");
    format!("  {} {name}: {profile} ({})\n", container.role.name(), container.why.word())
}

fn line_of_finding(text: &str, finding: &Diagnostic) -> String {
    let place = finding.primary().expect("a finding has a place").span;
    let (line, _) = place.line_and_column(text);
    let at = place.of(text).lines().next().unwrap_or("");
    let edits: String =
        finding.edits.iter().map(|edit| format!(" -> {}", edit.replacement)).collect();
    format!("{}[{}] {line}: {at}{edits}\n", finding.severity, finding.id)
}

fn seen(text: &str, expected: Expected) -> String {
    let (mut seen, mut found) = (String::new(), Findings::default());
    for document in yaml::documents(text) {
        let document = match document {
            Ok(document) => document,
            Err(error) => {
                found.push(error);
                break;
            }
        };
        for workload in workloads(document.root(), &mut found) {
            let pod = look(&workload, expected, &mut found);
            let namespace = workload.namespace.map_or_else(String::new, |of| format!("{of}/"));
            let name = workload.name.unwrap_or("(no name)");
            seen += &format!("{} {namespace}{name}: {}\n", workload.kind, pod.level.name());
            seen.extend(pod.containers.iter().map(line_of));
        }
    }
    seen.extend(found.in_order().iter().map(|finding| line_of_finding(text, finding)));
    seen
}

#[test]
fn each_manifest_is_seen_as_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pods");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("the manifests are there")
        .map(|entry| entry.expect("it is readable").path())
        .collect();
    paths.sort();
    assert!(paths.len() > 10, "the manifests are found: {paths:?}");
    let mut wrong = String::new();
    for path in paths {
        let text = fs::read_to_string(&path).expect("a manifest is text");
        let header: String = text
            .lines()
            .map_while(|line| line.strip_prefix('#'))
            .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
            .collect();
        let body = header
            .strip_prefix("options:")
            .map_or(header.as_str(), |rest| rest.split_once('\n').map_or("", |(_, body)| body));
        let seen = seen(&text, expected_of(&header));
        if seen != body {
            wrong += &format!("{}:\n{seen}\nand not\n{body}\n", path.display());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// What aliases stand for is looked at as if it were written out, and found once at its anchor.
#[test]
fn aliases_are_looked_at() {
    let text = "
apiVersion: v1
kind: List
items:
- &pod
  apiVersion: v1
  kind: Pod
  spec: { containers: [{ name: web, securityContext: { privileged: 'no' } }] }
- *pod
- { <<: *pod, kind: PodTemplate }
";
    let seen = seen(text, Expected::default());
    assert_eq!(seen.matches("Pod (no name): baseline").count(), 2, "{seen}");
    assert!(seen.contains("error[kube-missing-field] 10: "), "{seen}");
    assert_eq!(seen.matches("error[kube-type] 8: 'no'").count(), 1, "{seen}");
}
