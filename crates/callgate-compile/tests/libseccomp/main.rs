//! The rules of a profile, and the program that libseccomp makes of them: one meaning.
//!
//! Exact values and masks only, one answer for each call, constants that every ABI of the profile
//! compares whole: within these limits libseccomp is right, and can be a judge.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod driver;

use std::{collections::BTreeSet, fmt::Write as _};

use callgate_bpf::{ByteOrder, Layout, ShiftRule, generate::Rng};
use callgate_policy::{Dialect, NewerCalls, Policy, Target, Test, builtin, formats::profile};
use callgate_syscalls::{Abi, CapabilitySet, KernelVersion};
use callgate_verdict::Manager;

use self::driver::{Answer, Driver};

const ABIS: &[Abi] = &[Abi::X86_64, Abi::X86, Abi::X32];

fn target(abis: &[Abi]) -> Target {
    Target {
        native: Abi::X86_64,
        abis: Some(abis.to_vec()),
        capabilities: CapabilitySet::DOCKER_DEFAULT,
        kernel: KernelVersion::new(6, 18),
        newer: NewerCalls::Default,
    }
}

/// Whether libseccomp's table has the name with the numbers that ours has.
fn is_common(driver: &mut Driver, name: &str) -> bool {
    ABIS.iter().all(|&abi| {
        let theirs = driver.number(abi, name);
        let ours = abi.number(name).map(|nr| i32::from_be_bytes(nr.0.to_be_bytes()));
        match ours {
            _ if abi.multiplexer(name).is_some() => theirs != -1,
            Some(ours) => theirs == ours,
            // Known, but not on this ABI.
            None => theirs < -1,
        }
    })
}

/// The request that stands for the policy's entries that apply, rules equal to the default left
/// out as every runtime leaves them out.
fn request(policy: &Policy, target: &Target) -> String {
    let default = policy.default.value;
    let mut text = format!("default {:#x}\n", default.raw().0);
    for abi in target.abis.iter().flatten().filter(|&&abi| abi != target.native) {
        let _ = writeln!(text, "arch {abi}");
    }
    for entry in policy.entries.iter().filter(|entry| entry.applies_to(target)) {
        let action = entry.action.value;
        if action == default {
            continue;
        }
        for name in &entry.names {
            let _ = write!(text, "rule {:#x} {}", action.raw().0, name.value);
            for comparison in &entry.comparisons {
                let (operator, first, second) = numbered(comparison.value.test);
                let arg = comparison.value.arg.get();
                let _ = write!(text, " {arg} {operator} {first} {second}");
            }
            text.push('\n');
        }
    }
    text
}

/// A test as `enum scmp_compare` of seccomp.h has it.
fn numbered(test: Test) -> (u32, u64, u64) {
    match test {
        Test::Ne(value) => (1, value, 0),
        Test::Lt(value) => (2, value, 0),
        Test::Le(value) => (3, value, 0),
        Test::Eq(value) => (4, value, 0),
        Test::Ge(value) => (5, value, 0),
        Test::Gt(value) => (6, value, 0),
        Test::MaskedEq { mask, value } => (7, mask, value),
    }
}

/// Builds the policy at both levels, and asks that both programs mean what the rules mean; the
/// lengths of the programs.
fn compare(driver: &mut Driver, policy: &Policy, target: &Target) -> [usize; 2] {
    let request = request(policy, target);
    let resolution = policy.resolve(target);
    let Some(ruleset) = resolution.ruleset else {
        panic!("refused: {:#?}\n{request}", resolution.diagnostics);
    };
    let mut manager = Manager::new(Layout::seccomp(ByteOrder::NATIVE));
    let mut lengths = [0; 2];
    for level in [1, 2] {
        let program = match driver.build(&request, level) {
            Answer::Program(program) => program,
            Answer::Refused(why) => panic!("libseccomp: {why}\n{request}"),
        };
        let theirs = manager.program(&program, ShiftRule::default()).unwrap();
        let ours = manager.ruleset(&ruleset).unwrap();
        let differ = manager.differ(theirs, ours).unwrap();
        if let Some(data) = manager.witness(differ) {
            let [theirs, ours] = [theirs, ours].map(|meaning| manager.decide(meaning, &data));
            panic!("level {level}: {theirs:?}, rules: {ours:?} on {data:#x?}\n{request}");
        }
        assert!(theirs == ours);
        lengths[usize::from(level == 2)] = program.len();
    }
    lengths
}

