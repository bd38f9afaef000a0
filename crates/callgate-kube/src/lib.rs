//! Kubernetes manifests: what they say of seccomp, and what a node makes of it.
//!
//! | to … | use |
//! |---|---|
//! | read YAML and JSON as Kubernetes does, with places | [`yaml`] |
//! | find the pods that a manifest makes | [`workloads`] |
//! | say which profile holds each container, and what is wrong with it | [`look`] |
//! | say what a profile's file becomes to the node's runtime | [`ProfileFile`] |
//! | write manifests that put a profile on every node | [`install`] |
//! | read and write the Security Profiles Operator's resource | [`seccomp_profile`] |
//! | check names as the API server does | [`names`] |
//! | write YAML | [`emit`] |
//!
//! ```
//! use callgate_kube::{Expected, Findings, Profile, Why, look, workloads, yaml};
//!
//! let text = "
//! apiVersion: v1
//! kind: Pod
//! metadata: { name: web }
//! spec:
//!   securityContext: { seccompProfile: { type: RuntimeDefault } }
//!   containers:
//!   - name: nginx
//! ";
//! let mut found = Findings::default();
//! for document in yaml::documents(text) {
//!     let document = document.unwrap();
//!     for workload in workloads(document.root(), &mut found) {
//!         let pod = look(&workload, Expected::default(), &mut found);
//!         assert_eq!(pod.containers[0].profile, Some(Profile::RuntimeDefault));
//!         assert_eq!(pod.containers[0].why, Why::Pod);
//!     }
//! }
//! assert!(found.in_order().is_empty());
//! ```
//!
//! Texts go in, and values and findings come out: nothing here opens a file, asks a cluster or
//! prints.
#![forbid(unsafe_code)]

mod annotation;
pub mod emit;
mod field;
mod findings;
pub mod install;
mod manifest;
pub mod names;
mod pod;
mod pod_security;
mod profile;
mod seccomp;
pub mod seccomp_profile;
pub mod yaml;

pub use crate::{
    findings::Findings,
    manifest::{Workload, workloads},
    pod::{Container, Expected, Pod, Role, Why, look},
    pod_security::Level,
    profile::{ProfileFile, Runtime, missing_profile},
    seccomp::{DEFAULT_ROOT, Profile, Stated},
};
