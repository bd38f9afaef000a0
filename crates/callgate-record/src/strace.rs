//! What strace printed, as it is.

mod line;

use std::collections::BTreeMap;

use callgate_syscalls::{Abi, errno, syscall};

pub(crate) use self::line::{Event, Line};
use self::line::{Time, string};
use crate::{
    Arguments, End, Observation, Recorder,
    words::{self, Words},
};

/// Reads what `strace` or `strace -f` printed, with any of its options on times and descriptors,
/// into a run. `abi` is the machine's own; threads in another mode are told apart by what strace
/// says of them.
///
/// Calls that had begun count, also those that never returned. A call that strace names and the
/// tables do not have is counted as lost. Of a text without times the run has none.
///
/// # Errors
///
/// When no line of the text is a call: then it is no trace.
pub fn read(abi: Abi, text: &[u8], recorder: &mut Recorder) -> Result<(), String> {
    let text = String::from_utf8_lossy(text);
    let mut reader = Reader {
        abi,
        recorder,
        threads: BTreeMap::new(),
        words: Words::default(),
        clock: Clock::default(),
        calls: 0,
    };
    for line in text.lines() {
        reader.line(&Line::parse(line));
    }
    // Calls that never returned.
    for (_, thread) in std::mem::take(&mut reader.threads) {
        if let Some(pending) = thread.pending {
            reader.record(thread.abi, &thread.executable, &pending, None);
        }
    }
    if reader.calls == 0 {
        return Err("no line of it is a call as strace prints them".to_owned());
    }
    let after = reader.clock.now();
    recorder.end(End { after, status: None });
    Ok(())
}

struct Reader<'r> {
    abi: Abi,
    recorder: &'r mut Recorder,
    threads: BTreeMap<Option<u32>, Thread>,
    words: Words,
    clock: Clock,
    calls: u64,
}

/// A thread between two of its lines.
#[derive(Clone)]
struct Thread {
    abi: Abi,
    executable: String,
    pending: Option<Pending>,
}

/// A call that has begun.
#[derive(Clone)]
struct Pending {
    name: String,
    arguments: Vec<String>,
    at: Option<u64>,
}

/// Times from whatever strace prints before a line.
#[derive(Default)]
struct Clock {
    start: Option<u64>,
    now: Option<u64>,
}

impl Clock {
    fn tick(&mut self, time: Option<Time>) {
        match time {
            Some(Time::At(ms)) => {
                let start = *self.start.get_or_insert(ms);
                // A clock of the day starts again at midnight, and a clock can be set back.
                let now = ms.saturating_sub(start);
                self.now = Some(self.now.map_or(now, |before| before.max(now)));
            }
            Some(Time::After(ms)) => self.now = Some(self.now.unwrap_or(0).saturating_add(ms)),
            None => {}
        }
    }

    fn now(&self) -> Option<u64> {
        self.now
    }
}

