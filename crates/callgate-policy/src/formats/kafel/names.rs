//! Kafel's names of calls and architectures.
//!
//! Kafel's tables call a system call as the kernel's function is called, without `sys_`: that
//! differs from the name in `unistd.h` where a call has an older sibling. So `chown` is number 92
//! on x86_64, and on x86, where the first `chown` had 16-bit numbers, it is what `unistd.h` calls
//! `chown32`.
//!
//! Source: the entry points in the kernel's `syscall*.tbl`, those of releases before the calls
//! with 64-bit times; `src/syscalls` of google/kafel.

use alloc::{format, string::String};

use callgate_syscalls::{Abi, syscall};

/// The ABIs that Kafel can compile for, with the words of an `ON` guard; the first is written.
pub(super) const ARCHITECTURES: [(Abi, &[&str]); 8] = [
    (Abi::X86_64, &["x86_64", "amd64"]),
    (Abi::X86, &["x86", "i386"]),
    (Abi::Aarch64, &["aarch64", "arm64"]),
    (Abi::Arm, &["arm"]),
    (Abi::Riscv64, &["riscv64", "rv64"]),
    (Abi::Mips, &["mips", "mipso32"]),
    (Abi::Mips64, &["mips64"]),
    (Abi::M68k, &["m68k"]),
];

/// The ABI of a word in an `ON` guard, in any letter case.
pub(super) fn architecture(word: &str) -> Option<Abi> {
    ARCHITECTURES
        .iter()
        .find(|(_, words)| words.iter().any(|known| known.eq_ignore_ascii_case(word)))
        .map(|(abi, _)| *abi)
}

/// The word for an ABI in an `ON` guard.
pub(super) fn guard(abi: Abi) -> Option<&'static str> {
    ARCHITECTURES.iter().find(|(known, _)| *known == abi).map(|(_, words)| words[0])
}

/// Calls that had 16-bit user and group numbers first.
const SHORT_NUMBERS: [&str; 19] = [
    "chown",
    "lchown",
    "fchown",
    "setuid",
    "getuid",
    "setgid",
    "getgid",
    "geteuid",
    "getegid",
    "setreuid",
    "setregid",
    "setresuid",
    "getresuid",
    "setresgid",
    "getresgid",
    "setfsuid",
    "setfsgid",
    "getgroups",
    "setgroups",
];

/// Names that differ on every ABI: that of `unistd.h`, and Kafel's.
const RENAMED: [(&str, &str); 12] = [
    ("stat", "newstat"),
    ("lstat", "newlstat"),
    ("fstat", "newfstat"),
    ("oldstat", "stat"),
    ("oldlstat", "lstat"),
    ("oldfstat", "fstat"),
    ("uname", "newuname"),
    ("olduname", "uname"),
    ("oldolduname", "olduname"),
    ("umount2", "umount"),
    ("umount", "oldumount"),
    ("_llseek", "llseek"),
];

/// Names of `unistd.h` that differ where there is another name beside them: the name, the other
/// one, and what Kafel calls the two.
const SIBLINGS: [(&str, &str, &str, &str); 2] = [
    ("getrlimit", "ugetrlimit", "old_getrlimit", "getrlimit"),
    ("select", "_newselect", "old_select", "select"),
];

/// What Kafel calls a call of an ABI.
pub(super) fn kafel_name(abi: Abi, name: &str) -> String {
    let has = |name: &str| abi.number(name).is_some();
    if let Some((_, renamed)) = RENAMED.iter().find(|(known, _)| *known == name) {
        return String::from(*renamed);
    }
    for (older, newer, older_name, newer_name) in SIBLINGS {
        if name == newer {
            return String::from(newer_name);
        }
        if name == older && has(newer) {
            return String::from(older_name);
        }
    }
    if SHORT_NUMBERS.contains(&name) && has(&format!("{name}32")) {
        return format!("{name}16");
    }
    if let Some(base) = name.strip_suffix("32")
        && SHORT_NUMBERS.contains(&base)
    {
        return String::from(base);
    }
    String::from(match name {
        "sendfile" if abi.arg_bits() == 64 && !has("sendfile64") => "sendfile64",
        "_sysctl" => "sysctl",
        "readdir" => "old_readdir",
        "mmap" if has("mmap2") && abi != Abi::Mips => "old_mmap",
        "mmap2" if abi == Abi::X86 => "mmap_pgoff",
        same => same,
    })
}

