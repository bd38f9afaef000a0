//! What goes wrong while something is recorded: that the workload does what it does unrecorded, or
//! that it is told what it does not, and that nothing stays behind.

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use super::{called, ebpf_for, lines, recorder};
use crate::common::{CALLGATE, NOBODY, Scratch, find, is_root, root_for, skip};

const NO_BPF: &str = r#"{ "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{ "names": ["bpf"], "action": "SCMP_ACT_ERRNO" }] }"#;
const NO_MKDIR: &str = r#"{ "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 37 }] }"#;

/// The methods that can be tried here.
fn methods(scratch: &Scratch, what: &str) -> &'static [&'static str] {
    if ebpf_for(scratch, what) { &["ebpf", "notify"] } else { &["notify"] }
}

/// The words that start a program under this profile, with what privileges there are.
fn under(profile: &str) -> [&str; 6] {
    [CALLGATE, "run", "--profile", profile, "--cap-keep", "--"]
}

#[test]
fn a_setuid_program_keeps_its_privilege_or_the_recording_says_so() {
    if !root_for("recording a setuid program") {
        return;
    }
    let scratch = Scratch::new();
    scratch.copy(find("id").expect("it is everywhere"), "id", 0o4755);
    if scratch.as_user("./id").arg("-u").run().stdout != "0\n" {
        skip("recording a setuid program: setuid bits have no effect in the temporary folder");
        return;
    }
    let id = NOBODY.to_string();
    let user = ["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups", "--", "./id", "-u"];
    for method in methods(&scratch, "a setuid program") {
        let args = ["record", "--method", method, "-o", method, "--"];
        let outcome = scratch.callgate(&[&args[..], &user].concat()).run();
        outcome.is_like(0, "0\n", &format!("{method}: … before the end\n"));
    }
    // The kernel takes an ordinary user's filter only with no_new_privs.
    let told = "u.rec: …\nwarning: u.rec: not recorded: what setuid programs do …: 1\n";
    for path in ["./id".to_owned(), scratch.join("id").to_string_lossy().into_owned()] {
        let args = ["record", "--method", "notify", "-o", "u.rec", "--", &path, "-u"];
        scratch.callgate_as_user(&args).run().is_like(0, &format!("{NOBODY}\n"), told);
        scratch.command("rm").args(&["u.rec"]).run().is(0, "", "");
    }
    // Where it was set before, the recording changes nothing.
    let before = ["--no-new-privs", "./callgate", "record", "--method", "notify", "-o", "n.rec"];
    let outcome = scratch.as_user("setpriv").args(&before).args(&["--", "./id", "-u"]).run();
    outcome.is_like(0, &format!("{NOBODY}\n"), "n.rec: … before the end\n");
}

#[test]
fn where_bpf_is_refused_auto_takes_the_other_way_and_ebpf_runs_nothing() {
    let scratch = Scratch::new();
    scratch.file("no-bpf.json", NO_BPF);
    let inside = |args: &[&str]| {
        let [program, words @ ..] = under("no-bpf.json");
        scratch.command(program).args(&words).arg(CALLGATE).arg("record").args(args).run()
    };
    inside(&["-o", "a.rec", "--", "touch", "made"]).is_like(
        0,
        "",
        "note: recording by user notification (no eBPF: …bpf…)\na.rec: …\n",
    );
    assert!(scratch.join("made").exists() && called(&scratch, "a.rec", "/touch").len() > 5);
    let why = if is_root() { "a seccomp filter holds this process" } else { "…CAP_BPF" };
    inside(&["--method", "ebpf", "-o", "b.rec", "--", "touch", "other"]).is_like(
        125,
        "",
        &format!("error: {why}…; --method notify does without\n"),
    );
    let own = std::process::id().to_string();
    inside(&["-o", "b.rec", "--pid", &own]).is_like(2, "", &format!("error: pid:{own}: {why}…\n"));
    assert!(!scratch.join("other").exists() && !scratch.join("b.rec").exists());
}

#[test]
fn an_ordinary_user_is_told_why_it_is_not_ebpf() {
    let scratch = Scratch::new();
    let record = |args: &[&str]| scratch.callgate_as_user(&[&["record"], args].concat()).run();
    let why = "recording by eBPF takes CAP_BPF and CAP_PERFMON, and this process does not have …";
    record(&["-o", "a.rec", "--", "true"]).is_like(
        0,
        "",
        &format!("note: recording by user notification (no eBPF: {why})\na.rec: …\n"),
    );
    let own = std::process::id().to_string();
    record(&["-o", "b.rec", "--pid", &own]).is_like(2, "", &format!("error: pid:{own}: {why}\n"));
    assert!(!scratch.join("b.rec").exists());
}

