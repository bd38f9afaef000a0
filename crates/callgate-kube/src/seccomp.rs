//! The field `seccompProfile`: what it says, and what the API server would refuse of it.
//!
//! The rules are those of `ValidateSeccompProfileField` in Kubernetes'
//! `pkg/apis/core/validation/validation.go`; that an empty path is refused comes from the kubelet
//! (`pkg/kubelet/kuberuntime/helpers.go`).

use callgate_diagnostic::{Diagnostic, Span};
use callgate_policy::suggest::closest;

use crate::{
    field::{field, mapping, short},
    findings::Findings,
    yaml::{Kind, Value},
};

/// What a `seccompProfile` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stated<'d> {
    /// The profile; none where the API server would refuse what is said.
    pub profile: Option<Profile<'d>>,
    /// Where its type stands, or else where it begins.
    pub place: Span,
}

/// A profile, by the words of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "Kubernetes has no other, and each is told apart")]
pub enum Profile<'d> {
    /// No filter at all.
    Unconfined,
    /// The filter that the runtime carries.
    RuntimeDefault,
    /// A file of the node.
    Localhost {
        /// Its path below the kubelet's seccomp root, which never leads out of it.
        path: &'d str,
        /// Where the path stands.
        place: Span,
    },
}

impl Profile<'_> {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Profile::Unconfined => "Unconfined",
            Profile::RuntimeDefault => "RuntimeDefault",
            Profile::Localhost { .. } => "Localhost",
        }
    }

    /// Whether two are the same, wherever they stand.
    pub fn is_same(self, other: Profile<'_>) -> bool {
        match (self, other) {
            (Profile::Localhost { path, .. }, Profile::Localhost { path: other, .. }) => {
                path == other
            }
            (one, other) => one.name() == other.name(),
        }
    }
}

const TYPES: [&str; 3] = ["RuntimeDefault", "Localhost", "Unconfined"];

/// Where the kubelet keeps profiles, unless it is told otherwise.
pub const DEFAULT_ROOT: &str = "/var/lib/kubelet/seccomp";

/// What the `securityContext` of a pod or a container says. `holder` is the pod's spec, or the
/// container.
pub(crate) fn stated<'d>(holder: Value<'d>, found: &mut Findings) -> Option<Stated<'d>> {
    near_miss(holder, "securityContext", found);
    if let Some((key, _)) = holder.member("seccompProfile") {
        found.push(
            Diagnostic::warning(
                "kube-unknown-field",
                "`seccompProfile` stands in the wrong place and is dropped",
            )
            .at(key.span(), "belongs below `securityContext`"),
        );
    }
    let context = mapping(holder, "securityContext", found)?;
    near_miss(context, "seccompProfile", found);
    let (key, value) = context.member("seccompProfile").filter(|(_, value)| !value.is_null())?;
    let place = value.get("type").map_or(key.span(), Value::span);
    let profile = mapping(context, "seccompProfile", found);
    let profile = profile.and_then(|profile| read(profile, key.span(), found));
    Some(Stated { profile, place })
}

