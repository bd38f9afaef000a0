//! How calls are refused.

use callgate_bpf::Action;
use callgate_diagnostic::Severity;
use callgate_policy::NewerCalls;
use callgate_syscalls::Abi;

use crate::common::{allowing, profile, program, refusing};

fn allow(names: &str) -> String {
    let names: Vec<String> = names.split(' ').map(|name| format!("\"{name}\"")).collect();
    format!(r#"{{ "names": [{}], "action": "SCMP_ACT_ALLOW" }}"#, names.join(", "))
}

fn errno(name: &str, number: u16) -> String {
    format!(r#"{{ "names": ["{name}"], "action": "SCMP_ACT_ERRNO", "errnoRet": {number} }}"#)
}

#[test]
fn what_was_interrupted_must_go_on() {
    let found = refusing(&allow("read poll nanosleep")).lint();
    let finding = found.fires("restart-syscall");
    assert!(finding.diagnostic.message.contains("nanosleep and poll"), "{finding:#?}");
    let mended = found.mend("restart-syscall");
    assert!(mended.contains(r#""restart_syscall""#), "{mended}");
    refusing(&allow("read poll restart_syscall")).lint().is_silent("restart-syscall");
    // Nothing that can be interrupted so.
    refusing(&allow("read write")).lint().is_silent("restart-syscall");
}

#[test]
fn a_refusal_with_error_0_reports_success() {
    let found = allowing(&errno("setuid", 0)).lint();
    let finding = found.fires("errno-zero");
    assert_eq!(finding.example.unwrap().action, Action::Errno(0));
    assert!(finding.diagnostic.primary().is_some());
    allowing(&errno("setuid", 1)).lint().is_silent("errno-zero");
    let bytes =
        "ld [arch]\njne #0xc000003e, no\nld [nr]\njeq #105, no\nret allow\nno: ret errno(0)";
    assert!(program(bytes).fires("errno-zero").instruction.is_some());
}

#[test]
fn error_numbers_end_at_4095() {
    let with = |word: &str| {
        format!(
            "ld [arch]\njne #0xc000003e, bad\nld [nr]\njeq #83, no\nret allow\nno: ret #{word}\nbad: ret kill_process"
        )
    };
    let found = program(&with("0x51000"));
    let finding = found.fires("errno-range");
    assert_eq!(finding.example.unwrap().action, Action::Errno(4095));
    program(&with("0x50fff")).is_silent("errno-range");
}

#[test]
fn libraries_fall_back_on_enosys_alone() {
    let found = refusing(&allow("clone read")).newer(NewerCalls::Default).lint();
    let finding = found.fires("needs-enosys");
    assert_eq!(finding.example.unwrap().action, Action::Errno(1));
    let mended = found.mend("needs-enosys");
    assert!(mended.contains(r#""errnoRet": 38"#), "{mended}");
    let told = format!("{}, {}", allow("clone read"), errno("clone3", 38));
    refusing(&told).newer(NewerCalls::Default).lint().is_silent("needs-enosys");
    // Newer than the profile, which gives ENOSYS.
    refusing(&allow("clone read")).lint().is_silent("needs-enosys");
    // Without the older call there is nothing to fall back on.
    refusing(&allow("read")).newer(NewerCalls::Default).lint().is_silent("needs-enosys");
}

#[test]
fn times_of_64_bits_are_newer_on_32_bit_abis() {
    let text = allow("clock_gettime read");
    let found = refusing(&text).on(&[Abi::X86]).newer(NewerCalls::Default).lint();
    let finding = found.fires("needs-enosys");
    assert!(finding.diagnostic.message.contains("clock_gettime64"), "{finding:#?}");
    let wide = refusing(&text).on(&[Abi::X86_64]).newer(NewerCalls::Default).lint();
    wide.is_silent("needs-enosys");
}

#[test]
fn killing_what_is_not_listed_is_meant_but_for_threads() {
    let killing = |entries: &str| {
        let text =
            format!(r#"{{ "defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [ {entries} ] }}"#);
        profile(&text).newer(NewerCalls::Default).lint()
    };
    killing(&allow("faccessat read")).is_silent("needs-enosys");
    killing(&allow("clone read")).fires("needs-enosys");
}

#[test]
fn an_unknown_call_that_kills_is_a_note() {
    let killing = r#"{ "defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [ { "names": ["write"], "action": "SCMP_ACT_ALLOW" } ] }"#;
    let found = profile(killing).newer(NewerCalls::Default).lint();
    let finding = found.fires("kill-default");
    assert_eq!(finding.diagnostic.severity, Severity::Note);
    assert_eq!(finding.example.unwrap().action, Action::KillProcess);
    // ENOSYS for what is newer than the profile.
    profile(killing).lint().is_silent("kill-default");
    refusing(&allow("read")).lint().is_silent("kill-default");
}

#[test]
fn a_list_of_refusals_lets_newer_calls_run() {
    let found = allowing(&errno("mount", 1)).lint();
    let finding = found.fires("default-open");
    assert_eq!(finding.diagnostic.severity, Severity::Note);
    assert!(finding.example.unwrap().action.runs_call());
    refusing(&allow("read")).lint().is_silent("default-open");
    // What refuses every call allows none.
    refusing("").lint().is_silent("default-open");
    allowing("").lint().fires("default-open");
}

#[test]
fn no_filter_is_asked_about_probes() {
    let found = allowing(&errno("uretprobe", 1)).lint();
    found.fires("unfilterable");
    let named = format!("{}, {}", errno("uretprobe", 1), errno("mount", 1));
    allowing(&named).lint().mend("unfilterable");
    // Left out of a list of permissions is not refused on purpose.
    refusing(&allow("read")).lint().is_silent("unfilterable");
    refusing(&allow("read uretprobe")).lint().is_silent("unfilterable");
}
