//! The meaning of a profile, asked of each entry in turn.

use callgate_bpf::{Action, SeccompData, SyscallNr};
use callgate_policy::{NewerCalls, Target};
use callgate_syscalls::{Abi, Capability, KernelVersion};

use crate::{Arg, Entry, Profile, Word};

/// What the naive reading comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Opinion {
    /// The answer, and whether a rule with conditions gave it.
    Answer(Action, bool),
    /// Rules that hold contradict each other.
    None,
}

fn action(word: Word) -> Action {
    let errno = word.errno.unwrap_or(1);
    match word.action {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_TRAP" => Action::Trap(0),
        "SCMP_ACT_ERRNO" => Action::Errno(errno),
        "SCMP_ACT_TRACE" => Action::Trace(errno),
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_ALLOW" => Action::Allow,
        other => panic!("{other}"),
    }
}

impl Profile {
    /// The ABIs that the text names for this machine.
    pub fn listed(&self, native: Abi) -> Vec<Abi> {
        match (&self.architectures, &self.arch_map) {
            (Some(list), _) => list.clone(),
            (None, Some((main, others))) if *main == native => {
                [&[*main], others.as_slice()].concat()
            }
            _ => Vec::new(),
        }
    }

    /// The ABI that a call is of; none when the filter has no table for it.
    fn abi_of(&self, target: &Target, data: &SeccompData) -> Option<Abi> {
        let mut abis = self.listed(target.native);
        abis.push(target.native);
        let has = |abi: Abi| abis.contains(&abi);
        if data.arch == Abi::X86_64.audit() {
            let marked = data.nr.0 >= 0x4000_0000;
            let skipped = data.nr.0 == u32::MAX && !has(Abi::X32);
            let abi = if marked && !skipped { Abi::X32 } else { Abi::X86_64 };
            return has(abi).then_some(abi);
        }
        abis.into_iter().find(|abi| abi.audit() == data.arch)
    }

    pub fn opinion(&self, target: &Target, data: &SeccompData) -> Opinion {
        if self.is_newer(target, data) {
            // ENOSYS as the ELF machine numbers it; two of those that profiles name differ.
            let enosys = match data.arch.0 & 0xffff {
                8 => 89,
                15 => 251,
                _ => 38,
            };
            return Opinion::Answer(Action::Errno(enosys), false);
        }
        let Some(abi) = self.abi_of(target, data) else {
            return Opinion::Answer(Action::KillThread, false);
        };
        let rules = self.rules(target, abi, data.nr);
        // The first rule without conditions stands against everything before and after it.
        if let Some((action, _)) = rules.iter().find(|(_, conditions)| conditions.is_empty()) {
            return Opinion::Answer(*action, false);
        }
        let mut holding = rules
            .iter()
            .filter(|(_, conditions)| conditions.iter().all(|arg| arg.holds(abi, &data.args)))
            .map(|(action, _)| *action);
        let Some(first) = holding.next() else {
            return Opinion::Answer(action(self.default), false);
        };
        if holding.all(|other| other == first) {
            Opinion::Answer(first, true)
        } else {
            Opinion::None
        }
    }

    /// The rules of a number in the order of the text: what they answer, and their conditions.
    fn rules(&self, target: &Target, abi: Abi, nr: SyscallNr) -> Vec<(Action, Vec<Arg>)> {
        let mut rules = Vec::new();
        for entry in &self.entries {
            if !entry.applies(target) || action(entry.action) == action(self.default) {
                continue;
            }
            for &name in &entry.names {
                for conditions in entry.conjunctions() {
                    if let Some(way) = abi.multiplexer(name).filter(|way| way.nr == nr) {
                        // The selector stands where the call's first argument would.
                        let selector = Arg {
                            index: 0,
                            value: u64::from(way.call),
                            value_two: 0,
                            op: "SCMP_CMP_EQ",
                        };
                        let mut conditions = conditions.clone();
                        conditions.retain(|arg| arg.index != 0);
                        conditions.push(selector);
                        rules.push((action(entry.action), conditions));
                    }
                    if abi.number(name) == Some(nr) {
                        rules.push((action(entry.action), conditions));
                    }
                }
            }
        }
        for (_, conditions) in &mut rules {
            conditions.retain(|arg| !arg.asks_nothing(abi));
        }
        rules
    }

