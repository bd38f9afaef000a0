//! What is written in another language means what the policy means.

#[path = "formats/c.rs"]
mod c;
#[path = "formats/policies.rs"]
mod policies;

use callgate_bpf::{ByteOrder, Layout, ShiftRule, generate::Rng};
use callgate_policy::{
    Dialect, NewerCalls, Policy, Target, builtin,
    formats::{kafel, libseccomp_c, profile, systemd},
};
use callgate_syscalls::{Abi, CapabilitySet, KernelVersion};
use callgate_verdict::{Diagram, Manager};

use self::{
    c::Compiler,
    policies::{Shape, random},
};

const X86: &[Abi] = &[Abi::X86_64, Abi::X86, Abi::X32];

/// How many of so many, or a hundred times as many when there is time.
fn rounds(count: usize) -> usize {
    if std::env::var_os("CALLGATE_FULL").is_some() { 100 * count } else { count }
}

fn target(abis: Option<&[Abi]>, native: Abi) -> Target {
    Target {
        native,
        abis: abis.map(<[Abi]>::to_vec),
        capabilities: CapabilitySet::DOCKER_DEFAULT,
        kernel: KernelVersion::new(6, 18),
        newer: NewerCalls::Default,
    }
}

/// The meaning of a policy, which must be right.
#[track_caller]
fn meaning(manager: &mut Manager, policy: &Policy, target: &Target) -> Diagram {
    let resolution = policy.resolve(target);
    let ruleset = resolution.ruleset.unwrap_or_else(|| panic!("{:?}", resolution.diagnostics));
    manager.ruleset(&ruleset).unwrap()
}

/// Asserts that two policies mean the same, with a call on which they differ.
#[track_caller]
fn assert_same(a: &Policy, b: &Policy, target: &Target, text: &str) {
    let mut manager = Manager::new(Layout::seccomp(ByteOrder::Little));
    let [left, right] = [a, b].map(|policy| meaning(&mut manager, policy, target));
    if left != right {
        let differ = manager.differ(left, right).unwrap();
        let data = manager.witness(differ).unwrap();
        let verdicts = [left, right].map(|diagram| manager.decide(diagram, &data));
        panic!("{verdicts:?} on {data:x?} (number {}), written as\n{text}", data.nr);
    }
}

#[test]
fn random_policies_come_back_from_kafel() {
    let mut rng = Rng::new(11);
    for (shape, share) in [
        (Shape { abis: Some(&[Abi::X86_64]), ..Shape::ALL_TESTS }, 2),
        (Shape { abis: Some(X86), ..Shape::ALL_TESTS }, 1),
        (Shape { abis: Some(&[Abi::X86, Abi::Arm]), ..Shape::ALL_TESTS }, 1),
        (Shape { abis: None, ..Shape::ALL_TESTS }, 2),
    ] {
        let mut written = 0;
        let count = rounds(60);
        for _ in 0..count {
            let policy = random(&mut rng, &shape);
            let Ok(text) = kafel::write(&policy) else {
                continue;
            };
            written += 1;
            let reading = kafel::read(&text);
            let again =
                reading.policy.unwrap_or_else(|| panic!("{:?}\n{text}", reading.diagnostics));
            for native in [Abi::X86_64, Abi::Aarch64] {
                let abis = shape.abis;
                if abis.is_none() || native == Abi::X86_64 {
                    assert_same(&policy, &again, &target(abis, native), &text);
                }
            }
        }
        assert!(
            written * 4 >= count * share,
            "{written} of {count} were written: {:?}",
            shape.abis
        );
    }
}

#[test]
fn what_kafel_is_written_in_is_read_back_from_random_texts() {
    let mut rng = Rng::new(12);
    for _ in 0..rounds(150) {
        let text = policies::kafel_text(&mut rng);
        let reading = kafel::read(&text);
        let Some(policy) = reading.policy else {
            // Conditions can become too large; nothing else is wrong with these texts.
            let wrong = |d: &&callgate_diagnostic::Diagnostic| d.is_error();
            let ids: Vec<&str> = reading.diagnostics.iter().filter(wrong).map(|d| d.id).collect();
            assert!(ids.iter().all(|id| *id == "too-many-alternatives"), "{ids:?}\n{text}");
            continue;
        };
        let again = kafel::write(&policy).unwrap_or_else(|errors| panic!("{errors:?}\n{text}"));
        let read = kafel::read(&again).policy.expect("what is written can be read");
        for native in [Abi::X86_64, Abi::X86, Abi::Aarch64] {
            assert_same(&policy, &read, &target(None, native), &format!("{text}\n{again}"));
        }
    }
}

#[test]
fn random_policies_come_back_from_systemd() {
    let mut rng = Rng::new(13);
    for abis in [&[Abi::X86_64][..], X86, &[Abi::Aarch64, Abi::Arm]] {
        let shape = Shape { abis: Some(abis), ..Shape::NO_TESTS };
        let mut written = 0;
        let count = rounds(40);
        for _ in 0..count {
            let policy = random(&mut rng, &shape);
            let Ok(text) = systemd::write(&policy) else {
                continue;
            };
            written += 1;
            let again = systemd::read(&text).policy.expect("what is written can be read");
            assert_same(&policy, &again, &target(Some(abis), abis[0]), &text);
        }
        assert!(written * 4 >= count, "{written} of {count} were written: {abis:?}");
    }
}

