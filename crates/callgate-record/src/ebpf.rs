//! Recording by eBPF: the kernel counts, and is asked now and then.

mod feed;
mod ticker;

use std::{
    fmt,
    io::{self, Write},
    os::fd::AsFd,
    path::Path,
    time::{Duration, Instant},
};

use callgate_kernel::{
    Cgroup, EndRequest, Finished, Launch, LaunchError,
    ebpf::{self, ArgumentTable, RecorderOptions, Scope},
};
use callgate_syscalls::Abi;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

use self::{feed::Feed, ticker::Ticker};
use crate::{End, Marker, Recorder, choice, notify::Watch, values};

/// How a run ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Counted {
    /// The command's end.
    pub finished: Finished,
    /// Why the last flush failed, if it did: then the file lacks what came after the one before.
    pub unwritten: Option<io::Error>,
}

/// Why a command was not recorded.
#[derive(Debug)]
pub struct CountError(Kind);

#[derive(Debug)]
enum Kind {
    Launch(LaunchError),
    Start(ebpf::Error),
    Wait(io::Error),
}

impl CountError {
    /// Whether the kernel does not take the programs from this process, so that another method
    /// is needed. The command has not begun.
    pub fn is_unavailable(&self) -> bool {
        matches!(self.0, Kind::Start(_))
    }

    /// The status to exit with, as [`LaunchError::status`].
    pub fn status(&self) -> u8 {
        /// callgate's own.
        const OWN: u8 = 125;
        match &self.0 {
            Kind::Launch(error) => error.status(),
            Kind::Start(_) | Kind::Wait(_) => OWN,
        }
    }
}

impl std::error::Error for CountError {}

impl fmt::Display for CountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Launch(error) => error.fmt(f),
            Kind::Start(error) => error.fmt(f),
            Kind::Wait(error) => write!(f, "there is nothing to record: {error}"),
        }
    }
}

impl From<LaunchError> for CountError {
    fn from(error: LaunchError) -> CountError {
        CountError(Kind::Launch(error))
    }
}

/// How often the counters are looked at while nothing new comes.
const TICK: Duration = Duration::from_millis(250);

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "whoever tells of a run tells these")]
pub enum Moment {
    /// The kernel counts; the command is about to begin.
    Begun,
    /// The command has ended, and has left others running, which are recorded to their end.
    Waiting,
}

/// Runs a command and records what it and all that it starts call, into `out` too as it becomes
/// known; `seen` is told now and then, and `tell` where the run is. All that descends from the
/// command is recorded, whatever cgroups it is moved to.
///
/// The command begins in a cgroup of its own, where one can be made. When it has ended and has left
/// others running there, they are recorded to their end, or until this program is asked to end.
///
/// # Errors
///
/// The command was not started.
pub fn record(
    watch: &Watch<'_>,
    recorder: &mut Recorder,
    out: &mut impl Write,
    mut seen: impl FnMut(&Recorder),
    mut tell: impl FnMut(Moment),
) -> Result<Counted, CountError> {
    let held = Launch::new(watch.command).keep_privileges().hold()?;
    let cgroup = Cgroup::create().and_then(|cgroup| cgroup.add(held.pid()).map(|()| cgroup)).ok();
    let table = table();
    // A container runtime moves what it starts to another cgroup: who was forked by whom says more.
    let counters = RecorderOptions::new(Scope::Tree(held.pid()))
        .arguments(&table)
        .launched(held.pid())
        .start()
        .map_err(|error| CountError(Kind::Start(error)))?;
    let wait = |error| CountError(Kind::Wait(error));
    let ready = counters.descriptor().try_clone_to_owned().map_err(wait)?;
    // After the fork, and with this thread's mask of signals: they are the command's.
    let ticker = Ticker::start(TICK).map_err(wait)?;
    tell(Moment::Begun);
    let mut feed = Feed::new(counters, watch.start_up, watch.markers).launched();
    let mut unwritten = recorder.flush(out).err();
    let mut step = |ticked: bool| {
        let news = feed.events(recorder);
        if ticked {
            feed.counts(recorder);
        }
        if news || ticked {
            unwritten = recorder.flush(out).err();
            seen(recorder);
        }
    };
    let finished = held.run(&[ready.as_fd(), ticker.descriptor()], || step(ticker.has_ticked()))?;
    let after = |cgroup: &Cgroup| cgroup.is_populated().unwrap_or(false);
    if let Some(cgroup) = cgroup.as_ref().filter(|cgroup| after(cgroup)) {
        // The command has ended, so signals are this program's again.
        let mut end = EndRequest::watch().map_err(|errno| wait(io::Error::other(errno)))?;
        tell(Moment::Waiting);
        while after(cgroup) && !end.has_come_within(TICK) {
            step(true);
        }
    }
    step(true);
    feed.losses(recorder);
    recorder.end(End { after: Some(feed.now()), status: Some(finished.outcome.status()) });
    let unwritten = recorder.flush(out).err();
    Ok(Counted { finished, unwritten })
}

