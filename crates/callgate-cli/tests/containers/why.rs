//! `callgate why --container`: what the filters of containers of runc and Podman refuse.

use std::{
    fs,
    os::unix::fs::symlink,
    process::{self, Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{LIMIT, bundle, outside, podman, ready, run, text};
use crate::common::{CALLGATE, Scratch, root_for};

/// Waits, is refused twice by its own shell and once by a child of it, is killed, and fails for want
/// of a capability.
const SCRIPT: &str = "n=0; while [ ! -e /go -a $n -lt 1200 ]; do n=$((n+1)); busybox sleep 0.05; done; \
     cd /tmp; cd /etc; busybox mkdir /made; busybox hostname x; busybox chown 5 /file; busybox sleep 0.6; exit 3";

/// Refuses in ways that no permission of a file gives: ENOLCK, and a kill.
fn seccomp() -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            { "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 37 },
            { "names": ["sethostname"], "action": "SCMP_ACT_KILL_PROCESS" },
            { "names": ["chdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 37 }
        ]
    })
}

/// A container of runc that is made and not started, with this line and filter.
struct Container<'s> {
    scratch: &'s Scratch,
    name: String,
}

impl<'s> Container<'s> {
    fn create(scratch: &'s Scratch, line: &[&str], seccomp: &Value) -> Container<'s> {
        let name = format!("callgate-why-{}-{}", process::id(), line.len());
        if !scratch.join("rootfs").exists() {
            bundle(scratch, &name);
            symlink("/dev/null", scratch.join("rootfs/file")).expect("the folder takes a link");
        }
        let config = String::from_utf8(scratch.read("config.json")).expect("it is text");
        let mut config: Value = serde_json::from_str(&config).expect("it is JSON");
        config["process"]["args"] = json!(line);
        config["linux"]["seccomp"] = seccomp.clone();
        config["linux"]["cgroupsPath"] = json!(format!("/{name}"));
        scratch.file("config.json", config.to_string());
        run(scratch, &mut outside(scratch, &["runc", "--root", "state", "create", &name]));
        Container { scratch, name }
    }

    fn folder(&self) -> String {
        format!("state/{}", self.name)
    }

    fn start(&self) {
        run(
            self.scratch,
            &mut outside(self.scratch, &["runc", "--root", "state", "start", &self.name]),
        );
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let line = ["runc", "--root", "state", "delete", "--force", &self.name];
        let _ = outside(self.scratch, &line).status();
    }
}

/// `why`, as soon as it watches.
fn watch(scratch: &Scratch, said: &str, args: &[&str]) -> Child {
    let errors = fs::File::create(scratch.join(said)).expect("the folder takes a file");
    let mut child = Command::new(CALLGATE)
        .args(["why", "--container"])
        .args(args)
        .stdout(Stdio::piped())
        .stderr(errors)
        .current_dir(scratch.path())
        .spawn()
        .expect("callgate starts");
    let begin = Instant::now();
    while !self::said(scratch, said).contains(": asking ") {
        if child.try_wait().expect("it is ours").is_some() || begin.elapsed() > LIMIT {
            let _ = child.kill();
            panic!("{args:?} does not watch: {}", self::said(scratch, said));
        }
        thread::sleep(Duration::from_millis(10));
    }
    child
}

fn said(scratch: &Scratch, said: &str) -> String {
    String::from_utf8(scratch.read(said)).expect("it is text")
}

/// Its status and standard output, when the container has ended.
fn end(why: Child) -> (Option<i32>, String) {
    let ended = why.wait_with_output().expect("it is ours");
    (ended.status.code(), String::from_utf8(ended.stdout).expect("it is text"))
}

/// The refusals of a report of this call.
fn of<'r>(report: &'r Value, call: &str) -> Vec<&'r Value> {
    let all = report["refusals"].as_array().expect("there is a list");
    all.iter().filter(|refusal| refusal["syscall"] == call).collect()
}

