//! What the calling thread may do: no_new_privs and the five capability sets.

use std::fmt;

use callgate_syscalls::CapabilitySet;

use crate::errno::Errno;
use crate::sys;

/// The five capability sets of a thread, `capabilities(7)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapState {
    /// The limit of what an executed file may give.
    pub bounding: CapabilitySet,
    /// What the thread may make effective.
    pub permitted: CapabilitySet,
    /// What the kernel checks.
    pub effective: CapabilitySet,
    /// What an executed file may take over, where the file agrees.
    pub inheritable: CapabilitySet,
    /// What an executed file without privileges of its own takes over; within permitted and
    /// inheritable. Empty on kernels before 4.3.
    pub ambient: CapabilitySet,
}

/// The five sets by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a sixth set would change everything that uses this")]
#[expect(missing_docs, reason = "the fields of `CapState` say it")]
pub enum CapSet {
    Bounding,
    Permitted,
    Effective,
    Inheritable,
    Ambient,
}

impl fmt::Display for CapSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CapSet::Bounding => "bounding",
            CapSet::Permitted => "permitted",
            CapSet::Effective => "effective",
            CapSet::Inheritable => "inheritable",
            CapSet::Ambient => "ambient",
        })
    }
}

impl CapState {
    /// The sets of the calling thread, asked from the kernel, not from `/proc`.
    ///
    /// # Errors
    ///
    /// Only where something refuses capget(2) or prctl(2), as a filter may.
    pub fn of_this_thread() -> Result<CapState, Errno> {
        let sets = sys::capget()?;
        Ok(CapState {
            bounding: CapabilitySet::from_bits(collect(sys::bounding_has)?),
            permitted: CapabilitySet::from_bits(sets.permitted),
            effective: CapabilitySet::from_bits(sets.effective),
            inheritable: CapabilitySet::from_bits(sets.inheritable),
            ambient: CapabilitySet::from_bits(collect(sys::ambient_has)?),
        })
    }
}

/// Asks for each number until the kernel knows no more (EINVAL).
fn collect(has: impl Fn(u8) -> Result<bool, Errno>) -> Result<u64, Errno> {
    let mut set = 0;
    for capability in 0..64 {
        match has(capability) {
            Ok(true) => set |= 1 << capability,
            Ok(false) => {}
            Err(Errno(libc::EINVAL)) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(set)
}

/// CAP_SYS_ADMIN, which lets a thread load a filter without no_new_privs.
const SYS_ADMIN: u64 = 1 << 21;

/// CAP_SETPCAP, which lets a thread shrink its bounding set.
pub(crate) const SETPCAP: u64 = 1 << 8;

/// Whether the calling thread has no_new_privs: nothing that it executes gains privilege by a
/// setuid bit or file capabilities.
///
/// # Errors
///
/// As the kernel says; only a kernel before 3.5, or a filter, refuses.
#[doc(alias = "PR_GET_NO_NEW_PRIVS")]
pub fn no_new_privs() -> Result<bool, Errno> {
    sys::no_new_privs()
}

/// Sets no_new_privs of the calling thread, for good: it is inherited by what the thread starts
/// and cannot be cleared. Threads that exist already are not changed.
///
/// # Errors
///
/// As the kernel says; only a kernel before 3.5, or a filter, refuses.
#[doc(alias = "PR_SET_NO_NEW_PRIVS")]
pub fn set_no_new_privs() -> Result<(), Errno> {
    sys::set_no_new_privs()
}

/// Whether the calling thread has CAP_SYS_ADMIN effective in its own user namespace, so that it
/// may load a filter without no_new_privs.
///
/// # Errors
///
/// As [`CapState::of_this_thread`].
pub fn has_sys_admin() -> Result<bool, Errno> {
    Ok(sys::capget()?.effective & SYS_ADMIN != 0)
}

/// Whether this program was started with more rights than its caller has: setuid, setgid, file
/// capabilities (AT_SECURE of `getauxval(3)`). A launcher must refuse to work then, or it would
/// lend those rights to whoever calls it.
#[doc(alias = "AT_SECURE")]
pub fn is_secure_exec() -> bool {
    sys::at_secure()
}

/// Whether an executed file gets capabilities for the user id 0: the effective user is root and
/// SECBIT_NOROOT is not set (`capabilities(7)`, "Capabilities and execution of programs by root").
///
/// # Errors
///
/// As the kernel says; only a filter refuses.
pub fn root_is_special() -> Result<bool, Errno> {
    const SECBIT_NOROOT: i64 = 1;
    Ok(rustix::process::geteuid().is_root() && sys::securebits()? & SECBIT_NOROOT == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sets_are_those_that_proc_shows() {
        let state = CapState::of_this_thread().unwrap();
        let text = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let field = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            let value = line.split_whitespace().nth(1).unwrap();
            CapabilitySet::from_bits(u64::from_str_radix(value, 16).unwrap())
        };
        assert_eq!(state.bounding, field("CapBnd:"));
        assert_eq!(state.permitted, field("CapPrm:"));
        assert_eq!(state.effective, field("CapEff:"));
        assert_eq!(state.inheritable, field("CapInh:"));
        assert_eq!(state.ambient, field("CapAmb:"));
    }

    #[test]
    fn collecting_stops_at_the_last_capability() {
        let has = |n| if n > 40 { Err(Errno(libc::EINVAL)) } else { Ok(n % 2 == 0) };
        assert_eq!(collect(has), Ok(0x155_5555_5555));
        assert_eq!(collect(|_| Err(Errno(libc::EPERM))), Err(Errno(libc::EPERM)));
    }
}
