//! The entries of what was recorded, each with where it comes from.

use std::collections::{BTreeMap, BTreeSet};

use callgate_policy::Entry;

use super::{allow, arguments::Narrowing};
use crate::{Phase, Recording, Run, RunId};

/// The most executables that a remark names.
const EXECUTABLES: usize = 3;

/// Where calls come from: what a remark says of all of them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Origin {
    executables: BTreeSet<String>,
    seen: usize,
    watched: usize,
    start_up_only: bool,
}

/// Entries for every recorded name, those alike in one.
pub fn entries(recording: &Recording, narrow: &Narrowing) -> Vec<Entry> {
    let mut origins: BTreeMap<&'static str, (Origin, u64)> = BTreeMap::new();
    let mut runs: BTreeMap<&'static str, BTreeSet<RunId>> = BTreeMap::new();
    for (run, key, fact) in recording.facts() {
        let Some(name) = key.call.name() else {
            continue;
        };
        let none = || {
            (Origin { executables: BTreeSet::new(), seen: 0, watched: 0, start_up_only: true }, 0)
        };
        let (origin, count) = origins.entry(name).or_insert_with(none);
        origin.executables.insert(key.executable.clone());
        origin.start_up_only &= key.phase == Phase::StartUp;
        *count = count.saturating_add(fact.count);
        runs.entry(name).or_default().insert(run);
    }
    // Of a run that ended before its start-up did, that says nothing.
    let went_on = |run: &Run| run.facts.keys().any(|key| key.phase > Phase::StartUp);
    for (name, (origin, _)) in &mut origins {
        let seen = &runs[name];
        origin.start_up_only &= seen.iter().all(|id| went_on(&recording.runs[id]));
        let watched = |(id, run): &(&RunId, &Run)| {
            seen.contains(id) || !run.unwatched.iter().any(|call| call.name() == Some(name))
        };
        origin.seen = seen.len();
        origin.watched = recording.runs.iter().filter(watched).count();
    }
    // Names that come from the same, in one entry; names that were narrowed, each by itself.
    let mut groups: BTreeMap<Origin, (BTreeSet<&'static str>, u64)> = BTreeMap::new();
    let mut entries = Vec::new();
    for (name, (origin, count)) in origins {
        match narrow.of(name) {
            None => {
                let (names, sum) = groups.entry(origin).or_default();
                names.insert(name);
                *sum = sum.saturating_add(count);
            }
            Some(alternatives) => {
                let comment = comment(&origin, count);
                for comparisons in alternatives {
                    entries.push(allow(
                        &BTreeSet::from([name]),
                        comparisons.clone(),
                        comment.clone(),
                    ));
                }
            }
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, (names, _))| (std::cmp::Reverse(names.len()), names.first().copied()));
    let plain = groups
        .iter()
        .map(|(origin, (names, count))| allow(names, Vec::new(), comment(origin, *count)));
    plain.chain(entries).collect()
}

fn comment(origin: &Origin, count: u64) -> String {
    let mut named: Vec<String> = origin
        .executables
        .iter()
        .filter(|path| !path.is_empty())
        .take(EXECUTABLES)
        .map(|p| harmless(p))
        .collect();
    let more = origin.executables.iter().filter(|path| !path.is_empty()).count() - named.len();
    if more > 0 {
        named.push(format!("{more} more"));
    }
    let by = if named.is_empty() { String::new() } else { format!(" by {}", named.join(", ")) };
    let runs = match (origin.seen, origin.watched) {
        (1, 1) => "1 run".to_owned(),
        (seen, watched) => format!("{seen} of {watched} runs"),
    };
    let phase = if origin.start_up_only { ", only at start-up" } else { "" };
    let calls = if count == 1 { "call" } else { "calls" };
    format!("recorded{by} in {runs}{phase}: {count} {calls}")
}

/// A path that somebody may show on a terminal.
pub(super) fn harmless(path: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    path.chars()
        .flat_map(|c| if hidden(c) { c.escape_unicode().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}