fn read<'d>(profile: Value<'d>, place: Span, found: &mut Findings) -> Option<Profile<'d>> {
    for (key, _) in profile.members() {
        if !matches!(key.as_key(), "type" | "localhostProfile") {
            let unknown = format!("`seccompProfile` has no field `{}`", short(key.as_key()));
            let unknown = Diagnostic::warning("kube-unknown-field", unknown);
            found.push(match closest(key.as_key(), ["type", "localhostProfile"]) {
                Some(near) => unknown
                    .at(key.span(), format!("dropped; did you mean `{near}`?"))
                    .replace(key.inner(), near),
                None => unknown.at(key.span(), "dropped"),
            });
        }
    }
    let path = field(profile, "localhostProfile", Kind::String, found);
    let path_was_wrong =
        path.is_none() && profile.get("localhostProfile").is_some_and(|p| !p.is_null());
    let Some(kind) = field(profile, "type", Kind::String, found) else {
        if profile.get("type").is_none_or(Value::is_null) {
            let missing = Diagnostic::error("kube-profile-type", "`seccompProfile` has no `type`");
            found.push(missing.at(place, "what profile?").help(types()));
        }
        return None;
    };
    match (kind.content(), path) {
        ("Localhost", Some(path)) => localhost(path, found),
        ("Localhost", None) if path_was_wrong => None,
        ("Localhost", None) => {
            let missing = "`localhostProfile` is missing, and says which file is meant";
            found.push(
                Diagnostic::error("kube-localhost-profile", missing)
                    .at(kind.span(), "takes a file")
                    .help(format!(
                        "name it relative to {DEFAULT_ROOT}: `localhostProfile: web.json`"
                    )),
            );
            None
        }
        (word @ ("RuntimeDefault" | "Unconfined"), Some(path)) => {
            let message = format!("`localhostProfile` may not stand beside the type {word}");
            found.push(
                Diagnostic::error("kube-localhost-profile", message)
                    .at(path.span(), "only for the type Localhost")
                    .at(kind.span(), "the type")
                    .help("the API server refuses the object; remove one"),
            );
            None
        }
        ("RuntimeDefault", None) => Some(Profile::RuntimeDefault),
        ("Unconfined", None) => Some(Profile::Unconfined),
        (word, _) => {
            let unknown = format!("`{}` is no type of profile", short(word));
            let unknown = Diagnostic::error("kube-profile-type", unknown);
            found.push(match closest(word, TYPES) {
                Some(near) => unknown
                    .at(kind.span(), format!("did you mean `{near}`?"))
                    .replace(kind.inner(), near),
                None => unknown.at(kind.span(), "").help(types()),
            });
            None
        }
    }
}

fn types() -> String {
    format!("the types are {}", TYPES.join(", "))
}

fn localhost<'d>(value: Value<'d>, found: &mut Findings) -> Option<Profile<'d>> {
    let path = value.content();
    let shown = short(path);
    let wrong =
        |message: String| Diagnostic::error("kube-localhost-profile", message).at(value.span(), "");
    let relative = "the path is relative to the kubelet's seccomp root";
    let error = if path.is_empty() {
        wrong("`localhostProfile` is empty, and the kubelet creates no container".to_owned())
            .help(format!("name a file relative to {DEFAULT_ROOT}"))
    } else if path.split('/').any(|part| part == "..") {
        wrong(format!("`localhostProfile` leads out of its folder: `{shown}`"))
            .help(format!("{relative}, {DEFAULT_ROOT}; the API server refuses `..`"))
    } else if path.starts_with('/') {
        let below = path.strip_prefix(DEFAULT_ROOT).map(|rest| rest.trim_start_matches('/'));
        let error = wrong(format!("`localhostProfile` is an absolute path: `{shown}`"));
        match below.filter(|below| !below.is_empty()) {
            Some(below) => {
                error.help(format!("{relative}; write `{below}`")).replace(value.inner(), below)
            }
            None => error.help(format!("{relative}, {DEFAULT_ROOT}")),
        }
    } else {
        return Some(Profile::Localhost { path, place: value.span() });
    };
    found.push(error);
    None
}

/// A key that is nearly the one that counts: Kubernetes drops it.
fn near_miss(object: Value<'_>, name: &str, found: &mut Findings) {
    for (key, _) in object.members() {
        let word = key.as_key();
        if word != name && (word.eq_ignore_ascii_case(name) || closest(word, [name]).is_some()) {
            let message = format!("`{word}` is no field, and what it says is dropped");
            found.push(
                Diagnostic::warning("kube-unknown-field", message)
                    .at(key.span(), format!("did you mean `{name}`?"))
                    .replace(key.inner(), name),
            );
        }
    }
}
