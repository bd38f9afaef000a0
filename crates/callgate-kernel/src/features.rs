//! What this kernel and this process can do. Everything is tried, nothing is concluded from a
//! version number.

mod probe;
mod settings;

pub use self::settings::{Cgroups, Setting};

use std::fs;
use std::io;

use callgate_bpf::Action;

use crate::audit::{AuditLog, audit_enabled};
use crate::errno::Errno;
use crate::load::{FLAG_NAMES, FLAG_NEW_LISTENER, FLAG_WAIT_KILLABLE_RECV};
use crate::outcome::Signal;
use crate::privileges::{CapState, is_secure_exec, no_new_privs};
use crate::release::release;
use crate::status::ThreadStatus;
use crate::sys;

/// What came of trying something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Probe {
    /// It worked.
    Works,
    /// The kernel, or a filter that holds this process, refused with this error.
    Refused(Errno),
    /// The process that tried died of this.
    Dies(Signal),
    /// It was not tried, for this reason.
    Untried(&'static str),
}

impl Probe {
    /// Whether it worked.
    pub fn works(self) -> bool {
        self == Probe::Works
    }
}

/// Seccomp itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SeccompFeatures {
    /// Strict mode: a child entered it, and left by `exit`.
    pub strict: Probe,
    /// Filter mode: a child set no_new_privs and loaded a filter.
    pub filter: Probe,
    /// The call seccomp(2), without which there are no flags (Linux 3.17).
    pub seccomp_call: Probe,
    /// The older way, prctl(2) with PR_SET_SECCOMP.
    pub prctl_call: Probe,
    /// Every action by its name in `actions_avail`, strongest first.
    pub actions: Vec<(&'static str, Probe)>,
    /// Every flag of a load by its name, `TSYNC` and so on.
    pub flags: Vec<(&'static str, Probe)>,
    /// Bytes of a notification, of a response, and of the data within a notification; `None`
    /// where the kernel has no notifications.
    pub notification_sizes: Option<[u16; 3]>,
    /// `kernel.seccomp.actions_avail`.
    pub actions_avail: Setting<Vec<String>>,
    /// `kernel.seccomp.actions_logged`.
    pub actions_logged: Setting<Vec<String>>,
    /// Reading the program of another process's filter (PTRACE_SECCOMP_GET_FILTER): takes a kernel
    /// with checkpoint/restore, CAP_SYS_ADMIN in the initial user namespace, and no filter here.
    pub read_filters: Probe,
    /// `net.core.bpf_jit_enable`: 0 interprets every filter, 1 compiles, 2 also logs the code.
    pub jit: Setting<u32>,
    /// `net.core.bpf_jit_harden`: with 1 for unprivileged users and with 2 for all, programs get
    /// longer, so that fewer fit the path budget.
    pub jit_harden: Setting<u32>,
}

/// This process.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProcessFeatures {
    /// The effective user.
    pub user: u32,
    /// Its capability sets.
    pub capabilities: Result<CapState, Probe>,
    /// Whether no_new_privs is set.
    pub no_new_privs: Result<bool, Probe>,
    /// Whether it was started setuid or the like.
    pub secure_exec: bool,
    /// What `/proc` says of the calling thread: seccomp mode, filters, speculation. `None` without
    /// `/proc`.
    pub status: Option<ThreadStatus>,
    /// Whether it is in the first user namespace; `None` where `/proc` does not tell.
    pub initial_user_namespace: Option<bool>,
    /// Whether it is in the first process namespace.
    pub initial_pid_namespace: Option<bool>,
    /// What says that this is a container, as sentences; none on a plain host.
    pub container_signs: Vec<String>,
}

/// Other parts of the kernel that the commands use.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SystemFeatures {
    /// `uname -r`.
    pub kernel_release: String,
    /// `uname -m`.
    pub machine: String,
    /// System calls of the 32-bit ABI: i386 on x86_64, arm on aarch64.
    pub compat: Probe,
    /// System calls of x32.
    pub x32: Probe,
    /// Tracing a child by ptrace(2).
    pub trace_child: Probe,
    /// Yama's `kernel.yama.ptrace_scope`: 0 any process of the same user, 1 descendants, 2 only
    /// with CAP_SYS_PTRACE, 3 none. Absent where the kernel has no Yama.
    pub ptrace_scope: Setting<u32>,
    /// Making a user namespace.
    pub user_namespace: Probe,
    /// `user.max_user_namespaces`.
    pub max_user_namespaces: Setting<u32>,
    /// Which cgroup hierarchies are mounted.
    pub cgroups: Cgroups,
    /// Hearing the kernel's audit records.
    pub audit_records: Probe,
    /// Whether auditing is switched on.
    pub audit_enabled: Result<bool, Probe>,
    /// `kernel.dmesg_restrict`: with 1, reading the kernel's log takes CAP_SYSLOG.
    pub dmesg_restrict: Setting<u32>,
}

