//! Error numbers and their names.
//!
//! ```
//! use callgate_syscalls::{Abi, errno};
//!
//! assert_eq!(errno::number("EPERM"), Some(1));
//! assert_eq!(errno::name(38), Some("ENOSYS"));
//! assert_eq!(errno::number_on(Abi::Mips, "ENOSYS"), Some(89));
//! ```
//!
//! mips, sparc, alpha and parisc have numbers of their own above 34, and alpha exchanges `EAGAIN`
//! and `EDEADLK` too; ppc differs in `EDEADLOCK` alone.

use crate::abi::Abi;
use crate::abi_facts::facts;
use crate::generated::errno::{COMMON, SPECIAL};
use crate::generated::{Numbers, has_word, pairs};

/// The number of a name on x86_64 and most other ABIs.
pub fn number(name: &str) -> Option<u16> {
    number_in(COMMON, name)
}

/// The name of a number on x86_64 and most other ABIs; of two the usual one, `EAGAIN` and not
/// `EWOULDBLOCK`.
pub fn name(number: u16) -> Option<&'static str> {
    name_in(COMMON, number)
}

/// The number of a name on an ABI.
pub fn number_on(abi: Abi, name: &str) -> Option<u16> {
    number_in(numbers(abi), name)
}

/// The name of a number on an ABI.
pub fn name_on(abi: Abi, number: u16) -> Option<&'static str> {
    name_in(numbers(abi), number)
}

/// Every name with its number on x86_64 and most other ABIs, by number.
pub fn all() -> impl Iterator<Item = (&'static str, u16)> + Clone {
    list(COMMON)
}

fn numbers(abi: Abi) -> Numbers {
    let key = facts(abi).key;
    SPECIAL.iter().find(|(tables, _)| has_word(tables, key)).map_or(COMMON, |(_, list)| *list)
}

fn number_in(numbers: Numbers, name: &str) -> Option<u16> {
    list(numbers).find(|(n, _)| *n == name).map(|(_, number)| number)
}

fn name_in(numbers: Numbers, number: u16) -> Option<&'static str> {
    list(numbers).find(|(_, n)| *n == number).map(|(name, _)| name)
}

/// No error number is above 4095, the kernel's `MAX_ERRNO`.
fn list(numbers: Numbers) -> impl Iterator<Item = (&'static str, u16)> + Clone {
    pairs(numbers).filter_map(|(name, number)| Some((name, u16::try_from(number).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_names_win() {
        assert_eq!(name(11), Some("EAGAIN"));
        assert_eq!(number("EWOULDBLOCK"), Some(11));
        assert_eq!(name(35), Some("EDEADLK"));
        assert_eq!(name(95), Some("EOPNOTSUPP"));
        assert_eq!(name(133), Some("EHWPOISON"));
        assert_eq!(name(0), None);
        assert_eq!(number("EBOGUS"), None);
    }

    #[test]
    fn every_number_from_1_to_133_but_two_has_a_name() {
        let without: alloc::vec::Vec<u16> = (1..=133).filter(|n| name(*n).is_none()).collect();
        assert_eq!(without, [41, 58]);
    }

    #[test]
    fn some_abis_count_otherwise() {
        assert_eq!(number_on(Abi::Mipsel64, "ENOSYS"), Some(89));
        assert_eq!(number_on(Abi::Alpha, "EAGAIN"), Some(35));
        assert_eq!(number_on(Abi::Sparc64, "ENOSYS"), Some(90));
        assert_eq!(number_on(Abi::Aarch64, "ENOSYS"), Some(38));
    }
}
