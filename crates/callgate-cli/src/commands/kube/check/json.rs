//! Pods and findings for programs.

use schemars::JsonSchema;
use serde::Serialize;

use super::look::{Seen, SeenContainer, SeenPod};
use crate::report::{JsonDiagnostic, json_diagnostics};

#[derive(Serialize, JsonSchema)]
pub struct Report<'a> {
    files: Vec<File<'a>>,
}

#[derive(Serialize, JsonSchema)]
struct File<'a> {
    source: &'a str,
    /// Whether it was read to its end.
    whole: bool,
    pods: Vec<Pod<'a>>,
    /// In the order of the text.
    findings: Vec<Finding<'a>>,
    /// Findings that were too many to show.
    #[serde(skip_serializing_if = "is_none")]
    not_shown: usize,
}

/// An object that makes pods.
#[derive(Serialize, JsonSchema)]
struct Pod<'a> {
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    line: usize,
    /// The strictest level that admits it, as far as seccomp decides: `privileged`, `baseline` or
    /// `restricted`.
    pod_security: &'static str,
    containers: Vec<Container<'a>>,
}

#[derive(Serialize, JsonSchema)]
struct Container<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    /// `container`, `init container` or `ephemeral container`.
    role: &'static str,
    line: usize,
    /// `Unconfined`, `RuntimeDefault` or `Localhost`; none where the API server refuses what is
    /// said.
    profile: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    localhost_profile: Option<&'a str>,
    /// `container`, `pod`, `node-default`, `nothing-said`, `privileged` or `windows`.
    why: &'static str,
}

#[derive(Serialize, JsonSchema)]
struct Finding<'a> {
    #[serde(flatten)]
    diagnostic: JsonDiagnostic<'a>,
    /// Its page in the repository.
    page: String,
}

pub fn report(all: &mut [Seen]) -> Report<'_> {
    Report { files: all.iter_mut().map(file).collect() }
}

fn file(seen: &mut Seen) -> File<'_> {
    let not_shown = seen.findings.hidden();
    let findings = seen.findings.in_order();
    let diagnostics = json_diagnostics(&seen.text, findings);
    let findings = diagnostics
        .into_iter()
        .zip(findings)
        .map(|(diagnostic, finding)| Finding { diagnostic, page: super::page(finding.id) });
    File {
        source: &seen.name,
        whole: seen.is_whole,
        pods: seen.pods.iter().map(pod).collect(),
        findings: findings.collect(),
        not_shown,
    }
}

fn pod(pod: &SeenPod) -> Pod<'_> {
    Pod {
        kind: &pod.kind,
        name: pod.name.as_deref(),
        namespace: pod.namespace.as_deref(),
        line: pod.line,
        pod_security: pod.level.name(),
        containers: pod.containers.iter().map(container).collect(),
    }
}

fn container(container: &SeenContainer) -> Container<'_> {
    Container {
        name: container.name.as_deref(),
        role: container.role.name(),
        line: container.line,
        profile: container.profile,
        localhost_profile: container.path.as_deref(),
        why: container.why.word(),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_none(count: &usize) -> bool {
    *count == 0
}
