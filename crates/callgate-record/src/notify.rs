//! Recording by user notification: a filter asks about every call that is not known yet, and the
//! answer is always that it runs. It takes no privilege.

mod executables;

use std::{
    ffi::OsString,
    io,
    io::Write,
    time::{Duration, Instant},
};

use callgate_bpf::Program;
use callgate_kernel::{Answer, Launch, LaunchError, NotifiedFinished, has_sys_admin};

use self::executables::Executables;
use crate::{Arguments, End, Known, Observation, Phase, Recorder};

/// What is to be watched.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "whoever starts a run says all of it")]
pub struct Watch<'a> {
    /// The command and its arguments.
    pub command: &'a [OsString],
    /// How long the program starts.
    pub start_up: Duration,
}

/// How a run ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Watched {
    /// The command's end.
    pub finished: NotifiedFinished,
    /// Why the last flush failed, if it did: then the file lacks what came after the one before.
    pub unwritten: Option<io::Error>,
}

/// How often what is only counted is written.
const FLUSH: Duration = Duration::from_secs(1);

/// Runs a command and records what its filter asks about, into `out` too as it becomes known;
/// `seen` is told after each call. The filter is `known`, compiled. A recording that cannot be
/// written stops no call.
///
/// Where the caller has CAP_SYS_ADMIN the command keeps its privileges; else it gets
/// no_new_privs, without which the kernel takes no filter: then setuid programs gain nothing.
///
/// # Errors
///
/// The command was not started.
pub fn record(
    watch: &Watch<'_>,
    (known, filter): (&Known, &Program),
    recorder: &mut Recorder,
    out: &mut impl Write,
    mut seen: impl FnMut(&Recorder),
) -> Result<Watched, LaunchError> {
    let mut launch = Launch::new(watch.command).filter(filter);
    if has_sys_admin().unwrap_or(false) {
        launch = launch.keep_privileges();
    }
    let start = Instant::now();
    let mut flushed = start;
    let mut executables = Executables::new(known);
    let mut unwritten = recorder.flush(out).err();
    recorder.enter(Phase::StartUp);
    let finished = launch.run_notified(|call| {
        let now = start.elapsed();
        if now >= watch.start_up {
            recorder.enter(Phase::Running);
        }
        let executable = executables.of(call);
        if executable.is_none() && call.is_waiting() {
            recorder.lose("executables that could not be read", 1);
        }
        let data = call.data();
        let new = recorder.observe(&Observation {
            architecture: data.arch,
            number: data.nr,
            executable: executable.as_deref().unwrap_or_default(),
            arguments: Arguments::Registers(data.args.map(Some)),
            count: 1,
            errno: None,
            refused: false,
            at: u64::try_from(now.as_millis()).ok(),
        });
        if new || flushed.elapsed() >= FLUSH {
            unwritten = recorder.flush(out).err();
            flushed = Instant::now();
        }
        seen(recorder);
        Answer::Continue
    })?;
    if finished.left {
        recorder.lose("processes that the command left behind, from the signal on", 1);
    }
    let after = u64::try_from(start.elapsed().as_millis()).ok();
    recorder.end(End { after, status: Some(finished.outcome.status()) });
    if let Err(error) = recorder.flush(out) {
        unwritten = Some(error);
    } else {
        unwritten = None;
    }
    Ok(Watched { finished, unwritten })
}
