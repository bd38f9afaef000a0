//! Runs a command and prints the calls that it and all it starts make, counted by the kernel.
//!
//! With `TREE` in the environment it follows the process tree rather than a cgroup; with
//! `UNDER_FILTERS`, errors are counted only once there is a filter.

use std::env;
use std::error::Error;
use std::time::{Duration, Instant};

use callgate_bpf::SyscallNr;
use callgate_kernel::ebpf::{ArgumentTable, RecorderOptions, Results, Scope};
use callgate_kernel::{Cgroup, Launch};
use callgate_syscalls::Abi;

fn main() -> Result<(), Box<dyn Error>> {
    let mut table = ArgumentTable::new();
    for (call, index) in [("openat", 2), ("fcntl", 1), ("ioctl", 1), ("mmap", 2), ("mmap", 3)] {
        let number = Abi::X86_64.number(call).unwrap_or(SyscallNr::SKIP);
        table.track(Abi::X86_64.audit(), number, index, false);
    }
    let held = Launch::new(env::args_os().skip(1)).keep_privileges().hold()?;
    let cgroup = Cgroup::create();
    let scope = match &cgroup {
        Ok(cgroup) if env::var_os("TREE").is_none() => {
            cgroup.add(held.pid())?;
            Scope::Cgroup(cgroup)
        }
        _ => Scope::Tree(held.pid()),
    };
    let results = match env::var_os("UNDER_FILTERS") {
        Some(_) => Results::UnderFilters,
        None => Results::Always,
    };
    let begin = Instant::now();
    let mut recorder = RecorderOptions::new(scope)
        .arguments(&table)
        .launched(held.pid())
        .results(results)
        .start()?;
    eprintln!("started in {:?}", begin.elapsed());
    let finished = held.run(&[], || {})?;
    let mut events = 0;
    recorder.poll(Duration::ZERO, |_| events += 1)?;
    for executable in recorder.executables()? {
        println!("{executable:?}");
    }
    for call in recorder.counts()? {
        let abi = Abi::X86_64.name_of(call.number).unwrap_or("?");
        println!("{:?} {:?} {abi} {}", call.executable, call.architecture, call.count);
    }
    for result in recorder.results()? {
        println!("{result:?}");
    }
    for values in recorder.values() {
        println!("{values:x?}");
    }
    println!("{events} events, {:?}, {:?}", recorder.losses(), finished.outcome);
    Ok(())
}
