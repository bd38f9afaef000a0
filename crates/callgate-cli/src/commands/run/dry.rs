//! `run --dry-run`: nothing is refused, and what would have been is told.

use callgate_kernel::Answer;
use callgate_syscalls::KernelVersion;

use super::{
    Args,
    filter::{Ready, permit_start},
};
use crate::{
    commands::Failure,
    refusals::{self, Refusals, asking},
    report,
};

pub fn run(ready: &Ready, args: &Args) -> Result<u8, Failure> {
    if ready.target.kernel < KernelVersion::new(5, 5) {
        return Err(Failure::Message(format!(
            "--dry-run takes Linux 5.5 or newer, where a supervisor can let a call run; this is {}",
            ready.target.kernel
        )));
    }
    let name = args.filter.profile();
    let program = asking(name, &ready.origin)?;
    let launch = ready.launch(&program, &args.filter, &args.command);
    if let Err(Failure::Message(message)) = permit_start(&launch, &ready.program, name) {
        report::warning(message);
    }
    let mut refusals = Refusals::of_command();
    let finished = launch.run_notified(|notification| {
        refusals.notice(ready, notification);
        Answer::Continue
    });
    let finished = match finished {
        Ok(finished) => finished,
        Err(error) => {
            report::error(&error);
            return Ok(error.status());
        }
    };
    for row in refusals.rows() {
        crate::report::say(refusals::row("would be refused", row, name));
    }
    refusals::notes(&refusals, refusals::MEMORY_WAITED, finished.left);
    match refusals.total() {
        0 => report::note("nothing would have been refused"),
        1 => report::note("1 call would have been refused"),
        total => report::note(format!("{total} calls would have been refused")),
    }
    Ok(finished.outcome.status())
}
