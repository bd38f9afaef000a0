//! What of a policy Kafel has no words for, and which architectures a policy is for.

use alloc::{format, vec::Vec};

use callgate_bpf::Action;
use callgate_diagnostic::{Diagnostic, Span, Spanned};
use callgate_syscalls::Abi;

use super::{action_text, names};
use crate::{Architectures, Entry, Policy, quote::quoted};

/// Comparisons of one rule that still fit Kafel's limit of levels.
const MOST_COMPARISONS: usize = 90;

/// The architectures that a policy is for.
pub(super) struct Scope {
    /// Those that Kafel compiles for, in its order.
    pub targets: Vec<Abi>,
    /// Whether x86_64's filter is to know x32's calls.
    pub x32: bool,
    /// Whether the policy names them, or is for whatever it is compiled for.
    pub listed: bool,
}

impl Scope {
    pub fn of(policy: &Policy) -> Scope {
        let (abis, listed): (Vec<Abi>, bool) = match &policy.architectures {
            Architectures::List(list) => (list.iter().map(|abi| abi.value).collect(), true),
            Architectures::Native => (all_targets(), false),
            Architectures::Map(_) => {
                let x32 = policy.architectures == with_x32(policy);
                (all_targets().into_iter().chain(x32.then_some(Abi::X32)).collect(), false)
            }
        };
        let targets = all_targets().into_iter().filter(|abi| abis.contains(abi)).collect();
        Scope { targets, x32: abis.contains(&Abi::X32), listed }
    }

    /// The ABIs that an entry is for.
    pub fn abis_of(&self, entry: &Entry) -> impl Iterator<Item = Abi> {
        let x32 = self.x32.then_some(Abi::X32);
        let meant = |abi: &Abi| entry.abis.is_empty() || entry.abis.contains(abi);
        self.targets.iter().copied().chain(x32).filter(meant)
    }
}

fn all_targets() -> Vec<Abi> {
    names::ARCHITECTURES.iter().map(|(abi, _)| *abi).collect()
}

/// What the reader says of a policy for x86_64 that takes x32's calls for its own.
fn with_x32(policy: &Policy) -> Architectures {
    let place = match &policy.architectures {
        Architectures::Map(rows) => rows.first().map(|(main, _)| main.span),
        _ => None,
    };
    let here = |abi| Spanned::new(abi, place.unwrap_or_default());
    Architectures::Map(Vec::from([(here(Abi::X86_64), Vec::from([here(Abi::X32)]))]))
}

/// One diagnostic for each thing that can't be written.
pub(super) fn unfit(policy: &Policy, scope: &Scope) -> Vec<Diagnostic> {
    let mut unfit = Unfit(Vec::new());
    if policy.dialect.is_some() {
        unfit.with_help(
            "a container profile's rules combine in another order, and answer newer calls with ENOSYS",
            policy.default.span,
            "resolve the profile for one machine first",
        );
        return unfit.0;
    }
    unfit.action(policy.default);
    unfit.architectures(policy, scope);
    if let Some(flag) = policy.flags.first() {
        unfit.cannot("flags for loading are no part of a policy", flag.span);
    }
    if let Some(listener) = &policy.listener {
        unfit.cannot("a socket for a supervisor is no part of a policy", listener.path.span);
    }
    for (index, entry) in policy.entries.iter().enumerate() {
        unfit.action(entry.action);
        if !entry.includes.is_empty() || !entry.excludes.is_empty() {
            unfit.with_help(
                format!("entry {index} has conditions on the machine"),
                entry.span,
                "resolve the policy for one machine and its capabilities first",
            );
        }
        if entry.comparisons.len() > MOST_COMPARISONS {
            unfit.cannot(
                format!("entry {index} has more comparisons than Kafel takes in one rule"),
                entry.span,
            );
        }
        for name in &entry.names {
            if callgate_syscalls::syscall(&name.value).is_none() {
                unfit.cannot(format!("no syscall is called {}", quoted(&name.value)), name.span);
            }
        }
    }
    unfit.0
}

struct Unfit(Vec<Diagnostic>);

impl Unfit {
    fn action(&mut self, action: Spanned<Action>) {
        if action_text(action.value).is_none() {
            self.cannot(format!("Kafel has no action {}", action.value), action.span);
        }
    }

    fn architectures(&mut self, policy: &Policy, scope: &Scope) {
        let place = policy.default.span;
        match &policy.architectures {
            Architectures::Native => {}
            Architectures::Map(rows) if policy.architectures != with_x32(policy) => {
                let span = rows.first().map_or(place, |(main, _)| main.span);
                self.with_help(
                    "a policy of Kafel is not for machines of several kinds",
                    span,
                    "resolve it for one machine first",
                );
            }
            Architectures::Map(_) => {}
            Architectures::List(list) => {
                for abi in list {
                    if abi.value != Abi::X32 && names::guard(abi.value).is_none() {
                        self.cannot(format!("Kafel has no architecture {}", abi.value), abi.span);
                    }
                }
            }
        }
        if scope.x32 && !scope.targets.contains(&Abi::X86_64) {
            self.cannot("Kafel reaches x32's calls from x86_64 alone", place);
        }
        let x86_64 = scope.targets.contains(&Abi::X86_64);
        let default = policy.default.value;
        if policy.other != Action::KillThread {
            self.with_help(
                format!("another architecture gets {}, and Kafel ends the thread", policy.other),
                place,
                "what Kafel does is stricter where the call would run",
            );
        } else if x86_64 && !scope.x32 && default != policy.other {
            self.with_help(
                format!(
                    "x32's calls get {}, and Kafel gives them the default, {default}",
                    policy.other
                ),
                place,
                "with a table for x32 that has no rules, or with `kill_thread` as the default, it can be said",
            );
        }
    }

    fn cannot(&mut self, why: impl Into<alloc::string::String>, span: Span) {
        let diagnostic = Diagnostic::error("cannot-write", why);
        self.0.push(diagnostic.at(span, "can't be said in Kafel's language"));
    }

    fn with_help(&mut self, why: impl Into<alloc::string::String>, span: Span, help: &str) {
        self.cannot(why, span);
        if let Some(last) = self.0.pop() {
            self.0.push(last.help(help));
        }
    }
}
