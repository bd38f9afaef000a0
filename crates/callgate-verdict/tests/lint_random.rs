//! Whatever the filter, a lint ends, and each example is what the filter does. How much is tried
//! is printed; `CALLGATE_FULL` tries more.

use callgate_bpf::{
    ByteOrder, Layout, Program, ShiftRule,
    generate::{self as programs, Rng},
};
use callgate_diagnostic::Severity;
use callgate_policy::{
    Dialect, NewerCalls, Policy, Target,
    generate::{self as rulesets, Shape},
};
use callgate_syscalls::{Abi, CapabilitySet, KernelVersion};
use callgate_verdict::{
    Manager,
    lint::{self, Finding, LINTS, Subject, Written},
};

const ORDER: ByteOrder = ByteOrder::Little;

fn count(usual: usize) -> usize {
    if std::env::var_os("CALLGATE_FULL").is_some() { 50 * usual } else { usual }
}

/// What holds of every finding.
fn is_whole(finding: &Finding) {
    let diagnostic = &finding.diagnostic;
    assert!(LINTS.iter().any(|lint| lint.id == diagnostic.id), "{finding:#?}");
    assert!(!diagnostic.message.is_empty() && !finding.consequence.is_empty(), "{finding:#?}");
    assert!(diagnostic.help.is_some() || diagnostic.id == "unknown-syscall", "{finding:#?}");
}

#[test]
fn random_programs_are_looked_at_to_the_end() {
    let mut rng = Rng::new(4);
    let layout = Layout::seccomp(ORDER);
    let (mut findings, mut complex) = (0, 0);
    let all = count(300);
    for _ in 0..all {
        let instructions = programs::valid_program(&mut rng, &layout, 30);
        let program = Program::new(instructions, layout).unwrap();
        let mut manager = Manager::with_limit(layout, 1 << 17);
        let subject = Subject::of_programs(core::slice::from_ref(&program), Abi::X86_64);
        let Ok(found) = lint::lint(&mut manager, &subject) else {
            complex += 1;
            continue;
        };
        findings += found.len();
        for finding in &found {
            is_whole(finding);
            let Some(example) = finding.example else { continue };
            let run = |data: &callgate_bpf::SeccompData| {
                program.run(&data.words(ORDER), ShiftRule::Low5).action()
            };
            assert_eq!(run(&example.call), example.action, "{finding:#?}\n{program:#?}");
            if let Some((against, action)) = example.against {
                assert_eq!(run(&against), action, "{finding:#?}\n{program:#?}");
            }
        }
    }
    println!("{all} programs, {complex} too complex, {findings} findings");
    assert!(complex * 2 < all && findings > 0);
}

#[test]
fn random_policies_are_looked_at_to_the_end() {
    let mut rng = Rng::new(5);
    let shape = Shape {
        abis: &[Abi::X86_64, Abi::X86, Abi::X32, Abi::Aarch64, Abi::Arm],
        numbers: 40,
        first_number: 0,
        rules: 4,
        default: None,
    };
    let (mut looked_at, mut findings, mut warnings) = (0, 0, 0);
    for _ in 0..count(150) {
        let ruleset = rulesets::ruleset(&mut rng, &shape);
        let dialect = rng.pick(&[Some(Dialect::Docker), None]);
        let Ok(policy) = Policy::from_rules(&ruleset, dialect) else { continue };
        let target = Target {
            native: ruleset.abis[0].abi,
            abis: None,
            capabilities: CapabilitySet::DOCKER_DEFAULT,
            kernel: KernelVersion::new(4, 4),
            newer: NewerCalls::Enosys,
        };
        let Some(ruleset) = policy.resolve(&target).ruleset else { continue };
        let written = Written { text: "", policy: &policy, target: &target, ruleset: &ruleset };
        let mut manager = Manager::new(Layout::seccomp(ORDER));
        let found = lint::lint(&mut manager, &Subject::of_text(written, &[])).unwrap();
        looked_at += 1;
        findings += found.len();
        for finding in &found {
            is_whole(finding);
            warnings += usize::from(finding.diagnostic.severity >= Severity::Warning);
            let Some(example) = finding.example else { continue };
            assert_eq!(ruleset.decide(&example.call).0, example.action, "{finding:#?}");
            if let Some((against, action)) = example.against {
                assert_eq!(ruleset.decide(&against).0, action, "{finding:#?}");
            }
        }
    }
    println!("{looked_at} policies, {findings} findings, {warnings} of them warnings");
    assert!(looked_at > 10 && warnings > 0);
}