#[test]
fn both_forms_of_the_docker_default_mean_what_its_rules_mean() {
    let Some(mut driver) = Driver::start("libseccomp-docker") else { return };
    let text = builtin::named("docker-default").unwrap().text;
    let mut policy = profile::read(text, Some(Dialect::Docker)).policy.unwrap();
    let mut left_out = BTreeSet::new();
    for entry in &mut policy.entries {
        entry.names.retain(|name| {
            let common = is_common(&mut driver, &name.value);
            if !common {
                left_out.insert(name.value.clone());
            }
            common
        });
    }
    let lengths = compare(&mut driver, &policy, &target(ABIS));
    println!("{lengths:?} instructions at level 1 and 2; left out: {left_out:?}");
    assert!(left_out.len() < 40 && lengths.iter().all(|&length| length > 500));
}

/// Random profiles on which libseccomp is right.
struct Shape {
    abis: &'static [Abi],
    names: &'static [&'static str],
    values: &'static [u64],
    masks: &'static [u64],
}

/// One ABI, and whatever 64 bits hold.
const ONE: Shape = Shape {
    abis: &[Abi::X86_64],
    names: &["read", "openat", "clone", "ioctl", "socket", "shmget", "arch_prctl"],
    values: &[0, 1, 5, 0x15, 0xffff_ffff, 0x5_0000_0005, 0x1_0000_0000, 0x8000_0000_0000_0015],
    masks: &[1, 0xf, 0xff, 0xf_0000_000f, 0xf_0000_0000, u64::MAX],
};

/// Three ABIs, calls that all of them have, and constants that fit the narrower ones.
const THREE: Shape = Shape {
    abis: ABIS,
    names: &["read", "openat", "clone", "ioctl", "personality"],
    values: &[0, 1, 5, 0x15],
    masks: &[1, 0xf, 0xff],
};

#[test]
fn random_rules_on_exact_values_and_masks_mean_the_same() {
    let Some(mut driver) = Driver::start("libseccomp-random") else { return };
    let full = std::env::var_os("CALLGATE_FULL").is_some_and(|value| value == "1");
    let count = if full { 20_000 } else { 400 };
    let mut rng = Rng::new(1);
    for shape in [ONE, THREE] {
        let target = target(shape.abis);
        for _ in 0..count {
            let text = random(&mut rng, &shape);
            let policy = profile::read(&text, Some(Dialect::Oci)).policy.unwrap();
            compare(&mut driver, &policy, &target);
        }
        println!("{count} random profiles for {:?} mean the same", shape.abis);
    }
}

/// A profile in which each call has one answer beside the default.
fn random(rng: &mut Rng, shape: &Shape) -> String {
    let (default, actions) = rng.pick(&[
        ("SCMP_ACT_ERRNO", ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG"]),
        ("SCMP_ACT_KILL", ["SCMP_ACT_ALLOW", "SCMP_ACT_TRACE"]),
        ("SCMP_ACT_ALLOW", ["SCMP_ACT_ERRNO", "SCMP_ACT_TRAP"]),
        ("SCMP_ACT_LOG", ["SCMP_ACT_KILL_PROCESS", "SCMP_ACT_ERRNO"]),
    ]);
    let mut entries = Vec::new();
    for _ in 0..1 + rng.below(8) {
        let mut args = Vec::new();
        for index in 0..4 {
            if !rng.one_in(3) {
                continue;
            }
            let value = rng.pick(shape.values);
            args.push(if rng.one_in(2) {
                format!("{{\"index\": {index}, \"value\": {value}, \"op\": \"SCMP_CMP_EQ\"}}")
            } else {
                let mask = rng.pick(shape.masks);
                format!(
                    "{{\"index\": {index}, \"value\": {mask}, \"valueTwo\": {}, \
                     \"op\": \"SCMP_CMP_MASKED_EQ\"}}",
                    value & mask
                )
            });
        }
        let name = rng.below(shape.names.len());
        entries.push(format!(
            "{{\"names\": [\"{}\"], \"action\": \"{}\", \"args\": [{}]}}",
            shape.names[name],
            actions[name % 2],
            args.join(", ")
        ));
    }
    format!("{{\"defaultAction\": \"{default}\", \"syscalls\": [{}]}}", entries.join(", "))
}