/// Waits for the end of what it is told by their numbers: programs, maps and links of the kernel.
const GONE: &str = r#"
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        union bpf_attr attr = { .prog_id = atoi(argv[i + 1]) };
        int command = argv[i][0] == 'p' ? BPF_PROG_GET_FD_BY_ID
            : argv[i][0] == 'm' ? BPF_MAP_GET_FD_BY_ID : BPF_LINK_GET_FD_BY_ID;
        for (int tries = 0;; tries++) {
            long fd = syscall(SYS_bpf, command, &attr, sizeof attr);
            if (fd < 0 && errno == ENOENT) break;
            if (fd >= 0) close(fd);
            if (tries == 1000) return 1;
            usleep(20000);
        }
    }
    return 0;
}
"#;

#[test]
fn a_killed_recorder_leaves_nothing_loaded_and_the_workload_alone() {
    let scratch = Scratch::new();
    if !ebpf_for(&scratch, "killing a recorder") {
        return;
    }
    let Some(gone) = scratch.cc("gone", GONE, &[]) else { return };
    let script = "mkdir before; cat /proc/self/cgroup >group; echo ready
        while [ ! -e go ]; do sleep 0.05; done; mkdir after";
    let mut recorder = Command::new(CALLGATE)
        .args(["record", "--method", "ebpf", "-o", "k.rec", "--", "sh", "-c", script])
        .current_dir(scratch.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("callgate starts");
    let mut ready = [0; 5];
    let mut stdout = recorder.stdout.take().expect("it is piped");
    stdout.read_exact(&mut ready).expect("the command says so");
    let loaded = loaded_by(recorder.id());
    let programs = loaded.iter().filter(|word| *word == "prog_id").count();
    assert!(programs >= 2 && loaded.len() > 20, "{loaded:?}");
    recorder.kill().expect("it is ours");
    recorder.wait().expect("it is ours");
    scratch.command(&gone).args(&loaded).run().is(0, "", "");
    // What it had written is there, and the workload goes on to its own end.
    assert!(called(&scratch, "k.rec", "/mkdir").contains("mkdir"));
    scratch.file("go", "");
    wait_for("the workload's end", || scratch.join("after").exists());
    // Its cgroup is in the way of nobody; the next recording takes it away.
    let group = String::from_utf8(scratch.read("group")).expect("it is text");
    let name = group.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
    let name = Path::new(name).file_name().unwrap_or_default().to_owned();
    assert!(name.to_string_lossy().starts_with("callgate-"), "{group}");
    wait_for("the cgroup's end", || {
        assert_eq!(scratch.callgate(&["record", "-o", "n.rec", "--", "true"]).run().status, 0);
        scratch
            .command("find")
            .args(&["/sys/fs/cgroup", "-name"])
            .arg(&name)
            .run()
            .stdout
            .is_empty()
    });
}

/// The kernel's objects that a process has open, as kinds and numbers.
fn loaded_by(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("it is ours");
    let texts = entries.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok());
    let object = |text: String| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            let is = ["prog_id", "map_id", "link_id"].contains(&key);
            is.then(|| [key.to_owned(), value.trim().to_owned()])
        })
    };
    texts.filter_map(object).flatten().collect()
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < limit, "{what}");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_killed_workload_has_a_whole_recording() {
    let scratch = Scratch::new();
    for method in methods(&scratch, "a killed workload") {
        let script = "mkdir dir; rmdir dir; kill -KILL $$";
        let args = ["record", "--method", method, "-o", method, "--", "sh", "-c", script];
        assert_eq!(scratch.callgate(&args).run().status, 137);
        let lines = lines(&scratch, method);
        assert!(lines.iter().any(|line| line["name"] == "rmdir"), "{method}");
        assert_eq!(lines.last().expect("there are lines")["end"]["status"], 137, "{method}");
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_32_bit_program_is_recorded_by_its_own_numbers() {
    /// `mkdir` and `exit` by int 0x80; 39 is `getpid` in the table of 64 bits.
    const SOURCE: &str = r#"
void _start(void) {
    static const char name[] = "dir";
    int result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(39), "b"(name), "c"(0700) : "memory");
    __asm__ volatile("int $0x80" : : "a"(1), "b"(7));
    __builtin_unreachable();
}
"#;
    let scratch = Scratch::new();
    let flags = ["-m32", "-nostdlib", "-static", "-fno-pie", "-no-pie", "-fno-stack-protector"];
    if scratch.cc("small", SOURCE, &flags).is_none() {
        return;
    }
    if scratch.command("./small").run().status != 7 {
        skip("recording a 32-bit program: this kernel runs none");
        return;
    }
    for method in methods(&scratch, "a 32-bit program") {
        scratch.command("rmdir").arg("dir").run().is(0, "", "");
        let args = ["record", "--method", method, "-o", method, "--", "./small"];
        assert_eq!(scratch.callgate(&args).run().status, 7);
        assert!(scratch.join("dir").exists());
        let lines = lines(&scratch, method);
        let own: std::collections::BTreeSet<_> = lines
            .iter()
            .filter(|line| line["abi"] == "x86")
            .filter_map(|line| line["name"].as_str())
            .collect();
        assert_eq!(own, ["exit", "mkdir"].into(), "{method}");
        assert!(!called(&scratch, method, "/small").contains("getpid"), "{method}");
    }
}

#[test]
fn a_program_that_loads_a_filter_is_held_by_it_as_ever() {
    let scratch = Scratch::new();
    scratch.file("no-mkdir.json", NO_MKDIR);
    let mkdir = [&under("no-mkdir.json")[..], &["mkdir", "dir"]].concat();
    let alone = scratch.command(mkdir[0]).args(&mkdir[1..]).run();
    for method in methods(&scratch, "a program that loads a filter") {
        let args = ["record", "--method", method, "-o", method, "--"];
        let outcome = scratch.callgate(&[&args[..], &mkdir].concat()).run();
        assert_eq!(outcome.status, alone.status, "{method}");
        assert!(outcome.stderr.starts_with(&alone.stderr), "{method}: {}", outcome.stderr);
        assert!(!scratch.join("dir").exists());
        // That it loads one is seen, and by eBPF what that refuses.
        assert!(called(&scratch, method, "/callgate").contains("seccomp"), "{method}");
        let refused = lines(&scratch, method).iter().any(|line| line["errors"]["37"] == 1);
        assert_eq!(refused, *method == "ebpf");
    }
}

#[test]
fn a_program_with_a_listener_of_its_own_gets_ebusy_under_notification_alone() {
    let scratch = Scratch::new();
    let inner = [CALLGATE, "record", "--method", "notify", "-o", "in.rec", "--", "mkdir", "dir"];
    let outcome = recorder(&scratch, &[&["-o", "out.rec", "--"][..], &inner].concat());
    outcome.is_like(125, "", "error: …\nout.rec: …\n");
    assert!(outcome.stderr.contains("EBUSY"), "{}", outcome.stderr);
    assert!(!scratch.join("dir").exists());
    if ebpf_for(&scratch, "a listener of its own") {
        let args = ["record", "--method", "ebpf", "-o", "out.rec", "--"];
        scratch.callgate(&[&args[..], &inner].concat()).run().is_like(
            0,
            "",
            "in.rec: …\nout.rec: …\n",
        );
        assert!(called(&scratch, "in.rec", "/mkdir").contains("mkdir"));
    }
}

/// Forks as many children as it is told, each of which asks for its parent and ends.
const FORKS: &str = r#"
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv) {
    for (int i = atoi(argv[argc - 1]); i > 0; i--) {
        pid_t child = fork();
        if (child < 0) return 1;
        if (child == 0) { getppid(); _exit(0); }
        if (waitpid(child, 0, 0) != child) return 1;
    }
    return 0;
}
"#;

#[test]
fn ten_thousand_processes_are_counted_one_by_one() {
    let scratch = Scratch::new();
    let Some(forks) = scratch.cc("forks", FORKS, &[]) else { return };
    let forks = forks.to_string_lossy().into_owned();
    for method in methods(&scratch, "many processes") {
        // However long it takes, it is of one phase.
        let args = ["record", "--method", method, "--start-up", "9999", "-o", method, "--"];
        scratch.callgate(&[&args[..], &[&forks, "10000"]].concat()).run().is_like(
            0,
            "",
            &format!("{method}: … before the end\n"),
        );
        let last = lines(&scratch, method).into_iter().rev().find(|line| line["name"] == "getppid");
        assert_eq!(last.expect("it was called")["count"], 10_000, "{method}");
    }
}
