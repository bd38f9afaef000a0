//! A container of runc: the profile given is the profile dumped, and the one converted back.

use std::{fs, os::unix::fs::symlink, process::Command};

use serde_json::json;

use super::{Background, find, readable, tool_for};
use crate::common::Scratch;

/// Names that are older than every libseccomp in use, so that runc knows them all.
fn profile() -> String {
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [
            { "names": [
                "access", "arch_prctl", "brk", "capget", "capset", "chdir", "close", "clock_nanosleep",
                "close_range", "dup3", "epoll_ctl", "epoll_pwait", "execve", "exit", "exit_group",
                "fchdir", "fcntl", "fstat", "fstatfs", "futex", "getcwd", "getdents64", "getpid",
                "getppid", "getrandom", "gettid", "getuid", "ioctl", "lseek", "mmap", "mprotect",
                "munmap", "nanosleep", "newfstatat", "open", "openat", "pipe2", "prctl", "pread64",
                "prlimit64", "read", "readlinkat", "restart_syscall", "rseq", "rt_sigaction",
                "rt_sigprocmask", "rt_sigreturn", "sched_yield", "set_robust_list",
                "set_tid_address", "setgid", "setgroups", "setuid", "sigaltstack", "stat", "statx",
                "tgkill", "umask", "uname", "write", "writev"
            ], "action": "SCMP_ACT_ALLOW" },
            { "names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [
                { "index": 0, "value": 2_114_060_288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" } ] },
            { "names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [
                { "index": 0, "value": 40, "op": "SCMP_CMP_NE" } ] },
            { "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 },
            { "names": ["ptrace"], "action": "SCMP_ACT_LOG" },
            { "names": ["keyctl"], "action": "SCMP_ACT_KILL_PROCESS" }
        ]
    })
    .to_string()
}

/// A bundle whose process sleeps.
fn bundle(scratch: &Scratch, name: &str, seccomp: &str) {
    let root = scratch.join("rootfs");
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::create_dir_all(root.join("proc")).unwrap();
    scratch.copy(find("busybox").unwrap(), "rootfs/bin/busybox", 0o755);
    symlink("busybox", root.join("bin/sleep")).unwrap();
    let namespaces = ["pid", "ipc", "uts", "mount", "network"].map(|kind| json!({ "type": kind }));
    let config = json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false, "user": { "uid": 0, "gid": 0 }, "args": ["/bin/sleep", "60"],
            "env": ["PATH=/bin"], "cwd": "/", "noNewPrivileges": true,
        },
        "root": { "path": root, "readonly": true },
        "mounts": [{ "destination": "/proc", "type": "proc", "source": "proc" }],
        "linux": {
            "cgroupsPath": format!("/{name}"),
            "namespaces": namespaces,
            "seccomp": serde_json::from_str::<serde_json::Value>(seccomp).unwrap(),
        },
    });
    scratch.file("config.json", config.to_string());
}

#[test]
fn a_container_of_runc_gives_its_profile_back() {
    let what = "that a container gives its profile back";
    if !cfg!(target_arch = "x86_64")
        || !readable(what)
        || !tool_for("runc", "runc", what)
        || !tool_for("busybox", "busybox-static", what)
    {
        return;
    }
    let scratch = Scratch::new();
    let given = profile();
    scratch.file("given.json", &given);
    let name = format!("callgate-dump-{}", std::process::id());
    bundle(&scratch, &name, &given);
    let runc = find("runc").unwrap();
    let runc = runc.to_str().unwrap();
    let container = Background::of(
        scratch.path(),
        runc,
        &["--root", "state", "run", "--pid-file", "pid", &name],
    );
    let begin = std::time::Instant::now();
    let running = |pid: &str| {
        fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.ends_with("bin/busybox"))
    };
    let pid = loop {
        let pid = fs::read_to_string(scratch.join("pid")).unwrap_or_default();
        if running(&pid) {
            break pid;
        }
        assert!(begin.elapsed() < std::time::Duration::from_secs(60), "runc starts nothing");
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    let source = format!("pid:{pid}");
    let same = "same: the kernel acts alike on every call\n";
    let diff = |a: &str, b: &str| scratch.callgate(&["diff", "--like", "runc", a, b]).run();
    diff("given.json", &source).is_like(0, same, "…");
    scratch
        .callgate(&["convert", &source, "--to", "oci", "-o", "back.json"])
        .run()
        .is_like(0, "", "…");
    diff("given.json", "back.json").is_like(0, same, "…");
    diff("back.json", &source).is_like(0, same, "…");
    let _ = Command::new(runc)
        .args(["--root", "state", "delete", "--force", &name])
        .current_dir(scratch.path())
        .status();
    drop(container);
}
