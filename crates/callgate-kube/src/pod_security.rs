//! Pod Security levels, as far as seccomp decides them.
//!
//! The checks `seccompProfile_baseline` and `seccompProfile_restricted` of
//! `k8s.io/pod-security-admission/policy`: baseline admits all but what is said to be Unconfined;
//! restricted wants RuntimeDefault or Localhost for the pod, or for every container, and none that
//! says otherwise. Since 1.25 restricted asks nothing of pods for Windows.

use callgate_diagnostic::{Diagnostic, Span};

use crate::{
    findings::Findings,
    manifest::Workload,
    pod::Said,
    seccomp::{Profile, Stated},
};

/// A Pod Security level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "Kubernetes has three")]
pub enum Level {
    /// Everything is admitted.
    Privileged,
    /// What is known to raise privileges is not.
    Baseline,
    /// Only hardened pods are.
    Restricted,
}

impl Level {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        }
    }
}

/// The strictest level that admits a pod; a finding where that is not `required`.
pub(crate) fn look(
    workload: &Workload<'_>,
    of_pod: Option<Stated<'_>>,
    said: &[Said<'_>],
    windows: bool,
    required: Option<Level>,
    found: &mut Findings,
) -> Level {
    let forbids = |stated: &Stated<'_>| {
        !matches!(stated.profile, Some(Profile::RuntimeDefault | Profile::Localhost { .. }))
    };
    let all = || of_pod.into_iter().chain(said.iter().filter_map(|one| one.own));
    let explicit: Vec<Span> = all()
        .filter(|stated| stated.profile == Some(Profile::Unconfined))
        .map(|s| s.place)
        .collect();
    let wrong: Vec<Span> = all().filter(|stated| forbids(stated)).map(|s| s.place).collect();
    let silent: Vec<Span> = said
        .iter()
        .filter(|one| of_pod.is_none() && one.own.is_none())
        .map(|one| one.container.place)
        .collect();
    let level = if !explicit.is_empty() {
        Level::Privileged
    } else if windows || (wrong.is_empty() && silent.is_empty()) {
        Level::Restricted
    } else {
        Level::Baseline
    };
    // What the API server refuses anyway needs no second refusal.
    let refused = |required: &Level| match required {
        Level::Privileged => false,
        Level::Baseline => !explicit.is_empty(),
        Level::Restricted => !explicit.is_empty() || (!windows && !silent.is_empty()),
    };
    if let Some(required) = required.filter(refused) {
        let name = required.name();
        let what = match workload.kind {
            "Pod" => "this Pod".to_owned(),
            kind => format!("the pods of this {kind}"),
        };
        let mut finding = Diagnostic::error(
            "kube-pod-security",
            format!("Pod Security `{name}` does not admit {what}"),
        );
        for place in explicit.iter().take(MOST_PLACES) {
            finding = finding.at(*place, format!("forbidden by {name}"));
        }
        if required == Level::Restricted {
            for place in silent.iter().take(MOST_PLACES) {
                finding = finding.at(*place, "has no profile");
            }
            finding = finding.help("give the pod, or each container, RuntimeDefault or Localhost");
        }
        found.push(finding);
    }
    level
}

/// More places help nobody.
const MOST_PLACES: usize = 8;
