//! The text of a seccomp audit record.

use callgate_bpf::{Architecture, RawAction, SyscallNr};

use crate::outcome::Signal;

/// A seccomp record of the audit system, type 1326: one call that a filter or strict mode killed,
/// trapped, refused or logged (`audit_seccomp` of `kernel/auditsc.c`).
///
/// It has neither the call's arguments nor the filter that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeccompRecord {
    /// The process.
    pub pid: i32,
    /// The user.
    pub user: Option<u32>,
    /// The thread's name.
    pub comm: String,
    /// The executed file; `None` where the kernel has no path for it.
    pub exe: Option<String>,
    /// The signal that the call ends with: SIGSYS or SIGKILL for kills, none for what is only
    /// logged.
    pub signal: Option<Signal>,
    /// The architecture of the call.
    pub arch: Architecture,
    /// Its number.
    pub syscall: SyscallNr,
    /// The address after the instruction that made it.
    pub instruction_pointer: u64,
    /// What the filter returned, without data; for strict mode 0, which is KILL_THREAD's too.
    pub code: RawAction,
}

impl SeccompRecord {
    /// Reads the text of a record, with or without what stands before its first field: `audit(…):`
    /// of the netlink message, `type=1326 audit(…):` of the kernel log. Strings that the kernel
    /// wrote in hex, since they have unusual bytes, are decoded. `None` for other records.
    pub fn parse(text: &str) -> Option<SeccompRecord> {
        let field = |name: &str| field(text, name);
        let decimal = |name: &str| field(name)?.parse::<i64>().ok();
        let hex = |name: &str| {
            let value = field(name)?;
            u64::from_str_radix(value.strip_prefix("0x").unwrap_or(value), 16).ok()
        };
        let word = |value: u64| u32::try_from(value).ok();
        Some(SeccompRecord {
            pid: i32::try_from(decimal("pid")?).ok()?,
            user: decimal("uid").and_then(|user| u32::try_from(user).ok()),
            comm: string(field("comm")?),
            exe: field("exe").filter(|exe| *exe != "(null)").map(string),
            signal: match i32::try_from(decimal("sig")?).ok()? {
                0 => None,
                number => Some(Signal(number)),
            },
            arch: Architecture(word(hex("arch")?)?),
            // The kernel prints a long, of which the low word is what the filter saw.
            syscall: SyscallNr(word(decimal("syscall")?.cast_unsigned() & 0xffff_ffff)?),
            instruction_pointer: hex("ip")?,
            code: RawAction(word(hex("code")?)?),
        })
    }
}

/// The value of `name=value` at the start of a word outside quotes.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return None;
        }
        let end = match rest.find(['"', ' ']) {
            Some(quote) if rest[quote..].starts_with('"') => {
                let close = rest[quote + 1..].find('"')?;
                quote + 1 + close + 1
            }
            Some(space) => space,
            None => rest.len(),
        };
        let (word, after) = rest.split_at(end);
        if let Some((key, value)) = word.split_once('=')
            && key == name
        {
            return Some(value);
        }
        rest = after;
    }
}

/// `"sh"`, or `7368` where the kernel found a byte in it that it does not put between quotes.
fn string(value: &str) -> String {
    if let Some(quoted) = value.strip_prefix('"') {
        return quoted.trim_end_matches('"').to_owned();
    }
    let digits = value.as_bytes();
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return value.to_owned();
    }
    let bytes: Option<Vec<u8>> =
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
    match bytes {
        Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETLINK: &str = "audit(1764000000.123:45): auid=4294967295 uid=1000 gid=1000 \
        ses=4294967295 pid=4711 comm=\"mkdir\" exe=\"/usr/bin/mkdir\" sig=31 arch=c000003e \
        syscall=83 compat=0 ip=0x7f00deadbeef code=0x80000000";

    #[test]
    fn every_field_is_read() {
        let record = SeccompRecord::parse(NETLINK).unwrap();
        assert_eq!(record.pid, 4711);
        assert_eq!(record.user, Some(1000));
        assert_eq!(record.comm, "mkdir");
        assert_eq!(record.exe.as_deref(), Some("/usr/bin/mkdir"));
        assert_eq!(record.signal, Some(Signal::SYS));
        assert_eq!(record.arch, Architecture(0xc000_003e));
        assert_eq!(record.syscall, SyscallNr(83));
        assert_eq!(record.instruction_pointer, 0x7f00_dead_beef);
        assert_eq!(record.code, RawAction(0x8000_0000));
    }

    #[test]
    fn the_form_of_the_kernel_log_is_the_same() {
        let log = format!("type=1326 {}", NETLINK.replace("sig=31", "sig=0"));
        assert_eq!(SeccompRecord::parse(&log).unwrap().signal, None);
    }

    #[test]
    fn a_name_cannot_forge_fields() {
        // A name with spaces stands in quotes, one with a quote in hex.
        let text = NETLINK.replace("comm=\"mkdir\"", "comm=\"x pid=1 sig=9\"");
        let record = SeccompRecord::parse(&text).unwrap();
        assert_eq!((record.pid, record.comm.as_str()), (4711, "x pid=1 sig=9"));
        let text = NETLINK.replace("comm=\"mkdir\"", "comm=612262");
        assert_eq!(SeccompRecord::parse(&text).unwrap().comm, "a\"b");
        let text = NETLINK.replace("exe=\"/usr/bin/mkdir\"", "exe=(null)");
        assert_eq!(SeccompRecord::parse(&text).unwrap().exe, None);
    }

    #[test]
    fn other_records_and_broken_ones_are_refused() {
        assert_eq!(SeccompRecord::parse("audit(1.2:3): op=seccomp-logging actions=\"log\""), None);
        for cut in 0..NETLINK.len() {
            // Whatever is cut off, nothing panics; only a cut in the last field may go unseen.
            let record = SeccompRecord::parse(&NETLINK[..cut]);
            assert!(record.is_none() || cut > NETLINK.find("code=").unwrap());
        }
    }

    #[test]
    fn a_skipped_number_is_the_whole_word() {
        let text = NETLINK.replace("syscall=83", "syscall=-1");
        assert_eq!(SeccompRecord::parse(&text).unwrap().syscall, SyscallNr::SKIP);
    }
}
