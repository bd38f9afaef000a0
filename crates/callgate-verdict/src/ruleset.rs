//! From rules to their diagram.
//!
//! This is the other half of the proof that a program means what its rules say, so it shares
//! nothing with the compiler: the numbers are laid out as digits directly, from the rules' own
//! tables, and arguments are combined as sets.

use alloc::{collections::BTreeMap, vec::Vec};

use callgate_bpf::SyscallNr;
use callgate_policy::{AbiRules, Newer, Rule, Ruleset};
use callgate_syscalls::Abi;

use crate::{
    Diagram, Manager,
    digits::Digit,
    manager::{NodeId, TooComplex},
};

/// The verdict on the numbers from `first` to the next segment.
#[derive(Clone, Copy)]
struct Segment {
    first: u32,
    node: NodeId,
}

impl Manager {
    /// The meaning of a ruleset.
    ///
    /// # Errors
    ///
    /// When the rules need more than the manager's memory.
    ///
    /// # Panics
    ///
    /// When the manager is not for `struct seccomp_data`.
    pub fn ruleset(&mut self, ruleset: &Ruleset) -> Result<Diagram, TooComplex> {
        let field = |manager: &Manager, name: &str| {
            let fields = manager.digits.layout().fields;
            let index = fields.iter().position(|field| field.name == name);
            let index = index.expect("a ruleset speaks of system calls");
            manager.digits.of_field(index).collect::<Vec<Digit>>()
        };
        let (nr, arch) = (field(self, "nr"), field(self, "arch"));
        let other = self.terminal(ruleset.other.raw().0);
        let mut by_architecture: BTreeMap<u32, Vec<&AbiRules>> = BTreeMap::new();
        for table in &ruleset.abis {
            by_architecture.entry(table.abi.audit().0).or_default().push(table);
        }
        let mut architectures = alloc::vec![Segment { first: 0, node: other }];
        for (value, tables) in by_architecture {
            let mut numbers = alloc::vec![Segment { first: 0, node: other }];
            for table in &tables {
                let segments = self.numbers(table)?;
                for (first, last) in own(table.abi, &tables) {
                    overlay(&mut numbers, first, last, &segments);
                }
            }
            // The rule on newer calls comes before any other.
            for table in &tables {
                self.newer(table, &mut numbers);
            }
            let node = self.word(&nr, &numbers)?;
            overlay(&mut architectures, value, value, &[Segment { first: value, node }]);
        }
        self.word(&arch, &architectures).map(Diagram)
    }

    /// What the rules of one ABI say of all numbers, as if they were all its own.
    fn numbers(&mut self, table: &AbiRules) -> Result<Vec<Segment>, TooComplex> {
        let default = self.terminal(table.default.raw().0);
        let mut segments = alloc::vec![Segment { first: 0, node: default }];
        for (&SyscallNr(nr), rules) in &table.rules {
            let node = self.rules(rules, table)?;
            if segments.last().is_some_and(|last| last.first == nr) {
                segments.pop();
            }
            segments.push(Segment { first: nr, node });
            if let Some(behind) = nr.checked_add(1) {
                segments.push(Segment { first: behind, node: default });
            }
        }
        Ok(segments)
    }

    /// Lays the verdict on newer calls over the numbers that it takes.
    fn newer(&mut self, table: &AbiRules, numbers: &mut Vec<Segment>) {
        let Some(Newer { last: SyscallNr(named), action, also }) = table.newer else { return };
        let node = self.terminal(action.raw().0);
        for &(first, last) in mode(table.abi) {
            if named < last {
                let first = first.max(named + 1);
                overlay(numbers, first, last, &[Segment { first, node }]);
            }
            if let Some(SyscallNr(nr)) = also.filter(|nr| (first..=last).contains(&nr.0)) {
                overlay(numbers, nr, nr, &[Segment { first: nr, node }]);
            }
        }
    }

