//! Loading a filter.

use std::fmt;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use callgate_bpf::{ByteOrder, Layout, Program};

use crate::errno::Errno;
use crate::sys;

/// Which threads get the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "the kernel knows one thread or all of them")]
pub enum Scope {
    /// The calling thread, and every thread and process that it starts afterwards. The default,
    /// and the kernel's own: it cannot fail because of what other threads have done. Load before
    /// starting threads, and all of them have the filter.
    #[default]
    Thread,
    /// All threads of the process (SECCOMP_FILTER_FLAG_TSYNC): each gets the calling thread's
    /// filters with this one on top, and its no_new_privs. All or none: a thread that has loaded
    /// a filter of its own, which the calling thread does not have, makes it fail with that
    /// thread's id, see [`LoadError::thread`].
    Process,
}

/// How to load a filter. The default: for the calling thread, no_new_privs set first, no flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    scope: Scope,
    keep_privileges: bool,
    log: bool,
    spec_allow: bool,
    listener: Option<Wait>,
}

/// How a process waits for its supervisor once that has received the notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Interruptible,
    Killable,
}

// SECCOMP_FILTER_FLAG_* of linux/seccomp.h.
pub(crate) const FLAG_TSYNC: u32 = 1 << 0;
pub(crate) const FLAG_LOG: u32 = 1 << 1;
pub(crate) const FLAG_SPEC_ALLOW: u32 = 1 << 2;
pub(crate) const FLAG_NEW_LISTENER: u32 = 1 << 3;
pub(crate) const FLAG_TSYNC_ESRCH: u32 = 1 << 4;
pub(crate) const FLAG_WAIT_KILLABLE_RECV: u32 = 1 << 5;

/// Every flag with its name, in the order of its bit.
pub(crate) const FLAG_NAMES: [(u32, &str); 6] = [
    (FLAG_TSYNC, "TSYNC"),
    (FLAG_LOG, "LOG"),
    (FLAG_SPEC_ALLOW, "SPEC_ALLOW"),
    (FLAG_NEW_LISTENER, "NEW_LISTENER"),
    (FLAG_TSYNC_ESRCH, "TSYNC_ESRCH"),
    (FLAG_WAIT_KILLABLE_RECV, "WAIT_KILLABLE_RECV"),
];

impl Default for LoadOptions {
    fn default() -> LoadOptions {
        LoadOptions {
            scope: Scope::Thread,
            keep_privileges: false,
            log: false,
            spec_allow: false,
            listener: None,
        }
    }
}

impl LoadOptions {
    /// The default options.
    pub fn new() -> LoadOptions {
        LoadOptions::default()
    }

    /// For which threads.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> LoadOptions {
        self.scope = scope;
        self
    }

    /// Don't set no_new_privs: the thread must hold CAP_SYS_ADMIN in its user namespace then, or
    /// have it set already. Setuid programs go on to gain privilege, under this filter.
    #[must_use]
    pub fn keep_privileges(mut self) -> LoadOptions {
        self.keep_privileges = true;
        self
    }

    /// Log every action but ALLOW, as far as `kernel.seccomp.actions_logged` lets it
    /// (SECCOMP_FILTER_FLAG_LOG, Linux 4.14). Without it only the kills and LOG are logged.
    #[must_use]
    pub fn log(mut self) -> LoadOptions {
        self.log = true;
        self
    }

    /// Don't turn on the mitigation of Speculative Store Bypass for these threads
    /// (SECCOMP_FILTER_FLAG_SPEC_ALLOW, Linux 4.17). Since 5.16 no x86 kernel does by default.
    #[must_use]
    pub fn spec_allow(mut self) -> LoadOptions {
        self.spec_allow = true;
        self
    }

    /// Make a descriptor that receives the calls for which the filter returns USER_NOTIF
    /// (SECCOMP_FILTER_FLAG_NEW_LISTENER, Linux 5.0): [`Loaded::into_listener`].
    #[must_use]
    pub fn listener(mut self) -> LoadOptions {
        self.listener = Some(Wait::Interruptible);
        self
    }

    /// As [`LoadOptions::listener`], and once the supervisor has received a call only a fatal
    /// signal interrupts the caller (SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, Linux 5.19).
    #[must_use]
    pub fn killable_listener(mut self) -> LoadOptions {
        self.listener = Some(Wait::Killable);
        self
    }

    /// The flag word for the kernel.
    pub(crate) fn flags(&self) -> u32 {
        let mut flags = 0;
        if self.scope == Scope::Process {
            flags |= FLAG_TSYNC;
            if self.listener.is_some() {
                // Both results are positive numbers; the kernel wants one of them moved away.
                flags |= FLAG_TSYNC_ESRCH;
            }
        }
        if self.log {
            flags |= FLAG_LOG;
        }
        if self.spec_allow {
            flags |= FLAG_SPEC_ALLOW;
        }
        match self.listener {
            None => {}
            Some(Wait::Interruptible) => flags |= FLAG_NEW_LISTENER,
            Some(Wait::Killable) => flags |= FLAG_NEW_LISTENER | FLAG_WAIT_KILLABLE_RECV,
        }
        flags
    }
}

