//! What of a policy libseccomp has no words for, and the rules that it is given.

use alloc::{format, string::String, vec::Vec};

use callgate_bpf::Action;
use callgate_diagnostic::{Diagnostic, Span, Spanned};
use callgate_syscalls::{Abi, Syscall, syscall};

use crate::{Architectures, Comparison, Entry, Policy, Test, Width, quote::quoted};

/// The largest error number that libseccomp takes (`seccomp_rule_add` fails from 4095 on).
const LARGEST_ERRNO: u16 = 4094;

/// Calls with one action and one conjunction.
pub(super) struct Rules {
    pub action: Action,
    pub calls: Vec<&'static Syscall>,
    /// All must hold, no argument twice; of whole registers.
    pub tests: Vec<(u8, Test)>,
}

/// The rules in the order of the policy.
///
/// # Errors
///
/// One diagnostic for each thing that can't be written.
pub(super) fn rules(policy: &Policy) -> Result<Vec<Rules>, Vec<Diagnostic>> {
    let mut check = Check { policy, unfit: Vec::new() };
    check.action(policy.default);
    check.action(Spanned::new(policy.other, policy.default.span));
    check.architectures();
    if let Some(listener) = &policy.listener {
        check.cannot("a socket for the supervisor is the runtime's business", listener.path.span);
    }
    let mut rules = Vec::new();
    for (index, entry) in policy.entries.iter().enumerate() {
        check.entry(index, entry, &mut rules);
    }
    if check.unfit.is_empty() { Ok(rules) } else { Err(check.unfit) }
}

/// libseccomp's word for an action.
pub(super) fn action_word(action: Action) -> Option<String> {
    Some(match action {
        Action::Allow => String::from("SCMP_ACT_ALLOW"),
        Action::Log => String::from("SCMP_ACT_LOG"),
        Action::KillThread => String::from("SCMP_ACT_KILL_THREAD"),
        Action::KillProcess => String::from("SCMP_ACT_KILL_PROCESS"),
        Action::UserNotif => String::from("SCMP_ACT_NOTIFY"),
        Action::Trap(0) => String::from("SCMP_ACT_TRAP"),
        Action::Errno(number) if number <= LARGEST_ERRNO => format!("SCMP_ACT_ERRNO({number})"),
        Action::Trace(number) => format!("SCMP_ACT_TRACE({number})"),
        _ => return None,
    })
}

/// The ABIs that a policy names besides the machine's own.
pub(super) fn listed(policy: &Policy) -> Vec<Abi> {
    match &policy.architectures {
        Architectures::List(list) => list.iter().map(|abi| abi.value).collect(),
        _ => Vec::new(),
    }
}

struct Check<'p> {
    policy: &'p Policy,
    unfit: Vec<Diagnostic>,
}

