//! What an argument was seen to be.

use std::collections::BTreeSet;

use callgate_syscalls::{Abi, constants, syscall};

/// The values of one argument, as a set that only grows: listed while they are few, and as the
/// bits that any of them had.
///
/// Joining is the union of sets, so it does not matter in which order or how often it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values {
    mask: u64,
    listed: Option<BTreeSet<u64>>,
}

impl Values {
    /// The most values that are listed one by one.
    pub const MOST: usize = 16;

    /// No value yet.
    pub fn none() -> Values {
        Values { mask: 0, listed: Some(BTreeSet::new()) }
    }

    /// Values that nobody saw: any.
    pub fn any() -> Values {
        Values { mask: u64::MAX, listed: None }
    }

    /// These values; more than [`Values::MOST`] are known by their bits alone.
    pub fn of(values: impl IntoIterator<Item = u64>) -> Values {
        let mut all = Values::none();
        values.into_iter().for_each(|value| all.insert(value));
        all
    }

    /// What a recording says: bits, and the values if they are listed.
    pub(crate) fn from_parts(mask: u64, listed: Option<BTreeSet<u64>>) -> Values {
        let mut all = Values { mask, listed: Some(BTreeSet::new()) };
        match listed {
            Some(listed) => listed.into_iter().for_each(|value| all.insert(value)),
            None => all.listed = None,
        }
        all
    }

    /// Adds a value.
    pub fn insert(&mut self, value: u64) {
        self.mask |= value;
        if let Some(listed) = &mut self.listed {
            listed.insert(value);
            if listed.len() > Values::MOST {
                self.listed = None;
            }
        }
    }

    /// The union.
    pub fn join(&mut self, other: &Values) {
        self.mask |= other.mask;
        match &other.listed {
            Some(values) => values.iter().for_each(|&value| self.insert(value)),
            None => self.listed = None,
        }
    }

    /// The values one by one, while they are few.
    pub fn listed(&self) -> Option<&BTreeSet<u64>> {
        self.listed.as_ref()
    }

    /// Every bit that any of the values had.
    pub fn mask(&self) -> u64 {
        self.mask
    }

    /// Whether nothing bounds the values.
    pub fn is_any(&self) -> bool {
        self.listed.is_none() && self.mask == u64::MAX
    }
}

/// How an argument chooses what a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "whoever narrows a rule must treat each")]
pub enum Choice {
    /// It is one of several: a family, a command, an option.
    One,
    /// Bits that are set or not, or a field of them and flags beside it.
    Flags,
}

/// Whether an argument of a call is one that is recorded, and what kind it is: a number that
/// chooses what the call does. Pointers, descriptors, sizes and identifiers are not: they say
/// nothing of what a program needs, and differ from run to run.
pub fn choice(abi: Abi, call: &str, index: u8) -> Option<Choice> {
    let argument = syscall(call)?.args_on(abi).get(usize::from(index))?;
    if argument.pointer {
        return None;
    }
    match constants::on(abi, call, index) {
        // A descriptor of which one value has a name.
        Some(set) if set.value("AT_FDCWD").is_some() => None,
        Some(set) => Some(match set.kind() {
            constants::Kind::Enum => Choice::One,
            _ => Choice::Flags,
        }),
        // What these mean hangs on the argument before them, so no set of names is theirs.
        None => match (call, index) {
            ("setsockopt" | "getsockopt" | "socket" | "socketpair", 2) => Some(Choice::One),
            _ => None,
        },
    }
}

/// The part of a register that counts for an argument: the kernel drops the upper half of an
/// `int`, and an ABI of 32 bits has none.
pub(crate) fn bits(abi: Abi, call: &str, index: u8) -> u32 {
    let argument = syscall(call).and_then(|call| call.args_on(abi).get(usize::from(index)));
    let wide = abi.arg_bits() == 64 && argument.is_some_and(|argument| argument.bits == 64);
    if wide { 64 } else { 32 }
}

/// A register's value, cut to what counts of it.
pub(crate) fn cut(abi: Abi, call: &str, index: u8, value: u64) -> u64 {
    if bits(abi, call, index) == 64 { value } else { value & 0xffff_ffff }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_values_are_known_by_their_bits() {
        let few = Values::of(0..16);
        assert_eq!(few.listed().map(BTreeSet::len), Some(16));
        let many = Values::of(0..17);
        assert_eq!((many.listed(), many.mask()), (None, 31));
        assert!(!many.is_any());
        assert!(Values::any().is_any());
    }

    #[test]
    fn pointers_and_descriptors_are_not_recorded() {
        for (call, index) in
            [("openat", 0), ("openat", 1), ("read", 0), ("read", 2), ("ioctl", 0), ("ioctl", 2)]
        {
            assert_eq!(choice(Abi::X86_64, call, index), None, "{call} {index}");
        }
        assert_eq!(choice(Abi::X86_64, "socket", 0), Some(Choice::One));
        assert_eq!(choice(Abi::X86_64, "openat", 2), Some(Choice::Flags));
        assert_eq!(choice(Abi::X86_64, "ioctl", 1), Some(Choice::One));
        assert_eq!(choice(Abi::S390x, "clone", 1), Some(Choice::Flags));
        assert_eq!(choice(Abi::S390x, "clone", 0), None);
    }

    #[test]
    fn an_int_is_its_low_half() {
        assert_eq!(cut(Abi::X86_64, "socket", 0, 0xdead_0000_0002), 2);
        assert_eq!(cut(Abi::X86_64, "clone", 0, 0x1_0000_0000), 0x1_0000_0000);
        assert_eq!(cut(Abi::X86, "clone", 0, 0x1_0000_0000), 0);
    }
}
