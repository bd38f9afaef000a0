//! `--optimize`, `--weights` and `--typed-args`.

use super::TARGET;
use crate::common::Scratch;

/// The listing of a profile's program with these options.
fn listing(scratch: &Scratch, profile: &str, options: &[&str]) -> String {
    let args = [&["compile", profile, "--format", "asm"], &TARGET[..], options].concat();
    let outcome = scratch.callgate(&args).run();
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{options:?}");
    outcome.stdout
}

fn length(scratch: &Scratch, options: &[&str]) -> usize {
    listing(scratch, "docker-default", options).lines().count()
}

#[test]
fn size_is_shorter_than_speed() {
    let scratch = Scratch::new();
    let uniform = ["--weights", "uniform"];
    let speed = length(&scratch, &[&uniform[..], &["--optimize", "speed"]].concat());
    assert_eq!(speed, length(&scratch, &uniform));
    assert!(length(&scratch, &[&uniform[..], &["--optimize", "size"]].concat()) < speed);
}

#[test]
fn weights_come_from_lists_and_from_strace() {
    let scratch = Scratch::new();
    scratch.file("list", "futex 900000\nread: 1\n");
    let strace = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 90.00    0.009000           0    900000      1234 futex
 10.00    0.001000           0         1           read
------ ----------- ----------- --------- --------- ----------------
100.00    0.010000           0    900001      1234 total
";
    scratch.file("strace", strace);
    let counted = |file| listing(&scratch, "docker-default", &["--weights", file]);
    assert_eq!(counted("list"), counted("strace"));
    assert_ne!(counted("list"), listing(&scratch, "docker-default", &[]));
}

#[test]
fn weights_that_cannot_be_read_are_named() {
    let scratch = Scratch::new();
    scratch.file("list", "read 1\n\nwrite often\n");
    let compile = |file| scratch.callgate(&["compile", "docker-default", "--weights", file]).run();
    compile("list").is_like(
        2,
        "",
        "error: list: line 3: `write often` is neither a name with a count nor a line of `strace -c`\n",
    );
    compile("nowhere").is_like(2, "", "error: nowhere: …\n");
}

#[test]
fn typed_arguments_are_compared_as_the_kernel_reads_them() {
    let scratch = Scratch::new();
    let profile = r#"{
      "defaultAction": "SCMP_ACT_ALLOW",
      "syscalls": [{ "names": ["socket"], "action": "SCMP_ACT_ERRNO",
        "args": [{ "index": 0, "op": "SCMP_CMP_EQ", "value": 40 }] }]
    }"#;
    scratch.file("p.json", profile);
    let wide = listing(&scratch, "p.json", &[]);
    assert!(wide.contains("args[0].high"), "{wide}");
    let typed = listing(&scratch, "p.json", &["--typed-args"]);
    assert!(!typed.contains("args[0].high") && typed.contains("args[0].low"), "{typed}");
}
