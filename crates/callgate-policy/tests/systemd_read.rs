//! What the settings of a unit file mean.

mod common;
#[path = "common/reading.rs"]
mod reading;

use callgate_bpf::Action;
use callgate_diagnostic::Severity;
use callgate_policy::{Architectures, Policy, formats::systemd};
use callgate_syscalls::{Abi, groups};

use self::reading::{clean, find, lines, policy};

const ALLOW: Action = Action::Allow;
const KILL: Action = Action::KillProcess;
const EPERM: Action = Action::Errno(1);

/// The verdict on a call by its own number.
fn verdict(policy: &Policy, name: &str) -> Action {
    let takes = |entry: &&callgate_policy::Entry| {
        entry.comparisons.is_empty() && entry.names.iter().any(|known| known.value == name)
    };
    policy.entries.iter().find(takes).map_or(policy.default.value, |entry| entry.action.value)
}

/// The verdicts on calls after lines that nothing is said about.
#[track_caller]
fn verdicts<const N: usize>(text: &str, names: [&str; N]) -> [Action; N] {
    let policy = clean(systemd::read, text);
    names.map(|name| verdict(&policy, name))
}

#[test]
fn an_allow_list_refuses_what_is_not_in_it() {
    let policy = clean(systemd::read, "[Service]\nSystemCallFilter=read mkdir\n");
    assert_eq!((policy.default.value, policy.dialect), (KILL, None));
    assert_eq!(verdict(&policy, "mkdir"), ALLOW);
    assert_eq!(verdict(&policy, "rmdir"), KILL);
    // What every program needs is allowed with it.
    for call in groups::find("@default").into_iter().flat_map(|group| group.syscalls()) {
        assert_eq!(verdict(&policy, call.name), ALLOW, "{}", call.name);
    }
}

#[test]
fn a_deny_list_allows_what_is_not_in_it() {
    let policy = clean(systemd::read, "[Service]\nSystemCallFilter=~mkdir\n");
    assert_eq!(policy.default.value, ALLOW);
    assert_eq!(lines(&policy), ["mkdir: kill_process"]);
}

#[test]
fn the_error_number_stands_for_the_end_of_the_process() {
    let text = "SystemCallFilter=read\nSystemCallErrorNumber=EPERM";
    assert_eq!(verdicts(text, ["read", "mkdir"]), [ALLOW, EPERM]);
    let text = "SystemCallErrorNumber=1\nSystemCallFilter=~read";
    assert_eq!(verdicts(text, ["read", "mkdir"]), [EPERM, ALLOW]);
    // Nothing, or `kill`, takes it back; of several the last counts.
    let text = "SystemCallErrorNumber=1\nSystemCallErrorNumber=\nSystemCallFilter=~read";
    assert_eq!(verdicts(text, ["read"]), [KILL]);
    let text = "SystemCallErrorNumber=1\nSystemCallErrorNumber=kill\nSystemCallFilter=~read";
    assert_eq!(verdicts(text, ["read"]), [KILL]);
    let text = "SystemCallErrorNumber=1\nSystemCallErrorNumber=0x26\nSystemCallFilter=~read";
    assert_eq!(verdicts(text, ["read"]), [Action::Errno(38)]);
}

#[test]
fn the_first_list_decides_and_later_ones_add_or_take_away() {
    let allow = "SystemCallFilter=mkdir rmdir\nSystemCallFilter=~rmdir\nSystemCallFilter=chdir";
    assert_eq!(verdicts(allow, ["mkdir", "rmdir", "chdir", "mount"]), [ALLOW, KILL, ALLOW, KILL]);
    let deny = "SystemCallFilter=~mkdir rmdir\nSystemCallFilter=rmdir\nSystemCallFilter=~chdir";
    assert_eq!(verdicts(deny, ["mkdir", "rmdir", "chdir", "mount"]), [KILL, ALLOW, KILL, ALLOW]);
    // `@default` comes with the first allow list, and can be taken away after it.
    let text = "SystemCallFilter=mkdir\nSystemCallFilter=~exit";
    assert_eq!(verdicts(text, ["mkdir", "exit", "exit_group"]), [ALLOW, KILL, ALLOW]);
}

