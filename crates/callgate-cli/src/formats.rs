//! The text formats that the command knows: those of profiles, and the resource of Kubernetes.

use callgate_kube::seccomp_profile;
use callgate_policy::formats::{self, Reading};

pub use callgate_policy::formats::Format;

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Format> {
    formats::ALL.iter().chain([&seccomp_profile::FORMAT])
}

/// The format of this name.
pub fn named(name: &str) -> Option<&'static Format> {
    all().find(|format| format.name == name)
}

/// Reads a text in a stated format, or in the one that it looks like, and says which.
pub fn read(text: &str, stated: Option<&'static Format>) -> (Option<&'static Format>, Reading) {
    // It may be JSON, and is no profile then.
    let resource = stated.is_none() && (seccomp_profile::FORMAT.detect)(text);
    formats::read(text, if resource { Some(&seccomp_profile::FORMAT) } else { stated })
}
