//! What recording a workload by eBPF costs it.

use std::time::Duration;

use callgate_bpf::Architecture;
use callgate_kernel::{
    Cgroup, Launch, Outcome,
    ebpf::{ArgumentTable, RecorderOptions, Results, Scope},
};
use callgate_syscalls::{Abi, constants};

use crate::{
    Result,
    report::{Quantity, Row, Section},
    timing::{Samples, time},
};

/// Has this program make calls and end, rather than measure.
pub const OPTION: &str = "--calls";

/// How many calls a run of the loop makes.
const CALLS: usize = 1_000_000;

/// # Errors
///
/// When nothing can be recorded here, or a command does not end well.
pub fn measure(repeat: usize) -> Result<Section> {
    let own = std::env::current_exe()?;
    let own = own.to_str().ok_or("this program has a name that is not UTF-8")?;
    let loops = [own.to_owned(), OPTION.to_owned(), CALLS.to_string()];
    let find = ["sh", "-c", "exec find /usr >/dev/null"].map(str::to_owned);
    // Both take a good part of a second.
    let repeat = repeat.div_ceil(20).max(3);
    let mut section = Section::new("Recording by eBPF");
    section.add(Row::new("calls of a getppid loop", Quantity::Count(CALLS)));
    for (name, command, limit) in [("getppid loop", &loops[..], 1.35), ("find /usr", &find, 1.03)] {
        let table = arguments();
        let mut samples = [(); 3].map(|()| Samples::default());
        for _ in 0..repeat {
            let modes = [None, Some(Results::UnderFilters), Some(Results::Always)];
            for (samples, mode) in samples.iter_mut().zip(modes) {
                samples.add(run(command, &table, mode)?);
            }
        }
        let [alone, calls, results] = &samples;
        let against = alone.minimum().as_secs_f64();
        let row = |what: &str, samples: &Samples| {
            let row = Row::times(format!("{name}, {what}"), samples).against(against);
            let met = row.ratio().is_some_and(|ratio| ratio <= limit);
            row.target(&format!("at most {limit} times"), met)
        };
        section.add(Row::times(format!("{name}, not recorded"), alone));
        section.add(row("calls and arguments", calls));
        section.add(Row::times(format!("{name}, errors too"), results).against(against));
    }
    Ok(section)
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

/// How long a command takes.
fn run(command: &[String], table: &ArgumentTable, mode: Option<Results>) -> Result<Duration> {
    let held = Launch::new(command).keep_privileges().hold()?;
    let cgroup = Cgroup::create()?;
    cgroup.add(held.pid())?;
    let options = RecorderOptions::new(Scope::Cgroup(&cgroup)).arguments(table);
    let options = options.launched(held.pid());
    let recorder = mode.map(|mode| options.results(mode).start()).transpose()?;
    let (elapsed, finished) = time(|| held.run(&[], || {}));
    if finished?.outcome != Outcome::Exited(0) {
        return Err(format!("{command:?} did not end well").into());
    }
    drop(recorder);
    Ok(elapsed)
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
