//! What Go's JSON reader makes of a profile, which is what runc, dockerd and podman read with.

use super::{
    Lab,
    calls::Call,
    facts::{Fact, hold},
};

#[test]
fn keys_are_taken_in_any_letter_case() {
    let Some(lab) = Lab::open() else { return };
    let call = Call::native(&lab.names, "getppid", &[]);
    hold(
        &lab,
        &[
            Fact::answers(
                "upper and lower",
                r#"{ "DEFAULTACTION": "SCMP_ACT_ALLOW", "sYsCaLlS": [
                     { "Names": ["getppid"], "ACTION": "SCMP_ACT_ERRNO", "errnoret": 1001 }] }"#,
                [(call, "errno 1001")],
            ),
            // The fold is Unicode's: LATIN SMALL LETTER LONG S is an s, KELVIN SIGN a k.
            Fact::answers(
                "letters that fold to ASCII ones",
                r#"{ "defaultAction": "SCMP_ACT_ALLOW", "ſyscallſ": [
                     { "nameſ": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1001 }] }"#,
                [(call, "errno 1001")],
            ),
            Fact::answers(
                "escapes in keys and words",
                r#"{ "default\u0041ction": "SCMP_ACT_ALLOW", "syscalls": [
                     { "names": ["get\u0070pid"], "action": "SCMP_\u0041CT_ERRNO", "errnoRet": 1001 }] }"#,
                [(call, "errno 1001")],
            ),
        ],
    );
}

#[test]
fn the_last_of_two_equal_keys_counts() {
    let Some(lab) = Lab::open() else { return };
    let getppid = Call::native(&lab.names, "getppid", &[]);
    let getuid = Call::native(&lab.names, "getuid", &[]);
    hold(
        &lab,
        &[
            Fact::answers(
                "a word",
                r#"{ "defaultAction": "SCMP_ACT_KILL_PROCESS", "defaultAction": "SCMP_ACT_ALLOW",
                     "syscalls": [{ "names": ["getppid"], "action": "SCMP_ACT_ERRNO",
                                    "errnoRet": 1001, "errnoRet": 1002 }] }"#,
                [(getppid, "errno 1002"), (getuid, "ok")],
            ),
            Fact::answers(
                "in another letter case too",
                r#"{ "defaultAction": "SCMP_ACT_ALLOW",
                     "syscalls": [{ "names": ["getppid"], "NAMES": ["getuid"],
                                    "action": "SCMP_ACT_ERRNO", "errnoRet": 1001 }] }"#,
                [(getppid, "ok"), (getuid, "errno 1001")],
            ),
            Fact::answers(
                "a list",
                r#"{ "defaultAction": "SCMP_ACT_ALLOW",
                     "syscalls": [{ "names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1001 }],
                     "syscalls": [{ "names": ["getuid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1002 }] }"#,
                [(getppid, "ok"), (getuid, "errno 1002")],
            )
            .but_callgate_refuses("`syscalls` is given twice"),
        ],
    );
}

/// Go fills the elements of the first list again, and what the second leaves out stays. That is
/// nobody's intention: callgate refuses two lists, even where they would not mix.
#[test]
fn what_the_second_list_leaves_out_stays_from_the_first() {
    let Some(lab) = Lab::open() else { return };
    let getppid = Call::native(&lab.names, "getppid", &[]);
    let getuid = Call::native(&lab.names, "getuid", &[]);
    hold(
        &lab,
        &[Fact::answers(
            "errnoRet",
            r#"{ "defaultAction": "SCMP_ACT_ALLOW",
                 "syscalls": [{ "names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1001 }],
                 "syscalls": [{ "names": ["getuid"], "action": "SCMP_ACT_ERRNO" }] }"#,
            [(getppid, "ok"), (getuid, "errno 1001")],
        )
        .but_callgate_refuses("`syscalls` is given twice")],
    );
}

#[test]
fn keys_that_it_does_not_know_are_passed_over() {
    let Some(lab) = Lab::open() else { return };
    let call = Call::native(&lab.names, "getppid", &[]);
    hold(
        &lab,
        &[
            Fact::answers(
                "a remark",
                r#"{ "defaultAction": "SCMP_ACT_ALLOW", "remark": { "by": ["someone", 1, null] },
                     "syscalls": [{ "names": ["getppid"], "action": "SCMP_ACT_ERRNO",
                                    "comment": "why", "errnoRet": 1001 }] }"#,
                [(call, "errno 1001")],
            ),
            Fact::answers(
                "a key that Docker knows, with a condition that does not hold",
                r#"{ "defaultAction": "SCMP_ACT_ALLOW",
                     "syscalls": [{ "names": ["getppid"], "action": "SCMP_ACT_ERRNO",
                                    "errnoRet": 1001, "includes": { "caps": ["CAP_SYS_ADMIN"] } }] }"#,
                [(call, "errno 1001")],
            )
            .but_callgate_refuses("includes"),
            Fact::answers(
                "the old name, so that nothing is refused",
                r#"{ "defaultAction": "SCMP_ACT_ALLOW",
                     "syscalls": [{ "name": "getppid", "action": "SCMP_ACT_ERRNO" }] }"#,
                [(call, "ok")],
            )
            .but_callgate_refuses("name"),
        ],
    );
}

#[test]
fn null_means_that_the_key_was_not_there() {
    let Some(lab) = Lab::open() else { return };
    let call = Call::native(&lab.names, "getppid", &[]);
    hold(
        &lab,
        &[Fact::answers(
            "everywhere",
            r#"{ "defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": null, "architectures": null,
                 "flags": null, "listenerPath": null,
                 "syscalls": [{ "names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": null,
                                "args": null }] }"#,
            [(call, "errno 1")],
        )],
    );
}

#[test]
fn numbers_are_whole_and_written_without_an_exponent() {
    let Some(lab) = Lab::open() else { return };
    let call = |value| Call::native(&lab.names, "getppid", &[value]);
    let equal_to = |text: &str| {
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["getppid"],
             "action": "SCMP_ACT_ERRNO", "errnoRet": 1001,
             "args": [{ "index": 0, "value": VALUE, "op": "SCMP_CMP_EQ" }] }] }"#
            .replace("VALUE", text)
    };
    hold(
        &lab,
        &[
            Fact::answers(
                "the largest",
                equal_to("18446744073709551615"),
                [(call(u64::MAX), "errno 1001"), (call(u64::MAX - 1), "ok")],
            ),
            Fact::answers(
                "beyond 53 bits",
                equal_to("9007199254740993"),
                [(call(9_007_199_254_740_993), "errno 1001"), (call(9_007_199_254_740_992), "ok")],
            ),
            Fact::refused("too large", equal_to("18446744073709551616"), "value"),
            Fact::refused("negative", equal_to("-1"), "value"),
            Fact::refused("with a fraction", equal_to("1.0"), "value"),
            Fact::refused("with an exponent", equal_to("1e3"), "value"),
            Fact::refused("in quotes", equal_to("\"1\""), "value"),
        ],
    );
}

/// No action and no entry: runc takes it for no profile, and the container has no filter.
#[test]
fn an_empty_profile_is_no_profile() {
    let Some(lab) = Lab::open() else { return };
    let seccomp = Call::native(&lab.names, "getppid", &[]);
    hold(
        &lab,
        &[
            Fact::answers("runc loads nothing", "{}", [(seccomp, "ok")])
                .but_callgate_refuses("defaultAction"),
            Fact::refused(
                "entries without a default",
                r#"{ "syscalls": [{ "names": ["getppid"], "action": "SCMP_ACT_ERRNO" }] }"#,
                "not a valid action",
            ),
        ],
    );
}
