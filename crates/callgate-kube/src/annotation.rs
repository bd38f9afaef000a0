//! The annotations that said profiles before there were fields for them.
//!
//! Kubernetes 1.27 ignores them (its changelog, "Support for the alpha seccomp annotations …
//! completely removed"). From 1.19 to 1.26 the API server made fields of them where there were
//! none, and annotations of fields, so that objects of that time have both.

use std::collections::BTreeMap;

use callgate_diagnostic::Diagnostic;

use crate::{
    field::{mapping, short},
    findings::Findings,
    manifest::Workload,
    pod::Said,
    seccomp::{Profile, Stated},
    yaml::Value,
};

const OF_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const OF_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";

pub(crate) fn look(
    workload: &Workload<'_>,
    of_pod: Option<Stated<'_>>,
    said: &[Said<'_>],
    found: &mut Findings,
) {
    let Some(metadata) = workload.metadata else { return };
    let Some(annotations) = mapping(metadata, "annotations", found) else { return };
    let named = said.iter().filter_map(|one| Some((one.container.name?, one)));
    let named: BTreeMap<&str, &Said<'_>> = named.collect();
    for (key, value) in annotations.members() {
        let (what, field) = if key.as_key() == OF_POD {
            ("the pod", of_pod)
        } else if let Some(name) = key.as_key().strip_prefix(OF_CONTAINER) {
            match named.get(name) {
                Some(one) => ("its container", one.own.or(of_pod)),
                None => ("a container that is not there", None),
            }
        } else {
            continue;
        };
        found.push(finding(key, value, what, field));
    }
}

fn finding(key: Value<'_>, value: Value<'_>, what: &str, field: Option<Stated<'_>>) -> Diagnostic {
    let word = value.content();
    let meant = meaning(word);
    let said = match meant {
        Some(Profile::Localhost { path, .. }) => {
            format!("{{ type: Localhost, localhostProfile: {} }}", short(path))
        }
        Some(profile) => format!("{{ type: {} }}", profile.name()),
        None => "{ type: … }".to_owned(),
    };
    match field {
        Some(Stated { profile: Some(profile), place })
            if meant.is_some_and(|meant| meant.is_same(profile)) =>
        {
            Diagnostic::note("kube-annotation", "Kubernetes ignores this annotation since 1.27")
                .at(key.span(), "may be removed")
                .at(place, "says the same")
        }
        Some(Stated { place, .. }) => {
            let message = "the annotation says another profile than the field, which counts";
            Diagnostic::warning("kube-annotation", message)
                .at(key.span(), "ignored since Kubernetes 1.27")
                .at(place, "counts")
                .help("remove the annotation")
        }
        None => {
            let message =
                format!("the profile `{}` of an annotation does not hold {what}", short(word));
            Diagnostic::warning("kube-annotation", message)
                .at(key.span(), "ignored since Kubernetes 1.27")
                .help(format!("in a `securityContext`: `seccompProfile: {said}`"))
        }
    }
}

fn meaning(word: &str) -> Option<Profile<'_>> {
    match word {
        "runtime/default" | "docker/default" => Some(Profile::RuntimeDefault),
        "unconfined" => Some(Profile::Unconfined),
        _ => {
            let path = word.strip_prefix("localhost/")?;
            Some(Profile::Localhost { path, place: Default::default() })
        }
    }
}
