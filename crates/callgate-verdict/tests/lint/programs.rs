//! Instructions.

use callgate_bpf::Action;
use callgate_diagnostic::Severity;

use crate::common::{program, programs};

#[test]
fn a_shift_by_32_or_more_is_another_one_elsewhere() {
    let by = |mask: &str| {
        format!(
            "       ld   [args[0].low]
                    {mask}
                    tax
                    ld   #1
                    lsh  x
                    jeq  #1, yes
                    ret  errno(1)
            yes:    ret  allow"
        )
    };
    let found = program(&by(""));
    let finding = found.fires("unportable-shift");
    assert_eq!(finding.instruction.unwrap().index, 3);
    assert!(finding.example.unwrap().call.args[0] >= 32);
    program(&by("and #31")).is_silent("unportable-shift");
}

#[test]
fn a_division_by_0_ends_the_filter() {
    let by = |before: &str| {
        format!(
            "       ld   [args[0].low]
                    {before}
                    tax
                    ld   #100
                    div  x
                    jgt  #10, no
                    ret  allow
            no:     ret  kill_thread"
        )
    };
    let found = program(&by(""));
    let finding = found.fires("division-by-zero");
    let example = finding.example.unwrap();
    assert_eq!((example.call.args[0] & 0xffff_ffff, example.action), (0, Action::KillThread));
    assert_eq!(finding.instruction.unwrap().index, 3);
    // A RET 0 that is meant is none.
    program(&by("or #1")).is_silent("division-by-zero");
}

#[test]
fn a_return_that_nothing_comes_to_is_found() {
    let found = program(
        "       ld   [nr]
                and  #0xff
                jgt  #0xff, dead
                ret  allow
        dead:   ret  errno(1)",
    );
    let finding = found.fires("unreachable-return");
    assert_eq!(finding.diagnostic.severity, Severity::Note);
    assert_eq!(finding.instruction.unwrap().index, 4);
    program("ld [nr]\njeq #1, no\nret allow\nno: ret errno(1)").is_silent("unreachable-return");
}

#[test]
fn a_detour_keeps_a_call_out_of_the_cache() {
    let with = |detour: &str| {
        format!(
            "       ld   [arch]
                    jne  #0xc000003e, bad
                    ld   [nr]
                    jge  #0x40000000, bad
                    {detour}
                    jeq  #83, no
                    ret  allow
            no:     ret  errno(1)
            bad:    ret  kill_process"
        )
    };
    let found = program(&with("tax"));
    let finding = found.fires("cache-miss");
    assert_eq!(finding.diagnostic.severity, Severity::Note);
    assert_eq!(finding.example.unwrap().action, Action::Allow);
    program(&with("")).is_silent("cache-miss");
    // One filter of several is enough.
    programs(&[&with(""), &with("tax")]).fires("cache-miss");
}

#[test]
fn the_path_budget_is_counted_over_all_filters() {
    // 4,096 returns cost 8,195.
    let returns = "ret allow\n".repeat(4096);
    let of = |count: usize| programs(&vec![&*returns; count]);
    of(1).is_silent("path-budget");
    assert_eq!(of(2).fires("path-budget").diagnostic.severity, Severity::Warning);
    assert_eq!(of(4).fires("path-budget").diagnostic.severity, Severity::Error);
    // No constants to blind, and half of the budget.
    let plain = format!("{}ret a", "ld #0\n".repeat(4095));
    let of = |count: usize| programs(&vec![&*plain; count]);
    of(3).is_silent("path-budget");
    assert_eq!(of(5).fires("path-budget").diagnostic.severity, Severity::Note);
}
