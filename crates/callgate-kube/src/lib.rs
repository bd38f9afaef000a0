//! Kubernetes manifests: what they say of seccomp, and what a node makes of it.
//!
//! | to … | use |
//! |---|---|
//! | read YAML and JSON as Kubernetes does, with places | [`yaml`] |
//! | write YAML | [`emit`] |
//! | write manifests that put a profile on every node | [`manifest`] |
//! | read and write the Security Profiles Operator's resource | [`seccomp_profile`] |
//! | check names as the API server does | [`names`] |
//!
//! Texts go in, and values and findings come out: nothing here opens a file, asks a cluster or
//! prints.
#![forbid(unsafe_code)]

pub mod emit;
pub mod manifest;
pub mod names;
pub mod seccomp_profile;
pub mod yaml;
