//! `callgate eval`: files of calls, answered line by line.

mod common;

use common::Scratch;

/// For a machine that the test does not depend on.
const MACHINE: [&str; 6] = ["--arch", "x86_64", "--kernel", "6.12", "--dialect", "docker"];

const PROFILE: &str = r#"{
  "defaultAction": "SCMP_ACT_ALLOW",
  "syscalls": [
    { "names": ["mkdir"], "action": "SCMP_ACT_ERRNO" },
    { "names": ["socket"], "action": "SCMP_ACT_KILL_PROCESS",
      "args": [{ "index": 0, "op": "SCMP_CMP_EQ", "value": 40 }] }
  ]
}
"#;

const CALLS: &str = "\
# by hand, and from strace
read 0 0x7f0000000000 4096
[pid 12] mkdir(\"a, b\", 0755) = 0
77 --- SIGCHLD {si_signo=SIGCHLD} ---
socket(AF_VSOCK, SOCK_STREAM, 0) = 3

socket AF_INET SOCK_STREAM|SOCK_CLOEXEC
";

const ANSWERS: &str = "\
read(0, 0x7f0000000000, 4096): p.json allows, by its default
mkdir(0, 493): p.json refuses (EPERM), by entry 0 (p.json:4:5)
socket(40, 1, 0): p.json kills the process, by entry 1 (p.json:5:5)
socket(2, 0x80001, 0): p.json allows, by its default
";

fn eval(scratch: &Scratch, args: &[&str]) -> common::Outcome {
    scratch.callgate(&["eval"]).args(&MACHINE).args(args).run()
}

#[test]
fn each_call_of_a_file_is_answered_on_a_line() {
    let scratch = Scratch::new();
    scratch.file("p.json", PROFILE);
    scratch.file("calls", CALLS);
    // Elsewhere than on x86_64 the call is said to be one of another machine.
    let on = if cfg!(target_arch = "x86_64") { "):" } else { ") on x86_64:" };
    let answers = ANSWERS.replace("):", on);
    eval(&scratch, &["p.json", "--calls", "calls"]).is(1, &answers, "");
    let piped = scratch.callgate(&["eval", "p.json", "--calls", "-"]).args(&MACHINE).input(CALLS);
    piped.run().is(1, &answers, "");
    scratch.file("allowed", "read 0\nwrite 1\n");
    eval(&scratch, &["p.json", "--calls", "allowed"]).is_like(0, "read(…\nwrite(…\n", "");
    let json = eval(&scratch, &["p.json", "--calls", "calls", "--json"]).json(1);
    let words: Vec<_> = json.as_array().unwrap().iter().map(|call| call["word"].clone()).collect();
    assert_eq!(words, [0x7fff_0000u32, 0x0005_0001, 0x8000_0000, 0x7fff_0000]);
}

/// The answers of a profile's program are those of its rules, and name instructions.
#[test]
fn a_program_answers_as_the_profile_that_it_was_made_of() {
    let scratch = Scratch::new();
    scratch.file("p.json", PROFILE);
    scratch.file("calls", CALLS);
    scratch.callgate(&["compile", "p.json", "-o", "p.bpf"]).args(&MACHINE).run().is(0, "", "");
    let verdicts = |source: &str| {
        let outcome = eval(&scratch, &[source, "--calls", "calls"]);
        let lines = outcome.stdout.lines();
        lines.map(|l| l.replace(source, "").split(", by ").next().unwrap().to_owned()).collect()
    };
    let (profile, program): (Vec<String>, Vec<String>) = (verdicts("p.json"), verdicts("p.bpf"));
    assert_eq!(profile.len(), 4);
    assert_eq!(profile, program);
    eval(&scratch, &["p.bpf", "--trace", "--", "mkdir"]).is_like(
        1,
        "mkdir(…p.bpf refuses (EPERM), by instruction …\n  0000: ld…; errno(EPERM)\n",
        "",
    );
}

#[test]
fn a_line_that_is_no_call_is_named_and_what_stands_before_is_answered() {
    let scratch = Scratch::new();
    scratch.file("p.json", PROFILE);
    scratch.file("calls", "read 0\nraed 0\nwrite 1\n");
    let said = "error: calls:2: no architecture has a system call `raed`; did you mean `read`?\n";
    eval(&scratch, &["p.json", "--calls", "calls"]).is_like(2, "read(…\n", said);
    eval(&scratch, &["p.json", "--calls", "calls", "--json"]).is(2, "", said);
    eval(&scratch, &["p.json", "--calls", "none"]).is_like(2, "", "error: none: No such file…\n");
    eval(&scratch, &["-", "--calls", "-"]).is_like(2, "", "error: standard input can be…both\n");
}
