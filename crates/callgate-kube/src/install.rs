//! Manifests that put a profile on every node of a cluster, and take it away again.
//!
//! A pod names a profile by its file below the kubelet's root, and Kubernetes does not bring that
//! file there. A DaemonSet does: on each node of an architecture one container copies the profile
//! out of a ConfigMap into the node's folder, whole or not at all, follows the ConfigMap when it
//! changes, is ready when the file is there, and removes it at its end. The container has no
//! capability, no token and a read-only root; of the node it sees the one folder of profiles.
//!
//! The same name stands for the right profile on nodes of every architecture: each has a ConfigMap
//! and a DaemonSet of its own, and the file is called alike.

mod objects;

use std::fmt;

use callgate_syscalls::Abi;

use crate::names::{self, BadName};

/// The shell script that the container runs: with the file to copy, the file to write, and after
/// how many seconds to look again.
pub const SCRIPT: &str = include_str!("install/install.sh");

/// The most bytes that a ConfigMap may hold (`MaxSecretSize` in `pkg/apis/core`, which counts for
/// both).
pub const LARGEST_CONFIG_MAP: usize = 1 << 20;

/// The most bytes of an object's annotations (`TotalAnnotationSizeLimitB`). `kubectl apply` keeps a
/// whole object in one, unless it applies on the server's side.
pub const LARGEST_ANNOTATIONS: usize = 256 << 10;

/// Where the profile goes, and by what.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "whoever writes manifests decides all of these")]
pub struct Install {
    /// What the profile is called: the file's name without `.json`.
    pub name: String,
    /// The namespace of what is made.
    pub namespace: String,
    /// The image of the container; it needs a POSIX shell, cat, cp, mv, rm and sleep.
    pub image: String,
    /// The kubelet's root for seccomp profiles, on the node.
    pub root: String,
    /// The folder below it.
    pub folder: String,
    /// Labels that a node must have, besides its architecture.
    pub node_selector: Vec<(String, String)>,
}

/// The profile for the nodes of one architecture.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a pool is nothing else")]
pub struct Pool {
    /// The nodes' own architecture.
    pub abi: Abi,
    /// The profile, in the dialect that their runtime reads.
    pub profile: String,
}

/// A file that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct File {
    /// Below the folder of the manifests.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// How the manifests are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "kubectl has these two ways")]
pub enum Layout {
    /// For `kubectl apply -f`.
    Plain,
    /// For `kubectl apply -k`: the profile is a file of its own, of which kustomize makes the
    /// ConfigMap.
    Kustomize,
}

/// Manifests for a profile on nodes of these architectures.
#[derive(Clone, Debug)]
pub struct Manifests {
    install: Install,
    pools: Vec<Pool>,
}

