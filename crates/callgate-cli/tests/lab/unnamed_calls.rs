//! Calls that a profile does not name: newer ones, foreign architectures, x32, and number -1.

use serde_json::{Value, json};

use super::{
    Lab,
    calls::{Abi, Call},
    facts::{Fact, hold},
    names::Names,
    precedence::with_own_calls,
};

/// A refusing profile that names nothing newer than close_range beside `entries`.
fn refusing(default: &str, architectures: &[&str], entries: &[Value]) -> String {
    let mut profile = json!({ "defaultAction": default, "syscalls": with_own_calls(entries) });
    if !architectures.is_empty() {
        profile["architectures"] =
            architectures.iter().map(|arch| format!("SCMP_ARCH_{arch}")).collect();
    }
    profile.to_string()
}

fn name(name: &str) -> Value {
    json!({ "names": [name], "action": "SCMP_ACT_ALLOW" })
}

fn call(names: &Names, abi: Abi, name: &str) -> Call {
    let number = names.number(abi, name).expect("libseccomp knows the call");
    Call::harmless(abi, number)
}

/// close_range is 436, openat2 437, pidfd_getfd 438, faccessat2 439, process_madvise 440.
#[test]
fn calls_newer_than_all_that_the_profile_names_get_enosys() {
    let Some(lab) = Lab::open() else { return };
    let native = |name| call(&lab.names, Abi::X86_64, name);
    let number = |number| Call::harmless(Abi::X86_64, number);
    let all = ["X86_64", "X86", "X32"];
    hold(
        &lab,
        &[
            Fact::answers(
                "above the largest number named",
                refusing("SCMP_ACT_TRAP", &all, &[name("openat2")]),
                [
                    (native("io_uring_enter"), "trap 0"),
                    (native("mount"), "trap 0"),
                    (native("pidfd_getfd"), "errno 38"),
                    (native("faccessat2"), "errno 38"),
                    (number(5000), "errno 38"),
                ],
            ),
            Fact::answers(
                "also by a rule that is conditional or equal to the default",
                refusing(
                    "SCMP_ACT_TRAP",
                    &all,
                    &[json!({
                        "names": ["faccessat2"], "action": "SCMP_ACT_TRAP",
                        "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_EQ" }],
                    })],
                ),
                [
                    (native("pidfd_getfd"), "trap 0"),
                    (native("faccessat2"), "trap 0"),
                    (native("process_madvise"), "errno 38"),
                ],
            ),
            Fact::answers(
                "each architecture by its own numbers",
                refusing("SCMP_ACT_TRAP", &all, &[name("openat2")]),
                [
                    (call(&lab.names, Abi::X86, "io_uring_enter"), "trap 0"),
                    (call(&lab.names, Abi::X86, "pidfd_getfd"), "errno 38"),
                    // x32's own numbers, from 512 on, make nearly every profile's largest.
                    (call(&lab.names, Abi::X32, "pidfd_getfd"), "trap 0"),
                    (Call::harmless(Abi::X32, 0x4000_0000 + 548), "errno 38"),
                ],
            ),
            Fact::answers(
                "the killing default too",
                refusing("SCMP_ACT_KILL_PROCESS", &all, &[name("openat2")]),
                [(native("mount"), "killed 31"), (native("pidfd_getfd"), "errno 38")],
            ),
        ],
    );
}

#[test]
fn an_architecture_that_the_profile_does_not_list_has_no_enosys_rule() {
    let Some(lab) = Lab::open() else { return };
    let newest = Call::harmless(Abi::X86_64, 5000);
    let default = |architectures: &[&str]| refusing("SCMP_ACT_TRAP", architectures, &[]);
    hold(
        &lab,
        &[
            Fact::answers("none listed", default(&[]), [(newest, "trap 0")]),
            Fact::answers("only another listed", default(&["X86"]), [(newest, "trap 0")]),
            Fact::answers("listed", default(&["X86_64"]), [(newest, "errno 38")]),
        ],
    );
}

#[test]
fn a_permissive_default_has_no_enosys_rule() {
    let Some(lab) = Lab::open() else { return };
    // A call that the kernel has, so that its own answer is another.
    let newest = call(&lab.names, Abi::X86_64, "openat2");
    let kernels = "errno 7";
    let facts: Vec<Fact> = ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG"]
        .into_iter()
        .map(|default| {
            let entry = json!({ "names": ["getppid"], "action": "SCMP_ACT_ERRNO" });
            let profile = json!({
                "defaultAction": default,
                "architectures": ["SCMP_ARCH_X86_64"],
                "syscalls": [entry],
            });
            Fact::answers(default, profile.to_string(), [(newest, kernels)])
        })
        .collect();
    hold(&lab, &facts);
}

