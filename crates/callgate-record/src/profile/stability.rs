//! How much the runs still brought: what a recording knows of its own completeness.
//!
//! A recording cannot know what was never exercised. It knows which run brought what, and when.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Call, Recording, RunId};

/// What there is to say of the growth of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stability {
    /// The runs in the order of their start, those without a time last.
    pub growth: Vec<Growth>,
    /// Calls that were seen in one run only, of several that watched for them: the call, and how
    /// many watched.
    pub once: BTreeMap<Call, usize>,
    /// The last call that was new to all runs before, where it has a time.
    pub last_new: Option<LastNew>,
    /// Runs that were cut off.
    pub cut_off: usize,
    /// What was lost in all runs.
    pub losses: BTreeMap<String, u64>,
}

/// What a run brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Growth {
    /// The run.
    pub run: RunId,
    /// Calls that no run before had.
    pub new: usize,
    /// All calls up to it.
    pub total: usize,
}

/// The last call that was new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastNew {
    /// The run.
    pub run: RunId,
    /// The call.
    pub call: Call,
    /// Milliseconds from the start of the run.
    pub at: u64,
    /// Milliseconds from there to the end of the run, where that is known.
    pub before_end: Option<u64>,
    /// Whether it was in the last of several runs.
    pub in_last_run: bool,
}

impl Stability {
    /// Looks at a recording.
    pub fn of(recording: &Recording) -> Stability {
        let mut runs: Vec<_> = recording.runs.iter().collect();
        runs.sort_by_key(|(id, run)| (run.info.start.is_none(), run.info.start, **id));
        let mut known: BTreeSet<Call> = BTreeSet::new();
        let mut growth = Vec::new();
        let mut last_new = None;
        for (place, &(&id, run)) in runs.iter().enumerate() {
            let new: Vec<Call> = run.calls().difference(&known).copied().collect();
            let latest = new.iter().filter_map(|&call| Some((run.first_seen(call)?, call))).max();
            if let Some((at, call)) = latest {
                let end = run.end.and_then(|end| end.after);
                let before_end = end.map(|end| end.saturating_sub(at));
                let in_last_run = place + 1 == runs.len() && runs.len() > 1;
                last_new = Some(LastNew { run: id, call, at, before_end, in_last_run });
            } else if !new.is_empty() {
                last_new = None;
            }
            known.extend(&new);
            growth.push(Growth { run: id, new: new.len(), total: known.len() });
        }
        let mut once = BTreeMap::new();
        for call in known {
            let seen = |run: &&crate::Run| run.facts.keys().any(|key| key.call == call);
            let all = recording.runs.values();
            let watched =
                all.clone().filter(|run| seen(run) || !run.unwatched.contains(&call)).count();
            if watched > 1 && all.filter(seen).count() == 1 {
                once.insert(call, watched);
            }
        }
        let mut losses: BTreeMap<String, u64> = BTreeMap::new();
        for (what, count) in recording.runs.values().flat_map(|run| &run.losses) {
            let sum = losses.entry(what.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
        let cut_off = recording.runs.values().filter(|run| run.end.is_none()).count();
        Stability { growth, once, last_new, cut_off, losses }
    }
}