#[test]
fn an_empty_assignment_takes_everything_back() {
    let text = "SystemCallFilter=mkdir\nSystemCallFilter=\nSystemCallFilter=~rmdir";
    assert_eq!(verdicts(text, ["mkdir", "rmdir", "exit"]), [ALLOW, KILL, ALLOW]);
    let policy = clean(systemd::read, "SystemCallFilter=mkdir\nSystemCallFilter=");
    assert_eq!((policy.default.value, policy.entries.len()), (ALLOW, 0));
    // A `~` alone is a deny list with nothing in it.
    let policy = clean(systemd::read, "SystemCallFilter=~");
    assert_eq!((policy.default.value, policy.entries.len()), (ALLOW, 0));
}

#[test]
fn a_word_may_say_what_a_refused_call_gets() {
    let text = "SystemCallFilter=~mkdir:EPERM rmdir:13 chdir:kill @swap:0x26 mount\n\
                SystemCallErrorNumber=EACCES";
    assert_eq!(
        verdicts(text, ["mkdir", "rmdir", "chdir", "swapon", "swapoff", "mount"]),
        [EPERM, Action::Errno(13), KILL, Action::Errno(38), Action::Errno(38), Action::Errno(13)]
    );
    // On an allow list it makes a call refused in its own way; without it, as any other.
    let text = "SystemCallFilter=@file-system\nSystemCallFilter=~mkdir:EPERM rmdir";
    assert_eq!(verdicts(text, ["mkdir", "rmdir", "chdir"]), [EPERM, KILL, ALLOW]);
    // The last word on a call counts.
    let text = "SystemCallFilter=~mkdir:EPERM mkdir:EACCES rmdir:EPERM rmdir";
    assert_eq!(verdicts(text, ["mkdir", "rmdir"]), [Action::Errno(13), KILL]);
}

#[test]
fn groups_stand_for_their_calls() {
    let policy = clean(systemd::read, "SystemCallFilter=@system-service");
    let group = groups::find("@system-service").expect("a group of systemd");
    assert!(group.syscalls().count() > 200);
    for call in group.syscalls() {
        assert_eq!(verdict(&policy, call.name), ALLOW, "{}", call.name);
    }
    assert_eq!(verdict(&policy, "mount"), KILL);
}

#[test]
fn logged_calls_run_unless_the_filter_refuses_them() {
    let text = "SystemCallLog=mkdir mount\nSystemCallFilter=~mount rmdir";
    assert_eq!(
        verdicts(text, ["mkdir", "mount", "rmdir", "chdir"]),
        [Action::Log, KILL, KILL, ALLOW]
    );
    // With a `~` the rest is logged.
    assert_eq!(verdicts("SystemCallLog=~mkdir", ["mkdir", "rmdir"]), [ALLOW, Action::Log]);
    // Nothing is added to a list of what is logged.
    assert_eq!(verdicts("SystemCallLog=mkdir", ["mkdir", "exit"]), [Action::Log, ALLOW]);
    assert_eq!(
        verdicts("SystemCallLog=mkdir\nSystemCallLog=\nSystemCallLog=rmdir", ["mkdir", "rmdir"]),
        [ALLOW, Action::Log]
    );
}

