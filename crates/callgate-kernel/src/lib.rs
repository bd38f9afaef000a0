//! The running Linux kernel: seccomp, capabilities, and the launching of commands.
//!
//! The only crate of the project that talks to the kernel beyond the standard library. All
//! public functions are safe. It is empty on other systems.
//!
//! | to … | use |
//! |---|---|
//! | load a filter for this thread, or all | [`load`] with [`LoadOptions`] |
//! | enter strict mode, and leave it alive | [`strict()`], [`exit_strict`] |
//! | ask for and change privileges | [`no_new_privs`], [`CapState`], [`CapPlan`] |
//! | run a command under a filter | [`Launch`], [`Launch::run`] |
//! | run an unmodified program in strict mode | [`Launch::run_strict`] with a [`Moment`] |
//! | read back what holds a thread | [`ThreadStatus`] |
//! | read the filters of a running thread | [`filters_of`], [`threads_of`] |
//! | catch the filters that a command loads | [`Launch::run_catching`] |
//! | count the calls of a workload in the kernel | [`ebpf::Recorder`], [`Cgroup`], [`Launch::hold`] |
//! | answer the calls that a filter asks about | [`Launch::run_notified`], [`Listener`] |
//! | be asked to end, rather than ended | [`EndRequest`] |
//! | learn which call was refused | [`AuditLog`] |
//! | learn what this kernel and process can do | [`Features::probe`] |
//!
//! Only a [`Program`](callgate_bpf::Program) can be loaded, and only the validator makes one.
//!
//! ```
//! use callgate_bpf::{Action, ByteOrder, Layout, Op, Program};
//! use callgate_kernel::{Launch, Outcome};
//!
//! let allow = vec![Op::Return(Action::Allow.raw().0).into()];
//! let program = Program::new(allow, Layout::seccomp(ByteOrder::NATIVE))?;
//! let finished = Launch::new(["sh", "-c", "exit 3"]).filter(&program).run()?;
//! assert_eq!(finished.outcome, Outcome::Exited(3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Unsafe code
//!
//! Denied here and allowed file by file, under a heading that says what keeps it sound:
//!
//! | file | what it is for |
//! |---|---|
//! | `sys` | seccomp(2), prctl(2), capget(2), capset(2), signal dispositions |
//! | `load` | the descriptor that a load returns |
//! | `launch/report` | the page that parent and child share |
//! | `launch/child` | fork, and what comes between it and exec |
//! | `signals` | signal sets, signalfd(2) |
//! | `ebpf/sys` | bpf(2) |
//! | `ebpf/map` | memory that the kernel's programs write to |
//! | `launch/notified` | the listener that a child leaves here |
//! | `notify/calls` | the ioctls of a listener |
//! | `notify/process` | a signal to a thread, and how a process ended |
//! | `ptrace` | ptrace(2) |
//! | `audit` | a netlink socket |
//! | `features/probe` | children that try things |
#![cfg(target_os = "linux")]
#![deny(unsafe_code)]

mod audit;
mod capability_plan;
mod cgroup;
mod dump;
pub mod ebpf;
mod end_request;
mod errno;
mod features;
mod launch;
mod load;
mod notify;
mod outcome;
mod privileges;
mod ptrace;
mod release;
mod signals;
mod status;
mod strict;
mod sys;

pub use crate::audit::{AuditLog, SeccompRecord, audit_enabled};
pub use crate::capability_plan::{CapError, CapPlan, ExecRule};
pub use crate::cgroup::{Cgroup, CgroupError};
pub use crate::dump::{DumpError, DumpedFilter, ThreadGroup, filters_of, threads_of};
pub use crate::end_request::EndRequest;
pub use crate::errno::Errno;
pub use crate::features::{
    Cgroups, Features, Probe, ProcessFeatures, SeccompFeatures, Setting, SystemFeatures,
};
pub use crate::launch::{
    CatchError, CatchFinished, CaughtFilter, CrossCheck, Finished, Held, Launch, LaunchError,
    LoadCall, LoadFlags, Moment, NotifiedFinished, RefusedCall, Stage, StrictFinished,
    StrictRunError,
};
pub use crate::load::{LoadError, LoadOptions, Loaded, Scope, load};
pub use crate::notify::{Answer, Caller, End, Ended, Listener, Notification, Ready, Text};
pub use crate::outcome::{Outcome, Signal};
pub use crate::privileges::{
    CapSet, CapState, has_sys_admin, is_secure_exec, no_new_privs, root_is_special,
    set_no_new_privs,
};
pub use crate::release::release;
pub use crate::status::{Mode, ThreadStatus};
pub use crate::strict::{StrictError, exit_strict, strict};
