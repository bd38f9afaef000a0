//! From the end of the command to our own exit status, with a word on a filter's kill.

use std::time::Duration;

use callgate_bpf::{Architecture, SyscallNr};
use callgate_kernel::{AuditLog, Launch, Outcome, Signal};

use crate::{
    commands::Failure,
    names::{abi_of, syscall_name},
    report,
};

/// How long the kernel's record of a kill may take to come.
const PATIENCE: Duration = Duration::from_millis(200);

/// Starts the command, waits for it, and gives the status to exit with.
pub fn start(launch: Launch) -> Result<u8, Failure> {
    // Opened before the start, so that no record can be missed.
    let log = AuditLog::open().ok();
    match launch.run() {
        Ok(finished) => {
            if let Outcome::Signaled { signal: Signal::SYS, .. } = finished.outcome {
                report::error(killed(finished.pid, log));
            }
            Ok(finished.outcome.status())
        }
        Err(error) => {
            report::error(&error);
            Ok(error.status())
        }
    }
}

fn killed(pid: i32, log: Option<AuditLog>) -> String {
    match log.map(|mut log| log.last_of(pid, PATIENCE)) {
        Some(Some(record)) => format!(
            "the filter killed the command at {} (SIGSYS), called at {:#x}",
            call(record.arch, record.syscall),
            record.instruction_pointer
        ),
        Some(None) => "the command died of SIGSYS, and the kernel recorded no kill by a filter: the filter traps that call (SCMP_ACT_TRAP), or a process sent the signal, or kernel.seccomp.actions_logged leaves kills out. `strace -f COMMAND` shows it".to_owned(),
        None => "the filter killed the command (SIGSYS). Which call it was: `strace -f COMMAND` shows it last; as root, `dmesg | grep type=1326` has its number".to_owned(),
    }
}

/// `mkdir (x86_64: 83)`, as far as the tables know it.
pub fn call(arch: Architecture, nr: SyscallNr) -> String {
    match (syscall_name(arch, nr), abi_of(arch, nr)) {
        (Some(name), Some(abi)) => format!("{name} ({}: {nr})", abi.name()),
        _ => format!("number {nr} of architecture {arch:?}"),
    }
}