#[test]
fn what_the_filter_of_a_container_refuses_is_told_and_nothing_else_is_blamed_on_it() {
    let scratch = Scratch::new();
    if !ready(&scratch, "runc") {
        return;
    }
    let container = Container::create(&scratch, &["/bin/sh", "-c", SCRIPT], &seccomp());
    let why = watch(&scratch, "said", &[&container.folder(), "--json"]);
    container.start();
    scratch.file("rootfs/go", "");
    let (status, report) = end(why);
    let report: Value = serde_json::from_str(&report).unwrap_or_else(|e| panic!("{e}: {report}"));
    assert_eq!((status, &report["status"]), (Some(1), &json!(1)), "{report:#}");
    assert_eq!(report["profile"], "config.json");
    assert_eq!(report["refused"], 4, "{report:#}");

    // Of a process that lives on all is known: in two kinds, since the shell's is one call.
    let chdir = of(&report, "chdir");
    assert_eq!((chdir.len(), &chdir[0]["count"]), (1, &json!(2)), "{report:#}");
    assert_eq!(chdir[0]["text"], "chdir(\"/tmp\"*)");
    assert_eq!((&chdir[0]["errno"], &chdir[0]["varied"]), (&json!("ENOLCK"), &json!(true)));
    assert_eq!((&chdir[0]["by"]["entry"], &chdir[0]["by"]["filter"]), (&json!(2), &Value::Null));
    assert_eq!(chdir[0]["executable"], "/bin/busybox");
    assert_eq!(chdir[0]["from"]["at"]["file"], "/bin/busybox");
    assert_eq!(chdir[0]["edit"]["remove_from_entry"], 2);

    // Of one that is gone, what the kernel has told.
    let mkdir = of(&report, "mkdir");
    assert_eq!((mkdir.len(), &mkdir[0]["by"]["entry"]), (1, &json!(0)), "{report:#}");
    assert_eq!((&mkdir[0]["executable"], &mkdir[0]["count"]), (&json!("/bin/busybox"), &json!(1)));
    assert_eq!(mkdir[0]["arguments"][1]["text"], "0777");
    let killed = of(&report, "sethostname");
    assert_eq!((killed.len(), &killed[0]["by"]["entry"]), (1, &json!(1)), "{report:#}");
    assert_eq!(killed[0]["action"], "kill_process");
    // How it ended is known when it could be held before.
    let then = killed[0]["then"]["text"].as_str();
    assert!(then.is_some_and(|then| then.starts_with("the program died of it")), "{report:#}");
    assert_eq!(report["container"]["kills"], json!([]), "it is told once");

    // Without CAP_CHOWN, which is not the filter's doing.
    let others = report["container"]["others"].as_array().expect("there is a list");
    let chown = |other: &&Value| other["text"].as_str().is_some_and(|text| text.contains("chown"));
    assert_eq!(others.iter().filter(chown).count(), 1, "{report:#}");
    assert_eq!(report["container"]["counted"], 4, "{report:#}");
    assert_eq!(
        (&report["container"]["answered"], &report["container"]["lost"]),
        (&json!(0), &json!(0))
    );
}