#[test]
fn random_unit_files_come_back_from_systemd() {
    let mut rng = Rng::new(14);
    let (count, mut refused) = (rounds(60), 0);
    for _ in 0..count {
        let text = policies::unit_text(&mut rng);
        let reading = systemd::read(&text);
        let policy = reading.policy.unwrap_or_else(|| panic!("{:?}\n{text}", reading.diagnostics));
        let again = match systemd::write(&policy) {
            Ok(again) => again,
            Err(errors) => {
                // A call that is refused, and logged behind `socketcall` alone.
                let rare = |message: &str| message.starts_with("the calls behind");
                assert!(errors.iter().all(|error| rare(&error.message)), "{errors:?}\n{text}");
                refused += 1;
                continue;
            }
        };
        let read = systemd::read(&again).policy.expect("what is written can be read");
        for native in [Abi::X86_64, Abi::Aarch64, Abi::Riscv64] {
            assert_same(&policy, &read, &target(None, native), &format!("{text}\n{again}"));
        }
    }
    assert!(refused * 10 <= count, "{refused} of {count} were refused");
}

/// Compiles a policy's C, and asks that libseccomp's program means what the rules mean.
fn compare(compiler: &Compiler, policy: &Policy, target: &Target) {
    let text = libseccomp_c::write(policy).unwrap_or_else(|errors| panic!("{errors:?}"));
    let program = compiler.filter(&text);
    let mut manager = Manager::new(Layout::seccomp(ByteOrder::NATIVE));
    let theirs = manager.program(&program, ShiftRule::default()).unwrap();
    let ours = meaning(&mut manager, policy, target);
    let differ = manager.differ(theirs, ours).unwrap();
    if let Some(data) = manager.witness(differ) {
        let [theirs, ours] = [theirs, ours].map(|diagram| manager.decide(diagram, &data));
        panic!("libseccomp: {theirs:?}, rules: {ours:?} on {data:#x?}\n{text}");
    }
}

#[test]
fn libseccomps_programs_mean_what_the_policies_mean() {
    let Some(compiler) = Compiler::find("policies") else { return };
    let mut rng = Rng::new(15);
    for (shape, least) in [
        (Shape { abis: Some(&[Abi::X86_64]), ..Shape::FOR_LIBSECCOMP }, 4),
        (Shape { abis: Some(X86), dialect: Some(Dialect::Oci), ..Shape::FOR_LIBSECCOMP }, 4),
        (Shape { abis: Some(X86), ..Shape::FOR_LIBSECCOMP }, 1),
    ] {
        let mut written = 0;
        for _ in 0..rounds(12) {
            let policy = random(&mut rng, &shape);
            if libseccomp_c::write(&policy).is_err() {
                continue;
            }
            let target = target(None, Abi::X86_64);
            if policy.resolve(&target).ruleset.is_none() {
                continue;
            }
            written += 1;
            compare(&compiler, &policy, &target);
        }
        assert!(written >= least, "{written} were written");
    }
}

#[test]
fn the_docker_default_means_the_same_in_c() {
    let Some(compiler) = Compiler::find("docker") else { return };
    let text = builtin::named("docker-default").unwrap().text;
    let target = target(None, Abi::X86_64);
    let mut policy = profile::read(text, Some(Dialect::Docker)).policy.unwrap().flatten(&target);
    let mut left_out = Vec::new();
    let common = compiler.common_names(X86);
    for entry in &mut policy.entries {
        entry.names.retain(|name| {
            let keep = common.contains(&name.value);
            if !keep {
                left_out.push(name.value.clone());
            }
            keep
        });
    }
    println!("this libseccomp does not know {left_out:?}");
    assert!(left_out.len() < 60);
    compare(&compiler, &policy, &target);
}

#[test]
fn a_call_that_libseccomp_does_not_know_never_loosens_the_filter() {
    let Some(compiler) = Compiler::find("names") else { return };
    if compiler.common_names(&[]).contains("fchroot") {
        eprintln!("skipped: this libseccomp knows the newest call");
        return;
    }
    let policy = |default: &str, action: &str| {
        let text = format!(
            r#"{{ "defaultAction": "{default}", "syscalls": [
                {{ "names": ["read", "fchroot"], "action": "{action}",
                   "args": [{{ "index": 0, "value": 1, "op": "SCMP_CMP_EQ" }}] }} ] }}"#
        );
        profile::read(&text, Some(Dialect::Oci)).policy.unwrap()
    };
    let allowing = policy("SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW");
    compiler.filter(&libseccomp_c::write(&allowing).unwrap());
    let refusing = policy("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO");
    let complaint = compiler.complaint(&libseccomp_c::write(&refusing).unwrap());
    assert_eq!(complaint, "filter: Function not implemented\n");
}
