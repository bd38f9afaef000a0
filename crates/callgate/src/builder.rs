//! A filter in code.

mod condition;

pub use self::condition::{Argument, Condition, Constant, arg};

use std::collections::BTreeSet;
use std::{error, fmt};

use callgate_bpf::Action;
use callgate_compile::CompileError;
use callgate_policy::{AbiRules, ArgIndex, Comparison, Rule, Ruleset, Test};
use callgate_syscalls::{Abi, Multiplexed};

use crate::{Filter, Syscall};

/// Makes a [`Filter`] from rules in order: **the first that holds decides**.
///
/// ```
/// use callgate::{Action, Filter, Syscall, arg};
///
/// const AF_UNIX: i32 = 1;
/// let filter = Filter::builder()
///     .allow(Syscall::read)
///     .allow(Syscall::write)
///     .allow_if(Syscall::socket, [arg(0).eq(AF_UNIX)])
///     .allow(Syscall::exit_group)
///     .otherwise(Action::KillProcess)
///     .build()?;
/// # Ok::<(), callgate::BuildError>(())
/// ```
///
/// # Other ABIs of the machine
///
/// The filter speaks of this program's own ABI, unless [`FilterBuilder::abis`] names others; a
/// call of any other ABI kills the process. On x86_64 these are i386's and x32's calls, which the
/// same process can make.
///
/// i386 and a few more reach sockets and System V IPC also through `socketcall` and `ipc`, where
/// the arguments lie elsewhere. What the rules say of `socket` holds there too; where it depends
/// on arguments, the strictest of the verdicts that it may come to does.
#[derive(Clone, Debug)]
#[must_use]
pub struct FilterBuilder {
    /// Instead of the program's own.
    abis: Option<Vec<Abi>>,
    otherwise: Action,
    rules: Vec<CallRule>,
}

#[derive(Clone, Debug)]
struct CallRule {
    syscall: Syscall,
    conditions: Vec<Condition>,
    action: Action,
}

impl FilterBuilder {
    pub(crate) fn new() -> FilterBuilder {
        FilterBuilder { abis: None, otherwise: Action::Errno(EPERM), rules: Vec::new() }
    }

    /// Lets the call run.
    pub fn allow(self, syscall: Syscall) -> FilterBuilder {
        self.rule(syscall, [], Action::Allow)
    }

    /// Lets the call run when all conditions hold; an empty list always does.
    pub fn allow_if(
        self,
        syscall: Syscall,
        conditions: impl IntoIterator<Item = Condition>,
    ) -> FilterBuilder {
        self.rule(syscall, conditions, Action::Allow)
    }

    /// Gives the call this verdict when all conditions hold and no earlier rule did. An empty list
    /// always holds.
    ///
    /// An ABI that lacks the call has no such rule, so that a filter can name `open` as well as
    /// `openat`, wherever it is built.
    pub fn rule(
        mut self,
        syscall: Syscall,
        conditions: impl IntoIterator<Item = Condition>,
        action: Action,
    ) -> FilterBuilder {
        let conditions = conditions.into_iter().collect();
        self.rules.push(CallRule { syscall, conditions, action });
        self
    }

    /// The verdict on a call that no rule takes; without it, failure with EPERM.
    pub fn otherwise(mut self, action: Action) -> FilterBuilder {
        self.otherwise = action;
        self
    }

    /// The ABIs that the filter speaks of, instead of this program's own. All of one machine:
    /// they must agree in byte order.
    pub fn abis(mut self, abis: impl IntoIterator<Item = Abi>) -> FilterBuilder {
        let mut unique = Vec::new();
        for abi in abis {
            if !unique.contains(&abi) {
                unique.push(abi);
            }
        }
        self.abis = Some(unique);
        self
    }

    /// Compiles the filter, and proves that it answers every call as the rules say.
    ///
    /// # Errors
    ///
    /// When a condition cannot be meant: the call has no such argument, or the constant does not
    /// fit in it ([`BuildError::syscall`] names the call). When the rules cannot be compiled: too
    /// many for one program, no ABI, ABIs of different byte order ([`BuildError::compile_error`]).
    pub fn build(self) -> Result<Filter, BuildError> {
        let abis = match self.abis {
            Some(abis) => abis,
            None => vec![Abi::native().ok_or(Kind::NoNativeAbi)?],
        };
        let tables = abis.into_iter().map(|abi| table(abi, self.otherwise, &self.rules));
        let ruleset = Ruleset {
            abis: tables.collect::<Result<_, Kind>>()?,
            other: Action::KillProcess,
            flags: Vec::new(),
        };
        let compiled = callgate_compile::compile(&ruleset).map_err(Kind::Compile)?;
        Ok(Filter::from(compiled.into_program()))
    }
}

