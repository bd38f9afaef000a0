//! Calls as people write them: a name and numbers or constants.

use callgate_bpf::{SeccompData, SyscallNr};
use callgate_policy::suggest;
use callgate_syscalls::{Abi, constants, syscall};

/// A call from words: a name or number, and arguments.
///
/// # Errors
///
/// A sentence, when the ABI has no such call, or a word is neither a number nor a constant.
pub fn call(abi: Abi, words: &[impl AsRef<str>]) -> Result<SeccompData, String> {
    let Some((name, arguments)) = words.split_first() else {
        return Err("no system call is named".to_owned());
    };
    let name = name.as_ref();
    let mut data = SeccompData::new(abi.audit(), number(abi, name)?);
    if arguments.len() > data.args.len() {
        return Err(format!("{name}: {} arguments, and a call has six at most", arguments.len()));
    }
    for (index, word) in arguments.iter().enumerate() {
        let word = word.as_ref();
        data.args[index] = value(abi, word)
            .ok_or_else(|| format!("{name}: `{word}` is neither a number nor a known constant"))?;
    }
    Ok(data)
}

/// The number of a call by its name, or by itself.
pub(crate) fn number(abi: Abi, name: &str) -> Result<SyscallNr, String> {
    // strace has this form for calls that it doesn't know.
    if let Some(value) = integer(name.strip_prefix("syscall_").unwrap_or(name)) {
        return u32::try_from(value)
            .map(SyscallNr)
            .map_err(|_| format!("`{name}` is wider than a system call number"));
    }
    abi.number(name).ok_or_else(|| {
        if syscall(name).is_some() {
            return format!("{} has no system call `{name}`", abi.name());
        }
        let near = suggest::syscall(name);
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        format!("no architecture has a system call `{name}`{hint}")
    })
}

/// A number, or constants joined by `|`.
pub(crate) fn value(abi: Abi, word: &str) -> Option<u64> {
    word.split('|').map(str::trim).try_fold(0, |sum, part| {
        let value =
            integer(part).or_else(|| constants::value_on(abi, part)).or_else(|| protocol(part))?;
        Some(sum | value)
    })
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

pub(crate) fn integer(word: &str) -> Option<u64> {
    if let Some(rest) = word.strip_prefix('-') {
        return integer(rest).map(u64::wrapping_neg);
    }
    match word.as_bytes() {
        [b'0', b'x' | b'X', ..] => u64::from_str_radix(&word[2..], 16).ok(),
        [b'0', _, ..] => u64::from_str_radix(&word[1..], 8).ok(),
        [b'0'..=b'9', ..] => word.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_numbers_or_constants() {
        assert_eq!(value(Abi::X86_64, "-1"), Some(u64::MAX));
        assert_eq!(value(Abi::X86_64, "0x10|CLONE_NEWUSER"), Some(0x1000_0010));
        assert_eq!(value(Abi::X86_64, "017"), Some(15));
        assert_eq!(value(Abi::X86_64, "\"text\""), None);
        assert_eq!(value(Abi::X86_64, "--+1"), None);
        assert_eq!(number(Abi::X86_64, "syscall_0x1f4"), Ok(SyscallNr(500)));
    }
}
