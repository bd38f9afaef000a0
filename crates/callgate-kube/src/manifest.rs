//! Which pods a manifest makes: the pod itself, or the template that a controller makes pods of.

use callgate_diagnostic::{Diagnostic, Span};
use callgate_policy::suggest::closest;

use crate::{
    field::{mapping, sequence, short, string},
    findings::Findings,
    yaml::{Kind, Value},
};

/// An object with a pod in it.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Workload<'d> {
    /// Its kind, as `Deployment`.
    pub kind: &'d str,
    /// Its name; objects may be without one until they are created (`generateName`).
    pub name: Option<&'d str>,
    /// Its namespace, where the manifest says it.
    pub namespace: Option<&'d str>,
    /// Where it begins.
    pub place: Span,
    /// The `metadata` of the pod or its template.
    pub metadata: Option<Value<'d>>,
    /// The `spec` of the pod or its template.
    pub spec: Value<'d>,
}

/// The kinds that hold a pod, and the way to its template.
const WITH_PODS: [(&str, &[&str]); 9] = [
    ("Pod", &[]),
    ("PodTemplate", &["template"]),
    ("ReplicationController", &["spec", "template"]),
    ("ReplicaSet", &["spec", "template"]),
    ("Deployment", &["spec", "template"]),
    ("StatefulSet", &["spec", "template"]),
    ("DaemonSet", &["spec", "template"]),
    ("Job", &["spec", "template"]),
    ("CronJob", &["spec", "jobTemplate", "spec", "template"]),
];

/// The groups that those kinds belong to, and their others (Kubernetes 1.34).
const WITHOUT_PODS: [(&str, &str); 4] = [
    (
        "",
        "Binding ComponentStatus ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume PersistentVolumeClaim ResourceQuota Secret Service ServiceAccount",
    ),
    ("apps", "ControllerRevision"),
    ("batch", ""),
    ("extensions", "Ingress NetworkPolicy PodSecurityPolicy Scale"),
];

/// The pods of a document, lists taken apart. What is wrong is added to `found`.
///
/// Objects of other groups are looked at where they have a pod template as controllers do, below
/// `spec.template.spec.containers`.
pub fn workloads<'d>(root: Value<'d>, found: &mut Findings) -> Vec<Workload<'d>> {
    let mut workloads = Vec::new();
    let mut rest = vec![(root, None)];
    while let Some((object, listed)) = rest.pop() {
        if object.is_null() {
            continue;
        }
        if object.kind() != Kind::Mapping {
            found.push(
                Diagnostic::error("kube-kind", "this is no object of Kubernetes")
                    .at(
                        object.span(),
                        format!("{} where an object must stand", object.kind().describe()),
                    )
                    .help("a manifest is a mapping with `apiVersion` and `kind`"),
            );
            continue;
        }
        let kind = string(object, "kind", found).or(listed);
        let Some(kind) = kind else {
            if object.get("kind").is_none_or(Value::is_null) {
                found.push(
                    Diagnostic::error("kube-kind", "the object has no `kind`")
                        .at(start_of(object), "of what kind is this?")
                        .help("a manifest is a mapping with `apiVersion` and `kind`"),
                );
            }
            continue;
        };
        if let Some(of) = kind.strip_suffix("List")
            && let Some(items) = sequence(object, "items", found)
        {
            let of = Some(of).filter(|of| !of.is_empty());
            let items: Vec<_> = items.elements().map(|item| (item, of)).collect();
            // The last is taken first.
            rest.extend(items.into_iter().rev());
            continue;
        }
        if listed.is_none() && object.get("apiVersion").is_none_or(Value::is_null) {
            found.push(
                Diagnostic::error("kube-kind", "the object has no `apiVersion`")
                    .at(start_of(object), format!("a {} of which group?", short(kind)))
                    .help("as in `apiVersion: apps/v1`"),
            );
        }
        workloads.extend(workload(object, kind, found));
    }
    workloads
}

fn workload<'d>(object: Value<'d>, kind: &'d str, found: &mut Findings) -> Option<Workload<'d>> {
    let version = string(object, "apiVersion", found).unwrap_or("");
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let own = WITHOUT_PODS.iter().find(|(own, _)| *own == group);
    let known = WITH_PODS.iter().find(|(known, _)| *known == kind).filter(|_| own.is_some());
    let template = match (known, own) {
        (Some((_, path)), _) => {
            let mut template = object;
            for step in *path {
                template = inner(template, step, found)?;
            }
            template
        }
        (None, Some((_, others))) => {
            if !others.split(' ').any(|other| other == kind) && !kind.ends_with("List") {
                found.push(unknown_kind(object, kind, group));
            }
            return None;
        }
        // Nobody can know the fields of all custom resources.
        (None, None) => {
            let template = object.get("spec")?.get("template")?;
            template.get("spec")?.get("containers").filter(|list| list.kind() == Kind::Sequence)?;
            template
        }
    };
    let spec = inner(template, "spec", found)?;
    let metadata = mapping(object, "metadata", found);
    let of_metadata = |name: &str| metadata?.get(name)?.as_str();
    Some(Workload {
        kind,
        name: of_metadata("name").or_else(|| of_metadata("generateName")),
        namespace: of_metadata("namespace"),
        place: start_of(object),
        metadata: mapping(template, "metadata", &mut Findings::default()),
        spec,
    })
}

/// A mapping that must be there.
fn inner<'d>(object: Value<'d>, name: &str, found: &mut Findings) -> Option<Value<'d>> {
    let inner = mapping(object, name, found);
    if object.get(name).is_none_or(Value::is_null) {
        found.push(
            Diagnostic::error("kube-missing-field", format!("`{name}` is missing"))
                .at(start_of(object), "in this")
                .help("the API server refuses the object"),
        );
    }
    inner
}

fn unknown_kind(object: Value<'_>, kind: &str, group: &str) -> Diagnostic {
    let known = WITH_PODS.iter().map(|(kind, _)| *kind);
    let place = object.get("kind").map_or(start_of(object), Value::inner);
    let of = if group.is_empty() { "the core group" } else { group };
    let unknown = Diagnostic::warning(
        "kube-kind",
        format!("{of} has no kind `{}`; it is not looked at", short(kind)),
    );
    match closest(kind, known) {
        Some(near) if near != kind => {
            unknown.at(place, format!("did you mean `{near}`?")).replace(place, near)
        }
        _ => unknown.at(place, "").help("custom resources name their group in `apiVersion`"),
    }
}

/// The first key of an object, or else all of it: the whole would be pages.
pub(crate) fn start_of(object: Value<'_>) -> Span {
    let span = object.span();
    object.first_key().map_or(Span::new(span.start, span.start), |key| key.span())
}
