//! Recording by eBPF: the kernel counts the calls of a workload itself.
//!
//! ```no_run
//! use std::os::fd::AsFd;
//! use std::time::Duration;
//!
//! use callgate_kernel::ebpf::{ArgumentTable, RecorderOptions, Scope};
//! use callgate_kernel::{Cgroup, Launch};
//!
//! let held = Launch::new(["sh", "-c", "ls /"]).hold()?;
//! let cgroup = Cgroup::create()?;
//! cgroup.add(held.pid())?;
//! let arguments = ArgumentTable::new();
//! let mut recorder = RecorderOptions::new(Scope::Cgroup(&cgroup))
//!     .arguments(&arguments)
//!     .launched(held.pid())
//!     .start()?;
//! let events = recorder.descriptor().try_clone_to_owned()?;
//! let poll = || match recorder.poll(Duration::ZERO, |event| println!("{event:?}")) {
//!     Ok(_) => {}
//!     Err(error) => eprintln!("{error}"),
//! };
//! held.run(&[events.as_fd()], poll)?;
//! for call in recorder.counts()? {
//!     println!("{:?} {} {}", call.architecture, call.number, call.count);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Four small programs are assembled here and checked by the kernel's verifier; no compiler and no
//! object file is needed, but a kernel that describes its own types. They do nothing but count:
//! nothing that a process does is changed, delayed for an answer, or refused.
//!
//! # What is counted, and what is not
//!
//! - Every call that a process in the scope begins, exactly, by executable, table and number.
//! - Calls that were not entered, since a filter refused them or its supervisor answered, by their
//!   error. A call for which a filter *kills* has no error; where the kernel ends the thread at once
//!   (KILL_THREAD of one among several; before Linux 5.16 every kill) it leaves no trace here, but
//!   in the audit log. Where another thread puts a filter on this one (TSYNC), a refusal of the same call that the thread
//!   entered last is taken for an error of that call, once.
//! - Errors of other calls.
//! - Values of the arguments that [`ArgumentTable`] names, up to 16 one by one, the bits of others.
//!
//! # Requirements
//!
//! x86_64, Linux 5.12 or newer with CONFIG_DEBUG_INFO_BTF; CAP_BPF and CAP_PERFMON, or root, in the
//! first user namespace.

mod assembler;
mod btf;
mod decode;
mod error;
mod facts;
mod idle;
mod layout;
mod map;
mod maps;
mod program;
mod programs;
mod recorder;
mod ring;
mod sys;
mod table;
mod tree;
mod types;

pub use self::error::Error;
pub use self::facts::{
    ArgumentValues, CallCount, CallResult, Event, Executable, ExecutableId, Losses, News, Refused,
};
pub use self::idle::Idle;
pub use self::recorder::{Recorder, RecorderOptions, Results, Scope};
pub use self::table::ArgumentTable;
