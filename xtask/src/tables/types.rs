//! What the kernel's C types are on a 64-bit ABI.

use super::Result;

/// Width and kind of an argument's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// Bits that the kernel looks at.
    pub bits: u32,
    /// Whether it is an address.
    pub pointer: bool,
    /// Whether negative values have a meaning in C.
    pub signed: bool,
}

/// The kind of a type; an error for one that this list lacks, so that a new one is noticed.
pub fn kind(c_type: &str) -> Result<Kind> {
    let plain = |bits, signed| Kind { bits, pointer: false, signed };
    let address = |bits| Kind { bits, pointer: true, signed: false };
    if c_type.ends_with('*') {
        return Ok(address(64));
    }
    Ok(match c_type {
        // Pointers in disguise.
        "cap_user_header_t" | "cap_user_data_t" | "__sighandler_t" | "uintptr_t"
        | "utrap_handler_t" => address(64),
        "compat_uptr_t" => address(32),

        "long" | "off_t" | "loff_t" | "ssize_t" | "s64" | "__s64" | "__kernel_old_time_t" => {
            plain(64, true)
        }
        "unsigned long" | "size_t" | "u64" | "__u64" | "old_sigset_t" | "aio_context_t"
        | "ulong" | "sigset_t" => plain(64, false),

        "int" | "signed int" | "pid_t" | "key_serial_t" | "key_t" | "mqd_t" | "clockid_t"
        | "timer_t" | "rwf_t" | "utrap_entry_t" | "s32" | "__s32" | "__kernel_timer_t" => {
            plain(32, true)
        }
        "unsigned" | "unsigned int" | "uint" | "u32" | "__u32" | "uint32_t" | "uid_t" | "gid_t"
        | "qid_t" | "dev_t" => plain(32, false),
        "compat_long_t" | "compat_int_t" | "compat_off_t" | "compat_ssize_t" | "compat_pid_t"
        | "compat_key_t" | "compat_timer_t" | "compat_mqd_t" | "compat_clock_t" => plain(32, true),
        "compat_ulong_t"
        | "compat_uint_t"
        | "compat_size_t"
        | "compat_old_sigset_t"
        | "compat_aio_context_t"
        | "compat_sigset_t" => plain(32, false),

        "umode_t" | "compat_mode_t" | "unsigned short" | "old_uid_t" | "old_gid_t" | "u16" => {
            plain(16, false)
        }
        "short" => plain(16, true),
        "char" | "unsigned char" | "bool" | "u8" => plain(8, false),
        other if other.starts_with("enum ") => plain(32, false),
        other => return Err(format!("the type {other:?} is not in xtask's list").into()),
    })
}