impl Check<'_> {
    fn action(&mut self, action: Spanned<Action>) {
        if action_word(action.value).is_none() {
            let why = match action.value {
                Action::Errno(number) => format!("libseccomp refuses the error number {number}"),
                Action::Trap(data) => format!("libseccomp has no data for a trap, here {data}"),
                other => format!("libseccomp has no action {other}"),
            };
            self.cannot(why, action.span);
        }
    }

    fn architectures(&mut self) {
        match &self.policy.architectures {
            Architectures::Native => {}
            Architectures::List(list) => {
                for abi in list.iter().filter(|abi| abi.value.oci_name().is_none()) {
                    self.cannot(format!("libseccomp has no architecture {}", abi.value), abi.span);
                }
            }
            Architectures::Map(map) => {
                let span = map.first().map_or(self.policy.default.span, |(main, _)| main.span);
                self.with_help(
                    "one program is for one machine",
                    span,
                    "resolve the policy for the machine first",
                );
            }
        }
    }

    fn entry(&mut self, index: usize, entry: &Entry, rules: &mut Vec<Rules>) {
        self.action(entry.action);
        if !entry.includes.is_empty() || !entry.excludes.is_empty() {
            self.with_help(
                format!("entry {index} has conditions on the machine"),
                entry.span,
                "resolve the policy for one machine and its capabilities first",
            );
        }
        let abis = listed(self.policy);
        if abis
            .iter()
            .any(|abi| !entry.abis.is_empty() && !entry.abis.contains(abi) && has(*abi, entry))
            || (abis.is_empty() && !entry.abis.is_empty())
        {
            let names: Vec<&str> = entry.abis.iter().map(|abi| abi.name()).collect();
            self.cannot(
                format!(
                    "entry {index} is for {} alone, and libseccomp's rules are for all architectures",
                    names.join(", ")
                ),
                entry.span,
            );
        }
        let mut calls: Vec<&'static Syscall> = Vec::new();
        for name in &entry.names {
            match syscall(&name.value) {
                Some(call) => calls.push(call),
                None => {
                    self.cannot(format!("no syscall is called {}", quoted(&name.value)), name.span);
                }
            }
        }
        // libseccomp refuses a rule that says the default again, so runtimes leave it out.
        if entry.action.value == self.policy.default.value {
            return;
        }
        let wide = abis.is_empty() || abis.iter().any(|abi| abi.arg_bits() == 64);
        let mut tests: Vec<(Spanned<Comparison>, Test)> = Vec::new();
        for comparison in &entry.comparisons {
            match whole_register(comparison.value, wide) {
                Some(test) => tests.push((*comparison, test)),
                None => self.with_help(
                    format!("entry {index} compares the low 32 bits alone ({})", comparison.value),
                    comparison.span,
                    "libseccomp compares whole registers; only equality can be cut down by a mask",
                ),
            }
        }
        let twice = (1..tests.len())
            .find(|&at| tests[..at].iter().any(|(c, _)| c.value.arg == tests[at].0.value.arg));
        let conjunctions: Vec<Vec<(u8, Test)>> = match twice {
            None => Vec::from([tests.iter().map(tested).collect()]),
            // Each comparison is a rule of its own then, as in runc.
            Some(_) if self.policy.dialect.is_some() => {
                tests.iter().map(|test| Vec::from([tested(test)])).collect()
            }
            Some(at) => {
                self.cannot(format!("entry {index} compares an argument twice"), tests[at].0.span);
                return;
            }
        };
        for tests in conjunctions {
            rules.push(Rules { action: entry.action.value, calls: calls.clone(), tests });
        }
    }

    fn cannot(&mut self, why: impl Into<String>, span: Span) {
        self.unfit
            .push(Diagnostic::error("cannot-write", why).at(span, "can't be said to libseccomp"));
    }

    fn with_help(&mut self, why: impl Into<String>, span: Span, help: &str) {
        self.cannot(why, span);
        if let Some(last) = self.unfit.last_mut() {
            last.help = Some(String::from(help));
        }
    }
}

fn has(abi: Abi, entry: &Entry) -> bool {
    entry.names.iter().any(|name| abi.number(&name.value).is_some())
}

fn tested((comparison, test): &(Spanned<Comparison>, Test)) -> (u8, Test) {
    (comparison.value.arg.get(), *test)
}

/// A comparison as libseccomp has it, of the whole register, if it can be said so.
fn whole_register(comparison: Comparison, wide: bool) -> Option<Test> {
    const LOW: u64 = 0xffff_ffff;
    let test = match (comparison.width, comparison.test) {
        (Width::Full, test) => test,
        (Width::Low32, test) if !wide => test,
        (Width::Low32, Test::Eq(value)) if value <= LOW => Test::MaskedEq { mask: LOW, value },
        (Width::Low32, Test::MaskedEq { mask, value }) if mask <= LOW => {
            Test::MaskedEq { mask, value }
        }
        _ => return None,
    };
    Some(test)
}
