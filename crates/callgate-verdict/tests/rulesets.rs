//! Diagrams of rulesets against the rules' own evaluation.

use callgate_bpf::{ByteOrder, Layout, SyscallNr, generate::Rng};
use callgate_policy::{
    Ruleset,
    generate::{self, Shape},
};
use callgate_syscalls::Abi;
use callgate_verdict::Manager;

/// ABIs that share an architecture, that share nothing, and of 32 and 64 bits.
const LITTLE: &[Abi] =
    &[Abi::X86_64, Abi::X86, Abi::X32, Abi::Aarch64, Abi::Arm, Abi::Riscv64, Abi::Mipsel64n32];
const BIG: &[Abi] = &[Abi::S390x, Abi::S390, Abi::Ppc64, Abi::Mips64n32, Abi::Mips];

fn count(ordinary: usize, full: usize) -> usize {
    if std::env::var_os("CALLGATE_FULL").is_some() { full } else { ordinary }
}

#[test]
fn random_rulesets_mean_what_they_decide() {
    for (seed, abis) in [(1, LITTLE), (2, BIG)] {
        let mut rng = Rng::new(seed);
        let shape = Shape { abis, first_number: 0, numbers: 12, rules: 4, default: None };
        for _ in 0..count(1_000, 500_000) {
            let ruleset = generate::ruleset(&mut rng, &shape);
            let mut manager = Manager::new(Layout::seccomp(ByteOrder::Little));
            let diagram = manager.ruleset(&ruleset).unwrap();
            for data in generate::calls(&mut rng, &ruleset, 100) {
                let (action, _) = ruleset.decide(&data);
                let meant = manager.decide(diagram, &data);
                assert_eq!(meant, action.raw(), "{data:#x?}\n{ruleset:#?}");
            }
        }
    }
}

/// Rules for numbers at the borders of x86_64's two ABIs, -1 among them, where no name leads.
#[test]
fn rules_for_numbers_that_no_abi_has_mean_what_they_decide() {
    const ABIS: &[Abi] = &[Abi::X86_64, Abi::X32, Abi::X86];
    let mut rng = Rng::new(6);
    let shape = Shape { abis: ABIS, first_number: 0, numbers: 12, rules: 3, default: None };
    for _ in 0..count(500, 50_000) {
        let mut ruleset = generate::ruleset(&mut rng, &shape);
        for table in &mut ruleset.abis {
            let border = rng.pick(&[0x3fff_fffa_u32, 0x7fff_fffa, 0xbfff_fffa, 0xffff_fff4]);
            let moved = |nr: SyscallNr| SyscallNr(border.wrapping_add(nr.0 & 0xffff));
            table.rules =
                table.rules.iter().map(|(&nr, rules)| (moved(nr), rules.clone())).collect();
            if let Some(newer) = &mut table.newer {
                newer.last = moved(newer.last);
                newer.also = newer.also.map(moved);
            }
        }
        let mut manager = Manager::new(Layout::seccomp(ByteOrder::Little));
        let diagram = manager.ruleset(&ruleset).unwrap();
        for data in generate::calls(&mut rng, &ruleset, 100) {
            let (action, _) = ruleset.decide(&data);
            let meant = manager.decide(diagram, &data);
            assert_eq!(meant, action.raw(), "{data:#x?}\n{ruleset:#?}");
        }
    }
}

#[test]
fn a_changed_rule_is_found_with_a_witness() {
    let mut rng = Rng::new(3);
    let shape = Shape { abis: LITTLE, first_number: 0, numbers: 12, rules: 4, default: None };
    let mut differences = 0;
    for _ in 0..count(500, 50_000) {
        let first = generate::ruleset(&mut rng, &shape);
        let second = without_one_rule(&mut rng, &first);
        let mut manager = Manager::new(Layout::seccomp(ByteOrder::Little));
        let (a, b) = (manager.ruleset(&first).unwrap(), manager.ruleset(&second).unwrap());
        let differ = manager.differ(a, b).unwrap();
        match manager.witness(differ) {
            Some(data) => {
                differences += 1;
                assert_ne!(first.decide(&data).0, second.decide(&data).0, "{data:#x?}");
            }
            None => {
                assert!(a == b);
                for data in generate::calls(&mut rng, &first, 50) {
                    assert_eq!(first.decide(&data).0, second.decide(&data).0, "{data:#x?}");
                }
            }
        }
    }
    assert!(differences > 100, "only {differences} rulesets were changed in meaning");
}

fn without_one_rule(rng: &mut Rng, ruleset: &Ruleset) -> Ruleset {
    let mut changed = ruleset.clone();
    let table = rng.below(changed.abis.len());
    let table = &mut changed.abis[table];
    if let Some(nr) = table.rules.keys().next().copied() {
        let rules = table.rules.get_mut(&nr).unwrap();
        let index = rng.below(rules.len());
        rules.remove(index);
    }
    changed
}

#[test]
fn differences_are_those_of_the_rules() {
    let mut rng = Rng::new(4);
    let shape = Shape { abis: LITTLE, first_number: 0, numbers: 8, rules: 3, default: None };
    for _ in 0..count(300, 30_000) {
        let first = generate::ruleset(&mut rng, &shape);
        let second = without_one_rule(&mut rng, &first);
        let mut manager = Manager::new(Layout::seccomp(ByteOrder::Little));
        let (a, b) = (manager.ruleset(&first).unwrap(), manager.ruleset(&second).unwrap());
        let differences = manager.differences(a, b).unwrap();
        assert_eq!(differences.is_empty(), a == b);
        for difference in &differences {
            let data = difference.example;
            assert_ne!(first.decide(&data).0, second.decide(&data).0, "{data:#x?}");
        }
        for data in generate::calls(&mut rng, &first, 50) {
            let listed = differences.iter().any(|d| {
                (d.arch..=d.last_arch).contains(&data.arch) && (d.first..=d.last).contains(&data.nr)
            });
            if !listed {
                assert_eq!(first.decide(&data).0, second.decide(&data).0, "{data:#x?}");
            }
        }
        let more = manager.permits_more(a, b).unwrap();
        if let Some(data) = manager.witness(more) {
            let (a, b) = (first.decide(&data).0, second.decide(&data).0);
            assert!(a.raw().rank() > b.raw().rank(), "{a} and {b} on {data:#x?}");
        }
    }
}

#[test]
fn stacking_joining_and_meeting_follow_the_kernels_order() {
    let mut rng = Rng::new(5);
    let shape = Shape { abis: LITTLE, first_number: 0, numbers: 8, rules: 3, default: None };
    for _ in 0..count(300, 30_000) {
        let [first, second] = [(); 2].map(|()| generate::ruleset(&mut rng, &shape));
        let mut manager = Manager::new(Layout::seccomp(ByteOrder::Little));
        let (a, b) = (manager.ruleset(&first).unwrap(), manager.ruleset(&second).unwrap());
        let stack = manager.stack(a, b).unwrap();
        let union = manager.union(a, b).unwrap();
        assert_eq!(manager.intersect(a, b).unwrap(), stack);
        for data in generate::calls(&mut rng, &first, 60) {
            let (newer, older) = (first.decide(&data).0.raw(), second.decide(&data).0.raw());
            let stronger = if older.rank() < newer.rank() { older } else { newer };
            let weaker = if older.rank() > newer.rank() { older } else { newer };
            assert_eq!(manager.decide(stack, &data), stronger);
            assert_eq!(manager.decide(union, &data), weaker);
        }
    }
}
