//! Names for the values of arguments: flags, commands, families.
//!
//! ```
//! use callgate_syscalls::{Abi, constants};
//!
//! let flags = constants::of("openat", 2).unwrap();
//! assert_eq!(flags.describe(0o2000101).unwrap(), "O_WRONLY|O_CREAT|O_CLOEXEC");
//! assert_eq!(constants::of("socket", 0).unwrap().describe(16).unwrap(), "AF_NETLINK");
//! assert_eq!(constants::value("CLONE_NEWUSER"), Some(0x1000_0000));
//!
//! // Some ABIs have other values.
//! let arm = constants::on(Abi::Arm, "openat", 2).unwrap();
//! assert_eq!(arm.value("O_DIRECTORY"), Some(0o40000));
//! assert_eq!(flags.value("O_DIRECTORY"), Some(0o200000));
//! ```
//!
//! Values are those of the kernel's headers. Arguments whose meaning hangs on another argument
//! (the protocol of a socket, most of `prctl`, socket options) have no set, nor have requests of
//! `ioctl` whose number contains the size of a structure.

use alloc::format;
use alloc::string::String;

use crate::abi::Abi;
use crate::abi_facts::facts;
use crate::generated::constants::{SETS, USES, VARIANTS};
use crate::generated::{Numbers, has_word, pairs};
use crate::syscall::syscall;

/// The constants of one kind of argument.
#[derive(Debug)]
pub struct ConstantSet {
    /// `open_flags`, `address_family`, …: the project's own name.
    pub name: &'static str,
    /// The bits in which the constants exclude each other, such as the access mode of `open`.
    /// Outside them each constant is a flag.
    pub(crate) field: u64,
    /// Some ABIs' constants, or all there are.
    pub(crate) own: Numbers,
    /// Where the others stand.
    pub(crate) base: Option<&'static ConstantSet>,
    /// What of `base` does not hold.
    pub(crate) lacks: &'static str,
}

/// How the constants of a set stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The value is one of them.
    Enum,
    /// The value is any of them together.
    Flags,
    /// Some bits hold one of several values, the others are flags.
    Mixed,
}

/// The constants of a call's argument, counted from 0, on x86_64 and most other ABIs.
pub fn of(call: &str, index: u8) -> Option<&'static ConstantSet> {
    place(call, index).map(|at| &SETS[at])
}

/// The constants of a call's argument on one ABI: its own values, and its own place of the
/// argument (`clone` on s390x takes its flags second).
pub fn on(abi: Abi, call: &str, index: u8) -> Option<&'static ConstantSet> {
    // The argument of this name among those for which the places were written down.
    let index = match syscall(call) {
        Some(known) => {
            let name = known.args_on(abi).get(usize::from(index))?.name;
            match known.args.iter().position(|arg| arg.name == name) {
                Some(usual) => u8::try_from(usual).ok()?,
                None => index,
            }
        }
        None => index,
    };
    let at = place(call, index)?;
    let set = set_on(abi, at);
    set.iter().next().map(|_| set)
}

/// Every set, with the values of x86_64 and most other ABIs.
pub fn all() -> &'static [ConstantSet] {
    &SETS
}

/// The value of a constant by its name alone, on x86_64 and most other ABIs.
pub fn value(name: &str) -> Option<u64> {
    SETS.iter().find_map(|set| set.value(name))
}

/// The value of a constant by its name alone on one ABI.
pub fn value_on(abi: Abi, name: &str) -> Option<u64> {
    (0..SETS.len()).find_map(|at| set_on(abi, at).value(name))
}

impl ConstantSet {
    /// Whether it names one value or flags.
    pub const fn kind(&self) -> Kind {
        match self.field {
            0 => Kind::Flags,
            u64::MAX => Kind::Enum,
            _ => Kind::Mixed,
        }
    }

    /// The bits that hold one of several values; those beside them are flags.
    pub const fn field(&self) -> u64 {
        self.field
    }

    /// Every name with its value. A negative constant has all its upper bits set.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + Clone {
        let other = move |pair: &(&'static str, u64)| {
            pairs(self.own).all(|(name, _)| name != pair.0) && !has_word(self.lacks, pair.0)
        };
        pairs(self.own).chain(pairs(self.base.map_or(("", &[]), |base| base.own)).filter(other))
    }

    /// The value of a name of this set.
    pub fn value(&self, name: &str) -> Option<u64> {
        self.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// The value in names: `AF_INET`, `O_WRONLY|O_CREAT`. Bits without a name follow in hex;
    /// `None` when nothing of the value has a name.
    ///
    /// A negative constant is known by its 32 low bits too, as an `int` argument shows it.
    pub fn describe(&self, value: u64) -> Option<String> {
        if let Some(name) = self.exact(value) {
            return Some(name.into());
        }
        // −1 asks, or is a mistake: it is not every flag at once.
        if self.kind() == Kind::Enum || value == u64::MAX || value == u64::from(u32::MAX) {
            return None;
        }
        let mut text = String::new();
        let mut rest = value;
        let mut add = |part: &str| {
            if !text.is_empty() {
                text.push('|');
            }
            text.push_str(part);
        };
        let mut named = false;
        if self.field != 0 {
            let inside = value & self.field;
            if let Some((name, _)) = self.iter().find(|(_, v)| *v == inside) {
                add(name);
                rest &= !self.field;
                named = true;
            }
        }
        // A constant of several bits, O_SYNC, goes before the one that it contains, O_DSYNC.
        while let Some((name, bits)) = self
            .iter()
            .filter(|(_, v)| *v != 0 && *v & self.field == 0 && *v & rest == *v)
            .max_by_key(|(_, v)| (v.count_ones(), u64::MAX - *v))
        {
            add(name);
            rest &= !bits;
            named = true;
        }
        if rest != 0 {
            add(&format!("{rest:#x}"));
        }
        named.then_some(text)
    }

    /// The name of the whole value, the first defined of several.
    fn exact(&self, value: u64) -> Option<&'static str> {
        let low = |v: u64| v.cast_signed() < 0 && v & 0xffff_ffff == value;
        self.iter().find(|(_, v)| *v == value || low(*v)).map(|(name, _)| name)
    }
}

