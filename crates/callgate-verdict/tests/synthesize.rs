//! Rules made from diagrams mean what the diagrams mean.

use callgate_bpf::{ByteOrder, Layout, generate::Rng};
use callgate_policy::{
    Dialect, NewerCalls, Target, builtin,
    formats::profile,
    generate::{self, Shape},
};
use callgate_syscalls::{Abi, CapabilitySet, KernelVersion};
use callgate_verdict::Manager;

#[test]
fn the_docker_default_comes_back_from_its_program_as_rules() {
    let text = builtin::named("docker-default").unwrap().text;
    let policy = profile::read(text, Some(Dialect::Docker)).policy.unwrap();
    let target = Target {
        native: Abi::X86_64,
        abis: None,
        capabilities: CapabilitySet::DOCKER_DEFAULT,
        kernel: KernelVersion::new(6, 18),
        newer: NewerCalls::Enosys,
    };
    let ruleset = policy.resolve(&target).ruleset.unwrap();
    let mut manager = Manager::new(Layout::seccomp(ByteOrder::Little));
    let diagram = manager.ruleset(&ruleset).unwrap();
    let again = manager.synthesize(diagram).unwrap();
    assert_eq!(manager.ruleset(&again).unwrap(), diagram);
    for (a, b) in again.abis.iter().zip(&ruleset.abis) {
        assert_eq!((a.abi, a.default, a.newer), (b.abi, b.default, b.newer));
        let numbers =
            |rules: &callgate_policy::AbiRules| rules.rules.keys().copied().collect::<Vec<_>>();
        assert_eq!(numbers(a), numbers(b), "{}", a.abi.name());
    }
    // As few rules as the author wrote.
    let x86_64 = &again.abis[0];
    let rules = |name: &str| x86_64.rules[&Abi::X86_64.number(name).unwrap()].len();
    assert_eq!((rules("socket"), rules("clone")), (3, 1));
    assert!(rules("personality") <= 5);
}

#[test]
fn random_rulesets_come_back_or_say_why_not() {
    let mut rng = Rng::new(6);
    let shape = Shape {
        abis: &[Abi::X86_64, Abi::X86, Abi::X32, Abi::Aarch64],
        first_number: 0,
        numbers: 8,
        rules: 2,
        default: None,
    };
    let count = if std::env::var_os("CALLGATE_FULL").is_some() { 20_000 } else { 60 };
    let mut said = 0;
    for _ in 0..count {
        let ruleset = generate::ruleset(&mut rng, &shape);
        let mut manager = Manager::new(Layout::seccomp(ByteOrder::Little));
        let diagram = manager.ruleset(&ruleset).unwrap();
        let diagram = manager.act(diagram).unwrap();
        match manager.synthesize(diagram) {
            Ok(again) => {
                said += 1;
                assert_eq!(manager.ruleset(&again).unwrap(), diagram);
            }
            Err(why) => assert!(!why.to_string().is_empty()),
        }
    }
    assert!(said * 3 > count * 2, "only {said} of {count} rulesets came back");
}