#[test]
fn other_architectures_pass_unless_they_are_left_out() {
    let of = |text: &str| {
        let Policy { architectures, other, .. } = clean(systemd::read, text);
        let Architectures::Map(rows) = architectures else {
            return (Vec::new(), other);
        };
        let row = rows.iter().find(|(main, _)| main.value == Abi::X86_64);
        (row.iter().flat_map(|(_, with)| with).map(|abi| abi.value).collect(), other)
    };
    let filter = "SystemCallFilter=read\n";
    assert_eq!(of(filter), (vec![Abi::X86, Abi::X32], ALLOW));
    let only = |words: &str| of(&format!("{filter}SystemCallArchitectures={words}\n"));
    assert_eq!(only("native"), (vec![], Action::KillThread));
    assert_eq!(only("native x86"), (vec![Abi::X86], Action::KillThread));
    assert_eq!(only("x86-64 x86 x86"), (vec![Abi::X86], Action::KillThread));
    assert_eq!(only("native\nSystemCallArchitectures="), (vec![Abi::X86, Abi::X32], ALLOW));
    assert_eq!(only("native\nSystemCallArchitectures=x32"), (vec![Abi::X32], Action::KillThread));
    // Without a list of calls it is a filter of its own.
    let policy = clean(systemd::read, "SystemCallArchitectures=native");
    assert_eq!((policy.default.value, policy.other), (ALLOW, Action::KillThread));
}

#[test]
fn a_call_behind_socketcall_has_its_verdict_there() {
    let policy = clean(systemd::read, "SystemCallFilter=~socket:EPERM");
    let all = lines(&policy);
    let behind = all.iter().find(|line| line.starts_with("socketcall")).expect("a rule for it");
    assert!(behind.contains(" x86") && behind.ends_with("if arg0 == 0x1: errno(1)"), "{behind}");
    assert_eq!(all.last().map(String::as_str), Some("socket: errno(1)"));
    // The verdict on the way itself is stronger.
    let text = "SystemCallFilter=~socket:EPERM socketcall:EACCES";
    assert!(lines(&clean(systemd::read, text)).iter().all(|line| !line.contains(" if ")));
}

#[test]
fn lines_are_read_as_systemd_reads_them() {
    let text = "\u{feff}# a comment
; another
[Unit]
Description=SystemCallFilter=mount
[Install]
[Service]
ExecStart=/bin/true \\
  SystemCallFilter=reboot
 SystemCallFilter = mkdir \\
# between the lines
   rmdir\\
chdir
[Service]
\tSystemCallFilter=\tfchdir\r
";
    assert_eq!(
        verdicts(text, ["mkdir", "rmdir", "chdir", "fchdir", "mount", "reboot"]),
        [ALLOW, ALLOW, ALLOW, ALLOW, KILL, KILL]
    );
    for section in ["Service", "Socket", "Mount", "Swap"] {
        assert_eq!(verdicts(&format!("[{section}]\nSystemCallFilter=~mkdir"), ["mkdir"]), [KILL]);
    }
}

#[test]
fn places_are_those_of_the_words() {
    let text = "SystemCallErrorNumber=EPERM\nSystemCallFilter=@swap mkdir\n";
    let policy = clean(systemd::read, text);
    assert_eq!(policy.default.span.of(text), "EPERM");
    let at = |name: &str| {
        let names = policy.entries.iter().flat_map(|entry| &entry.names);
        names.into_iter().find(|known| known.value == name).map(|known| known.span.of(text))
    };
    assert_eq!(at("mkdir"), Some("mkdir"));
    assert_eq!(at("swapon"), Some("@swap"));
    assert_eq!(at("exit"), Some("SystemCallFilter"), "what is implied");
}

#[test]
fn other_settings_that_load_filters_are_named() {
    let text = "[Service]\nSystemCallFilter=~@swap\n«LockPersonality»=yes\n\
                RestrictNamespaces=no\nMemoryDenyWriteExecute=1\n";
    let found = find(systemd::read, text, Severity::Note, "other-filters")
        .says("filters of other settings are not in the policy: `LockPersonality=`, `MemoryDenyWriteExecute=`");
    assert_eq!(found.diagnostic.labels.len(), 2);
    assert_eq!(found.diagnostic.labels[1].span.of(&found.text), "MemoryDenyWriteExecute");
    assert_eq!(policy(systemd::read, &found.text).default.value, ALLOW);
}
