//! What a recorder tells.

use std::path::PathBuf;

use callgate_bpf::{Architecture, SeccompData, SyscallNr};

use crate::errno::Errno;

/// The number of an executable within one recorder; 0 stands for all that it does not tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExecutableId(pub u32);

impl ExecutableId {
    /// What is not told apart: more executables than there is room for, and those without a file.
    pub const OTHERS: ExecutableId = ExecutableId(0);
}

/// A file that a process of the recording executed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Executable {
    /// Its number.
    pub id: ExecutableId,
    /// Its path in the mount namespace of the process that executed it, from the root of that
    /// namespace; a change of root within it (chroot(2)) is not undone. Where the kernel keeps no
    /// such path, as for a memfd, the name alone. `None` for one that is deeper, or has longer
    /// names, than the recorder follows.
    pub path: Option<PathBuf>,
    /// The process that was first seen to execute it. It may have ended.
    pub process: i32,
}

/// How often a call was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct CallCount {
    /// By what.
    pub executable: ExecutableId,
    /// Through which table: an `int 0x80` of a 64-bit program counts for the 32-bit one.
    pub architecture: Architecture,
    /// The number as a filter sees it, so those of x32 have bit 30.
    pub number: SyscallNr,
    /// How often it was entered, so without calls that a filter refused.
    pub count: u64,
}

/// What calls came to that failed, or that were never entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct CallResult {
    /// By what.
    pub executable: ExecutableId,
    /// As [`CallCount::architecture`].
    pub architecture: Architecture,
    /// As [`CallCount::number`].
    pub number: SyscallNr,
    /// The error that it returned; `None` for a call that was not entered and yet returned none,
    /// as when a supervisor answers it, or a filter traps it.
    pub errno: Option<Errno>,
    /// Whether the kernel entered the call. One that was not was decided by a filter, or taken
    /// away by a tracer. Such calls are not in [`CallCount::count`].
    pub entered: bool,
    /// How often.
    pub count: u64,
}

/// The values of an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArgumentValues {
    /// By what.
    pub executable: ExecutableId,
    /// As [`CallCount::architecture`].
    pub architecture: Architecture,
    /// As [`CallCount::number`].
    pub number: SyscallNr,
    /// Which argument, from 0.
    pub index: u8,
    /// The values, up to 16, in the order of their coming.
    pub listed: Vec<u64>,
    /// Where there were more: every bit that any of the others had.
    pub others: Option<u64>,
}

/// Something that was seen for the first time.
///
/// Events say when to look; everything that they tell is in the recorder's tables as well, so a
/// lost event loses only its moment. The same may come twice: processors don't ask each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// What was seen.
    pub news: News,
    /// What was executing.
    pub executable: ExecutableId,
    /// The process, and its thread, by their numbers in the first namespace of processes.
    pub process: i32,
    /// The thread.
    pub thread: i32,
    /// When, by CLOCK_MONOTONIC, in nanoseconds.
    pub time: u64,
}

/// What an [`Event`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum News {
    /// A call that this executable had not made before.
    Call(Architecture, SyscallNr),
    /// A value of an argument.
    Argument {
        /// Of which call.
        architecture: Architecture,
        /// Of which call.
        number: SyscallNr,
        /// Which argument, from 0.
        index: u8,
        /// The value.
        value: u64,
        /// Whether it is in [`ArgumentValues::listed`], rather than among the others.
        listed: bool,
    },
    /// An executable.
    Executable,
    /// A process has a filter, or has made a call that may load one. Once.
    Filter,
    /// An error of a call, or that it was not entered: see [`CallResult`].
    Result {
        /// Of which call.
        architecture: Architecture,
        /// Of which call.
        number: SyscallNr,
        /// The error.
        errno: Option<Errno>,
        /// Whether it was entered.
        entered: bool,
    },
}

/// One call that was not entered, or that failed, as it returned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// What a filter saw of it: the registers are still those.
    pub data: SeccompData,
    /// What it returned, or the number of the call where the process is sent a signal instead, for a
    /// trap or a kill.
    pub result: i64,
    /// Whether the kernel entered it, so that no filter refused it, but for what
    /// [the module](super) says; otherwise a filter or its supervisor answered, or a tracer did.
    pub entered: bool,
    /// What was executing.
    pub executable: ExecutableId,
    /// The process, and its thread, by their numbers in the first namespace of processes.
    pub process: i32,
    /// The thread.
    pub thread: i32,
    /// The stack pointer.
    pub stack_pointer: u64,
    /// What lay there; zeros where it could not be read.
    pub stack: [u64; 16],
    /// What lay at the addresses that the arguments are, up to 256 bytes, before the program went
    /// on; nothing where the argument is no address. Where less could be read, a string with its NUL.
    pub memory: [Vec<u8>; 6],
}

/// What a recorder could not keep. All 0 in a complete recording but for `events`, which loses
/// nothing but moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Losses {
    /// Events for which the ring had no room. What they told is in the tables.
    pub events: u64,
    /// Times that an executable was met for which there was no number: its calls are counted
    /// under [`ExecutableId::OTHERS`].
    pub executables: u64,
    /// Values of arguments that were not noted, there being no room for another set of them.
    pub values: u64,
    /// Errors and refusals that were not counted.
    pub results: u64,
    /// Calls that were not counted under their number: it is beyond the tables, and there were
    /// too many of those.
    pub calls: u64,
    /// Processes of a tree that could not be followed, with all that they start.
    pub processes: u64,
    /// Times that the kernel did not run a program.
    pub missed: u64,
    /// 1 where a filter was there before results were counted, so that refusals may be missing
    /// from between: see [`Results::UnderFilters`](super::Results::UnderFilters).
    pub late: u64,
}

impl Losses {
    /// Whether everything was kept, if not every moment.
    pub fn is_none(&self) -> bool {
        Losses { events: 0, ..*self } == Losses::default()
    }
}
