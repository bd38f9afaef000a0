//! Pods and findings for a person.

use callgate_diagnostic::Severity;

use super::look::{Seen, SeenContainer, SeenPod};
use crate::{
    report::{self, printable_name},
    source::plural,
};

pub fn text(seen: &mut Seen) -> String {
    let mut text = String::new();
    for pod in &seen.pods {
        text.push_str(&heading(&seen.name, pod));
        let named: Vec<(String, &SeenContainer)> =
            pod.containers.iter().map(|container| (name(container), container)).collect();
        let width = named.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, container) in named {
            text.push_str(&format!("  {name:width$}  {}\n", profile(container)));
        }
    }
    let findings = seen.findings.in_order();
    if !seen.pods.is_empty() && !findings.is_empty() {
        text.push('\n');
    }
    let findings =
        findings.iter().map(|finding| (finding, vec![("page", super::page(finding.id))]));
    text.push_str(&report::findings(&seen.name, &seen.text, findings));
    text.push_str(&format!("{}: {}\n", printable_name(&seen.name), summary(seen)));
    text
}

/// `web.yaml:3: Deployment prod/web, admitted by Pod Security restricted`
fn heading(file: &str, pod: &SeenPod) -> String {
    let namespace = pod.namespace.as_ref().map_or_else(String::new, |of| format!("{of}/"));
    let name = pod.name.as_deref().unwrap_or("(no name)");
    let object = printable_name(&format!("{} {namespace}{name}", pod.kind));
    let (file, line, level) = (printable_name(file), pod.line, pod.level.name());
    format!("{file}:{line}: {object}; Pod Security as far as seccomp decides: {level}\n")
}

fn name(container: &SeenContainer) -> String {
    let name = container.name.as_deref().map_or("(no name)".to_owned(), printable_name);
    format!("{} {name}", container.role.name())
}

/// The profile, and why that one.
fn profile(container: &SeenContainer) -> String {
    let why = container.why.describe();
    match (container.profile, &container.path) {
        (Some(word), Some(path)) => format!("{word} {}: {why}", printable_name(path)),
        (Some(word), None) => format!("{word}: {why}"),
        (None, _) => "none: the API server refuses it".to_owned(),
    }
}

fn summary(seen: &Seen) -> String {
    let containers = seen.pods.iter().map(|pod| pod.containers.len()).sum();
    let kinds =
        [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Note, "note")];
    let mut counts = vec![plural(containers, "container")];
    for (severity, noun) in kinds {
        let count = seen.findings.count(severity);
        if count > 0 {
            counts.push(plural(count, noun));
        }
    }
    if counts.len() == 1 {
        counts.push("clean".to_owned());
    }
    let hidden = match seen.findings.hidden() {
        0 => String::new(),
        count => format!("; {count} of them are not shown"),
    };
    counts.join(", ") + &hidden
}
