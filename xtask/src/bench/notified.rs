//! What recording by user notification costs a workload: the first run, which asks about each
//! call, and later ones, which ask about nothing that is known.

use std::{
    fs, io,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    Result,
    folder::Folder,
    recording::FIND,
    report::{Quantity, Row, Section},
    start::{callgate, command, ended},
    timing::Samples,
};

/// How many times as long a run takes at most that has nothing to ask.
const LIMIT: f64 = 1.05;

/// Each takes seconds.
const FIRST_RUNS: usize = 3;

/// # Errors
///
/// When nothing can be recorded here, or a command does not end well.
pub fn measure(repeat: usize) -> Result<Section> {
    let callgate = callgate()?;
    let folder = Folder::new("notified")?;
    let recording = folder.path().join("find.rec");
    let record = || {
        let mut record = command(&callgate);
        record.args(["record", "--method", "notify", "-o"]).arg(&recording).arg("--").args(FIND);
        // What it has found out.
        record.stderr(Stdio::null());
        record
    };
    // What any filter costs: the kernel's way to it, and callgate's own start.
    let all = folder.path().join("all.json");
    fs::write(&all, r#"{ "defaultAction": "SCMP_ACT_ALLOW" }"#)?;
    let allowed = || {
        let mut run = command(&callgate);
        run.args(["run", "--profile"]).arg(&all).arg("--").args(FIND);
        run
    };
    let [mut alone, mut filtered, mut first, mut later] = [(); 4].map(|()| Samples::default());
    for _ in 0..FIRST_RUNS {
        remove(&recording)?;
        first.add(ended(&mut record(), 0)?);
    }
    for _ in 0..repeat.div_ceil(10).max(3) {
        alone.add(ended(Command::new(FIND[0]).args(&FIND[1..]), 0)?);
        filtered.add(ended(&mut allowed(), 0)?);
        later.add(ended(&mut record(), 0)?);
    }
    let mut section = Section::new("Recording by notification: the whole process");
    let against = alone.minimum().as_secs_f64();
    section.add(Row::times("find /usr, not recorded", &alone));
    let row = Row::times("find /usr, under a filter that allows all", &filtered);
    section.add(row.against(against));
    section.add(Row::times("find /usr, first run", &first).against(against));
    let row = Row::times("find /usr, from the second run on", &later).against(against);
    let met = row.ratio().is_some_and(|ratio| ratio <= LIMIT);
    section.add(row.target(&format!("at most {LIMIT} times"), met));
    let floor = filtered.minimum().as_secs_f64();
    let ratio = Quantity::Ratio(later.minimum().as_secs_f64() / floor);
    section.add(Row::new("  times as long as under a filter that allows all", ratio));
    Ok(section)
}

fn remove(recording: &Path) -> Result<()> {
    match fs::remove_file(recording) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
