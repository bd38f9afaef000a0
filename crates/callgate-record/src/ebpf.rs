//! Recording by eBPF: the kernel counts, and is asked now and then.

mod feed;
mod ticker;

use std::{
    fmt,
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
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
    /// and what that starts. What the runtime itself does in it is not the container's, and not
    /// recorded: until it executes the command, and when it brings a further one in from outside.
    Made {
        /// The first process.
        init: i32,
        /// The cgroup, where it has one.
        cgroup: Option<&'a Path>,
    },
}

/// What is to be recorded of what runs already.
#[derive(Clone, Copy, Debug)]
pub struct Attach<'a> {
    running: Running<'a>,
    markers: &'a [Marker],
    time: Option<Duration>,
}

impl<'a> Attach<'a> {
    /// All that this calls from now on.
    pub fn new(running: Running<'a>) -> Attach<'a> {
        Attach { running, markers: &[], time: None }
    }

    /// In phases that these part.
    #[must_use]
    pub fn markers(mut self, markers: &'a [Marker]) -> Attach<'a> {
        self.markers = markers;
        self
    }

    /// For no longer than this.
    #[must_use]
    pub fn at_most(mut self, time: Duration) -> Attach<'a> {
        self.time = Some(time);
        self
    }
}

/// Records what runs already, from now on to its end, for a time, or until `end` has come, into `out`
/// too as it becomes known; `seen` is told as soon as the kernel counts, and now and then. All of
/// it counts as running, up to a marker.
///
/// The recording has an end at every look, so that it is whole when this process is killed.
///
/// # Errors
///
/// There is no such process or cgroup, or the kernel does not take the programs.
pub fn attach(
    attach: Attach<'_>,
    end: &mut EndRequest,
    recorder: &mut Recorder,
    out: &mut impl Write,
    mut seen: impl FnMut(&Recorder),
) -> Result<Option<io::Error>, CountError> {
    /// How often a look that brought nothing is written down.
    const REST: Duration = Duration::from_secs(10);
    let watched = Watched::find(attach)?;
    let table = table();
    let mut options = RecorderOptions::new(watched.scope()).arguments(&table);
    if let Running::Made { init, .. } = attach.running {
        options = options.launched(init);
    }
    let counters = options.start().map_err(|error| CountError(Kind::Start(error)))?;
    let mut feed = Feed::new(counters, Duration::ZERO, attach.markers);
    if matches!(attach.running, Running::Made { .. }) {
        feed = feed.without_runtime();
    }
    let mut written = Instant::now();
    let mut unwritten = recorder.flush(out).err();
    seen(recorder);
    loop {
        let over = watched.is_over_after_a_tick(end, None);
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

/// Watches what runs already for calls that are refused, from now on to its end, for a time, or
/// until `end` has come. `look` is given the kernel's recorder as soon as there is something, at
/// least four times a second, and at the end, which it is told.
///
/// # Errors
///
/// There is no such process or cgroup, or the kernel does not take the programs.
pub fn refusals(
    attach: Attach<'_>,
    end: &mut EndRequest,
    mut look: impl FnMut(&mut ebpf::Recorder, bool),
) -> Result<(), CountError> {
    /// Some 16,000 refusals.
    const RING: u32 = 4 << 20;
    let watched = Watched::find(attach)?;
    let mut counters = RecorderOptions::new(watched.scope())
        .refusals()
        .ring_size(RING)
        .start()
        .map_err(|error| CountError(Kind::Start(error)))?;
    look(&mut counters, false);
    loop {
        let over = watched.is_over_after_a_tick(end, Some(counters.descriptor()));
        look(&mut counters, over);
        if over {
            return Ok(());
        }
    }
}

/// What is watched, held so that it cannot become another.
struct Watched {
    process: Option<(i32, OwnedFd)>,
    cgroup: Option<Cgroup>,
    until: Option<Instant>,
}

impl Watched {
    fn find(attach: Attach<'_>) -> Result<Watched, CountError> {
        let missing = |error: io::Error| CountError(Kind::Wait(error));
        let (process, cgroup) = match attach.running {
            Running::Process(init) | Running::Made { init, cgroup: None } => {
                let pid =
                    Pid::from_raw(init).ok_or_else(|| missing(io::ErrorKind::NotFound.into()))?;
                let held = pidfd_open(pid, PidfdFlags::empty()).map_err(|e| missing(e.into()))?;
                (Some((init, held)), None)
            }
            Running::Cgroup(path) | Running::Made { cgroup: Some(path), .. } => {
                let cgroup = Cgroup::open(path);
                (None, Some(cgroup.map_err(|error| missing(io::Error::other(error.to_string())))?))
            }
        };
        let until = attach.time.and_then(|time| Instant::now().checked_add(time));
        Ok(Watched { process, cgroup, until })
    }

    fn scope(&self) -> Scope<'_> {
        match &self.cgroup {
            Some(cgroup) => Scope::Cgroup(cgroup),
            // One of the two is there.
            None => Scope::Tree(self.process.as_ref().map_or(0, |(number, _)| *number)),
        }
    }

    /// Waits for a tick, or less when there is something at `ready`, and says whether all is over.
    fn is_over_after_a_tick(&self, end: &mut EndRequest, ready: Option<BorrowedFd<'_>>) -> bool {
        let process = self.process.as_ref().map(|(_, held)| held);
        let mut fds = vec![PollFd::new(&*end, PollFlags::IN)];
        fds.extend(process.map(|held| PollFd::new(held, PollFlags::IN)));
        fds.extend(ready.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        // What ended a wait is asked for below; one that failed is over at once.
        let _ = poll(&mut fds, Timespec::try_from(TICK).ok().as_ref());
        let ended = process.is_some() && fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
        let empty =
            self.cgroup.as_ref().is_some_and(|group| !group.is_populated().unwrap_or(false));
        ended || empty || self.until.is_some_and(|until| Instant::now() >= until) || end.has_come()
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
