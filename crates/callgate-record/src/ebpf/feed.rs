//! From the kernel's counters to facts.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use callgate_bpf::{Architecture, SyscallNr};
use callgate_kernel::{
    Errno,
    ebpf::{self, Event, ExecutableId, News},
};
use callgate_syscalls::{Abi, abi_of};

use crate::{Call, Fact, Marker, Phase, Recorder, Values, marker::Ahead};

/// What a kernel's recorder has told so far.
pub struct Feed {
    counters: ebpf::Recorder,
    executables: BTreeMap<ExecutableId, String>,
    /// The exec that the launch makes, by the file that this process executes too.
    launch: Option<Call>,
    /// Whether the first executable is a container runtime, whose own calls are left out.
    from_runtime: bool,
    start: Instant,
    /// CLOCK_MONOTONIC of the first event, in nanoseconds.
    first: Option<u64>,
    start_up: Duration,
    markers: Ahead,
    phase: Phase,
    /// What was seen at all, by an event or a counter.
    known: BTreeSet<(ExecutableId, Call)>,
    /// What was counted before this phase.
    base: Counted,
    /// What was counted at the last look.
    last: BTreeMap<(ExecutableId, Call), u64>,
}

/// The executables are numbered as they make their first calls.
const FIRST: ExecutableId = ExecutableId(1);
const SECOND: ExecutableId = ExecutableId(2);

type Counted = BTreeMap<(ExecutableId, Call), Fact>;

impl Feed {
    /// Of a recorder that has just started.
    pub fn new(counters: ebpf::Recorder, start_up: Duration, markers: &[Marker]) -> Feed {
        Feed {
            counters,
            executables: BTreeMap::new(),
            launch: None,
            from_runtime: false,
            start: Instant::now(),
            first: None,
            start_up,
            markers: Ahead::new(markers),
            // Without a start-up everything is running from the first look on.
            phase: if start_up.is_zero() { Phase::Running } else { Phase::StartUp },
            known: BTreeSet::new(),
            base: BTreeMap::new(),
            last: BTreeMap::new(),
        }
    }

    /// Of a command that is about to be launched: its exec is the first call of all, and the command's
    /// rather than this program's.
    #[must_use]
    pub fn launched(self) -> Feed {
        let exec = Abi::native().and_then(|abi| Some(Call { abi, number: abi.number("execve")? }));
        Feed { launch: exec, ..self }
    }

    /// Of a container that its runtime has just made: of what the first executable calls, only an
    /// exec is taken.
    #[must_use]
    pub fn without_runtime(self) -> Feed {
        Feed { from_runtime: true, ..self }
    }

    /// Milliseconds from the start.
    pub fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Takes what is new. Whether something was.
    pub fn events(&mut self, recorder: &mut Recorder) -> bool {
        let events = self.poll(recorder);
        let news = !events.is_empty();
        self.take(events, recorder);
        news
    }

    fn take(&mut self, mut events: VecDeque<Event>, recorder: &mut Recorder) {
        while let Some(event) = events.front() {
            if self.phase == Phase::StartUp && self.at(event) >= self.start_up {
                self.turn(Phase::Running, &mut events, recorder);
            }
            let Some(event) = events.pop_front() else { break };
            let Some(call) = call_of(&event) else { continue };
            self.event(&event, call, recorder);
            if let Some(phase) = self.markers.pass(call) {
                self.turn(phase, &mut events, recorder);
            }
        }
    }

    fn poll(&mut self, recorder: &mut Recorder) -> VecDeque<Event> {
        let mut events = VecDeque::new();
        if self.counters.poll(Duration::ZERO, |event| events.push_back(event)).is_err() {
            recorder.lose("looks at the kernel's events", 1);
        }
        events
    }

    /// The time of an event from the first one.
    fn at(&mut self, event: &Event) -> Duration {
        let first = *self.first.get_or_insert(event.time);
        Duration::from_nanos(event.time.saturating_sub(first))
    }

    fn event(&mut self, event: &Event, call: Call, recorder: &mut Recorder) {
        let at = u64::try_from(self.at(event).as_millis()).unwrap_or(u64::MAX);
        let mut fact = Fact { seen: Some((at, at)), ..Fact::default() };
        if let News::Argument { index, value, .. } = event.news {
            fact.arguments.insert(index, Values::of([value]));
        }
        self.known.insert((event.executable, call));
        if event.executable == FIRST && self.launch == Some(call) {
            // What the command executes is known only afterwards; `counted` files it.
            return;
        }
        if !self.is_taken(event.executable, call) {
            return;
        }
        let executable = self.executable(event.executable);
        recorder.enter(self.phase.clone());
        recorder.know(call, &executable, &fact);
    }

