//! The policy of one target as the OCI runtime form can say it.

use alloc::vec::Vec;

use callgate_diagnostic::Spanned;

use crate::{Architectures, Condition, Dialect, Entry, Policy, Target};

impl Policy {
    /// The same policy with every condition decided for this target: the entries that apply,
    /// without `includes` and `excludes`, and a plain list of architectures.
    ///
    /// Docker, Podman and the OCI runtimes all read the result alike.
    #[must_use]
    pub fn flatten(&self, target: &Target) -> Policy {
        let place = self.default.span;
        let abis = self.target_abis(target);
        let applying = self.entries.iter().filter(|entry| entry.applies_to(target));
        Policy {
            dialect: self.dialect.map(|_| Dialect::Oci),
            default: self.default,
            architectures: Architectures::List(
                abis.into_iter().map(|abi| Spanned::new(abi, place)).collect(),
            ),
            other: self.other,
            flags: self.flags.clone(),
            listener: self.listener.clone(),
            entries: applying
                .map(|entry| Entry {
                    includes: Condition::default(),
                    excludes: Condition::default(),
                    ..entry.clone()
                })
                .collect::<Vec<_>>(),
        }
    }
}
