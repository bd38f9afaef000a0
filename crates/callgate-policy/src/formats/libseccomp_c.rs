//! C with libseccomp's calls, written and not read.
//!
//! [`write()`] gives one C file with a function that makes the filter:
//!
//! ```c
//! int filter_make(scmp_filter_ctx *filter);
//! ```
//!
//! It returns 0, or the negative error number of the call of libseccomp that failed. With
//! `-DFILTER_MAIN` the file is a program that writes the BPF program to its standard output:
//!
//! ```text
//! cc -DFILTER_MAIN filter.c -o filter -lseccomp && ./filter > filter.bpf
//! ```
//!
//! # What it means
//!
//! - The rules of a container profile are given to libseccomp as runc gives them, so they combine
//!   as in the profile. Calls newer than the profile get its default, as with crun: the ENOSYS of
//!   runc is its own work, behind libseccomp's back.
//! - A policy of another language is first-match, and libseccomp has an order of its own. It is
//!   written where the order makes no difference, and refused where it does.
//! - The machine's own architecture is always filtered, as with every runtime.
//! - A new call that the installed libseccomp does not know is left out where that makes the
//!   filter stricter; where it would make it looser, `filter_make` fails with `-ENOSYS`.
//!
//! Of several rules of one call with bounds or "not equal", libseccomp does not always make what
//! they say. Such a program is better compared with the policy before it is relied on.
//!
//! ```
//! use callgate_policy::{Dialect, formats::{libseccomp_c, profile}};
//!
//! let text = r#"{ "defaultAction": "SCMP_ACT_ALLOW",
//!                 "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }] }"#;
//! let policy = profile::read(text, Some(Dialect::Oci)).policy.unwrap();
//! let c = libseccomp_c::write(&policy).unwrap();
//! assert!(c.contains("SCMP_ACT_ERRNO(1)") && c.contains("SCMP_SYS(mkdir)"));
//! ```

mod fit;
mod order;
mod text;

use alloc::{string::String, vec::Vec};

use callgate_diagnostic::Diagnostic;

use crate::Policy;

/// Writes a policy.
///
/// # Errors
///
/// `cannot-write`, one for each thing that libseccomp has no words for: conditions on the machine,
/// a comparison of the low 32 bits other than equality, an argument compared twice, data of a
/// trap, an order of rules that it does not keep.
pub fn write(policy: &Policy) -> Result<String, Vec<Diagnostic>> {
    let rules = fit::rules(policy)?;
    order::check(policy)?;
    Ok(text::file(policy, &rules))
}
