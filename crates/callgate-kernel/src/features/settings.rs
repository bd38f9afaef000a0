//! What the kernel shows of itself in files.

use std::fs;
use std::io;
use std::path::Path;

/// The content of a file of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a file is read, or is not to be read, or is not there"
)]
pub enum Setting<T> {
    /// This.
    Is(T),
    /// There is one, which this user may not read.
    Hidden,
    /// There is none: the kernel is built without it, or `/proc` hides it.
    Absent,
}

impl<T> Setting<T> {
    /// The value, if it is known.
    pub fn value(&self) -> Option<&T> {
        match self {
            Setting::Is(value) => Some(value),
            Setting::Hidden | Setting::Absent => None,
        }
    }

    fn and_then<U>(self, f: impl FnOnce(T) -> Option<U>) -> Setting<U> {
        match self {
            Setting::Is(value) => f(value).map_or(Setting::Absent, Setting::Is),
            Setting::Hidden => Setting::Hidden,
            Setting::Absent => Setting::Absent,
        }
    }
}

/// Which cgroup hierarchies are mounted, `cgroups(7)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are two versions")]
pub enum Cgroups {
    /// None that this process sees.
    None,
    /// Version 1 alone.
    V1,
    /// Version 2 alone.
    V2,
    /// Both. Some container runtimes refuse to work with that.
    Hybrid,
}

/// A number under `/proc/sys`.
pub(super) fn number(path: &str) -> Setting<u32> {
    text(&format!("/proc/sys/{path}")).and_then(|text| text.trim().parse().ok())
}

/// A list of words under `/proc/sys`.
pub(super) fn words(path: &str) -> Setting<Vec<String>> {
    text(&format!("/proc/sys/{path}"))
        .and_then(|text| Some(text.split_whitespace().map(str::to_owned).collect()))
}

fn text(path: &str) -> Setting<String> {
    match fs::read_to_string(path) {
        Ok(text) => Setting::Is(text),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Setting::Hidden,
        Err(_) => Setting::Absent,
    }
}

/// From the text of `/proc/self/mountinfo`.
pub(super) fn cgroups(mountinfo: &str) -> Cgroups {
    // The file system's type is the first word after the separator (`proc_pid_mountinfo(5)`).
    let types =
        mountinfo.lines().filter_map(|line| line.split_once(" - ")?.1.split_whitespace().next());
    let (mut first, mut second) = (false, false);
    for kind in types {
        first |= kind == "cgroup";
        second |= kind == "cgroup2";
    }
    match (first, second) {
        (false, false) => Cgroups::None,
        (true, false) => Cgroups::V1,
        (false, true) => Cgroups::V2,
        (true, true) => Cgroups::Hybrid,
    }
}

/// Whether this process is in the first namespace of a kind: those have fixed numbers
/// (`PROC_*_INIT_INO` of `linux/proc_ns.h`). `None` where `/proc` does not tell.
pub(super) fn is_initial_namespace(kind: &str, number: u32) -> Option<bool> {
    let link = fs::read_link(format!("/proc/self/ns/{kind}")).ok()?;
    Some(link.to_str()? == format!("{kind}:[{number}]"))
}

/// Signs that container engines leave, as sentences.
pub(super) fn container_signs() -> Vec<String> {
    let mut signs = Vec::new();
    for (file, engine) in [("/.dockerenv", "Docker"), ("/run/.containerenv", "Podman")] {
        if Path::new(file).exists() {
            signs.push(format!("{file} is there, which {engine} makes"));
        }
    }
    if let Ok(kind) = std::env::var("container") {
        signs.push(format!("the environment variable container is {kind:?}"));
    }
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        signs.push("the environment is that of a Kubernetes pod".to_owned());
    }
    signs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup_versions_are_told_apart() {
        let v1 = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        let v2 = "41 31 0:38 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
        let other = "27 1 254:0 / / rw,relatime - ext4 /dev/cgroup rw\n";
        assert_eq!(cgroups(other), Cgroups::None);
        assert_eq!(cgroups(&format!("{other}{v1}")), Cgroups::V1);
        assert_eq!(cgroups(&format!("{other}{v2}")), Cgroups::V2);
        assert_eq!(cgroups(&format!("{v2}{v1}")), Cgroups::Hybrid);
    }

    #[test]
    fn an_absent_file_is_no_value() {
        assert_eq!(number("kernel/no_such_setting"), Setting::Absent);
        assert!(number("kernel/pid_max").value().is_some());
    }
}
