//! The system calls that the probe tries.

use std::fmt;

use super::names::Names;

/// A way into the kernel that an x86 machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Abi {
    X86_64,
    X86,
    X32,
}

impl Abi {
    pub const ALL: [Abi; 3] = [Abi::X86_64, Abi::X86, Abi::X32];

    pub fn name(self) -> &'static str {
        match self {
            Abi::X86_64 => "x86_64",
            Abi::X86 => "x86",
            Abi::X32 => "x32",
        }
    }

    pub fn from_name(name: &str) -> Option<Abi> {
        Abi::ALL.into_iter().find(|abi| abi.name() == name)
    }

    /// What is added to a number of the table: x32's has a bit of its own.
    pub fn base(self) -> u32 {
        if self == Abi::X32 { 0x4000_0000 } else { 0 }
    }

    /// The same ABI in callgate's table.
    pub fn of_callgate(self) -> callgate_syscalls::Abi {
        match self {
            Abi::X86_64 => callgate_syscalls::Abi::X86_64,
            Abi::X86 => callgate_syscalls::Abi::X86,
            Abi::X32 => callgate_syscalls::Abi::X32,
        }
    }
}

/// How the probe makes a call; the letters are the probe's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Plain,
    /// It makes a process or a thread.
    Fork,
    /// It may never return.
    Blocking,
    /// It reads its frame from the stack.
    Stackless,
    /// From a second thread, to tell the death of a thread from that of a process.
    Thread,
    /// Under a tracer, to see the datum of TRACE.
    Traced,
}

impl Mode {
    fn letter(self) -> char {
        match self {
            Mode::Plain => '-',
            Mode::Fork => 'f',
            Mode::Blocking => 'b',
            Mode::Stackless => 's',
            Mode::Thread => 't',
            Mode::Traced => 'p',
        }
    }
}

/// One call to try. `Display` is the probe's input line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    pub abi: Abi,
    pub number: u32,
    pub mode: Mode,
    pub args: [u64; 6],
}

impl Call {
    /// With the arguments that keep this call harmless, and -1 where any are.
    ///
    /// -1 is no pointer that can be read, no open descriptor, and every flag at once: nearly
    /// every call answers it with an error.
    pub fn harmless(abi: Abi, number: u32) -> Call {
        let mut call = Call { abi, number, mode: Mode::Plain, args: [u64::MAX; 6] };
        let (mode, args) = match (abi, number - abi.base().min(number)) {
            // clone, fork, vfork: no flags, so a process that leaves at once.
            (Abi::X86_64 | Abi::X32, 56..=58) | (Abi::X86, 2 | 120 | 190) => (Mode::Fork, [0; 6]),
            // pause; sigsuspend takes its mask by value.
            (Abi::X86_64, 34) | (Abi::X86, 29 | 72) => (Mode::Blocking, call.args),
            // sigreturn, rt_sigreturn.
            (Abi::X86_64, 15) | (Abi::X86, 119 | 173) => (Mode::Stackless, call.args),
            // kill: -1 would mean every process, of which there is one more beside callgate.
            (Abi::X86_64 | Abi::X32, 62) | (Abi::X86, 37) => {
                (Mode::Plain, [0x7fff_ffff, 0, 0, 0, 0, 0])
            }
            _ => return call,
        };
        call.mode = mode;
        call.args = args;
        call
    }

    /// A native call with these first arguments, 0 behind them.
    pub fn native(names: &Names, name: &str, args: &[u64]) -> Call {
        Call::named(names, Abi::X86_64, name, args)
    }

    /// As [`Call::native`], through any ABI.
    pub fn named(names: &Names, abi: Abi, name: &str, args: &[u64]) -> Call {
        let number = names
            .number(abi, name)
            .unwrap_or_else(|| panic!("libseccomp knows no {} {name}", abi.name()));
        let mut call = Call::harmless(abi, number);
        call.args = [0; 6];
        call.args[..args.len()].copy_from_slice(args);
        call
    }

    pub fn with_mode(self, mode: Mode) -> Call {
        Call { mode, ..self }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.abi.name(), self.number, self.mode.letter())?;
        self.args.iter().try_for_each(|arg| write!(f, " {arg:x}"))
    }
}