/// What a load leaves in the caller's hands.
#[derive(Debug)]
pub struct Loaded {
    listener: Option<OwnedFd>,
}

impl Loaded {
    /// The notification descriptor, close-on-exec, when [`LoadOptions::listener`] asked for it.
    /// Closing it answers every waiting call with ENOSYS.
    pub fn into_listener(self) -> Option<OwnedFd> {
        self.listener
    }
}

/// A program in the kernel's layout, ready to be loaded without allocating.
pub(crate) struct Prepared(Vec<libc::sock_filter>);

impl Prepared {
    /// # Errors
    ///
    /// For a program that reads another context than this machine's `struct seccomp_data`.
    pub(crate) fn new(program: &Program) -> Result<Prepared, LoadError> {
        if *program.layout() != Layout::seccomp(ByteOrder::NATIVE) {
            return Err(LoadError { kind: Kind::Foreign });
        }
        let to_kernel = |i: &callgate_bpf::Instruction| libc::sock_filter {
            code: i.code,
            jt: i.jt,
            jf: i.jf,
            k: i.k,
        };
        Ok(Prepared(program.instructions().iter().map(to_kernel).collect()))
    }

    /// Attaches it. Safe between fork and exec.
    pub(crate) fn attach(&self, flags: u32) -> Result<i64, Errno> {
        sys::seccomp_set_filter(&self.0, flags)
    }
}

/// Loads a filter. It can never be taken off again; filters loaded later only add to it.
///
/// Sets no_new_privs of the calling thread first, unless [`LoadOptions::keep_privileges`] says
/// not to; **it stays set when the load fails**, as the kernel has no way to clear it.
///
/// The manual page is `seccomp(2)`, SECCOMP_SET_MODE_FILTER.
///
/// # Errors
///
/// No filter was loaded for any thread. [`LoadError`] has a question for each reason.
#[doc(alias = "SECCOMP_SET_MODE_FILTER")]
pub fn load(program: &Program, options: &LoadOptions) -> Result<Loaded, LoadError> {
    let prepared = Prepared::new(program)?;
    if !options.keep_privileges {
        sys::set_no_new_privs().map_err(|errno| LoadError { kind: Kind::NoNewPrivs(errno) })?;
    }
    let flags = options.flags();
    match prepared.attach(flags) {
        Ok(result) if options.listener.is_some() => {
            Ok(Loaded { listener: Some(listener_from(result)) })
        }
        Ok(0) => Ok(Loaded { listener: None }),
        Ok(thread) => Err(LoadError { kind: Kind::Diverged(i32::try_from(thread).ok()) }),
        Err(errno) => Err(LoadError::explain(errno, flags)),
    }
}

