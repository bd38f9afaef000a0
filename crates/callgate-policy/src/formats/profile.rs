//! JSON profiles as container engines and runtimes read them: Docker's form, the runtime
//! specification's, and that of Podman, Buildah and CRI-O.
//!
//! The three look alike and are read by different programs, each of which drops the keys that
//! only another knows. [`read`] reads a text as one of them would, and refuses what that one
//! would drop or misread; [`write()`] writes a policy so that one of them reads it rightly.
//!
//! | key | [`Docker`](Dialect::Docker) | [`Oci`](Dialect::Oci) | [`Containers`](Dialect::Containers) |
//! |---|---|---|---|
//! | `defaultAction`, `architectures`, `syscalls` with `names`, `action`, `errnoRet`, `args` | yes | yes | yes |
//! | `defaultErrnoRet`, `listenerPath`, `listenerMetadata` | engine 23.0 on | yes | yes |
//! | `flags` | engine 23.0 on | runc 1.2 on | runc 1.2 on |
//! | `archMap`, the old `name`, `includes` and `excludes` with `caps` and `arches` | yes | dropped | yes |
//! | `minKernel` in a condition | yes | dropped | dropped |
//! | `defaultErrno`, `errno` | dropped | dropped | yes |
//! | `comment` | ignored | ignored | ignored |
//!
//! Sources: `profiles/seccomp` of moby, `pkg/seccomp` of containers/common, `specs-go` of the
//! runtime specification, and `libcontainer/specconv` and `libcontainer/seccomp` of runc.
//!
//! # What Go's JSON reader does
//!
//! All of them but crun read with Go's `encoding/json`, so this reader accepts what that does,
//! and says so with the place:
//!
//! - a key in another letter case is the same key (`key-case`);
//! - of two equal keys the last counts (`duplicate-key`). For lists of objects and for objects it
//!   is otherwise: Go decodes the second into what the first has left, so that keys of the first
//!   show through. Nobody means that: an error;
//! - `null` is as if the key were not there; as the second of two it empties a list of strings and
//!   removes `errnoRet`, and leaves any other string or number as the first has set it;
//! - keys that it doesn't know are ignored (`unknown-key`);
//! - a value of another type than expected refuses the whole text, and so does a number that is
//!   no whole number from 0 to 2^64-1, such as `1.0`.
//!
//! `null` as an element of a list is refused here: what Go makes of it (an empty name, an empty
//! entry) makes the engine or the runtime fail.
//!
//! ```
//! use callgate_policy::{Dialect, formats::profile};
//!
//! let text = r#"{ "defaultAction": "SCMP_ACT_ALLOW",
//!                 "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_ERNO" }] }"#;
//! let reading = profile::read(text, Some(Dialect::Docker));
//! assert!(reading.policy.is_none());
//! let found = &reading.diagnostics[0];
//! assert_eq!(found.message, "`SCMP_ACT_ERNO` is not an action");
//! assert_eq!(found.primary().unwrap().text, "did you mean `SCMP_ACT_ERRNO`?");
//! ```

mod condition;
mod dialect;
mod entry;
mod errno;
mod fields;
mod reader;
mod words;
mod writer;

use alloc::{string::String, vec::Vec};

use callgate_diagnostic::Diagnostic;

use super::Reading;
use crate::{Dialect, Policy};

/// The JSON Schema (draft 2020-12) of all three dialects together, from which editors complete
/// and check. A profile may name it by a `$schema` key, which every consumer ignores.
pub const SCHEMA: &str = include_str!("../../schema/profile.schema.json");

/// Reads a profile in the dialect of a consumer; without one, in that which its keys speak of,
/// with a note (`dialect`) that says which.
///
/// Found out is: a whole runtime configuration (`config.json`) is [`Dialect::Oci`], and its
/// `linux.seccomp` is read. `minKernel` makes a profile Docker's; else `errno` or `defaultErrno`
/// makes it [`Dialect::Containers`]; else `archMap`, `includes`, `excludes` or `name` makes it
/// Docker's. A text with none of these means the same to all, and is read as [`Dialect::Oci`].
pub fn read(text: &str, dialect: Option<Dialect>) -> Reading {
    reader::read(text, dialect)
}

/// Writes a policy for a consumer: indented JSON that [`read`] reads back as the same policy,
/// places aside.
///
/// # Errors
///
/// `cannot-write`, one for each thing that the dialect has no words for, such as an entry with
/// conditions in [`Dialect::Oci`]. The places are those of the text that the policy came from.
pub fn write(policy: &Policy, dialect: Dialect) -> Result<String, Vec<Diagnostic>> {
    writer::write(policy, dialect)
}
