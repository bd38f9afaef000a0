//! Recordings: what was called, in which runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use callgate_bpf::SyscallNr;
use callgate_syscalls::Abi;

use crate::Values;

/// A call as a filter tells it apart: an ABI and a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "this is all that identifies a call")]
pub struct Call {
    /// How it was made.
    pub abi: Abi,
    /// Its number, as the filter sees it: x32's with bit 30.
    pub number: SyscallNr,
}

impl Call {
    /// The name that the tables have for it.
    pub fn name(self) -> Option<&'static str> {
        self.abi.name_of(self.number)
    }
}

/// When in a run a call was made.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "the format has a word for each")]
pub enum Phase {
    /// The source does not tell.
    Unknown,
    /// While the program starts.
    StartUp,
    /// After that.
    Running,
    /// After a marker of this name.
    After(String),
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Phase::Unknown => f.write_str("unknown"),
            Phase::StartUp => f.write_str("start-up"),
            Phase::Running => f.write_str("running"),
            Phase::After(marker) => write!(f, "after:{marker}"),
        }
    }
}

/// Any other text is no phase.
impl FromStr for Phase {
    type Err = ();

    fn from_str(text: &str) -> Result<Phase, ()> {
        Ok(match text {
            "unknown" => Phase::Unknown,
            "start-up" => Phase::StartUp,
            "running" => Phase::Running,
            _ => Phase::After(text.strip_prefix("after:").ok_or(())?.to_owned()),
        })
    }
}

/// What a fact is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "these are what facts are kept apart by")]
pub struct Key {
    /// The call.
    pub call: Call,
    /// The executed file; empty where nobody knows it. Bytes of its path that are not UTF-8 are
    /// replaced.
    pub executable: String,
    /// When it was made.
    pub phase: Phase,
}

/// What is known of a call by an executable in a phase of a run.
///
/// A fact only grows, and joining two states of it gives the later one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fact {
    /// How often it was seen.
    pub count: u64,
    /// How many of these a filter kept from running.
    pub refused: u64,
    /// The arguments that choose what the call does, by position.
    pub arguments: BTreeMap<u8, Values>,
    /// How often it failed with which error.
    pub errors: BTreeMap<u16, u64>,
    /// When it was first and last seen, in milliseconds from the start of the run; none where the
    /// source has no times.
    pub seen: Option<(u64, u64)>,
}

impl Fact {
    pub(crate) fn join(&mut self, other: &Fact) {
        self.count = self.count.max(other.count);
        self.refused = self.refused.max(other.refused);
        for (&index, values) in &other.arguments {
            self.arguments.entry(index).or_insert_with(Values::none).join(values);
        }
        join_counts(&mut self.errors, &other.errors);
        self.seen = match (self.seen, other.seen) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
    }
}

/// The name of a run: 64 bits, different for every run, and the same for every copy of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(u64);

impl RunId {
    /// A run by its number.
    pub const fn new(number: u64) -> RunId {
        RunId(number)
    }

    /// The run that a file of another tool tells of: read twice, it is one run (64-bit FNV-1a).
    pub fn of_file(bytes: &[u8]) -> RunId {
        RunId(bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }))
    }
}

/// Sixteen hexadecimal digits.
impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for RunId {
    type Err = ();

    fn from_str(text: &str) -> Result<RunId, ()> {
        let whole = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if whole { u64::from_str_radix(text, 16).map(RunId).map_err(|_| ()) } else { Err(()) }
    }
}

/// What is known of a run from its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "the line of a run has these fields")]
pub struct RunInfo {
    /// The command, or what else was watched.
    pub command: Vec<String>,
    /// How it was watched: `notify`, `ebpf`, `strace`, `audit`.
    pub method: String,
    /// The kernel's release, where known.
    pub kernel: String,
    /// The machine's own ABI, where known.
    pub machine: Option<Abi>,
    /// Milliseconds since 1970, where known.
    pub start: Option<u64>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "the line of an end has these fields")]
pub struct End {
    /// Milliseconds from the start; none where the source has no times.
    pub after: Option<u64>,
    /// The command's exit status, as a shell has it; none where nobody knows it.
    pub status: Option<u8>,
}

/// One run of a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run {
    /// What is known from the beginning.
    pub info: RunInfo,
    /// None where the recording was cut off.
    pub end: Option<End>,
    /// What was called.
    pub facts: BTreeMap<Key, Fact>,
    /// Calls that this run let pass without looking, since earlier recordings knew them: that
    /// they do not occur here says nothing.
    pub unwatched: BTreeSet<Call>,
    /// What was lost of the details, in words, and how often.
    pub losses: BTreeMap<String, u64>,
    /// Libraries that were seen to be loaded.
    pub libraries: BTreeSet<String>,
}

impl Run {
    /// The calls that were seen.
    pub fn calls(&self) -> BTreeSet<Call> {
        self.facts.keys().map(|key| key.call).collect()
    }

    /// All calls that were counted.
    pub fn count(&self) -> u64 {
        self.facts.values().fold(0, |sum, fact| sum.saturating_add(fact.count))
    }

    /// When a call was first seen, in milliseconds from the start.
    pub fn first_seen(&self, call: Call) -> Option<u64> {
        let of_call = self.facts.iter().filter(|(key, _)| key.call == call);
        of_call.filter_map(|(_, fact)| Some(fact.seen?.0)).min()
    }

    fn join(&mut self, other: &Run) {
        if other.info > self.info {
            self.info = other.info.clone();
        }
        self.end = self.end.max(other.end);
        for (key, fact) in &other.facts {
            self.facts.entry(key.clone()).or_default().join(fact);
        }
        self.unwatched.extend(&other.unwatched);
        join_counts(&mut self.losses, &other.losses);
        self.libraries.extend(other.libraries.iter().cloned());
    }
}

/// Runs and what was called in them.
///
/// Merging is the union of runs; of a run that both have, the union of what is known of it. So
/// recordings merge in any order, any number of times, to the same.
///
/// ```
/// use callgate_record::{Recording, Reading};
///
/// let text = b"{\"callgate-recording\":1}\n";
/// let Reading { recording, torn, .. } = Recording::read(text)?;
/// assert!(recording.runs.is_empty() && torn.is_none());
/// # Ok::<(), callgate_record::FormatError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recording {
    /// The runs.
    pub runs: BTreeMap<RunId, Run>,
}

impl Recording {
    /// A recording of one run.
    pub fn of_run(id: RunId, run: Run) -> Recording {
        Recording { runs: BTreeMap::from([(id, run)]) }
    }

    /// Adds what another recording knows.
    pub fn merge(&mut self, other: &Recording) {
        for (&id, run) in &other.runs {
            self.runs.entry(id).or_default().join(run);
        }
    }

    /// The calls that were seen in any run.
    pub fn calls(&self) -> BTreeSet<Call> {
        self.runs.values().flat_map(Run::calls).collect()
    }

    /// Every fact with the run that it is of.
    pub fn facts(&self) -> impl Iterator<Item = (RunId, &Key, &Fact)> {
        self.runs.iter().flat_map(|(&id, run)| run.facts.iter().map(move |(k, f)| (id, k, f)))
    }
}

/// Counts of one run grow, so of two the larger is the later.
fn join_counts<K: Ord + Clone>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (key, &count) in from {
        let known = into.entry(key.clone()).or_default();
        *known = count.max(*known);
    }
}