/// Everything.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Features {
    /// Seccomp itself.
    pub seccomp: SeccompFeatures,
    /// This process.
    pub process: ProcessFeatures,
    /// The rest.
    pub system: SystemFeatures,
}

impl Features {
    /// Tries everything, which takes a few milliseconds and some short-lived children. Nothing of
    /// this process changes.
    ///
    /// A program that ignores SIGCHLD cannot wait for children: what needs one then comes out
    /// as refused with ECHILD.
    pub fn probe() -> Features {
        let (trace_child, read_filters) = probe::trace();
        Features { seccomp: seccomp(read_filters), process: process(), system: system(trace_child) }
    }
}

/// The actions, strongest first.
const ACTIONS: [Action; 8] = [
    Action::KillProcess,
    Action::KillThread,
    Action::Trap(0),
    Action::Errno(0),
    Action::UserNotif,
    Action::Trace(0),
    Action::Log,
    Action::Allow,
];

fn seccomp(read_filters: Probe) -> SeccompFeatures {
    let flag = |flag: u32| {
        // Alone, this one is refused even where it is known.
        let with = if flag == FLAG_WAIT_KILLABLE_RECV { FLAG_NEW_LISTENER } else { 0 };
        probe::flags(flag | with)
    };
    let action = |a: Action| probe::call(|| sys::seccomp_action_available(a.raw().0));
    SeccompFeatures {
        strict: probe::strict(),
        filter: probe::filter(),
        seccomp_call: probe::flags(0),
        prctl_call: probe::prctl_filter(),
        actions: ACTIONS.map(|a| (a.name(), action(a))).to_vec(),
        flags: FLAG_NAMES.map(|(bit, name)| (name, flag(bit))).to_vec(),
        notification_sizes: careful(sys::seccomp_notif_sizes).ok(),
        actions_avail: settings::words("kernel/seccomp/actions_avail"),
        actions_logged: settings::words("kernel/seccomp/actions_logged"),
        read_filters,
        jit: settings::number("net/core/bpf_jit_enable"),
        jit_harden: settings::number("net/core/bpf_jit_harden"),
    }
}

/// Makes a call here only after a child has made it and lived: a filter may kill for it.
fn careful<T>(call: impl Fn() -> Result<T, Errno>) -> Result<T, Probe> {
    match probe::call(&call) {
        Probe::Works => call().map_err(Probe::Refused),
        other => Err(other),
    }
}

/// Whether this process is in the first user namespace; `None` where `/proc` does not tell.
pub(crate) fn in_initial_user_namespace() -> Option<bool> {
    // `PROC_USER_INIT_INO` of `linux/proc_ns.h`.
    settings::is_initial_namespace("user", 0xefff_fffd)
}

/// Whether this process is in the first namespace of processes; `None` where `/proc` does not tell.
pub(crate) fn in_initial_pid_namespace() -> Option<bool> {
    // `PROC_PID_INIT_INO` of `linux/proc_ns.h`.
    settings::is_initial_namespace("pid", 0xefff_fffc)
}

fn process() -> ProcessFeatures {
    ProcessFeatures {
        user: rustix::process::geteuid().as_raw(),
        capabilities: careful(CapState::of_this_thread),
        no_new_privs: careful(no_new_privs),
        secure_exec: is_secure_exec(),
        status: ThreadStatus::of_this_thread().ok(),
        initial_user_namespace: in_initial_user_namespace(),
        initial_pid_namespace: in_initial_pid_namespace(),
        container_signs: settings::container_signs(),
    }
}

fn system(trace_child: Probe) -> SystemFeatures {
    let errno = |error: io::Error| Errno::from(&error);
    let audit_records = probe::call(|| AuditLog::open().map_err(errno));
    let audit_enabled = match audit_records {
        Probe::Works => audit_enabled().map_err(|error| Probe::Refused(errno(error))),
        other => Err(other),
    };
    SystemFeatures {
        kernel_release: release(),
        machine: rustix::system::uname().machine().to_string_lossy().into_owned(),
        compat: probe::compat(),
        x32: probe::x32(),
        trace_child,
        ptrace_scope: settings::number("kernel/yama/ptrace_scope"),
        user_namespace: probe::user_namespace(),
        max_user_namespaces: settings::number("user/max_user_namespaces"),
        cgroups: settings::cgroups(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()),
        audit_records,
        audit_enabled,
        dmesg_restrict: settings::number("kernel/dmesg_restrict"),
    }
}
