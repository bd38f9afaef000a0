//! Policies written in C with libseccomp's calls. What the C means is tested elsewhere, with a
//! compiler.

mod common;

use callgate_bpf::Action;
use callgate_diagnostic::Span;
use callgate_policy::{
    Architectures, ArgIndex, Comparison, Condition, Dialect, Entry, FilterFlag, Listener, Policy,
    Test, formats::libseccomp_c,
};
use callgate_syscalls::Abi;
use common::here;

const ARG: ArgIndex = ArgIndex::ALL[0];

fn entry(names: &[&str], action: Action, comparisons: &[Comparison]) -> Entry {
    Entry {
        names: names.iter().map(|name| here(String::from(*name))).collect(),
        abis: Vec::new(),
        action: here(action),
        comparisons: comparisons.iter().copied().map(here).collect(),
        includes: Condition::default(),
        excludes: Condition::default(),
        comment: None,
        span: Span::default(),
    }
}

fn first_match(entries: &[Entry]) -> Policy {
    Policy {
        dialect: None,
        default: here(Action::Errno(38)),
        architectures: Architectures::List([here(Abi::X86_64)].into()),
        other: Action::KillThread,
        flags: Vec::new(),
        listener: None,
        entries: entries.into(),
    }
}

fn is(value: u64) -> Comparison {
    Comparison::full(ARG, Test::Eq(value))
}

#[track_caller]
fn written(policy: &Policy) -> String {
    libseccomp_c::write(policy).unwrap_or_else(|refused| panic!("{}", common::show(&refused)))
}

#[track_caller]
fn has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.contains(line), "no `{line}` in\n{text}");
    }
}

#[test]
fn a_profile_becomes_the_calls_that_runc_makes() {
    let text = r#"{
      "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
      "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
      "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
      "syscalls": [
        { "names": ["read", "write", "futex_wait"], "action": "SCMP_ACT_ALLOW" },
        { "names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 22, "args": [
            { "index": 0, "value": 16, "op": "SCMP_CMP_EQ" },
            { "index": 2, "value": 15, "valueTwo": 9, "op": "SCMP_CMP_MASKED_EQ" } ] },
        { "names": ["clone"], "action": "SCMP_ACT_NOTIFY", "args": [
            { "index": 0, "value": 1, "op": "SCMP_CMP_GT" },
            { "index": 0, "value": 9, "op": "SCMP_CMP_LT" } ] }
      ] }"#;
    let c = written(&common::policy(text, Dialect::Oci));
    has(
        &c,
        &[
            "#define DEFAULT_ACTION SCMP_ACT_ERRNO(38)",
            "static const int calls_0[] = {\n    SCMP_SYS(read), SCMP_SYS(write),\n};",
            // A call that the library may be too old for is looked up when the filter is made.
            "static const char *const new_calls_0[] = {\n    \"futex_wait\",\n};",
            "TRY(add_new(filter, SCMP_ACT_ALLOW, new_calls_0[i], 0, 0, NULL));",
            "        SCMP_ARCH_X86_64,\n        SCMP_ARCH_X86,\n",
            "seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_THREAD)",
            "seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1)",
            "seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1)",
            "TRY(seccomp_rule_add(filter, SCMP_ACT_ERRNO(22), calls_1[i], 2,\n            \
             SCMP_A0(SCMP_CMP_EQ, UINT64_C(0x10)),\n            \
             SCMP_A2(SCMP_CMP_MASKED_EQ, UINT64_C(0xf), UINT64_C(0x9))));",
            // An argument that occurs twice makes rules of their own.
            "SCMP_ACT_NOTIFY, calls_2[i], 1,\n            SCMP_A0(SCMP_CMP_GT, UINT64_C(0x1))",
            "SCMP_ACT_NOTIFY, calls_3[i], 1,\n            SCMP_A0(SCMP_CMP_LT, UINT64_C(0x9))",
        ],
    );
    assert!(c.lines().all(|line| line.len() <= 100), "{c}");
}

#[test]
fn a_new_call_that_must_be_refused_is_needed() {
    let mut policy = first_match(&[entry(&["futex_wait", "read"], Action::KillProcess, &[is(1)])]);
    policy.default = here(Action::Allow);
    has(
        &written(&policy),
        &[
            "const struct scmp_arg_cmp tests[] = {\n            SCMP_A0(SCMP_CMP_EQ, UINT64_C(0x1)),\n",
            "TRY(add_new(filter, SCMP_ACT_KILL_PROCESS, new_calls_0[i], 1, 1, tests));",
        ],
    );
}

