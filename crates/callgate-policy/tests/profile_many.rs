//! All errors of a text at once, in bounded memory, in the order of the text.

mod common;

use callgate_diagnostic::Severity;
use callgate_policy::{Dialect, formats::profile};
use common::{apply, show};

#[test]
fn all_errors_are_reported_in_the_order_of_the_text() {
    let text = r#"{
  "syscalls": [
    { "names": ["read", ""], "action": "ALLOW", "args": [{ "index": 9, "op": "EQ" }] },
    { "names": "open", "action": "SCMP_ACT_ERRNO", "errnoRet": -1 }
  ],
  "bogus": 1,
  "defaultAction": "SCMP_ACT_ERNO"
}"#;
    let reading = profile::read(text, Some(Dialect::Docker));
    let ids: Vec<&str> = reading.diagnostics.iter().map(|d| d.id).collect();
    assert_eq!(
        ids,
        [
            "empty-name",
            "unknown-action",
            "bad-index",
            "unknown-operator",
            "wrong-type",
            "bad-number",
            "unknown-key",
            "unknown-action",
        ],
        "{}",
        show(&reading.diagnostics)
    );
}

#[test]
fn a_hundred_of_a_kind_are_kept_and_the_rest_counted() {
    let keys: String = (0..100_000).map(|i| format!("\"key{i}\": 1, ")).collect();
    let entries = r#"{ "names": ["a"], "action": "X" },"#.repeat(50_000);
    let text = format!(
        r#"{{ {keys} "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{entries} {{ "action": "" }}] }}"#
    );
    let reading = profile::read(&text, Some(Dialect::Docker));
    assert!(reading.policy.is_none());
    let count = |severity| reading.diagnostics.iter().filter(|d| d.severity == severity).count();
    assert_eq!((count(Severity::Error), count(Severity::Warning)), (100, 100));
    let last = reading.diagnostics.last().unwrap();
    assert_eq!(last.id, "not-shown");
    assert_eq!(last.message, "49901 more errors and 99901 more warnings are not shown");
}

#[test]
fn a_hundred_warnings_hide_no_error() {
    let keys: String = (0..1000).map(|i| format!("\"key{i}\": 1, ")).collect();
    let reading = profile::read(&format!(r#"{{ {keys} "syscalls": [] }}"#), Some(Dialect::Oci));
    assert!(reading.policy.is_none());
    assert!(reading.diagnostics.iter().any(|d| d.id == "no-default-action"));
}

#[test]
fn work_grows_with_the_text_and_not_faster() {
    // With a loop inside a loop each of these would take minutes.
    let row = |arch: &str| format!(r#"{{ "architecture": "{arch}" }},"#).repeat(50_000);
    let map = format!("{}{}{{}}", row("SCMP_ARCH_ARM"), row("SCMP_ARCH_X86"));
    let text = format!(r#"{{ "defaultAction": "SCMP_ACT_ALLOW", "archMap": [{map}] }}"#);
    assert!(profile::read(&text, Some(Dialect::Docker)).policy.is_some());
    let doubles = r#""flags": [], "#.repeat(100_000);
    let text = format!(r#"{{ {doubles} "defaultAction": "SCMP_ACT_ALLOW" }}"#);
    assert!(profile::read(&text, Some(Dialect::Oci)).policy.is_some());
}

#[test]
fn what_a_stranger_wrote_does_not_reach_the_terminal_raw() {
    let text = r#"{ "defaultAction": "\u001b[2J\u202e", "\u001b]0;x": 1,
        "syscalls": [{ "names": ["a"], "action": "SCMP_ACT_LOG", "includes": { "caps": ["\u0007"] } }] }"#;
    let reading = profile::read(text, Some(Dialect::Docker));
    assert_eq!(reading.diagnostics.len(), 3, "{}", show(&reading.diagnostics));
    for diagnostic in &reading.diagnostics {
        let texts = diagnostic.labels.iter().map(|label| &label.text);
        for shown in texts.chain([&diagnostic.message]).chain(&diagnostic.help) {
            assert!(!shown.chars().any(|c| c.is_control() || c == '\u{202e}'), "{shown:?}");
        }
    }
}

const EVERYTHING: &str = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "defaultErrno": "é",
  "archMap": [{ "architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", null] }],
  "architectures": ["SCMP_ARCH_ARM"], "flags": ["SECCOMP_FILTER_FLAG_LOG"], "listenerPath": "/\u00e9",
  "syscalls": [{ "names": ["read", "clone"], "name": "x", "action": "SCMP_ACT_ALLOW", "errnoRet": 1,
    "errno": "EPERM", "args": [{ "index": 0, "value": 8, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ" }],
    "comment": "\ud83d\ude00", "includes": { "caps": ["CAP_BPF"], "minKernel": "4.8" },
    "excludes": { "arches": ["arm64"] } }, {}] }"#;

#[test]
fn no_change_to_a_text_breaks_the_reader() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % 0xffff_ffff).unwrap() % below
    };
    let pieces: Vec<&str> = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "0",
        "-",
        "null",
        "é",
        "\u{1f600}",
        "\n",
        "{}",
        "",
    ]
    .into();
    for _ in 0..3000 {
        let mut text: Vec<char> = EVERYTHING.chars().collect();
        for _ in 0..=next(3) {
            let at = next(text.len());
            let removed = next(4).min(text.len() - at);
            let piece = pieces[next(pieces.len())].chars();
            text.splice(at..at + removed, piece);
        }
        let text: String = text.into_iter().collect();
        for dialect in [None, Some(Dialect::Docker), Some(Dialect::Oci), Some(Dialect::Containers)]
        {
            let reading = profile::read(&text, dialect);
            let failed = reading.diagnostics.iter().any(|found| found.is_error());
            assert_eq!(reading.policy.is_none(), failed, "{text}");
            for found in &reading.diagnostics {
                for label in &found.labels {
                    assert!(
                        text.get(label.span.start..label.span.end).is_some(),
                        "{found}: {text}"
                    );
                }
                // Corrections stay within the text, too.
                apply(&text, found);
            }
        }
    }
}
