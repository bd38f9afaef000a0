//! One run, watched by eBPF, by user notification and by strace at the same time: what differs
//! then is no chance.

use std::collections::{BTreeMap, BTreeSet};

use callgate_record::{Call, Recording, Values};

use crate::{
    common::{CALLGATE, Scratch, tool_for},
    server::Server,
};

/// What is known of a call: how often, and what its arguments were.
#[derive(Debug, Default)]
struct Seen {
    count: u64,
    arguments: BTreeMap<u8, Values>,
}

/// Runs the server under all three, eBPF into `same.rec` and notification into `notify.rec`, and
/// compares every call that is not the watchers' own.
pub fn all_back_ends_see_the_same(server: &Server<'_>) {
    if !tool_for("strace", "strace", "that all ways to record a server see the same") {
        return;
    }
    let mut line = vec!["record", "--method", "ebpf", "-o", "same.rec", "--"];
    line.extend(["strace", "-f", "-o", "trace", "--", CALLGATE]);
    line.extend(["record", "--method", "notify", "-o", "notify.rec", "--"]);
    server.runs_well(&line);
    let scratch = server.scratch;
    let read = ["record", "-o", "strace.rec", "--from-strace", "trace"];
    scratch.callgate(&read).run().is_like(0, "", "…");
    let [ran, asked, traced] =
        ["same.rec", "notify.rec", "strace.rec"].map(|file| seen(scratch, file));
    let name = server.name;
    let names = |all: &BTreeMap<Call, Seen>| all.keys().copied().collect::<BTreeSet<Call>>();
    let differing = |other: &BTreeMap<Call, Seen>| {
        let differing = &names(&ran) ^ &names(other);
        differing.iter().map(|call| format!("{call:?} {:?}", call.name())).collect::<Vec<_>>()
    };
    assert_eq!(differing(&asked), [""; 0], "{name}: eBPF and notification differ");
    assert_eq!(differing(&traced), [""; 0], "{name}: eBPF and strace differ");
    for (call, ran) in &ran {
        let (asked, traced) = (&asked[call], &traced[call]);
        let call = call.name().unwrap_or("a call without a name");
        // One that a signal stops before it runs is made again, and asked about and traced again.
        assert!(
            ran.count <= asked.count && ran.count <= traced.count,
            "{name}: {call}: {} ran, {} asked about, {} traced",
            ran.count,
            asked.count,
            traced.count
        );
        assert_eq!(ran.arguments, asked.arguments, "{name}: {call}: eBPF and notification");
        // What strace has no constant for may be anything.
        for (index, values) in traced.arguments.iter().filter(|(_, values)| !values.is_any()) {
            assert_eq!(ran.arguments.get(index), Some(values), "{name}: {call}, argument {index}");
        }
    }
}

/// What a recording has of the server, without what watches it.
fn seen(scratch: &Scratch, name: &str) -> BTreeMap<Call, Seen> {
    let recording = Recording::read(&scratch.read(name)).expect("it is a recording").recording;
    let mut all: BTreeMap<Call, Seen> = BTreeMap::new();
    for run in recording.runs.values() {
        assert!(run.losses.is_empty(), "{name}: {:?}", run.losses);
    }
    for (_, key, fact) in recording.facts() {
        let watches = ["/callgate", "/strace"].iter().any(|end| key.executable.ends_with(end));
        // The first exec is the watcher's for one, and the server's for another.
        if watches || key.call.name() == Some("execve") {
            continue;
        }
        let seen = all.entry(key.call).or_default();
        seen.count += fact.count;
        for (&index, values) in &fact.arguments {
            seen.arguments.entry(index).or_insert_with(Values::none).join(values);
        }
    }
    all
}