impl Reader<'_> {
    fn line(&mut self, line: &Line<'_>) {
        self.clock.tick(line.time);
        match &line.event {
            Event::Call { name, arguments, result, unfinished } => {
                let call = Pending {
                    name: (*name).to_owned(),
                    arguments: arguments.iter().map(|&a| a.to_owned()).collect(),
                    at: self.clock.now(),
                };
                self.calls += 1;
                let thread = self.thread(line.thread);
                if *unfinished {
                    thread.pending = Some(call);
                } else {
                    self.finish(line.thread, &call, *result);
                }
            }
            Event::Resumed { name, arguments, result } => {
                let pending = self.thread(line.thread).pending.take();
                // A trace may begin in the middle of a call.
                let mut call = pending.filter(|call| call.name == *name).unwrap_or(Pending {
                    name: (*name).to_owned(),
                    arguments: Vec::new(),
                    at: self.clock.now(),
                });
                call.arguments.extend(arguments.iter().map(|&a| a.to_owned()));
                self.finish(line.thread, &call, *result);
            }
            Event::Mode { thread, mode } => {
                let abi = abi_of_mode(self.abi, mode);
                self.thread(thread.or(line.thread)).abi = abi;
                // While there is one thread, strace doesn't put its number before a call.
                if let Some(alone) = self.threads.get_mut(&None) {
                    alone.abi = abi;
                }
            }
            Event::Nothing | Event::Other(_) => {}
        }
    }

    /// The thread of a line. One that nobody announced is the child of a call that has not
    /// returned yet, or else of the first thread.
    fn thread(&mut self, id: Option<u32>) -> &mut Thread {
        if !self.threads.contains_key(&id) {
            let starts =
                |thread: &&Thread| thread.pending.as_ref().is_some_and(|call| is_fork(&call.name));
            let parent =
                self.threads.values().find(starts).or_else(|| self.threads.values().next());
            let (abi, executable) =
                parent.map_or((self.abi, String::new()), |t| (t.abi, t.executable.clone()));
            self.threads.insert(id, Thread { abi, executable, pending: None });
        }
        self.threads.entry(id).or_insert_with(|| unreachable!("it was just put in"))
    }

    fn finish(&mut self, id: Option<u32>, call: &Pending, result: Option<&str>) {
        let Thread { abi, executable, .. } = self.thread(id).clone();
        let worked = result.is_some_and(|result| result.starts_with('0'));
        let path = call
            .arguments
            .iter()
            .find_map(|word| string(word))
            .filter(|_| matches!(call.name.as_str(), "execve" | "execveat"));
        // The first exec is that of the traced program itself.
        let own = if executable.is_empty() { path.clone() } else { None };
        self.record(abi, own.as_ref().unwrap_or(&executable), call, result);
        if let Some(path) = path.filter(|_| worked) {
            self.thread(id).executable = path;
        }
        let child = result.filter(|_| is_fork(&call.name)).and_then(child);
        if let Some(child) = child {
            self.threads.entry(Some(child)).or_insert(Thread { abi, executable, pending: None });
        }
    }

    fn record(&mut self, abi: Abi, executable: &str, call: &Pending, result: Option<&str>) {
        let observation = |number, arguments| Observation {
            architecture: abi.audit(),
            number,
            executable,
            arguments,
            count: 1,
            errno: result.and_then(|result| failure(abi, result)),
            refused: false,
            at: call.at,
        };
        let words: Vec<&str> = call.arguments.iter().map(String::as_str).collect();
        // strace decodes what goes through `socketcall` and `ipc`, so it could have been either.
        if let Some(way) = abi.multiplexer(&call.name) {
            let mut registers = [None; 6];
            registers[0] = Some(u64::from(way.call));
            self.recorder.observe(&observation(way.nr, Arguments::Registers(registers)));
        }
        match words::number(abi, &call.name) {
            Ok(number) => {
                let arguments = registers(&mut self.words, abi, &call.name, &words);
                self.recorder.observe(&observation(number, arguments));
            }
            Err(_) if abi.multiplexer(&call.name).is_some() => {}
            Err(_) => {
                self.recorder.lose(&format!("calls of `{:.40}`, which {abi} has not", call.name), 1)
            }
        }
    }
}

/// The registers of a call, as far as what strace prints tells.
fn registers(values: &mut Words, abi: Abi, name: &str, words: &[&str]) -> Arguments {
    let Some(call) = syscall(name) else {
        return Arguments::Unknown;
    };
    let table = call.args_on(abi);
    let mut registers = [None; 6];
    for (index, word) in words.iter().enumerate() {
        // `flags=…` of clone stands in strace's order, not in that of the registers.
        let (at, word) = match word.split_once('=') {
            Some((label, value)) if label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') => {
                (table.iter().position(|argument| argument.name.ends_with(label)), value)
            }
            // Where an ABI passes them otherwise, or strace prints more than there are, positions
            // say nothing.
            _ if words.len() > table.len() || table != call.args => (None, *word),
            _ => (Some(index), *word),
        };
        if let Some(register) = at.and_then(|at| registers.get_mut(at)) {
            *register = values.printed(abi, word);
        }
    }
    Arguments::Registers(registers)
}

fn is_fork(name: &str) -> bool {
    matches!(name, "clone" | "clone3" | "fork" | "vfork")
}

/// `7`, or `2 (7 in strace's PID NS)`.
fn child(result: &str) -> Option<u32> {
    let own = result.split_once('(').filter(|(_, text)| text.contains("in strace's PID NS"));
    let text = own.map_or(result, |(_, text)| text);
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok().filter(|pid| *pid > 0)
}

/// The error of `-1 EPERM (Operation not permitted)`.
fn failure(abi: Abi, result: &str) -> Option<u16> {
    errno::number_on(abi, result.strip_prefix("-1 ")?.split(' ').next()?)
}

