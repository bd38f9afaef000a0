//! Errors and findings on standard error, as JSON, or as SARIF.

mod json;
mod places;
mod sarif;
mod text;

pub use self::{
    json::{JsonDiagnostic, diagnostics as json_diagnostics},
    places::Places,
    sarif::{SarifResult, SarifRule, sarif},
    text::{
        diagnostics, error, findings, moves_the_cursor, note, printable_name, say, say_line,
        warning,
    },
};