#[test]
fn a_profile_that_is_named_is_edited_and_another_one_is_not_believed() {
    let scratch = Scratch::new();
    if !ready(&scratch, "runc") {
        return;
    }
    let container = Container::create(&scratch, &["/bin/sh", "-c", SCRIPT], &seccomp());
    scratch.file("web.json", serde_json::to_string_pretty(&seccomp()).expect("it is a value"));
    let allows = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [] });
    scratch.file("other.json", allows.to_string());
    container.start();
    let folder = container.folder();
    let other = watch(&scratch, "other", &[&folder, "--profile", "other.json", "-o", "other.txt"]);
    let why = watch(&scratch, "said", &[&folder, "--profile", "web.json", "--fix"]);
    scratch.file("rootfs/go", "");
    assert_eq!(end(why).0, Some(1), "{}", said(&scratch, "said"));
    assert_eq!(end(other).0, Some(1));
    let said = said(&scratch, "said");
    for line in [
        "refused   chdir(\"/tmp\"*) = ENOLCK ",
        "  by      web.json: refused by name (entry 2, web.json:",
        "refused   sethostname(",
        "failed    ",
        "  by      not the filter, which allows it: a capability",
        "note: in all 2 times chdir(",
        "note: web.json: 3 edits written",
        "start the container again",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let fixed = String::from_utf8(scratch.read("web.json")).expect("it is text");
    let fixed: Value = serde_json::from_str(&fixed).expect("it is JSON");
    let names: Vec<&Value> =
        fixed["syscalls"].as_array().unwrap().iter().map(|e| &e["names"]).collect();
    assert!(
        !names.iter().any(|names| names.as_array().unwrap().contains(&json!("mkdir"))),
        "{fixed}"
    );
    let other = String::from_utf8(scratch.read("other.txt")).expect("it is text");
    assert!(other.contains("= ENOLCK") && other.contains("the profile says otherwise"), "{other}");
}

/// Makes a bundle for runc with this program of C in it, where there is all that takes.
fn with_program(scratch: &Scratch, name: &str, text: &str, flags: &[&str]) -> bool {
    if !ready(scratch, "runc") {
        return false;
    }
    bundle(scratch, "unused");
    symlink("/dev/null", scratch.join("rootfs/file")).expect("the folder takes a link");
    let Some(program) = scratch.cc(name, text, flags) else { return false };
    fs::copy(program, scratch.join("rootfs/bin").join(name)).expect("it can be copied");
    true
}

#[test]
fn a_thread_that_is_killed_alone_is_found_in_the_audit_log() {
    const PROGRAM: &str = r#"
        #define _GNU_SOURCE
        #include <pthread.h>
        #include <unistd.h>
        #include <sys/syscall.h>
        static void *thread(void *none) { syscall(SYS_sethostname, "x", 1); return none; }
        int main(void) {
            pthread_t id;
            while (access("/go", F_OK)) usleep(10000);
            pthread_create(&id, 0, thread, 0);
            sleep(2);
            return 0;
        }
    "#;
    let scratch = Scratch::new();
    if !with_program(&scratch, "threads", PROGRAM, &["-static", "-pthread"]) {
        return;
    }
    let mut filter = seccomp();
    filter["syscalls"][1]["action"] = json!("SCMP_ACT_KILL_THREAD");
    let container = Container::create(&scratch, &["/bin/threads"], &filter);
    container.start();
    let why = watch(&scratch, "said", &[&container.folder(), "--json"]);
    scratch.file("rootfs/go", "");
    let (status, report) = end(why);
    let report: Value = serde_json::from_str(&report).unwrap_or_else(|e| panic!("{e}: {report}"));
    assert_eq!((status, &report["refused"]), (Some(1), &json!(0)), "{report:#}");
    let kill = &report["container"]["kills"][0];
    assert_eq!(
        (&kill["call"], &kill["verdict"]),
        (&json!("sethostname"), &json!("kills the thread"))
    );
    assert_eq!(kill["executable"], "/bin/threads", "{report:#}");
}

