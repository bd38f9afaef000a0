//! A filter from the text of a profile.

use std::{error, fmt};

use callgate_compile::CompileError;
use callgate_diagnostic::Diagnostic;
use callgate_policy::{Dialect, Target, builtin, formats::profile};

use crate::Filter;

impl Filter {
    /// Reads a JSON profile as its dialect's consumer would, and proves the program.
    ///
    /// The target, for instance [`this_machine`](crate::this_machine), decides what depends on
    /// architecture, capabilities and kernel. Warnings don't hinder: [`Filter::warnings`].
    ///
    /// ```
    /// use callgate::{Abi, Action, CapabilitySet, Dialect, Filter, KernelVersion, NewerCalls};
    /// use callgate::{SeccompData, Syscall, Target};
    ///
    /// let text = r#"{ "defaultAction": "SCMP_ACT_ALLOW",
    ///                 "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO" }] }"#;
    /// let target = Target {
    ///     native: Abi::X86_64,
    ///     abis: None,
    ///     capabilities: CapabilitySet::EMPTY,
    ///     kernel: KernelVersion::new(6, 12),
    ///     newer: NewerCalls::Enosys,
    /// };
    /// let filter = Filter::from_profile(text, Dialect::Docker, &target)?;
    /// let mkdir = Syscall::mkdir.number(Abi::X86_64).unwrap();
    /// let call = SeccompData::new(Abi::X86_64.audit(), mkdir);
    /// assert_eq!(filter.answer(&call), Action::Errno(1));
    ///
    /// let error = Filter::from_profile(&text.replace("ERRNO", "ERNO"), Dialect::Docker, &target);
    /// assert_eq!(
    ///     error.unwrap_err().to_string(),
    ///     "line 2, column 63: error[unknown-action]: `SCMP_ACT_ERNO` is not an action",
    /// );
    /// # Ok::<(), callgate::ProfileError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the text has errors ([`ProfileError::diagnostics`] has all of them, with places), or
    /// its rules cannot be compiled ([`ProfileError::compile_error`]).
    pub fn from_profile(
        text: &str,
        dialect: Dialect,
        target: &Target,
    ) -> Result<Filter, ProfileError> {
        let mut reading = profile::read(text, Some(dialect));
        let ruleset = reading.policy.and_then(|policy| {
            let resolution = policy.resolve(target);
            reading.diagnostics.extend(resolution.diagnostics);
            resolution.ruleset
        });
        let Some(ruleset) = ruleset else {
            if let Some(policy) = &reading.salvaged {
                reading.diagnostics.extend(policy.unknown_names(target));
            }
            return Err(ProfileError::of_text(text, reading.diagnostics));
        };
        let compiled = callgate_compile::compile(&ruleset)
            .map_err(|error| ProfileError { kind: Kind::Compile(error) })?;
        Ok(Filter::of_profile(compiled.into_program(), ruleset.flags, reading.diagnostics))
    }

    /// The profile that the Docker engine gives a container that asks for nothing.
    ///
    /// ```
    /// # #[cfg(target_os = "linux")] {
    /// use callgate::{CapabilitySet, Filter, this_machine};
    ///
    /// let filter = Filter::docker_default(&this_machine(CapabilitySet::DOCKER_DEFAULT)?)?;
    /// assert!(filter.warnings().is_empty());
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Filter::from_profile`], for a target that it cannot be compiled for.
    pub fn docker_default(target: &Target) -> Result<Filter, ProfileError> {
        let builtin = builtin::named("docker-default").expect("it is one of `builtin::ALL`");
        Filter::from_profile(builtin.text, Dialect::Docker, target)
    }
}

/// Why a profile makes no filter.
#[derive(Clone, Debug)]
pub struct ProfileError {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Text { diagnostics: Vec<Diagnostic>, summary: String },
    Compile(CompileError),
}

impl ProfileError {
    fn of_text(text: &str, diagnostics: Vec<Diagnostic>) -> ProfileError {
        let mut errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error());
        let mut summary = String::new();
        if let Some(first) = errors.next() {
            if let Some(label) = first.primary() {
                let (line, column) = label.span.line_and_column(text);
                summary = format!("line {line}, column {column}: ");
            }
            summary += &first.to_string();
        }
        match errors.count() {
            0 => {}
            more => summary += &format!(" (and {more} more)"),
        }
        ProfileError { kind: Kind::Text { diagnostics, summary } }
    }

    /// What was found in the text, errors and warnings; empty when the text is not the reason.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match &self.kind {
            Kind::Text { diagnostics, .. } => diagnostics,
            Kind::Compile(_) => &[],
        }
    }

    /// Why the rules could not be compiled, if that is the reason.
    pub fn compile_error(&self) -> Option<&CompileError> {
        match &self.kind {
            Kind::Compile(error) => Some(error),
            Kind::Text { .. } => None,
        }
    }
}

impl error::Error for ProfileError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        // The text of a compile error is this error's own.
        self.compile_error().and_then(|error| error.source())
    }
}

/// The first error of the text with its place, and how many more there are.
impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Text { summary, .. } => f.write_str(summary),
            Kind::Compile(error) => error.fmt(f),
        }
    }
}
