//! From a diagram back to rules.
//!
//! Whatever a filter was written in, what it means is put into rules again: per ABI a default,
//! the verdict on newer calls, and for each number rules on arguments. The result is made into a
//! diagram and compared, so rules come out only if they mean the same.

use alloc::{collections::BTreeMap, vec, vec::Vec};
use core::fmt;

use callgate_bpf::{Action, Architecture, RawAction, SeccompData, SyscallNr};
use callgate_policy::{AbiRules, Newer, Rule, Ruleset};
use callgate_syscalls::{Abi, from_audit};

use crate::{
    Diagram, Manager, Predicate, TooComplex,
    conditions::Indescribable,
    differences::Segment,
    manager::{NodeId, View},
};

/// As much of a meaning as rules can say.
#[derive(Clone, Debug)]
pub struct Outline {
    /// The rules. Of what is beyond them they say nothing that counts.
    pub ruleset: Ruleset,
    /// What rules cannot say.
    pub beyond: Vec<Beyond>,
}

/// Calls whose verdict no rules can say.
#[derive(Clone, Debug)]
pub struct Beyond {
    /// The reason.
    pub why: Unsayable,
    /// The architecture.
    pub arch: Architecture,
    /// The first number and the last, all of which are treated alike; none where it is about the
    /// architecture as a whole.
    pub numbers: Option<(SyscallNr, SyscallNr)>,
    /// What is answered, each answer with a call that gets it: of the first number.
    pub answers: Vec<(Action, SeccompData)>,
}

/// Why a diagram has no rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsayable {
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    TooComplex,
    /// Architectures that no table knows are treated in more than one way.
    Architectures(Architecture),
    InstructionPointer(Architecture, SyscallNr),
    UpperHalf(Architecture, SyscallNr),
    /// What a number asks of its arguments takes more comparisons than anybody would read.
    Conditions(Architecture, SyscallNr),
    /// Numbers without a rule of their own are treated in more than one way.
    Numbers(Architecture, SyscallNr),
}

impl From<TooComplex> for Unsayable {
    fn from(_: TooComplex) -> Unsayable {
        Unsayable { kind: Kind::TooComplex }
    }
}

impl From<Kind> for Unsayable {
    fn from(kind: Kind) -> Unsayable {
        Unsayable { kind }
    }
}

impl core::error::Error for Unsayable {}

impl Unsayable {
    /// The number whose own verdict cannot be said, where that is the reason. With
    /// [`Manager::settle`] it could.
    pub fn call(&self) -> Option<(Architecture, SyscallNr)> {
        match self.kind {
            Kind::InstructionPointer(arch, nr)
            | Kind::UpperHalf(arch, nr)
            | Kind::Conditions(arch, nr) => Some((arch, nr)),
            Kind::TooComplex | Kind::Architectures(_) | Kind::Numbers(..) => None,
        }
    }

    /// Whether it is that architectures which no table knows are not treated alike.
    pub fn is_about_architectures(&self) -> bool {
        matches!(self.kind, Kind::Architectures(_))
    }
}

impl fmt::Display for Unsayable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::TooComplex => f.write_str("its rules would be too many to be of use"),
            Kind::Architectures(arch) => write!(
                f,
                "architectures without a system call table are not treated alike ({arch:?} is another)"
            ),
            Kind::InstructionPointer(arch, nr) => write!(
                f,
                "number {nr} of architecture {arch:?} depends on the instruction pointer, which rules cannot name"
            ),
            Kind::UpperHalf(arch, nr) => write!(
                f,
                "number {nr} of architecture {arch:?} depends on the upper half of an argument, which rules for 32-bit ABIs do not look at"
            ),
            Kind::Conditions(arch, nr) => write!(
                f,
                "number {nr} of architecture {arch:?} asks more of its arguments than fits rules that are of use"
            ),
            Kind::Numbers(arch, nr) => write!(
                f,
                "numbers of architecture {arch:?} that no system call has are not treated alike ({nr} is another)"
            ),
        }
    }
}

/// EPERM of `asm-generic/errno-base.h`.
const EPERM: u16 = 1;

/// Numbers without a name that get a rule of their own, at most.
const UNNAMED_LIMIT: u32 = 256;

impl Manager {
    /// Rules that mean what the diagram means: their diagram is this one.
    ///
    /// # Errors
    ///
    /// When no rules do, or more than a person could read.
    ///
    /// # Panics
    ///
    /// When the manager is not for `struct seccomp_data`.
    pub fn synthesize(&mut self, diagram: Diagram) -> Result<Ruleset, Unsayable> {
        let ruleset = self.synthesize_named(diagram)?;
        let again = self.ruleset(&ruleset)?;
        if again == diagram {
            return Ok(ruleset);
        }
        let differ = self.differ(again, diagram)?;
        let data = self.witness(differ).expect("unequal diagrams differ somewhere");
        Err(Kind::Numbers(data.arch, data.nr).into())
    }

