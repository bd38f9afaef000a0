//! `callgate run --strict`, and the filters that say the same: `strict`, `strict-exit-group`.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod common;

use common::{Outcome, Scratch};

const KILL: i32 = 9;
const SEGV: i32 = 11;
const SYS: i32 = 31;

/// More than any buffer holds.
fn text() -> String {
    (0..100_000).map(|n| format!("{n}\n")).collect()
}

/// A program of the folder beside this file.
macro_rules! program {
    ($scratch:expr, $name:literal) => {
        program!($scratch, $name, &[])
    };
    ($scratch:expr, $name:literal, $flags:expr) => {
        $scratch.cc($name, include_str!(concat!("strict/", $name, ".c")), $flags)
    };
}

/// Runs `callgate run --strict …`.
fn strict(scratch: &Scratch, args: &[&str]) -> Outcome {
    scratch.callgate(&[&["run", "--strict"], args].concat()).run()
}

/// What is said of a program that ends as C programs end.
fn wanted_to_exit(status: i32) -> String {
    format!(
        "error: the program was done and wanted to exit with {status}, but calls exit_group for \
         that, which strict mode kills (SIGKILL); --strict-exit gives the status that it meant\n"
    )
}

const DIED_AT_OPEN: &str = "\
error: strict mode killed the program at openat (x86_64: 257) (SIGKILL): only read, write, exit and \
sigreturn are left
";

#[test]
fn an_unmodified_copier_copies_everything_and_is_then_killed_at_exit_group() {
    let scratch = Scratch::new();
    if program!(scratch, "copier").is_none() {
        return;
    }
    let text = text();
    let copy = |args: &[&str]| {
        scratch.callgate(&[&["run", "--strict"], args].concat()).input(text.as_bytes()).run()
    };
    copy(&["--", "./copier"]).is(128 + KILL, &text, &wanted_to_exit(0));
    copy(&["--", "./copier", "7"]).is(128 + KILL, &text, &wanted_to_exit(7));
}

#[test]
fn strict_exit_gives_the_status_that_was_meant() {
    let scratch = Scratch::new();
    if program!(scratch, "copier").is_none() || program!(scratch, "opener").is_none() {
        return;
    }
    let text = text();
    let copy = |args: &[&str]| {
        let strict = ["run", "--strict", "--strict-exit"];
        scratch.callgate(&[&strict, args].concat()).input(text.as_bytes()).run()
    };
    copy(&["--", "./copier"]).is(0, &text, "");
    copy(&["--", "./copier", "7"]).is(7, &text, "");
    // Another kill stays one.
    copy(&["--", "./opener", "/etc/passwd"]).is(128 + KILL, "", DIED_AT_OPEN);
    scratch.callgate(&["run", "--strict-exit", "--", "true"]).run().is_like(
        125,
        "",
        "error: …--strict…",
    );
}

#[test]
fn static_and_position_dependent_programs_work_alike() {
    for flags in [&["-static"][..], &["-no-pie"], &["-static-pie"]] {
        let scratch = Scratch::new();
        if program!(scratch, "copier", flags).is_none() {
            return;
        }
        let run = ["run", "--strict", "--strict-exit", "--", "./copier", "7"];
        scratch.callgate(&run).input("text").run().is(7, "text", "");
    }
}

#[test]
fn a_program_that_opens_its_files_in_main_is_killed_there() {
    let scratch = Scratch::new();
    if program!(scratch, "opener").is_none() {
        return;
    }
    scratch.file("from", "text");
    let run = ["run", "--strict", "--", "./opener", "from"];
    scratch.callgate(&run).run().is(128 + KILL, "", DIED_AT_OPEN);
    // No privilege is needed.
    scratch.callgate_as_user(&run).run().is(128 + KILL, "", DIED_AT_OPEN);
    scratch.command("./opener").arg("from").run().is(0, "text", "");
}

#[test]
fn another_moment_can_be_chosen_by_a_symbol() {
    let scratch = Scratch::new();
    if program!(scratch, "later").is_none() {
        return;
    }
    scratch.file("from", "text");
    strict(&scratch, &["--", "./later", "from"]).is(128 + KILL, "", DIED_AT_OPEN);
    // It leaves by exit itself, so its own status stands.
    strict(&scratch, &["--strict-at", "work", "--", "./later", "from"]).is(3, "text", "");
    strict(&scratch, &["-v", "--strict-at", "work", "--", "./later", "from"]).is(
        3,
        "text",
        "note: strict mode began at work\n",
    );
    strict(&scratch, &["--strict-at", "wrok", "--", "./later", "from"]).is(
        125,
        "",
        "error: the program has no function `wrok`, or its symbols are stripped; `nm PROGRAM` \
         lists those that it has\n",
    );
}

#[test]
fn without_symbols_it_begins_at_the_entry_point() {
    let scratch = Scratch::new();
    if program!(scratch, "copier", &["-s"]).is_none() {
        return;
    }
    let run = ["run", "--strict", "--strict-exit", "-v", "--", "./copier", "7"];
    let outcome = scratch.callgate(&run).input("text").run();
    outcome.is(7, "text", "note: strict mode began at the entry point\n");
    strict(&scratch, &["--strict-at", "main", "--", "./copier"]).is_like(
        125,
        "",
        "error: …`main`…",
    );
}

#[test]
fn a_program_that_ends_before_the_moment_is_told_about() {
    let scratch = Scratch::new();
    if program!(scratch, "early").is_none() {
        return;
    }
    strict(&scratch, &["--", "./early"]).is(
        4,
        "",
        "warning: the program ended before strict mode began; it ran without it from start to end\n",
    );
}