/// # Safety
///
/// One block below takes a descriptor that the kernel just made.
#[allow(unsafe_code)]
fn listener_from(result: i64) -> OwnedFd {
    let fd = RawFd::try_from(result).expect("the kernel's descriptors fit an int");
    // SAFETY: SECCOMP_FILTER_FLAG_NEW_LISTENER was set and the call succeeded, so `result` is a
    // new descriptor that nobody else has seen.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Why a filter was not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Foreign,
    NoNewPrivs(Errno),
    NotPrivileged,
    UnknownFlags(u32),
    Refused,
    Budget,
    Listener,
    Descriptors(Errno),
    Diverged(Option<i32>),
    Unsupported,
    Other(Errno),
}

impl LoadError {
    /// The reason behind the kernel's answer to these flags.
    pub(crate) fn explain(errno: Errno, flags: u32) -> LoadError {
        let kind = match errno.0 {
            libc::EACCES => Kind::NotPrivileged,
            libc::EINVAL => match unknown_flags(flags) {
                0 => Kind::Refused,
                unknown => Kind::UnknownFlags(unknown),
            },
            libc::ENOMEM => Kind::Budget,
            libc::EBUSY if flags & FLAG_NEW_LISTENER != 0 => Kind::Listener,
            libc::EMFILE | libc::ENFILE => Kind::Descriptors(errno),
            libc::ESRCH if flags & FLAG_TSYNC_ESRCH != 0 => Kind::Diverged(None),
            libc::ENOSYS => Kind::Unsupported,
            _ => Kind::Other(errno),
        };
        LoadError { kind }
    }

    /// Whether the thread had neither no_new_privs nor CAP_SYS_ADMIN in its user namespace.
    pub fn is_not_privileged(&self) -> bool {
        self.kind == Kind::NotPrivileged
    }

    /// Whether this filter and those already loaded pass the kernel's budget for one system call
    /// (32,768 translated instructions), or the kernel has no memory: it answers both alike.
    pub fn is_over_budget(&self) -> bool {
        self.kind == Kind::Budget
    }

    /// Whether a flag is unknown to this kernel.
    pub fn is_unknown_flag(&self) -> bool {
        matches!(self.kind, Kind::UnknownFlags(_))
    }

    /// Whether a filter that this thread already has holds an open notification descriptor; the
    /// kernel allows one.
    pub fn has_other_listener(&self) -> bool {
        self.kind == Kind::Listener
    }

    /// Whether a thread of the process has a filter that the calling thread lacks, so that
    /// [`Scope::Process`] had nothing common to build on.
    pub fn is_diverged(&self) -> bool {
        matches!(self.kind, Kind::Diverged(_))
    }

    /// The id of that thread; `None` where a listener was asked for too, since the kernel then
    /// says only that there is one.
    pub fn thread(&self) -> Option<i32> {
        match self.kind {
            Kind::Diverged(thread) => thread,
            _ => None,
        }
    }
}

/// Those of these flags that the running kernel refuses.
fn unknown_flags(flags: u32) -> u32 {
    let alone = |flag: u32| match flag {
        // Refused without the flag that it refines.
        FLAG_WAIT_KILLABLE_RECV => FLAG_NEW_LISTENER | FLAG_WAIT_KILLABLE_RECV,
        other => other,
    };
    FLAG_NAMES
        .iter()
        .map(|&(flag, _)| flag)
        .filter(|flag| flags & flag != 0)
        .filter(|&flag| sys::seccomp_try_flags(alone(flag)) == Errno(libc::EINVAL))
        .fold(0, |all, flag| all | flag)
}

