//! How far a recording can be trusted to be complete, in words.

use callgate_record::{Call, profile::stability::Stability};

use crate::{commands::record::duration, report, source::plural};

/// The most names of a list.
const NAMES: usize = 12;

/// Says what the runs still brought; nothing that is not known.
pub fn print(stability: &Stability) {
    let runs = stability.growth.len();
    if runs > 1 {
        let steps: Vec<String> =
            stability.growth.iter().map(|growth| format!("+{}", growth.new)).collect();
        let shown = steps.len().saturating_sub(NAMES);
        let more = if shown > 0 { "… " } else { "" };
        crate::report::say_line(format_args!(
            "new calls, run by run: {more}{}",
            steps[shown..].join(" ")
        ));
    }
    if !stability.once.is_empty() {
        let fewest = stability.once.values().min().copied().unwrap_or(runs);
        let of = if stability.once.values().all(|watched| *watched == fewest) {
            format!("{fewest}")
        } else {
            "those".to_owned()
        };
        crate::report::say_line(format_args!(
            "{} seen in only one of {of} runs that watched for them: {}",
            plural(stability.once.len(), "call"),
            names(stability.once.keys().copied())
        ));
    }
    match &stability.last_new {
        Some(last) => {
            let name = last.call.name().map_or_else(|| last.call.number.to_string(), str::to_owned);
            let which = if runs == 1 {
                String::new()
            } else {
                let place = stability.growth.iter().position(|growth| growth.run == last.run);
                format!(" of run {}", place.map_or(0, |place| place + 1))
            };
            let until = last.before_end.map_or_else(String::new, |before| {
                format!(", {} before its end", duration(before))
            });
            crate::report::say_line(format_args!(
                "the last new call was {name}, {} into the run{which}{until}",
                duration(last.at)
            ));
        }
        None => crate::report::say_line(format_args!(
            "when the last new call came is not known: the run that brought it has no times"
        )),
    }
    if last_run_brought(stability) {
        report::note(if runs == 1 {
            "one run cannot tell whether another would bring more; record another".to_owned()
        } else {
            "the last run still brought new calls; record another".to_owned()
        });
    }
    if stability.cut_off > 0 {
        report::warning(format!(
            "{} cut off, so calls at the end are missing",
            match stability.cut_off {
                1 => "1 run was".to_owned(),
                many => format!("{many} runs were"),
            }
        ));
    }
    for (what, count) in &stability.losses {
        report::warning(format!("not recorded: {what}: {count}"));
    }
}

fn last_run_brought(stability: &Stability) -> bool {
    stability.growth.last().is_some_and(|growth| growth.new > 0)
}

/// Calls by their names, as many as a line takes.
pub fn names(calls: impl ExactSizeIterator<Item = Call>) -> String {
    let more = calls.len().saturating_sub(NAMES);
    let mut names: Vec<String> = calls
        .take(NAMES)
        .map(|call| call.name().map_or_else(|| call.number.to_string(), str::to_owned))
        .collect();
    if more > 0 {
        names.push(format!("{more} more"));
    }
    names.join(", ")
}
