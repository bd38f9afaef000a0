//! Real container runtimes beside `callgate run`: runc, crun, podman, containerd and the Docker
//! engine of Debian load a profile, callgate loads the same one, and a probe that tries system
//! calls gets the same answers.
//!
//! It takes root and the packages that `cargo xtask test` installs; without them every test here
//! says `skipped:` on standard error, and with `CALLGATE_REQUIRE_LAB=1` it fails.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod lab;
