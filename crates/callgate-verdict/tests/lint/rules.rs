//! What stands in a text and has no effect, or another one than it seems.

use callgate_diagnostic::Severity;
use callgate_syscalls::Abi;

use crate::common::{allowing, refusing};

fn allow(names: &str) -> String {
    entry("ALLOW", names, "")
}

fn entry(action: &str, names: &str, args: &str) -> String {
    let names: Vec<String> = names.split(' ').map(|name| format!("\"{name}\"")).collect();
    format!(r#"{{ "names": [{}], "action": "SCMP_ACT_{action}"{args} }}"#, names.join(", "))
}

fn args(conditions: &[(u8, u64, &str)]) -> String {
    let one = |(index, value, op): &(u8, u64, &str)| {
        format!(r#"{{ "index": {index}, "value": {value}, "op": "SCMP_CMP_{op}" }}"#)
    };
    let all: Vec<String> = conditions.iter().map(one).collect();
    format!(r#", "args": [{}]"#, all.join(", "))
}

#[test]
fn an_argument_twice_means_either() {
    // Meant: descriptors 3 to 9.
    let range = args(&[(0, 3, "GE"), (0, 9, "LE")]);
    let found = refusing(&entry("ALLOW", "dup", &range)).on(&[Abi::X86_64]).lint();
    let finding = found.fires("repeated-argument");
    let call = finding.example.unwrap();
    assert!(call.action.runs_call() && !(3..=9).contains(&call.call.args[0]), "{finding:#?}");
    // Values that exclude each other are meant as alternatives.
    let values = args(&[(0, 3, "EQ"), (0, 5, "EQ")]);
    refusing(&entry("ALLOW", "dup", &values)).lint().is_silent("repeated-argument");
    // Each argument once.
    let two = args(&[(0, 3, "EQ"), (1, 5, "EQ")]);
    refusing(&entry("ALLOW", "dup2", &two)).lint().is_silent("repeated-argument");
    // But beside another argument alternatives widen it.
    let beside = args(&[(0, 3, "EQ"), (0, 5, "EQ"), (1, 7, "EQ")]);
    refusing(&entry("ALLOW", "dup2", &beside)).lint().fires("repeated-argument");
}

#[test]
fn conditions_that_nothing_fulfils_are_found() {
    let below = args(&[(0, 0, "LT")]);
    let text = format!("{}, {}", allow("read"), entry("ALLOW", "dup", &below));
    let found = refusing(&text).lint();
    assert_eq!(found.fires("never-matches").diagnostic.severity, Severity::Warning);
    found.mend("never-matches");
    let bound = args(&[(0, 1, "LT")]);
    refusing(&entry("ALLOW", "dup", &bound)).lint().is_silent("never-matches");
}

#[test]
fn an_entry_that_another_overrules_is_found() {
    let refused = r#"{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13 }"#;
    let text = format!("{}, {refused}", allow("read mkdir"));
    let found = refusing(&text).lint();
    let finding = found.fires("shadowed");
    assert_eq!(finding.diagnostic.severity, Severity::Warning);
    assert_eq!(finding.diagnostic.labels.len(), 2, "{finding:#?}");
    found.mend("shadowed");
    refusing(&format!("{}, {refused}", allow("read"))).lint().is_silent("shadowed");
}

#[test]
fn an_entry_that_says_the_same_again_is_a_note() {
    let conditional = entry("ALLOW", "dup", &args(&[(0, 3, "EQ")]));
    let text = format!("{conditional}, {}", allow("read dup"));
    let found = refusing(&text).lint();
    assert_eq!(found.fires("shadowed").diagnostic.severity, Severity::Note);
    found.mend("shadowed");
    // Different conditions of one call are each of use.
    let other = entry("ALLOW", "dup", &args(&[(0, 4, "EQ")]));
    refusing(&format!("{conditional}, {other}")).lint().is_silent("shadowed");
}

#[test]
fn an_entry_for_some_machines_is_not_shadowed_by_another_for_some() {
    let some = |condition: &str| entry("ALLOW", "dup read", condition);
    let caps = some(r#", "includes": { "caps": ["CAP_CHOWN"] }"#);
    let kernel = some(r#", "includes": { "minKernel": "4.8" }"#);
    refusing(&format!("{caps}, {kernel}")).lint().is_silent("shadowed");
    // What is always allowed needs no second word.
    refusing(&format!("{caps}, {}", allow("dup read"))).lint().fires("shadowed");
}

#[test]
fn a_multiplexed_name_is_needed_for_the_direct_call() {
    // socketcall covers the one way, socket the other.
    refusing(&allow("socketcall socket")).lint().is_silent("shadowed");
}

#[test]
fn what_the_default_says_need_not_be_said() {
    let text = format!("{}, {}", allow("read pidfd_open"), entry("ERRNO", "mkdir", ""));
    let found = refusing(&text).lint();
    assert_eq!(found.fires("equals-default").diagnostic.severity, Severity::Note);
    found.mend("equals-default");
    // The newest name sets the limit above which calls get ENOSYS.
    let newest = format!("{}, {}", allow("read"), entry("ERRNO", "mseal", ""));
    refusing(&newest).lint().is_silent("equals-default");
}

#[test]
fn unknown_names_are_found_with_what_they_should_be() {
    let found = refusing(&allow("read mkidr")).lint();
    let finding = found.fires("unknown-syscall");
    assert_eq!(finding.diagnostic.severity, Severity::Warning);
    let mended = found.mend("unknown-syscall");
    assert!(mended.contains("\"mkdir\""), "{mended}");
    refusing(&allow("read mkdir")).lint().is_silent("unknown-syscall");
}

#[test]
fn plain_profiles_are_clean() {
    let mild = refusing(&allow("read write exit_group rt_sigreturn")).lint();
    assert!(mild.findings.is_empty(), "{:?}", mild.ids());
    let all = "mount umount umount2 fsopen fsmount fsconfig fspick move_mount open_tree \
        open_tree_attr mount_setattr";
    let names = all.split_whitespace().collect::<Vec<_>>().join(" ");
    let found = allowing(&entry("ERRNO", &names, "")).lint();
    assert_eq!(found.ids(), ["default-open"]);
}