/// EPERM of `asm-generic/errno-base.h`, the same on every ABI.
const EPERM: u16 = 1;

fn table(abi: Abi, default: Action, rules: &[CallRule]) -> Result<AbiRules, Kind> {
    let mut table = AbiRules { abi, default, rules: Default::default(), newer: None };
    for (entry, CallRule { syscall, conditions, action }) in rules.iter().enumerate() {
        if let Some(nr) = abi.number(syscall.name()) {
            let comparisons = conditions.iter().map(|condition| condition.on(*syscall, abi));
            let comparisons = comparisons.collect::<Result<_, Kind>>()?;
            let rule = Rule { action: *action, comparisons, entry };
            table.rules.entry(nr).or_default().push(rule);
        }
    }
    let mut done = BTreeSet::new();
    for (entry, CallRule { syscall, .. }) in rules.iter().enumerate() {
        if let Some(way) = abi.multiplexer(syscall.name()).filter(|_| done.insert(*syscall)) {
            let action = strictest(*syscall, default, rules);
            let rule = Rule { action, comparisons: vec![selector(abi, way)], entry };
            // Behind what the rules say of the multiplexer itself.
            table.rules.entry(way.nr).or_default().push(rule);
        }
    }
    Ok(table)
}

/// The strictest verdict that a call may come to, whatever its arguments are.
fn strictest(syscall: Syscall, default: Action, rules: &[CallRule]) -> Action {
    let mut strictest = None;
    for rule in rules.iter().filter(|rule| rule.syscall == syscall) {
        let other = strictest.unwrap_or(rule.action);
        strictest = Some(stricter(other, rule.action));
        if rule.conditions.is_empty() {
            return strictest.unwrap_or(default);
        }
    }
    stricter(strictest.unwrap_or(default), default)
}

/// The first of two that the kernel holds equal.
fn stricter(first: Action, second: Action) -> Action {
    if second.raw().rank() < first.raw().rank() { second } else { first }
}

/// What selects a call of a multiplexer: `socketcall` reads an int, `ipc` the low half of one.
fn selector(abi: Abi, way: Multiplexed) -> Comparison {
    let value = u64::from(way.call);
    let test = match abi.name_of(way.nr) {
        Some("ipc") => Test::MaskedEq { mask: 0xffff, value },
        _ => Test::Eq(value),
    };
    Comparison::low32(ArgIndex::ALL[0], test)
}

/// Why rules in code make no filter.
#[derive(Clone, Debug)]
pub struct BuildError {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    NoNativeAbi,
    NoSuchArgument { syscall: Syscall, index: u8, abi: Abi },
    TooWide { syscall: Syscall, index: u8, abi: Abi, bits: u32, constant: u64 },
    OutsideMask { syscall: Syscall, index: u8 },
    Narrow { syscall: Syscall, index: u8, bits: u32 },
    Compile(CompileError),
}

impl From<Kind> for BuildError {
    fn from(kind: Kind) -> BuildError {
        BuildError { kind }
    }
}

impl BuildError {
    /// The system call that a condition is wrong for, if that is the reason.
    pub fn syscall(&self) -> Option<Syscall> {
        match self.kind {
            Kind::NoSuchArgument { syscall, .. }
            | Kind::TooWide { syscall, .. }
            | Kind::OutsideMask { syscall, .. }
            | Kind::Narrow { syscall, .. } => Some(syscall),
            Kind::NoNativeAbi | Kind::Compile(_) => None,
        }
    }

    /// Why the rules could not be compiled, if that is the reason.
    pub fn compile_error(&self) -> Option<&CompileError> {
        match &self.kind {
            Kind::Compile(error) => Some(error),
            _ => None,
        }
    }
}

impl error::Error for BuildError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        // The text of a compile error is this error's own.
        self.compile_error().and_then(|error| error.source())
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::NoNativeAbi => f.write_str(
                "no table of system calls for this machine; name the ABI with `FilterBuilder::abis`",
            ),
            Kind::NoSuchArgument { syscall, index, abi } => {
                write!(f, "`{syscall}` has no argument {index} on {abi}; they count from 0")
            }
            Kind::TooWide { syscall, index, abi, bits, constant } => write!(
                f,
                "{constant:#x} does not fit in argument {index} of `{syscall}`, \
                 which has {bits} bits on {abi}"
            ),
            Kind::OutsideMask { syscall, index } => write!(
                f,
                "the condition on argument {index} of `{syscall}` can never hold: \
                 the value has bits outside the mask"
            ),
            Kind::Narrow { syscall, index, bits } => write!(
                f,
                "argument {index} of `{syscall}` has {bits} bits and a filter loads 32, \
                 so it can be compared by `eq` and under a mask alone"
            ),
            Kind::Compile(error) => error.fmt(f),
        }
    }
}
