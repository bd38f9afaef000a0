//! The words of a call as people and strace write it: its name, numbers and constants.

use std::collections::{BTreeMap, HashMap};

use callgate_bpf::SyscallNr;
use callgate_policy::suggest;
use callgate_syscalls::{Abi, constants, syscall};

/// The number of a call by its name, or by itself.
///
/// # Errors
///
/// A sentence, when the ABI has no such call.
pub fn number(abi: Abi, name: &str) -> Result<SyscallNr, String> {
    // strace has this form for calls that it doesn't know.
    if let Some(value) = integer(name.strip_prefix("syscall_").unwrap_or(name)) {
        return u32::try_from(value)
            .map(SyscallNr)
            .map_err(|_| format!("`{}` is wider than a system call number", shown(name)));
    }
    abi.number(name).ok_or_else(|| {
        if syscall(name).is_some() {
            return format!("{} has no system call `{name}`", abi.name());
        }
        let near = suggest::syscall(name);
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        format!("no architecture has a system call `{}`{hint}", shown(name))
    })
}

/// Reads the values of words, and remembers the constants that were asked for, since finding one
/// takes longer than all else.
#[derive(Debug, Default)]
pub struct Words {
    constants: BTreeMap<Abi, HashMap<String, Option<u64>>>,
}

impl Words {
    /// A number, or constants joined by `|`.
    pub fn value(&mut self, abi: Abi, word: &str) -> Option<u64> {
        // Most words are one number.
        integer(word).or_else(|| {
            word.split('|').map(str::trim).try_fold(0, |sum, part| {
                let value = integer(part).or_else(|| self.constant(abi, part))?;
                Some(sum | value)
            })
        })
    }

    /// A word as strace prints it: constants, perhaps of two names, with remarks.
    pub fn printed(&mut self, abi: Abi, word: &str) -> Option<u64> {
        // Most words of strace are texts, structures and numbers.
        if word.starts_with(['"', '{', '[']) {
            return None;
        }
        if !word.contains(' ') {
            return self.value(abi, word);
        }
        let word = word.split(" /*").next().unwrap_or_default();
        word.split(" or ").find_map(|word| self.value(abi, word.trim()))
    }

    fn constant(&mut self, abi: Abi, name: &str) -> Option<u64> {
        let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if !name.bytes().all(letter) {
            return None;
        }
        let known = self.constants.entry(abi).or_default();
        if let Some(&value) = known.get(name) {
            return value;
        }
        let value = constants::value_on(abi, name).or_else(|| protocol(name));
        known.insert(name.to_owned(), value);
        value
    }
}

/// As much of a word as a message repeats.
pub fn shown(word: &str) -> String {
    const LONGEST: usize = 48;
    match word.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &word[..end]),
        None => word.to_owned(),
    }
}

/// Protocols of a socket (`include/uapi/linux/in.h`, `netlink.h`): their meaning hangs on the
/// family, but their names are unique.
fn protocol(name: &str) -> Option<u64> {
    Some(match name {
        "IPPROTO_IP" | "NETLINK_ROUTE" => 0,
        "IPPROTO_ICMP" => 1,
        "NETLINK_SOCK_DIAG" => 4,
        "IPPROTO_TCP" => 6,
        "NETLINK_AUDIT" => 9,
        "NETLINK_NETFILTER" => 12,
        "NETLINK_KOBJECT_UEVENT" => 15,
        "NETLINK_GENERIC" => 16,
        "IPPROTO_UDP" => 17,
        "IPPROTO_IPV6" => 41,
        "IPPROTO_ICMPV6" => 58,
        "IPPROTO_SCTP" => 132,
        "IPPROTO_RAW" => 255,
        "IPPROTO_MPTCP" => 262,
        _ => return None,
    })
}

fn integer(word: &str) -> Option<u64> {
    let (negative, word) = word.strip_prefix('-').map_or((false, word), |rest| (true, rest));
    let (radix, digits) = match word.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &word[2..]),
        [b'0', _, ..] => (8, &word[1..]),
        _ => (10, word),
    };
    // The standard library would take a sign here.
    let value = u64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+'))?;
    Some(if negative { value.wrapping_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_numbers_or_constants() {
        let mut words = Words::default();
        for (word, value) in [
            ("-1", Some(u64::MAX)),
            ("0x10|CLONE_NEWUSER", Some(0x1000_0010)),
            // A second time, from what is remembered.
            ("CLONE_NEWUSER", Some(0x1000_0000)),
            ("017", Some(15)),
            ("\"text\"", None),
            ("CLONE_NEWUSE", None),
            ("--1", None),
            ("--+1", None),
            ("+1", None),
            ("0x+1", None),
            ("0x", None),
            ("-", None),
            ("", None),
            (&"-".repeat(1_000_000), None),
        ] {
            assert_eq!(words.value(Abi::X86_64, word), value, "{}", shown(word));
        }
        assert_eq!(number(Abi::X86_64, "syscall_0x1f4"), Ok(SyscallNr(500)));
    }

    #[test]
    fn remarks_and_second_names_of_strace_are_passed_over() {
        let mut words = Words::default();
        for (word, value) in [
            ("0x7ffd /* 20 vars */", Some(0x7ffd)),
            ("TCGETS or SNDCTL_TMR_TIMEBASE", Some(0x5401)),
            ("\"0\"", None),
            ("{sa_family=AF_UNIX}", None),
        ] {
            assert_eq!(words.printed(Abi::X86_64, word), value, "{word}");
        }
    }

    #[test]
    fn constants_are_those_of_the_abi() {
        let mut words = Words::default();
        let abis = [Abi::X86_64, Abi::Aarch64, Abi::X86_64];
        let values = abis.map(|abi| words.value(abi, "O_DIRECTORY"));
        assert_eq!(values, [Some(0o200000), Some(0o40000), Some(0o200000)]);
    }
}