    /// The first rule that holds, else the default.
    fn rules(&mut self, rules: &[Rule], table: &AbiRules) -> Result<NodeId, TooComplex> {
        let mut verdict = Diagram(self.terminal(table.default.raw().0));
        for rule in rules.iter().rev() {
            let mut holds = self.always(true);
            for comparison in &rule.comparisons {
                let name = ["args[0]", "args[1]", "args[2]", "args[3]", "args[4]", "args[5]"]
                    [usize::from(comparison.arg)];
                let fields = self.digits.layout().fields;
                let field = fields.iter().position(|field| field.name == name);
                let field = field.expect("system calls have six arguments");
                let (bits, test) = comparison.on(table.abi.arg_bits());
                let test = self.field_test(field, bits, test)?;
                holds = self.and(holds, test)?;
            }
            let then = Diagram(self.terminal(rule.action.raw().0));
            verdict = self.choose(holds, then, verdict)?;
        }
        Ok(verdict.0)
    }

    /// The node that decides a 32-bit word by segments, which start at 0 and ascend.
    fn word(&mut self, digits: &[Digit], segments: &[Segment]) -> Result<NodeId, TooComplex> {
        let [digit, below @ ..] = digits else {
            return Ok(segments[0].node);
        };
        let bits = 8 * u32::try_from(below.len()).expect("four digits");
        let prefix = u64::from(segments[0].first) >> bits >> 8 << 8 << bits;
        let unfinished = self.begin();
        let mut rest = segments;
        for byte in 0..=u8::MAX {
            let start = prefix + (u64::from(byte) << bits);
            let end = start + (1 << bits) - 1;
            // The last segment that starts at or before the block holds at its start.
            while rest.len() > 1 && u64::from(rest[1].first) <= start {
                rest = &rest[1..];
            }
            let inside = rest.iter().take_while(|s| u64::from(s.first) <= end).count();
            let child = if inside <= 1 {
                rest[0].node
            } else {
                let mut block = rest[..inside].to_vec();
                block[0].first = u32::try_from(start).expect("within 32 bits");
                match self.word(below, &block) {
                    Ok(child) => child,
                    Err(error) => {
                        self.abandon(unfinished);
                        return Err(error);
                    }
                }
            };
            self.push(&unfinished, byte, child);
        }
        self.finish(*digit, unfinished)
    }
}

/// The ranges of an architecture's numbers to which an ABI's rules apply.
///
/// x86_64 and x32 share an architecture. What lies from bit 30 up is x32's; without x32 it is
/// nobody's, but for -1, a tracer's skip, which stays with x86_64.
fn own(abi: Abi, tables: &[&AbiRules]) -> Vec<(u32, u32)> {
    const SKIP: u32 = SyscallNr::SKIP.0;
    match abi {
        Abi::X86_64 => {
            let x32 = tables.iter().any(|table| table.abi == Abi::X32);
            let skip = (!x32).then_some((SKIP, SKIP));
            [(0, SyscallNr::X32_BIT - 1)].into_iter().chain(skip).collect()
        }
        Abi::X32 => alloc::vec![(SyscallNr::X32_BIT, u32::MAX)],
        _ => alloc::vec![(0, u32::MAX)],
    }
}

/// The ranges of an architecture's numbers to which an ABI's rule on newer calls applies: of
/// x86_64 and x32 it looks at bit 30 alone.
fn mode(abi: Abi) -> &'static [(u32, u32)] {
    match abi {
        Abi::X86_64 => &[(0, 0x3fff_ffff), (0x8000_0000, 0xbfff_ffff)],
        Abi::X32 => &[(0x4000_0000, 0x7fff_ffff), (0xc000_0000, u32::MAX)],
        _ => &[(0, u32::MAX)],
    }
}

/// Replaces what is said of the numbers `first` to `last` by what `with` says of them.
fn overlay(segments: &mut Vec<Segment>, first: u32, last: u32, with: &[Segment]) {
    let behind = last.checked_add(1).map(|behind| {
        let at = segments.partition_point(|segment| segment.first <= behind);
        Segment { first: behind, node: segments[at - 1].node }
    });
    let start = segments.partition_point(|segment| segment.first < first);
    let end = behind.map_or(segments.len(), |behind| {
        segments.partition_point(|segment| segment.first <= behind.first)
    });
    // The last segment that starts at or before `first` holds there.
    let head = with.partition_point(|segment| segment.first <= first).max(1) - 1;
    let mut inside: Vec<Segment> =
        with[head..].iter().copied().take_while(|segment| segment.first <= last).collect();
    if let Some(head) = inside.first_mut() {
        head.first = first;
    }
    inside.extend(behind);
    segments.splice(start..end, inside);
}
