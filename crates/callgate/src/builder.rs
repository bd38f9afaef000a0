//! A filter in code.

use std::{error, fmt};

use callgate_bpf::Action;
use callgate_compile::CompileError;
use callgate_policy::{AbiRules, ArgIndex, Comparison, Rule, Ruleset, Test};
use callgate_syscalls::Abi;

use crate::{Filter, Syscall};

/// Makes a [`Filter`] from rules in order: the first that holds decides.
///
/// The filter speaks of the machine's own ABI, unless [`FilterBuilder::abi`] names others; a call
/// of another ABI (i386 or x32 on x86_64) kills the process.
#[derive(Clone, Debug)]
pub struct FilterBuilder {
    abis: Vec<Abi>,
    otherwise: Action,
    rules: Vec<(Syscall, Vec<Condition>, Action)>,
}

/// An argument of a system call, to be compared. See [`arg`].
#[derive(Clone, Copy, Debug)]
pub struct Argument(u8);

/// What must hold of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    index: u8,
    test: Test,
}

/// Argument `index`, counted from 0.
///
/// It is compared in the width of its C type: of an `int`, the low 32 bits, as the kernel reads
/// it, so that −1 is `0xffff_ffff` and what stands above does not matter.
pub const fn arg(index: u8) -> Argument {
    Argument(index)
}

impl Argument {
    /// argument == value
    pub const fn eq(self, value: u64) -> Condition {
        self.is(Test::Eq(value))
    }

    /// argument != value
    pub const fn ne(self, value: u64) -> Condition {
        self.is(Test::Ne(value))
    }

    /// argument < value, unsigned
    pub const fn lt(self, value: u64) -> Condition {
        self.is(Test::Lt(value))
    }

    /// argument <= value, unsigned
    pub const fn le(self, value: u64) -> Condition {
        self.is(Test::Le(value))
    }

    /// argument > value, unsigned
    pub const fn gt(self, value: u64) -> Condition {
        self.is(Test::Gt(value))
    }

    /// argument >= value, unsigned
    pub const fn ge(self, value: u64) -> Condition {
        self.is(Test::Ge(value))
    }

    /// argument & mask == value
    pub const fn masked_eq(self, mask: u64, value: u64) -> Condition {
        self.is(Test::MaskedEq { mask, value })
    }

    /// None of these bits is set.
    pub const fn has_none_of(self, bits: u64) -> Condition {
        self.masked_eq(bits, 0)
    }

    const fn is(self, test: Test) -> Condition {
        Condition { index: self.0, test }
    }
}

impl FilterBuilder {
    pub(crate) fn new() -> FilterBuilder {
        FilterBuilder { abis: Vec::new(), otherwise: Action::Errno(EPERM), rules: Vec::new() }
    }

    /// The verdict on a call that no rule takes; by default EPERM.
    #[must_use]
    pub fn otherwise(mut self, action: Action) -> FilterBuilder {
        self.otherwise = action;
        self
    }

    /// Speaks of this ABI too. The first one named stands instead of the machine's own.
    #[must_use]
    pub fn abi(mut self, abi: Abi) -> FilterBuilder {
        if !self.abis.contains(&abi) {
            self.abis.push(abi);
        }
        self
    }

    /// Lets the call run.
    #[must_use]
    pub fn allow(self, syscall: Syscall) -> FilterBuilder {
        self.rule(syscall, [], Action::Allow)
    }

    /// Lets the call run when all conditions hold.
    #[must_use]
    pub fn allow_if(
        self,
        syscall: Syscall,
        conditions: impl IntoIterator<Item = Condition>,
    ) -> FilterBuilder {
        self.rule(syscall, conditions, Action::Allow)
    }

    /// Gives the call this verdict when all conditions hold and no earlier rule did.
    #[must_use]
    pub fn rule(
        mut self,
        syscall: Syscall,
        conditions: impl IntoIterator<Item = Condition>,
        action: Action,
    ) -> FilterBuilder {
        self.rules.push((syscall, conditions.into_iter().collect(), action));
        self
    }

    /// Compiles and proves the filter.
    ///
    /// An ABI that lacks a call skips its rules.
    ///
    /// # Errors
    ///
    /// When a condition names an argument that the call has not, when no ABI of the filter has a
    /// call, and when the rules cannot be compiled.
    pub fn build(self) -> Result<Filter, BuildError> {
        let abis = if self.abis.is_empty() {
            vec![Abi::native().ok_or(Kind::NoNativeAbi)?]
        } else {
            self.abis
        };
        for (syscall, ..) in &self.rules {
            if abis.iter().all(|abi| abi.number(syscall.name()).is_none()) {
                return Err(Kind::NoSuchCall(*syscall).into());
            }
        }
        let mut tables = Vec::new();
        for abi in abis {
            tables.push(table(abi, self.otherwise, &self.rules)?);
        }
        let ruleset = Ruleset { abis: tables, other: Action::KillProcess, flags: Vec::new() };
        let compiled = callgate_compile::compile(&ruleset).map_err(Kind::Compile)?;
        Ok(Filter::proved(compiled, Vec::new()))
    }
}

/// EPERM of `asm-generic/errno-base.h`, the same on every ABI.
const EPERM: u16 = 1;

fn table(
    abi: Abi,
    default: Action,
    rules: &[(Syscall, Vec<Condition>, Action)],
) -> Result<AbiRules, BuildError> {
    let mut table = AbiRules { abi, default, rules: Default::default(), newer: None };
    for (entry, (syscall, conditions, action)) in rules.iter().enumerate() {
        let Some(nr) = abi.number(syscall.name()) else {
            continue;
        };
        let comparisons = conditions
            .iter()
            .map(|condition| comparison(*syscall, abi, *condition))
            .collect::<Result<_, _>>()?;
        let rule = Rule { action: *action, comparisons, entry };
        table.rules.entry(nr).or_default().push(rule);
    }
    Ok(table)
}

fn comparison(
    syscall: Syscall,
    abi: Abi,
    Condition { index, test }: Condition,
) -> Result<Comparison, BuildError> {
    let no_argument = Kind::NoSuchArgument(syscall, index);
    let place = ArgIndex::new(index).ok_or(no_argument.clone())?;
    let facts = callgate_syscalls::syscall(syscall.name());
    let Some(facts) = facts.filter(|facts| facts.args_known) else {
        return Ok(Comparison::full(place, test));
    };
    let argument = facts.args_on(abi).get(usize::from(index)).ok_or(no_argument)?;
    Ok(if argument.bits <= 32 {
        Comparison::low32(place, test)
    } else {
        Comparison::full(place, test)
    })
}

/// Why rules in code make no filter.
#[derive(Clone, Debug)]
pub struct BuildError {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    NoNativeAbi,
    NoSuchCall(Syscall),
    NoSuchArgument(Syscall, u8),
    Compile(CompileError),
}

impl From<Kind> for BuildError {
    fn from(kind: Kind) -> BuildError {
        BuildError { kind }
    }
}

impl error::Error for BuildError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &self.kind {
            Kind::Compile(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::NoNativeAbi => {
                f.write_str("no system call table for this machine; name an ABI with `abi`")
            }
            Kind::NoSuchCall(syscall) => {
                write!(f, "no architecture of the filter has a system call `{syscall}`")
            }
            Kind::NoSuchArgument(syscall, index) => {
                write!(f, "`{syscall}` has no argument {index}; they count from 0")
            }
            Kind::Compile(error) => error.fmt(f),
        }
    }
}
