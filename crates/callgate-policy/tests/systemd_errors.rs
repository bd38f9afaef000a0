//! What the reader of unit files says about texts that are wrong, or hostile.

mod common;
#[path = "common/reading.rs"]
mod reading;

use callgate_bpf::Action;
use callgate_diagnostic::Severity;
use callgate_policy::formats::{Reading, systemd};

use self::{
    common::Found,
    reading::{ids, lines, mutate, policy},
};

#[track_caller]
fn error(marked: &str, id: &str) -> Found {
    reading::find(systemd::read, marked, Severity::Error, id)
}

#[track_caller]
fn warning(marked: &str, id: &str) -> Found {
    reading::find(systemd::read, marked, Severity::Warning, id)
}

#[test]
fn unknown_names_are_ignored_with_a_suggestion() {
    warning("SystemCallFilter=read «raed»", "unknown-syscall")
        .says("no architecture has a syscall `raed`; systemd ignores it")
        .label("did you mean `read`?")
        .mends_to("SystemCallFilter=read read");
    warning("SystemCallFilter=~«raed»", "unknown-syscall").says(
        "no architecture has a syscall `raed`; systemd ignores it, and refuses nothing by it",
    );
    warning("SystemCallLog=~«raed»", "unknown-syscall")
        .says("no architecture has a syscall `raed`; systemd ignores it");
    warning("SystemCallFilter=«@mout» read", "unknown-group")
        .says("there is no group `@mout`; systemd ignores it")
        .label("did you mean `@mount`?")
        .mends_to("SystemCallFilter=@mount read");
    warning("SystemCallFilter=~«@mout»:EPERM read", "unknown-group")
        .says("there is no group `@mout`; systemd ignores it, and refuses nothing by it")
        .mends_to("SystemCallFilter=~@mount:EPERM read");
    // The sign of a group is easily forgotten.
    warning("SystemCallFilter=~«swap»", "unknown-syscall").mends_to("SystemCallFilter=~@swap");
    warning("SystemCallArchitectures=native «x86_64»", "unknown-architecture")
        .says("systemd knows no architecture `x86_64`; it is ignored")
        .mends_to("SystemCallArchitectures=native x86-64");
    warning("SystemCallArchitectures=«aarch64»", "unknown-architecture")
        .mends_to("SystemCallArchitectures=arm64");
    warning("[Service]\n«SystemCallFliter»=read\nSystemCallFilter=read", "unknown-key")
        .says("systemd knows no setting `SystemCallFliter`; it is ignored")
        .mends_to("[Service]\nSystemCallFilter=read\nSystemCallFilter=read");
    // What is ignored has no effect.
    let with = policy(systemd::read, "SystemCallFilter=~raed @mout swapon");
    assert_eq!(lines(&with), ["swapon: kill_process"]);
}

#[test]
fn a_word_that_is_no_error_is_ignored() {
    warning("SystemCallFilter=~mount:«EPREM»", "unknown-errno")
        .says("`EPREM` is not an error, so systemd ignores the word and the calls are not refused by it")
        .mends_to("SystemCallFilter=~mount:EPERM");
    assert!(policy(systemd::read, "SystemCallFilter=~mount:EPREM").entries.is_empty());
    warning("SystemCallFilter=~mount:«»", "unknown-errno")
        .label("expected `EPERM`, a number up to 4095, or `kill`");
    warning("SystemCallFilter=~mount:«4096»", "unknown-errno");
    warning("SystemCallFilter=«mount:EPERM»", "errno-on-allow-list")
        .says("an allowed call takes no error, so systemd ignores the word");
    warning("SystemCallFilter=~mount:«0»", "errno-zero");
    error("SystemCallFilter=~mount:«4095»", "bad-errno").says("4095 is too large for an error");
    error("SystemCallErrorNumber=«4095»\nSystemCallFilter=~mount", "bad-errno");
    warning("SystemCallErrorNumber=«EPREM»\nSystemCallFilter=~mount", "unknown-errno")
        .says("`EPREM` is no error; systemd ignores it, and the process is killed")
        .mends_to("SystemCallErrorNumber=EPERM\nSystemCallFilter=~mount");
    warning("SystemCallErrorNumber=«0»\nSystemCallFilter=~mount", "unknown-errno")
        .label("expected `EPERM`, a number or `kill`");
    warning("SystemCallErrorNumber=«EPERM EACCES»\nSystemCallFilter=~mount", "unknown-errno");
}

#[test]
fn what_has_no_effect_is_pointed_out() {
    warning("[Unit]\n«SystemCallFilter»=read\n[Service]\nSystemCallFilter=~read", "no-effect")
        .says("`SystemCallFilter=` has no effect in the section `Unit`");
    warning("«SystemCallFilter»=read\n[Service]\nSystemCallFilter=~read", "no-effect")
        .says("`SystemCallFilter` stands in front of every section");
    warning("SystemCallErrorNumber=«EPERM»\nSystemCallArchitectures=native", "no-effect")
        .says("there is no filter that would refuse so");
    warning(
        "SystemCallFilter=read\nSystemCallErrorNumber=EPERM\nSystemCallFilter=~«write:EPERM»",
        "no-effect",
    )
    .says("the filter refuses everything else so already");
}

