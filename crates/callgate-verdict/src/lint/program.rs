//! Instructions: what machines do differently, what nothing reaches, what costs.

use alloc::{format, string::String, vec::Vec};

use callgate_bpf::{
    AluOp, Instruction, Op, Operand, PATH_BUDGET, Program, RawAction, ShiftRule, Stack, SyscallNr,
};
use callgate_diagnostic::Severity;
use callgate_syscalls::Abi;

use super::{
    Finding,
    view::{Call, Linter},
    words::name_list,
};
use crate::TooComplex;

impl Linter<'_> {
    pub(super) fn programs(&mut self) -> Result<(), TooComplex> {
        self.path_budget();
        // What a text compiles to is the compiler's own, and proved.
        if self.subject.written.is_none() {
            for (filter, program) in self.subject.programs.iter().enumerate() {
                self.shifts(filter, program)?;
                self.returns(filter, program)?;
            }
            self.cache();
        }
        Ok(())
    }

    fn shifts(&mut self, filter: usize, program: &Program) -> Result<(), TooComplex> {
        let by_x = |op: Op| matches!(op, Op::Alu(AluOp::Lsh | AluOp::Rsh, Operand::X));
        let Some(index) = position(program, by_x) else { return Ok(()) };
        let rules = [ShiftRule::Low5, ShiftRule::Low6, ShiftRule::Low8];
        let [usual, others @ ..] = rules;
        let usual = self.manager.program(program, usual)?;
        for (rule, machines) in others.into_iter().zip(["powerpc and s390", "32-bit arm"]) {
            let other = self.manager.program(program, rule)?;
            let differ = self.manager.differ(usual, other)?;
            let Some(data) = self.manager.witness(differ) else { continue };
            let finding = Finding::new(
                "unportable-shift",
                format!("a shift by X is by 32 or more, which {machines} do otherwise than x86"),
                "an attacker's call gets another verdict there: the filter holds on the machine that it was tested on",
            )
            .example(self.example(data))
            .help("cut X to 5 bits before the shift")
            .at_instruction(filter, index);
            self.push(finding);
            return Ok(());
        }
        Ok(())
    }

    /// Which returns are reached, and whether a division by 0 takes their place.
    ///
    /// Each return is made to answer its own number: then what the diagram answers is what is
    /// reached, and 0 is a division alone.
    fn returns(&mut self, filter: usize, program: &Program) -> Result<(), TooComplex> {
        let numbered =
            program.instructions().iter().enumerate().map(|(index, instruction)| match instruction
                .decode()
            {
                Some(Op::Return(_) | Op::ReturnA) => {
                    Instruction::from(Op::Return(u32::try_from(index + 1).unwrap_or(u32::MAX)))
                }
                _ => *instruction,
            });
        let Ok(numbered) = Program::new(numbered.collect(), *program.layout()) else {
            return Ok(());
        };
        let diagram = self.manager.program(&numbered, self.shifts)?;
        let reached = self.manager.answers(diagram);
        if reached.contains(&RawAction(0)) {
            let zero = self.manager.constant(RawAction(0));
            let elsewhere = self.manager.differ(diagram, zero)?;
            let there = self.manager.not(elsewhere)?;
            let by_x = |op: Op| matches!(op, Op::Alu(AluOp::Div, Operand::X));
            let mut finding = Finding::new(
                "division-by-zero",
                "a division by X meets an X of 0, which ends the filter with KILL_THREAD",
                "a user's program loses a thread at a call that the filter seems to answer otherwise",
            )
            .help("compare X with 0 before the division");
            if let Some(data) = self.manager.witness(there) {
                let path =
                    program.run_traced(&data.words(program.layout().byte_order), self.shifts).path;
                let index = path.last().copied().or(position(program, by_x)).unwrap_or(0);
                finding = finding.example(self.example(data)).at_instruction(filter, index);
            }
            self.push(finding);
        }
        let is_return = |index: &usize| {
            let op = program.instructions()[*index].decode();
            matches!(op, Some(Op::Return(_) | Op::ReturnA))
        };
        let is_reached = |index: usize| {
            u32::try_from(index + 1)
                .is_ok_and(|number| reached.binary_search(&RawAction(number)).is_ok())
        };
        let dead: Vec<usize> =
            (0..program.len()).filter(is_return).filter(|&index| !is_reached(index)).collect();
        if let Some(&first) = dead.first() {
            let places: Vec<String> = dead.iter().map(|index| format!("{index:04}")).collect();
            let places: Vec<&str> = places.iter().map(String::as_str).collect();
            let finding = Finding::new(
                "unreachable-return",
                format!("no call comes to the return at {}", name_list(&places)),
                "nobody loses, unless a rule was meant there: no call fulfils what leads to it",
            )
            .help("look at the conditions before it, or remove it")
            .at_instruction(filter, first);
            self.push(finding);
        }
        Ok(())
    }

    /// Always-allowed calls for which the kernel runs the program all the same.
    fn cache(&mut self) {
        let native = self.subject.native;
        let mut missed: Vec<Call> = Vec::new();
        for table in 0..self.tables.len() {
            let abi = self.tables[table].abi;
            let cached = abi == native || native.companions().contains(&abi);
            if !abi.has_kernel_cache() || !cached {
                continue;
            }
            for call in self.calls(table) {
                let always = call.permission.always_runs()
                    && self.manager.answers(call.verdict) == [callgate_bpf::Action::Allow.raw()];
                let passes = |program: &Program| program.always_allows(abi.audit(), call.nr);
                if always && is_in_table(abi, call.nr) && !self.subject.programs.iter().all(passes)
                {
                    missed.push(call);
                }
            }
        }
        let Some(&call) = missed.first() else { return };
        let names = super::abis::names(&missed);
        let mut finding = Finding::new(
            "cache-miss",
            format!("always allowed, and not in the kernel's cache: {}", name_list(&names)),
            "a user's program waits at each such call while the kernel runs the filter, which it skips for others (Linux 5.11)",
        )
        .example(self.example(call.with([0; 6])))
        .help("decide these by the architecture and the number alone, with comparisons with constants, and return 0x7fff0000");
        let passes = |program: &&Program| program.always_allows(call.abi.audit(), call.nr);
        let slow = self.subject.programs.iter().position(|program| !passes(&program));
        if let Some(filter) = slow {
            let words = call.with([0; 6]).words(self.subject.programs[filter].layout().byte_order);
            let path = self.subject.programs[filter].run_traced(&words, self.shifts).path;
            finding = finding.at_instruction(filter, path.last().copied().unwrap_or(0));
        }
        self.push(finding);
    }

    fn path_budget(&mut self) {
        let mut stack = Stack::default();
        for program in self.subject.programs.iter().rev() {
            stack.push(program);
        }
        if self.subject.programs.is_empty() {
            return;
        }
        let (plain, blinded) = (stack.path_cost(), stack.path_cost_blinded());
        let help = "use a compiler that shares what is alike, or fewer filters";
        let finding = if plain > PATH_BUDGET {
            Finding::new(
                "path-budget",
                format!("the kernel counts {plain} instructions and takes {PATH_BUDGET}: it refuses to load this (ENOMEM)"),
                "a user has no filter at all",
            )
            .severity(Severity::Error)
        } else if blinded > PATH_BUDGET {
            Finding::new(
                "path-budget",
                format!(
                    "where constants are blinded the kernel counts {blinded} instructions and takes {PATH_BUDGET}: it refuses to load this (ENOMEM)"
                ),
                "a user has no filter at all where net.core.bpf_jit_harden is set",
            )
        } else if plain > PATH_BUDGET / 2 {
            Finding::new(
                "path-budget",
                format!("the kernel counts {plain} instructions of {PATH_BUDGET} for all filters of a thread together"),
                "a user cannot start a program that loads a filter of its own as large",
            )
            .severity(Severity::Note)
        } else {
            return;
        };
        self.push(finding.help(help));
    }
}

fn position(program: &Program, is: impl Fn(Op) -> bool) -> Option<usize> {
    program.instructions().iter().position(|instruction| instruction.decode().is_some_and(&is))
}

/// Whether the kernel's bitmap has a place for the number: arm's private calls have none.
fn is_in_table(abi: Abi, nr: SyscallNr) -> bool {
    abi != Abi::Arm || nr.0 < 0x000f_0000
}
