//! One thing found.

use alloc::string::String;

use callgate_bpf::{Action, SeccompData};
use callgate_diagnostic::{Diagnostic, Edit, Label, Severity};

use super::catalog;

/// One thing found in a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What was found, where in the text, and how to mend it.
    pub diagnostic: Diagnostic,
    /// One sentence on what an attacker or a user gains or loses.
    pub consequence: String,
    /// A call that shows it, where one does.
    pub example: Option<Example>,
    /// The instruction that it is about, of a filter without a text.
    pub instruction: Option<InstructionPlace>,
}

/// A call, and what the filter does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Example {
    /// The call.
    pub call: SeccompData,
    /// What becomes of it.
    pub action: Action,
    /// The call that it stands against: another spelling of the same, which is treated otherwise.
    pub against: Option<(SeccompData, Action)>,
}

/// An instruction of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstructionPlace {
    /// Which filter of a stack, counted from the newest.
    pub filter: usize,
    /// Which instruction of it.
    pub index: usize,
}

impl Finding {
    /// A finding of an id of the catalogue.
    pub(super) fn new(
        id: &'static str,
        message: impl Into<String>,
        consequence: impl Into<String>,
    ) -> Finding {
        let lint = catalog::find(id).expect("every id is in the catalogue");
        Finding {
            diagnostic: Diagnostic::new(lint.id, lint.severity, message),
            consequence: consequence.into(),
            example: None,
            instruction: None,
        }
    }

    #[must_use]
    pub(super) fn severity(mut self, severity: Severity) -> Finding {
        self.diagnostic.severity = severity;
        self
    }

    #[must_use]
    pub(super) fn error(self) -> Finding {
        self.severity(Severity::Error)
    }

    #[must_use]
    pub(super) fn example(mut self, example: Example) -> Finding {
        self.example = Some(example);
        self
    }

    #[must_use]
    pub(super) fn labels(mut self, labels: impl IntoIterator<Item = Label>) -> Finding {
        self.diagnostic.labels.extend(labels);
        self
    }

    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Finding {
        self.diagnostic.help = Some(help.into());
        self
    }

    #[must_use]
    pub(super) fn edits(mut self, edits: impl IntoIterator<Item = Edit>) -> Finding {
        self.diagnostic.edits.extend(edits);
        self
    }

    #[must_use]
    pub(super) fn at_instruction(mut self, filter: usize, index: usize) -> Finding {
        self.instruction = Some(InstructionPlace { filter, index });
        self
    }
}

/// What a reader of a text found, which shows itself by no call.
impl From<Diagnostic> for Finding {
    fn from(diagnostic: Diagnostic) -> Finding {
        Finding { diagnostic, consequence: String::new(), example: None, instruction: None }
    }
}
