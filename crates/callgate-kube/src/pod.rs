//! Which profile holds each container of a pod, and why.
//!
//! As the kubelet decides it (`pkg/kubelet/kuberuntime/helpers.go`): what a container says of
//! itself counts, then what the pod says, then the node's default. A privileged container runs
//! without a filter whatever is said (containerd: `generateSeccompSpecOpts`; CRI-O alike), and
//! Windows has no seccomp.

use callgate_diagnostic::{Diagnostic, Span};

use crate::{
    annotation,
    field::{boolean, field, mapping, sequence, short},
    findings::Findings,
    manifest::{Workload, start_of},
    pod_security::{self, Level},
    seccomp::{Profile, Stated, stated},
    yaml::{Kind, Value},
};

/// What is known of the node, and what is asked of the pod.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected {
    /// Whether the kubelet gives containers without a profile the runtime's (`seccompDefault`,
    /// `--seccomp-default`).
    pub seccomp_default: bool,
    /// The Pod Security level that the namespace enforces.
    pub pod_security: Option<Level>,
}

/// A pod that was looked at.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Pod<'d> {
    /// Its containers: those of the list `initContainers` first, as they start.
    pub containers: Vec<Container<'d>>,
    /// The strictest Pod Security level that admits it, as far as seccomp decides.
    pub level: Level,
}

/// One container.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Container<'d> {
    /// Its name, which it must have.
    pub name: Option<&'d str>,
    /// Which list it stands in.
    pub role: Role,
    /// Its name in the text, or else where it begins.
    pub place: Span,
    /// The profile that holds it; none where the API server refuses what is said.
    pub profile: Option<Profile<'d>>,
    /// Why that one.
    pub why: Why,
}

/// The lists of containers in a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a pod has no other list")]
pub enum Role {
    /// `initContainers`
    Init,
    /// `containers`
    Main,
    /// `ephemeralContainers`
    Ephemeral,
}

impl Role {
    const ALL: [(&str, Role); 3] = [
        ("initContainers", Role::Init),
        ("containers", Role::Main),
        ("ephemeralContainers", Role::Ephemeral),
    ];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Init => "init container",
            Role::Main => "container",
            Role::Ephemeral => "ephemeral container",
        }
    }
}

/// Why a profile holds a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// The container says so.
    Container,
    /// The pod says so.
    Pod,
    /// Nobody says anything, and the node has a default.
    NodeDefault,
    /// Nobody says anything.
    NothingSaid,
    /// The container is privileged.
    Privileged,
    /// The pod is for Windows.
    Windows,
}

impl Why {
    /// A word for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Why::Container => "container",
            Why::Pod => "pod",
            Why::NodeDefault => "node-default",
            Why::NothingSaid => "nothing-said",
            Why::Privileged => "privileged",
            Why::Windows => "windows",
        }
    }

    /// As half a sentence.
    pub const fn describe(self) -> &'static str {
        match self {
            Why::Container => "the container says so",
            Why::Pod => "the pod says so",
            Why::NodeDefault => "nothing is said, and the node's default is the runtime's profile",
            Why::NothingSaid => "nothing is said",
            Why::Privileged => "the container is privileged",
            Why::Windows => "the pod is for Windows, which has no seccomp",
        }
    }
}

/// What a container says, before it is weighed.
pub(crate) struct Said<'d> {
    pub container: Container<'d>,
    pub own: Option<Stated<'d>>,
    privileged: Option<Span>,
}

/// Looks at a pod; what is wrong is added to `found`.
pub fn look<'d>(workload: &Workload<'d>, expected: Expected, found: &mut Findings) -> Pod<'d> {
    let spec = workload.spec;
    let windows = is_windows(spec, found);
    let of_pod = stated(spec, found);
    let mut said = containers(spec, found);
    for one in &mut said {
        let (profile, why) = weigh(one, of_pod, windows, expected);
        one.container.profile = profile;
        one.container.why = why;
    }
    if windows {
        refuse_on_windows(of_pod, &said, found);
    } else {
        unconfined(workload, of_pod, &said, found);
        privileged(of_pod, &said, found);
    }
    annotation::look(workload, of_pod, &said, found);
    let level = pod_security::look(workload, of_pod, &said, windows, expected.pod_security, found);
    Pod { containers: said.into_iter().map(|one| one.container).collect(), level }
}

fn weigh<'d>(
    said: &Said<'d>,
    of_pod: Option<Stated<'d>>,
    windows: bool,
    expected: Expected,
) -> (Option<Profile<'d>>, Why) {
    match (said.own, of_pod) {
        _ if windows => (Some(Profile::Unconfined), Why::Windows),
        _ if said.privileged.is_some() => (Some(Profile::Unconfined), Why::Privileged),
        (Some(own), _) => (own.profile, Why::Container),
        (None, Some(of_pod)) => (of_pod.profile, Why::Pod),
        (None, None) if expected.seccomp_default => {
            (Some(Profile::RuntimeDefault), Why::NodeDefault)
        }
        (None, None) => (Some(Profile::Unconfined), Why::NothingSaid),
    }
}