/// The ABI of a mode's name on a machine.
pub(crate) fn abi_of_mode(native: Abi, mode: &str) -> Abi {
    let mut companions = native.companions().iter().copied();
    let found = match mode {
        "x32" => companions.find(|abi| *abi == Abi::X32),
        "32 bit" => companions.find(|abi| abi.arg_bits() == 32 && *abi != Abi::X32),
        _ => None,
    };
    found.unwrap_or(native)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Call, Recording, Run, RunId, RunInfo};

    fn run(text: &str) -> Run {
        let mut recorder = Recorder::new(RunId::new(1), RunInfo::default());
        read(Abi::X86_64, text.as_bytes(), &mut recorder).unwrap();
        recorder.finish().1
    }

    fn made(run: &Run, abi: Abi, name: &str) -> Vec<(String, u64)> {
        let call = Call { abi, number: abi.number(name).unwrap() };
        let of_call = run.facts.iter().filter(|(key, _)| key.call == call);
        of_call.map(|(key, fact)| (key.executable.clone(), fact.count)).collect()
    }

    #[test]
    fn executables_follow_exec_and_fork() {
        let run = run("\
10 execve(\"/bin/sh\", [\"sh\"], 0x1 /* 2 vars */) = 0
10 getpid() = 10
10 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD <unfinished ...>
11 getpid() = 11
10 <... clone resumed>, child_tidptr=0x1) = 11
11 execve(\"/bin/missing\", [\"missing\"], 0x1) = -1 ENOENT (No such file or directory)
11 execve(\"/bin/true\", [\"true\"], 0x1) = 0
11 getpid() = 11
11 exit_group(0) = ?
11 +++ exited with 0 +++
10 wait4(-1,  <unfinished ...>
");
        let sh = |n| ("/bin/sh".to_owned(), n);
        let true_ = |n| ("/bin/true".to_owned(), n);
        assert_eq!(made(&run, Abi::X86_64, "getpid"), [sh(2), true_(1)]);
        assert_eq!(made(&run, Abi::X86_64, "execve"), [sh(3)]);
        assert_eq!(made(&run, Abi::X86_64, "exit_group"), [true_(1)]);
        assert_eq!(made(&run, Abi::X86_64, "wait4"), [sh(1)]);
        let recording = Recording::of_run(RunId::new(1), run);
        let failed = recording.facts().find(|(_, k, _)| k.call.number.0 == 59).unwrap().2;
        assert_eq!(failed.errors.get(&2), Some(&1));
    }

    #[test]
    fn threads_of_32_bits_call_by_their_own_numbers() {
        let run = run("\
10 execve(\"./t32\", [\"t32\"], 0x1) = 0
[ Process PID=10 runs in 32 bit mode. ]
10 getpid() = 10
10 socket(AF_UNIX, SOCK_STREAM, 0) = 3
10 execve(\"/bin/true\", [\"true\"], 0x1) = 0
[ Process PID=10 runs in 64 bit mode. ]
10 getpid() = 10
");
        assert_eq!(made(&run, Abi::X86, "getpid").len(), 1);
        assert_eq!(made(&run, Abi::X86_64, "getpid").len(), 1);
        assert_eq!(made(&run, Abi::X86, "socketcall").len(), 1);
        assert_eq!(made(&run, Abi::X86, "socket").len(), 1);
    }

    #[test]
    fn a_thread_alone_has_a_mode_without_a_number() {
        let run = run("\
execve(\"./t32\", [\"t32\"], 0x1) = 0
[ Process PID=10 runs in 32 bit mode. ]
getpid() = 10
");
        assert_eq!(made(&run, Abi::X86, "getpid").len(), 1);
        assert_eq!(made(&run, Abi::X86_64, "getpid").len(), 0);
    }

    #[test]
    fn arguments_are_known_by_name_and_unknown_ones_are_any() {
        let run = run("\
1 socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = 3
1 socket(AF_NETLINK, SOCK_RAW, NETLINK_SOMETHING) = 3
1 clone(child_stack=0x7f, flags=CLONE_VM|CLONE_VFORK|SIGCHLD) = 5
1 openat(AT_FDCWD</>, \"/x\", O_RDONLY) = 3</x>
");
        let recording = Recording::of_run(RunId::new(1), run);
        let arguments = |number: u32| {
            let fact = recording.facts().find(|(_, k, _)| k.call.number.0 == number).unwrap().2;
            fact.arguments.clone()
        };
        let socket = arguments(41);
        let values: Vec<u64> = socket[&0].listed().unwrap().iter().copied().collect();
        assert_eq!(values, [2, 16]);
        assert!(socket[&2].is_any());
        assert_eq!(arguments(56)[&0].mask(), 0x4111);
        assert_eq!(arguments(257)[&2].mask(), 0);
    }

    #[test]
    fn times_are_from_the_start() {
        let run = run("1 100000000.500000 getpid() = 1\n1 100000002.000000 getppid() = 1\n");
        let seen: Vec<_> = run.facts.values().map(|fact| fact.seen).collect();
        assert_eq!(seen, [Some((0, 0)), Some((1500, 1500))]);
        assert_eq!(run.end.unwrap().after, Some(1500));
    }

    #[test]
    fn what_the_tables_do_not_have_is_counted_and_no_trace_is_an_error() {
        let run = run("1 nosuchcall(1) = 0\n1 getpid() = 1\n");
        assert_eq!(run.losses.len(), 1);
        let mut recorder = Recorder::new(RunId::new(1), RunInfo::default());
        assert!(read(Abi::X86_64, b"hello\nworld\n", &mut recorder).is_err());
        // Whatever stands there, nothing panics.
        for text in
            [&b"\xff(\xff"[..], b"1 <... x resumed>", b"[ Process PID=", b"((((", b"1 a(\"\\"]
        {
            let _ = read(Abi::X86_64, text, &mut recorder);
        }
    }
}