impl std::error::Error for LoadError {}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the filter was not loaded: ")?;
        match &self.kind {
            Kind::Foreign => f.write_str(
                "it was made for a machine of the other byte order, or reads another context than \
                 seccomp's; compile it for this machine",
            ),
            Kind::NoNewPrivs(errno) => {
                write!(f, "no_new_privs could not be set: {errno}; is the kernel older than 3.5?")
            }
            Kind::NotPrivileged => f.write_str(
                "the kernel wants no_new_privs set, or CAP_SYS_ADMIN in this process's own user \
                 namespace, and there is neither (EACCES); set no_new_privs",
            ),
            Kind::UnknownFlags(flags) => {
                f.write_str("this kernel does not know ")?;
                let names = FLAG_NAMES.iter().filter(|(flag, _)| flags & flag != 0);
                for (i, (_, name)) in names.enumerate() {
                    write!(f, "{}SECCOMP_FILTER_FLAG_{name}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str(" (EINVAL); leave it out, or use a newer kernel")
            }
            Kind::Refused => f.write_str(
                "the kernel refuses the program, or has no seccomp filters (EINVAL); a program \
                 that passed the validator should load, so please report this one",
            ),
            Kind::Budget => f.write_str(
                "with the filters that this thread has already, one system call could run more \
                 than the 32768 instructions that the kernel allows, or the kernel is out of \
                 memory (ENOMEM); load a smaller program or fewer of them",
            ),
            Kind::Listener => f.write_str(
                "a filter of this thread has an open notification descriptor already, and the \
                 kernel allows one (EBUSY); close it, or load this filter without a listener",
            ),
            Kind::Descriptors(errno) => {
                write!(f, "no descriptor is free for the listener: {errno}; raise `ulimit -n`")
            }
            Kind::Diverged(Some(thread)) => write!(
                f,
                "thread {thread} has a filter of its own, so all threads cannot get the same; \
                 load before starting threads, or for the calling thread alone"
            ),
            Kind::Diverged(None) => f.write_str(
                "another thread has a filter of its own, so all threads cannot get the same \
                 (ESRCH); load before starting threads, or for the calling thread alone",
            ),
            Kind::Unsupported => f.write_str(
                "there is no seccomp(2) here (ENOSYS): Linux 3.17 or newer with \
                 CONFIG_SECCOMP_FILTER has it, unless a filter outside hides it",
            ),
            Kind::Other(errno) => write!(f, "{errno}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_for_all_threads_moves_the_thread_id_away() {
        let options = LoadOptions::new().scope(Scope::Process);
        assert_eq!(options.flags(), FLAG_TSYNC);
        let options = options.listener();
        assert_eq!(options.flags(), FLAG_TSYNC | FLAG_NEW_LISTENER | FLAG_TSYNC_ESRCH);
        let options = LoadOptions::new().killable_listener().log().spec_allow();
        assert_eq!(options.flags(), 0b10_1110);
    }

    #[test]
    fn an_unknown_flag_is_named() {
        let error = LoadError::explain(Errno(libc::EINVAL), FLAG_LOG);
        assert!(!error.is_unknown_flag(), "LOG is known since 4.14: {error}");
        let error = LoadError { kind: Kind::UnknownFlags(FLAG_LOG | FLAG_SPEC_ALLOW) };
        assert!(error.to_string().contains("FLAG_LOG, SECCOMP_FILTER_FLAG_SPEC_ALLOW"));
    }

    #[test]
    fn each_answer_of_the_kernel_has_its_reason() {
        let explain = |errno, flags| LoadError::explain(Errno(errno), flags);
        assert!(explain(libc::EACCES, 0).is_not_privileged());
        assert!(explain(libc::ENOMEM, 0).is_over_budget());
        assert!(explain(libc::EBUSY, FLAG_NEW_LISTENER).has_other_listener());
        let diverged = explain(libc::ESRCH, FLAG_TSYNC | FLAG_TSYNC_ESRCH | FLAG_NEW_LISTENER);
        assert!(diverged.is_diverged());
        assert_eq!(diverged.thread(), None);
        assert_eq!(explain(libc::ESRCH, 0).kind, Kind::Other(Errno(libc::ESRCH)));
    }
}
