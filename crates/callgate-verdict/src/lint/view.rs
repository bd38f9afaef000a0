//! A filter as the lints look at it: per ABI, what becomes of each call.

use alloc::{collections::BTreeMap, vec::Vec};

use callgate_bpf::{Action, RawAction, SeccompData, ShiftRule, SyscallNr};
use callgate_policy::Test;
use callgate_syscalls::{Abi, Arg, syscall};

use super::{Example, Finding, Subject};
use crate::{
    Diagram, Manager, Predicate, TooComplex,
    differences::Segment,
    digits::Digit,
    manager::{NodeId, View},
};

pub(super) const ARGUMENTS: [&str; 6] =
    ["args[0]", "args[1]", "args[2]", "args[3]", "args[4]", "args[5]"];

/// What is at hand for every lint.
pub(super) struct Linter<'a> {
    pub(super) manager: &'a mut Manager,
    pub(super) subject: &'a Subject<'a>,
    pub(super) shifts: ShiftRule,
    /// Words as the filter has them.
    pub(super) raw: Diagram,
    /// What the kernel does.
    pub(super) meaning: Diagram,
    /// Whether the architecture plays a part.
    pub(super) by_architecture: bool,
    /// The ABIs that the machine may run, those that the filter speaks of first.
    pub(super) tables: Vec<Table>,
    permissions: BTreeMap<NodeId, Permission>,
    findings: Vec<Finding>,
}

/// What a filter says of one ABI.
pub(super) struct Table {
    pub(super) abi: Abi,
    /// Whether it treats the ABI otherwise than one that nobody knows.
    pub(super) spoken: bool,
    /// What becomes of a number that no call has.
    pub(super) unnamed: Action,
    numbers: Vec<Segment>,
    /// What the named calls can come to together.
    pub(super) all: Permission,
}

/// Which kinds of answers there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Permission {
    /// The call runs.
    pub(super) runs: bool,
    /// Somebody else decides.
    pub(super) asks: bool,
    /// It does not run.
    pub(super) refuses: bool,
}

/// One call of one ABI.
#[derive(Clone, Copy)]
pub(super) struct Call {
    pub(super) abi: Abi,
    pub(super) nr: SyscallNr,
    pub(super) name: &'static str,
    /// What the kernel does, by its arguments.
    pub(super) verdict: Diagram,
    pub(super) permission: Permission,
}

impl Permission {
    /// It runs whatever the arguments are.
    pub(super) fn always_runs(self) -> bool {
        self.runs && !self.refuses && !self.asks
    }

    /// It is refused whatever the arguments are.
    pub(super) fn always_refused(self) -> bool {
        self.refuses && !self.runs && !self.asks
    }

    fn or(self, other: Permission) -> Permission {
        Permission {
            runs: self.runs || other.runs,
            asks: self.asks || other.asks,
            refuses: self.refuses || other.refuses,
        }
    }
}

impl Table {
    /// Whether what it does not name is allowed: a list of refusals.
    pub(super) fn is_open(&self) -> bool {
        self.unnamed.runs_call()
    }

    /// Whether it makes a difference between calls.
    pub(super) fn is_filtered(&self) -> bool {
        self.all.runs && (self.all.refuses || self.all.asks)
    }
}

impl Call {
    /// The arguments as the ABI passes them; none where they are not known.
    pub(super) fn args(self) -> &'static [Arg] {
        syscall(self.name).map_or(&[], |call| call.args_on(self.abi))
    }

    /// The call with these arguments.
    pub(super) fn with(self, args: [u64; 6]) -> SeccompData {
        SeccompData { args, ..SeccompData::new(self.abi.audit(), self.nr) }
    }
}