#[test]
fn low_halves_are_compared_by_a_mask() {
    let low = Comparison::low32(ARG, Test::Eq(7));
    let c = written(&first_match(&[entry(&["read"], Action::Allow, &[low])]));
    has(&c, &["SCMP_A0(SCMP_CMP_MASKED_EQ, UINT64_C(0xffffffff), UINT64_C(0x7))"]);
    // Where registers have 32 bits, they are compared whole.
    let below = Comparison::low32(ARG, Test::Lt(7));
    let mut on_arm = first_match(&[entry(&["read"], Action::Allow, &[below])]);
    on_arm.architectures = Architectures::List([here(Abi::Arm)].into());
    has(&written(&on_arm), &["SCMP_A0(SCMP_CMP_LT, UINT64_C(0x7))"]);
}

#[test]
fn rules_whose_order_makes_no_difference_are_written() {
    let allow = |comparisons: &[Comparison]| entry(&["read"], Action::Allow, comparisons);
    let kill = |comparisons: &[Comparison]| entry(&["read"], Action::KillProcess, comparisons);
    let masked = |mask, value| Comparison::full(ARG, Test::MaskedEq { mask, value });
    let second = Comparison::full(ArgIndex::ALL[1], Test::Eq(1));
    for entries in [
        vec![kill(&[is(1)]), allow(&[is(2)])],
        vec![kill(&[masked(3, 1)]), allow(&[masked(6, 2)])],
        vec![allow(&[is(1)]), allow(&[second])],
        vec![allow(&[is(1)]), allow(&[])],
        // Behind a rule that always holds nothing matters.
        vec![allow(&[]), allow(&[is(1)])],
    ] {
        written(&first_match(&entries));
    }
}

#[test]
fn what_libseccomp_cannot_say_is_refused_with_the_reason() {
    let plain = first_match(&[entry(&["read"], Action::Allow, &[is(1)])]);
    let refused = |policy: &Policy| -> Vec<String> {
        let all = libseccomp_c::write(policy).expect_err("it is refused");
        assert!(all.iter().all(|one| one.id == "cannot-write" && one.is_error()));
        all.into_iter().map(|one| one.message).collect()
    };
    let with = |change: &dyn Fn(&mut Policy)| {
        let mut policy = plain.clone();
        change(&mut policy);
        refused(&policy)
    };
    assert_eq!(
        with(&|p| p.default = here(Action::Errno(4095))),
        ["libseccomp refuses the error number 4095"]
    );
    assert_eq!(
        with(&|p| p.entries[0].action = here(Action::Trap(7))),
        ["libseccomp has no data for a trap, here 7"]
    );
    assert_eq!(
        with(&|p| p.architectures = Architectures::List([here(Abi::Alpha)].into())),
        ["libseccomp has no architecture alpha"]
    );
    assert_eq!(
        with(&|p| {
            let row = (here(Abi::X86_64), Vec::from([here(Abi::X86)]));
            p.architectures = Architectures::Map(Vec::from([row]));
        }),
        ["one program is for one machine"]
    );
    assert_eq!(
        with(&|p| p.listener = Some(Listener { path: here("/x".into()), metadata: None })),
        ["a socket for the supervisor is the runtime's business"]
    );
    assert_eq!(
        with(&|p| {
            p.entries[0].excludes =
                Condition { arches: [here("arm".into())].into(), ..Condition::default() };
        }),
        ["entry 0 has conditions on the machine"]
    );
    assert_eq!(
        with(&|p| {
            p.architectures = Architectures::List([Abi::X86_64, Abi::X86].map(here).into());
            p.entries[0].abis.push(Abi::X86);
        }),
        ["entry 0 is for x86 alone, and libseccomp's rules are for all architectures"]
    );
    assert_eq!(
        with(&|p| p.entries[0].names[0].value = "raed".into()),
        ["no syscall is called `raed`"]
    );
    assert_eq!(
        with(&|p| {
            p.entries[0].comparisons = [here(Comparison::low32(ARG, Test::Ge(7)))].into();
        }),
        ["entry 0 compares the low 32 bits alone (arg0 >= 0x7)"]
    );
    assert_eq!(
        with(&|p| p.entries[0].comparisons.push(here(Comparison::full(ARG, Test::Ne(7))))),
        ["entry 0 compares an argument twice"]
    );
    assert_eq!(
        with(&|p| {
            let second = Comparison::full(ArgIndex::ALL[1], Test::Eq(1));
            p.entries.push(entry(&["read"], Action::KillProcess, &[second]));
        }),
        ["libseccomp would not take the rules of `read` in this order on x86_64"]
    );
    assert_eq!(
        with(&|p| {
            p.architectures = Architectures::List([Abi::X86_64, Abi::X86].map(here).into());
            p.entries = [entry(&["socket"], Action::Allow, &[])].into();
        }),
        ["libseccomp adds rules for `socketcall` on x86 that the policy lacks"]
    );
    let several = with(&|p| {
        p.flags.push(here(FilterFlag::Tsync));
        p.other = Action::Trap(3);
        p.entries[0].names[0].value = "mout".into();
    });
    assert_eq!(several.len(), 2, "{several:?}");
}
