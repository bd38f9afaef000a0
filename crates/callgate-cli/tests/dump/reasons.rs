//! Processes and callers for which there is nothing to read: the reason is told, and what is read
//! all the same.

use std::{
    fs,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use super::{Background, readable};
use crate::common::{CALLGATE, Scratch, is_root, skip, tool_for};

fn wait_for(what: &str, happens: impl Fn() -> bool) {
    let begin = Instant::now();
    while !happens() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn state_of(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    crate::common::field(&status, "State", 0).to_owned()
}

/// A process that has ended and that nobody has asked about yet.
fn zombie(program: &str, args: &[&str]) -> Child {
    let child = Command::new(program).args(args).spawn().unwrap();
    wait_for("the process ends", || state_of(child.id()) == "Z");
    child
}

#[test]
fn a_process_that_has_ended_is_not_one_without_filters() {
    let scratch = Scratch::new();
    for (program, args) in [("true", &[][..]), (CALLGATE, &["run", "--", "true"])] {
        let mut zombie = zombie(program, args);
        let pid = zombie.id();
        scratch.callgate(&["dump", "--pid", &pid.to_string()]).run().is(
            2,
            "",
            &format!(
                "error: process {pid}: there is no process or thread {pid}, or it has ended\n"
            ),
        );
        for source in [format!("pid:{pid}"), format!("tid:{pid}")] {
            scratch.callgate(&["disasm", &source]).run().is_like(2, "", "…it has ended\n");
        }
        zombie.wait().unwrap();
    }
}

/// Its first thread ends; the other has loaded a filter and waits.
const LEADERLESS: &str = r#"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <unistd.h>

static void *other(void *leader)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_IMM, 7),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = 2, .filter = filter };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &program))
		_exit(1);
	for (;;)
		pause();
	return leader;
}

int main(void)
{
	pthread_t thread;
	pthread_create(&thread, NULL, other, NULL);
	pthread_exit(NULL);
}
"#;

#[test]
fn a_first_thread_that_has_ended_does_not_count() {
    if !readable("processes whose first thread has ended") {
        return;
    }
    let scratch = Scratch::new();
    let Some(program) = scratch.cc("leaderless", LEADERLESS, &["-pthread"]) else { return };
    let held = Background::of(scratch.path(), program.to_str().unwrap(), &[]);
    let pid = held.pid();
    let filtered = || {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let mut texts = threads.map(|t| fs::read_to_string(t.path().join("status")));
        texts.any(|text| text.is_ok_and(|text| text.contains("Seccomp:\t2")))
    };
    wait_for("the filter", || state_of(pid.parse().unwrap()) == "Z" && filtered());
    let listing = scratch.callgate(&["disasm", &format!("pid:{pid}")]).run();
    listing.is_like(0, "0000: ld   #0x7…", "");
    scratch.callgate(&["dump", "--pid", &pid]).run().is_like(0, "…1 filter\n…", "");
}

#[test]
fn a_thread_of_the_kernel_is_told() {
    if fs::read_to_string("/proc/2/comm").ok().as_deref() != Some("kthreadd\n") {
        // A container shows none.
        return;
    }
    let scratch = Scratch::new();
    let why = "2 is a thread of the kernel, which filters do not hold\n";
    scratch.callgate(&["dump", "--pid", "2"]).run().is(2, "", &format!("error: process 2: {why}"));
    scratch.callgate(&["explain", "pid:2"]).run().is(2, "", &format!("error: pid:2: {why}"));
}

#[test]
fn a_caller_in_a_user_namespace_is_told_to_start_outside() {
    let what = "callers and processes in user namespaces";
    if !readable(what) || !tool_for("unshare", "util-linux", what) {
        return;
    }
    let scratch = Scratch::new();
    let inside = ["--user", "--map-root-user"];
    if scratch.command("unshare").args(&inside).arg("true").run().status != 0 {
        skip("callers in user namespaces are not tested: there are none here");
        return;
    }
    let held = Background::held(&scratch, &["docker-default"]);
    let source = format!("pid:{}", held.pid());
    let explain = [CALLGATE, "explain", &source];
    scratch.command("unshare").args(&inside).args(&explain).run().is_like(
        2,
        "",
        "error: pid:…CAP_SYS_ADMIN in the first user namespace…start outside…\n",
    );
    // From outside it is read, wherever it is.
    let args = ["--user", "--map-root-user", CALLGATE, "run", "--", "sleep", "60"];
    let held = Background::of(scratch.path(), "unshare", &args).down_to("sleep", &args);
    let source = format!("pid:{}", held.pid());
    scratch.callgate(&["diff", "docker-default", &source]).run().is_like(0, "same…", "");
}

#[test]
fn the_first_process_and_the_own_one_are_answered() {
    let scratch = Scratch::new();
    if is_root() {
        let first = scratch.callgate(&["dump", "--pid", "1"]).run();
        assert!(first.status == 0 || first.stderr.starts_with("error: process 1: "), "{first:?}");
    }
    let own = |program: &str, args: &[&str]| {
        let line = format!("exec {CALLGATE} dump --pid $$");
        scratch.command(program).args(args).args(&["sh", "-c", &line]).run()
    };
    let plain = own("env", &[]);
    assert!(plain.status == 0 || plain.stderr.contains("a filter holds this process"), "{plain:?}");
    own(CALLGATE, &["run", "--cap-keep", "--"]).is_like(
        2,
        "",
        "error: process …: a filter holds this process itself…start outside\n",
    );
}