#[test]
fn a_text_without_a_setting_is_refused() {
    let nothing = |text: &str| {
        let marked = format!("«»{text}");
        error(&marked, "no-system-call-setting").says("the text sets no system call filter");
    };
    nothing("");
    nothing("[Unit]\nDescription=x\n");
    nothing("# SystemCallFilter=read\n");
    nothing("[Unit]\nSystemCallFilter=read\n");
}

#[test]
fn lines_that_are_none_are_pointed_out() {
    warning("[Service]\n«oops»\nSystemCallFilter=read", "unit-syntax")
        .says("the line is no assignment");
    // Without a section it may be another language altogether.
    error("«ALLOW { read }»\nSystemCallFilter=read", "unit-syntax");
    error("«[Service»\nSystemCallFilter=read", "unit-syntax")
        .says("the head of a section has no end")
        .mends_to("[Service]\nSystemCallFilter=read");
    error("SystemCallFilter=re«\0»ad", "unit-syntax").says("a line has a NUL character in it");
    let long = format!("«»SystemCallFilter={}", "read ".repeat(300_000));
    error(&long, "unit-syntax").says("a line is longer than 1 MiB");
    let continued = format!("«»SystemCallFilter={}", "read \\\n".repeat(300_000));
    error(&continued, "unit-syntax");
}

#[test]
fn all_mistakes_are_found_at_once_in_order() {
    let text = "[Service
nothing
[Service]
SystemCallFliter=read
SystemCallFilter=read raed @mout mount:EPERM
SystemCallFilter=~write:4095 mount:EPREM
SystemCallArchitectures=vax
";
    assert_eq!(
        ids(systemd::read, text),
        [
            "unit-syntax",          // [Service
            "unit-syntax",          // nothing
            "unknown-key",          // SystemCallFliter
            "unknown-syscall",      // raed
            "unknown-group",        // @mout
            "errno-on-allow-list",  // mount:EPERM
            "bad-errno",            // 4095
            "unknown-errno",        // EPREM
            "unknown-architecture", // vax
        ]
    );
}

#[test]
fn long_texts_take_a_time_that_grows_with_them() {
    let first = |text: &str| ids(systemd::read, text).first().copied().unwrap_or("nothing");
    assert_eq!(first(&"SystemCallFilter=@known\n".repeat(20_000)), "nothing");
    assert_eq!(first(&"SystemCallFilter=~@known:1 @known:2\n".repeat(20_000)), "nothing");
    assert_eq!(first(&"SystemCallFilter=\n".repeat(200_000)), "nothing");
    assert_eq!(first(&"\0".repeat(4 << 20)), "unit-syntax");
    assert_eq!(first(&"\\\n".repeat(2 << 20)), "no-system-call-setting");
    assert_eq!(first(&"[".repeat(4 << 20)), "unit-syntax");
    assert_eq!(first(&"[\n".repeat(2 << 20)), "unit-syntax");
    let wrong = "SystemCallFilter=raed:EPREM @mout\n".repeat(100_000);
    let found = ids(systemd::read, &wrong);
    assert!(found.len() <= 101, "{}", found.len());
    assert_eq!(found.last(), Some(&"not-shown"));
    let Reading { policy, diagnostics, .. } = systemd::read(&" ".repeat(5 << 20));
    assert!(policy.is_none());
    assert_eq!(diagnostics.iter().map(|d| d.id).collect::<Vec<_>>(), ["text-size"]);
}

#[test]
fn no_change_to_a_text_breaks_the_reader_or_the_writer() {
    let text = "# é
[Service]
SystemCallFilter=@basic-io mkdir rmdir \\
  socket chdir
SystemCallFilter=~mount:EPERM @swap:13 rmdir
SystemCallErrorNumber=ENOSYS
SystemCallLog=~@file-system
SystemCallArchitectures=native x86
";
    let pieces = [
        "~",
        "@",
        ":",
        "=",
        "\\",
        "\n",
        "[",
        "]",
        "#",
        " ",
        "é",
        "\0",
        "EPERM",
        "4095",
        "0",
        "kill",
        "SystemCallFilter=",
        "SystemCallLog=",
        "@known",
        "socketcall",
        "ipc",
        "recv",
    ];
    mutate(systemd::read, text, &pieces, 400, |policy| {
        let text = match systemd::write(policy) {
            Ok(text) => text,
            Err(refused) => panic!("{}", common::show(&refused)),
        };
        let back = systemd::read(&text).policy.expect("what is written is read");
        assert_eq!(back.default.value, policy.default.value);
        assert_eq!(back.other, policy.other);
    });
}

#[test]
fn errno_zero_does_not_become_a_verdict_by_accident() {
    let policy = policy(systemd::read, "SystemCallErrorNumber=0\nSystemCallFilter=read");
    assert_eq!(policy.default.value, Action::KillProcess);
}

#[test]
fn the_examples_of_the_pages_lead_to_them() {
    for id in [
        "errno-on-allow-list",
        "no-system-call-setting",
        "other-filters",
        "unit-syntax",
        "unknown-group",
    ] {
        reading::check_page(systemd::read, id);
    }
}