    /// Whether a call is the workload's. runc executes a copy of itself in memory, a new one each
    /// time, which has but its name.
    fn is_taken(&mut self, id: ExecutableId, call: Call) -> bool {
        if !self.from_runtime || matches!(call.name(), Some("execve" | "execveat")) {
            return true;
        }
        // A number for which another processor's was preferred stays without a file.
        let known = self.counters.executables().unwrap_or_default();
        let Some(first) = known.first().map(|executable| executable.id) else { return true };
        let name = self.executable(id);
        id != first && !(name.starts_with("/memfd:") && name == self.executable(first))
    }

    /// Another phase begins, before the first of these events. What was counted until now is of
    /// the one before, but for calls that these events are the first to tell of.
    ///
    /// So a call that is new is always filed under its phase; of one that was made before, those
    /// made in the moment until this looks are counted for the phase that ends.
    fn turn(&mut self, phase: Phase, events: &mut VecDeque<Event>, recorder: &mut Recorder) {
        if let Some(mut all) = self.read(recorder) {
            // Those that came while the counters were read too.
            events.extend(self.poll(recorder));
            for event in &*events {
                if let Some(key) = call_of(event).map(|call| (event.executable, call))
                    && !self.known.contains(&key)
                {
                    all.remove(&key);
                }
            }
            self.file(&all, recorder);
            self.base = all;
        }
        self.phase = phase;
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

    /// Takes the counters.
    pub fn counts(&mut self, recorder: &mut Recorder) {
        let Some(all) = self.read(recorder) else { return };
        // By now what was counted has been told of, unless that was lost.
        let events = self.poll(recorder);
        self.take(events, recorder);
        let calls = all.keys().map(|(_, call)| *call).collect();
        let over = self.phase == Phase::StartUp && self.start.elapsed() >= self.start_up;
        match self.markers.pass_any(&calls).or(over.then_some(Phase::Running)) {
            None => self.file(&all, recorder),
            Some(phase) => {
                let mut events = VecDeque::new();
                self.turn(phase, &mut events, recorder);
                self.take(events, recorder);
            }
        }
    }

    /// Files what was counted in this phase.
    fn file(&mut self, all: &Counted, recorder: &mut Recorder) {
        let now = self.now();
        recorder.enter(self.phase.clone());
        for (key @ (id, call), total) in all {
            if !self.is_taken(*id, *call) {
                continue;
            }
            let mut fact = total.clone();
            if let Some(base) = self.base.get(key) {
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
            let before = self.last.insert(*key, total.count);
            if before != Some(total.count) {
                // The launch is where time begins.
                let is_launch = before.is_none() && *id == SECOND && self.launch == Some(*call);
                fact.seen = Some((if is_launch { 0 } else { now }, now));
            }
            self.known.insert(*key);
            let executable = self.executable(*id);
            recorder.know(*call, &executable, &fact);
        }
    }

    /// Everything that the kernel has counted.
    fn read(&self, recorder: &mut Recorder) -> Option<Counted> {
        let all = self.counted();
        if all.is_none() {
            recorder.lose("looks at the kernel's counters", 1);
        }
        all
    }

    fn counted(&self) -> Option<Counted> {
        let mut all = Counted::new();
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
        if let Some(exec) = self.launch
            && let Some(own) = all.get_mut(&(FIRST, exec))
        {
            own.count = own.count.saturating_sub(1);
            // Before the command's first call the table has no name for it.
            if all.keys().any(|(id, _)| *id == SECOND) {
                all.entry((SECOND, exec)).or_default().count += 1;
            }
        }
        // A value that was seen by a processor that has not counted the call yet.
        all.retain(|_, fact| fact.count > 0);
        Some(all)
    }

    /// Notes what the kernel could not keep.
    pub fn losses(&self, recorder: &mut Recorder) {
        let losses = self.counters.losses();
        for (what, count) in [
            ("moments of first calls, which are those of the next look", losses.events),
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

/// The call that an event tells of.
fn call_of(event: &Event) -> Option<Call> {
    match event.news {
        News::Call(architecture, number) | News::Argument { architecture, number, .. } => {
            call(architecture, number)
        }
        _ => None,
    }
}

fn call(architecture: Architecture, number: SyscallNr) -> Option<Call> {
    abi_of(architecture, number).map(|abi| Call { abi, number })
}
