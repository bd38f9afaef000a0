//! Recording by eBPF: the kernel counts, and is asked now and then.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::{self, PipeReader, Read, Write},
    os::fd::AsFd,
    path::Path,
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use callgate_bpf::{Architecture, SyscallNr};
use callgate_kernel::{
    Cgroup, Errno, Finished, Launch, LaunchError,
    ebpf::{self, ArgumentTable, Event, ExecutableId, News, RecorderOptions, Scope},
};
use callgate_syscalls::{Abi, abi_of};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

use crate::{Call, End, Fact, Phase, Recorder, Values, choice, notify::Watch, values};

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

/// Whether the kernel takes the programs from this process.
///
/// # Errors
///
/// A sentence on what stands against it.
pub fn probe() -> Result<(), String> {
    let own = i32::try_from(process::id()).map_err(|error| error.to_string())?;
    RecorderOptions::new(Scope::Tree(own)).start().map(drop).map_err(|error| error.to_string())
}

/// Runs a command and records what it and all that it starts call, into `out` too as it becomes
/// known; `seen` is told now and then. The command is put in a cgroup of its own, and stays in it;
/// where that can't be made, its process tree is followed.
///
/// When the command has ended and has left others running, they are recorded to their end;
/// `waiting` is called before that.
///
/// # Errors
///
/// The command was not started.
pub fn record(
    watch: &Watch<'_>,
    recorder: &mut Recorder,
    out: &mut impl Write,
    mut seen: impl FnMut(&Recorder),
    waiting: impl FnOnce(),
) -> Result<Counted, CountError> {
    let held = Launch::new(watch.command).keep_privileges().hold()?;
    let cgroup = Cgroup::create().and_then(|cgroup| cgroup.add(held.pid()).map(|()| cgroup)).ok();
    let scope = cgroup.as_ref().map_or(Scope::Tree(held.pid()), Scope::Cgroup);
    let table = table();
    let counters = RecorderOptions::new(scope)
        .arguments(&table)
        .launched(held.pid())
        .start()
        .map_err(|error| CountError(Kind::Start(error)))?;
    let wait = |error| CountError(Kind::Wait(error));
    let ready = counters.descriptor().try_clone_to_owned().map_err(wait)?;
    // After the fork, and with this thread's mask of signals: they are the command's.
    let ticker = Ticker::start().map_err(wait)?;
    let mut feed = Feed::new(counters, watch.start_up);
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
    let finished = held.run(&[ready.as_fd(), ticker.pipe.as_fd()], || step(ticker.has_ticked()))?;
    let after = |cgroup: &Cgroup| cgroup.is_populated().unwrap_or(false);
    if let Some(cgroup) = cgroup.as_ref().filter(|cgroup| after(cgroup)) {
        waiting();
        while after(cgroup) {
            thread::sleep(TICK);
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
}

/// Records what runs already, from now on to its end or for a time, into `out` too as it becomes
/// known; `seen` is told now and then. All of it counts as running.
///
/// The recording has an end at every look, so that it is whole when this process is ended by a
/// signal.
///
/// # Errors
///
/// There is no such process or cgroup, or the kernel does not take the programs.
pub fn attach(
    running: Running<'_>,
    time: Option<Duration>,
    recorder: &mut Recorder,
    out: &mut impl Write,
    mut seen: impl FnMut(&Recorder),
) -> Result<Option<io::Error>, CountError> {
    /// How often a look that brought nothing is written down.
    const REST: Duration = Duration::from_secs(10);
    let missing = |error: io::Error| CountError(Kind::Wait(error));
    let (process, cgroup) = match running {
        Running::Process(number) => {
            let pid =
                Pid::from_raw(number).ok_or_else(|| missing(io::ErrorKind::NotFound.into()))?;
            let held = pidfd_open(pid, PidfdFlags::empty()).map_err(|e| missing(e.into()))?;
            (Some((number, held)), None)
        }
        Running::Cgroup(path) => {
            let cgroup = Cgroup::open(path);
            (None, Some(cgroup.map_err(|error| missing(io::Error::other(error.to_string())))?))
        }
    };
    let scope = match (&process, &cgroup) {
        (Some((number, _)), _) => Scope::Tree(*number),
        (_, Some(cgroup)) => Scope::Cgroup(cgroup),
        (None, None) => return Err(missing(io::ErrorKind::NotFound.into())),
    };
    let table = table();
    let counters = RecorderOptions::new(scope)
        .arguments(&table)
        .start()
        .map_err(|error| CountError(Kind::Start(error)))?;
    let mut feed = Feed::new(counters, Duration::ZERO);
    feed.running = true;
    let tick = Timespec::try_from(TICK).map_err(|error| missing(io::Error::other(error)))?;
    let mut written = Instant::now();
    let mut unwritten = recorder.flush(out).err();
    loop {
        let over = match (&process, &cgroup) {
            (Some((_, held)), _) => {
                let mut fds = [PollFd::new(held, PollFlags::IN)];
                poll(&mut fds, Some(&tick)).is_ok_and(|ready| ready > 0)
            }
            (_, cgroup) => {
                thread::sleep(TICK);
                !cgroup.as_ref().is_some_and(|cgroup| cgroup.is_populated().unwrap_or(false))
            }
        };
        let over = over || time.is_some_and(|time| feed.start.elapsed() >= time);
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

/// From the kernel's counters to facts.
struct Feed {
    counters: ebpf::Recorder,
    executables: BTreeMap<ExecutableId, String>,
    start: Instant,
    /// CLOCK_MONOTONIC of the first event, in nanoseconds.
    first: Option<u64>,
    start_up: Duration,
    running: bool,
    /// What was counted when the running phase began.
    base: BTreeMap<(ExecutableId, Call), Fact>,
    /// What was counted at the last look.
    last: BTreeMap<(ExecutableId, Call), u64>,
}

impl Feed {
    fn new(counters: ebpf::Recorder, start_up: Duration) -> Feed {
        Feed {
            counters,
            executables: BTreeMap::new(),
            start: Instant::now(),
            first: None,
            start_up,
            running: false,
            base: BTreeMap::new(),
            last: BTreeMap::new(),
        }
    }

    /// Milliseconds from the start.
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Takes what is new. Whether something was.
    fn events(&mut self, recorder: &mut Recorder) -> bool {
        let mut events = Vec::new();
        if self.counters.poll(Duration::ZERO, |event| events.push(event)).is_err() {
            recorder.lose("looks at the kernel's events", 1);
        }
        for event in &events {
            self.event(event, recorder);
        }
        !events.is_empty()
    }

    fn event(&mut self, event: &Event, recorder: &mut Recorder) {
        let first = *self.first.get_or_insert(event.time);
        let at = event.time.saturating_sub(first) / 1_000_000;
        let mut fact = Fact { seen: Some((at, at)), ..Fact::default() };
        let call = match event.news {
            News::Call(architecture, number) => call(architecture, number),
            News::Argument { architecture, number, index, value, .. } => {
                fact.arguments.insert(index, Values::of([value]));
                call(architecture, number)
            }
            _ => None,
        };
        let Some(call) = call else { return };
        let executable = self.executable(event.executable);
        recorder.enter(self.phase(Duration::from_millis(at)));
        recorder.know(call, &executable, &fact);
    }

    fn phase(&self, at: Duration) -> Phase {
        if at < self.start_up { Phase::StartUp } else { Phase::Running }
    }

    /// The path of an executable; empty for those that the kernel's table does not tell apart.
    fn executable(&mut self, id: ExecutableId) -> String {
        if id == ExecutableId::OTHERS {
            return String::new();
        }
        if !self.executables.contains_key(&id) {
            for executable in self.counters.executables().unwrap_or_default() {
                let path = executable.path.map(|path| path.to_string_lossy().into_owned());
                self.executables.insert(executable.id, path.unwrap_or_default());
            }
        }
        self.executables.get(&id).cloned().unwrap_or_default()
    }

    /// Takes the counters. At the first look after the start-up they are still its own.
    fn counts(&mut self, recorder: &mut Recorder) {
        let now = self.now();
        let Some(all) = self.read() else {
            recorder.lose("looks at the kernel's counters", 1);
            return;
        };
        recorder.enter(if self.running { Phase::Running } else { Phase::StartUp });
        for ((id, call), total) in &all {
            let mut fact = total.clone();
            if let Some(base) = self.base.get(&(*id, *call)) {
                fact.count -= base.count.min(fact.count);
                fact.refused -= base.refused.min(fact.refused);
                for (errno, count) in &mut fact.errors {
                    *count -= base.errors.get(errno).copied().unwrap_or(0).min(*count);
                }
                fact.errors.retain(|_, count| *count > 0);
                if fact.count == 0 {
                    continue;
                }
            }
            if self.last.insert((*id, *call), total.count) != Some(total.count) {
                fact.seen = Some((now, now));
            }
            let executable = self.executable(*id);
            recorder.know(*call, &executable, &fact);
        }
        if !self.running && self.start.elapsed() >= self.start_up {
            self.running = true;
            self.base = all;
        }
    }

    /// Everything that the kernel has counted.
    fn read(&self) -> Option<BTreeMap<(ExecutableId, Call), Fact>> {
        let mut all: BTreeMap<(ExecutableId, Call), Fact> = BTreeMap::new();
        let mut fact = |id, architecture, number, add: &dyn Fn(&mut Fact)| {
            if let Some(call) = call(architecture, number) {
                add(all.entry((id, call)).or_default());
            }
        };
        for made in self.counters.counts().ok()? {
            fact(made.executable, made.architecture, made.number, &|fact| fact.count += made.count);
        }
        for result in self.counters.results().ok()? {
            fact(result.executable, result.architecture, result.number, &|fact| {
                if !result.entered {
                    fact.count += result.count;
                    fact.refused += result.count;
                }
                if let Some(Errno(errno)) = result.errno {
                    *fact.errors.entry(u16::try_from(errno).unwrap_or(0)).or_default() +=
                        result.count;
                }
            });
        }
        for seen in self.counters.values() {
            let listed: BTreeSet<u64> = seen.listed.iter().copied().collect();
            let values = match seen.others {
                None => Values::of(listed),
                Some(others) => {
                    Values::from_parts(listed.iter().fold(others, |mask, v| mask | v), None)
                }
            };
            fact(seen.executable, seen.architecture, seen.number, &|fact| {
                fact.arguments.insert(seen.index, values.clone());
            });
        }
        // A value that was seen by a processor that has not counted the call yet.
        all.retain(|_, fact| fact.count > 0);
        Some(all)
    }

    fn losses(&self, recorder: &mut Recorder) {
        let losses = self.counters.losses();
        for (what, count) in [
            ("executables that were not told apart", losses.executables),
            ("arguments, which may have been anything", losses.values),
            ("errors", losses.results),
            ("calls of numbers beyond the table", losses.calls),
            ("processes with what they started", losses.processes),
            ("calls that the kernel did not count", losses.missed),
        ] {
            if count > 0 {
                recorder.lose(what, count);
            }
        }
    }
}

fn call(architecture: Architecture, number: SyscallNr) -> Option<Call> {
    abi_of(architecture, number).map(|abi| Call { abi, number })
}

/// How often the counters are looked at while nothing new comes.
const TICK: Duration = Duration::from_millis(250);

/// Wakes this thread now and then: a thread that writes into a pipe.
struct Ticker {
    pipe: PipeReader,
    ticks: Arc<AtomicU64>,
    taken: AtomicU64,
    ended: Arc<AtomicBool>,
}

impl Ticker {
    fn start() -> io::Result<Ticker> {
        let (pipe, mut writer) = io::pipe()?;
        let (ticks, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, over) = (Arc::clone(&ticks), Arc::clone(&ended));
        thread::Builder::new().name("ticker".to_owned()).spawn(move || {
            while !over.load(Ordering::Relaxed) {
                thread::sleep(TICK);
                if writer.write_all(&[0]).is_err() {
                    break;
                }
                counted.fetch_add(1, Ordering::Release);
            }
        })?;
        Ok(Ticker { pipe, ticks, taken: AtomicU64::new(0), ended })
    }

    /// Whether it has ticked since this was asked last.
    fn has_ticked(&self) -> bool {
        let ticks = self.ticks.load(Ordering::Acquire);
        let taken = self.taken.swap(ticks, Ordering::Relaxed);
        // Each tick that is counted has its byte in the pipe.
        let bytes = usize::try_from(ticks - taken).unwrap_or(0);
        (&self.pipe).read_exact(&mut vec![0; bytes]).is_ok() && bytes > 0
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}
