//! Policies written as lines of a unit file.

mod common;
#[path = "common/reading.rs"]
mod reading;

use std::{fs, path::Path};

use callgate_bpf::Action;
use callgate_diagnostic::Diagnostic;
use callgate_policy::{
    Architectures, ArgIndex, Comparison, Condition, Dialect, FilterFlag, Listener, Policy, Test,
    formats::systemd,
};
use callgate_syscalls::{Abi, groups};
use common::here;

use self::reading::{clean, policy};

#[track_caller]
fn written(policy: &Policy) -> String {
    systemd::write(policy).unwrap_or_else(|refused| panic!("{}", common::show(&refused)))
}

#[test]
fn what_is_read_is_written_alike() {
    for text in [
        "SystemCallFilter=~\n",
        "SystemCallFilter=~mkdir\n",
        "SystemCallFilter=~@mount @swap reboot\n",
        "SystemCallFilter=~@mount\nSystemCallFilter=~reboot:EPERM\n",
        "SystemCallFilter=~@mount\nSystemCallFilter=~reboot:kill\nSystemCallErrorNumber=EPERM\n",
        "SystemCallFilter=@default\n",
        "SystemCallFilter=@system-service\n",
        "SystemCallFilter=@system-service\nSystemCallFilter=~@privileged @resources\n\
         SystemCallErrorNumber=EPERM\n",
        "SystemCallFilter=@file-system\nSystemCallFilter=~mkdir:EPERM\n",
        "SystemCallLog=@mount\n",
        "SystemCallLog=~\n",
        "SystemCallLog=~@mount\n",
        "SystemCallFilter=~@swap\nSystemCallLog=@mount\nSystemCallArchitectures=native\n",
        "SystemCallFilter=~@swap\nSystemCallArchitectures=native x86\n",
        "SystemCallFilter=~@swap\nSystemCallArchitectures=native arm\n",
        "SystemCallFilter=~mkdir:0\n",
        "SystemCallFilter=~mkdir:524\n",
    ] {
        let text = format!("[Service]\n{text}");
        let once = written(&policy(systemd::read, &text));
        let expected = match &text {
            // One number for all of it is shorter.
            t if t.contains("524") => text.replace(":524", "") + "SystemCallErrorNumber=524\n",
            _ => text.clone(),
        };
        assert_eq!(once, expected, "{text}");
    }
}

#[test]
fn groups_are_used_where_they_fit() {
    // Half a group is no group, but a whole one may have exceptions.
    let text = "[Service]\nSystemCallFilter=~swapon\n";
    assert_eq!(written(&clean(systemd::read, text)), text);
    let names: Vec<&str> = groups::find("@system-service")
        .into_iter()
        .flat_map(|group| group.syscalls())
        .map(|call| call.name)
        .filter(|name| *name != "mkdir")
        .collect();
    let listed = format!("SystemCallFilter={}", names.join(" "));
    assert_eq!(
        written(&clean(systemd::read, &listed)),
        "[Service]\nSystemCallFilter=@system-service\nSystemCallFilter=~mkdir\n"
    );
}

#[test]
fn long_lists_go_over_several_assignments() {
    // Half of a large group: no group is of use then.
    let names: Vec<&str> = groups::find("@known")
        .into_iter()
        .flat_map(|group| group.syscalls())
        .map(|call| call.name)
        .step_by(2)
        .collect();
    let text = format!("SystemCallFilter=~{}", names.join(" "));
    let wrapped = written(&clean(systemd::read, &text));
    assert!(wrapped.lines().all(|line| line.len() <= 100), "{wrapped}");
    let assignments = || wrapped.lines().filter(|line| line.starts_with("SystemCallFilter="));
    assert!(assignments().count() > 1 && assignments().all(|line| line.contains("=~")));
    assert_eq!(written(&clean(systemd::read, &wrapped)), wrapped);
}

/// A policy for x86_64 and what runs beside it.
fn for_x86_64(text: &str) -> Policy {
    let mut policy = clean(systemd::read, text);
    policy.architectures = Architectures::List([Abi::X86_64, Abi::X86, Abi::X32].map(here).into());
    policy
}

#[test]
fn calls_that_no_architecture_of_the_policy_has_do_not_matter() {
    let text = "SystemCallFilter=@basic-io\nSystemCallFilter=~@default";
    let policy = for_x86_64(text);
    let once = written(&policy);
    assert!(once.contains("=@basic-io\n") || once.contains("=@basic-io "), "{once}");
    assert!(once.contains("~@default"), "{once}");
    let mut some = policy;
    // s390's own calls are in groups, and not among those of this machine.
    for entry in &mut some.entries {
        entry.names.retain(|name| {
            [Abi::X86_64, Abi::X86, Abi::X32].iter().any(|abi| abi.number(&name.value).is_some())
        });
    }
    assert_eq!(written(&some), once);
}

