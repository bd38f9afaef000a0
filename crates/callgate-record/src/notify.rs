//! Recording by user notification: a filter asks about every call that is not known yet, and the
//! answer is always that it runs. It takes no privilege.

mod executables;

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs, io,
    io::Write,
    os::unix::fs::MetadataExt,
    time::{Duration, Instant},
};

use callgate_bpf::Program;
use callgate_kernel::{Answer, Launch, LaunchError, NotifiedFinished, has_sys_admin, no_new_privs};
use callgate_syscalls::abi_of;
use rustix::fs::getxattr;

use self::executables::Executables;
use crate::{Arguments, Call, End, Known, Marker, Observation, Phase, Recorder, marker::Ahead};

/// What is to be watched.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "whoever starts a run says all of it")]
pub struct Watch<'a> {
    /// The command and its arguments.
    pub command: &'a [OsString],
    /// How long the program starts.
    pub start_up: Duration,
    /// What begins further phases.
    pub markers: &'a [Marker],
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
/// `seen` is told after each call, and `left` called when the command has ended and has left others
/// running, which are recorded to their end. The filter is `known`, compiled. A recording that
/// cannot be written stops no call.
///
/// Where the caller has CAP_SYS_ADMIN the command keeps its privileges; else it gets
/// no_new_privs, without which the kernel takes no filter: then setuid programs gain nothing, and
/// the recording says so.
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
    left: fn(),
) -> Result<Watched, LaunchError> {
    let mut launch = Launch::new(watch.command).filter(filter).when_left(left);
    if has_sys_admin().unwrap_or(false) {
        launch = launch.keep_privileges();
    }
    let mut unraised = Unraised::new();
    let start = Instant::now();
    let mut flushed = start;
    let mut executables = Executables::new(known);
    let mut unwritten = recorder.flush(out).err();
    let mut ahead = Ahead::new(watch.markers);
    let mut phase = Phase::StartUp;
    let finished = launch.run_notified(|call| {
        let now = start.elapsed();
        if phase == Phase::StartUp && now >= watch.start_up {
            phase = Phase::Running;
        }
        recorder.enter(phase.clone());
        let executable = executables.of(call);
        if executable.is_none() && call.is_waiting() {
            recorder.lose("executables that could not be read", 1);
        }
        if call.thread().is_some_and(|thread| unraised.is_new(thread)) {
            recorder.lose(UNRAISED, 1);
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
        let call = abi_of(data.arch, data.nr).map(|abi| Call { abi, number: data.nr });
        if let Some(next) = call.and_then(|call| ahead.pass(call)) {
            phase = next;
        }
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

/// The recording of an ordinary user takes no_new_privs, under which these run without it.
const UNRAISED: &str = "what setuid programs do with their privilege, which they do not gain here \
                        (they do when root records)";

/// Programs that would have gained privilege, were it not for the filter.
struct Unraised {
    /// Whether this recording keeps it from them.
    keeps: bool,
    /// By device and inode.
    seen: BTreeSet<(u64, u64)>,
}

impl Unraised {
    fn new() -> Unraised {
        // Where no_new_privs was set before, nothing changes for the command.
        let keeps = !has_sys_admin().unwrap_or(false) && !no_new_privs().unwrap_or(false);
        Unraised { keeps, seen: BTreeSet::new() }
    }

    /// Whether what this thread executes is such a program, seen for the first time.
    fn is_new(&mut self, thread: i32) -> bool {
        /// `S_ISUID` and `S_ISGID` of `inode(7)`, and what the kernel keeps file capabilities in.
        const RAISING: u32 = 0o6000;
        const CAPABILITIES: &str = "security.capability";
        if !self.keeps {
            return false;
        }
        let path = format!("/proc/{thread}/exe");
        let Ok(file) = fs::metadata(&path) else { return false };
        self.seen.insert((file.dev(), file.ino()))
            && (file.mode() & RAISING != 0 || getxattr(&path, CAPABILITIES, &mut [0u8; 64]).is_ok())
    }
}
