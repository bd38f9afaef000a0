//! What stands for a call elsewhere: on an architecture that came after it, in a C library that
//! was built with other numbers, on a kernel that has a newer one.

use std::collections::BTreeSet;

use callgate_policy::{ArgIndex, Comparison, Entry, Test};
use callgate_syscalls::{Abi, syscall};

use super::allow;

/// Calls that do the same: the first is on some ABIs only, or older; those behind it can take its
/// place, with the right arguments. From the kernel's own wrappers (`fs/`, `include/uapi/asm-generic/
/// unistd.h`) and the C libraries' choices.
const STAND_INS: &[(&str, &[&str])] = &[
    ("open", &["openat"]),
    ("creat", &["openat", "open"]),
    ("openat", &["open"]),
    ("stat", &["newfstatat", "fstatat64", "statx"]),
    ("lstat", &["newfstatat", "fstatat64", "statx"]),
    ("fstat", &["newfstatat", "fstatat64", "statx"]),
    ("newfstatat", &["stat", "lstat", "fstat", "fstatat64", "statx"]),
    ("fstatat64", &["stat64", "lstat64", "fstat64", "newfstatat", "statx"]),
    ("statx", &["stat", "lstat", "fstat", "newfstatat", "fstatat64"]),
    ("access", &["faccessat", "faccessat2"]),
    ("faccessat", &["access", "faccessat2"]),
    ("faccessat2", &["access", "faccessat"]),
    ("readlink", &["readlinkat"]),
    ("readlinkat", &["readlink"]),
    ("unlink", &["unlinkat"]),
    ("rmdir", &["unlinkat"]),
    ("unlinkat", &["unlink", "rmdir"]),
    ("mkdir", &["mkdirat"]),
    ("mkdirat", &["mkdir"]),
    ("mknod", &["mknodat"]),
    ("mknodat", &["mknod"]),
    ("rename", &["renameat", "renameat2"]),
    ("renameat", &["rename", "renameat2"]),
    ("renameat2", &["rename", "renameat"]),
    ("link", &["linkat"]),
    ("linkat", &["link"]),
    ("symlink", &["symlinkat"]),
    ("symlinkat", &["symlink"]),
    ("chmod", &["fchmodat", "fchmodat2"]),
    ("fchmodat", &["chmod", "fchmodat2"]),
    ("chown", &["fchownat"]),
    ("lchown", &["fchownat"]),
    ("fchownat", &["chown", "lchown"]),
    ("utime", &["utimensat"]),
    ("utimes", &["utimensat"]),
    ("futimesat", &["utimensat"]),
    ("utimensat", &["utimes", "futimesat"]),
    ("getdents", &["getdents64"]),
    ("pipe", &["pipe2"]),
    ("pipe2", &["pipe"]),
    ("dup2", &["dup3"]),
    ("dup3", &["dup2"]),
    ("epoll_create", &["epoll_create1"]),
    ("epoll_create1", &["epoll_create"]),
    ("epoll_wait", &["epoll_pwait", "epoll_pwait2"]),
    ("epoll_pwait", &["epoll_wait", "epoll_pwait2"]),
    ("epoll_pwait2", &["epoll_wait", "epoll_pwait"]),
    ("poll", &["ppoll"]),
    ("ppoll", &["poll"]),
    ("select", &["pselect6", "_newselect"]),
    ("pselect6", &["select", "_newselect"]),
    ("eventfd", &["eventfd2"]),
    ("eventfd2", &["eventfd"]),
    ("signalfd", &["signalfd4"]),
    ("signalfd4", &["signalfd"]),
    ("inotify_init", &["inotify_init1"]),
    ("inotify_init1", &["inotify_init"]),
    ("accept", &["accept4"]),
    ("accept4", &["accept"]),
    ("send", &["sendto"]),
    ("sendto", &["send"]),
    ("recv", &["recvfrom"]),
    ("recvfrom", &["recv"]),
    ("sendfile", &["sendfile64"]),
    ("time", &["clock_gettime"]),
    ("gettimeofday", &["clock_gettime"]),
    ("clock_gettime", &["gettimeofday", "time"]),
    ("nanosleep", &["clock_nanosleep"]),
    ("clock_nanosleep", &["nanosleep"]),
    ("alarm", &["setitimer"]),
    ("pause", &["ppoll"]),
    ("getpgrp", &["getpgid"]),
    ("mmap", &["mmap2"]),
    ("lseek", &["_llseek"]),
    ("waitpid", &["wait4"]),
    ("wait4", &["waitpid"]),
    ("getrlimit", &["prlimit64", "ugetrlimit"]),
    ("setrlimit", &["prlimit64"]),
    ("prlimit64", &["getrlimit", "setrlimit", "ugetrlimit"]),
];