/// The set at a place as the ABI has it.
fn set_on(abi: Abi, at: usize) -> &'static ConstantSet {
    let key = facts(abi).key;
    let variant = VARIANTS.iter().find(|v| v.at == at && has_word(v.tables, key));
    variant.map_or(&SETS[at], |variant| &variant.set)
}

fn place(call: &str, index: u8) -> Option<usize> {
    let at = USES.binary_search_by(|(c, i, _)| (*c, *i).cmp(&(call, index))).ok()?;
    Some(USES[at].2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(call: &str, index: u8, value: u64) -> Option<String> {
        of(call, index).unwrap().describe(value)
    }

    #[test]
    fn flags_are_joined_and_unknown_bits_kept() {
        assert_eq!(describe("openat", 2, 0).as_deref(), Some("O_RDONLY"));
        assert_eq!(describe("openat", 2, 0o4010000).as_deref(), Some("O_SYNC"));
        assert_eq!(describe("openat", 2, 2 | 1 << 30).as_deref(), Some("O_RDWR|0x40000000"));
        assert_eq!(describe("clone", 0, 0x1000_0011).as_deref(), Some("SIGCHLD|CLONE_NEWUSER"));
        assert_eq!(
            describe("clone", 0, 0x7e02_0000),
            Some(
                "CLONE_NEWNS|CLONE_NEWCGROUP|CLONE_NEWUTS|CLONE_NEWIPC|CLONE_NEWUSER|CLONE_NEWPID|\
             CLONE_NEWNET"
                    .into()
            )
        );
        assert_eq!(describe("socket", 1, 0o2000001).as_deref(), Some("SOCK_STREAM|SOCK_CLOEXEC"));
        assert_eq!(describe("mmap", 2, 5).as_deref(), Some("PROT_READ|PROT_EXEC"));
        assert_eq!(describe("mmap", 3, 0x22).as_deref(), Some("MAP_PRIVATE|MAP_ANONYMOUS"));
    }

    #[test]
    fn what_has_no_name_gets_none() {
        assert_eq!(describe("socket", 0, 12345), None);
        assert_eq!(describe("unshare", 0, 1), None);
        assert_eq!(describe("personality", 0, 0xffff_ffff), None);
        assert!(of("read", 0).is_none());
        assert!(of("openat", 5).is_none());
        assert!(of("nothing", 0).is_none());
    }

    #[test]
    fn negative_constants_are_known_in_both_widths() {
        assert_eq!(describe("openat", 0, 0xffff_ff9c).as_deref(), Some("AT_FDCWD"));
        assert_eq!(describe("openat", 0, (-100_i64).cast_unsigned()).as_deref(), Some("AT_FDCWD"));
    }

    #[test]
    fn personalities_have_their_names() {
        assert_eq!(describe("personality", 0, 0).as_deref(), Some("PER_LINUX"));
        assert_eq!(describe("personality", 0, 8).as_deref(), Some("PER_LINUX32"));
        assert_eq!(describe("personality", 0, 0x20000).as_deref(), Some("UNAME26"));
        assert_eq!(describe("personality", 0, 0x20008).as_deref(), Some("PER_LINUX32|UNAME26"));
    }

    #[test]
    fn abis_have_their_own_values_and_places() {
        let stream = |abi| on(abi, "socket", 1).unwrap().value("SOCK_STREAM");
        assert_eq!((stream(Abi::X86_64), stream(Abi::Mips)), (Some(1), Some(2)));
        assert_eq!(value_on(Abi::Aarch64, "O_DIRECTORY"), Some(0o40000));
        assert_eq!(value_on(Abi::X86_64, "O_DIRECTORY"), Some(0o200000));
        let flags = |abi, index| on(abi, "clone", index).map(|set| set.name);
        assert_eq!(flags(Abi::X86_64, 0), Some("clone_flags"));
        assert_eq!(flags(Abi::S390x, 1), Some("clone_flags"));
        assert_eq!(flags(Abi::S390x, 0), None);
        assert!(on(Abi::X86_64, "arch_prctl", 0).is_some());
        assert!(on(Abi::Aarch64, "arch_prctl", 0).is_none());
    }

    #[test]
    fn every_use_is_an_argument_of_its_call() {
        for (call, index, at) in &USES {
            let call = syscall(call).unwrap();
            let arg = call.args.get(usize::from(*index));
            let arg = arg.unwrap_or_else(|| panic!("{} has no argument {index}", call.name));
            assert!(!arg.pointer, "{}({}) for {}", call.name, arg.name, SETS[*at].name);
        }
    }
}
