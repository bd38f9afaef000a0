//! A recorder: from its start in the kernel to what it has counted.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use callgate_bpf::SyscallNr;
use callgate_syscalls::Abi;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::error::{Error, Kind};
use super::facts::{
    ArgumentValues, CallCount, CallResult, Event, Executable, ExecutableId, Losses, News,
};
use super::layout::Layout;
use super::maps::{COMPONENT, Control, LEVELS, LISTED, Maps, NAME_HEAD, POOL, SET_WORDS, VEIL};
use super::program::{Attached, Program};
use super::programs::{self, EventKind, Plan};
use super::ring::{RawEvent, Ring};
use super::table::{ArgumentTable, CALLS, SETS, Tracked, call_at};
use super::tree;
use crate::cgroup::Cgroup;
use crate::errno::Errno;
use crate::features::in_initial_pid_namespace;

/// Whose calls are recorded.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Scope<'a> {
    /// Of the processes in a cgroup, and in those below it, for as long as they are there.
    Cgroup(&'a Cgroup),
    /// Of a process, and of all that it has started and will start, wherever they go. For machines
    /// without a version 2 tree: other processes pay more for it.
    Tree(i32),
}

/// How to record.
#[derive(Clone, Debug)]
pub struct RecorderOptions<'a> {
    scope: Scope<'a>,
    arguments: Option<&'a ArgumentTable>,
    launched: Option<i32>,
    results: Results,
    ring: u32,
}

/// When errors and refusals are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "from the beginning, or not")]
pub enum Results {
    /// From the beginning.
    #[default]
    Always,
    /// From when [`Recorder::poll`] hears that a process has a filter, or makes a call that may
    /// load one: before that, there is nothing that could refuse a call. Without a filter no call
    /// takes the second of the two detours that counting is, nor are errors counted. What is
    /// refused in the meantime, less than a millisecond for one who waits in `poll`, is missing,
    /// and [`Losses::late`] says so.
    UnderFilters,
}

/// Counts calls in the kernel, from its start until it is dropped.
///
/// Programs and tables have no names in any file system, and live as long as this process has
/// them open: they go with it, however it ends. Descriptors are close-on-exec.
///
/// While any recorder runs, every process of the machine takes the kernel's slower way into system
/// calls, on which tracepoints lie.
pub struct Recorder {
    /// Dropped first, so that nothing is written any more when the rest goes.
    programs: Vec<Attached>,
    /// The one that counts results, until it is needed.
    waiting: Option<Program>,
    late: bool,
    ring: Ring,
    maps: Maps,
    tracked: Vec<Tracked>,
}

/// 4096 events and their headers, about.
const RING: u32 = 256 << 10;

impl<'a> RecorderOptions<'a> {
    /// Records these, without arguments.
    pub fn new(scope: Scope<'a>) -> RecorderOptions<'a> {
        RecorderOptions {
            scope,
            arguments: None,
            launched: None,
            results: Results::Always,
            ring: RING,
        }
    }

    /// Notes the values of these arguments.
    #[must_use]
    pub fn arguments(mut self, table: &'a ArgumentTable) -> RecorderOptions<'a> {
        self.arguments = Some(table);
        self
    }

    /// This process was forked to execute a command, by [`Launch::hold`](crate::Launch::hold) or by
    /// a container runtime, and what its threads do before that is not the command's: of that only
    /// the exec itself is counted. Of a process that has executed something since it was forked,
    /// everything is counted.
    #[must_use]
    pub fn launched(mut self, process: i32) -> RecorderOptions<'a> {
        self.launched = Some(process);
        self
    }

    /// When errors and refusals are counted; by default from the beginning.
    #[must_use]
    pub fn results(mut self, results: Results) -> RecorderOptions<'a> {
        self.results = results;
        self
    }

