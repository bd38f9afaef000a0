//! From observations to a run, whoever observes.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use callgate_bpf::{Architecture, SyscallNr};
use callgate_syscalls::abi_of;

use crate::{
    Call, End, Fact, Key, Phase, Run, RunId, RunInfo, Values,
    format::write::{self, Change},
    values,
};

/// A call, or several alike, as something saw them. Every back end and every reader of another
/// tool's file makes these.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "every back end makes these")]
pub struct Observation<'a> {
    /// The architecture of the call.
    pub architecture: Architecture,
    /// Its number, x32's with bit 30.
    pub number: SyscallNr,
    /// The executed file; empty where nobody knows it.
    pub executable: &'a str,
    /// What is known of the arguments.
    pub arguments: Arguments,
    /// How many calls this is; 0 adds what is known to calls that were counted already.
    pub count: u64,
    /// The error that it failed with.
    pub errno: Option<u16>,
    /// Whether a filter kept it from running.
    pub refused: bool,
    /// Milliseconds from the start of the run.
    pub at: Option<u64>,
}

/// What an observation knows of a call's arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the recorder treats each")]
pub enum Arguments {
    /// Nothing: they may have been anything.
    Unknown,
    /// Other observations of the same calls say what they were, all of them.
    Elsewhere,
    /// The registers; none for one that is not known.
    Registers([Option<u64>; 6]),
}

/// A run while it is being recorded.
pub struct Recorder {
    id: RunId,
    run: Run,
    phase: Phase,
    calls: BTreeSet<Call>,
    /// What changed since the last flush.
    changed: BTreeSet<Key>,
    rest_changed: bool,
    begun: bool,
}

impl Recorder {
    /// The most facts that a run keeps; further ones are counted as lost.
    pub const MOST_FACTS: usize = 200_000;

    /// A run that begins now.
    pub fn new(id: RunId, info: RunInfo) -> Recorder {
        Recorder {
            id,
            run: Run { info, ..Run::default() },
            phase: Phase::Unknown,
            calls: BTreeSet::new(),
            changed: BTreeSet::new(),
            rest_changed: false,
            begun: false,
        }
    }

    /// From now on calls are of this phase.
    pub fn enter(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// Takes an observation. The result is whether the call is new to the run.
    pub fn observe(&mut self, seen: &Observation<'_>) -> bool {
        let Some(abi) = abi_of(seen.architecture, seen.number) else {
            self.lose("calls of an unknown architecture", seen.count.max(1));
            return false;
        };
        let call = Call { abi, number: seen.number };
        let phase = self.phase.clone();
        let key = Key { call, executable: seen.executable.to_owned(), phase };
        if !self.run.facts.contains_key(&key) && self.run.facts.len() >= Recorder::MOST_FACTS {
            self.lose("calls of more executables than a run keeps", seen.count.max(1));
            return false;
        }
        let fact = self.run.facts.entry(key.clone()).or_default();
        fact.count = fact.count.saturating_add(seen.count);
        if seen.refused {
            fact.refused = fact.refused.saturating_add(seen.count);
        }
        if let Some(errno) = seen.errno {
            let count = fact.errors.entry(errno).or_default();
            *count = count.saturating_add(seen.count);
        }
        if let Some(at) = seen.at {
            let (first, last) = fact.seen.unwrap_or((at, at));
            fact.seen = Some((first.min(at), last.max(at)));
        }
        learn(fact, call, seen.arguments);
        self.changed.insert(key);
        self.calls.insert(call)
    }

    /// Takes what is known of a call in all, with counts since the start of the phase: for what
    /// counts by itself. The result is whether the call is new to the run.
    pub fn know(&mut self, call: Call, executable: &str, fact: &Fact) -> bool {
        let key = Key { call, executable: executable.to_owned(), phase: self.phase.clone() };
        let full = self.run.facts.len() >= Recorder::MOST_FACTS;
        match self.run.facts.get_mut(&key) {
            None if full => self.lose("calls of more executables than a run keeps", 1),
            known => {
                let before = known.as_deref().cloned();
                let known = self.run.facts.entry(key.clone()).or_default();
                known.join(fact);
                if before.as_ref() != Some(known) {
                    self.changed.insert(key);
                }
            }
        }
        self.calls.insert(call)
    }

    /// Counts a loss of detail.
    pub fn lose(&mut self, what: &str, count: u64) {
        let known = self.run.losses.entry(what.to_owned()).or_default();
        *known = known.saturating_add(count);
        self.rest_changed = true;
    }

    /// Notes calls that this run does not look at.
    pub fn leave_unwatched(&mut self, calls: impl IntoIterator<Item = Call>) {
        self.run.unwatched.extend(calls);
        self.rest_changed = true;
    }

    /// Notes a library that was loaded.
    pub fn library(&mut self, path: &str) {
        self.rest_changed |= self.run.libraries.insert(path.to_owned());
    }

    /// Notes the end.
    pub fn end(&mut self, end: End) {
        self.run.end = Some(end);
        self.rest_changed = true;
    }

    /// What is known so far.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Whether there is something to write.
    pub fn has_news(&self) -> bool {
        !self.begun || self.rest_changed || !self.changed.is_empty()
    }

    /// Writes what has changed since the last flush, in whole lines and by one write: what was
    /// flushed stays, whatever becomes of this process. After an error the same is written again.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn flush(&mut self, out: &mut impl Write) -> io::Result<()> {
        let change = Change { begin: !self.begun, facts: &self.changed, rest: self.rest_changed };
        let text = write::lines(self.id, &self.run, &change);
        out.write_all(text.as_bytes())?;
        out.flush()?;
        self.begun = true;
        self.rest_changed = false;
        self.changed.clear();
        Ok(())
    }

    /// The run.
    pub fn finish(self) -> (RunId, Run) {
        (self.id, self.run)
    }
}

/// Adds what an observation says of the arguments.
fn learn(fact: &mut Fact, call: Call, arguments: Arguments) {
    let Some(name) = call.name() else {
        return;
    };
    for index in 0..6u8 {
        if values::choice(call.abi, name, index).is_none() {
            continue;
        }
        let seen = match arguments {
            Arguments::Elsewhere => continue,
            Arguments::Unknown => None,
            Arguments::Registers(registers) => registers[usize::from(index)],
        };
        let known = fact.arguments.entry(index).or_insert_with(Values::none);
        match seen {
            Some(value) => known.insert(values::cut(call.abi, name, index, value)),
            None => known.join(&Values::any()),
        }
    }
}
