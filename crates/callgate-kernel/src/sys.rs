//! The calls that no safe crate wraps, each behind a safe function.
//!
//! All of them are plain system calls: no allocation, no lock, no change to any state but the
//! kernel's, so a child may use them between fork and exec (`signal-safety(7)`).
//!
//! # Safety
//!
//! Every pointer handed to the kernel comes from a reference or a slice that outlives the call,
//! or is null on purpose. All variadic arguments are passed as `c_long` or as a pointer, the
//! width that the kernel reads.
#![allow(unsafe_code)]

use std::ffi::c_long;
use std::mem::MaybeUninit;
use std::ptr;

use crate::errno::Errno;

pub(crate) const PR_GET_SECCOMP: c_long = 21;
const PR_CAPBSET_READ: c_long = 23;
const PR_CAPBSET_DROP: c_long = 24;
const PR_GET_SECUREBITS: c_long = 27;
const PR_SET_NO_NEW_PRIVS: c_long = 38;
const PR_GET_NO_NEW_PRIVS: c_long = 39;
pub(crate) const PR_CAP_AMBIENT: c_long = 47;
const PR_CAP_AMBIENT_IS_SET: c_long = 1;
pub(crate) const PR_CAP_AMBIENT_RAISE: c_long = 2;

const SECCOMP_SET_MODE_STRICT: c_long = 0;
const SECCOMP_SET_MODE_FILTER: c_long = 1;
const SECCOMP_GET_ACTION_AVAIL: c_long = 2;
const SECCOMP_GET_NOTIF_SIZES: c_long = 3;

/// `_LINUX_CAPABILITY_VERSION_3` of `linux/capability.h`: two 32-bit words per set.
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// The three sets that capget(2) and capset(2) carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct CapData {
    pub(crate) effective: u64,
    pub(crate) permitted: u64,
    pub(crate) inheritable: u64,
}

/// `struct __user_cap_header_struct`.
#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

/// `struct __user_cap_data_struct`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapWords {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// seccomp(2), SECCOMP_SET_MODE_STRICT.
pub(crate) fn seccomp_set_strict() -> Result<(), Errno> {
    let flags: c_long = 0;
    // SAFETY: the operation takes no argument; the pointer must be null.
    check(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            SECCOMP_SET_MODE_STRICT,
            flags,
            ptr::null::<libc::c_void>(),
        )
    })
    .map(drop)
}

/// seccomp(2), SECCOMP_SET_MODE_FILTER. The positive results are a listener or a thread.
pub(crate) fn seccomp_set_filter(filter: &[libc::sock_filter], flags: u32) -> Result<i64, Errno> {
    let Ok(len) = u16::try_from(filter.len()) else {
        return Err(Errno(libc::EINVAL));
    };
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut() };
    // SAFETY: `program` and the slice behind it live until the call returns; the kernel only
    // reads them, and copies what it keeps.
    let result = check(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            SECCOMP_SET_MODE_FILTER,
            register(flags),
            ptr::from_ref(&program),
        )
    });
    #[allow(clippy::useless_conversion, reason = "c_long is 32 bits wide on 32-bit targets")]
    result.map(i64::from)
}

/// The error of SECCOMP_SET_MODE_FILTER without a program: EFAULT where the kernel knows all the
/// flags and would have read the program next, EINVAL where it does not. Attaches nothing.
pub(crate) fn seccomp_try_flags(flags: u32) -> Errno {
    // SAFETY: the null pointer makes the kernel stop at EFAULT, before anything is attached.
    let result = check(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            SECCOMP_SET_MODE_FILTER,
            register(flags),
            ptr::null::<libc::sock_fprog>(),
        )
    });
    // A null program cannot be attached, so the call has no way to succeed.
    result.err().unwrap_or(Errno(libc::EIO))
}

/// seccomp(2), SECCOMP_GET_ACTION_AVAIL: whether the kernel knows this action word.
pub(crate) fn seccomp_action_available(action: u32) -> Result<(), Errno> {
    let flags: c_long = 0;
    // SAFETY: the kernel reads four bytes from a reference that lives until the call returns.
    check(unsafe {
        libc::syscall(libc::SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, flags, ptr::from_ref(&action))
    })
    .map(drop)
}

/// seccomp(2), SECCOMP_GET_NOTIF_SIZES: bytes of a notification, a response, and the data.
pub(crate) fn seccomp_notif_sizes() -> Result<[u16; 3], Errno> {
    let mut sizes = [0u16; 3];
    let flags: c_long = 0;
    // SAFETY: the kernel writes `struct seccomp_notif_sizes`, three 16-bit words, into an array
    // of that layout.
    check(unsafe {
        libc::syscall(libc::SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, flags, ptr::from_mut(&mut sizes))
    })?;
    Ok(sizes)
}

/// prctl(2), PR_GET_SECCOMP: 0 or 2; in strict mode the call kills.
pub(crate) fn seccomp_mode() -> Result<i64, Errno> {
    prctl(PR_GET_SECCOMP, 0, 0)
}

/// prctl(2), PR_GET_NO_NEW_PRIVS.
pub(crate) fn no_new_privs() -> Result<bool, Errno> {
    Ok(prctl(PR_GET_NO_NEW_PRIVS, 0, 0)? == 1)
}

/// prctl(2), PR_SET_NO_NEW_PRIVS.
pub(crate) fn set_no_new_privs() -> Result<(), Errno> {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0).map(drop)
}

/// prctl(2), PR_GET_SECUREBITS.
pub(crate) fn securebits() -> Result<i64, Errno> {
    prctl(PR_GET_SECUREBITS, 0, 0)
}

/// prctl(2), PR_CAPBSET_READ.
pub(crate) fn bounding_has(capability: u8) -> Result<bool, Errno> {
    Ok(prctl(PR_CAPBSET_READ, c_long::from(capability), 0)? == 1)
}