    /// The size of the ring for events, in bytes: made a power of 2, at least a page.
    #[must_use]
    pub fn ring_size(mut self, bytes: u32) -> RecorderOptions<'a> {
        let page = u32::try_from(rustix::param::page_size()).unwrap_or(1 << 16);
        self.ring = bytes.clamp(page, 1 << 28).next_power_of_two();
        self
    }

    /// Starts recording. When this returns, every call that a process in the scope begins is
    /// counted.
    ///
    /// # Errors
    ///
    /// Nothing was started; [`Error`] knows whether that is for lack of privilege or for the
    /// machine, and says what would help.
    pub fn start(&self) -> Result<Recorder, Error> {
        let by_number = self.launched.is_some() || matches!(self.scope, Scope::Tree(_));
        if by_number && in_initial_pid_namespace() == Some(false) {
            return Err(Kind::Numbers.into());
        }
        let layout = Layout::of_this_kernel()?;
        let table = self.arguments.cloned().unwrap_or_default();
        let cgroup = match self.scope {
            Scope::Cgroup(cgroup) => Some(cgroup.directory()),
            Scope::Tree(_) => None,
        };
        let maps = Maps::new(&table, cgroup, self.ring)?;
        let ring = Ring::new(maps.ring.as_fd(), self.ring)
            .map_err(|errno| Error::of_map("ring", errno))?;
        let plan =
            Plan { layout: &layout, maps: &maps, launched: self.launched.map(i32::cast_unsigned) };
        let load = Program::load;
        let enter = load("enter", c"cg_enter", &programs::enter(&plan), layout.sys_enter)?;
        let exit = load("exit", c"cg_exit", &programs::exit(&plan), layout.sys_exit)?;
        let mut attached = Vec::new();
        if let Scope::Tree(process) = self.scope {
            let forked = load("fork", c"cg_fork", &programs::forked(&plan), layout.fork)?;
            let left = load("left", c"cg_left", &programs::left(&plan), layout.exit)?;
            attached.push(left.attach()?);
            attached.push(forked.attach()?);
            tree::plant(process, &maps.roots)
                .map_err(|errno| Error::from(Kind::Process(process, errno)))?;
        }
        attached.push(enter.attach()?);
        let waiting = match self.results {
            Results::Always => {
                attached.push(exit.attach()?);
                None
            }
            Results::UnderFilters => Some(exit),
        };
        Ok(Recorder {
            programs: attached,
            waiting,
            late: false,
            ring,
            maps,
            tracked: table.tracked(),
        })
    }
}

