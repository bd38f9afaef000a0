//! Other ABIs of the machine.

use callgate_diagnostic::Severity;
use callgate_syscalls::Abi;

use crate::common::{allowing, program, programs, refusing};

/// Refuses mkdir on x86_64; `{other}` and `{x32}` say what becomes of the rest.
fn mkdir_refused(other: &str, x32: &str) -> String {
    format!(
        "       ld   [arch]
                jne  #0xc000003e, other
                ld   [nr]
                jge  #0x40000000, x32
                jeq  #83, no
                ret  allow
        no:     ret  errno(1)
        x32:    ret  {x32}
        other:  ret  {other}"
    )
}

#[test]
fn an_abi_that_is_not_looked_at_is_open() {
    let found = program(&mkdir_refused("allow", "kill_process"));
    let finding = found.shows_a_way("abi-open");
    assert_eq!(finding.diagnostic.severity, Severity::Error);
    assert!(finding.diagnostic.message.contains("x86 is allowed"), "{finding:#?}");
    assert!(finding.instruction.is_some());
    program(&mkdir_refused("kill_process", "kill_process")).is_silent("abi-open");
}

#[test]
fn a_filter_for_the_other_abi_closes_it() {
    let x86 = "
                ld   [arch]
                jne  #0x40000003, other
                ld   [nr]
                jeq  #39, no
        other:  ret  allow
        no:     ret  errno(1)";
    let both = programs(&[x86, &mkdir_refused("allow", "kill_process")]);
    both.is_silent("abi-open");
    both.is_silent("abi-looser");
    program(x86).shows_a_way("abi-open");
}

#[test]
fn an_abi_with_fewer_refusals_is_looser() {
    let found = program(
        "       ld   [arch]
                jeq  #0x40000003, x86
                jne  #0xc000003e, bad
                ld   [nr]
                jge  #0x40000000, bad
                jeq  #83, no                ; mkdir
                jeq  #165, no               ; mount
                ret  allow
        x86:    ld   [nr]
                jeq  #39, no                ; mkdir
                ret  allow
        no:     ret  errno(1)
        bad:    ret  kill_process",
    );
    let finding = found.shows_a_way("abi-looser");
    assert!(finding.diagnostic.message.ends_with(": mount"), "{finding:#?}");
    found.is_silent("x32-hole");
}

#[test]
fn what_x32_alone_refuses_is_kept_from_nobody() {
    // mkdir is permitted on x86_64 and x86, as by a library that knows no such call of x32.
    let found = program(
        "       ld   [arch]
                jeq  #0x40000003, x86
                jne  #0xc000003e, bad
                ld   [nr]
                jeq  #0, yes                ; read
                jeq  #83, yes               ; mkdir
                jeq  #0x40000000, yes       ; read of x32
        bad:    ret  kill_process
        x86:    ld   [nr]
                jeq  #3, yes                ; read
                jeq  #39, yes               ; mkdir
                ret  kill_process
        yes:    ret  allow",
    );
    found.is_silent("abi-looser");
    found.is_silent("abi-open");
}

#[test]
fn an_old_name_of_a_32_bit_abi_counts_as_the_new_one() {
    // x86 calls it stime; x86_64 has clock_settime and settimeofday.
    let text = r#"{ "names": ["settimeofday", "clock_settime", "clock_settime64"], "action": "SCMP_ACT_ERRNO" }"#;
    let finding = allowing(text).lint();
    assert!(finding.shows_a_way("abi-looser").diagnostic.message.ends_with(": stime"));
    allowing(&text.replace("[\"sett", "[\"stime\", \"sett")).lint().is_silent("abi-looser");
}

#[test]
fn numbers_of_x32_are_a_hole_where_bit_30_is_not_looked_at() {
    let finding = program(&mkdir_refused("kill_process", "allow"));
    let finding = finding.shows_a_way("x32-hole");
    assert_eq!(finding.example.unwrap().call.nr.0, 0x4000_0000 + 83);
    program(&mkdir_refused("kill_process", "errno(38)")).is_silent("x32-hole");
    // A list of what is permitted refuses them by itself.
    let list = "
                ld   [arch]
                jne  #0xc000003e, no
                ld   [nr]
                jeq  #0, yes
                jeq  #1, yes
        no:     ret  kill_process
        yes:    ret  allow";
    program(list).is_silent("x32-hole");
}

#[test]
fn old_kernels_run_512_to_547_as_x32() {
    let mkdir = r#"{ "names": ["execve"], "action": "SCMP_ACT_ERRNO" }"#;
    let found = allowing(mkdir).kernel(5, 3).lint();
    assert_eq!(found.shows_a_way("x32-hole").example.unwrap().call.nr.0, 520);
    allowing(mkdir).kernel(5, 4).lint().is_silent("x32-hole");
}

#[test]
fn numbers_without_an_architecture_mean_different_calls() {
    let bare = "ld [nr]\njeq #83, no\nret allow\nno: ret errno(1)";
    let finding = program(bare);
    let finding = finding.shows_a_way("no-arch-check");
    assert_eq!(finding.diagnostic.severity, Severity::Error);
    // mkdir of x86.
    assert_eq!(finding.example.unwrap().call.nr.0, 39);
    program(&mkdir_refused("kill_process", "kill_process")).is_silent("no-arch-check");
    // The same answer to everything needs no architecture.
    program("ret errno(1)").is_silent("no-arch-check");
    program("ret allow").is_silent("no-arch-check");
}

#[test]
fn a_profile_for_all_abis_is_no_hole_of_any() {
    for found in [
        refusing(r#"{ "names": ["read", "write", "exit_group"], "action": "SCMP_ACT_ALLOW" }"#),
        allowing(r#"{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }"#),
    ] {
        let found = found.lint();
        ["abi-open", "abi-looser", "x32-hole", "no-arch-check"]
            .into_iter()
            .for_each(|id| found.is_silent(id));
    }
    let text = r#"{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }"#;
    for abis in [&[Abi::Aarch64, Abi::Arm][..], &[Abi::S390x], &[Abi::Riscv64]] {
        let found = allowing(text).on(abis).lint();
        ["abi-open", "abi-looser", "x32-hole", "no-arch-check"]
            .into_iter()
            .for_each(|id| found.is_silent(id));
    }
}