#[test]
fn the_units_of_this_machine_come_back_as_short() {
    let folder = Path::new("/lib/systemd/system");
    let mut texts = Vec::new();
    for file in fs::read_dir(folder).into_iter().flatten().flatten() {
        let text = fs::read_to_string(file.path()).unwrap_or_default();
        if text.lines().any(|line| line.starts_with("SystemCallFilter=")) {
            texts.push((file.path(), text));
        }
    }
    if texts.is_empty() {
        eprintln!("skipped: no unit with SystemCallFilter= in {}", folder.display());
        return;
    }
    let words = |text: &str| -> usize {
        let lines = text.lines().filter(|line| line.starts_with("SystemCall"));
        lines.map(|line| line.split_whitespace().count()).sum()
    };
    for (path, text) in texts {
        let reading = systemd::read(&text);
        let errors: Vec<&Diagnostic> =
            reading.diagnostics.iter().filter(|d| d.is_error()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
        let back = written(&reading.policy.expect("no error"));
        assert!(words(&back) <= words(&text), "{}:\n{back}", path.display());
    }
}

#[test]
fn what_systemd_cannot_say_is_refused_with_the_reason() {
    let plain = clean(systemd::read, "SystemCallFilter=~mkdir rmdir:EPERM");
    let refused = |policy: &Policy| -> Vec<String> {
        let all = systemd::write(policy).expect_err("it is refused");
        assert!(all.iter().all(|one| one.id == "cannot-write" && one.is_error()));
        all.into_iter().map(|one| one.message).collect()
    };
    let with = |change: &dyn Fn(&mut Policy)| {
        let mut policy = plain.clone();
        change(&mut policy);
        refused(&policy)
    };

    assert_eq!(
        with(&|p| p.entries[0].action = here(Action::Trap(0))),
        ["systemd has no words for the action trap(0)"]
    );
    assert_eq!(
        with(&|p| p.default = here(Action::KillThread)),
        ["systemd has no words for the action kill_thread"]
    );
    assert_eq!(
        with(&|p| p.entries[0].action = here(Action::Errno(4095))),
        ["the error number 4095 is larger than libseccomp takes"]
    );
    assert_eq!(
        with(&|p| {
            let test = Comparison::full(ArgIndex::ALL[0], Test::Eq(1));
            p.entries[0].comparisons.push(here(test));
        }),
        ["entry 0 compares arguments (arg0 == 0x1)"]
    );
    assert_eq!(
        with(&|p| {
            p.entries[0].includes =
                Condition { arches: [here("arm".into())].into(), ..Condition::default() };
        }),
        ["entry 0 has conditions on the machine"]
    );
    assert_eq!(
        with(&|p| p.entries[0].names[0].value = "raed".into()),
        ["no syscall is called `raed`"]
    );
    assert_eq!(
        with(&|p| p.flags.push(here(FilterFlag::Log))),
        ["flags for loading are systemd's own"]
    );
    assert_eq!(
        with(&|p| p.listener = Some(Listener { path: here("/x".into()), metadata: None })),
        ["systemd hands no call to a supervisor"]
    );
    assert_eq!(
        with(&|p| p.other = Action::Errno(1)),
        ["another architecture gets errno(1), and systemd ends the thread or lets it pass"]
    );
    assert_eq!(
        with(&|p| p.architectures = Architectures::Native),
        ["other architectures of the machine may call everything"]
    );
    assert_eq!(
        with(&|p| {
            p.other = Action::KillThread;
            p.architectures = Architectures::List([here(Abi::M68k)].into());
        }),
        ["systemd has no word for the architecture m68k"]
    );
    assert_eq!(
        with(&|p| {
            p.other = Action::KillThread;
            let row = (here(Abi::S390x), Vec::from([here(Abi::Arm)]));
            p.architectures = Architectures::Map(Vec::from([row]));
        }),
        ["one list of architectures is for all machines"]
    );
    let mut apart = for_x86_64("SystemCallFilter=~mkdir");
    apart.entries[0].abis.push(Abi::X86);
    assert_eq!(
        refused(&apart),
        ["`mkdir` gets allow on x86_64 and kill_process on x86, and systemd has one list"]
    );
    // What is behind `socketcall` is treated as it is in front of it.
    let mut ways = for_x86_64("SystemCallFilter=~socket:EPERM");
    ways.entries.retain(|entry| entry.comparisons.is_empty());
    assert_eq!(
        refused(&ways),
        ["the calls behind `socketcall` on x86 are not treated as the calls themselves"]
    );

    // A profile's rules combine in another order; everything wrong is said at once.
    let profile =
        common::policy(r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [] }"#, Dialect::Oci);
    assert_eq!(refused(&profile).len(), 1);
    let several = with(&|p| {
        p.other = Action::Trap(0);
        p.default = here(Action::UserNotif);
        p.entries[0].names[0].value = "mout".into();
    });
    assert_eq!(several.len(), 3, "{several:?}");
}
