//! A filter from the text of a profile.

use std::{error, fmt};

use callgate_compile::CompileError;
use callgate_diagnostic::Diagnostic;
use callgate_policy::{Dialect, NewerCalls, Target, formats::profile};
use callgate_syscalls::{Abi, CapabilitySet, KernelVersion};

use crate::Filter;

impl Filter {
    /// Reads a JSON profile as its dialect's consumer would, for the machine's own ABI and those
    /// that the profile names for it, and proves the program.
    ///
    /// `capabilities` and `kernel` decide the profile's conditions. Warnings do not hinder;
    /// `callgate check` shows them.
    ///
    /// # Errors
    ///
    /// When the text has errors ([`ProfileError::diagnostics`]) or cannot be compiled.
    pub fn from_profile(
        text: &str,
        dialect: Dialect,
        capabilities: CapabilitySet,
        kernel: KernelVersion,
    ) -> Result<Filter, ProfileError> {
        let native = Abi::native().ok_or(Kind::NoNativeAbi)?;
        let target = Target { native, abis: None, capabilities, kernel, newer: NewerCalls::Enosys };
        let mut reading = profile::read(text, Some(dialect));
        let ruleset = reading.policy.and_then(|policy| {
            let resolution = policy.resolve(&target);
            reading.diagnostics.extend(resolution.diagnostics);
            resolution.ruleset
        });
        let Some(ruleset) = ruleset else {
            return Err(Kind::Text(reading.diagnostics).into());
        };
        let compiled = callgate_compile::compile(&ruleset).map_err(Kind::Compile)?;
        Ok(Filter::proved(compiled, ruleset.flags))
    }
}

/// Why a profile makes no filter.
#[derive(Clone, Debug)]
pub struct ProfileError {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    NoNativeAbi,
    Text(Vec<Diagnostic>),
    Compile(CompileError),
}

impl From<Kind> for ProfileError {
    fn from(kind: Kind) -> ProfileError {
        ProfileError { kind }
    }
}

impl ProfileError {
    /// What was found in the text, errors and warnings; empty when the text is not the reason.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match &self.kind {
            Kind::Text(diagnostics) => diagnostics,
            _ => &[],
        }
    }
}

impl error::Error for ProfileError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &self.kind {
            Kind::Compile(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::NoNativeAbi => f.write_str("no system call table for this machine"),
            Kind::Compile(error) => error.fmt(f),
            Kind::Text(diagnostics) => {
                let mut errors = diagnostics.iter().filter(|d| d.is_error());
                match errors.next() {
                    Some(first) => write!(f, "{first}")?,
                    None => f.write_str("the profile has errors")?,
                }
                match errors.count() {
                    0 => Ok(()),
                    more => write!(f, " (and {more} more)"),
                }
            }
        }
    }
}
