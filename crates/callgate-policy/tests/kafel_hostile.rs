//! Texts in Kafel's language that are made to hurt: each is answered in a bounded time, with a
//! clear error.

mod common;
#[path = "common/reading.rs"]
mod reading;

use std::iter::repeat_n;

use callgate_diagnostic::{Diagnostic, Severity};
use callgate_policy::formats::kafel;

use self::reading::{ids, mutate, policy};

/// The id of the first thing found.
fn first(text: &str) -> &'static str {
    ids(kafel::read, text).first().copied().unwrap_or("nothing")
}

/// A call with a condition.
fn read_if(condition: &str) -> String {
    format!("ALLOW {{ read {{ {condition} }} }}")
}

#[test]
fn nesting_has_a_limit() {
    let many = 350_000;
    assert_eq!(first(&read_if(&"(".repeat(many))), "kafel-depth");
    assert_eq!(first(&read_if(&"!".repeat(many))), "kafel-depth");
    assert_eq!(first(&read_if(&format!("fd == 1{}", " || fd == 1".repeat(many)))), "kafel-depth");
    assert_eq!(first(&read_if(&format!("fd {} == 1", "& fd".repeat(many)))), "kafel-depth");
    assert_eq!(first(&"{".repeat(many)), "kafel-syntax");
    assert_eq!(first(&"POLICY a {".repeat(100_000)), "kafel-syntax");

    // `!(` counts as two.
    let nested = |n: usize| read_if(&format!("{}fd == 1{}", "!(".repeat(n), ")".repeat(n)));
    assert_eq!(first(&nested(99)), "nothing");
    assert_eq!(first(&nested(101)), "kafel-depth");
    let row = |n: usize| read_if(&format!("fd == 1{}", ", fd == 2".repeat(n)));
    assert_eq!(first(&row(199)), "nothing");
    assert_eq!(first(&row(201)), "kafel-depth");
}

#[test]
fn conditions_that_multiply_have_a_limit() {
    // One alternative for each of the 32 bits.
    let bits = |name: &str| format!("({name} & 0x5555555555555555) != 0");
    let (a, b, c) = (bits("addr"), bits("len"), bits("off"));
    let two = format!("ALLOW {{ mmap ON x86_64 {{ {a} && {b} }} }}");
    assert_eq!(first(&two), "nothing");
    assert_eq!(policy(kafel::read, &two).entries.len(), 32 * 32);
    let three = format!("ALLOW {{ mmap ON x86_64 {{ {a} && {b} && {c} }} }}");
    assert_eq!(first(&three), "too-many-alternatives");

    // Many of them, of which each is small enough, and even if they come to nothing.
    let calls = |condition: &str| {
        let call = format!("mmap ON x86_64 {{ {condition} }}");
        format!("ALLOW {{ {} }}", repeat_n(call.as_str(), 20_000).collect::<Vec<_>>().join(", "))
    };
    let idle = calls(&format!("{a} && {b} && 1 == 2"));
    assert!(ids(kafel::read, &idle).contains(&"too-many-rules"));
    let useful = calls(&format!("{a} && {b}"));
    assert!(ids(kafel::read, &useful).contains(&"too-many-rules"));
}

#[test]
fn long_texts_take_a_time_that_grows_with_them() {
    let names = "read, ".repeat(600_000);
    assert_eq!(first(&format!("ALLOW {{ {names} write }}")), "nothing");
    assert_eq!(first(&"\0".repeat(4 << 20)), "kafel-syntax");
    assert_eq!(first(&"/*".repeat(2 << 20)), "kafel-syntax");
    assert_eq!(first(&"/**/ ".repeat(1 << 19)), "kafel-syntax");
    assert_eq!(first(&"1".repeat(4 << 20)), "kafel-number");
    let wrong = "raed, ".repeat(200_000);
    let found = ids(kafel::read, &format!("ALLOW {{ {wrong} raed }}"));
    assert!(found.len() <= 101 && found[0] == "unknown-syscall", "{}", found.len());
    assert_eq!(found.last(), Some(&"not-shown"));
    let policies: String = (0..200_000).map(|i| format!("POLICY p{i} {{}}\n")).collect();
    assert_eq!(first(&policies), "unused-policy");
    let constants: String = (0..150_000).map(|i| format!("#define x{i} {i}\n")).collect();
    assert_eq!(first(&constants), "nothing");
}

#[test]
fn a_text_of_many_megabytes_is_refused_unread() {
    let reading = kafel::read(&" ".repeat(5 << 20));
    let [one] = &reading.diagnostics[..] else { panic!("one error") };
    assert_eq!((one.id, one.severity), ("text-size", Severity::Error));
    assert_eq!(one.message, "the text is longer than 4 MiB");
    assert!(reading.policy.is_none());
}

#[test]
fn what_a_stranger_wrote_does_not_reach_the_terminal_raw() {
    let text = "\u{1b}[2J ALLOW { \u{202e}x, \u{7}a } DEFAULT \u{9b}";
    let reading = kafel::read(text);
    assert!(!reading.diagnostics.is_empty());
    for diagnostic in &reading.diagnostics {
        let Diagnostic { message, labels, help, .. } = diagnostic;
        let labels = labels.iter().map(|label| label.text.as_str());
        for said in labels.chain([message.as_str(), help.as_deref().unwrap_or("")]) {
            let raw = said.chars().find(|c| c.is_control() || *c == '\u{202e}');
            assert_eq!(raw, None, "{said:?}");
        }
    }
}

#[test]
fn no_change_to_a_text_breaks_the_reader_or_the_writer() {
    let text = "#define MASK 0x7e020000 // é
/* two */ POLICY base { ALLOW { read, write(a, b) { a == 1 && (b & 7) != 0, !(a >= 3 || b < -1) } } }
POLICY all { USE base, ERRNO(1) { clone { (clone_flags & MASK) != 0 }, SYSCALL[39] ON { x86_64, arm64 } },
  TRAP(2) { chown }, TRACE(3) { SYSCALL[0x40000001] ON amd64 { } }, KILL_PROCESS { ptrace ON x86 } }
USE all DEFAULT USER_NOTIF
";
    let pieces = [
        "{", "}", "(", ")", "[", "]", ",", "#", "&", "|", "&&", "||", "!", "==", "<", "0", "-1",
        "0x", "é", "\0", "\r", "ON", "USE", "POLICY", "*/", "//", "fd", "a", " ", "SYSCALL",
        "read",
    ];
    mutate(kafel::read, text, &pieces, 3000, |policy| {
        // What Kafel can say can be written again.
        if let Err(refused) = kafel::write(policy) {
            panic!("{}", common::show(&refused));
        }
    });
}
