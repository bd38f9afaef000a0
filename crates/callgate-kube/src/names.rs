//! The names that Kubernetes takes.
//!
//! The rules are those of `k8s.io/apimachinery/pkg/util/validation`.

use std::fmt;

/// The longest name of an object, in bytes (`DNS1123SubdomainMaxLength`).
pub const LONGEST_NAME: usize = 253;

/// The longest label value, and the longest name of a namespace, in bytes (`LabelValueMaxLength`,
/// `DNS1123LabelMaxLength`).
pub const LONGEST_LABEL: usize = 63;

/// Checks the name of an object: a DNS-1123 subdomain.
///
/// # Errors
///
/// When the API server would refuse it.
pub fn object(name: &str) -> Result<(), BadName> {
    check(
        name,
        LONGEST_NAME,
        name.split('.').all(is_dns),
        "lower-case letters, digits, `-` and `.`, beginning and ending with a letter or digit",
    )
}

/// Checks the name of a namespace: a DNS-1123 label.
///
/// # Errors
///
/// When the API server would refuse it.
pub fn namespace(name: &str) -> Result<(), BadName> {
    check(
        name,
        LONGEST_LABEL,
        is_dns(name),
        "lower-case letters, digits and `-`, beginning and ending with a letter or digit",
    )
}

/// Checks the value of a label.
///
/// # Errors
///
/// When the API server would refuse it.
pub fn label_value(value: &str) -> Result<(), BadName> {
    check(
        value,
        LONGEST_LABEL,
        value.is_empty() || is_qualified(value),
        "letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit",
    )
}

/// Checks the key of a label: a name, before which a DNS subdomain and a slash may stand.
///
/// # Errors
///
/// When the API server would refuse it.
pub fn label_key(key: &str) -> Result<(), BadName> {
    let name = match key.split_once('/') {
        Some((prefix, name)) => {
            object(prefix)?;
            name
        }
        None => key,
    };
    check(
        name,
        LONGEST_LABEL,
        is_qualified(name),
        "letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit",
    )
}

/// Checks a path below the kubelet's root for seccomp profiles: what `localhostProfile` takes
/// (`ValidateSeccompProfileField` in `pkg/apis/core/validation`), and that every part of it is a
/// plain name.
///
/// # Errors
///
/// When it is absolute, leads out of the root, or has a character that needs quoting somewhere.
pub fn localhost_profile(path: &str) -> Result<(), BadName> {
    let plain = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    check(
        path,
        LONGEST_NAME,
        path.split('/').all(plain),
        "a relative path of letters, digits, `-`, `_`, `.` and `/`, without `.` and `..`",
    )
}

/// Whether these are a DNS label's characters; its length is another rule, which names of objects
/// don't have.
fn is_dns(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    label.bytes().all(inner)
        && !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn is_qualified(name: &str) -> bool {
    let end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && end(name.bytes().next())
        && end(name.bytes().last())
}

fn check(name: &str, longest: usize, holds: bool, wanted: &'static str) -> Result<(), BadName> {
    let kind = match name.len() {
        0 if !holds => Kind::Empty,
        length if length > longest => Kind::TooLong { length, longest },
        _ if !holds => Kind::Characters { wanted },
        _ => return Ok(()),
    };
    Err(BadName { name: name.to_owned(), kind })
}

/// A name that Kubernetes refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadName {
    name: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Empty,
    TooLong { length: usize, longest: usize },
    Characters { wanted: &'static str },
}

impl BadName {
    /// Whether it is only its length that is wrong.
    pub fn is_too_long(&self) -> bool {
        matches!(self.kind, Kind::TooLong { .. })
    }
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.escape_debug();
        match &self.kind {
            Kind::Empty => f.write_str("a name is empty"),
            Kind::TooLong { length, longest } => {
                write!(f, "`{name}` has {length} bytes; Kubernetes takes at most {longest}")
            }
            Kind::Characters { wanted } => {
                write!(f, "Kubernetes does not take `{name}`: it takes {wanted}")
            }
        }
    }
}

impl std::error::Error for BadName {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_as_the_api_server_does() {
        for name in ["web", "a", "0", "web-1.example", &"a".repeat(253)] {
            assert_eq!(object(name), Ok(()), "{name}");
        }
        for name in ["", "Web", "-a", "a-", "a..b", "a_b", "ä", "a/b", "."] {
            assert!(object(name).is_err(), "{name}");
        }
        assert!(object(&"a".repeat(254)).unwrap_err().is_too_long());
        assert!(namespace(&"a".repeat(64)).unwrap_err().is_too_long());
        assert!(namespace("kube-system").is_ok() && namespace("a.b").is_err());
        for value in ["", "A.b_c", "1"] {
            assert_eq!(label_value(value), Ok(()), "{value}");
        }
        for value in ["-a", "a b", "a-", &"a".repeat(64)] {
            assert!(label_value(value).is_err(), "{value}");
        }
        for key in ["pool", "kubernetes.io/arch", "a_B.c"] {
            assert_eq!(label_key(key), Ok(()), "{key}");
        }
        for key in ["", "/a", "a/", "A/b", "a/b/c"] {
            assert!(label_key(key).is_err(), "{key}");
        }
        assert!(localhost_profile("callgate/web.json").is_ok());
        for path in ["", "/a", "a//b", "../a", "a/../b", "a/.", "a b", "a\n"] {
            assert!(localhost_profile(path).is_err(), "{path}");
        }
    }
}
