//! What a filter answers.

use core::fmt;

/// A verdict as the kernel acts on it, with the data that takes part.
///
/// The order of the variants is the kernel's precedence, strongest first: when several filters
/// hold, the strongest answer wins (`seccomp_run_filters` in `kernel/seccomp.c`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Action {
    /// End the whole process with SIGSYS.
    KillProcess,
    /// End the calling thread with SIGSYS.
    KillThread,
    /// Send SIGSYS to the thread, with this value in `si_errno`; the call does not run.
    Trap(u16),
    /// Fail with this error number, 0 to 4095; 0 returns 0 without running the call.
    Errno(u16),
    /// Ask the supervisor that holds the filter's notification descriptor.
    UserNotif,
    /// Stop for a tracer, which reads this value; without a tracer the call fails with ENOSYS.
    Trace(u16),
    /// Run the call and log it.
    Log,
    /// Run the call.
    Allow,
}

/// The 32-bit word that a program returns: 16 bits of action, 16 bits of data.
///
/// Two words may act alike: [`RawAction::action`] is what the kernel makes of one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RawAction(pub u32);

/// The kernel caps the error number of `SECCOMP_RET_ERRNO` here (`MAX_ERRNO`).
const MAX_ERRNO: u16 = 4095;

const KILL_PROCESS: u32 = 0x8000_0000;
const KILL_THREAD: u32 = 0x0000_0000;
const TRAP: u32 = 0x0003_0000;
const ERRNO: u32 = 0x0005_0000;
const USER_NOTIF: u32 = 0x7fc0_0000;
const TRACE: u32 = 0x7ff0_0000;
const LOG: u32 = 0x7ffc_0000;
const ALLOW: u32 = 0x7fff_0000;

impl Action {
    /// The word of this action. An error number above 4095 is written as it is.
    pub const fn raw(self) -> RawAction {
        RawAction(match self {
            Action::KillProcess => KILL_PROCESS,
            Action::KillThread => KILL_THREAD,
            Action::Trap(data) => TRAP | data as u32,
            Action::Errno(errno) => ERRNO | errno as u32,
            Action::UserNotif => USER_NOTIF,
            Action::Trace(data) => TRACE | data as u32,
            Action::Log => LOG,
            Action::Allow => ALLOW,
        })
    }

    /// The name in the kernel's `actions_avail` list: `kill_process`, `errno`, …
    pub const fn name(self) -> &'static str {
        match self {
            Action::KillProcess => "kill_process",
            Action::KillThread => "kill_thread",
            Action::Trap(_) => "trap",
            Action::Errno(_) => "errno",
            Action::UserNotif => "user_notif",
            Action::Trace(_) => "trace",
            Action::Log => "log",
            Action::Allow => "allow",
        }
    }

    /// Whether the system call itself runs under this verdict alone, nobody else taking part.
    pub const fn runs_call(self) -> bool {
        matches!(self, Action::Allow | Action::Log)
    }
}

/// `allow`, `errno(1)`, `trace(3)`: the form that the assembler reads.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Action::Trap(data) | Action::Errno(data) | Action::Trace(data) => {
                write!(f, "({data})")
            }
            _ => Ok(()),
        }
    }
}

impl RawAction {
    /// What the kernel does with this word: the error number capped at 4095, an unknown action
    /// killing the process, the data of ALLOW, LOG, USER_NOTIF and the kills dropped.
    pub const fn action(self) -> Action {
        let data = self.data();
        match self.0 & 0xffff_0000 {
            KILL_THREAD => Action::KillThread,
            TRAP => Action::Trap(data),
            ERRNO => Action::Errno(if data > MAX_ERRNO { MAX_ERRNO } else { data }),
            USER_NOTIF => Action::UserNotif,
            TRACE => Action::Trace(data),
            LOG => Action::Log,
            ALLOW => Action::Allow,
            _ => Action::KillProcess,
        }
    }

    /// The low 16 bits.
    pub const fn data(self) -> u16 {
        let [_, _, high, low] = self.0.to_be_bytes();
        u16::from_be_bytes([high, low])
    }

    /// The rank by which the kernel combines stacked filters: the upper 16 bits as a signed
    /// number, the lower the stronger. Words of equal rank are decided by the newest filter.
    pub const fn rank(self) -> i16 {
        let [high, low, _, _] = self.0.to_be_bytes();
        i16::from_be_bytes([high, low])
    }
}

impl fmt::Debug for RawAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_survives_its_word() {
        for action in [
            Action::KillProcess,
            Action::KillThread,
            Action::Trap(7),
            Action::Errno(4095),
            Action::UserNotif,
            Action::Trace(0xffff),
            Action::Log,
            Action::Allow,
        ] {
            assert_eq!(action.raw().action(), action);
        }
    }

    #[test]
    fn the_kernel_normalises() {
        assert_eq!(RawAction(0x0005_ffff).action(), Action::Errno(4095));
        assert_eq!(RawAction(0x7fff_1234).action(), Action::Allow);
        for unknown in [0x0002_0000, 0x1234_0007, 0x8001_0000] {
            assert_eq!(RawAction(unknown).action(), Action::KillProcess);
        }
    }

    #[test]
    fn rank_follows_the_kernels_precedence() {
        let strongest_first = [
            Action::KillProcess,
            Action::KillThread,
            Action::Trap(0),
            Action::Errno(0),
            Action::UserNotif,
            Action::Trace(0),
            Action::Log,
            Action::Allow,
        ];
        for pair in strongest_first.windows(2) {
            assert!(pair[0].raw().rank() < pair[1].raw().rank());
            assert!(pair[0] < pair[1]);
        }
    }
}
