//! What a person wrote: a policy, before it is resolved for a target.

use alloc::{string::String, vec::Vec};

use callgate_bpf::Action;
use callgate_diagnostic::{Span, Spanned};
use callgate_syscalls::{Abi, Capability, KernelVersion};

use crate::Comparison;

/// A policy as its text says it, with places.
///
/// It may depend on architecture, capabilities and kernel: [`Policy::resolve`]
/// makes a [`Ruleset`](crate::Ruleset) of it for one [`Target`](crate::Target).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Of a container profile, who will read it. Its entries combine as in libseccomp, names may
    /// stand for multiplexed calls, and calls newer than it get ENOSYS. Without a dialect the
    /// first entry that holds decides, a name is a number, and nothing else is meant.
    pub dialect: Option<Dialect>,
    /// The verdict on a call that no rule takes.
    pub default: Spanned<Action>,
    /// The ABIs that the policy speaks of.
    pub architectures: Architectures,
    /// The verdict on a call of another ABI. No container profile can say it: there it is
    /// libseccomp's, the end of the thread.
    pub other: Action,
    /// Flags for loading.
    pub flags: Vec<Spanned<FilterFlag>>,
    /// Where a runtime hands the notification descriptor to.
    pub listener: Option<Listener>,
    /// The entries in the order of the text.
    pub entries: Vec<Entry>,
}

impl Policy {
    /// Moves every place of the policy: it was read from a text that was made of another, and
    /// `place` knows where in that one a range of the first comes from.
    pub fn relocate(&mut self, place: impl Fn(Span) -> Span) {
        let put = |span: &mut Span| *span = place(*span);
        put(&mut self.default.span);
        match &mut self.architectures {
            Architectures::Native => {}
            Architectures::List(list) => list.iter_mut().for_each(|abi| put(&mut abi.span)),
            Architectures::Map(map) => {
                for (main, others) in map {
                    put(&mut main.span);
                    others.iter_mut().for_each(|abi| put(&mut abi.span));
                }
            }
        }
        self.flags.iter_mut().for_each(|flag| put(&mut flag.span));
        if let Some(listener) = &mut self.listener {
            put(&mut listener.path.span);
        }
        for entry in &mut self.entries {
            entry.names.iter_mut().for_each(|name| put(&mut name.span));
            put(&mut entry.action.span);
            entry.comparisons.iter_mut().for_each(|comparison| put(&mut comparison.span));
            for condition in [&mut entry.includes, &mut entry.excludes] {
                condition.caps.iter_mut().for_each(|cap| put(&mut cap.span));
                condition.arches.iter_mut().for_each(|arch| put(&mut arch.span));
                condition.min_kernel.iter_mut().for_each(|version| put(&mut version.span));
            }
            put(&mut entry.span);
        }
    }

    /// libseccomp's verdict on ABIs that a filter does not speak of (SCMP_FLTATR_ACT_BADARCH),
    /// which no runtime changes.
    pub const CONTAINER_OTHER: Action = Action::KillThread;
}

/// The consumer that a JSON profile is written for. The same text means different things to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a dialect changes what every reader must do")]
pub enum Dialect {
    /// The Docker engine: `archMap`, `includes`, `excludes` and the old `name` have effect.
    Docker,
    /// The OCI runtime specification's `linux.seccomp`: runc, crun, containerd, the kubelet.
    Oci,
    /// The containers/common form: Podman, Buildah, CRI-O; as Docker's, with errno names.
    Containers,
}

impl Dialect {
    /// The word on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Dialect::Docker => "docker",
            Dialect::Oci => "oci",
            Dialect::Containers => "containers",
        }
    }
}

/// The ABIs that a policy speaks of. A runtime adds the machine's own to every list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "these are all the forms that the dialects have")]
pub enum Architectures {
    /// Nothing said: the machine's own ABI only.
    Native,
    /// `architectures`.
    List(Vec<Spanned<Abi>>),
    /// `archMap`: for a machine of the first, also the others.
    Map(Vec<(Spanned<Abi>, Vec<Spanned<Abi>>)>),
}

/// A flag of `seccomp(2)`'s SECCOMP_SET_MODE_FILTER that a profile may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FilterFlag {
    /// `SECCOMP_FILTER_FLAG_TSYNC`.
    Tsync,
    /// `SECCOMP_FILTER_FLAG_LOG`.
    Log,
    /// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`.
    SpecAllow,
    /// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`.
    WaitKillableRecv,
}

impl FilterFlag {
    /// Every flag.
    pub const ALL: [FilterFlag; 4] =
        [FilterFlag::Tsync, FilterFlag::Log, FilterFlag::SpecAllow, FilterFlag::WaitKillableRecv];

    /// The kernel's name.
    pub const fn name(self) -> &'static str {
        match self {
            FilterFlag::Tsync => "SECCOMP_FILTER_FLAG_TSYNC",
            FilterFlag::Log => "SECCOMP_FILTER_FLAG_LOG",
            FilterFlag::SpecAllow => "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
            FilterFlag::WaitKillableRecv => "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
        }
    }
}

/// `listenerPath` and `listenerMetadata`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The socket.
    pub path: Spanned<String>,
    /// What the runtime passes along.
    pub metadata: Option<String>,
}

/// One element of `syscalls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The system calls, by name.
    pub names: Vec<Spanned<String>>,
    /// The ABIs that it is for; none means all of the policy.
    pub abis: Vec<Abi>,
    /// The verdict.
    pub action: Spanned<Action>,
    /// What the arguments must be: all of them hold, unless in a container profile an argument
    /// occurs twice (then each is a rule of its own).
    pub comparisons: Vec<Spanned<Comparison>>,
    /// When the entry counts.
    pub includes: Condition,
    /// When it does not.
    pub excludes: Condition,
    /// The author's remark.
    pub comment: Option<String>,
    /// The whole element.
    pub span: Span,
}

/// `includes` or `excludes` of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Capabilities: `includes` wants all of them, `excludes` any.
    pub caps: Vec<Spanned<Capability>>,
    /// Architectures of the machine, in Docker's words (`amd64`, `arm64`, `x86`).
    pub arches: Vec<Spanned<String>>,
    /// The running kernel is this or newer.
    pub min_kernel: Option<Spanned<KernelVersion>>,
}

impl Condition {
    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.caps.is_empty() && self.arches.is_empty() && self.min_kernel.is_none()
    }
}
