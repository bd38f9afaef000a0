//! Linux seccomp made whole: build a filter, know what it means, load it.
//!
//! A *filter* decides each system call of a thread by number, architecture and arguments, and the
//! kernel obeys it for as long as the thread lives. This crate makes filters out of code, profiles
//! and bytes, and loads them.
//!
//! | to … | use |
//! |---|---|
//! | build a filter in code | [`Filter::builder`] |
//! | read a Docker, OCI or Podman profile | [`Filter::from_profile`], [`Filter::docker_default`] |
//! | take a BPF program from elsewhere | [`Filter::from_bytes`], [`Filter::from`] |
//! | ask what a filter answers a call | [`Filter::answer`] |
//! | load it for this thread, or for all | [`Filter::load`], [`Filter::load_with`] |
//! | read back what holds | [`ThreadStatus`] |
//! | give up everything but read, write and exit | [`strict()`], [`exit_strict`] |
//! | run a command under a filter | [`launch`] |
//!
//! Contents: [an example](#an-example) · [when not to use it](#when-not-to-use-it) ·
//! [what holds of every filter](#what-holds-of-every-filter) ·
//! [threads](#threads) · [privilege](#privilege) · [errors](#errors) ·
//! [other systems and features](#other-systems-and-features)
//!
//! # An example
//!
//! A program that has done its opening, and from now on only computes and writes:
//!
//! ```
//! # #[cfg(target_os = "linux")] {
//! use callgate::{Action, Filter, Syscall, arg};
//!
//! let filter = Filter::builder()
//!     .allow(Syscall::read)
//!     // unsigned int fd: standard output and standard error.
//!     .allow_if(Syscall::write, [arg(0).ge(1), arg(0).le(2)])
//!     // What the allocator and the end of a program need.
//!     .allow(Syscall::mmap)
//!     .allow(Syscall::munmap)
//!     .allow(Syscall::brk)
//!     .allow(Syscall::futex)
//!     .allow(Syscall::sigaltstack)
//!     .allow(Syscall::exit_group)
//!     // Everything else fails with EPERM.
//!     .otherwise(Action::Errno(1))
//!     .build()?;
//! filter.load()?;
//!
//! println!("still here");
//! let error = std::fs::File::open("/etc/passwd").unwrap_err();
//! assert_eq!(error.raw_os_error(), Some(1));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The crate's `examples` folder has whole programs: `builder`, `profile`, `threads`,
//! `strict_copier`, `interactive_copier`.
//!
//! # When not to use it
//!
//! A filter sees the registers of a call and nothing behind a pointer, so it cannot decide by
//! path, address or file name: Landlock can. It never sees what io_uring does, nor, on x86_64 with
//! Linux 6.14 and later, `uretprobe` and `uprobe`. It does not hide anything from the process,
//! limit memory or time, or take away what is already open.
//!
//! For an unmodified program there is the command `callgate run`; it uses this crate.
//!
//! # What holds of every filter
//!
//! **The kernel would accept it.** A [`Filter`] holds a [`Program`], which only the validator
//! makes; there is no other way to load one.
//!
//! **It means what the rules say.** A filter made from rules was *proved* to answer every call as
//! they do, by comparing canonical decision diagrams of the two. One that cannot be proved is not
//! made.
//!
//! **Arguments have their own width.** In code, a comparison looks at as many bits as the
//! argument's C type has, as the kernel does, so that no dirty upper half dodges it: [`arg`]. A
//! profile is read as its own world reads it, which compares all 64 bits.
//!
//! **Other ABIs are not forgotten.** i386's and x32's calls, which any x86_64 process can make,
//! are spoken of or refused; with i386 comes `socketcall`: [`FilterBuilder`].
//!
//! # Threads
//!
//! Filters belong to threads, and the kernel never takes one off. [`Scope::Thread`] is the default,
//! here as in the kernel: the filter holds the calling thread and what it starts later, and loading
//! it cannot fail because of what some other thread has done. Load first, start threads then.
//! [`Scope::Process`] takes all threads along or none: where a thread has loaded a filter of its
//! own, [`LoadError::thread`] names it.
//!
//! Of several filters all are asked, and the strictest answer counts.
//!
//! # Privilege
//!
//! [`Filter::load`] sets no_new_privs, so it works for every user, and setuid programs gain nothing
//! afterwards. It stays set even when the load fails. [`LoadOptions::keep_privileges`] leaves it
//! alone and needs CAP_SYS_ADMIN. [`strict()`] needs neither.
//!
//! # Errors
//!
//! Each error type is opaque, says in its text what happened and what to do, and has a method for
//! every reason that a program may want to tell apart, such as [`LoadError::is_diverged`]. Errors
//! in a profile have places: [`ProfileError::diagnostics`].
//!
//! # Other systems and features
//!
//! On other systems than Linux, filters can be built, read and asked; what talks to the kernel is
//! not there: loading, [`strict()`], [`ThreadStatus`], [`launch`], [`this_machine`].
//!
//! No optional features. No unsafe code here; `callgate-kernel` has all of it.
#![forbid(unsafe_code)]

mod builder;
mod filter;
#[cfg(target_os = "linux")]
mod machine;
mod profile;
mod syscall;

pub use callgate_bpf::{Action, Architecture, ByteOrder, Invalid, Program, SeccompData, SyscallNr};
pub use callgate_compile::{CompileError, Contributor};
pub use callgate_diagnostic::Diagnostic;
#[cfg(target_os = "linux")]
pub use callgate_kernel::{
    CapState, LoadError, LoadOptions, Loaded, Mode, Scope, StrictError, ThreadStatus, exit_strict,
    strict,
};
pub use callgate_policy::{Dialect, FilterFlag, NewerCalls, Target};
pub use callgate_syscalls::{Abi, Capability, CapabilitySet, KernelVersion};

#[cfg(target_os = "linux")]
pub use crate::machine::this_machine;
pub use crate::{
    builder::{Argument, BuildError, Condition, Constant, FilterBuilder, arg},
    filter::Filter,
    profile::ProfileError,
    syscall::Syscall,
};

/// Running a command under a filter, or in strict mode.
///
/// ```
/// use callgate::{Action, Filter, Syscall};
/// use callgate::launch::{Launch, Outcome};
///
/// let filter = Filter::builder()
///     .otherwise(Action::Allow)
///     .rule(Syscall::getcwd, [], Action::Errno(1))
///     .build()?;
/// let finished = Launch::new(["sh", "-c", "exit 3"]).filter(filter.program()).run()?;
/// assert_eq!(finished.outcome, Outcome::Exited(3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg(target_os = "linux")]
pub mod launch {
    pub use callgate_kernel::{
        CapError, CapPlan, CapSet, Errno, ExecRule, Finished, Launch, LaunchError, Moment, Outcome,
        RefusedCall, Signal, Stage, StrictFinished, StrictRunError,
    };
}