    /// Whether the number lies above every one that the text names on its ABI, and the author's
    /// default refuses.
    fn is_newer(&self, target: &Target, data: &SeccompData) -> bool {
        if matches!(action(self.default), Action::Allow | Action::Log | Action::Trace(_)) {
            return false;
        }
        let mut abis = self.listed(target.native);
        match target.newer {
            NewerCalls::Default => return false,
            NewerCalls::LikeRunc => {}
            NewerCalls::Enosys => abis.push(target.native),
        }
        // Which of x86_64's two ABIs a number is of, bit 30 alone says.
        let of_mode = |abi: &Abi| match abi {
            Abi::X86_64 => data.nr.0 & 0x4000_0000 == 0,
            Abi::X32 => data.nr.0 & 0x4000_0000 != 0,
            _ => true,
        };
        let Some(abi) = abis.into_iter().find(|abi| abi.audit() == data.arch && of_mode(abi))
        else {
            return false;
        };
        let mut last = 0;
        for entry in self.entries.iter().filter(|entry| entry.applies(target)) {
            for &name in &entry.names {
                let skipped =
                    target.newer == NewerCalls::LikeRunc && abi.multiplexer(name).is_some();
                if let Some(nr) = abi.number(name).filter(|_| !skipped) {
                    last = last.max(nr.0);
                }
            }
        }
        let unknown_to_s390 = matches!(abi, Abi::S390 | Abi::S390x) && data.nr.0 == 0;
        last != 0 && (data.nr.0 > last || unknown_to_s390)
    }

    /// Whether a runtime might refuse the profile, since two rules of one number with conditions
    /// give different answers.
    pub fn may_conflict(&self, target: &Target) -> bool {
        let mut abis = self.listed(target.native);
        abis.push(target.native);
        abis.into_iter().any(|abi| {
            abi.syscalls().any(|(nr, _)| {
                let rules = self.rules(target, abi, nr);
                let conditional = rules.iter().take_while(|(_, c)| !c.is_empty());
                conditional.clone().any(|(action, _)| conditional.clone().any(|(b, _)| action != b))
            })
        })
    }
}

impl Entry {
    fn applies(&self, target: &Target) -> bool {
        let Entry { includes, excludes, .. } = self;
        let held = |cap: &Capability| target.capabilities.contains(*cap);
        let machine = |name: &&str| *name == target.native.go_name();
        let reached = |(major, minor)| target.kernel >= KernelVersion::new(major, minor);
        let included = includes.caps.iter().all(held)
            && (includes.arches.is_empty() || includes.arches.iter().any(machine))
            && includes.min_kernel.is_none_or(reached);
        let excluded = excludes.caps.iter().any(held)
            || excludes.arches.iter().any(machine)
            || excludes.min_kernel.is_some_and(reached);
        included && !excluded
    }

    /// All conditions together, or each alone where an argument occurs twice.
    fn conjunctions(&self) -> Vec<Vec<Arg>> {
        let twice = (0..6).any(|index| self.args.iter().filter(|a| a.index == index).count() > 1);
        if twice {
            self.args.iter().map(|&arg| vec![arg]).collect()
        } else {
            vec![self.args.clone()]
        }
    }
}

impl Arg {
    /// The constants as far as the ABI compares them.
    fn on(&self, abi: Abi) -> (u64, u64, u64) {
        let counted = if abi.arg_bits() == 32 { 0xffff_ffff } else { u64::MAX };
        (counted, self.value & counted, self.value_two & counted)
    }

    fn holds(&self, abi: Abi, args: &[u64; 6]) -> bool {
        let (counted, value, value_two) = self.on(abi);
        let argument = args[self.index] & counted;
        match self.op {
            "SCMP_CMP_NE" => argument != value,
            "SCMP_CMP_LT" => argument < value,
            "SCMP_CMP_LE" => argument <= value,
            "SCMP_CMP_EQ" => argument == value,
            "SCMP_CMP_GE" => argument >= value,
            "SCMP_CMP_GT" => argument > value,
            "SCMP_CMP_MASKED_EQ" => argument & value == value_two,
            other => panic!("{other}"),
        }
    }

    /// A mask of nothing is no condition.
    fn asks_nothing(&self, abi: Abi) -> bool {
        self.op == "SCMP_CMP_MASKED_EQ" && self.on(abi).1 == 0
    }
}
