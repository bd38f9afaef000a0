//! Verdicts on arguments that are addresses.

use alloc::{format, string::String, vec::Vec};

use callgate_bpf::Action;
use callgate_diagnostic::Severity;
use callgate_policy::Test;

use super::{
    Finding,
    abis::never,
    view::{Call, Linter},
    words::name_list,
};
use crate::{Diagram, TooComplex};

/// Calls that change what lies at an address.
const REMAPPING: [&str; 2] = ["mprotect", "mremap"];

impl Linter<'_> {
    pub(super) fn pointers(&mut self) -> Result<(), TooComplex> {
        let mut compared: Vec<(Call, usize, &'static str)> = Vec::new();
        let mut notified: Vec<Call> = Vec::new();
        for table in self.filtered() {
            for call in self.calls(table) {
                let seen = |calls: &[Call]| calls.iter().any(|other| other.name == call.name);
                for arg in self.arguments(call.verdict) {
                    let Some(known) = call.args().get(arg).filter(|arg| arg.pointer) else {
                        continue;
                    };
                    let known_already =
                        compared.iter().any(|(other, at, _)| other.name == call.name && *at == arg);
                    if !known_already && self.is_more_than_null(call.verdict, arg)? {
                        compared.push((call, arg, known.name));
                    }
                }
                let asks = call.permission.asks
                    && self
                        .manager
                        .answers(call.verdict)
                        .iter()
                        .any(|word| word.action() == Action::UserNotif);
                if asks && !seen(&notified) && call.args().iter().any(|arg| arg.pointer) {
                    notified.push(call);
                }
            }
        }
        if !compared.is_empty() {
            self.compared(&compared)?;
        }
        if !notified.is_empty() {
            self.notified(&notified)?;
        }
        Ok(())
    }

    /// Whether the verdict tells addresses apart other than 0.
    fn is_more_than_null(&mut self, verdict: Diagram, arg: usize) -> Result<bool, TooComplex> {
        let field = super::view::ARGUMENTS[arg];
        let null = self.manager.cofactor(verdict, field, 0)?;
        let other = self.manager.cofactor(verdict, field, 1)?;
        // On 32-bit ABIs the low word alone may be looked at.
        for mask in [u64::MAX, u64::from(u32::MAX)] {
            let is_null = self.argument_is(arg, Test::MaskedEq { mask, value: 0 })?;
            if self.manager.choose(is_null, null, other)? == verdict {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn compared(&mut self, found: &[(Call, usize, &'static str)]) -> Result<(), TooComplex> {
        let mut parts: Vec<String> = Vec::new();
        for (call, ..) in found {
            let of_call = found.iter().filter(|(other, ..)| other.name == call.name);
            let args: Vec<&str> = of_call.map(|(_, _, arg)| *arg).collect();
            let part = format!("{} ({})", call.name, args.join(", "));
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (call, arg, _) = found[0];
        // Addresses can be pinned where what lies there is kept from changing.
        let pinned = self.subject.written.is_none() && self.keeps_memory(call);
        let message = format!("addresses are compared: {}", name_list(&parts));
        let finding = if pinned {
            Finding::new(
                "pointer-compared",
                message,
                "an attacker who can write to what lies at the permitted addresses chooses what the kernel finds there",
            )
            .severity(Severity::Note)
            .help("this holds as long as the memory is read-only and nothing that is permitted maps, moves or unprotects it")
        } else {
            Finding::new(
                "pointer-compared",
                message,
                "a user gains nothing: a filter sees an address, which the next run changes and an attacker chooses, and not what lies there",
            )
            .help("decide by another argument, or leave it to Landlock, an LSM or a supervisor that makes the call itself")
        };
        let example = self.permitted(call)?.map(|data| self.example(data));
        let labels = self.subject.written.map(|w| w.labels(call, Some(arg), "an address"));
        let mut finding = finding.labels(labels.unwrap_or_default());
        finding.example = example;
        self.push(finding);
        Ok(())
    }

    /// Whether the filter restricts all that changes what lies at an address.
    fn keeps_memory(&self, of: Call) -> bool {
        let table = self.tables.iter().position(|table| table.abi == of.abi);
        table.is_some_and(|table| {
            REMAPPING.iter().all(|name| {
                self.call(table, name).is_none_or(|call| !call.permission.always_runs())
            })
        })
    }

    fn notified(&mut self, found: &[Call]) -> Result<(), TooComplex> {
        let names = super::abis::names(found);
        let call = found[0];
        let notifies = self.manager.constant(Action::UserNotif.raw());
        let differs = self.manager.differ(call.verdict, notifies)?;
        let asked = self.manager.not(differs)?;
        let example = (asked != never(self.manager)).then(|| self.witness(call, asked)).flatten();
        let labels = self.subject.written.map(|written| written.labels(call, None, ""));
        let mut finding = Finding::new(
            "notify-pointer",
            format!("a supervisor decides calls with an address among their arguments: {}", name_list(&names)),
            "where the supervisor looks behind the address and then lets the call go on, an attacker's other thread changes what lies there in between",
        )
        .help("a supervisor must make such a call itself (and hand over what it got), or refuse it; SECCOMP_USER_NOTIF_FLAG_CONTINUE is for calls that may run whatever lies there")
        .labels(labels.unwrap_or_default());
        finding.example = example.map(|data| self.example(data));
        self.push(finding);
        Ok(())
    }
}