#[test]
fn reading_the_time_stamp_counter_is_explained() {
    let scratch = Scratch::new();
    if program!(scratch, "counter").is_none() {
        return;
    }
    strict(&scratch, &["--", "./counter"]).is(
        128 + SEGV,
        "",
        "error: the program read the time stamp counter (rdtsc), which strict mode takes away: SIGSEGV\n",
    );
    scratch.command("./counter").run().is(0, "", "");
}

#[test]
fn under_a_filter_strict_mode_is_refused_and_explained() {
    let scratch = Scratch::new();
    let callgate = common::CALLGATE;
    let run = ["run", "--", callgate, "run", "--strict", "--", "cat"];
    scratch.callgate(&run).input("text").run().is_like(
        125,
        "",
        "error: strict mode was not entered: this thread has a seccomp filter already, as every \
         process in a container has, and the kernel never changes from filter mode to strict \
         mode; use the filter of the same four calls (the built-in source `strict`), …\n",
    );
}

#[test]
fn a_failed_start_is_as_without_strict_mode() {
    let scratch = Scratch::new();
    strict(&scratch, &["--", "no-such"]).is(127, "", "error: no-such: not found in PATH\n");
    scratch.file("plain", "text");
    strict(&scratch, &["--", "./plain"]).is(
        126,
        "",
        "error: ./plain: Permission denied (EACCES)\n",
    );
    for option in ["--profile=strict", "--cap-drop=ALL", "--keep-privileges", "--log"] {
        strict(&scratch, &[option, "--", "true"]).is_like(
            125,
            "",
            "error: the argument '--strict' cannot be used with …",
        );
    }
}

#[test]
fn real_programs_are_killed_where_they_leave_the_four_calls() {
    let scratch = Scratch::new();
    let outcome = strict(&scratch, &["--", "sh", "-c", "echo never"]);
    outcome.is_like(128 + KILL, "", "error: strict mode killed the program at …(SIGKILL)…\n");
}

/// How a program ended: a status, or a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Status(i32),
    Signal(i32),
}

use End::{Signal, Status};

/// What strict mode, the filter `strict`, and the filter `strict-exit-group` make of one act.
/// `docs/` tells the rows in which they differ.
const ENDS: &[(&str, End, End, End)] = &[
    ("exit", Status(5), Status(5), Status(5)),
    ("copy", Status(0), Status(0), Status(0)),
    ("signal", Status(0), Status(0), Status(0)),
    // Another signal: SIGKILL, which nothing can catch, and SIGSYS.
    ("getpid", Signal(KILL), Signal(SYS), Signal(SYS)),
    ("exit_group", Signal(KILL), Signal(SYS), Status(5)),
    // Strict mode takes the time stamp counter away, a filter cannot.
    ("counter", Signal(SEGV), Status(0), Status(0)),
    // Strict mode has its four calls in the 32-bit form too; the filter is for one architecture.
    ("i386-exit", Status(7), Signal(SYS), Signal(SYS)),
    ("i386-getpid", Signal(KILL), Signal(SYS), Signal(SYS)),
];

#[test]
fn strict_mode_and_the_filter_of_the_same_calls_differ_in_these_rows() {
    let scratch = Scratch::new();
    if program!(scratch, "enter").is_none() {
        return;
    }
    for source in ["strict", "strict-exit-group"] {
        let output = format!("{source}.bpf");
        scratch.callgate(&["compile", source, "-o", &output]).run().is(0, "", "");
    }
    let end = |mode: &str, act: &str| {
        let outcome = scratch.command("./enter").args(&[mode, act]).input("text").run();
        assert_eq!(outcome.stdout, if act == "copy" { "text" } else { "" });
        outcome.signal.map_or(Status(outcome.status), Signal)
    };
    let compat = scratch.callgate(&["doctor"]).run();
    let compat = compat.stdout.lines().any(|line| {
        line.trim().strip_prefix("32-bit calls").is_some_and(|found| found.trim() == "yes")
    });
    if !compat {
        common::skip("32-bit calls under strict mode: this kernel has none");
    }
    for &(act, strict, filter, with_exit_group) in ENDS {
        if act.starts_with("i386") && !compat {
            continue;
        }
        assert_eq!(end("strict", act), strict, "{act} in strict mode");
        assert_eq!(end("strict.bpf", act), filter, "{act} under `strict`");
        assert_eq!(
            end("strict-exit-group.bpf", act),
            with_exit_group,
            "{act} under `strict-exit-group`"
        );
    }
}

#[test]
fn the_strict_sources_say_what_they_say_on_every_architecture() {
    let scratch = Scratch::new();
    let allowed = |source: &str, arch: &str| {
        let outcome = scratch
            .callgate(&["compile", source, "--arch", arch, "--stats", "--json", "-o", "out"])
            .run();
        assert_eq!(outcome.status, 0, "{}", outcome.stderr);
        let json: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("it is JSON");
        json["architectures"][0]["always_allowed"].as_u64()
    };
    // On x86 there are two calls to return from a signal: sigreturn, rt_sigreturn.
    assert_eq!(allowed("strict", "x86_64"), Some(4));
    assert_eq!(allowed("strict", "aarch64"), Some(4));
    assert_eq!(allowed("strict", "x86"), Some(5));
    assert_eq!(allowed("strict-exit-group", "x86_64"), Some(5));
    assert_eq!(allowed("strict-exit-group", "x86"), Some(6));
}
