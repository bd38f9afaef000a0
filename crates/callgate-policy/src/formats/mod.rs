//! The text formats that policies are written in, one module each.
//!
//! A reader takes a text and gives a policy with places, or what is wrong with the text. A writer
//! takes a [`Policy`] and nothing else, and refuses what its format cannot say. Adding a format
//! is adding a module and a line of [`ALL`].

pub mod kafel;
pub mod libseccomp_c;
pub mod profile;
pub mod report;
pub mod systemd;

use alloc::{string::String, vec::Vec};

use callgate_diagnostic::Diagnostic;

use crate::{Dialect, Policy};

/// The outcome of reading a text.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reading {
    /// What the text says; none when a diagnostic is an error.
    pub policy: Option<Policy>,
    /// What can be made out of a text with errors, to look for more of them
    /// ([`Policy::unknown_names`]); it is not what the text says.
    pub salvaged: Option<Policy>,
    /// Of a JSON profile, the dialect that it was read in: the one asked for, or the one found
    /// out. None when the text was no profile at all and nobody said.
    pub dialect: Option<Dialect>,
    /// What was found, in the order of the text. Of a severity at most a hundred are kept; a
    /// note at the end then says how many are not shown.
    pub diagnostics: Vec<Diagnostic>,
}

/// A text format.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "crates that read YAML bring formats of their own")]
pub struct Format {
    /// The word on the command line.
    pub name: &'static str,
    /// One line on who reads it.
    pub summary: &'static str,
    /// Of a format that container runtimes read in the end, as whose profile they do: what is
    /// written is a policy of this dialect.
    pub dialect: Option<Dialect>,
    /// Reads a text; absent from formats that are only written.
    pub read: Option<fn(&str) -> Reading>,
    /// Whether a text looks like this format; of several the first of [`ALL`] counts.
    pub detect: fn(&str) -> bool,
    /// Writes a policy.
    pub write: fn(&Policy) -> Result<String, Vec<Diagnostic>>,
}

/// Every format.
pub const ALL: &[Format] = &[
    Format {
        name: "docker",
        summary: "JSON profile as the Docker engine reads it",
        dialect: Some(Dialect::Docker),
        read: Some(|text| profile::read(text, Some(Dialect::Docker))),
        detect: looks_like_json,
        write: |policy| profile::write(policy, Dialect::Docker),
    },
    Format {
        name: "oci",
        summary: "JSON profile as runc, crun, containerd and the kubelet read it",
        dialect: Some(Dialect::Oci),
        read: Some(|text| profile::read(text, Some(Dialect::Oci))),
        detect: looks_like_json,
        write: |policy| profile::write(policy, Dialect::Oci),
    },
    Format {
        name: "containers",
        summary: "JSON profile as Podman, Buildah and CRI-O read it",
        dialect: Some(Dialect::Containers),
        read: Some(|text| profile::read(text, Some(Dialect::Containers))),
        detect: looks_like_json,
        write: |policy| profile::write(policy, Dialect::Containers),
    },
    Format {
        name: "kafel",
        summary: "policy of Kafel, as nsjail reads it",
        dialect: None,
        read: Some(kafel::read),
        detect: kafel::detect,
        write: kafel::write,
    },
    Format {
        name: "systemd",
        summary: "unit file of systemd, with SystemCallFilter= and its kin",
        dialect: None,
        read: Some(systemd::read),
        detect: systemd::detect,
        write: systemd::write,
    },
    Format {
        name: "libseccomp-c",
        summary: "C source with libseccomp's calls",
        dialect: None,
        read: None,
        detect: |_| false,
        write: libseccomp_c::write,
    },
];

/// The format of this name.
pub fn named(name: &str) -> Option<&'static Format> {
    ALL.iter().find(|format| format.name == name)
}

/// The format that a text looks like; `None` when it looks like none.
pub fn detect(text: &str) -> Option<&'static Format> {
    ALL.iter().find(|format| (format.detect)(text))
}

/// Reads a text in a stated format, or in the one that it looks like, and says which. JSON says by
/// its keys whose it is, and a text that looks like nothing is read as JSON, which says where it
/// ends to be that.
pub fn read(text: &str, stated: Option<&'static Format>) -> (Option<&'static Format>, Reading) {
    let foreign = stated.or_else(|| detect(text).filter(|_| !looks_like_json(text)));
    if let Some((format, read)) = foreign.and_then(|format| Some((format, format.read?))) {
        return (Some(format), read(text));
    }
    let mut reading = profile::read(text, None);
    if !looks_like_json(text)
        && let Some(error) = reading.diagnostics.pop()
    {
        reading.diagnostics.push(error.help(
            "it looks like no known format, so it was read as JSON; `--dialect kafel` or `--dialect systemd` reads it as that",
        ));
    }
    let format = reading.dialect.and_then(|dialect| named(dialect.name()));
    (format, reading)
}

fn looks_like_json(text: &str) -> bool {
    text.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '['])
        && !systemd::detect(text)
}
