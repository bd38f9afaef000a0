//! Linux seccomp made whole: build a filter, know what it means, load it.
//!
//! A *filter* decides each system call of a thread by number, architecture and arguments. This
//! crate makes one in three ways and loads it:
//!
//! ```no_run
//! use callgate::{Action, Filter, Syscall, arg};
//!
//! // In code: each comparison has the width of the argument's own C type.
//! let filter = Filter::builder()
//!     .otherwise(Action::Errno(1))
//!     .allow(Syscall::read)
//!     .allow(Syscall::write)
//!     .allow(Syscall::exit_group)
//!     .allow_if(Syscall::socket, [arg(0).eq(1)])
//!     .build()?;
//! # #[cfg(target_os = "linux")]
//! filter.load()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | to … | use |
//! |---|---|
//! | build a filter in code | [`Filter::builder`] |
//! | read a Docker, OCI or Podman profile | [`Filter::from_profile`] |
//! | take a BPF program from elsewhere | [`Filter::from_bytes`] |
//! | load it for this thread, or for all | [`Filter::load`], [`Filter::load_with`] |
//! | read back what holds | [`ThreadStatus`] |
//! | give up everything but read, write, exit | [`strict()`] |
//! | run a command under a filter | [`Launch`] |
//!
//! # What holds of every filter here
//!
//! Only a [`Program`] that the kernel's validator would accept can be loaded: that is a type. A
//! filter made from rules was also *proved* to answer every call as the rules say, by comparing
//! canonical decision diagrams; a filter that cannot be proved is not made.
//!
//! # When not to use it
//!
//! A filter sees the registers of a call and nothing behind a pointer: it cannot decide by path.
//! Landlock can. It never sees what io_uring does, nor, on x86_64 with Linux 6.14 and later,
//! `uretprobe` and `uprobe`.
#![forbid(unsafe_code)]

mod builder;
mod filter;
mod profile;
mod syscall;

pub use callgate_bpf::{Action, Architecture, Invalid, Program};
pub use callgate_compile::CompileError;
#[cfg(target_os = "linux")]
pub use callgate_kernel::{
    Launch, LaunchError, LoadError, LoadOptions, Loaded, Mode, Outcome, Scope, StrictError,
    ThreadStatus, exit_strict, strict,
};
pub use callgate_policy::Dialect;
pub use callgate_syscalls::{Abi, Capability, CapabilitySet, KernelVersion};

pub use crate::{
    builder::{Argument, BuildError, Condition, FilterBuilder, arg},
    filter::Filter,
    profile::ProfileError,
    syscall::Syscall,
};