fn is_windows(spec: Value<'_>, found: &mut Findings) -> bool {
    let os = mapping(spec, "os", found);
    os.and_then(|os| os.get("name")).and_then(Value::as_str) == Some("windows")
}

fn containers<'d>(spec: Value<'d>, found: &mut Findings) -> Vec<Said<'d>> {
    let mut said = Vec::new();
    let main = spec.get("containers");
    if main.is_none_or(|list| list.is_null() || list.elements().next().is_none()) {
        found.push(
            Diagnostic::error("kube-missing-field", "`containers` is missing or empty")
                .at(main.map_or(start_of(spec), Value::span), "a pod has one at least")
                .help("the API server refuses the object"),
        );
    }
    for (list, role) in Role::ALL {
        for value in sequence(spec, list, found).into_iter().flat_map(Value::elements) {
            if value.kind() != Kind::Mapping {
                let is = value.kind().describe();
                found.push(
                    Diagnostic::error("kube-type", format!("{is} stands in `{list}`"))
                        .at(value.span(), "must be a mapping"),
                );
                continue;
            }
            let name = field(value, "name", Kind::String, found);
            let context = mapping(value, "securityContext", &mut Findings::default());
            let privileged = context.and_then(|context| {
                let is = boolean(context, "privileged", found) == Some(true);
                context.get("privileged").filter(|_| is).map(Value::span)
            });
            said.push(Said {
                container: Container {
                    name: name.and_then(Value::as_str),
                    role,
                    place: name.map_or(start_of(value), Value::span),
                    profile: None,
                    why: Why::NothingSaid,
                },
                own: stated(value, found),
                privileged,
            });
        }
    }
    said
}

/// A profile on Windows, which the API server refuses.
fn refuse_on_windows(of_pod: Option<Stated<'_>>, said: &[Said<'_>], found: &mut Findings) {
    for stated in of_pod.into_iter().chain(said.iter().filter_map(|one| one.own)) {
        found.push(
            Diagnostic::error("kube-windows", "a pod for Windows may have no `seccompProfile`")
                .at(stated.place, "the API server refuses it")
                .help("remove it; Windows has no seccomp"),
        );
    }
}

/// Containers without a filter, by what makes them so.
fn unconfined(
    workload: &Workload<'_>,
    of_pod: Option<Stated<'_>>,
    said: &[Said<'_>],
    found: &mut Findings,
) {
    let without = |why: Why| -> Vec<&Container<'_>> {
        let all = said.iter().map(|one| &one.container);
        all.filter(|c| c.why == why && c.profile == Some(Profile::Unconfined)).collect()
    };
    let silent = without(Why::NothingSaid);
    if !silent.is_empty() {
        let mut nothing = Diagnostic::warning(
            "kube-unconfined",
            format!("{} without a filter: nothing is said of seccomp", run(&silent)),
        );
        for container in silent.iter().take(MOST_NAMED) {
            nothing = nothing.at(container.place, "");
        }
        let help = "in the pod's `spec`: `securityContext: { seccompProfile: { type: RuntimeDefault } }`; a node with `seccompDefault` does so by itself (--seccomp-default)";
        found.push(nothing.help(help));
    }
    let by_pod = without(Why::Pod);
    if let (Some(of_pod), false) = (of_pod, by_pod.is_empty()) {
        let message = format!("{} without a filter: the pod says so", run(&by_pod));
        found.push(
            Diagnostic::warning("kube-unconfined", message)
                .at(of_pod.place, format!("for all of this {}", workload.kind)),
        );
    }
    for one in said.iter().filter(|one| one.container.why == Why::Container) {
        if let (Some(Profile::Unconfined), Some(own)) = (one.container.profile, one.own) {
            let message = format!("{} without a filter, and says so", run(&[&one.container]));
            found.push(Diagnostic::warning("kube-unconfined", message).at(own.place, ""));
        }
    }
}

/// Privileged containers, and profiles that do not hold them.
fn privileged(of_pod: Option<Stated<'_>>, said: &[Said<'_>], found: &mut Findings) {
    for one in said {
        let Some(place) = one.privileged else { continue };
        let message = format!("{} without a filter: it is privileged", run(&[&one.container]));
        let mut finding = Diagnostic::warning("kube-privileged", message)
            .at(place, "the runtime loads no filter")
            .help("give it the capabilities that it needs instead");
        if let Some(stated) = one.own.or(of_pod)
            && stated.profile != Some(Profile::Unconfined)
        {
            finding = finding.at(stated.place, "does not hold it");
        }
        found.push(finding);
    }
}

/// Names beyond these help nobody.
const MOST_NAMED: usize = 8;

/// `container `a` runs`, `3 containers run`.
fn run(containers: &[&Container<'_>]) -> String {
    match containers {
        [one] => match one.name {
            Some(name) => format!("{} `{}` runs", one.role.name(), short(name)),
            None => format!("{} runs", one.role.name()),
        },
        all => format!("{} containers run", all.len()),
    }
}
