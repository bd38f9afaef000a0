//! Why a text is no program.

use alloc::string::String;
use core::fmt;

use crate::Invalid;

/// A text that is no program: where, what was expected and what stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    line: usize,
    column: usize,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    TextTooLong { bytes: usize },
    TooManyInstructions,
    Expected { what: &'static str, found: String },
    Mnemonic { found: String },
    NumberTooLarge { found: String, most: u32 },
    UnknownField { found: String },
    FieldInUse { field: &'static str },
    LabelTwice { label: String },
    UnknownLabel { label: String },
    Backward { label: String },
    TooFar { label: String, distance: usize },
    Invalid(Invalid),
}

impl Error {
    pub(super) fn new(line: usize, column: usize, kind: Kind) -> Error {
        Error { line, column, kind }
    }

    /// The line, from 1.
    pub const fn line(&self) -> usize {
        self.line
    }

    /// The column, in characters from 1.
    pub const fn column(&self) -> usize {
        self.column
    }

    /// What the kernel would refuse, when the text was understood.
    pub const fn invalid(&self) -> Option<&Invalid> {
        match &self.kind {
            Kind::Invalid(invalid) => Some(invalid),
            _ => None,
        }
    }

    /// Whether a label is the trouble: unknown, defined twice, behind, or too far away.
    pub const fn is_label(&self) -> bool {
        matches!(
            self.kind,
            Kind::LabelTwice { .. }
                | Kind::UnknownLabel { .. }
                | Kind::Backward { .. }
                | Kind::TooFar { .. }
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: ", self.line, self.column)?;
        match &self.kind {
            Kind::TextTooLong { bytes } => {
                write!(f, "the text has {bytes} bytes, at most {} are read", super::MAX_TEXT)
            }
            Kind::TooManyInstructions => {
                write!(f, "the kernel takes {} instructions", crate::MAX_INSTRUCTIONS)
            }
            Kind::Expected { what, found } if found.is_empty() => {
                write!(f, "expected {what}, found the end of the line")
            }
            Kind::Expected { what, found } => write!(f, "expected {what}, found `{found}`"),
            Kind::Mnemonic { found } => write!(
                f,
                "`{found}` is no instruction; there are ld, ldx, st, stx, add, sub, mul, div, or, \
                 and, lsh, rsh, xor, neg, ja, jeq, jne, jgt, jge, jlt, jle, jset, ret, tax, txa, \
                 .raw"
            ),
            Kind::NumberTooLarge { found, most } => {
                write!(f, "`{found}` is too large, at most {most:#x} fits")
            }
            Kind::UnknownField { found } => write!(
                f,
                "`{found}` is no field of the context; write its offset, or a name such as `nr`, \
                 `arch`, `args[0].low`"
            ),
            Kind::FieldInUse { field } => {
                write!(f, "this instruction uses `{field}`: its value comes from the operands")
            }
            Kind::LabelTwice { label } => write!(f, "the label `{label}` is defined twice"),
            Kind::UnknownLabel { label } => write!(f, "the label `{label}` is not defined"),
            Kind::Backward { label } => {
                write!(f, "`{label}` is not further down: a jump only goes forward")
            }
            Kind::TooFar { label, distance } => write!(
                f,
                "`{label}` is {distance} instructions away, a comparison reaches 255: go there by \
                 `ja`"
            ),
            Kind::Invalid(invalid) => write!(f, "{invalid}"),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match &self.kind {
            Kind::Invalid(invalid) => Some(invalid),
            _ => None,
        }
    }
}

/// What fits into a message: the start of the text, without what a terminal would act on.
pub(super) fn excerpt(text: &str) -> String {
    const MOST: usize = 40;
    let mut start: String =
        text.chars().take(MOST).map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        start.push('…');
    }
    start
}