/// What is watched that runs already.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "the kernel's programs find processes in these ways")]
pub enum Running<'a> {
    /// A process, all that it has started and will start; until that process ends.
    Process(i32),
    /// The processes of a cgroup and of those below it, until there are none.
    Cgroup(&'a Path),
    /// A container that its runtime has made and not started: its cgroup, or else its first process
    /// and what that starts. What the runtime's own threads do in it until they execute the command
    /// is not the container's, and not recorded.
    Made {
        /// The first process.
        init: i32,
        /// The cgroup, where it has one.
        cgroup: Option<&'a Path>,
    },
}

/// Records what runs already, from now on to its end, for a time, or until `end` has come, into `out`
/// too as it becomes known; `seen` is told now and then. All of it counts as running, up to a marker.
///
/// The recording has an end at every look, so that it is whole when this process is killed.
///
/// # Errors
///
/// There is no such process or cgroup, or the kernel does not take the programs.
pub fn attach(
    running: Running<'_>,
    markers: &[Marker],
    time: Option<Duration>,
    end: &mut EndRequest,
    recorder: &mut Recorder,
    out: &mut impl Write,
    mut seen: impl FnMut(&Recorder),
) -> Result<Option<io::Error>, CountError> {
    /// How often a look that brought nothing is written down.
    const REST: Duration = Duration::from_secs(10);
    let missing = |error: io::Error| CountError(Kind::Wait(error));
    let (process, path, made) = match running {
        Running::Process(number) => (Some(number), None, None),
        Running::Cgroup(path) => (None, Some(path), None),
        Running::Made { init, cgroup: Some(path) } => (None, Some(path), Some(init)),
        Running::Made { init, cgroup: None } => (Some(init), None, Some(init)),
    };
    let hold = |number| -> Result<_, CountError> {
        let pid = Pid::from_raw(number).ok_or_else(|| missing(io::ErrorKind::NotFound.into()))?;
        let held = pidfd_open(pid, PidfdFlags::empty()).map_err(|e| missing(e.into()))?;
        Ok((number, held))
    };
    let process = process.map(hold).transpose()?;
    let open =
        |path| Cgroup::open(path).map_err(|error| missing(io::Error::other(error.to_string())));
    let cgroup = path.map(open).transpose()?;
    let scope = match (&process, &cgroup) {
        (Some((number, _)), _) => Scope::Tree(*number),
        (_, Some(cgroup)) => Scope::Cgroup(cgroup),
        (None, None) => return Err(missing(io::ErrorKind::NotFound.into())),
    };
    let table = table();
    let mut options = RecorderOptions::new(scope).arguments(&table);
    if let Some(init) = made {
        options = options.launched(init);
    }
    let counters = options.start().map_err(|error| CountError(Kind::Start(error)))?;
    let mut feed = Feed::new(counters, Duration::ZERO, markers);
    let tick = Timespec::try_from(TICK).map_err(|error| missing(io::Error::other(error)))?;
    let began = Instant::now();
    let mut written = began;
    let mut unwritten = recorder.flush(out).err();
    loop {
        let process = process.as_ref().map(|(_, held)| held);
        let mut fds = vec![PollFd::new(&*end, PollFlags::IN)];
        fds.extend(process.map(|held| PollFd::new(held, PollFlags::IN)));
        // What ended a wait is asked for below; one that failed is over at once.
        let _ = poll(&mut fds, Some(&tick));
        let ended = fds.get(1).is_some_and(|process| !process.revents().is_empty());
        let empty = cgroup.as_ref().is_some_and(|group| !group.is_populated().unwrap_or(false));
        let timed_out = time.is_some_and(|time| began.elapsed() >= time);
        let over = ended || empty || timed_out || end.has_come();
        let news = feed.events(recorder);
        feed.counts(recorder);
        if over {
            feed.losses(recorder);
        }
        if over || news || written.elapsed() >= REST {
            recorder.end(End { after: Some(feed.now()), status: None });
            unwritten = recorder.flush(out).err();
            written = Instant::now();
        }
        seen(recorder);
        if over {
            return Ok(unwritten);
        }
    }
}

/// The arguments that choose what a call does, of all tables that a machine's kernel may have.
fn table() -> ArgumentTable {
    let mut table = ArgumentTable::new();
    let native = Abi::native();
    for abi in native.into_iter().chain(native.iter().flat_map(|abi| abi.companions()).copied()) {
        for (number, name) in abi.syscalls() {
            for index in (0..6).filter(|&index| choice(abi, name, index).is_some()) {
                // One for which there is no room has no values, and so may be anything.
                table.track(abi.audit(), number, index, values::bits(abi, name, index) == 64);
            }
        }
    }
    table
}
