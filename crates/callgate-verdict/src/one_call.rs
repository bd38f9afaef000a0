//! One architecture, one number, or one call: what is said of it, one verdict for all its arguments, and the nearest
//! call of which something holds.

use alloc::{collections::BTreeMap, vec::Vec};

use callgate_bpf::{Architecture, Condition, RawAction, SeccompData, SyscallNr};
use callgate_policy::Test;

use crate::{
    Diagram, Manager, Predicate, TooComplex,
    manager::{NodeId, View},
};

impl Manager {
    /// What is said of one number of an architecture, whatever the arguments. As
    /// [`Manager::cofactor`] twice, but a mere look.
    ///
    /// # Panics
    ///
    /// When the manager is not for `struct seccomp_data`.
    pub fn verdict(&self, diagram: Diagram, arch: Architecture, nr: SyscallNr) -> Diagram {
        Diagram(self.of_number(diagram.0, arch, nr))
    }

    /// The meaning in which a number of an architecture, and every number of it of which exactly
    /// the same is said, gets one word for all arguments.
    ///
    /// # Errors
    ///
    /// When the manager's memory does not suffice.
    ///
    /// # Panics
    ///
    /// When the manager is not for `struct seccomp_data`.
    pub fn settle(
        &mut self,
        diagram: Diagram,
        arch: Architecture,
        nr: SyscallNr,
        word: RawAction,
    ) -> Result<Diagram, TooComplex> {
        let there = self.cofactor(diagram, "arch", u64::from(arch.0))?;
        let from = self.of_number(there.0, arch, nr);
        let to = self.terminal(word.0);
        let settled = self.exchange(there.0, from, to, &mut BTreeMap::new()).map(Diagram)?;
        let here = self.calls_of(arch)?;
        self.choose(here, settled, diagram)
    }

    /// The calls of an architecture.
    ///
    /// # Errors
    ///
    /// When the manager's memory does not suffice.
    ///
    /// # Panics
    ///
    /// When the manager is not for `struct seccomp_data`.
    pub fn calls_of(&mut self, arch: Architecture) -> Result<Predicate, TooComplex> {
        let fields = self.digits.layout().fields;
        let offset = fields.iter().find(|field| field.name == "arch").map(|field| field.offset);
        let offset = offset.expect("a context of system calls");
        self.word_test(offset, u32::MAX, Condition::Eq, arch.0)
    }

    /// The call of the same number of which the predicate holds and that is nearest to the one
    /// wanted: as many arguments as can be are kept, the first ones first, and of the others the
    /// most significant bits. `None` when it holds of no call of the number.
    ///
    /// # Errors
    ///
    /// When the manager's memory does not suffice.
    ///
    /// # Panics
    ///
    /// When the manager is not for `struct seccomp_data`.
    pub fn nearest(
        &mut self,
        predicate: Predicate,
        wanted: &SeccompData,
    ) -> Result<Option<SeccompData>, TooComplex> {
        let never = self.always(false);
        let mut left = Predicate(self.of_number(predicate.0, wanted.arch, wanted.nr));
        if left == never {
            return Ok(None);
        }
        let mut others: Vec<(usize, u64)> = Vec::new();
        for (index, value) in wanted.args.into_iter().enumerate() {
            let field = self.argument_field(index);
            let same = self.field_test(field, 64, Test::Eq(value))?;
            match self.and(left, same)? {
                none if none == never => others.push((field, value)),
                kept => left = kept,
            }
        }
        for (field, value) in others {
            for mask in (0..64).rev().map(|bit| 1 << bit) {
                let test = Test::MaskedEq { mask, value: value & mask };
                let same = self.field_test(field, 64, test)?;
                let kept = self.and(left, same)?;
                if kept != never {
                    left = kept;
                }
            }
        }
        let found = self.witness(left);
        Ok(found.map(|call| SeccompData { arch: wanted.arch, nr: wanted.nr, ..call }))
    }

    fn argument_field(&self, index: usize) -> usize {
        let name = ["args[0]", "args[1]", "args[2]", "args[3]", "args[4]", "args[5]"][index];
        let fields = self.digits.layout().fields;
        fields.iter().position(|field| field.name == name).expect("calls have six arguments")
    }

    fn of_number(&self, node: NodeId, arch: Architecture, nr: SyscallNr) -> NodeId {
        let values = self.field_values(&SeccompData::new(arch, nr));
        let mut at = node;
        loop {
            match self.view(at) {
                View::Runs(digit, runs) if self.digits.is_selector(digit) => {
                    let byte = self.byte(&values, digit);
                    at = runs[runs.partition_point(|run| run.last < byte)].child;
                }
                _ => return at,
            }
        }
    }

