//! Actions and their data.

use serde_json::{Value, json};

use super::{
    Lab,
    calls::{Call, Mode},
    facts::{Fact, hold},
};

fn getppid(action: &str, errno: Value) -> String {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["getppid"], "action": action, "errnoRet": errno }],
    })
    .to_string()
}

#[test]
fn errno_values_are_those_that_a_libseccomp_rule_can_hold() {
    let Some(lab) = Lab::open() else { return };
    let call = Call::native(&lab.names, "getppid", &[]);
    let errno = |value: u64| getppid("SCMP_ACT_ERRNO", json!(value));
    let no_rule = "error adding seccomp filter rule for syscall getppid";
    hold(
        &lab,
        &[
            Fact::answers(
                "EPERM without one",
                getppid("SCMP_ACT_ERRNO", Value::Null),
                [(call, "errno 1")],
            ),
            Fact::answers("0: the call is skipped and returns 0", errno(0), [(call, "ok")]),
            Fact::answers("the largest, 4094", errno(4094), [(call, "errno 4094")]),
            Fact::refused("4095", errno(4095), no_rule),
            Fact::refused("40000, which is negative in 16 bits", errno(40000), no_rule),
            Fact::refused("a negative one", getppid("SCMP_ACT_ERRNO", json!(-1)), "errnoRet"),
            Fact::refused("a name", getppid("SCMP_ACT_ERRNO", json!("EPERM")), "errnoRet"),
            Fact::answers(
                "one that a KILL cannot hold is not looked at",
                getppid("SCMP_ACT_KILL_PROCESS", json!(5)),
                [(call, "killed 31")],
            ),
        ],
    );
}

#[test]
fn the_default_has_an_errno_of_its_own() {
    let Some(lab) = Lab::open() else { return };
    let call = Call::native(&lab.names, "getppid", &[]);
    let profile = |errno: Value| {
        let entries = super::precedence::with_own_calls(&[]);
        json!({ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": errno, "syscalls": entries })
            .to_string()
    };
    hold(
        &lab,
        &[
            Fact::answers("EPERM without one", profile(Value::Null), [(call, "errno 1")]),
            Fact::answers("its own", profile(json!(1234)), [(call, "errno 1234")]),
            Fact::refused("4095", profile(json!(4095)), "error"),
        ],
    );
}

#[test]
fn trace_tells_the_tracer_eperm_unless_the_rule_says_otherwise() {
    let Some(lab) = Lab::open() else { return };
    let plain = Call::native(&lab.names, "getppid", &[]);
    let traced = plain.with_mode(Mode::Traced);
    let trace = |errno: Value| getppid("SCMP_ACT_TRACE", errno);
    hold(
        &lab,
        &[
            Fact::answers(
                "without a value",
                trace(Value::Null),
                [(traced, "traced 1"), (plain, "errno 38")],
            ),
            Fact::answers("with one", trace(json!(777)), [(traced, "traced 777")]),
        ],
    );
}

#[test]
fn kill_ends_a_thread_and_kill_process_all_of_them() {
    let Some(lab) = Lab::open() else { return };
    let call = Call::native(&lab.names, "getppid", &[]).with_mode(Mode::Thread);
    let facts = [
        ("SCMP_ACT_KILL", "thread-killed"),
        ("SCMP_ACT_KILL_THREAD", "thread-killed"),
        ("SCMP_ACT_KILL_PROCESS", "killed 31"),
        ("SCMP_ACT_TRAP", "trap 0"),
        ("SCMP_ACT_LOG", "ok"),
        ("SCMP_ACT_ALLOW", "ok"),
    ]
    .map(|(action, answer)| Fact::answers(action, getppid(action, Value::Null), [(call, answer)]));
    hold(&lab, &facts);
}

#[test]
fn words_that_runc_does_not_know_start_nothing() {
    let Some(lab) = Lab::open() else { return };
    hold(
        &lab,
        &[
            Fact::refused("an action", getppid("SCMP_ACT_ERNO", Value::Null), "SCMP_ACT_ERNO"),
            Fact::refused(
                "in lower case",
                getppid("scmp_act_errno", Value::Null),
                "scmp_act_errno",
            ),
            Fact::refused(
                "an operator",
                r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["getppid"],
                     "action": "SCMP_ACT_ERRNO",
                     "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_EQUAL" }] }] }"#,
                "SCMP_CMP_EQUAL",
            ),
            Fact::refused(
                "an architecture",
                r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_AMD64"],
                     "syscalls": [{ "names": ["getppid"], "action": "SCMP_ACT_ERRNO" }] }"#,
                "SCMP_ARCH_AMD64",
            ),
        ],
    );
}

#[test]
fn a_name_that_no_table_has_is_passed_over() {
    let Some(lab) = Lab::open() else { return };
    let call = Call::native(&lab.names, "getppid", &[]);
    let refusing = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["mkidr", "getppid"], "action": "SCMP_ACT_ERRNO" }],
    });
    let allowing = json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": super::precedence::with_own_calls(&[
            json!({ "names": ["mkidr", "getuid"], "action": "SCMP_ACT_ALLOW" }),
        ]),
    });
    hold(
        &lab,
        &[
            Fact::answers(
                "a misspelt permission only refuses more",
                allowing.to_string(),
                [(Call::native(&lab.names, "getuid", &[]), "ok"), (call, "errno 1")],
            ),
            Fact::answers("a misspelt refusal", refusing.to_string(), [(call, "errno 1")])
                .but_callgate_refuses("mkidr"),
        ],
    );
}