    /// Rules that mean what the diagram means on every number that a system call has. What they
    /// say of other numbers may differ.
    ///
    /// # Errors
    ///
    /// As [`Manager::synthesize`], but not for numbers that no system call has.
    ///
    /// # Panics
    ///
    /// When the manager is not for `struct seccomp_data`.
    pub fn synthesize_named(&mut self, diagram: Diagram) -> Result<Ruleset, Unsayable> {
        let Outline { ruleset, beyond } = self.outline(diagram)?;
        match beyond.first() {
            None => Ok(ruleset),
            Some(first) => Err(first.why),
        }
    }

    /// As much of a meaning as rules can say, and what is beyond them.
    ///
    /// # Errors
    ///
    /// When there would be too many rules.
    ///
    /// # Panics
    ///
    /// When the manager is not for `struct seccomp_data`.
    pub fn outline(&mut self, diagram: Diagram) -> Result<Outline, TooComplex> {
        let architectures = self.all_segments("arch", diagram.0)?;
        let known = |segment: &Segment| {
            segment.first == segment.last
                && from_audit(Architecture(segment.first)).next().is_some()
        };
        let mut beyond = Vec::new();
        let mut other = None;
        for segment in architectures.iter().filter(|segment| !known(segment)) {
            let action = self.constant_action(segment.nodes[0]);
            match (action, other) {
                (Some(action), None) => other = Some(action),
                (Some(action), Some(before)) if action == before => {}
                _ => {
                    let arch = Architecture(segment.first);
                    let kind = Kind::Architectures(arch);
                    beyond.push(self.beyond(segment, arch, None, kind)?);
                }
            }
        }
        let other = other.unwrap_or(Action::KillThread);
        let mut abis = Vec::new();
        for segment in architectures.iter().filter(|segment| known(segment)) {
            let arch = Architecture(segment.first);
            abis.extend(self.tables(arch, segment.nodes[0], other, &mut beyond)?);
        }
        if let Some(at) = Abi::native()
            .and_then(|native| abis.iter().position(|table: &AbiRules| table.abi == native))
        {
            let native = abis.remove(at);
            abis.insert(0, native);
        }
        Ok(Outline { ruleset: Ruleset { abis, other, flags: Vec::new() }, beyond })
    }

    /// What is answered to calls of a segment, each answer with an example.
    fn beyond(
        &mut self,
        segment: &Segment,
        arch: Architecture,
        numbers: Option<(SyscallNr, SyscallNr)>,
        kind: Kind,
    ) -> Result<Beyond, TooComplex> {
        let diagram = Diagram(segment.nodes[0]);
        let mut answers = Vec::new();
        for word in self.answers(diagram) {
            let set = self.where_is(diagram, word)?;
            let call = self.witness(set).unwrap_or_else(|| SeccompData::new(arch, SyscallNr(0)));
            let nr = numbers.map_or(call.nr, |(first, _)| first);
            answers.push((word.action(), SeccompData { arch, nr, ..call }));
        }
        Ok(Beyond { why: kind.into(), arch, numbers, answers })
    }

    /// The tables of the ABIs of one architecture.
    fn tables(
        &mut self,
        arch: Architecture,
        node: NodeId,
        other: Action,
        beyond: &mut Vec<Beyond>,
    ) -> Result<Vec<AbiRules>, TooComplex> {
        let numbers = self.all_segments("nr", node)?;
        if arch != Abi::X86_64.audit() {
            // Where several ABIs share a value they share the numbers; the first names them.
            let abi = from_audit(arch).next().expect("known architectures have an ABI");
            return Ok(vec![self.table(abi, &numbers, beyond)?]);
        }
        let x32 = SyscallNr::X32_BIT;
        let of_x32 = within(&numbers, x32, 2 * x32 - 1);
        let foreign = |segment: &Segment| self.constant_action(segment.nodes[0]) == Some(other);
        let has_x32 = !of_x32.iter().all(foreign);
        let own = within(&numbers, 0, x32 - 1);
        let mut tables = vec![self.table(Abi::X86_64, &own, beyond)?];
        if has_x32 {
            tables.push(self.table(Abi::X32, &of_x32, beyond)?);
        }
        Ok(tables)
    }

