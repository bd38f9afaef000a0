//! `run --dry-run`: nothing is refused, and what would have been is told.

use callgate_kernel::Answer;
use callgate_syscalls::KernelVersion;

use super::{
    Args,
    counted::Counted,
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
    let counted = Counted::start();
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
    report::note(closing(refusals.total(), counted.calls()));
    Ok(finished.outcome.status())
}

/// How many calls the filter would have refused, of those that were made.
fn closing(refused: u64, made: Option<u64>) -> String {
    let calls = |count| if count == 1 { "1 call".to_owned() } else { format!("{count} calls") };
    let what = match (refused, made) {
        (0, None) => return "nothing would have been refused".to_owned(),
        (0, Some(made)) => return format!("nothing would have been refused in {}", calls(made)),
        (refused, None) => calls(refused),
        (refused, Some(made)) => format!("{refused} of {}", calls(made)),
    };
    format!("{what} would have been refused")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_counts() {
        assert_eq!(closing(0, None), "nothing would have been refused");
        assert_eq!(closing(0, Some(1)), "nothing would have been refused in 1 call");
        assert_eq!(closing(1, None), "1 call would have been refused");
        assert_eq!(closing(2, Some(9)), "2 of 9 calls would have been refused");
    }
}