impl Recorder {
    /// Becomes readable when there are events, for poll(2) and its like.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.maps.ring.as_fd()
    }

    /// Waits for events, at most this long, and gives what has come to `each`. Returns how many
    /// that were.
    ///
    /// # Errors
    ///
    /// When waiting fails, or a program cannot be attached, which only lack of memory brings about.
    pub fn poll(&mut self, timeout: Duration, mut each: impl FnMut(Event)) -> Result<usize, Error> {
        let timeout = Timespec::try_from(timeout).map_err(|_| Kind::Wait(Errno(libc::EINVAL)))?;
        let mut fds = [PollFd::from_borrowed_fd(self.maps.ring.as_fd(), PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(Kind::Wait(errno.into()).into()),
        }
        let mut count = 0;
        // Asked of the table, since the event may be one of those that were lost.
        if self.maps.control(Control::Filters) != 0
            && let Some(program) = self.waiting.take()
        {
            self.late = true;
            self.programs.push(program.attach()?);
        }
        while let Some(raw) = self.ring.next() {
            if let Some(event) = decode(raw) {
                each(event);
                count += 1;
            }
        }
        Ok(count)
    }

    /// What was executed so far.
    ///
    /// # Errors
    ///
    /// When the kernel has no memory for the answer.
    pub fn executables(&self) -> Result<Vec<Executable>, Error> {
        let given = self.maps.control(Control::Executables);
        let last = given.min(u64::from(self.maps.slots).saturating_sub(1));
        let mut executables = Vec::new();
        for id in 1..=u32::try_from(last).unwrap_or(0) {
            let name = self.maps.names.lookup(&id.to_ne_bytes());
            let name = name.map_err(|errno| Error::of_map("names", errno))?.unwrap_or_default();
            // A number that another processor's was preferred to stays without a process.
            if let Some(executable) = executable(ExecutableId(id), &name) {
                executables.push(executable);
            }
        }
        Ok(executables)
    }

    /// Every call that was made, and how often. Sums over all processors, each exact for calls
    /// that began before this one.
    ///
    /// # Errors
    ///
    /// When the kernel has no memory for the answer.
    pub fn counts(&self) -> Result<Vec<CallCount>, Error> {
        let [slots, processors] =
            [self.maps.slots, self.maps.processors].map(|n| usize::try_from(n).unwrap_or(0));
        let used = self.maps.control(Control::Executables).saturating_add(1);
        let used = usize::try_from(used).unwrap_or(slots).min(slots);
        let mut counts = Vec::new();
        for slot in 0..used {
            for call in 0..CALLS {
                let word =
                    |cpu: usize| self.maps.counters.word((cpu * slots + slot) * CALLS + call);
                let count = (0..processors).map(word).fold(0, u64::wrapping_add);
                if count > 0 {
                    let executable = ExecutableId(u32::try_from(slot).unwrap_or(0));
                    let (architecture, number) = call_at(call);
                    counts.push(CallCount { executable, architecture, number, count });
                }
            }
        }
        for (key, count) in self.maps.odd.numbers().map_err(|errno| Error::of_map("odd", errno))? {
            let [a, b, c, d, e, f, g, h] = key.to_be_bytes();
            let architecture = if a & 0x80 == 0 { Abi::X86_64 } else { Abi::X86 }.audit();
            let executable = ExecutableId(u32::from_be_bytes([a & 0x7f, b, c, d]));
            let number = SyscallNr(u32::from_be_bytes([e, f, g, h]));
            counts.push(CallCount { executable, architecture, number, count });
        }
        Ok(counts)
    }

    /// Every error that calls returned, and the calls that were not entered.
    ///
    /// # Errors
    ///
    /// When the kernel has no memory for the answer.
    pub fn results(&self) -> Result<Vec<CallResult>, Error> {
        let result = |(key, count): (u64, u64)| {
            let [a, b, c, d, e, f, g, h] = key.to_be_bytes();
            let (architecture, number) = call_at(usize::from(u16::from_be_bytes([e, f])));
            let outcome = u16::from_be_bytes([g, h]);
            let executable = ExecutableId(u32::from_be_bytes([a, b, c, d]));
            let (errno, entered) = outcome_of(outcome);
            CallResult { executable, architecture, number, errno, entered, count }
        };
        let numbers =
            self.maps.results.numbers().map_err(|errno| Error::of_map("results", errno))?;
        Ok(numbers.into_iter().map(result).collect())
    }

    /// The values of all arguments that are looked at.
    pub fn values(&self) -> Vec<ArgumentValues> {
        let slots = usize::try_from(self.maps.slots).unwrap_or(0);
        let mut all = Vec::new();
        for slot in 0..slots {
            for (set, tracked) in self.tracked.iter().enumerate() {
                let place = self.maps.places.half(slot * SETS + set);
                if place == 0 || place >= POOL {
                    continue;
                }
                let first = usize::try_from(place).unwrap_or(0) * usize::from(SET_WORDS);
                let word = |index: usize| self.maps.sets.word(first + index);
                let listed = (1..=usize::from(LISTED)).map(word).filter(|value| *value != 0);
                let full = word(usize::from(SET_WORDS) - 1) != 0;
                let (architecture, number) = call_at(tracked.call);
                all.push(ArgumentValues {
                    executable: ExecutableId(u32::try_from(slot).unwrap_or(0)),
                    architecture,
                    number,
                    index: tracked.argument,
                    listed: listed.map(|value| value ^ VEIL).collect(),
                    others: full.then(|| word(0)),
                });
            }
        }
        all
    }

    /// What could not be kept so far.
    pub fn losses(&self) -> Losses {
        let control = |what| self.maps.control(what);
        Losses {
            events: control(Control::LostEvents),
            executables: control(Control::LostExecutables),
            values: control(Control::LostSets),
            results: control(Control::LostResults),
            calls: control(Control::LostCalls),
            processes: control(Control::LostProcesses),
            missed: self.programs.iter().filter_map(|p| p.missed().ok()).sum(),
            late: u64::from(self.late || self.waiting.is_some() && control(Control::Filters) != 0),
        }
    }
}

