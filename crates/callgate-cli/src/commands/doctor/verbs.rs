//! Each verb, and what it can do for whom.

use std::fmt::Write;

use callgate_kernel::Features;
use callgate_record::method::{ebpf_works, notify_works};
use schemars::JsonSchema;
use serde::Serialize;

/// One verb under four circumstances, and here and now.
#[derive(Serialize, JsonSchema)]
pub struct Verb {
    name: &'static str,
    here: String,
    root: &'static str,
    user: &'static str,
    container: &'static str,
    filtered: &'static str,
}

pub fn table(features: &Features) -> Vec<Verb> {
    let filter = features.seccomp.filter.works();
    let listener = features.seccomp.notification_sizes.is_some();
    let ebpf = ebpf_works().is_ok();
    let strict = features.seccomp.strict.works() && features.system.trace_child.works();
    let yes = |works: bool| if works { "works" } else { "does not work" }.to_owned();
    let anywhere = |name| Verb {
        name,
        here: yes(true),
        root: "all",
        user: "all",
        container: "all",
        filtered: "all",
    };
    let asks = |name| Verb {
        name,
        here: yes(filter && listener),
        root: "all",
        user: "all but capabilities it lacks; the bounding set stays",
        container: "within what the container allows",
        filtered: "what the outer filters refuse is not seen",
    };
    vec![
        Verb {
            name: "run",
            here: yes(filter),
            root: "all",
            user: "all but capabilities it lacks; the bounding set stays",
            container: "within what the container allows; kills are not named",
            filtered: "adds to the filters that hold",
        },
        asks("run --dry-run"),
        asks("why"),
        Verb {
            name: "why --container",
            here: yes(ebpf),
            root: "all",
            user: "no: watching a container takes eBPF",
            container: "no: it is for the container's host",
            filtered: "the profile alone is asked, not the loaded filter",
        },
        Verb {
            name: "run --strict",
            here: yes(strict),
            root: "all",
            user: "all",
            container: "no: EINVAL under the container's filter",
            filtered: "no: EINVAL",
        },
        anywhere("compile"),
        anywhere("check"),
        anywhere("diff"),
        anywhere("disasm"),
        anywhere("explain"),
        anywhere("syscall"),
        anywhere("caps"),
        anywhere("asm"),
        anywhere("convert"),
        anywhere("eval"),
        anywhere("merge"),
        anywhere("lint"),
        anywhere("kube"),
        Verb {
            name: "record",
            here: yes(filter && notify_works().is_ok()),
            root: "all",
            user: "by notification; setuid programs gain nothing",
            container: "by notification, unless its filter has a listener",
            filtered: "what the filter refuses, eBPF alone sees",
        },
        Verb {
            name: "hook",
            here: yes(ebpf),
            root: "all",
            user: "no: recording a container takes eBPF",
            container: "no: it is for the container's host",
            filtered: "what the filter refuses, it sees",
        },
        anywhere("profile"),
        Verb {
            name: "dump",
            here: yes(features.seccomp.read_filters.works()),
            root: "all",
            user: "a command's; a process's takes CAP_SYS_ADMIN",
            container: "a command's, where ptrace is allowed",
            filtered: "a command's, where ptrace is allowed",
        },
        Verb {
            name: "doctor",
            here: yes(true),
            root: "all",
            user: "says what it may not read",
            container: "what the container shows",
            filtered: "what the filter lets it try",
        },
    ]
}

pub fn text(verbs: &[Verb]) -> String {
    let mut text = "verbs\n".to_owned();
    let mut row = |cells: [&str; 6]| {
        let [name, here, root, user, container, filtered] = cells;
        let _ = writeln!(
            text,
            "  {name:<16} {here:<14} {root:<5} {user:<52} {container:<54} {filtered}"
        );
    };
    row(["", "here", "root", "an ordinary user", "in a container", "under a filter"]);
    for Verb { name, here, root, user, container, filtered } in verbs {
        row([name, here, root, user, container, filtered]);
    }
    text
}
