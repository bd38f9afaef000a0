//! The Debian packages that tests use, and why.

use std::{
    error::Error,
    path::Path,
    process::{Command, Stdio},
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A package and what needs it.
pub struct Package {
    name: &'static str,
    reason: &'static str,
}

const fn package(name: &'static str, reason: &'static str) -> Package {
    Package { name, reason }
}

/// What `cargo xtask test` needs.
pub const TESTS: &[Package] = &[
    package("apache2-utils", "`ab`, the load of the web servers that are recorded"),
    package("bubblewrap", "loads a raw program that `callgate compile` wrote"),
    package("busybox-static", "the programs in the containers' root file system"),
    package("chrony", "loads a seccomp filter of its own, which tests read back"),
    package("crun", "the OCI runtime in C, one of those that callgate is compared with"),
    package("curl", "asks the web servers that are recorded"),
    package("docker-compose", "carries out the compose file that `callgate check` prints"),
    package("docker.io", "the Docker engine; brings containerd and its `ctr`"),
    package("firejail", "loads a stack of filters with lists of refusals, which tests read back"),
    package("gcc", "builds the probe that tries system calls, and C programs for strict mode"),
    package("graphviz", "reads the graphs that `callgate disasm --graph` prints"),
    package("iproute2", "sets up the network namespace that the engines run in"),
    package("iptables", "the Docker engine does not start its bridge without it"),
    package("jq", "carries out the line for runc and crun that `callgate check` prints"),
    package("libcap2-bin", "gives a file capabilities, which `callgate run` must not lend"),
    package("libc6-dev", "headers and start files for those C programs"),
    package("libseccomp-dev", "the syscall table of the runtimes' own library"),
    package("netavark", "the network part of podman, which it looks for at every start"),
    package("nginx", "a web server of several processes, recorded under load"),
    package("nodejs", "a runtime with threads of its own, recorded under load"),
    package("openssh-server", "sshd filters the part that talks to strangers; tests read it back"),
    package("podman", "the engine of the containers/common dialect"),
    package("postgresql", "a database of many processes, recorded under pgbench"),
    package("python3", "an interpreter with threads, recorded under load"),
    package("redis-server", "a database that saves by fork, recorded under load"),
    package("redis-tools", "redis-benchmark and redis-cli, its load"),
    package("strace", "shows in which order `callgate run` makes its system calls"),
    package("runc", "the OCI runtime whose meaning of a profile is pinned"),
    package("systemd-container", "systemd-nspawn loads a stack of filters, which tests read back"),
    package("tor", "loads a large seccomp filter of its own, which tests read back"),
    package("util-linux", "unshare and nsenter: the world of their own that engines get"),
    package("z3", "a second judge of whether two programs mean the same"),
];

/// What `cargo xtask kube-lab` needs.
pub const KUBE_LAB: &[Package] = &[
    package("busybox-static", "the programs in the pods' image"),
    package("containerd", "the runtime that the kubelet asks for pods, and its `ctr`"),
    package("containernetworking-plugins", "gives each pod a network, which the node must have"),
    package("dpkg-dev", "unpacks the source package"),
    package("etcd-server", "the store behind the API server"),
    package("golang-github-modern-go-reflect2-dev", "replaces a copy that new Go programs die of"),
    package("golang-go", "compiles the source package"),
    package("iproute2", "sets up the network namespace of the node"),
    package("jq", "takes what a machine may not give out of a container's configuration"),
    package("openssl", "makes the key that signs service accounts"),
    package("runc", "the OCI runtime that loads the pods' filters"),
    package("util-linux", "unshare and nsenter: the world of its own that the node gets"),
];

/// A target of Rust, for the static binary.
const MUSL: &str = "x86_64-unknown-linux-musl";

/// Installs what is missing, saying what and why.
///
/// # Errors
///
/// When this is no Debian, or a package cannot be installed.
pub fn install(wanted: &[Package]) -> Result<()> {
    let missing = missing(wanted);
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {} of {} packages that tests use:", missing.len(), wanted.len());
    list(&missing);
    apt_get(&["update"])?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(missing.iter().map(|package| package.name));
    apt_get(&arguments)
}

/// Prints what [`install`] would have installed.
pub fn explain_missing(wanted: &[Package]) {
    let missing = missing(wanted);
    if !missing.is_empty() {
        println!("not installed, since that takes root:");
        list(&missing);
    }
}

fn missing(wanted: &[Package]) -> Vec<&Package> {
    wanted.iter().filter(|package| !is_installed(package.name)).collect()
}

fn list(packages: &[&Package]) {
    for package in packages {
        println!("  {:16} {}", package.name, package.reason);
    }
}

fn is_installed(name: &str) -> bool {
    Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", name])
        .output()
        .is_ok_and(|output| output.status.success() && output.stdout == b"installed")
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let status = Command::new("apt-get")
        .arg("--quiet=2")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // dpkg's progress; what goes wrong is on standard error.
        .stdout(Stdio::null())
        .status()
        .map_err(|error| format!("apt-get does not start ({error}); install the packages listed in xtask/src/packages.rs and pass --no-install"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("apt-get {}: {status}", arguments.join(" ")).into())
    }
}

/// Adds the target where rustup manages the toolchain. Tests that build for it skip without.
pub fn add_static_target() {
    let installed = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", MUSL])
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .is_some_and(|folder| Path::new(folder.trim()).exists());
    if installed {
        return;
    }
    let added = Command::new("rustup").args(["target", "add", MUSL]).status();
    if !added.is_ok_and(|status| status.success()) {
        println!("the target {MUSL} could not be added; the static binary is not built");
    }
}
