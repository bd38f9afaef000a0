//! Errors and findings on standard error, or as JSON.

mod json;
mod places;
mod text;

pub use self::{
    json::{JsonDiagnostic, diagnostics as json_diagnostics},
    text::{
        diagnostics, error, findings, moves_the_cursor, note, printable_name, say, say_line,
        warning,
    },
};
