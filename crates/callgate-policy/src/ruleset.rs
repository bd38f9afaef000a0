//! A policy resolved for one target: what each call of each ABI comes to.

use alloc::{collections::BTreeMap, vec::Vec};

use callgate_bpf::{Action, Architecture, SeccompData, SyscallNr};
use callgate_syscalls::{Abi, errno};

use crate::{Comparison, FilterFlag};

/// Rules per ABI and number. Nothing in it depends on text, capabilities or kernel any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    /// One table for each ABI, the machine's own first; no ABI twice.
    pub abis: Vec<AbiRules>,
    /// The verdict on a call of an ABI that has no table.
    pub other: Action,
    /// Flags for loading.
    pub flags: Vec<FilterFlag>,
}

/// The rules of one ABI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbiRules {
    /// The ABI.
    pub abi: Abi,
    /// The verdict on a call that no rule takes.
    pub default: Action,
    /// For each number, rules in order: the first that holds decides.
    pub rules: BTreeMap<SyscallNr, Vec<Rule>>,
    /// The verdict on numbers that the author could not know; it comes before any rule.
    pub newer: Option<Newer>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The verdict.
    pub action: Action,
    /// All must hold; none means always.
    pub comparisons: Vec<Comparison>,
    /// Index of the policy's entry that it comes from.
    pub entry: usize,
}

impl Rule {
    /// Whether the rule takes every call of its number.
    pub fn is_unconditional(&self) -> bool {
        self.comparisons.is_empty()
    }

    /// Whether it holds of these arguments, of which the low `bits` count.
    pub fn holds(&self, args: &[u64; 6], bits: u32) -> bool {
        self.comparisons.iter().all(|c| c.holds(args[usize::from(c.arg)], bits))
    }
}

/// What decided a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision<'a> {
    /// A rule, of this number.
    Rule(&'a Rule),
    /// No rule held.
    Default,
    /// The number is above every one that the policy names.
    Newer,
    /// No table speaks of the ABI.
    OtherAbi,
}

impl Ruleset {
    /// The table that a call belongs to.
    ///
    /// x86_64 and x32 share an architecture. Numbers from bit 30 up are x32's; where x32 has no
    /// table they are of another ABI, except −1 (a tracer's skip), which stays with x86_64.
    pub fn table(&self, data: &SeccompData) -> Option<&AbiRules> {
        let find = |abi: Abi| self.abis.iter().find(|table| table.abi == abi);
        if data.arch != Abi::X86_64.audit() {
            return self.abis.iter().find(|table| table.abi.audit() == data.arch);
        }
        if data.nr.0 < SyscallNr::X32_BIT {
            find(Abi::X86_64)
        } else {
            find(Abi::X32).or_else(|| find(Abi::X86_64).filter(|_| data.nr == SyscallNr::SKIP))
        }
    }

    /// The verdict of the rule on newer calls, if it takes this one.
    fn newer(&self, data: &SeccompData) -> Option<Action> {
        let table = self
            .abis
            .iter()
            .find(|table| table.abi.audit() == data.arch && of_mode(table.abi, data.nr))?;
        let newer = table.newer?;
        newer.takes(data.nr).then_some(newer.action)
    }

    /// What is said of a number of an architecture, whatever the arguments.
    pub fn rules_for(&self, arch: Architecture, nr: SyscallNr) -> NumberVerdict<'_> {
        let data = SeccompData::new(arch, nr);
        if let Some(action) = self.newer(&data) {
            return NumberVerdict::Newer(action);
        }
        let Some(table) = self.table(&data) else {
            return NumberVerdict::OtherAbi(self.other);
        };
        NumberVerdict::Rules { table, rules: table.rules.get(&nr).map_or(&[], Vec::as_slice) }
    }

    /// The verdict on a call, and what decided it.
    ///
    /// This is the meaning of a ruleset: whatever is compiled from it must agree.
    pub fn decide(&self, data: &SeccompData) -> (Action, Decision<'_>) {
        let (table, rules) = match self.rules_for(data.arch, data.nr) {
            NumberVerdict::Newer(action) => return (action, Decision::Newer),
            NumberVerdict::OtherAbi(action) => return (action, Decision::OtherAbi),
            NumberVerdict::Rules { table, rules } => (table, rules),
        };
        let bits = table.abi.arg_bits();
        match rules.iter().find(|rule| rule.holds(&data.args, bits)) {
            Some(rule) => (rule.action, Decision::Rule(rule)),
            None => (table.default, Decision::Default),
        }
    }
}

/// What a ruleset says of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the compiler must treat each")]
pub enum NumberVerdict<'a> {
    /// The number is above every one that the policy names.
    Newer(Action),
    /// No table speaks of the ABI.
    OtherAbi(Action),
    /// The first rule that holds, or else the table's default.
    Rules {
        /// The ABI's table.
        table: &'a AbiRules,
        /// The rules in order; empty when the default takes every call.
        rules: &'a [Rule],
    },
}

/// A verdict on the numbers that a policy's author could not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newer {
    /// The largest number that the policy names on this ABI.
    pub last: SyscallNr,
    /// The verdict on every number above it.
    pub action: Action,
    /// A number below it with the same verdict: s390's 0, under which that kernel passes calls
    /// whose number it does not know.
    pub also: Option<SyscallNr>,
}

impl Newer {
    /// ENOSYS, as this ABI numbers it: what a kernel answers to a call that it does not know.
    pub fn enosys(abi: Abi) -> Action {
        /// The number on all but a few old ABIs.
        const GENERIC: u16 = 38;
        Action::Errno(errno::number_on(abi, "ENOSYS").unwrap_or(GENERIC))
    }

    /// Whether this number is one of them.
    pub fn takes(&self, nr: SyscallNr) -> bool {
        nr > self.last || self.also == Some(nr)
    }
}

/// Whether bit 30 of the number is as this ABI of the x86_64 architecture sets it.
fn of_mode(abi: Abi, nr: SyscallNr) -> bool {
    match abi {
        Abi::X86_64 => nr.0 & SyscallNr::X32_BIT == 0,
        Abi::X32 => nr.0 & SyscallNr::X32_BIT != 0,
        _ => true,
    }
}