/// A thread or process can be started by any of these; which one is a C library's choice.
const FORKS: [&str; 4] = ["fork", "vfork", "clone", "clone3"];

/// The flags of `clone` that make namespaces (`include/uapi/linux/sched.h`): CLONE_NEWNS,
/// CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET.
const NAMESPACES: u64 = 0x7e02_0000;

/// Entries for the stand-ins of what was recorded, that is none of `named`. Of a call that was
/// `narrowed` there is none, since it would not be.
pub fn entries(
    named: &BTreeSet<&'static str>,
    recorded: &BTreeSet<&'static str>,
    narrowed: &BTreeSet<&'static str>,
    abis: &[Abi],
) -> Vec<Entry> {
    let mut found: BTreeSet<&'static str> = BTreeSet::new();
    let mut because = BTreeSet::new();
    for &name in recorded.difference(narrowed) {
        for stand_in in stand_ins(name) {
            if !named.contains(stand_in) {
                found.insert(stand_in);
                because.insert(name);
            }
        }
    }
    let mut entries = Vec::new();
    if !found.is_empty() {
        let because: Vec<&str> = because.into_iter().collect();
        let comment = format!(
            "not recorded: these take the place of {} on other architectures or with other C \
             libraries",
            because.join(", ")
        );
        entries.push(allow(&found, Vec::new(), comment));
    }
    let forks = FORKS.iter().any(|name| recorded.contains(name));
    if forks && !named.contains("clone") {
        let first = ArgIndex::ALL[0];
        let flags = Test::MaskedEq { mask: NAMESPACES, value: 0 };
        // s390 takes the flags second.
        let at = if abis.iter().all(|abi| matches!(abi, Abi::S390 | Abi::S390x)) {
            ArgIndex::ALL[1]
        } else {
            first
        };
        let comment = "not recorded: C libraries start processes and threads with it; without \
                       flags that make namespaces";
        let name = BTreeSet::from(["clone"]);
        entries.push(allow(&name, vec![Comparison::full(at, flags)], comment.to_owned()));
    }
    entries
}

/// What can take the place of a call, by the list and by the endings that mark the same call with
/// wider arguments.
fn stand_ins(name: &'static str) -> impl Iterator<Item = &'static str> {
    let listed = STAND_INS.iter().filter(move |(of, _)| *of == name).flat_map(|(_, names)| *names);
    let wider = ["64", "32", "_time64"]
        .into_iter()
        .filter_map(move |ending| Some(syscall(&format!("{name}{ending}"))?.name));
    let narrower = ["64", "32", "_time64"]
        .into_iter()
        .filter_map(move |ending| Some(syscall(name.strip_suffix(ending)?)?.name));
    listed.copied().chain(wider).chain(narrower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stand_in_is_a_call() {
        for (name, stand_ins) in STAND_INS {
            for name in [name].into_iter().chain(*stand_ins) {
                assert!(syscall(name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn what_arm64_lacks_has_a_stand_in_there() {
        // What x86_64 has and arm64 has not, but for what belongs to x86 and what is long gone.
        let without = [
            "_sysctl",
            "afs_syscall",
            "arch_prctl",
            "create_module",
            "epoll_ctl_old",
            "epoll_wait_old",
            "fork",
            "get_kernel_syms",
            "get_thread_area",
            "getpmsg",
            "ioperm",
            "iopl",
            "modify_ldt",
            "putpmsg",
            "query_module",
            "security",
            "set_thread_area",
            "sysfs",
            "tuxcall",
            "uselib",
            "ustat",
            "uretprobe",
            "uprobe",
            "vfork",
            "vserver",
            "map_shadow_stack",
        ];
        for (_, name) in Abi::X86_64.syscalls() {
            if Abi::Aarch64.number(name).is_none() && !without.contains(&name) {
                let found = stand_ins(name).any(|other| Abi::Aarch64.number(other).is_some());
                assert!(found, "{name}");
            }
        }
    }

    #[test]
    fn wider_and_narrower_calls_stand_for_each_other() {
        let of = |name| stand_ins(name).collect::<Vec<_>>();
        assert!(of("futex").contains(&"futex_time64"));
        assert!(of("futex_time64").contains(&"futex"));
        assert!(of("fcntl").contains(&"fcntl64"));
        assert!(of("geteuid").contains(&"geteuid32"));
    }
}