impl Manifests {
    /// Checks what the API server would check later.
    ///
    /// # Errors
    ///
    /// When a name is none for Kubernetes, a profile is too large for a ConfigMap, or an
    /// architecture is none that a node can say it has.
    pub fn new(install: Install, pools: Vec<Pool>) -> Result<Manifests, Error> {
        let manifests = Manifests { install, pools };
        let install = &manifests.install;
        let named = |result: Result<(), BadName>, what: &'static str| {
            result.map_err(|why| Error(Kind::Name { what, why }))
        };
        named(names::object(&install.name), "the name of the profile")?;
        named(names::namespace(&install.namespace), "the namespace")?;
        named(names::localhost_profile(&install.folder), "the folder")?;
        named(names::localhost_profile(&manifests.localhost_profile()), "the path of the profile")?;
        for (key, value) in &install.node_selector {
            named(names::label_key(key), "the key of a node's label")?;
            named(names::label_value(value), "the value of a node's label")?;
        }
        if !install.root.starts_with('/') || install.root.split('/').any(|part| part == "..") {
            return Err(Error(Kind::Root(install.root.clone())));
        }
        if install.image.is_empty() || install.image.contains(char::is_whitespace) {
            return Err(Error(Kind::Image(install.image.clone())));
        }
        if manifests.pools.is_empty() {
            return Err(Error(Kind::NoPool));
        }
        for (index, pool) in manifests.pools.iter().enumerate() {
            let Some(architecture) = node_architecture(pool.abi) else {
                return Err(Error(Kind::Architecture(pool.abi)));
            };
            if manifests.pools[..index].iter().any(|other| other.abi == pool.abi) {
                return Err(Error(Kind::Twice(pool.abi)));
            }
            let instance = format!("{}-{architecture}", install.name);
            named(names::label_value(&instance), "the label of the DaemonSet")?;
            let size = pool.profile.len();
            if size > LARGEST_CONFIG_MAP {
                return Err(Error(Kind::TooLarge { abi: pool.abi, size }));
            }
        }
        Ok(manifests)
    }

    /// What a pod's `localhostProfile` says: the file below the kubelet's root.
    pub fn localhost_profile(&self) -> String {
        format!("{}/{}", self.install.folder, self.file_name())
    }

    /// The lines of a pod or container that use the profile.
    pub fn snippet(&self) -> String {
        objects::snippet(&self.localhost_profile()).to_yaml()
    }

    /// The objects of which `kubectl apply` could not keep a copy in an annotation, so that it
    /// takes `--server-side`.
    pub fn needs_server_side(&self) -> bool {
        // As the copy is JSON, the profile's quotes are escaped in it.
        let in_json = |text: &str| text.len() + text.matches(['"', '\n', '\\']).count() + 1024;
        self.pools.iter().any(|pool| in_json(&pool.profile) > LARGEST_ANNOTATIONS)
    }

    /// Everything as one text of several documents, with the snippet as a remark before them.
    pub fn stream(&self) -> String {
        let mut text = String::from("# The pods and containers that use the profile say so:\n");
        for line in self.snippet().lines() {
            text.push_str(&format!("#   {line}\n"));
        }
        for pool in &self.pools {
            for object in [objects::config_map(self, pool), objects::daemon_set(self, pool)] {
                text.push_str("---\n");
                text.push_str(&object.to_yaml());
            }
        }
        text
    }

    /// Everything as files of a folder. What kubectl would take for objects and is none stands in
    /// a folder below, where it does not look.
    pub fn files(&self, layout: Layout) -> Vec<File> {
        let mut files = Vec::new();
        let mut file = |path: String, text: String| files.push(File { path, text });
        for pool in &self.pools {
            let name = self.instance(pool);
            let daemon_set = objects::daemon_set(self, pool).to_yaml();
            let text = match layout {
                Layout::Plain => {
                    format!("{}---\n{daemon_set}", objects::config_map(self, pool).to_yaml())
                }
                Layout::Kustomize => daemon_set,
            };
            file(format!("{name}.yaml"), text);
            file(self.profile_path(pool), pool.profile.clone());
        }
        if layout == Layout::Kustomize {
            file("kustomization.yaml".to_owned(), objects::kustomization(self).to_yaml());
        }
        file(format!("profiles/{}.snippet.yaml", self.install.name), self.snippet());
        files
    }

    fn file_name(&self) -> String {
        format!("{}.json", self.install.name)
    }

    /// `web-amd64`
    fn instance(&self, pool: &Pool) -> String {
        let architecture = node_architecture(pool.abi).unwrap_or_default();
        format!("{}-{architecture}", self.install.name)
    }

    /// Where the profile lies beside the manifests.
    fn profile_path(&self, pool: &Pool) -> String {
        format!("profiles/{}.json", self.instance(pool))
    }
}

/// What a node of this architecture has in its label `kubernetes.io/arch`: Go's name for it. None
/// for what is no kernel's own, or what Go does not run on.
pub fn node_architecture(abi: Abi) -> Option<&'static str> {
    Some(match abi {
        Abi::X86_64 => "amd64",
        Abi::X86 => "386",
        Abi::Aarch64 => "arm64",
        Abi::Arm => "arm",
        Abi::Riscv64 => "riscv64",
        Abi::S390x => "s390x",
        Abi::Ppc64le => "ppc64le",
        Abi::Ppc64 => "ppc64",
        Abi::Loongarch64 => "loong64",
        Abi::Mips64 => "mips64",
        Abi::Mipsel64 => "mips64le",
        _ => return None,
    })
}

/// Why there are no manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Name { what: &'static str, why: BadName },
    Root(String),
    Image(String),
    NoPool,
    Architecture(Abi),
    Twice(Abi),
    TooLarge { abi: Abi, size: usize },
}

impl Error {
    /// Whether a profile is larger than a ConfigMap may be.
    pub fn is_too_large(&self) -> bool {
        matches!(self.0, Kind::TooLarge { .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Name { what, why } => write!(f, "{what}: {why}"),
            Kind::Root(root) => write!(
                f,
                "the kubelet's root `{}` is no absolute path without `..`",
                root.escape_debug()
            ),
            Kind::Image(image) => {
                write!(f, "`{}` is not the name of an image", image.escape_debug())
            }
            Kind::NoPool => f.write_str("there is no architecture to write manifests for"),
            Kind::Architecture(abi) => {
                write!(f, "{abi} is not the architecture of a node; name that of its kernel")
            }
            Kind::Twice(abi) => write!(f, "{abi} is named twice"),
            Kind::TooLarge { abi, size } => write!(
                f,
                "the profile for {abi} has {size} bytes, and a ConfigMap holds {LARGEST_CONFIG_MAP} at most"
            ),
        }
    }
}

impl std::error::Error for Error {}
