//! What must hold of an argument.

use callgate_policy::{ArgIndex, Comparison, Test};
use callgate_syscalls::Abi;

use super::Kind;
use crate::Syscall;

/// An argument of a system call, to be compared. See [`arg`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Argument(u8);

/// What must hold of an argument. Only the methods of [`Argument`] make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Condition {
    index: u8,
    /// With constants as they were given, not yet cut to the argument.
    test: Test,
}

/// A constant, from an `i32`, `u32`, `i64` or `u64`: most constants of C are the first.
///
/// A negative number stands for what C passes for it: -1 is 32 bits of 1 where the argument is an
/// `int`, and 64 where it is a `long`. In a mask it has the bits of its own type and no more.
///
/// A bare literal is an `i32`; one above `0x7fff_ffff` needs a suffix, `0xffff_ff9c_u32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Constant {
    /// The number, its sign extended.
    number: u64,
    /// The bits of the type that it came in.
    bits: u64,
}

impl From<u64> for Constant {
    fn from(number: u64) -> Constant {
        Constant { number, bits: number }
    }
}

impl From<u32> for Constant {
    fn from(number: u32) -> Constant {
        u64::from(number).into()
    }
}

impl From<i64> for Constant {
    fn from(number: i64) -> Constant {
        number.cast_unsigned().into()
    }
}

impl From<i32> for Constant {
    fn from(number: i32) -> Constant {
        Constant {
            number: i64::from(number).cast_unsigned(),
            bits: u64::from(number.cast_unsigned()),
        }
    }
}

/// Argument `index`, counted from 0.
///
/// It is compared in the width of its own C type: of an `int` the low 32 bits count, as they do
/// for the kernel. What a caller leaves above them in the register cannot dodge the rule. On 32-bit
/// ABIs, x32 among them, the low 32 bits of every argument count.
///
/// ```
/// use callgate::{Abi, Action, Filter, SeccompData, Syscall, arg};
///
/// // int socket(int domain, int type, int protocol)
/// let filter = Filter::builder()
///     .abis([Abi::X86_64])
///     .otherwise(Action::Allow)
///     .rule(Syscall::socket, [arg(0).eq(40)], Action::Errno(97))
///     .build()?;
///
/// let mut call = SeccompData::new(Abi::X86_64.audit(), Syscall::socket.number(Abi::X86_64).unwrap());
/// for domain in [40, 0xdead_beef_0000_0028] {
///     call.args[0] = domain;
///     assert_eq!(filter.answer(&call), Action::Errno(97));
/// }
/// # Ok::<(), callgate::BuildError>(())
/// ```
pub const fn arg(index: u8) -> Argument {
    Argument(index)
}

impl Argument {
    /// argument == constant
    pub fn eq(self, constant: impl Into<Constant>) -> Condition {
        self.is(Test::Eq(constant.into().number))
    }

    /// argument != constant
    pub fn ne(self, constant: impl Into<Constant>) -> Condition {
        self.is(Test::Ne(constant.into().number))
    }

    /// argument < constant, both unsigned: cBPF knows no other order, and -1 is its largest number.
    pub const fn lt(self, constant: u64) -> Condition {
        self.is(Test::Lt(constant))
    }

    /// argument <= constant, both unsigned.
    pub const fn le(self, constant: u64) -> Condition {
        self.is(Test::Le(constant))
    }

    /// argument > constant, both unsigned.
    pub const fn gt(self, constant: u64) -> Condition {
        self.is(Test::Gt(constant))
    }

    /// argument >= constant, both unsigned.
    pub const fn ge(self, constant: u64) -> Condition {
        self.is(Test::Ge(constant))
    }

    /// argument & mask == value
    pub fn masked_eq(self, mask: impl Into<Constant>, value: impl Into<Constant>) -> Condition {
        self.is(Test::MaskedEq { mask: mask.into().bits, value: value.into().bits })
    }

    /// argument & bits == 0
    pub fn has_none_of(self, bits: impl Into<Constant>) -> Condition {
        self.masked_eq(bits, 0)
    }

    /// argument & bits == bits
    pub fn has_all_of(self, bits: impl Into<Constant>) -> Condition {
        let bits = bits.into();
        self.masked_eq(bits, bits)
    }

    const fn is(self, test: Test) -> Condition {
        Condition { index: self.0, test }
    }
}

impl Condition {
    /// The comparison of this condition on a call of an ABI.
    pub(super) fn on(self, syscall: Syscall, abi: Abi) -> Result<Comparison, Kind> {
        let Condition { index, test } = self;
        let no_argument = || Kind::NoSuchArgument { syscall, index, abi };
        let place = ArgIndex::new(index).ok_or_else(no_argument)?;
        let facts = callgate_syscalls::syscall(syscall.name()).filter(|facts| facts.args_known);
        let bits = match facts {
            // Nobody knows the types: all that the ABI has.
            None => abi.arg_bits(),
            Some(facts) => {
                let argument = facts.args_on(abi).get(usize::from(index));
                argument.ok_or_else(no_argument)?.bits.min(abi.arg_bits())
            }
        };
        let test = fitted(test, bits).map_err(|wrong| match wrong {
            Misfit::Wide(constant) => Kind::TooWide { syscall, index, abi, bits, constant },
            Misfit::OutsideMask => Kind::OutsideMask { syscall, index },
            Misfit::Narrow => Kind::Narrow { syscall, index, bits },
        })?;
        Ok(if bits == 64 { Comparison::full(place, test) } else { Comparison::low32(place, test) })
    }
}

/// Why a test is none for an argument of some width.
enum Misfit {
    /// This constant has more bits.
    Wide(u64),
    /// The value has bits that the mask has not.
    OutsideMask,
    /// A filter loads words, and the argument is less than one.
    Narrow,
}

/// The test for an argument of so many bits, 8 to 64.
fn fitted(test: Test, bits: u32) -> Result<Test, Misfit> {
    let all = u64::MAX >> (64 - bits);
    let unsigned =
        |constant| if constant & !all == 0 { Ok(constant) } else { Err(Misfit::Wide(constant)) };
    // As an unsigned number of that width, or as a negative one.
    let number = |constant: u64| {
        let negative = constant.cast_signed() >> (bits - 1) == -1;
        if negative { Ok(constant & all) } else { unsigned(constant) }
    };
    match test {
        Test::MaskedEq { mask, value } => {
            unsigned(value)?;
            // A mask such as !0o777 may reach further than the argument; none may miss it.
            let within = mask & all;
            if within == 0 && mask != 0 {
                return Err(Misfit::Wide(mask));
            }
            if value & !within != 0 {
                return Err(Misfit::OutsideMask);
            }
            Ok(Test::MaskedEq { mask: within, value })
        }
        Test::Eq(constant) if bits < 32 => {
            Ok(Test::MaskedEq { mask: all, value: number(constant)? })
        }
        _ if bits < 32 => Err(Misfit::Narrow),
        Test::Eq(constant) => Ok(Test::Eq(number(constant)?)),
        Test::Ne(constant) => Ok(Test::Ne(number(constant)?)),
        Test::Lt(constant) => Ok(Test::Lt(unsigned(constant)?)),
        Test::Le(constant) => Ok(Test::Le(unsigned(constant)?)),
        Test::Gt(constant) => Ok(Test::Gt(unsigned(constant)?)),
        Test::Ge(constant) => Ok(Test::Ge(unsigned(constant)?)),
    }
}