    /// What is below the number, exchanged.
    fn exchange(
        &mut self,
        node: NodeId,
        from: NodeId,
        to: NodeId,
        done: &mut BTreeMap<NodeId, NodeId>,
    ) -> Result<NodeId, TooComplex> {
        if node == from {
            return Ok(to);
        }
        match self.view(node) {
            View::Runs(digit, _) if self.digits.is_selector(digit) => {}
            _ => return Ok(node),
        }
        if let Some(&known) = done.get(&node) {
            return Ok(known);
        }
        let result =
            self.map_children(node, |manager, child| manager.exchange(child, from, to, done))?;
        done.insert(node, result);
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use callgate_bpf::{Action, ByteOrder, Layout};
    use callgate_policy::{AbiRules, ArgIndex, Comparison, Rule, Ruleset, Width};
    use callgate_syscalls::Abi;

    use super::*;

    const CLONE: SyscallNr = SyscallNr(56);
    const NAMESPACES: u64 = 0x7e02_0000;

    fn manager() -> Manager {
        Manager::new(Layout::seccomp(ByteOrder::Little))
    }

    /// `clone` allowed on both ABIs where its first argument passes the test.
    fn on_clone(test: Test) -> Ruleset {
        let arg = ArgIndex::ALL[0];
        let comparisons = vec![Comparison { arg, width: Width::Full, test }];
        let rule = Rule { action: Action::Allow, comparisons, entry: 0 };
        let table = |abi| AbiRules {
            abi,
            default: Action::Errno(1),
            rules: [(CLONE, vec![rule.clone()])].into(),
            newer: None,
        };
        let abis = vec![table(Abi::X86_64), table(Abi::Aarch64)];
        Ruleset { abis, other: Action::KillThread, flags: Vec::new() }
    }

    fn permitted(manager: &mut Manager, diagram: Diagram) -> Predicate {
        let nothing = manager.constant(Action::KillThread.raw());
        manager.permits_more(diagram, nothing).unwrap()
    }

    #[test]
    fn a_verdict_is_the_part_of_one_number() {
        let mut manager = manager();
        let rules = on_clone(Test::MaskedEq { mask: NAMESPACES, value: 0 });
        let diagram = manager.ruleset(&rules).unwrap();
        let arch = Abi::X86_64.audit();
        for nr in [SyscallNr(0), CLONE, SyscallNr(57)] {
            let part = manager.cofactor(diagram, "arch", u64::from(arch.0)).unwrap();
            let part = manager.cofactor(part, "nr", u64::from(nr.0)).unwrap();
            assert_eq!(manager.verdict(diagram, arch, nr), part);
        }
    }

    #[test]
    fn what_is_settled_no_longer_looks_at_arguments_on_that_architecture_alone() {
        let mut manager = manager();
        let rules = on_clone(Test::MaskedEq { mask: NAMESPACES, value: 0 });
        let diagram = manager.ruleset(&rules).unwrap();
        let (here, there) = (Abi::X86_64.audit(), Abi::Aarch64.audit());
        let word = Action::Errno(38).raw();
        let settled = manager.settle(diagram, here, CLONE, word).unwrap();
        assert_eq!(manager.answers(manager.verdict(settled, here, CLONE)), [word]);
        for (arch, nr) in [(there, CLONE), (here, SyscallNr(57)), (Architecture(0), CLONE)] {
            assert_eq!(
                manager.verdict(settled, arch, nr),
                manager.verdict(diagram, arch, nr),
                "{arch:?} {nr}"
            );
        }
    }

    #[test]
    fn the_nearest_call_keeps_what_can_be_kept() {
        let mut manager = manager();
        let mut nearest = |test: Test, args: [u64; 6]| {
            let diagram = manager.ruleset(&on_clone(test)).unwrap();
            let permitted = permitted(&mut manager, diagram);
            let wanted = SeccompData { args, ..SeccompData::new(Abi::X86_64.audit(), CLONE) };
            manager.nearest(permitted, &wanted).unwrap().map(|call| call.args)
        };
        let flags = Test::MaskedEq { mask: NAMESPACES, value: 0 };
        // The forbidden bits go, the rest stays.
        assert_eq!(nearest(flags, [0x1000_0011, 7, 0, 0, 0, 9]), Some([0x11, 7, 0, 0, 0, 9]));
        assert_eq!(nearest(flags, [0x11, 7, 0, 0, 0, 0]), Some([0x11, 7, 0, 0, 0, 0]));
        assert_eq!(nearest(Test::Ne(40), [40, 1, 0, 0, 0, 0]), Some([41, 1, 0, 0, 0, 0]));
        let of_other_number = {
            let diagram = manager.ruleset(&on_clone(flags)).unwrap();
            let permitted = permitted(&mut manager, diagram);
            let wanted = SeccompData::new(Abi::X86_64.audit(), SyscallNr(57));
            manager.nearest(permitted, &wanted).unwrap()
        };
        assert_eq!(of_other_number, None);
    }
}
