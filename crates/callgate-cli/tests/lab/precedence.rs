//! Several rules on one system call: which of them counts.

use serde_json::{Value, json};

use super::{
    Lab,
    calls::{Abi, Call},
    facts::{Fact, hold},
    profiles,
};

fn profile(default: &str, entries: &[Value]) -> String {
    json!({ "defaultAction": default, "syscalls": entries }).to_string()
}

/// An entry that answers getppid with `errno` when all `conditions` (index, operator, value) hold.
fn refuse(errno: u32, conditions: &[(u32, &str, u64)]) -> Value {
    json!({
        "names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno,
        "args": arguments(conditions),
    })
}

/// An entry that answers getppid with `errno` when its first argument, under a mask, is `value`.
fn masked(errno: u32, mask: u64, value: u64) -> Value {
    json!({
        "names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno,
        "args": [{ "index": 0, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ" }],
    })
}

fn allow(conditions: &[(u32, &str, u64)]) -> Value {
    json!({ "names": ["getppid"], "action": "SCMP_ACT_ALLOW", "args": arguments(conditions) })
}

fn arguments(conditions: &[(u32, &str, u64)]) -> Value {
    conditions
        .iter()
        .map(|(index, op, value)| {
            json!({ "index": index, "value": value, "op": format!("SCMP_CMP_{op}") })
        })
        .collect()
}

#[test]
fn an_unconditional_rule_beats_every_conditional_one_whatever_the_order() {
    let Some(lab) = Lab::open() else { return };
    let call = |args: &[u64]| Call::native(&lab.names, "getppid", args);
    let always = |errno| refuse(errno, &[]);
    let when = |errno| refuse(errno, &[(0, "EQ", 1)]);
    hold(
        &lab,
        &[
            Fact::answers(
                "of two unconditional rules the first counts",
                profile("SCMP_ACT_ALLOW", &[always(1001), always(1002)]),
                [(call(&[0]), "errno 1001")],
            ),
            Fact::answers(
                "a conditional rule behind an unconditional one is dropped",
                profile("SCMP_ACT_ALLOW", &[always(1001), when(1002)]),
                [(call(&[0]), "errno 1001"), (call(&[1]), "errno 1001")],
            ),
            Fact::answers(
                "an unconditional rule replaces the conditional one before it",
                profile("SCMP_ACT_ALLOW", &[when(1001), always(1002)]),
                [(call(&[0]), "errno 1002"), (call(&[1]), "errno 1002")],
            ),
            Fact::answers(
                "also when the one in front allows",
                profile("SCMP_ACT_TRAP", &with_own_calls(&[allow(&[(0, "EQ", 1)]), always(1002)])),
                [(call(&[0]), "errno 1002"), (call(&[1]), "errno 1002")],
            ),
        ],
    );
}

#[test]
fn rules_with_the_same_conditions_agree_or_nothing_starts() {
    let Some(lab) = Lab::open() else { return };
    let call = |args: &[u64]| Call::native(&lab.names, "getppid", args);
    let one = [(0, "EQ", 1)];
    let two = [(0, "EQ", 1), (1, "EQ", 2)];
    let allowing = "SCMP_ACT_ALLOW";
    hold(
        &lab,
        &[
            Fact::answers(
                "the same rule twice is one rule",
                profile(allowing, &[refuse(1001, &one), refuse(1001, &one)]),
                [(call(&[1]), "errno 1001"), (call(&[0]), "ok")],
            ),
            Fact::refused(
                "the same conditions with another action",
                profile(allowing, &[refuse(1001, &one), refuse(1002, &one)]),
                "error adding seccomp rule for syscall getppid",
            ),
            Fact::answers(
                "more conditions behind fewer have no effect",
                profile(allowing, &[refuse(1001, &one), refuse(1002, &two)]),
                [
                    (call(&[1, 2]), "errno 1001"),
                    (call(&[1, 0]), "errno 1001"),
                    (call(&[0, 2]), "ok"),
                ],
            ),
            Fact::refused(
                "fewer conditions behind more, with another action",
                profile(allowing, &[refuse(1002, &two), refuse(1001, &one)]),
                "error adding seccomp rule for syscall getppid",
            ),
            Fact::answers(
                "fewer conditions behind more, with the same action, are the union",
                profile(allowing, &[refuse(1001, &two), refuse(1001, &one)]),
                [
                    (call(&[1, 2]), "errno 1001"),
                    (call(&[1, 0]), "errno 1001"),
                    (call(&[0, 2]), "ok"),
                ],
            ),
        ],
    );
}

#[test]
fn overlapping_conditions_are_ordered_by_argument_operator_and_value() {
    let Some(lab) = Lab::open() else { return };
    let call = |args: &[u64]| Call::native(&lab.names, "getppid", args);
    let mut facts = Vec::new();
    let mut both_orders =
        |title: &str, first: Value, second: Value, answers: &[(Call, &'static str)]| {
            for entries in [[first.clone(), second.clone()], [second, first]] {
                facts.push(Fact::answers(
                    title,
                    profile("SCMP_ACT_ALLOW", &entries),
                    answers.iter().copied(),
                ));
            }
        };
    both_orders(
        "the higher argument index is looked at first",
        refuse(1001, &[(0, "EQ", 3)]),
        refuse(1002, &[(1, "EQ", 4)]),
        &[
            (call(&[3, 4]), "errno 1002"),
            (call(&[3, 0]), "errno 1001"),
            (call(&[0, 4]), "errno 1002"),
            (call(&[0, 0]), "ok"),
        ],
    );
    both_orders(
        "of two lower bounds the larger",
        refuse(1001, &[(0, "GT", 10)]),
        refuse(1002, &[(0, "GT", 20)]),
        &[(call(&[10]), "ok"), (call(&[20]), "errno 1001"), (call(&[21]), "errno 1002")],
    );
    both_orders(
        "of an exact value and a lower bound the exact value",
        refuse(1001, &[(0, "EQ", 15)]),
        refuse(1002, &[(0, "GT", 10)]),
        &[(call(&[10]), "ok"), (call(&[15]), "errno 1001"), (call(&[16]), "errno 1002")],
    );
    both_orders(
        "of two upper bounds the smaller",
        refuse(1001, &[(0, "LT", 10)]),
        refuse(1002, &[(0, "LT", 20)]),
        &[(call(&[9]), "errno 1001"), (call(&[10]), "errno 1002"), (call(&[20]), "ok")],
    );
    both_orders(
        "of two exact values each its own",
        refuse(1001, &[(0, "EQ", 10)]),
        refuse(1002, &[(0, "EQ", 20)]),
        &[(call(&[10]), "errno 1001"), (call(&[20]), "errno 1002"), (call(&[30]), "ok")],
    );
    both_orders(
        "of two masks the larger value",
        masked(1001, 0xf0, 0x10),
        masked(1002, 0xf, 5),
        &[
            (call(&[0x15]), "errno 1001"),
            (call(&[0x25]), "errno 1002"),
            (call(&[0x10]), "errno 1001"),
            (call(&[0]), "ok"),
        ],
    );
    hold(&lab, &facts);
}

/// Where the order of the tree leaves two tests equal, the profile's order decides. An exact value
/// and a mask are equal in the upper half, which both find to be 0; where only the lower half is
/// compared, they are not.
#[test]
fn overlapping_conditions_that_the_tree_finds_equal_go_by_their_order() {
    let Some(lab) = Lab::open() else { return };
    let call = |args: &[u64]| Call::native(&lab.names, "getppid", args);
    let on_x86 = |value| Call::named(&lab.names, Abi::X86, "getppid", &[value]);
    let in_order = |title, entries: [Value; 2], answers: Vec<(Call, &'static str)>| {
        let profile = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
            "syscalls": entries,
        });
        Fact::answers(title, profile.to_string(), answers)
    };
    let exact = refuse(1001, &[(0, "EQ", 0x15)]);
    let mask = masked(1002, 0xf, 5);
    let (low, high) = (masked(1001, 0xf, 0), masked(1002, 0xf0, 0));
    hold(
        &lab,
        &[
            in_order(
                "the exact value in front",
                [exact.clone(), mask.clone()],
                vec![
                    (call(&[0x15]), "errno 1001"),
                    (call(&[5]), "errno 1002"),
                    (on_x86(0x15), "errno 1001"),
                    (on_x86(5), "errno 1002"),
                ],
            ),
            in_order(
                "the mask in front",
                [mask, exact],
                vec![
                    (call(&[0x15]), "errno 1002"),
                    (call(&[5]), "errno 1002"),
                    (on_x86(0x15), "errno 1001"),
                    (on_x86(5), "errno 1002"),
                ],
            ),
            in_order(
                "two masks with one value",
                [low.clone(), high.clone()],
                vec![(call(&[0]), "errno 1001"), (call(&[1]), "errno 1002")],
            ),
            in_order(
                "the same the other way round",
                [high, low],
                vec![(call(&[0]), "errno 1002"), (call(&[0x10]), "errno 1001")],
            ),
        ],
    );
}

#[test]
fn rules_equal_to_the_default_are_no_rules() {
    let Some(lab) = Lab::open() else { return };
    let call = |args: &[u64]| Call::native(&lab.names, "getppid", args);
    let default_1001 = |entries: &[Value]| {
        json!({
            "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1001,
            "syscalls": with_own_calls(entries),
        })
        .to_string()
    };
    hold(
        &lab,
        &[
            Fact::answers(
                "an unconditional rule equal to the default shields nothing",
                profile("SCMP_ACT_ALLOW", &[allow(&[]), refuse(1001, &[(0, "EQ", 1)])]),
                [(call(&[1]), "errno 1001"), (call(&[0]), "ok")],
            ),
            Fact::answers(
                "a conditional rule equal to the default makes no hole",
                profile("SCMP_ACT_ALLOW", &[allow(&[(0, "EQ", 1)]), refuse(1001, &[])]),
                [(call(&[1]), "errno 1001"), (call(&[0]), "errno 1001")],
            ),
            Fact::answers(
                "equal means the errno too",
                default_1001(&[refuse(1001, &[]), allow(&[(0, "EQ", 1)])]),
                [(call(&[1]), "ok"), (call(&[0]), "errno 1001")],
            ),
            Fact::answers(
                "another errno is a rule",
                default_1001(&[refuse(1002, &[]), allow(&[(0, "EQ", 1)])]),
                [(call(&[1]), "errno 1002"), (call(&[0]), "errno 1002")],
            ),
        ],
    );
}

#[test]
fn an_argument_index_that_occurs_twice_makes_every_condition_a_rule() {
    let Some(lab) = Lab::open() else { return };
    let call = |args: &[u64]| Call::native(&lab.names, "getppid", args);
    let twice = refuse(1001, &[(0, "EQ", 3), (0, "EQ", 5), (1, "EQ", 9)]);
    let once = refuse(1001, &[(0, "EQ", 3), (1, "EQ", 9)]);
    hold(
        &lab,
        &[
            Fact::answers(
                "any of three",
                profile("SCMP_ACT_ALLOW", &[twice]),
                [
                    (call(&[3, 0]), "errno 1001"),
                    (call(&[5, 0]), "errno 1001"),
                    (call(&[0, 9]), "errno 1001"),
                    (call(&[0, 0]), "ok"),
                ],
            ),
            Fact::answers(
                "both of two",
                profile("SCMP_ACT_ALLOW", &[once]),
                [(call(&[3, 9]), "errno 1001"), (call(&[3, 0]), "ok"), (call(&[0, 9]), "ok")],
            ),
        ],
    );
}

#[test]
fn a_condition_that_libseccomp_cannot_take_starts_nothing() {
    let Some(lab) = Lab::open() else { return };
    hold(
        &lab,
        &[Fact::refused(
            "argument 6",
            profile("SCMP_ACT_ALLOW", &[refuse(1001, &[(6, "EQ", 1)])]),
            "error creating seccomp syscall condition",
        )],
    );
}

/// The entries and, in front, what the probe, runc and callgate need under a refusing default.
pub fn with_own_calls(entries: &[Value]) -> Vec<Value> {
    let mut all = vec![own_calls()];
    all.extend_from_slice(entries);
    all
}

/// An entry that allows what the probe, runc and callgate need.
fn own_calls() -> Value {
    let profile = profiles::parse(profiles::ALLOW_LIST);
    let mut entry = profile["syscalls"][0].clone();
    if let Some(names) = entry["names"].as_array_mut() {
        names.retain(|name| name != "getppid");
    }
    entry
}
