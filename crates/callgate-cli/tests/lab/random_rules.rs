//! Random rules on one system call: the same one counts for runc and for callgate.
//!
//! Exact values and masks only, and few rules with few conditions: with more, and with the other
//! operators, libseccomp itself is not always right about several rules on one call.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Lab,
    bundle::{self, Runtime},
    calls::{Abi, Call},
    compare::same_answers,
    tell,
};

/// Calls that look at no argument, so that every argument is harmless.
const SUBJECTS: [&str; 9] = [
    "getppid",
    "getuid",
    "getgid",
    "geteuid",
    "getegid",
    "gettid",
    "getpgrp",
    "sched_yield",
    "munlockall",
];

/// Containers, each with random rules for every subject.
const ROUNDS: u32 = 12;

/// Values to compare with and to pass: small ones that masks overlap on, and upper halves.
const VALUES: [u64; 8] = [0, 1, 5, 0x15, 0x25, 0x5_0000_0005, 0x1_0000_0000, 0x1_0000_0015];

const MASKS: [u64; 5] = [0xf, 0xf0, 0xff, 0xf_0000_000f, 0xf_0000_0000];

#[test]
fn the_same_of_several_random_rules_counts() {
    let Some(lab) = Lab::open() else { return };
    let mut random = Random(0x5eed_0123_4567_89ab);
    let (mut sets, mut contradictions) = (0, 0);
    for round in 0..ROUNDS {
        let mut rules: BTreeMap<&str, Vec<Value>> =
            SUBJECTS.into_iter().map(|name| (name, random.rules(name))).collect();
        contradictions += remove_contradictions(&lab, &mut rules);
        sets += rules.len();
        let text = profile(&rules);
        let calls = calls(&lab, &rules);
        same_answers(
            &format!("runc, random rules {round}"),
            &lab.names,
            &super::profiles::parse(&text),
            &calls,
            bundle::ask(&lab, Runtime::Runc, &text, &calls),
            bundle::ask_callgate(&lab, Runtime::Runc, &text, &calls),
        );
    }
    tell(&format!(
        "{sets} random rule sets mean the same, {contradictions} more are refused by both"
    ));
}

/// Takes out the calls whose rules contradict each other: runc names one at a time, and callgate
/// must refuse it as well.
fn remove_contradictions(lab: &Lab, rules: &mut BTreeMap<&str, Vec<Value>>) -> usize {
    let mut found = 0;
    while let Err(refusal) = bundle::ask(lab, Runtime::Runc, &profile(rules), &[]) {
        let culprit = rules
            .keys()
            .copied()
            .find(|name| refusal.message.contains(&format!("for syscall {name}:")))
            .unwrap_or_else(|| panic!("runc {refusal}"));
        let contradiction: BTreeMap<&str, Vec<Value>> =
            rules.remove(culprit).into_iter().map(|rules| (culprit, rules)).collect();
        let alone = profile(&contradiction);
        assert!(
            bundle::ask_callgate(lab, Runtime::Runc, &alone, &[]).is_err(),
            "runc refuses these rules, and callgate takes them: {alone}"
        );
        found += 1;
    }
    found
}

fn profile(rules: &BTreeMap<&str, Vec<Value>>) -> String {
    let entries: Vec<&Value> = rules.values().flatten().collect();
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": entries,
    })
    .to_string()
}

/// Each subject, with every combination of values in the arguments that its rules look at.
fn calls(lab: &Lab, rules: &BTreeMap<&str, Vec<Value>>) -> Vec<Call> {
    let mut calls = Vec::new();
    for &name in rules.keys() {
        for abi in Abi::ALL {
            for first in VALUES {
                for second in VALUES {
                    for third in [0, 5] {
                        calls.push(Call::named(&lab.names, abi, name, &[first, second, third]));
                    }
                }
            }
        }
    }
    calls
}

/// xorshift64: the same rules in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit
    }

    fn of<const N: usize>(&mut self, choices: [u64; N]) -> u64 {
        let length = u64::try_from(N).expect("a few");
        choices[usize::try_from(self.below(length)).expect("a few")]
    }

    fn rules(&mut self, name: &str) -> Vec<Value> {
        (0..2 + self.below(3))
            .map(|_| {
                let errno = 1001 + self.below(3);
                // An index may occur twice: then each condition is a rule of its own.
                let conditions: Vec<Value> =
                    (0..1 + self.below(2)).map(|_| self.condition()).collect();
                json!({
                    "names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": errno,
                    "args": conditions,
                })
            })
            .collect()
    }

    fn condition(&mut self) -> Value {
        let index = self.below(3);
        let value = self.of(VALUES);
        if self.below(2) == 0 {
            json!({ "index": index, "value": value, "op": "SCMP_CMP_EQ" })
        } else {
            let mask = self.of(MASKS);
            json!({
                "index": index, "value": mask, "valueTwo": value & mask,
                "op": "SCMP_CMP_MASKED_EQ",
            })
        }
    }
}
