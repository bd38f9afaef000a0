//! Several filters on one process, and different ones on its threads.

use super::{Background, readable};
use crate::common::Scratch;

/// Refuses mkdir and lets the rest go.
fn no_mkdir(errno: u32) -> String {
    format!(
        r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": {errno}}}]}}"#
    )
}

const NO_CHROOT: &str = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
    {"names": ["chroot"], "action": "SCMP_ACT_KILL_PROCESS"}]}"#;

/// A process with three filters: the oldest refuses mkdir with ENOLCK, the next kills for chroot,
/// the newest refuses mkdir with EDEADLK.
fn three(scratch: &Scratch) -> (Background, String) {
    scratch.file("oldest.json", no_mkdir(37));
    scratch.file("middle.json", NO_CHROOT);
    scratch.file("newest.json", no_mkdir(35));
    let held = Background::held(scratch, &["oldest.json", "middle.json", "newest.json"]);
    let source = format!("pid:{}", held.pid());
    (held, source)
}

#[test]
fn every_verb_takes_all_filters_together() {
    if !readable("stacks of filters") {
        return;
    }
    let scratch = Scratch::new();
    let (held, source) = three(&scratch);
    let pid = held.pid();
    let source = source.as_str();

    let dumped = scratch.callgate(&["dump", "--pid", &pid, "-o", "filters"]).run();
    dumped.is_like(
        0,
        &format!(
            "pid:{pid} (thread {pid}): 3 filters, oldest first\n  \
             filter 1 of 3 (the oldest): …/pid{pid}-1.bpf\n  \
             filter 2 of 3: …/pid{pid}-2.bpf\n  \
             filter 3 of 3 (the newest): …/pid{pid}-3.bpf\n"
        ),
        "",
    );
    for (number, file) in [(1, "oldest.json"), (2, "middle.json"), (3, "newest.json")] {
        let name = format!("filters/pid{pid}-{number}.bpf");
        scratch.callgate(&["diff", file, &name]).run().is_like(0, "same…", "…");
    }

    // At equal rank the newest counts, and a kill from any.
    let eval = |call: &[&str]| scratch.callgate(&[&["eval", source, "--"], call].concat()).run();
    eval(&["mkdir"]).is_like(1, "mkdir…EDEADLK…instruction … of filter 3 of 3 (the newest)\n", "");
    eval(&["chroot"]).is_like(1, "chroot…kills…instruction … of filter 2 of 3\n", "");
    eval(&["read"]).is_like(0, "read…allows, by all 3 filters\n", "");
    let json = scratch.callgate(&["eval", source, "--json", "--", "mkdir"]).run().json(1);
    let numbers: Vec<_> =
        json[0]["filters"].as_array().unwrap().iter().map(|f| f["filter"].clone()).collect();
    assert_eq!(numbers, [3, 2, 1]);
    assert_eq!(json[0]["filters"][2]["word"], 0x0005_0000 | 37);

    let listing = scratch.callgate(&["disasm", source]).run();
    listing.is_like(
        0,
        "; filter 3 of 3 (the newest)\n…; filter 2 of 3\n…; filter 1 of 3 (the oldest)\n…",
        "",
    );
    scratch.callgate(&["disasm", source, "--graph"]).run().is_like(
        0,
        "digraph {\n…  subgraph cluster_0 {\n    label=\"filter 3 of 3 (the newest)\";\n    f0_0000 […\
         …subgraph cluster_2 {\n    label=\"filter 1 of 3 (the oldest)\";\n    f2_0000 […  }\n}\n",
        "",
    );
    scratch.callgate(&["explain", source, "--syscall", "mkdir"]).run().is_like(0, "…EDEADLK…", "");
    scratch.callgate(&["explain", source, "--allows", "chroot"]).run().is_like(1, "…", "");

    // One profile that means the same, and is one filter.
    scratch
        .callgate(&["convert", source, "--to", "oci", "-o", "one.json"])
        .run()
        .is_like(0, "", "…");
    scratch.callgate(&["diff", source, "one.json"]).run().is_like(0, "same…", "…");
    scratch
        .callgate(&["merge", "--intersect", source, "newest.json", "-o", "both.json"])
        .run()
        .is_like(0, "", "…");
    scratch.callgate(&["diff", source, "both.json"]).run().is_like(0, "same…", "…");

    scratch.callgate(&["run", "--profile", source, "--", "true"]).run().is_like(
        125,
        "",
        &format!("error: {source}: 3 filters hold it, and `run` loads one…convert…"),
    );
    for verb in ["check", "compile"] {
        scratch.callgate(&[verb, source]).run().is_like(2, "", "error: …takes a profile\n");
    }
    scratch.callgate(&["dump", "--pid", &pid, "--format", "raw"]).run().is_like(
        2,
        "",
        "error: …3 filters…-o DIR\n",
    );
}

/// Two threads; the second has one filter more. Its numbers are told in a file.
const THREADS: &str = r#"
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void load(unsigned number)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_IMM, number),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = 2, .filter = filter };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &program))
		_exit(1);
}

static void *other(void *unused)
{
	load(2);
	FILE *file = fopen("numbers.new", "w");
	fprintf(file, "%ld", (long)syscall(SYS_gettid));
	fclose(file);
	rename("numbers.new", "numbers");
	pause();
	return unused;
}

int main(void)
{
	pthread_t thread;
	load(1);
	pthread_create(&thread, NULL, other, NULL);
	pause();
}
"#;

#[test]
fn threads_with_different_filters_are_listed() {
    if !readable("threads with different filters") {
        return;
    }
    let scratch = Scratch::new();
    let Some(program) = scratch.cc("threads", THREADS, &["-pthread"]) else { return };
    let held = Background::of(scratch.path(), program.to_str().unwrap(), &[]);
    let begin = std::time::Instant::now();
    while !scratch.join("numbers").exists() {
        assert!(begin.elapsed() < std::time::Duration::from_secs(60));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let (pid, tid) = (held.pid(), String::from_utf8(scratch.read("numbers")).unwrap());
    let source = format!("pid:{pid}");
    scratch.callgate(&["explain", &source]).run().is_like(
        2,
        "",
        &format!(
            "error: {source}: filters belong to threads, and its threads are held by different \
             ones; name one of them:\n…tid:{pid}…1 filter of 2 instructions (thread {pid})\n…\
             tid:{tid}…2 filters of 2, 2 instructions (thread {tid})\n"
        ),
    );
    let listing = |tid: &str| scratch.callgate(&["disasm", &format!("tid:{tid}")]).run();
    listing(&pid).is_like(0, "0000: ld   #0x1…", "");
    listing(&tid).is_like(0, "; filter 2 of 2 (the newest)\n0000: ld   #0x2…", "");
    scratch.callgate(&["dump", "--pid", &pid, "-o", "filters"]).run().is_like(
        0,
        &format!("tid:{pid} (thread {pid}): 1 filter\n…tid:{tid} (thread {tid}): 2 filters…"),
        "",
    );
    let mut names: Vec<_> = std::fs::read_dir(scratch.join("filters"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_by_key(|name| (name.len(), name.clone()));
    let mut expected =
        [format!("tid{pid}-1.bpf"), format!("tid{tid}-1.bpf"), format!("tid{tid}-2.bpf")];
    expected.sort_by_key(|name| (name.len(), name.clone()));
    assert_eq!(names, expected);
}
