//! What comes with a call in some runs and not in others, whatever the program does: with a signal,
//! with a lock that is found taken, on a machine whose clock has to be asked in the kernel.

use std::collections::BTreeSet;

use callgate_policy::Entry;

use super::allow;

/// A call, and what comes with it.
const COMPANIONS: &[(&str, &[&str])] = &[
    // The kernel makes these in the program's name, when a signal comes or a stop ends
    // (restart_syscall(2), sigreturn(2)).
    ("nanosleep", &["restart_syscall"]),
    ("clock_nanosleep", &["restart_syscall"]),
    ("clock_nanosleep_time64", &["restart_syscall"]),
    ("poll", &["restart_syscall"]),
    ("ppoll", &["restart_syscall"]),
    ("ppoll_time64", &["restart_syscall"]),
    ("rt_sigaction", &["rt_sigreturn"]),
    ("sigaction", &["sigreturn", "rt_sigreturn"]),
    ("signal", &["sigreturn", "rt_sigreturn"]),
    // A thread that finds a lock taken yields before it waits, as V8's do.
    ("futex", &["restart_syscall", "sched_yield"]),
    ("futex_time64", &["restart_syscall", "sched_yield"]),
    // Allocators grow large blocks where they are, and give back what they have too much of: by
    // amounts, which differ where threads and processes share work, or after a time.
    ("mmap", &["madvise", "mremap", "munmap"]),
    ("mmap2", &["madvise", "mremap", "munmap"]),
    // A recording may have been cut off before the end. And a program reads clocks without a call
    // where it can (vdso(7)); that depends on the machine's clock, and no recording has it.
    (
        "execve",
        &[
            "exit_group",
            "exit",
            "clock_getres",
            "clock_gettime",
            "clock_gettime64",
            "getcpu",
            "gettimeofday",
            "time",
        ],
    ),
];

/// The entry for what comes with recorded calls and is none of `named`.
pub fn entry(named: &BTreeSet<&'static str>, recorded: &BTreeSet<&'static str>) -> Option<Entry> {
    let of = COMPANIONS.iter().filter(|(call, _)| recorded.contains(call));
    let all = of.flat_map(|(_, companions)| *companions).copied();
    let found: BTreeSet<&str> = all.filter(|name| !named.contains(name)).collect();
    let comment = "not recorded: whether these come is not the program's choice: with a signal, \
                   with a lock that is taken, with more memory or less, where a clock has to be \
                   asked in the kernel";
    (!found.is_empty()).then(|| allow(&found, Vec::new(), comment.to_owned()))
}

#[cfg(test)]
mod tests {
    use callgate_syscalls::syscall;

    use super::*;

    #[test]
    fn every_companion_is_a_call() {
        for (name, companions) in COMPANIONS {
            for name in [name].into_iter().chain(*companions) {
                assert!(syscall(name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn what_is_named_already_needs_no_entry() {
        let recorded = BTreeSet::from(["rt_sigaction", "futex"]);
        let names = |named: &BTreeSet<&'static str>| {
            let entry = entry(named, &recorded);
            entry.map(|entry| entry.names.into_iter().map(|name| name.value).collect::<Vec<_>>())
        };
        let both = ["restart_syscall", "rt_sigreturn", "sched_yield"];
        assert_eq!(names(&recorded).as_deref(), Some(&both.map(str::to_owned)[..]));
        assert_eq!(names(&BTreeSet::from(both)), None);
    }
}
