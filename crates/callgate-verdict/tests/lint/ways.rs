//! Calls that do what others are refused.

use callgate_diagnostic::Severity;
use callgate_policy::NewerCalls;
use callgate_syscalls::Abi;

use crate::common::{allowing, program, refusing};

/// An entry for these names.
fn entry(action: &str, names: &str) -> String {
    let names: Vec<String> = names.split(' ').map(|name| format!("\"{name}\"")).collect();
    format!(r#"{{ "names": [{}], "action": "SCMP_ACT_{action}" }}"#, names.join(", "))
}

/// clone without new user namespaces.
const CLONE: &str = r#"{ "names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 268435456, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }] }"#;

#[test]
fn clone3_takes_the_flags_that_clone_is_refused() {
    let found = refusing(&format!("{CLONE}, {}", entry("ALLOW", "read clone3 write"))).lint();
    let finding = found.fires("clone3-unfiltered");
    assert!(finding.example.unwrap().action.runs_call());
    let mended = found.mend("clone3-unfiltered");
    assert!(mended.contains(r#""read", "write""#), "{mended}");
    assert!(mended.contains(r#"["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38"#));
    // Without conditions on clone there is nothing to get round.
    refusing(&entry("ALLOW", "clone clone3")).lint().is_silent("clone3-unfiltered");
    refusing(CLONE).lint().is_silent("clone3-unfiltered");
}

#[test]
fn clone_makes_namespaces_too() {
    let found = refusing(&entry("ALLOW", "clone")).lint();
    let finding = found.shows_a_way("clone-namespaces");
    assert_eq!(finding.diagnostic.severity, Severity::Note);
    refusing(CLONE).lint().is_silent("clone-namespaces");
    refusing(&entry("ALLOW", "clone unshare")).lint().is_silent("clone-namespaces");
}

#[test]
fn a_more_general_call_gets_round_a_refusal() {
    let found = allowing(&entry("ERRNO", "open openat")).lint();
    let finding = found.shows_a_way("family-hole");
    assert!(finding.diagnostic.message.contains("openat2"), "{finding:#?}");
    let found = allowing(&entry("ERRNO", "execve")).lint();
    found.shows_a_way("family-hole");
    let mended = found.mend("family-hole");
    assert!(mended.contains(r#""execve", "execveat""#), "{mended}");
}

#[test]
fn families_in_step_are_no_hole() {
    for names in ["creat open openat openat2", "mkdir mkdirat", "chmod fchmodat fchmodat2"] {
        allowing(&entry("ERRNO", names)).lint().is_silent("family-hole");
    }
    // What a list of permissions leaves out, it has not refused.
    refusing(&entry("ALLOW", "openat clone mkdirat")).lint().is_silent("family-hole");
    // A moved mount must have been made.
    allowing(&entry("ERRNO", "mount open_tree fsmount")).lint().is_silent("family-hole");
    allowing(&entry("ERRNO", "mount")).lint().shows_a_way("family-hole");
}

#[test]
fn an_old_call_alone_leaves_libraries_without() {
    let found = refusing(&entry("ALLOW", "open read")).lint();
    let finding = found.fires("family-gap");
    assert_eq!(finding.diagnostic.severity, Severity::Note);
    let mended = found.mend("family-gap");
    assert!(mended.contains(r#""open", "openat""#), "{mended}");
    refusing(&entry("ALLOW", "open openat read")).lint().is_silent("family-gap");
    // Refused on purpose.
    let refused = r#", { "names": ["openat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13 }"#;
    refusing(&(entry("ALLOW", "open read") + refused)).lint().is_silent("family-gap");
}

#[test]
fn a_handler_may_make_the_newer_call() {
    let text = entry("ALLOW", "open read poll");
    let trap = format!(r#"{{ "defaultAction": "SCMP_ACT_TRAP", "syscalls": [ {text} ] }}"#);
    let found = crate::common::profile(&trap).newer(NewerCalls::Default).lint();
    found.is_silent("family-gap");
    found.is_silent("restart-syscall");
}

#[test]
fn socketcall_makes_every_socket() {
    let unix = r#"{ "names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_EQ" }] }"#;
    // The entry itself permits socketcall for socket, without its condition.
    let found = refusing(unix).on(&[Abi::X86_64, Abi::X86]).lint();
    let finding = found.shows_a_way("multiplexer-open");
    assert_eq!(finding.example.unwrap().call.args[0], 1);
    refusing(unix).on(&[Abi::X86_64]).lint().is_silent("multiplexer-open");
    let refused = allowing(&entry("ERRNO", "shmget")).on(&[Abi::X86]).lint();
    refused.is_silent("multiplexer-open");
    // Every call that it reaches is permitted.
    let all = "socketcall socket bind connect listen accept getsockname getpeername socketpair send \
        recv sendto recvfrom shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg";
    let all = all.split_whitespace().collect::<Vec<_>>().join(" ");
    let both = refusing(&entry("ALLOW", &all)).on(&[Abi::X86_64, Abi::X86]);
    both.lint().is_silent("multiplexer-open");
}

#[test]
fn ipc_reaches_what_is_refused_directly() {
    // x86: shmget refused, ipc left.
    let program_with = |ipc: &str| {
        format!(
            "       ld   [arch]
                    jne  #0x40000003, bad
                    ld   [nr]
                    jeq  #395, no
                    jeq  #117, ipc
                    ret  allow
            ipc:    ld   [args[0].low]
                    jeq  #23, {ipc}
                    ret  allow
            no:     ret  errno(1)
            yes:    ret  allow
            bad:    ret  kill_process"
        )
    };
    program(&program_with("yes")).shows_a_way("multiplexer-open");
    program(&program_with("no")).is_silent("multiplexer-open");
}

#[test]
fn io_uring_does_what_is_refused() {
    let found = allowing(&entry("ERRNO", "mkdir mkdirat")).lint();
    let finding = found.shows_a_way("io-uring-open");
    assert!(finding.diagnostic.message.contains("mkdirat"), "{finding:#?}");
    let mkdir = entry("ERRNO", "mkdir mkdirat io_uring_setup");
    allowing(&mkdir).lint().is_silent("io-uring-open");
    // No operation does what is refused.
    allowing(&entry("ERRNO", "reboot")).lint().is_silent("io-uring-open");
    // The kernel has no such operation yet.
    let old = allowing(&entry("ERRNO", "mkdir mkdirat")).kernel(5, 10).lint();
    old.is_silent("io-uring-open");
    let listed = refusing(&entry("ALLOW", "read io_uring_setup io_uring_enter")).lint();
    listed.shows_a_way("io-uring-open");
    listed.mend("io-uring-open");
}

#[test]
fn other_processes_are_reached_in_several_ways() {
    let found = allowing(&entry("ERRNO", "ptrace")).lint();
    let finding = found.shows_a_way("process-access");
    assert_eq!(finding.diagnostic.severity, Severity::Warning);
    let all = entry("ERRNO", "ptrace process_vm_readv process_vm_writev pidfd_getfd");
    allowing(&all).lint().is_silent("process-access");
    // Permitted by a list: worth knowing.
    let found = refusing(&entry("ALLOW", "ptrace")).lint();
    assert_eq!(found.fires("process-access").diagnostic.severity, Severity::Note);
    refusing(&entry("ALLOW", "read")).lint().is_silent("process-access");
}

#[test]
fn a_tracer_gets_round_the_filters_of_old_kernels() {
    let text = entry("ALLOW", "ptrace read");
    refusing(&text).kernel(4, 7).lint().fires("ptrace-old-kernel");
    refusing(&text).kernel(4, 8).lint().is_silent("ptrace-old-kernel");
    refusing(&entry("ALLOW", "read")).kernel(4, 7).lint().is_silent("ptrace-old-kernel");
}

#[test]
fn an_own_listener_outranks_the_tracer() {
    let traced = entry("TRACE", "mkdir");
    let found = refusing(&format!("{traced}, {}", entry("ALLOW", "seccomp"))).lint();
    let finding = found.fires("trace-overridden");
    assert!(finding.example.unwrap().action.runs_call());
    refusing(&traced).lint().is_silent("trace-overridden");
    // A filter without a listener is harmless.
    let plain = r#"{ "names": ["seccomp"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 1, "value": 8, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }] }"#;
    refusing(&format!("{traced}, {plain}")).lint().is_silent("trace-overridden");
}
