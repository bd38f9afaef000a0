//! `callgate profile`: from recordings to profiles that start the workload.

#[path = "common/mod.rs"]
mod common;

use serde_json::Value;

use crate::common::Scratch;

const TRACE: &str = "\
1 execve(\"/bin/sh\", [\"sh\"], 0x1) = 0
1 socket(AF_UNIX, SOCK_STREAM, 0) = 3
1 getpid() = 1
1 exit_group(0) = ?
";

fn recorded(scratch: &Scratch) {
    scratch.file("trace", TRACE);
    scratch
        .callgate(&["record", "-o", "t.rec", "--from-strace", "trace", "--arch", "x86_64"])
        .run();
}

#[test]
fn the_workload_runs_under_its_profile_with_kill_as_default() {
    let scratch = Scratch::new();
    let script = "ls / | sort | head -n 1; mkdir dir 2>/dev/null; sleep 0.01; exit 4";
    let record = scratch
        .callgate(&["record", "--method", "notify", "-o", "w.rec", "--", "sh", "-c", script])
        .run();
    assert_eq!(record.status, 4, "{}", record.stderr);
    for more in [&[][..], &["--args"]] {
        let args = ["profile", "w.rec", "--default", "kill", "--runtime", "none", "-o", "w.json"];
        let profile = scratch.callgate(&[&args, more].concat()).run();
        profile.is_like(0, "", "w.json: … recorded…");
        let run = ["run", "--profile", "w.json", "--cap-keep"];
        let under = |script: &str| {
            scratch.callgate(&[&run[..], &["--", "sh", "-c", script]].concat()).run()
        };
        let outcome = under(script);
        assert_eq!(outcome.status, 4, "{more:?} {}", outcome.stderr);
        // What was not recorded is refused.
        let other = under("ln -s x link");
        assert_ne!(other.status, 0, "{more:?}");
        assert!(!scratch.join("link").exists());
    }
}

#[test]
fn what_is_written_says_where_it_comes_from() {
    let scratch = Scratch::new();
    recorded(&scratch);
    let options = ["--runtime", "crun", "--no-new-privileges", "--no-exec"];
    let outcome = scratch.callgate(&[&["profile", "t.rec"], &options[..]].concat()).run();
    outcome.is_like(
        0,
        "…",
        "profile: 4 recorded + 1 that crun needs after loading + … that come by chance\n\
         when the last new call came is not known: the run that brought it has no times\n\
         note: one run cannot tell whether another would bring more; record another\n",
    );
    let profile: Value = serde_json::from_str(&outcome.stdout).expect("it is JSON");
    let comments: Vec<&str> = profile["syscalls"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|e| e["comment"].as_str())
        .collect();
    for start in [
        "recorded by /bin/sh in 1 run: 4 calls",
        "not recorded: crun needs",
        "not recorded: whether these come is not the program's choice",
        "not recorded, and newer than what was: ENOSYS",
    ] {
        assert!(comments.iter().any(|comment| comment.starts_with(start)), "{start}: {comments:?}");
    }
    // Nothing to complain of: not even by callgate itself.
    scratch.file("t.json", &outcome.stdout);
    scratch.callgate(&["check", "t.json", "--for", "runc"]).run().is_like(0, "…", "…");
    // The same every time.
    let again = scratch.callgate(&[&["profile", "t.rec", "t.rec"], &options[..]].concat()).run();
    assert_eq!(again.stdout, outcome.stdout);
}

#[test]
fn every_format_means_the_same() {
    let scratch = Scratch::new();
    recorded(&scratch);
    for format in ["oci", "docker", "containers", "kafel", "systemd", "libseccomp-c"] {
        let file = format!("t.{format}");
        let args = ["profile", "t.rec", "--runtime", "none", "--to", format, "-o", &file];
        let outcome = scratch.callgate(&args).run();
        assert_eq!(outcome.status, 0, "{format}: {}", outcome.stderr);
        assert!(String::from_utf8_lossy(&scratch.read(&file)).contains("socket"), "{format}");
    }
    for format in ["docker", "containers"] {
        let file = format!("t.{format}");
        let same = ["diff", "t.oci", &file, "--arch", "x86_64"];
        assert_eq!(scratch.callgate(&same).run().status, 0, "{format}");
    }
}

#[test]
fn where_a_format_compares_no_arguments_the_way_out_is_told() {
    let scratch = Scratch::new();
    scratch.file("trace", format!("{TRACE}1 vfork() = 2\n"));
    let record = ["record", "-o", "t.rec", "--from-strace", "trace", "--arch", "x86_64"];
    scratch.callgate(&record).run();
    let args = ["profile", "t.rec", "--runtime", "none", "--to", "systemd"];
    scratch.callgate(&args).run().is_like(
        2,
        "",
        "error: nothing was written: …compares arguments…; --no-siblings leaves out …\n",
    );
    let outcome = scratch.callgate(&[&args[..], &["--no-siblings"]].concat()).run();
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    assert!(outcome.stdout.contains("vfork"));
}

#[test]
fn a_default_can_be_chosen() {
    let scratch = Scratch::new();
    recorded(&scratch);
    for (word, action) in
        [("EACCES", "SCMP_ACT_ERRNO"), ("kill", "SCMP_ACT_KILL_PROCESS"), ("log", "SCMP_ACT_LOG")]
    {
        let outcome = scratch.callgate(&["profile", "t.rec", "--default", word]).run();
        let profile: Value = serde_json::from_str(&outcome.stdout).expect("it is JSON");
        assert_eq!(profile["defaultAction"], action);
    }
    scratch.callgate(&["profile", "t.rec", "--default", "EBOGUS"]).run().is_like(
        2,
        "",
        "error: …not an action…",
    );
}

#[test]
fn what_is_no_recording_is_refused() {
    let scratch = Scratch::new();
    scratch.file("text", "hello\n");
    scratch.callgate(&["profile", "text"]).run().is_like(
        2,
        "",
        "error: text: line 1: this is no recording: …\n",
    );
    scratch.callgate(&["profile", "missing"]).run().is_like(2, "", "error: missing: …\n");
    scratch.file("empty.rec", "{\"callgate-recording\":1}\n");
    scratch.callgate(&["profile", "empty.rec"]).run().is_like(
        2,
        "",
        "error: no call was recorded …\n",
    );
    recorded(&scratch);
    let mut bytes = scratch.read("t.rec");
    bytes.splice(40..40, *b"\x1b[2J");
    scratch.file("bad.rec", bytes);
    let outcome = scratch.callgate(&["profile", "bad.rec"]).run();
    outcome.is_like(2, "", "error: bad.rec: line 2: …\n");
    assert!(!outcome.stderr.contains('\u{1b}'));
}