/// Bits 0 to 11: the error; bit 12: not entered.
fn outcome_of(outcome: u16) -> (Option<Errno>, bool) {
    let errno = outcome & 0x0fff;
    ((errno != 0).then(|| Errno(i32::from(errno))), outcome & 0x1000 == 0)
}

fn decode(raw: RawEvent) -> Option<Event> {
    let low_high = |word: u64| {
        let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
        (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
    };
    let [(kind, executable), (call, argument), (thread, process)] =
        [raw[0], raw[1], raw[3]].map(low_high);
    let value = raw[2];
    let (architecture, number) = call_at(usize::try_from(call).ok()?);
    let is = |wanted: EventKind| kind == u32::from(wanted as u8);
    let news = if is(EventKind::Call) {
        News::Call(architecture, number)
    } else if is(EventKind::Argument) || is(EventKind::Unlisted) {
        let index = u8::try_from(argument).ok()?;
        News::Argument { architecture, number, index, value, listed: is(EventKind::Argument) }
    } else if is(EventKind::Executable) {
        News::Executable
    } else if is(EventKind::Filter) {
        News::Filter
    } else if is(EventKind::Result) {
        let (errno, entered) = outcome_of(u16::try_from(value).ok()?);
        News::Result { architecture, number, errno, entered }
    } else {
        return None;
    };
    Some(Event {
        news,
        executable: ExecutableId(executable),
        process: process.cast_signed(),
        thread: thread.cast_signed(),
        time: raw[4],
    })
}

/// What stands in the table of names; `None` where nobody has written there.
fn executable(id: ExecutableId, name: &[u8]) -> Option<Executable> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let word = |at: usize| name.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
    let process = word(0).filter(|process| *process != 0)?.cast_signed();
    let whole = word(8) == Some(1);
    let components = name.get(usize::from(NAME_HEAD)..)?;
    let components: Vec<&[u8]> = components
        .chunks(usize::from(COMPONENT))
        .take(usize::from(LEVELS))
        .filter_map(|component| component.split(|byte| *byte == 0).next())
        .filter(|component| !component.is_empty())
        .collect();
    let cut = components.iter().any(|component| component.len() + 1 >= usize::from(COMPONENT));
    let path = (whole && !cut && !components.is_empty()).then(|| {
        let mut path = std::path::PathBuf::from("/");
        path.extend(components.iter().rev().map(|component| OsStr::from_bytes(component)));
        path
    });
    Some(Executable { id, path, process })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_from_its_end() {
        let mut name = vec![0; usize::from(NAME_HEAD) + usize::from(LEVELS * COMPONENT)];
        name[0] = 7;
        let mut put = |level: usize, text: &[u8]| {
            let at = usize::from(NAME_HEAD) + level * usize::from(COMPONENT);
            name[at..at + text.len()].copy_from_slice(text);
        };
        put(0, b"nginx");
        // Level 1 was the root of a mount.
        put(2, b"sbin");
        put(3, b"usr");
        let read = |name: &[u8]| executable(ExecutableId(1), name).unwrap();
        assert_eq!(read(&name).path, None);
        name[8] = 1;
        assert_eq!(read(&name).path.unwrap().to_str(), Some("/usr/sbin/nginx"));
        assert_eq!(read(&name).process, 7);
        name[0] = 0;
        assert_eq!(executable(ExecutableId(1), &name), None);
    }

    #[test]
    fn an_outcome_is_an_error_and_whether_it_was_entered() {
        assert_eq!(outcome_of(2), (Some(Errno(libc::ENOENT)), true));
        assert_eq!(outcome_of(0x1000 | 1), (Some(Errno(libc::EPERM)), false));
        assert_eq!(outcome_of(0x1000), (None, false));
    }
}
