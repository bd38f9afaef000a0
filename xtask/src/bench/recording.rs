//! What recording a workload by eBPF costs it, beside empty programs at the same tracepoints.

use std::time::Duration;

use callgate_bpf::Architecture;
use callgate_kernel::{
    Cgroup, Launch, Outcome,
    ebpf::{ArgumentTable, Idle, Recorder, RecorderOptions, Results, Scope},
};
use callgate_syscalls::{Abi, constants};

use crate::{
    Result,
    report::{Quantity, Row, Section, float},
    timing::{Samples, time},
};

/// Has this program make calls and end, rather than measure.
pub const OPTION: &str = "--calls";

/// How many calls a run of the loop makes.
const CALLS: usize = 1_000_000;

/// What every process runs that reads a directory tree.
pub const FIND: [&str; 3] = ["sh", "-c", "exec find /usr >/dev/null"];

/// What is attached while a command runs.
#[derive(Clone, Copy)]
enum Mode {
    Nothing,
    Empty(Results),
    Recorder(Results),
}

/// In the order of the rows, what is empty before what it is the floor of.
const MODES: [(Mode, &str); 5] = [
    (Mode::Nothing, "not recorded"),
    (Mode::Empty(Results::UnderFilters), "empty program"),
    (Mode::Recorder(Results::UnderFilters), "calls and arguments"),
    (Mode::Empty(Results::Always), "empty programs at both ends of calls"),
    (Mode::Recorder(Results::Always), "errors too"),
];

/// How a command ran.
struct Run {
    elapsed: Duration,
    /// Where a recorder was attached: how many calls of the loop it counted, or that it has lost
    /// some.
    counted: Option<Option<u64>>,
}

/// # Errors
///
/// When nothing can be recorded here, or a command does not end well.
pub fn measure(repeat: usize) -> Result<Section> {
    let own = std::env::current_exe()?;
    let own = own.to_str().ok_or("this program has a name that is not UTF-8")?;
    let loops = [own.to_owned(), OPTION.to_owned(), CALLS.to_string()];
    let find = FIND.map(str::to_owned);
    // Both take a good part of a second.
    let repeat = repeat.div_ceil(10).max(3);
    let mut section = Section::new("Recording by eBPF");
    let table = arguments();
    let calls = u64::try_from(CALLS)?;
    for (name, command, limit) in [("getppid loop", &loops[..], 1.35), ("find /usr", &find, 1.03)] {
        let mut samples = MODES.map(|_| Samples::default());
        let (mut counted, mut exact) = (Samples::default(), true);
        for _ in 0..repeat {
            for (samples, (mode, _)) in samples.iter_mut().zip(MODES) {
                let run = run(command, &table, mode)?;
                samples.add(run.elapsed);
                if let Some(count) = run.counted {
                    counted.add(run.elapsed);
                    exact &= count == Some(calls);
                }
            }
        }
        rows(&mut section, name, &samples, limit);
        if command == loops {
            section.add(rate(&counted, exact));
        }
    }
    Ok(section)
}

fn rows(section: &mut Section, name: &str, samples: &[Samples; 5], limit: f64) {
    let seconds = |samples: &Samples| samples.minimum().as_secs_f64();
    let (mut alone, mut empty) = (0.0, 0.0);
    for (samples, (mode, what)) in samples.iter().zip(MODES) {
        let (row, seconds) = (Row::times(format!("{name}, {what}"), samples), seconds(samples));
        match mode {
            Mode::Nothing => {
                alone = seconds;
                section.add(row);
            }
            Mode::Empty(_) => {
                empty = seconds;
                section.add(row.against(alone));
            }
            Mode::Recorder(results) => {
                let row = row.against(alone);
                let met = row.ratio().is_some_and(|ratio| ratio <= limit);
                let aimed = results == Results::UnderFilters;
                let target = format!("at most {limit} times");
                section.add(if aimed { row.target(&target, met) } else { row });
                let ratio = Quantity::Ratio(seconds / empty);
                section.add(Row::new("  times as long as with empty programs", ratio));
            }
        }
    }
}

/// How many calls a second were counted, at worst.
fn rate(counted: &Samples, exact: bool) -> Row {
    const LEAST: f64 = 1e6;
    let a_second = |time: Duration| float(CALLS) / time.as_secs_f64();
    let median = a_second(counted.median());
    Row::new(
        "getppid loop: calls a second, each counted",
        Quantity::Rate(a_second(counted.minimum())),
    )
    .median(Quantity::Rate(median))
    .target("1 M/s, none lost", exact && median >= LEAST)
}

/// Makes the calls.
///
/// # Errors
///
/// When the argument is no number.
pub fn child(args: &[String]) -> Result<()> {
    let count = args.first().ok_or("how many calls?")?.parse()?;
    for _ in 0..count {
        std::hint::black_box(rustix::process::getppid());
    }
    Ok(())
}

fn run(command: &[String], table: &ArgumentTable, mode: Mode) -> Result<Run> {
    let held = Launch::new(command).keep_privileges().hold()?;
    let cgroup = Cgroup::create()?;
    cgroup.add(held.pid())?;
    let options = RecorderOptions::new(Scope::Cgroup(&cgroup)).arguments(table);
    let options = options.launched(held.pid());
    let (idle, recorder) = match mode {
        Mode::Nothing => (None, None),
        Mode::Empty(results) => (Some(Idle::start(results)?), None),
        Mode::Recorder(results) => (None, Some(options.results(results).start()?)),
    };
    let (elapsed, finished) = time(|| held.run(&[], || {}));
    if finished?.outcome != Outcome::Exited(0) {
        return Err(format!("{command:?} did not end well").into());
    }
    drop(idle);
    Ok(Run { elapsed, counted: recorder.map(|recorder| counted(&recorder)) })
}

/// The calls of the loop, if nothing was lost.
fn counted(recorder: &Recorder) -> Option<u64> {
    let (abi, losses) = (Abi::X86_64, recorder.losses());
    let number = abi.number("getppid")?;
    let counts = recorder.counts().ok()?;
    let those =
        counts.iter().filter(|call| (call.architecture, call.number) == (abi.audit(), number));
    (losses.is_none() && losses.events == 0).then(|| those.map(|call| call.count).sum())
}

/// Every argument that has names for its values, as a recording looks at them.
fn arguments() -> ArgumentTable {
    let mut table = ArgumentTable::new();
    let abi = Abi::X86_64;
    let architecture: Architecture = abi.audit();
    for (number, name) in abi.syscalls() {
        for index in 0..6 {
            if constants::on(abi, name, index).is_some() {
                table.track(architecture, number, index, true);
            }
        }
    }
    table
}
