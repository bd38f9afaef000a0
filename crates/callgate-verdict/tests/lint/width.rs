//! Comparisons of more or less of an argument than the kernel reads, and of addresses.

use callgate_diagnostic::Severity;
use callgate_syscalls::Abi;

use crate::common::{allowing, program, refusing};

fn condition(name: &str, action: &str, index: u8, value: u64, op: &str) -> String {
    format!(
        r#"{{ "names": ["{name}"], "action": "{action}", "args": [{{ "index": {index}, "value": {value}, "op": "SCMP_CMP_{op}" }}] }}"#
    )
}

const X86_64: &str = "
                ld   [arch]
                jne  #0xc000003e, bad
                ld   [nr]
                jge  #0x40000000, bad";

#[test]
fn a_refusal_of_an_int_on_64_bits_is_got_round() {
    // ioctl(fd, TIOCSTI): the kernel reads 32 bits of the command.
    let text = condition("ioctl", "SCMP_ACT_ERRNO", 1, 0x5412, "EQ");
    let found = allowing(&text).on(&[Abi::X86_64]).lint();
    let finding = found.shows_a_way("dirty-upper-half");
    let example = finding.example.unwrap();
    let low = |value: u64| value & 0xffff_ffff;
    assert_eq!(low(example.call.args[1]), 0x5412);
    assert_eq!(example.against.unwrap().0.args[1], 0x5412);
    let mended = found.mend("dirty-upper-half");
    assert!(
        mended.contains(r#""value": 4294967295, "valueTwo": 21522, "op": "SCMP_CMP_MASKED_EQ""#)
    );
}

#[test]
fn a_bound_becomes_several_masks() {
    let text = condition("dup", "SCMP_ACT_ERRNO", 0, 6, "LT");
    let found = allowing(&text).on(&[Abi::X86_64]).lint();
    found.shows_a_way("dirty-upper-half");
    let mended = found.mend("dirty-upper-half");
    assert_eq!(mended.matches("SCMP_CMP_MASKED_EQ").count(), 2, "{mended}");
}

#[test]
fn a_permission_of_an_int_on_64_bits_is_no_hole() {
    let found = refusing(&condition("dup", "SCMP_ACT_ALLOW", 0, 2, "EQ")).lint();
    found.is_silent("dirty-upper-half");
    found.is_silent("sign-extension");
    // But a lower bound takes in every dirty register.
    let found = refusing(&condition("dup", "SCMP_ACT_ALLOW", 0, 2, "GT")).lint();
    found.shows_a_way("dirty-upper-half");
}

#[test]
fn comparisons_that_fit_the_type_are_right() {
    for text in [
        // 32 bits of 32.
        r#"{ "names": ["dup"], "action": "SCMP_ACT_ERRNO", "args": [{ "index": 0, "value": 4294967295, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ" }] }"#.to_owned(),
        // 64 bits of 64: a length.
        condition("mmap", "SCMP_ACT_ERRNO", 1, 4096, "GT"),
        // Flags in an unsigned long.
        r#"{ "names": ["clone"], "action": "SCMP_ACT_ERRNO", "args": [{ "index": 0, "value": 268435456, "valueTwo": 268435456, "op": "SCMP_CMP_MASKED_EQ" }] }"#.to_owned(),
    ] {
        let found = allowing(&text).on(&[Abi::X86_64]).lint();
        found.is_silent("dirty-upper-half");
        found.is_silent("lower-half-only");
    }
}

#[test]
fn libseccomp_compares_the_low_word_on_32_bit_abis() {
    let text = condition("dup", "SCMP_ACT_ERRNO", 0, 2, "EQ");
    let found = allowing(&text).on(&[Abi::X86]).lint();
    found.is_silent("int80-upper-half");
    found.is_silent("dirty-upper-half");
}

#[test]
fn whole_registers_of_int_0x80_are_more_than_the_kernel_uses() {
    let dup = |word: &str| {
        format!(
            "       ld   [arch]
                    jne  #0x40000003, bad
                    ld   [nr]
                    jne  #41, yes
                    ld   [args[0].low]
                    jne  #1, yes
                    {word}
            no:     ret  errno(1)
            yes:    ret  allow
            bad:    ret  kill_process"
        )
    };
    let found = program(&dup("ld [args[0].high]\njne #0, yes"));
    let finding = found.shows_a_way("int80-upper-half");
    assert_eq!(finding.example.unwrap().call.args[0] & 0xffff_ffff, 1);
    program(&dup("ld [args[1].low]\njne #0, no")).is_silent("int80-upper-half");
}

#[test]
fn half_of_a_wide_argument_is_too_little() {
    // mmap of at most 4096 bytes, by the low word alone; or with both.
    let bound = |high: &str| {
        format!(
            "{X86_64}
                    jne  #9, yes
                    {high}
                    ld   [args[1].low]
                    jgt  #4096, no
            yes:    ret  allow
            no:     ret  errno(12)
            bad:    ret  kill_process"
        )
    };
    let found = program(&bound(""));
    let finding = found.shows_a_way("lower-half-only");
    assert!(finding.example.unwrap().call.args[1] > 4096);
    program(&bound("ld [args[1].high]\njne #0, no")).is_silent("lower-half-only");
}

#[test]
fn a_mask_of_flags_may_leave_the_upper_half_alone() {
    // mprotect's protection is an unsigned long: no PROT_EXEC.
    let found = program(&format!(
        "{X86_64}
                jne  #10, yes
                ld   [args[2].low]
                jset #4, no
        yes:    ret  allow
        no:     ret  errno(1)
        bad:    ret  kill_process"
    ));
    found.is_silent("lower-half-only");
}

#[test]
fn a_negative_number_has_two_spellings() {
    let one = refusing(&condition("personality", "SCMP_ACT_ALLOW", 0, 0xffff_ffff, "EQ")).lint();
    let finding = one.fires("sign-extension");
    assert_eq!(finding.diagnostic.severity, Severity::Note);
    let example = finding.example.unwrap();
    assert_eq!((example.call.args[0], example.action.runs_call()), (u64::MAX, false));
    let both = [
        condition("personality", "SCMP_ACT_ALLOW", 0, 0xffff_ffff, "EQ"),
        condition("personality", "SCMP_ACT_ALLOW", 0, u64::MAX, "EQ"),
    ];
    refusing(&both.join(", ")).lint().is_silent("sign-extension");
}

#[test]
fn an_address_says_nothing() {
    let text = condition("openat", "SCMP_ACT_ALLOW", 1, 0x7fff_1000, "EQ");
    let found = refusing(&text).lint();
    assert_eq!(found.fires("pointer-compared").diagnostic.severity, Severity::Warning);
    // NULL is no address.
    let null = condition("rt_sigaction", "SCMP_ACT_ALLOW", 1, 0, "EQ");
    refusing(&null).lint().is_silent("pointer-compared");
    // Nor is a number.
    let number = condition("dup", "SCMP_ACT_ALLOW", 0, 0x7fff_1000, "EQ");
    refusing(&number).lint().is_silent("pointer-compared");
}

#[test]
fn addresses_that_a_program_pins_are_a_note() {
    // What a program that keeps its strings in read-only memory loads.
    let pinned = |mprotect: &str| {
        format!(
            "{X86_64}
                    jeq  #10, {mprotect}
                    jne  #257, bad
                    ld   [args[1].high]
                    jne  #0x7f00, no
                    ld   [args[1].low]
                    jeq  #0x1000, yes
            no:     ret  errno(1)
            yes:    ret  allow
            bad:    ret  kill_process"
        )
    };
    let found = program(&pinned("no"));
    assert_eq!(found.fires("pointer-compared").diagnostic.severity, Severity::Note);
    let found = program(&pinned("yes"));
    assert_eq!(found.fires("pointer-compared").diagnostic.severity, Severity::Warning);
}

#[test]
fn a_supervisor_cannot_trust_what_lies_behind_an_address() {
    let ask = |name: &str| format!(r#"{{ "names": ["{name}"], "action": "SCMP_ACT_NOTIFY" }}"#);
    let found = allowing(&ask("mknod")).lint();
    let finding = found.fires("notify-pointer");
    assert_eq!(finding.diagnostic.severity, Severity::Note);
    assert_eq!(finding.example.unwrap().action, callgate_bpf::Action::UserNotif);
    // socket has no address among its arguments.
    allowing(&ask("socket")).on(&[Abi::X86_64]).lint().is_silent("notify-pointer");
}
