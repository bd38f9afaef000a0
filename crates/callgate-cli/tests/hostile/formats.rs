//! Texts of every format: what is wrong has its place, and what is read means one thing.

use callgate_bpf::{ByteOrder, Layout};
use callgate_diagnostic::Diagnostic;
use callgate_policy::{
    NewerCalls, Policy, Target,
    formats::{self, Format, Reading},
};
use callgate_syscalls::{Abi, CapabilitySet, KernelVersion};
use callgate_verdict::{Diagram, Manager};

/// A hundred of two severities each, the note that says so, and the few notes that readers make.
const MOST_DIAGNOSTICS: usize = 220;

/// Reads a text in every format, and writes what it says in every format that can. Whether one
/// has read it.
pub fn check(text: &str) -> bool {
    let mut read_well = false;
    check_places(&formats::read(text, None).1, text);
    for (format, read) in readable() {
        let reading = read(text);
        check_places(&reading, text);
        if let Some(policy) = &reading.policy {
            read_well = true;
            check_meaning(policy, &format!("{} text {text:?}", format.name));
        }
    }
    read_well
}

fn readable() -> impl Iterator<Item = (&'static Format, fn(&str) -> Reading)> {
    let all = formats::ALL.iter().chain([&callgate_kube::seccomp_profile::FORMAT]);
    all.filter_map(|format| Some((format, format.read?)))
}

/// Places lie in the text, and there is a policy exactly when nothing is wrong.
fn check_places(reading: &Reading, text: &str) {
    let Reading { diagnostics, policy, .. } = reading;
    assert!(diagnostics.len() <= MOST_DIAGNOSTICS, "{} diagnostics", diagnostics.len());
    for diagnostic in diagnostics {
        for label in &diagnostic.labels {
            let place = label.span.start..label.span.end;
            assert!(text.get(place).is_some(), "{diagnostic} at {:?} of {text:?}", label.span);
        }
    }
    assert_eq!(policy.is_none(), diagnostics.iter().any(Diagnostic::is_error), "{text:?}");
}

/// The policy compiles, and whatever takes it gives it back.
fn check_meaning(policy: &Policy, what: &str) {
    let mut manager = Manager::with_limit(Layout::seccomp(ByteOrder::Little), 1 << 16);
    let Some(meaning) = meaning(&mut manager, policy) else { return };
    for (format, read) in readable() {
        let Ok(text) = (format.write)(policy) else { continue };
        let reading = read(&text);
        let again = reading.policy.unwrap_or_else(|| {
            panic!("{what} as {}: {:?}\n{text}", format.name, reading.diagnostics)
        });
        let again = self::meaning(&mut manager, &again);
        assert!(again.is_none_or(|again| again == meaning), "{what} differs as {text}");
    }
    if let Some(ruleset) = policy.resolve(&target()).ruleset
        && let Err(error) = callgate_compile::compile(&ruleset)
    {
        assert!(!error.is_internal(), "{what}: {error}");
    }
}

/// None when the policy is refused for this machine, or is too complex.
fn meaning(manager: &mut Manager, policy: &Policy) -> Option<Diagram> {
    let ruleset = policy.resolve(&target()).ruleset?;
    manager.ruleset(&ruleset).ok()
}

fn target() -> Target {
    Target {
        native: Abi::X86_64,
        abis: None,
        capabilities: CapabilitySet::DOCKER_DEFAULT,
        kernel: KernelVersion::new(6, 18),
        newer: NewerCalls::Default,
    }
}