#[test]
fn a_foreign_architecture_is_killed() {
    let Some(lab) = Lab::open() else { return };
    let x86 = call(&lab.names, Abi::X86, "getppid");
    let x32 = call(&lab.names, Abi::X32, "getppid");
    let allowing = |architectures: &[&str]| {
        let mut profile = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO" }],
        });
        profile["architectures"] = json!(architectures);
        profile.to_string()
    };
    let native = call(&lab.names, Abi::X86_64, "getppid");
    hold(
        &lab,
        &[
            Fact::answers(
                "x86 and x32, with only x86_64 listed",
                allowing(&["SCMP_ARCH_X86_64"]),
                [(x86, "killed 31"), (x32, "killed 31"), (native, "ok")],
            ),
            Fact::answers(
                "x32, with x86 listed",
                allowing(&["SCMP_ARCH_X86"]),
                [(x86, "ok"), (x32, "killed 31"), (native, "ok")],
            ),
            Fact::answers(
                "x86, with x32 listed; this kernel has no x32, and says so itself",
                allowing(&["SCMP_ARCH_X32"]),
                [(x86, "killed 31"), (x32, "errno 38"), (native, "ok")],
            ),
        ],
    );
}

#[test]
fn x32_is_filtered_by_its_own_numbers() {
    let Some(lab) = Lab::open() else { return };
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X32"],
        "syscalls": [
            { "names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1001 },
            // x32 has an ioctl of its own, number 514; 16 is only x86_64's.
            { "names": ["ioctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1002 },
            { "names": ["getuid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1003,
              "args": [{ "index": 0, "value": 0x5_0000_0003_u64, "op": "SCMP_CMP_EQ" }] },
        ],
    });
    let x32 = |number: u32| Call::harmless(Abi::X32, 0x4000_0000 + number);
    let getuid = |abi, value| Call::named(&lab.names, abi, "getuid", &[value]);
    hold(
        &lab,
        &[Fact::answers(
            "numbers and the low word",
            profile.to_string(),
            [
                (call(&lab.names, Abi::X32, "getppid"), "errno 1001"),
                (x32(514), "errno 1002"),
                (x32(16), "errno 38"),
                (call(&lab.names, Abi::X86_64, "ioctl"), "errno 1002"),
                (getuid(Abi::X86_64, 0x5_0000_0003), "errno 1003"),
                (getuid(Abi::X86_64, 3), "ok"),
                (getuid(Abi::X32, 3), "errno 1003"),
                (getuid(Abi::X32, 0x7_0000_0003), "errno 1003"),
                (getuid(Abi::X32, 4), "errno 38"),
            ],
        )],
    );
}

/// What a tracer sets to skip a call.
#[test]
fn number_minus_one_is_no_x32_call() {
    let Some(lab) = Lab::open() else { return };
    let minus_one = Call::harmless(Abi::X86_64, u32::MAX);
    let almost = Call::harmless(Abi::X86_64, u32::MAX - 1);
    hold(
        &lab,
        &[
            Fact::answers(
                "without x32, -1 meets the default and -2 the foreign architecture's end",
                refusing("SCMP_ACT_TRAP", &["X86_64"], &[]),
                [(minus_one, "trap 0"), (almost, "killed 31")],
            ),
            Fact::answers(
                "with x32, both are newer than all of its calls",
                refusing("SCMP_ACT_TRAP", &["X86_64", "X32"], &[]),
                [(minus_one, "errno 38"), (almost, "errno 38")],
            ),
            Fact::answers(
                "without an ENOSYS rule",
                refusing("SCMP_ACT_TRAP", &[], &[]),
                [(minus_one, "trap 0"), (almost, "killed 31")],
            ),
        ],
    );
}

/// x86 reaches sockets through one call, of which libseccomp sees the first argument alone.
#[test]
fn sockets_of_x86_are_filtered_through_socketcall_as_well() {
    let Some(lab) = Lab::open() else { return };
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "syscalls": [
            { "names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1001,
              "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_EQ" }] },
            { "names": ["shmget"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1002 },
            // accept has no number of its own on x86.
            { "names": ["accept"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1003 },
        ],
    });
    let through = |number: u32, first: u64| {
        let mut call = Call::harmless(Abi::X86, number);
        call.args[0] = first;
        call
    };
    let direct = |family| Call::named(&lab.names, Abi::X86, "socket", &[family, 1]);
    hold(
        &lab,
        &[Fact::answers(
            "socketcall and ipc",
            profile.to_string(),
            [
                (direct(1), "errno 1001"),
                (direct(2), "ok"),
                // SYS_SOCKET, whatever the family; SYS_BIND; SYS_ACCEPT.
                (through(102, 1), "errno 1001"),
                (through(102, 2), "errno 14"),
                (through(102, 5), "errno 1003"),
                // SHMGET, SEMGET.
                (through(117, 23), "errno 1002"),
                (through(117, 2), "errno 22"),
            ],
        )],
    );
}