#[test]
fn a_filter_that_the_program_has_loaded_itself_is_named_and_so_is_a_32_bit_call() {
    const PROGRAM: &str = r#"
        #define _GNU_SOURCE
        #include <linux/filter.h>
        #include <linux/seccomp.h>
        #include <stddef.h>
        #include <sys/prctl.h>
        #include <sys/syscall.h>
        #include <unistd.h>
        int main(void) {
            struct sock_filter filter[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getsid, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 39),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
            };
            struct sock_fprog program = { .len = 4, .filter = filter };
            while (access("/go", F_OK)) usleep(10000);
            if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return 98;
            if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0)) return 98;
            syscall(SYS_getsid, 5);
        #ifdef __x86_64__
            /* mkdir of i386. */
            long result;
            asm volatile("int $0x80" : "=a"(result) : "a"(39L), "b"(0L), "c"(0750L) : "memory", "r8", "r9", "r10", "r11");
        #endif
            sleep(1);
            return 0;
        }
    "#;
    let scratch = Scratch::new();
    if !with_program(&scratch, "loads", PROGRAM, &["-static"]) {
        return;
    }
    let mut filter = seccomp();
    filter["architectures"] = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
    let container = Container::create(&scratch, &["/bin/loads"], &filter);
    container.start();
    let why = watch(&scratch, "said", &[&container.folder(), "--json"]);
    scratch.file("rootfs/go", "");
    let (status, report) = end(why);
    let report: Value = serde_json::from_str(&report).unwrap_or_else(|e| panic!("{e}: {report}"));
    assert_eq!(status, Some(1), "{report:#}");
    let own = &of(&report, "getsid")[0];
    assert_eq!((&own["errno"], &own["text"]), (&json!("ENOTEMPTY"), &json!("getsid(5)")));
    let by = own["by"]["text"].as_str().expect("it is text");
    assert!(by.contains("of filter 2 of 2 (the newest)") && by.contains("loaded itself"), "{by}");
    if cfg!(target_arch = "x86_64") {
        let call = &of(&report, "mkdir")[0];
        assert_eq!((&call["arch"], &call["by"]["entry"]), (&json!("x86"), &json!(0)), "{report:#}");
        assert_eq!(call["arguments"][1]["value"], 0o750);
    }
}

#[test]
fn a_container_of_podman_is_watched_by_its_name_for_a_time() {
    let scratch = Scratch::new();
    if !ready(&scratch, "podman") || !ready(&scratch, "crun") {
        return;
    }
    bundle(&scratch, "unused");
    scratch.file("web.json", seccomp().to_string());
    let name = format!("callgate-why-{}", process::id());
    let (rootfs, profile) =
        (scratch.join("rootfs"), format!("seccomp={}", text(&scratch.join("web.json"))));
    let start =
        ["run", "--detach", "--name", &name, "--network", "none", "--security-opt", &profile];
    let line = ["--rootfs", text(&rootfs), "/bin/sh", "-c", SCRIPT];
    run(&scratch, &mut podman(&scratch, "crun", &[&start[..], &line].concat()));
    let quiet = scratch.callgate(&["why", "--container", &name, "--for", "1"]).run();
    quiet.is_like(0, "", "note: container …: asking its filter and …/config.json…\nnote: the filter refused nothing while it was watched\n");
    let why = watch(&scratch, "said", &[&name]);
    scratch.file("rootfs/go", "");
    assert_eq!(end(why).0, Some(1));
    let said = said(&scratch, "said");
    assert!(said.contains("refused   chdir(\"/tmp\"*) = ENOLCK"), "{said}");
    assert!(said.contains("config.json: refused by name (entry "), "{said}");
    run(&scratch, &mut podman(&scratch, "crun", &["rm", "--force", &name]));
}

#[test]
fn what_is_not_there_or_not_allowed_is_an_error() {
    let scratch = Scratch::new();
    let why = |args: &[&str]| scratch.callgate(&[&["why"], args].concat()).run();
    why(&["--container", "no-such-container"]).is_like(2, "", "error: …: no running container …\n");
    why(&["--container", "x", "--", "true"]).is_like(125, "", "error: …cannot be used with…");
    why(&["--for", "1", "--", "true"]).is_like(125, "", "error: …--container…");
    why(&[]).is_like(125, "", "error: …");
    if !root_for("why --container without privilege") || !ready(&scratch, "runc") {
        return;
    }
    let container = Container::create(&scratch, &["/bin/sh", "-c", SCRIPT], &seccomp());
    let folder = container.folder();
    why(&["--container", &folder, "--fix"]).is_like(2, "", "error: --fix takes the profile …\n");
    why(&["--container", &folder, "--profile", "none.json"]).is_like(
        2,
        "",
        "error: none.json: …\n",
    );
    let outcome = scratch.callgate_as_user(&["why", "--container", &folder]).run();
    outcome.is_like(2, "", "error: …\n");
}
