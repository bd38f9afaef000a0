//! systemd's unit files: `SystemCallFilter=` and its kin.
//!
//! [`read`] takes a whole unit file, a drop-in, or the bare lines of
//!
//! | setting | what it says |
//! |---|---|
//! | `SystemCallFilter=` | the calls that are allowed, or with a `~` in front those that are refused; `@groups`; behind a colon what a refused one gets |
//! | `SystemCallErrorNumber=` | what a refused call gets: an error; without it the process is killed |
//! | `SystemCallLog=` | the calls that are logged, or with a `~` in front those that are not |
//! | `SystemCallArchitectures=` | the architectures that stay; the thread ends on a call of any other |
//!
//! # What it means
//!
//! - The first list decides: an allow list refuses what is not in it, a deny list allows it.
//!   Later lists add calls or take them away. An empty assignment takes everything back.
//! - With an allow list `@default` is allowed too: what every program needs.
//! - Names and groups that nobody knows are ignored, with a warning, as systemd does it.
//! - systemd loads a filter for each architecture that the machine has, and each of them lets the
//!   others pass. So the policy is for a machine's own ABI and its
//!   [companions](callgate_syscalls::Abi::companions), and its `other` is ALLOW; with
//!   `SystemCallArchitectures=` it is for those that are listed, and `other` ends the thread.
//! - A call that x86, s390 and others reach through `socketcall` or `ipc` as well has its verdict
//!   there too: entries with the selector for the ABIs that have the way.
//!
//! The members of a group are those of the systemd release that [`callgate_syscalls::groups`]
//! names; other releases have others. What systemd adds by itself, such as `write` for the start
//! of a service, and what other settings load (`RestrictNamespaces=` and so on) is no part of the
//! policy; a note says which settings those are.
//!
//! Sources: systemd.exec(5), systemd.syntax(7); `config_parse_syscall_filter` in
//! `src/core/load-fragment.c` and `src/shared/seccomp-util.c` of systemd.
//!
//! ```
//! use callgate_policy::formats::systemd;
//!
//! let text = "[Service]\nSystemCallFilter=~@swap reboot:EPERM\n";
//! let policy = systemd::read(text).policy.unwrap();
//! assert_eq!(policy.default.value.to_string(), "allow");
//! assert_eq!(systemd::write(&policy).unwrap(), "\
//! [Service]
//! SystemCallFilter=~@swap
//! SystemCallFilter=~reboot:EPERM
//! ");
//!
//! let reading = systemd::read("SystemCallFilter=@mout");
//! let found = &reading.diagnostics[0];
//! assert_eq!(found.message, "there is no group `@mout`; systemd ignores it");
//! assert_eq!(found.primary().unwrap().text, "did you mean `@mount`?");
//! ```

mod calls;
mod cover;
mod lines;
mod policy;
mod reader;
mod words;
mod writer;

use alloc::{string::String, vec::Vec};

use callgate_diagnostic::Diagnostic;

use super::Reading;
use crate::Policy;

/// Reads the settings of a unit file.
pub fn read(text: &str) -> Reading {
    reader::read(text)
}

/// Writes a policy as a drop-in, with groups where they fit, that [`read`] reads back as the same
/// meaning.
///
/// # Errors
///
/// `cannot-write`, one for each thing that systemd has no words for: conditions on arguments,
/// actions other than ALLOW, LOG, ERRNO and the end of the process, verdicts that differ between
/// architectures, a container profile.
pub fn write(policy: &Policy) -> Result<String, Vec<Diagnostic>> {
    writer::write(policy)
}

/// Whether a text is a unit file, or has one of the settings.
pub(super) fn detect(text: &str) -> bool {
    lines::looks_like_a_unit(text)
}
