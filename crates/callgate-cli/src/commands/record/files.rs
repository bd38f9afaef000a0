//! From what other tools wrote.

use std::{
    fs::File,
    io::{self, Read},
};

use callgate_record::{Recorder, RunId, RunInfo, audit, strace};

use super::{Args, output::Output, summary};
use crate::{commands::Failure, report, target::native};

/// Longest file that is read.
const SIZE_LIMIT: u64 = 4 << 30;

pub fn record(args: &Args) -> Result<(), Failure> {
    let abi = match args.arch {
        Some(abi) => abi,
        None => native()?,
    };
    // All are read before anything is written.
    let mut runs = Vec::new();
    for (name, method) in args
        .from_strace
        .iter()
        .map(|name| (name, "strace"))
        .chain(args.from_audit.iter().map(|name| (name, "audit")))
    {
        let bytes = read(name).map_err(|error| format!("{name}: {error}"))?;
        let info = RunInfo {
            command: vec![name.clone()],
            method: method.to_owned(),
            machine: (method == "strace").then_some(abi),
            ..RunInfo::default()
        };
        let mut recorder = Recorder::new(RunId::of_file(&bytes), info);
        let result = match method {
            "strace" => strace::read(abi, &bytes, &mut recorder),
            _ => audit::read(&bytes, &mut recorder),
        };
        result.map_err(|why| format!("{name}: {why}"))?;
        runs.push(recorder);
    }
    let mut output = Output::open(&args.output)?;
    let mut before = output.before.clone();
    for mut recorder in runs {
        recorder.flush(&mut output).map_err(|e| format!("{}: {e}", args.output.display()))?;
        let (id, run) = recorder.finish();
        if before.runs.contains_key(&id) {
            report::note(format!(
                "{}: {} is in it already, as run {id}; it counts once",
                args.output.display(),
                run.info.command.join(" ")
            ));
        }
        summary::print(&args.output, &before, id, &run);
        before.merge(&callgate_record::Recording::of_run(id, run));
    }
    Ok(())
}

fn read(name: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if name == "-" {
        io::stdin().lock().take(SIZE_LIMIT + 1).read_to_end(&mut bytes)?;
    } else {
        File::open(name)?.take(SIZE_LIMIT + 1).read_to_end(&mut bytes)?;
    }
    if u64::try_from(bytes.len()).is_ok_and(|length| length > SIZE_LIMIT) {
        return Err(io::Error::other(format!("larger than {} GiB; split it", SIZE_LIMIT >> 30)));
    }
    Ok(bytes)
}
