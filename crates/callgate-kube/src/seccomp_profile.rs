//! The `SeccompProfile` resource of the Security Profiles Operator, as a text format among the
//! others.
//!
//! The operator writes the resource's `spec` as JSON into a file, which the node's runtime reads in
//! the form of the runtime specification. So does this reader: it makes that JSON, has it read in
//! [`Dialect::Oci`], and puts every place where it comes from in the YAML. The writer goes the same
//! way back.
//!
//! What the API server and the operator do before is done here too:
//!
//! - A key that the resource does not have is dropped, and keys are compared exactly. One that
//!   would have meant something to a runtime is refused (`dropped-key`).
//! - `errnoRet: 0` counts as none, which is EPERM. The default's number has no key: it is EPERM.
//! - Numbers are signed in the API: none is above 2^63−1.
//! - What a base profile allows comes on top (`baseProfileName`). It is in the cluster, so such a
//!   profile is refused (`base-profile`).
//!
//! Sources: `api/seccompprofile` and `internal/pkg/daemon/seccompprofile` of
//! kubernetes-sigs/security-profiles-operator.
//!
//! ```
//! use callgate_kube::seccomp_profile;
//!
//! let text = "\
//! apiVersion: security-profiles-operator.x-k8s.io/v1beta1
//! kind: SeccompProfile
//! metadata:
//!   name: web
//! spec:
//!   defaultAction: SCMP_ACT_ERNO
//! ";
//! let reading = seccomp_profile::read(text);
//! let place = reading.diagnostics[0].primary().unwrap();
//! assert_eq!(place.span.of(text), "SCMP_ACT_ERNO");
//! assert_eq!(place.text, "did you mean `SCMP_ACT_ERRNO`?");
//! ```

mod places;
mod reader;
mod writer;

use callgate_diagnostic::Diagnostic;
use callgate_policy::{
    Dialect, Policy,
    formats::{Format, Reading},
};

/// The resource's group.
pub const GROUP: &str = "security-profiles-operator.x-k8s.io";

/// The resource's kind.
pub const KIND: &str = "SeccompProfile";

/// The format, for those who list formats.
pub static FORMAT: Format = Format {
    name: "spo",
    summary: "SeccompProfile resource of Kubernetes' Security Profiles Operator, in YAML",
    dialect: Some(Dialect::Oci),
    read: Some(read),
    detect,
    write,
};

/// Whether a text holds such a resource.
pub fn detect(text: &str) -> bool {
    text.contains(GROUP) && text.contains(KIND)
}

/// Reads the one resource of this kind in a text of one or more documents. Lists are looked into,
/// and other objects left alone.
pub fn read(text: &str) -> Reading {
    reader::read(text)
}

/// Writes a policy as a resource called `profile`, in the version that all releases of the operator
/// take.
///
/// # Errors
///
/// `cannot-write`, one for each thing that the resource has no words for.
pub fn write(policy: &Policy) -> Result<String, Vec<Diagnostic>> {
    write_named(policy, "profile")
}

/// As [`write()`], with a name, which [`crate::names::object`] would take.
///
/// # Errors
///
/// As [`write()`].
pub fn write_named(policy: &Policy, name: &str) -> Result<String, Vec<Diagnostic>> {
    writer::write(policy, name)
}
