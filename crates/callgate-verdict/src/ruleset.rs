//! From rules to their diagram.
//!
//! This is the other half of the proof that a program means what its rules say, so it shares
//! nothing with the compiler: the numbers are laid out as digits directly, from the rules' own
//! tables, and arguments are combined as sets.

use alloc::{collections::BTreeMap, vec::Vec};

use callgate_bpf::{Action, SyscallNr};
use callgate_policy::{AbiRules, Newer, Rule, Ruleset};
use callgate_syscalls::Abi;

use crate::{
    Diagram, Manager,
    digits::Digit,
    manager::{NodeId, TooComplex},
};

/// The verdict on the numbers from `first` to the next segment.
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
                let [first, last] = range(table.abi);
                let segments = self.numbers(table)?;
                overlay(&mut numbers, first, last, segments);
            }
            self.x86_64_corners(&tables, &mut numbers, other);
            let node = self.word(&nr, &numbers)?;
            overlay(&mut architectures, value, value, alloc::vec![Segment { first: value, node }]);
        }
        self.word(&arch, &architectures).map(Diagram)
    }

    /// What one ABI says of all numbers, as if they were all its own.
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
        if let Some(Newer { last: SyscallNr(last), action, also }) = table.newer {
            let node = self.terminal(action.raw().0);
            if let Some(first) = last.checked_add(1) {
                overlay(&mut segments, first, u32::MAX, alloc::vec![Segment { first, node }]);
            }
            if let Some(SyscallNr(nr)) = also {
                overlay(&mut segments, nr, nr, alloc::vec![Segment { first: nr, node }]);
            }
        }
        Ok(segments)
    }

    /// Numbers of the x86_64 architecture that are of neither of its ABIs' own ranges: from bit
    /// 31 up. The rule on newer calls looks at bit 30 alone; after it, x32's range reaches to the
    /// end, and −1 stays with x86_64 when x32 has no table.
    fn x86_64_corners(&mut self, tables: &[&AbiRules], numbers: &mut Vec<Segment>, other: NodeId) {
        const BIT_31: u32 = 0x8000_0000;
        const BITS: u32 = 0xc000_0000;
        if tables.iter().all(|table| table.abi.audit() != Abi::X86_64.audit()) {
            return;
        }
        let of = |abi: Abi| tables.iter().find(|table| table.abi == abi);
        let newer = |abi: Abi| of(abi).and_then(|table| table.newer).map(|newer| newer.action);
        let default = |abi: Abi| of(abi).map(|table| table.default);
        let mut set = |first: u32, last: u32, action: Option<Action>| {
            let node = action.map_or(other, |action| self.terminal(action.raw().0));
            overlay(numbers, first, last, alloc::vec![Segment { first, node }]);
        };
        set(BIT_31, BITS - 1, newer(Abi::X86_64).or(default(Abi::X32)));
        set(BITS, u32::MAX, newer(Abi::X32).or(default(Abi::X32)));
        if of(Abi::X32).is_none() {
            set(u32::MAX, u32::MAX, default(Abi::X86_64));
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
                let mut block: Vec<Segment> =
                    rest[..inside].iter().map(|s| Segment { ..*s }).collect();
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

/// The numbers of the architecture that are an ABI's own.
fn range(abi: Abi) -> [u32; 2] {
    match abi {
        Abi::X86_64 => [0, SyscallNr::X32_BIT - 1],
        Abi::X32 => [SyscallNr::X32_BIT, u32::MAX],
        _ => [0, u32::MAX],
    }
}

/// Replaces what is said of the numbers `first` to `last`.
fn overlay(segments: &mut Vec<Segment>, first: u32, last: u32, with: Vec<Segment>) {
    let behind = last.checked_add(1).map(|behind| {
        let at = segments.partition_point(|segment| segment.first <= behind);
        Segment { first: behind, node: segments[at - 1].node }
    });
    let start = segments.partition_point(|segment| segment.first < first);
    let end = behind
        .as_ref()
        .map_or(segments.len(), |behind| segments.partition_point(|s| s.first <= behind.first));
    let in_range = |segment: &Segment| segment.first <= last;
    let leading = with.partition_point(|segment| segment.first <= first).max(1) - 1;
    let mut replacement: Vec<Segment> =
        with.into_iter().skip(leading).take_while(in_range).collect();
    if let Some(head) = replacement.first_mut() {
        head.first = first;
    }
    replacement.extend(behind);
    segments.splice(start..end, replacement);
}
