//! `run --strict`: an unmodified program in strict mode.

use callgate_kernel::{Launch, Moment, Outcome, Signal, StrictFinished};

use super::{Args, outcome::call};
use crate::{commands::Failure, report};

pub fn run(args: Args) -> Result<u8, Failure> {
    let moment = args.strict_at.map_or(Moment::Main, Moment::Symbol);
    // Strict mode needs no privilege, and the command is to stay as it is.
    match Launch::new(&args.command).keep_privileges().run_strict(&moment) {
        Ok(finished) => Ok(status(&finished, args.strict_exit, args.filter.verbose)),
        Err(error) => {
            report::error(&error);
            Ok(error.status())
        }
    }
}

fn status(finished: &StrictFinished, strict_exit: bool, verbose: bool) -> u8 {
    match &finished.entered {
        None => report::warning(
            "the program ended before strict mode began; it ran without it from start to end",
        ),
        Some(place) if verbose => report::note(format!(
            "strict mode began at {}",
            place.as_deref().unwrap_or("the entry point")
        )),
        Some(_) => {}
    }
    let killed = finished.outcome == Outcome::Signaled { signal: Signal::KILL, core: false };
    if let Some(refused) = finished.refused.as_ref().filter(|_| killed) {
        match refused.exit_status() {
            Some(meant) if strict_exit => return meant,
            Some(meant) => report::error(format!(
                "the program was done and wanted to exit with {meant}, but calls exit_group for that, which strict mode kills (SIGKILL); --strict-exit gives the status that it meant"
            )),
            None => report::error(format!(
                "strict mode killed the program at {} (SIGKILL): only read, write, exit and sigreturn are left",
                call(refused.arch, refused.nr)
            )),
        }
    }
    if finished.time_stamp_fault
        && matches!(finished.outcome, Outcome::Signaled { signal: Signal::SEGV, .. })
    {
        report::error(
            "the program read the time stamp counter (rdtsc), which strict mode takes away: SIGSEGV",
        );
    }
    finished.outcome.status()
}
