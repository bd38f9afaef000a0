//! The format: lines of JSON, only ever appended to.
//!
//! The first line is `{"callgate-recording":1}`, the version. Every other line says something of
//! a run, which it names, so lines may stand in any order, twice, or behind those of another
//! recording. A line with counts has those since the start of the run, so a later line takes the
//! place of an earlier one, and what was written last is what is known.
//!
//! | line | says |
//! |---|---|
//! | `{"run":ID,"command":[…],"method":…,"kernel":…,"machine":…,"start":…}` | a run began |
//! | `{"in":ID,"abi":…,"number":…,"name":…,"exe":…,"phase":…,"count":…,…}` | a call was made |
//! | `{"in":ID,"unwatched":{"abi":…,"numbers":[…]}}` | calls that the run did not look at |
//! | `{"in":ID,"lost":{WHAT:COUNT}}` | details that were lost |
//! | `{"in":ID,"library":PATH}` | a library that was loaded |
//! | `{"in":ID,"end":{"after":…,"status":…}}` | the run ended |
//!
//! `name` is there for people; the number counts. Keys that this version does not know are passed
//! over.

mod read;
pub(crate) mod write;

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::Recording;

/// The version of the format that is written, and the only one that is read.
pub const FORMAT_VERSION: u64 = 1;

/// The key of the first line.
const HEADER: &str = "callgate-recording";

/// The longest line that is read, in bytes.
const LINE_LIMIT: usize = 1 << 20;

/// The most facts that are read from one file.
const FACT_LIMIT: usize = 1 << 20;

/// A recording that was read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reading {
    /// What it says.
    pub recording: Recording,
    /// The last line, counted from 1, where it was torn and dropped: the recorder was killed
    /// while it wrote.
    pub torn: Option<usize>,
    /// The bytes that count: all but a torn last line.
    pub whole: usize,
}

impl Recording {
    /// Reads a recording.
    ///
    /// # Errors
    ///
    /// When the text is none, or a line other than the last is torn or makes no sense;
    /// [`FormatError::line`] says which.
    pub fn read(bytes: &[u8]) -> Result<Reading, FormatError> {
        read::read(bytes)
    }

    /// The recording as text, the same for the same recording.
    pub fn to_text(&self) -> String {
        write::text(self)
    }
}

/// Why a text is no recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError {
    line: usize,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    NoHeader,
    Version(u64),
    LongLine,
    TooMuch,
    Json(String),
    Field(&'static str, String),
    Nothing,
}

impl FormatError {
    /// The line, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Whether the text is not even the beginning of a recording.
    pub fn is_something_else(&self) -> bool {
        self.kind == Kind::NoHeader
    }
}

impl std::error::Error for FormatError {}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match &self.kind {
            Kind::NoHeader => write!(
                f,
                "this is no recording: its first line would be {{\"{HEADER}\":{FORMAT_VERSION}}}"
            ),
            Kind::Version(version) => write!(
                f,
                "a recording of version {version}, and this program reads version {FORMAT_VERSION}"
            ),
            Kind::LongLine => write!(f, "longer than {LINE_LIMIT} bytes, which no recorder writes"),
            Kind::TooMuch => write!(f, "more than {FACT_LIMIT} facts"),
            Kind::Json(why) => write!(f, "no JSON object: {why}"),
            Kind::Field(field, why) => write!(f, "`{field}`: {why}"),
            Kind::Nothing => f.write_str("a line that says nothing this program knows"),
        }
    }
}

/// The line of a run's beginning.
#[derive(Serialize, Deserialize)]
struct RunLine {
    run: String,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    method: String,
    #[serde(default)]
    kernel: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    machine: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<u64>,
}

/// Every other line: a call, or one of the rest.
#[derive(Default, Serialize, Deserialize)]
struct InLine {
    #[serde(rename = "in")]
    run: String,
    #[serde(flatten, skip_deserializing)]
    call: Option<CallLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unwatched: Option<UnwatchedLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lost: Option<BTreeMap<String, u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    library: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<EndLine>,
}

#[derive(Serialize, Deserialize)]
struct CallLine {
    abi: String,
    number: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    exe: String,
    phase: String,
    count: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    refused: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    args: BTreeMap<String, ValuesLine>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    errors: BTreeMap<String, u64>,
    /// First and last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seen: Option<(u64, u64)>,
}

/// An argument: its values, or the bits that more of them than are listed had.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum ValuesLine {
    Listed(Vec<u64>),
    Mask { mask: u64 },
}

#[derive(Serialize, Deserialize)]
struct UnwatchedLine {
    abi: String,
    numbers: Vec<u32>,
}

#[derive(Serialize, Deserialize)]
struct EndLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u8>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