/// prctl(2), PR_CAPBSET_DROP.
pub(crate) fn bounding_drop(capability: u8) -> Result<(), Errno> {
    prctl(PR_CAPBSET_DROP, c_long::from(capability), 0).map(drop)
}

/// prctl(2), PR_CAP_AMBIENT_IS_SET.
pub(crate) fn ambient_has(capability: u8) -> Result<bool, Errno> {
    Ok(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, c_long::from(capability))? == 1)
}

/// prctl(2), PR_CAP_AMBIENT_RAISE.
pub(crate) fn ambient_raise(capability: u8) -> Result<(), Errno> {
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c_long::from(capability)).map(drop)
}

/// capget(2) of the calling thread.
pub(crate) fn capget() -> Result<CapData, Errno> {
    let mut header = CapHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let mut words = [CapWords::default(); 2];
    // SAFETY: version 3 makes the kernel write two data structures; `words` holds two.
    check(unsafe {
        libc::syscall(libc::SYS_capget, ptr::from_mut(&mut header), words.as_mut_ptr())
    })?;
    let [low, high] = words;
    Ok(CapData {
        effective: join(low.effective, high.effective),
        permitted: join(low.permitted, high.permitted),
        inheritable: join(low.inheritable, high.inheritable),
    })
}

/// capset(2) of the calling thread.
pub(crate) fn capset(data: &CapData) -> Result<(), Errno> {
    let mut header = CapHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let (effective, permitted, inheritable) =
        (split(data.effective), split(data.permitted), split(data.inheritable));
    let words = [
        CapWords { effective: effective.0, permitted: permitted.0, inheritable: inheritable.0 },
        CapWords { effective: effective.1, permitted: permitted.1, inheritable: inheritable.1 },
    ];
    // SAFETY: version 3 makes the kernel read two data structures; `words` holds two.
    check(unsafe { libc::syscall(libc::SYS_capset, ptr::from_mut(&mut header), words.as_ptr()) })
        .map(drop)
}

/// getauxval(3) of AT_SECURE: whether this program was started with more rights than its caller.
pub(crate) fn at_secure() -> bool {
    // SAFETY: reads the auxiliary vector that the kernel left on the stack.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// `exit(2)` itself, which ends the calling thread alone, unlike `_exit(3)`.
pub(crate) fn exit_thread(status: i32) -> ! {
    loop {
        // SAFETY: the call takes no pointer; nothing of this thread is used after it.
        unsafe { libc::syscall(libc::SYS_exit, c_long::from(status)) };
    }
}

/// Whether signal `number` is ignored; `None` for a number that has no disposition.
pub(crate) fn signal_is_ignored(number: i32) -> Option<bool> {
    disposition(number).map(|handler| handler == libc::SIG_IGN)
}

/// Takes a handler off signal `number`, if it has one; the default action is left then.
pub(crate) fn signal_remove_handler(number: i32) {
    if disposition(number).is_some_and(|h| h != libc::SIG_IGN && h != libc::SIG_DFL) {
        signal_default(number);
    }
}

/// Sets signal `number` to its default action. The C library refuses the two that it keeps for
/// itself, and the kernel the two that nobody may change: nothing to do for those.
pub(crate) fn signal_default(number: i32) {
    // SAFETY: the default action runs no code of ours; an all-zero `sigaction` is SIG_DFL with
    // an empty mask and no flags.
    unsafe {
        let action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        libc::sigaction(number, &raw const action, ptr::null_mut());
    }
}

/// Ignores signal `number`.
pub(crate) fn signal_ignore(number: i32) {
    // SAFETY: ignoring runs no code of ours.
    unsafe { libc::signal(number, libc::SIG_IGN) };
}

fn disposition(number: i32) -> Option<libc::sighandler_t> {
    let mut old = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a null new action changes nothing; the kernel fills `old` when the call succeeds.
    unsafe {
        if libc::sigaction(number, ptr::null(), old.as_mut_ptr()) != 0 {
            return None;
        }
        Some(old.assume_init().sa_sigaction)
    }
}

fn prctl(operation: c_long, second: c_long, third: c_long) -> Result<i64, Errno> {
    let zero: c_long = 0;
    // SAFETY: every operation used in this file takes numbers, no pointers, and must get zeros
    // where it takes nothing.
    let result =
        check(unsafe { libc::syscall(libc::SYS_prctl, operation, second, third, zero, zero) });
    #[allow(clippy::useless_conversion, reason = "c_long is 32 bits wide on 32-bit targets")]
    result.map(i64::from)
}

fn check(result: c_long) -> Result<c_long, Errno> {
    if result == -1 { Err(Errno::last()) } else { Ok(result) }
}

/// A 32-bit word in a syscall register. Flags never reach bit 31, where 32-bit `c_long` ends.
fn register(word: u32) -> c_long {
    #[allow(clippy::unnecessary_fallible_conversions, reason = "c_long has 32 or 64 bits")]
    c_long::try_from(word).unwrap_or(c_long::MAX)
}

fn join(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn split(set: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = set.to_be_bytes();
    (u32::from_be_bytes([e, f, g, h]), u32::from_be_bytes([a, b, c, d]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capability_words_survive() {
        let set = 0x0123_4567_89ab_cdef;
        let (low, high) = split(set);
        assert_eq!((low, high), (0x89ab_cdef, 0x0123_4567));
        assert_eq!(join(low, high), set);
    }

    #[test]
    fn an_unknown_flag_is_told_from_a_known_one() {
        assert_eq!(seccomp_try_flags(0), Errno(libc::EFAULT));
        assert_eq!(seccomp_try_flags(1 << 30), Errno(libc::EINVAL));
    }
}
