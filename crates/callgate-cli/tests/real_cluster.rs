//! `callgate kube` beside a real Kubernetes node: what the kubelet, containerd, runc and the kernel
//! do with profiles is what the command says they do.
//!
//! `cargo xtask kube-lab` builds Kubernetes, names its folder in `CALLGATE_KUBE_LAB` and runs these
//! tests as root; without that variable they say `skipped:` on standard error.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

#[path = "common/mod.rs"]
mod common;

mod cluster;
