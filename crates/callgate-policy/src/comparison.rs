//! A comparison of one argument.

use core::fmt;

/// The position of a system call argument, 0 to 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArgIndex(u8);

impl ArgIndex {
    /// All six.
    pub const ALL: [ArgIndex; 6] =
        [ArgIndex(0), ArgIndex(1), ArgIndex(2), ArgIndex(3), ArgIndex(4), ArgIndex(5)];

    /// `None` above 5.
    pub const fn new(index: u8) -> Option<ArgIndex> {
        if index < 6 { Some(ArgIndex(index)) } else { None }
    }

    /// The position as a number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl From<ArgIndex> for usize {
    fn from(index: ArgIndex) -> usize {
        usize::from(index.0)
    }
}

/// An argument and what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Comparison {
    /// Which argument.
    pub arg: ArgIndex,
    /// How much of it counts.
    pub width: Width,
    /// What must hold of it.
    pub test: Test,
}

/// How much of an argument register is compared.
///
/// The kernel reads as much of a register as the argument's C type has, and ignores the rest: a
/// comparison of the whole register can be got round with a dirty upper half. Container profiles
/// mean the whole register all the same, since libseccomp compares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "cBPF loads words")]
pub enum Width {
    /// The low 32 bits.
    Low32,
    /// All that the ABI has: 64 bits, or the low 32 on ABIs that libseccomp treats so.
    Full,
}

/// What must hold of an argument, all unsigned: libseccomp's seven `SCMP_CMP_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the compiler and the prover must treat every test")]
pub enum Test {
    /// argument != value
    Ne(u64),
    /// argument < value
    Lt(u64),
    /// argument <= value
    Le(u64),
    /// argument == value
    Eq(u64),
    /// argument >= value
    Ge(u64),
    /// argument > value
    Gt(u64),
    /// argument & mask == value; never holds when the value has bits outside the mask
    MaskedEq {
        /// The bits that count.
        mask: u64,
        /// What they must be.
        value: u64,
    },
}

impl Test {
    /// Whether it holds of this 64-bit word.
    pub const fn holds(self, argument: u64) -> bool {
        match self {
            Test::Ne(value) => argument != value,
            Test::Lt(value) => argument < value,
            Test::Le(value) => argument <= value,
            Test::Eq(value) => argument == value,
            Test::Ge(value) => argument >= value,
            Test::Gt(value) => argument > value,
            Test::MaskedEq { mask, value } => argument & mask == value,
        }
    }

    /// The same test with every constant cut to its low 32 bits, as libseccomp cuts them for
    /// ABIs whose arguments it compares as one word.
    #[must_use]
    pub const fn low_word(self) -> Test {
        const LOW: u64 = 0xffff_ffff;
        match self {
            Test::Ne(value) => Test::Ne(value & LOW),
            Test::Lt(value) => Test::Lt(value & LOW),
            Test::Le(value) => Test::Le(value & LOW),
            Test::Eq(value) => Test::Eq(value & LOW),
            Test::Ge(value) => Test::Ge(value & LOW),
            Test::Gt(value) => Test::Gt(value & LOW),
            Test::MaskedEq { mask, value } => {
                Test::MaskedEq { mask: mask & LOW, value: value & LOW }
            }
        }
    }

    /// The constants of the test; the mask counts as one.
    pub fn constants(self) -> impl Iterator<Item = u64> {
        let (first, second) = match self {
            Test::Ne(v) | Test::Lt(v) | Test::Le(v) | Test::Eq(v) | Test::Ge(v) | Test::Gt(v) => {
                (v, None)
            }
            Test::MaskedEq { mask, value } => (mask, Some(value)),
        };
        core::iter::once(first).chain(second)
    }
}

impl Comparison {
    /// A comparison of the whole register.
    pub const fn full(arg: ArgIndex, test: Test) -> Comparison {
        Comparison { arg, width: Width::Full, test }
    }

    /// A comparison of the low 32 bits, for arguments of C type `int` and the like; the test's
    /// constants are cut to them.
    pub const fn low32(arg: ArgIndex, test: Test) -> Comparison {
        Comparison { arg, width: Width::Low32, test: test.low_word() }
    }

    /// The bits that count, 32 or 64, on an ABI that has `abi_bits`, and the test on them.
    pub fn on(&self, abi_bits: u32) -> (u32, Test) {
        if self.width == Width::Low32 || abi_bits == 32 {
            (32, self.test.low_word())
        } else {
            (64, self.test)
        }
    }

    /// Whether it holds of this register, on an ABI of which `abi_bits` count.
    pub fn holds(&self, argument: u64, abi_bits: u32) -> bool {
        let (bits, test) = self.on(abi_bits);
        test.holds(if bits == 32 { argument & 0xffff_ffff } else { argument })
    }
}

/// `arg0 == 0x28`
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arg = self.arg.0;
        let (symbol, value) = match self.test {
            Test::Ne(v) => ("!=", v),
            Test::Lt(v) => ("<", v),
            Test::Le(v) => ("<=", v),
            Test::Eq(v) => ("==", v),
            Test::Ge(v) => (">=", v),
            Test::Gt(v) => (">", v),
            Test::MaskedEq { mask, value } => {
                return write!(f, "arg{arg} & {mask:#x} == {value:#x}");
            }
        };
        write!(f, "arg{arg} {symbol} {value:#x}")
    }
}