    fn table(
        &mut self,
        abi: Abi,
        numbers: &[Segment],
        beyond: &mut Vec<Beyond>,
    ) -> Result<AbiRules, TooComplex> {
        let (tail, below) = numbers.split_last().expect("an ABI has numbers");
        let tail_action = self.constant_action(tail.nodes[0]);
        let newer = tail_action.filter(|&action| action == Newer::enosys(abi));
        let default = match newer {
            Some(_) => self.default_of(abi, below).unwrap_or(Action::Errno(EPERM)),
            None => tail_action.unwrap_or(Action::KillThread),
        };
        let mut table = AbiRules { abi, default, rules: BTreeMap::new(), newer: None };
        let mut named = numbers;
        if let (Some(action), Some(last)) = (newer, tail.first.checked_sub(1))
            && action != default
        {
            table.newer = Some(Newer { last: SyscallNr(last), action, also: None });
            named = below;
        }
        for segment in named {
            if self.constant_action(segment.nodes[0]) == Some(default) {
                continue;
            }
            let mut list = named_numbers(abi, segment);
            if segment.last - segment.first < UNNAMED_LIMIT {
                list = (segment.first..=segment.last).collect();
            }
            match self.rules_of(abi, segment, default)? {
                Ok(rules) => {
                    table.rules.extend(list.into_iter().map(|nr| (SyscallNr(nr), rules.clone())));
                }
                Err(kind) => {
                    let numbers = (SyscallNr(segment.first), SyscallNr(segment.last));
                    beyond.push(self.beyond(segment, abi.audit(), Some(numbers), kind)?);
                }
            }
        }
        Ok(table)
    }

    /// What the author wrote as the default, when what is above these segments is not it: the
    /// verdict on numbers that no call has, which nobody names; else the refusal that most
    /// numbers get.
    fn default_of(&self, abi: Abi, segments: &[Segment]) -> Option<Action> {
        let [mut unnamed, mut refused] = [BTreeMap::new(), BTreeMap::new()];
        for segment in segments {
            let Some(action) = self.constant_action(segment.nodes[0]) else {
                continue;
            };
            let named = named_numbers(abi, segment);
            let size = u64::from(segment.last - segment.first) + 1;
            let without_name = size - u64::try_from(named.len()).unwrap_or(size);
            if without_name > 0 {
                *unnamed.entry(action).or_insert(0) += without_name;
            }
            if !action.runs_call() {
                *refused.entry(action).or_insert(0) += size;
            }
        }
        let most = |counts: BTreeMap<Action, u64>| {
            counts.into_iter().max_by_key(|(_, count)| *count).map(|(action, _)| action)
        };
        most(unnamed).or_else(|| most(refused))
    }

    fn rules_of(
        &mut self,
        abi: Abi,
        segment: &Segment,
        default: Action,
    ) -> Result<Result<Vec<Rule>, Kind>, TooComplex> {
        let (arch, nr) = (abi.audit(), SyscallNr(segment.first));
        let diagram = Diagram(segment.nodes[0]);
        let mut rules = Vec::new();
        for word in self.answers(diagram).into_iter().filter(|word| word.action() != default) {
            let set = self.where_is(diagram, word)?;
            let alternatives = match self.describe(set, abi.arg_bits()) {
                Ok(alternatives) => alternatives,
                Err(why) => {
                    return Ok(Err(match why {
                        Indescribable::TooComplex => Kind::Conditions(arch, nr),
                        Indescribable::InstructionPointer => Kind::InstructionPointer(arch, nr),
                        Indescribable::UpperHalf => Kind::UpperHalf(arch, nr),
                    }));
                }
            };
            let action = word.action();
            rules.extend(alternatives.into_iter().map(|comparisons| Rule {
                action,
                comparisons,
                entry: 0,
            }));
        }
        Ok(Ok(rules))
    }

    /// The calls that get this word.
    fn where_is(&mut self, diagram: Diagram, word: RawAction) -> Result<Predicate, TooComplex> {
        let constant = self.constant(word);
        let elsewhere = self.differ(diagram, constant)?;
        self.not(elsewhere)
    }

    fn all_segments(&self, field: &str, node: NodeId) -> Result<Vec<Segment>, TooComplex> {
        self.segments(field, [node, node], true)
    }

    /// The action of a diagram that answers everything alike.
    fn constant_action(&self, node: NodeId) -> Option<Action> {
        match self.view(node) {
            View::Terminal(word) => Some(RawAction(word).action()),
            View::Runs(..) => None,
        }
    }
}

/// The numbers of a segment that have a name, each once.
fn named_numbers(abi: Abi, segment: &Segment) -> Vec<u32> {
    let named = abi.syscalls_between(SyscallNr(segment.first), SyscallNr(segment.last));
    let mut numbers: Vec<u32> = named.map(|(nr, _)| nr.0).collect();
    numbers.dedup();
    numbers
}

/// The parts of segments that lie in a range.
fn within(segments: &[Segment], first: u32, last: u32) -> Vec<Segment> {
    segments
        .iter()
        .filter(|segment| segment.first <= last && segment.last >= first)
        .map(|segment| Segment {
            first: segment.first.max(first),
            last: segment.last.min(last),
            ..*segment
        })
        .collect()
}
