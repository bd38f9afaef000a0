//! What there is to say of a run when it has ended.

use std::{collections::BTreeMap, path::Path};

use callgate_record::{Recording, Run, RunId, profile::stability::Stability};
use callgate_syscalls::Abi;

use super::duration;
use crate::{report, source::plural};

/// Says how much a run brought, and when the last new call came.
pub fn print(path: &Path, before: &Recording, id: RunId, run: &Run) {
    let name = report::printable_name(&path.to_string_lossy());
    let known = before.calls();
    let calls = run.calls();
    let new = calls.difference(&known).count();
    let mut by_abi: BTreeMap<Abi, usize> = BTreeMap::new();
    for call in known.union(&calls) {
        *by_abi.entry(call.abi).or_default() += 1;
    }
    let all: Vec<String> = by_abi
        .iter()
        .map(|(abi, count)| format!("{} on {abi}", plural(*count, "syscall")))
        .collect();
    let mut text =
        format!("{name}: {}", if all.is_empty() { "nothing".into() } else { all.join(", ") });
    if !before.runs.is_empty() {
        text.push_str(&format!(
            "; {} new in this run",
            if new == 0 { "none".into() } else { new.to_string() }
        ));
    }
    let alone = Recording::of_run(id, run.clone());
    let last = Stability::of(&alone).last_new;
    if let Some(last) = last.filter(|_| new > 0)
        && let Some(before_end) = last.before_end
    {
        text.push_str(&format!("; the last new one came {} before the end", duration(before_end)));
    }
    crate::report::say_line(&text);
    for (what, count) in &run.losses {
        report::warning(format!("{name}: not recorded: {what}: {count}"));
    }
}
