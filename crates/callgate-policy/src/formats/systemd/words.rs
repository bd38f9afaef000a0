//! systemd's words for architectures and for what a refused call gets.

use callgate_bpf::Action;
use callgate_syscalls::{Abi, errno};

/// The architectures of `SystemCallArchitectures=` (`seccomp_arch_from_string` in
/// `src/shared/seccomp-util.c`).
pub(super) const ARCHITECTURES: [(&str, Abi); 20] = [
    ("x86-64", Abi::X86_64),
    ("x86", Abi::X86),
    ("x32", Abi::X32),
    ("arm64", Abi::Aarch64),
    ("arm", Abi::Arm),
    ("riscv64", Abi::Riscv64),
    ("loongarch64", Abi::Loongarch64),
    ("s390x", Abi::S390x),
    ("s390", Abi::S390),
    ("ppc64-le", Abi::Ppc64le),
    ("ppc64", Abi::Ppc64),
    ("ppc", Abi::Ppc),
    ("mips", Abi::Mips),
    ("mips-le", Abi::Mipsel),
    ("mips64", Abi::Mips64),
    ("mips64-le", Abi::Mipsel64),
    ("mips64-n32", Abi::Mips64n32),
    ("mips64-le-n32", Abi::Mipsel64n32),
    ("parisc", Abi::Parisc),
    ("parisc64", Abi::Parisc64),
];

/// The machine's own architecture.
pub(super) const NATIVE: &str = "native";

pub(super) fn architecture(word: &str) -> Option<Abi> {
    ARCHITECTURES.iter().find(|(known, _)| *known == word).map(|(_, abi)| *abi)
}

pub(super) fn architecture_word(abi: Abi) -> Option<&'static str> {
    ARCHITECTURES.iter().find(|(_, known)| *known == abi).map(|(word, _)| *word)
}

/// The end of the process, among error numbers.
pub(super) const KILL: &str = "kill";

/// The largest error number; libseccomp takes none that is larger.
pub(super) const LARGEST_ERRNO: u16 = 4094;

/// The kernel's and systemd's own limit.
const MAX_ERRNO: u64 = 4095;

/// What a refused call gets: `kill`, the name of an error, or its number as C writes numbers.
pub(super) fn refusal(word: &str) -> Option<Action> {
    if word == KILL {
        return Some(Action::KillProcess);
    }
    // A name of the C library's alone, for EOPNOTSUPP.
    let name = if word == "ENOTSUP" { "EOPNOTSUPP" } else { word };
    if let Some(number) = errno::number(name) {
        return Some(Action::Errno(number));
    }
    let (radix, digits) = match word.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &word[2..]),
        [b'0', b'b', ..] => (2, &word[2..]),
        [b'0', b'o', ..] => (8, &word[2..]),
        [b'0', _, ..] => (8, &word[1..]),
        _ => (10, word),
    };
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let number = u64::from_str_radix(digits, radix).ok().filter(|number| *number <= MAX_ERRNO)?;
    u16::try_from(number).ok().map(Action::Errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_name_a_number_or_kill() {
        assert_eq!(refusal("EPERM"), Some(Action::Errno(1)));
        assert_eq!(refusal("ENOTSUP"), Some(Action::Errno(95)));
        assert_eq!(refusal("13"), Some(Action::Errno(13)));
        assert_eq!(refusal("0x10"), Some(Action::Errno(16)));
        assert_eq!(refusal("010"), Some(Action::Errno(8)));
        assert_eq!(refusal("0"), Some(Action::Errno(0)));
        assert_eq!(refusal("kill"), Some(Action::KillProcess));
        for word in ["", "EPREM", "4096", "-1", "KILL", "1 ", "0x", "99999999999999999999"] {
            assert_eq!(refusal(word), None, "{word}");
        }
    }
}
