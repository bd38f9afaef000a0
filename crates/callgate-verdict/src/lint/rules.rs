//! What a text says that it does not mean: unknown names, an argument twice.

use alloc::{format, vec::Vec};

use callgate_diagnostic::{Label, Severity};
use callgate_policy::{ArgIndex, Entry};

use super::{Finding, Written, abis::never, view::Linter, words::name_list};
use crate::{Predicate, TooComplex};

/// Unknown names that are told one by one.
const NAME_LIMIT: usize = 100;

impl Linter<'_> {
    pub(super) fn rules(&mut self) -> Result<(), TooComplex> {
        let Some(written) = self.subject.written else { return Ok(()) };
        self.unknown_names(written);
        if written.policy.dialect.is_some() {
            for entry in &written.policy.entries {
                let counts = entry.applies_to(written.target)
                    && entry.action.value != written.policy.default.value;
                if counts && repeated(entry).is_some() {
                    self.repeated_argument(entry)?;
                }
            }
        }
        Ok(())
    }

    fn unknown_names(&mut self, written: Written<'_>) {
        let mut unknown = written.policy.unknown_names(written.target);
        let more = unknown.len().saturating_sub(NAME_LIMIT);
        unknown.truncate(NAME_LIMIT);
        for diagnostic in unknown {
            let consequence = match diagnostic.severity {
                Severity::Error => "an attacker makes the call that was meant: nothing refuses it",
                _ => "a user's program is refused the call that was meant",
            };
            let mut finding = Finding::new("unknown-syscall", "", consequence);
            finding.diagnostic = diagnostic;
            finding.diagnostic.id = "unknown-syscall";
            self.push(finding);
        }
        if more > 0 {
            let finding = Finding::new(
                "unknown-syscall",
                format!("{more} more names that no architecture has"),
                "nobody can tell what was meant",
            );
            self.push(finding.help("look at what this text was made from"));
        }
    }

    /// An argument twice in one entry: every condition becomes a rule of its own.
    fn repeated_argument(&mut self, entry: &Entry) -> Result<(), TooComplex> {
        let call = self.filtered().into_iter().find_map(|table| {
            let mut names = entry.names.iter();
            names.find_map(|name| self.call(table, &name.value))
        });
        let Some(call) = call else { return Ok(()) };
        let bits = call.abi.arg_bits();
        let (mut meant, mut any) = (self.manager.always(true), never(self.manager));
        for arg in ArgIndex::ALL {
            let (mut all_of_it, mut any_of_it) = (self.manager.always(true), never(self.manager));
            let of_arg = entry.comparisons.iter().filter(|c| c.value.arg == arg);
            let tests: Vec<_> = of_arg.map(|c| c.value.on(bits)).collect();
            for &(bits, test) in &tests {
                let holds = self.argument_test(usize::from(arg), bits, test)?;
                all_of_it = self.manager.and(all_of_it, holds)?;
                any_of_it = self.manager.or(any_of_it, holds)?;
            }
            // Values that exclude each other can only be meant as alternatives.
            let one = if all_of_it == never(self.manager) { any_of_it } else { all_of_it };
            if !tests.is_empty() {
                meant = self.manager.and(meant, one)?;
                any = self.manager.or(any, any_of_it)?;
            }
        }
        if any == meant {
            return Ok(());
        }
        let beyond = self.manager.not(meant)?;
        let beyond = self.manager.and(any, beyond)?;
        let constant = self.manager.constant(entry.action.value.raw());
        let otherwise = self.manager.differ(call.verdict, constant)?;
        let so = self.manager.not(otherwise)?;
        let shown = self.manager.and(beyond, so)?;
        let names: Vec<&str> = entry.names.iter().map(|name| &*name.value).collect();
        let consequence = if entry.action.value.runs_call() {
            "an attacker makes calls that fulfil one condition alone: runtimes take each as a rule of its own"
        } else {
            "a user is refused calls that fulfil one condition alone: runtimes take each as a rule of its own"
        };
        let Some(repeated) = repeated(entry) else { return Ok(()) };
        let twice = entry.comparisons.iter().filter(|c| c.value.arg == repeated);
        let mut finding = Finding::new(
            "repeated-argument",
            format!("argument {} stands twice, so any one of the conditions is enough: {}", repeated.get(), name_list(&names)),
            consequence,
        )
        .labels(twice.map(|c| Label { span: c.span, text: "".into() }))
        .help("say it with one condition on each argument (SCMP_CMP_MASKED_EQ), in several entries where need be");
        finding.example = self.witness(call, shown).map(|data| self.example(data));
        self.push(finding);
        Ok(())
    }

    fn argument_test(
        &mut self,
        arg: usize,
        bits: u32,
        test: callgate_policy::Test,
    ) -> Result<Predicate, TooComplex> {
        let fields = self.manager.digits.layout().fields;
        let field = fields.iter().position(|field| field.name == super::view::ARGUMENTS[arg]);
        self.manager.field_test(field.expect("system calls have six arguments"), bits, test)
    }
}

/// An argument that stands twice.
fn repeated(entry: &Entry) -> Option<ArgIndex> {
    let all = &entry.comparisons;
    let twice = |index: &usize| all[..*index].iter().any(|c| c.value.arg == all[*index].value.arg);
    (0..all.len()).find(twice).map(|index| all[index].value.arg)
}