/// `sync`: harmless, but it waits for every disk of the machine.
const SLOW: [(Abi, u32); 2] = [(Abi::X86_64, 162), (Abi::X86, 36)];

/// Every number that a table may hold, and some that none does, through each ABI.
pub fn every_number() -> Vec<Call> {
    let mut calls = Vec::new();
    for abi in Abi::ALL {
        // The tables end below 480; x32 has its own calls, and x86_64 a hole, from 512 to 547.
        for number in 0..=560 {
            if !SLOW.contains(&(abi, number)) {
                calls.push(Call::harmless(abi, abi.base() + number));
            }
        }
        calls.push(Call::harmless(abi, abi.base() + 5000));
    }
    // A tracer that skips a call sets the number -1.
    calls.push(Call::harmless(Abi::X86_64, u32::MAX));
    calls.push(Call::harmless(Abi::X86, u32::MAX));
    calls.push(Call::harmless(Abi::X86_64, 0x8000_0000));
    calls
}

/// The socketcall and ipc calls of x86, each with its own first argument.
pub fn multiplexed() -> Vec<Call> {
    const SOCKETCALL: u32 = 102;
    const IPC: u32 = 117;
    let through = |number, first: u64| {
        let mut call = Call::harmless(Abi::X86, number);
        call.args[0] = first;
        call
    };
    (0..=21)
        .map(|first| through(SOCKETCALL, first))
        .chain((0..=25).map(|first| through(IPC, first)))
        .collect()
}

/// Which arguments to try around each value that a profile compares with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Around {
    /// Its neighbours, 0, and the bits of a mask one by one.
    Value,
    /// Also with other upper halves; only for calls that ignore their arguments.
    BothHalves,
}

/// Calls whose arguments stand around the values that the entries of `profile` compare with.
pub fn arguments_of(profile: &serde_json::Value, names: &Names, around: Around) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for entry in profile["syscalls"].as_array().into_iter().flatten() {
        for condition in entry["args"].as_array().into_iter().flatten() {
            let index = condition["index"].as_u64().and_then(|index| usize::try_from(index).ok());
            let value = condition["value"].as_u64().unwrap_or(0);
            let second = condition["valueTwo"].as_u64().unwrap_or(0);
            let Some(index) = index.filter(|&index| index < 6) else { continue };
            for argument in candidates(value, second, around) {
                for name in names_of(entry) {
                    for abi in Abi::ALL {
                        let Some(number) = names.number(abi, name) else { continue };
                        let mut call = Call::harmless(abi, number);
                        // The low byte of clone's flags is the signal that the new process sends
                        // its parent at its end, which may come before the parent's answer.
                        if call.mode == Mode::Fork && argument & 0xff != 0 {
                            continue;
                        }
                        call.args[index] = argument;
                        if !calls.contains(&call) {
                            calls.push(call);
                        }
                    }
                }
            }
        }
    }
    calls
}

/// The names of an entry, under both keys.
pub fn names_of(entry: &serde_json::Value) -> impl Iterator<Item = &str> {
    let several = entry["names"].as_array().into_iter().flatten();
    several.chain(entry.get("name")).filter_map(serde_json::Value::as_str)
}

fn candidates(value: u64, second: u64, around: Around) -> Vec<u64> {
    let mut all = vec![0, second];
    for near in [value, second] {
        all.extend([near.saturating_sub(1), near, near.saturating_add(1)]);
    }
    // A mask is tried bit by bit, as clone's flags are.
    all.extend(
        (0..32).map(|bit| 1 << bit).filter(|bit| value.count_ones() > 2 && value & bit != 0),
    );
    if around == Around::BothHalves {
        let low = value & 0xffff_ffff;
        for high in
            [value >> 32, (value >> 32).saturating_sub(1), (value >> 32) + 1, 0, 0x8000_0000]
        {
            let upper = (high & 0xffff_ffff) << 32;
            all.extend([
                upper | low,
                upper | low.saturating_sub(1),
                upper | (low + 1) & 0xffff_ffff,
            ]);
            all.push(upper | second & 0xffff_ffff);
        }
        all.push(u64::MAX);
    }
    all.sort_unstable();
    all.dedup();
    all
}