/// The call that Kafel means by a name on an ABI, by its name in `unistd.h`.
pub(super) fn call(abi: Abi, kafel: &str) -> Option<&'static str> {
    let mut candidate = |name: &str| {
        let known = syscall(name)?.name;
        (abi.number(known).is_some() && kafel_name(abi, known) == kafel).then_some(known)
    };
    if let Some(found) = candidate(kafel) {
        return Some(found);
    }
    let renamed = RENAMED.iter().filter(|(_, renamed)| *renamed == kafel).map(|(name, _)| *name);
    let siblings = SIBLINGS.iter().flat_map(|(older, newer, _, _)| [*older, *newer]);
    let others = ["sendfile", "_sysctl", "readdir", "mmap", "mmap2"];
    if let Some(found) = renamed.chain(siblings).chain(others).find_map(&mut candidate) {
        return Some(found);
    }
    match kafel.strip_suffix("16") {
        Some(base) => candidate(base),
        None if SHORT_NUMBERS.contains(&kafel) => candidate(&format!("{kafel}32")),
        None => None,
    }
}

/// Every name that Kafel has for a call of one of its architectures, for suggestions.
pub(super) fn all() -> impl Iterator<Item = String> + Clone {
    ARCHITECTURES[..2]
        .iter()
        .flat_map(|(abi, _)| abi.syscalls().map(move |(_, name)| kafel_name(*abi, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_found_by_kafels_name() {
        for (abi, _) in ARCHITECTURES {
            for (nr, name) in abi.syscalls() {
                let found = call(abi, &kafel_name(abi, name)).expect("found");
                assert_eq!(abi.number(found), Some(nr), "{abi} {name} {found}");
            }
        }
    }

    #[test]
    fn names_are_those_of_kafels_tables() {
        // A sample of google/kafel's `src/syscalls`, with its numbers.
        for (abi, name, number) in [
            (Abi::X86_64, "newfstat", 5),
            (Abi::X86_64, "newuname", 63),
            (Abi::X86_64, "sendfile64", 40),
            (Abi::X86_64, "umount", 166),
            (Abi::X86_64, "sysctl", 156),
            (Abi::X86_64, "select", 23),
            (Abi::X86_64, "chown", 92),
            (Abi::X86, "chown", 212),
            (Abi::X86, "chown16", 182),
            (Abi::X86, "fstat", 28),
            (Abi::X86, "newfstat", 108),
            (Abi::X86, "getrlimit", 191),
            (Abi::X86, "old_getrlimit", 76),
            (Abi::X86, "llseek", 140),
            (Abi::X86, "mmap_pgoff", 192),
            (Abi::X86, "old_mmap", 90),
            (Abi::X86, "old_select", 82),
            (Abi::X86, "select", 142),
            (Abi::X86, "sendfile", 187),
            (Abi::X86, "sendfile64", 239),
            (Abi::X86, "oldumount", 22),
            (Abi::X86, "olduname", 59),
            (Abi::X86, "setfsuid16", 138),
            (Abi::Aarch64, "newfstat", 80),
            (Abi::Aarch64, "newuname", 160),
            (Abi::Aarch64, "fadvise64", 223),
        ] {
            let found = call(abi, name).unwrap_or_else(|| panic!("{abi} {name}"));
            assert_eq!(abi.number(found).unwrap().0, number, "{abi} {name} {found}");
        }
        assert_eq!(call(Abi::X86_64, "fstat"), None);
        assert_eq!(call(Abi::X86, "chown32"), None);
    }
}