impl<'a> Linter<'a> {
    pub(super) fn new(
        manager: &'a mut Manager,
        subject: &'a Subject<'a>,
    ) -> Result<Linter<'a>, TooComplex> {
        let shifts = ShiftRule::of_kernel(subject.native.audit());
        let raw = match subject.written {
            Some(written) => manager.ruleset(written.ruleset)?,
            None => {
                let mut stack = manager.constant(Action::Allow.raw());
                for program in subject.programs.iter().rev() {
                    let newer = manager.program(program, shifts)?;
                    stack = manager.stack(newer, stack)?;
                }
                stack
            }
        };
        let meaning = manager.act(raw)?;
        let mut linter = Linter {
            manager,
            subject,
            shifts,
            raw,
            meaning,
            by_architecture: true,
            tables: Vec::new(),
            permissions: BTreeMap::new(),
            findings: Vec::new(),
        };
        linter.read_tables()?;
        Ok(linter)
    }

    fn read_tables(&mut self) -> Result<(), TooComplex> {
        /// No architecture has it: EM_NONE, 32 bits, big-endian.
        const NOBODY: u64 = 0;
        let root = self.meaning.0;
        self.by_architecture = self.manager.segments("arch", [root, root], true)?.len() > 1;
        let nobody = self.manager.cofactor(self.meaning, "arch", NOBODY)?;
        let mut read = Vec::new();
        for &abi in Abi::ALL.iter().filter(|abi| abi.has_filters()) {
            let node = self.manager.cofactor(self.meaning, "arch", u64::from(abi.audit().0))?;
            let spoken = node != nobody;
            read.push((abi, node, spoken));
        }
        let native = self.subject.native;
        let spoken = |abi: Abi| read.iter().any(|row| row.0 == abi && row.2);
        let related = |abi: Abi| abi == native || native.companions().contains(&abi);
        let of_machine = !self.by_architecture || Abi::ALL.iter().any(|&a| spoken(a) && related(a));
        let counts = |abi: Abi| {
            spoken(abi)
                || of_machine && related(abi)
                || Abi::ALL.iter().any(|&other| spoken(other) && other.companions().contains(&abi))
        };
        let mut tables = Vec::new();
        for &(abi, node, spoken) in read.iter().filter(|row| counts(row.0)) {
            tables.push(self.table(abi, node, nobody, spoken)?);
        }
        // Stable: the order of the list of ABIs within each part.
        tables.sort_by_key(|table| (!table.spoken, table.abi != native));
        self.tables = tables;
        Ok(())
    }

    fn table(
        &mut self,
        abi: Abi,
        node: Diagram,
        nobody: Diagram,
        spoken: bool,
    ) -> Result<Table, TooComplex> {
        let numbers = self.manager.segments("nr", [node.0, node.0], true)?;
        for segment in &numbers {
            let [id, _] = segment.nodes;
            if !self.permissions.contains_key(&id) {
                let permission = permission_of(&self.manager.answers(Diagram(id)));
                self.permissions.insert(id, permission);
            }
        }
        let at = |nr: u32| {
            let at = numbers.partition_point(|segment| segment.last < nr);
            numbers[at].nodes[0]
        };
        // Far above every table, and below what another ABI of the architecture has.
        let far = abi.syscalls().next_back().map_or(0, |(nr, _)| nr.0) | 0x00ff_ffff;
        let unnamed = self.manager.answers(Diagram(at(far)));
        let unnamed = unnamed.last().map_or(Action::Allow, |word| word.action());
        let all = abi.syscalls().fold(Permission::default(), |all, (nr, _)| {
            all.or(self.permissions.get(&at(nr.0)).copied().unwrap_or_default())
        });
        // x32 shares x86_64's architecture; it is spoken of where bit 30 is.
        let spoken = match abi {
            Abi::X32 => {
                spoken
                    && abi.syscalls().any(|(nr, _)| {
                        let there = self.manager.answers(Diagram(at(nr.0)));
                        let nobody = self.manager.answers(nobody);
                        there != nobody
                    })
            }
            _ => spoken,
        };
        Ok(Table { abi, spoken, unnamed, numbers, all })
    }

    /// The indices of the tables that the per-call lints look at: those that tell calls apart.
    pub(super) fn filtered(&self) -> Vec<usize> {
        let filtered = |index: &usize| self.tables[*index].is_filtered();
        (0..self.tables.len()).filter(filtered).collect()
    }

    /// The call of this name on the ABI of a table.
    pub(super) fn call(&self, table: usize, name: &str) -> Option<Call> {
        let abi = self.tables[table].abi;
        let nr = abi.number(name)?;
        Some(self.numbered(table, nr, abi.name_of(nr)?))
    }

    /// Every named call of a table, a number once.
    pub(super) fn calls(&self, table: usize) -> Vec<Call> {
        let mut calls: Vec<Call> = Vec::new();
        for (nr, name) in self.tables[table].abi.syscalls() {
            if calls.last().is_none_or(|last| last.nr != nr) {
                calls.push(self.numbered(table, nr, name));
            }
        }
        calls
    }

    pub(super) fn numbered(&self, table: usize, nr: SyscallNr, name: &'static str) -> Call {
        let table = &self.tables[table];
        let at = table.numbers.partition_point(|segment| segment.last < nr.0);
        let node = table.numbers[at].nodes[0];
        Call {
            abi: table.abi,
            nr,
            name,
            verdict: Diagram(node),
            permission: self.permissions.get(&node).copied().unwrap_or_default(),
        }
    }

    /// The tables on which something holds of the call of this name, with the call there.
    pub(super) fn where_call(
        &self,
        name: &str,
        holds: impl Fn(&Linter<'_>, usize, Call) -> bool,
    ) -> Vec<Call> {
        let tables = self.filtered().into_iter();
        let calls = tables.filter_map(|table| Some((table, self.call(table, name)?)));
        calls.filter(|(table, call)| holds(self, *table, *call)).map(|(_, call)| call).collect()
    }

    /// Whether somebody refused the call on purpose, and did not just leave it out: it is refused
    /// although unnamed calls are allowed, a rule of the text names it, or it depends on the
    /// arguments.
    pub(super) fn is_deliberate(&self, table: usize, call: Call) -> bool {
        let named = || {
            self.subject.written.is_some_and(|written| {
                let rules = written.ruleset.abis.iter().find(|rules| rules.abi == call.abi);
                rules.is_some_and(|rules| rules.rules.contains_key(&call.nr))
            })
        };
        call.permission.refuses && (call.permission.runs || self.tables[table].is_open() || named())
    }

    /// Whether a refusal reaches a handler of the program's own, which may do the call otherwise.
    pub(super) fn may_be_answered(&self, call: Call) -> bool {
        matches!(self.decide(&call.with([0; 6])), Action::Trap(_))
    }

    pub(super) fn decide(&self, call: &SeccompData) -> Action {
        self.manager.decide(self.meaning, call).action()
    }

    pub(super) fn example(&self, call: SeccompData) -> Example {
        Example { call, action: self.decide(&call), against: None }
    }

    /// A call, and another spelling of it that is treated otherwise.
    pub(super) fn contrast(&self, call: SeccompData, against: SeccompData) -> Example {
        Example { against: Some((against, self.decide(&against))), ..self.example(call) }
    }

    /// The sixty-four bits of an argument that a verdict looks at: the upper and the lower half.
    pub(super) fn looks_at(&self, verdict: Diagram, arg: usize) -> Halves {
        let mut halves = Halves::default();
        self.each_digit(verdict, |field, below| {
            if field == ARGUMENTS[arg] {
                halves.upper |= below >= 32;
                halves.lower |= below < 32;
            }
        });
        halves
    }

    /// Every argument that a verdict looks at.
    pub(super) fn arguments(&self, verdict: Diagram) -> Vec<usize> {
        let mut found = Vec::new();
        self.each_digit(verdict, |field, _| {
            let arg = ARGUMENTS.iter().position(|argument| *argument == field);
            found.extend(arg.filter(|arg| !found.contains(arg)));
        });
        found.sort_unstable();
        found
    }

    fn each_digit(&self, verdict: Diagram, mut visit: impl FnMut(&'static str, u32)) {
        let fields = self.manager.digits.layout().fields;
        for digit in self.digits_in(verdict.0) {
            let (field, below) = self.manager.digits.place(digit);
            visit(fields[field].name, below);
        }
    }

    fn digits_in(&self, root: NodeId) -> Vec<Digit> {
        let (mut seen, mut digits) = (BTreeMap::new(), Vec::new());
        let mut open = alloc::vec![root];
        while let Some(node) = open.pop() {
            if seen.insert(node, ()).is_some() {
                continue;
            }
            if let View::Runs(digit, runs) = self.manager.view(node) {
                digits.push(digit);
                open.extend(runs.iter().map(|run| run.child));
            }
        }
        digits.sort_unstable();
        digits.dedup();
        digits
    }

    /// The verdict with each byte of an argument's upper half taken to be this one.
    pub(super) fn with_upper(
        &mut self,
        verdict: Diagram,
        arg: usize,
        byte: u8,
    ) -> Result<Diagram, TooComplex> {
        let mut done = BTreeMap::new();
        self.fix_upper(verdict.0, arg, byte, &mut done).map(Diagram)
    }

    fn fix_upper(
        &mut self,
        node: NodeId,
        arg: usize,
        byte: u8,
        done: &mut BTreeMap<NodeId, NodeId>,
    ) -> Result<NodeId, TooComplex> {
        if let Some(&known) = done.get(&node) {
            return Ok(known);
        }
        let View::Runs(digit, runs) = self.manager.view(node) else {
            return Ok(node);
        };
        let (field, below) = self.manager.digits.place(digit);
        let name = self.manager.digits.layout().fields[field].name;
        let result = if name == ARGUMENTS[arg] && below >= 32 {
            let child = runs[runs.partition_point(|run| run.last < byte)].child;
            self.fix_upper(child, arg, byte, done)?
        } else {
            let runs = runs.to_vec();
            let mut children = Vec::with_capacity(runs.len());
            for run in runs {
                children.push((run.last, self.fix_upper(run.child, arg, byte, done)?));
            }
            let unfinished = self.manager.begin();
            for (last, child) in children {
                self.manager.push(&unfinished, last, child);
            }
            self.manager.finish(digit, unfinished)?
        };
        done.insert(node, result);
        Ok(result)
    }

    /// Where the upper half of an argument is this, in all four bytes.
    pub(super) fn upper_is(&mut self, arg: usize, byte: u8) -> Result<Predicate, TooComplex> {
        let test = Test::MaskedEq {
            mask: 0xffff_ffff_0000_0000,
            value: u64::from(u32::from_be_bytes([byte; 4])) << 32,
        };
        self.argument_is(arg, test)
    }

    /// Where all of an argument passes a test.
    pub(super) fn argument_is(&mut self, arg: usize, test: Test) -> Result<Predicate, TooComplex> {
        let fields = self.manager.digits.layout().fields;
        let field = fields.iter().position(|field| field.name == ARGUMENTS[arg]);
        self.manager.field_test(field.expect("system calls have six arguments"), 64, test)
    }

    /// A call of this number of which the predicate holds.
    pub(super) fn witness(&self, call: Call, predicate: Predicate) -> Option<SeccompData> {
        Some(call.with(self.manager.witness(predicate)?.args))
    }

    pub(super) fn push(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    pub(super) fn finish(mut self) -> Vec<Finding> {
        let mut findings = core::mem::take(&mut self.findings);
        for finding in &mut findings {
            self.place_in_program(finding);
        }
        findings.sort_by_key(|finding| {
            let place = finding.diagnostic.primary().map(|label| label.span);
            (core::cmp::Reverse(finding.diagnostic.severity), place)
        });
        findings
    }
}

/// Which halves of an argument matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Halves {
    pub(super) upper: bool,
    pub(super) lower: bool,
}

fn permission_of(words: &[RawAction]) -> Permission {
    words.iter().fold(Permission::default(), |all, word| {
        all.or(match word.action() {
            Action::Allow | Action::Log => Permission { runs: true, ..Permission::default() },
            Action::Trace(_) | Action::UserNotif => {
                Permission { asks: true, ..Permission::default() }
            }
            _ => Permission { refuses: true, ..Permission::default() },
        })
    })
}
