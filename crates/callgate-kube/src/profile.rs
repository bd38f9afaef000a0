//! What a profile in a file becomes to the runtime of a node.

use callgate_diagnostic::{Diagnostic, Severity};
use callgate_policy::Dialect;

use crate::field::short;

/// Who loads the profile on the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the kubelet hands the path to one of two runtimes")]
pub enum Runtime {
    /// containerd decodes the file into the OCI runtime's structure (`contrib/seccomp`), and drops
    /// every key that this does not have.
    #[default]
    Containerd,
    /// CRI-O reads it as Podman does (`containers/common/pkg/seccomp`), conditions included.
    CriO,
}

impl Runtime {
    /// As people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Runtime::Containerd => "containerd",
            Runtime::CriO => "CRI-O",
        }
    }

    /// The language that it reads profiles in.
    pub const fn dialect(self) -> Dialect {
        match self {
            Runtime::Containerd => Dialect::Oci,
            Runtime::CriO => Dialect::Containers,
        }
    }
}

/// A profile below the kubelet's seccomp root, and what its readers and the lints said.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "it is made by whoever read the file")]
pub struct ProfileFile<'p> {
    /// The path that manifests name.
    pub path: &'p str,
    /// The path of the file that was read.
    pub file: &'p str,
    /// Whose eyes it was read with.
    pub runtime: Runtime,
    /// Its text.
    pub text: &'p str,
    /// What was found in it.
    pub said: &'p [&'p Diagnostic],
    /// Whether it has a meaning to the runtime.
    pub is_understood: bool,
}

impl ProfileFile<'_> {
    /// What there is to say to those who name it; each finding still wants its place in the
    /// manifest.
    pub fn findings(&self) -> Vec<Diagnostic> {
        let (runtime, path) = (self.runtime.name(), short(self.path));
        let file = self.file;
        let mut findings = Vec::new();
        let errors = self.of(Severity::Error);
        let mut dropped: Vec<&str> = errors
            .iter()
            .filter(|error| error.id == "dropped-key")
            .filter_map(|error| error.primary())
            .map(|label| label.span.of(self.text))
            .collect();
        dropped.sort_unstable();
        dropped.dedup();
        if !dropped.is_empty() {
            let conditional = dropped.iter().any(|key| matches!(*key, "includes" | "excludes"));
            let always = if conditional { ": entries with conditions always apply" } else { "" };
            let means = format!(
                "{runtime} reads another profile in `{path}` than is written there{always}"
            );
            let keys: Vec<String> = dropped.iter().map(|key| format!("`{key}`")).collect();
            findings.push(
                Diagnostic::error(
                    "kube-dialect",
                    format!("{means}, for it drops {}", keys.join(", ")),
                )
                .help(format!(
                    "`callgate compile {file} --format oci` writes what {runtime} reads"
                )),
            );
        }
        let other = errors.iter().find(|error| error.id != "dropped-key");
        if let Some(other) = other.filter(|_| !self.is_understood) {
            let message = format!("{runtime} refuses or misreads `{path}`: {}", other.message);
            let dialect = self.runtime.dialect().name();
            findings.push(
                Diagnostic::error("kube-profile", message)
                    .help(format!("`callgate check {file} --dialect {dialect}` shows where")),
            );
        }
        if self.is_understood {
            findings.extend(self.linted(&path));
        }
        findings
    }

    fn linted(&self, path: &str) -> Option<Diagnostic> {
        let (errors, warnings) = (self.of(Severity::Error), self.of(Severity::Warning));
        let mut ids: Vec<&str> = errors.iter().chain(&warnings).map(|found| found.id).collect();
        if ids.is_empty() {
            return None;
        }
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        let findings = if count == 1 { "finding" } else { "findings" };
        let message = format!("`{path}` has {count} {findings}: {}", ids.join(", "));
        let severity = if errors.is_empty() { Severity::Warning } else { Severity::Error };
        let dialect = self.runtime.dialect().name();
        let help = format!("`callgate lint {} --dialect {dialect}` shows them", self.file);
        Some(
            match severity {
                Severity::Error => Diagnostic::error("kube-lint", message),
                _ => Diagnostic::warning("kube-lint", message),
            }
            .help(help),
        )
    }

    fn of(&self, severity: Severity) -> Vec<&Diagnostic> {
        self.said.iter().copied().filter(|said| said.severity == severity).collect()
    }
}

/// A profile that is not there, or cannot be read: `why` is what the system says.
pub fn missing_profile(path: &str, file: &str, why: &str) -> Diagnostic {
    let path = short(path);
    let message = format!("the node has no profile `{path}`, so no container is created with it");
    Diagnostic::error("kube-missing-profile", message).help(format!(
        "{file}: {why}. The pod stays in CreateContainerError, and its event names this file"
    ))
}
