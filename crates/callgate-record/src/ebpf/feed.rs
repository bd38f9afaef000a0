//! From the kernel's counters to facts.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use callgate_bpf::{Architecture, SyscallNr};
use callgate_kernel::{
    Errno,
    ebpf::{self, Event, ExecutableId, News},
};
use callgate_syscalls::abi_of;

use crate::{Call, Fact, Phase, Recorder, Values};

/// What a kernel's recorder has told so far.
pub struct Feed {
    counters: ebpf::Recorder,
    executables: BTreeMap<ExecutableId, String>,
    /// Whether the first executable is a container runtime, whose own calls are left out.
    from_runtime: bool,
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
    /// Of a recorder that has just started.
    pub fn new(counters: ebpf::Recorder, start_up: Duration) -> Feed {
        Feed {
            counters,
            executables: BTreeMap::new(),
            from_runtime: false,
            start: Instant::now(),
            first: None,
            start_up,
            // Without a start-up everything is running from the first look on.
            running: start_up.is_zero(),
            base: BTreeMap::new(),
            last: BTreeMap::new(),
        }
    }

    /// The first executable that is seen is a container runtime: of its calls only an exec is taken.
    pub fn leave_runtime_out(&mut self) {
        self.from_runtime = true;
    }

    /// Milliseconds from the start.
    pub fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Takes what is new. Whether something was.
    pub fn events(&mut self, recorder: &mut Recorder) -> bool {
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
        let Some(call) = call.filter(|call| self.is_taken(event.executable, *call)) else { return };
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

    /// Whether a call is the workload's. runc executes a copy of itself in memory, a new one each
    /// time, which has but its name.
    fn is_taken(&mut self, id: ExecutableId, call: Call) -> bool {
        if !self.from_runtime || matches!(call.name(), Some("execve" | "execveat")) {
            return true;
        }
        // Numbers are given in the order of their coming.
        let known = self.counters.executables().unwrap_or_default();
        let Some(first) = known.first().map(|executable| executable.id) else { return true };
        let name = self.executable(id);
        id != first && !(name.starts_with("/memfd:") && name == self.executable(first))
    }

    /// Takes the counters. At the first look after the start-up they are still its own.
    pub fn counts(&mut self, recorder: &mut Recorder) {
        let now = self.now();
        let Some(all) = self.read() else {
            recorder.lose("looks at the kernel's counters", 1);
            return;
        };
        recorder.enter(if self.running { Phase::Running } else { Phase::StartUp });
        for ((id, call), total) in &all {
            if !self.is_taken(*id, *call) {
                continue;
            }
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

    /// Notes what the kernel could not keep.
    pub fn losses(&self, recorder: &mut Recorder) {
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
