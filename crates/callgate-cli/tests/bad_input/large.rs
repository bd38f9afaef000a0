//! Much of it: 60 MB of text, a million levels, endless devices.

use std::time::{Duration, Instant};

use super::{VERBS, erroneous, unreadable, verb};
use crate::common::{Outcome, Scratch};

/// Longest time for any of these, in a debug build on a loaded machine. Whatever grows with the
/// square of 60 MB takes hours.
const BOUND: Duration = Duration::from_secs(45);

/// More than anybody reads.
const MOST_TEXT: usize = 100_000;

const SIZE: usize = 60_000_000;

fn bounded(run: impl FnOnce() -> Outcome) -> Outcome {
    let begin = Instant::now();
    let outcome = run();
    let took = begin.elapsed();
    assert!(took < BOUND, "took {took:?}");
    assert!(
        outcome.stdout.len() + outcome.stderr.len() < MOST_TEXT,
        "{} bytes",
        outcome.stderr.len()
    );
    outcome
}

fn check(scratch: &Scratch, text: &str) -> Outcome {
    scratch.file("p.json", text);
    bounded(|| scratch.callgate(&["check", "p.json"]).run())
}

#[test]
fn sixty_megabytes_of_blanks_and_of_one_word() {
    let scratch = Scratch::new();
    check(&scratch, &" ".repeat(SIZE)).is_like(
        1,
        "",
        "…json-syntax]: the text is empty\n…p.json: 1 error; …\n",
    );
    check(&scratch, &format!("{}x", "\n".repeat(SIZE))).is_like(1, "", "…p.json:60000001:1…");
    let word = format!("{{ \"defaultAction\": \"{}\" }}", "x".repeat(SIZE));
    check(&scratch, &word).is_like(
        1,
        "",
        "…p.json:1:21…unknown-action]: `xxx…` is not an action\n…",
    );
    let key = format!("{{ \"{}\": 1 }}", "x".repeat(SIZE));
    check(&scratch, &key).is_like(1, "", "…no-default-action]: …unknown-key]: `xxx…");
}

/// Entries up to that many bytes.
fn entries(entry: &str, separator: &str, size: usize) -> String {
    let count = size / (entry.len() + separator.len());
    format!(
        "{{ \"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [\n{} ] }}",
        vec![entry; count].join(separator)
    )
}

#[test]
fn megabytes_of_errors_are_told_in_part_and_counted() {
    let scratch = Scratch::new();
    let wrong = "{ \"names\": [\"read\"], \"action\": \"SCMP_ACT_ERNO\" }";
    for separator in [",\n", ","] {
        let text = entries(wrong, separator, 8_000_000);
        let outcome = check(&scratch, &text);
        outcome.is_like(
            1,
            "",
            "…unknown-action]: `SCMP_ACT_ERNO` is not an action\n…note[not-shown]: … more errors …p.json: 100 errors; …\n",
        );
        // At the end of the text, too, finding the places is no work.
        let late =
            text.replace("ERNO", "ERRNO").replace(" ] }", &format!(",{wrong}").repeat(90)) + " ] }";
        check(&scratch, &late).is_like(1, "", "…p.json: 90 errors; …\n");
    }
    let json = bounded(|| scratch.callgate(&["check", "p.json", "--json"]).run()).json(1);
    assert_eq!(json["understood"], false);
}

#[test]
fn megabytes_of_good_entries_compile() {
    let scratch = Scratch::new();
    let good = "{ \"names\": [\"read\", \"write\"], \"action\": \"SCMP_ACT_ERRNO\" }";
    check(&scratch, &entries(good, ",\n", 10_000_000)).is_like(
        0,
        "p.json: understood, in the oci dialect; no warnings\n",
        "note[dialect]: …",
    );
}

#[test]
fn a_million_levels_of_nesting() {
    let scratch = Scratch::new();
    for level in ["[", "{\"a\":"] {
        scratch.file("deep.json", level.repeat(1_000_000));
        erroneous(
            &scratch,
            "deep.json",
            "…json-depth]: lists and objects stand more than 10000 deep\n…deep.json: 1 error; …\n",
        );
    }
    // What Go still reads.
    let deep = format!(
        "{{ \"defaultAction\": \"SCMP_ACT_ALLOW\", \"x\": {}{} }}",
        "[".repeat(9_000),
        "]".repeat(9_000)
    );
    check(&scratch, &deep).is_like(0, "p.json: understood, …1 warning\n", "…unknown-key]…");
}

#[cfg(target_os = "linux")]
#[test]
fn endless_devices_end() {
    let scratch = Scratch::new();
    unreadable(&scratch, "/dev/zero", "error: /dev/zero: larger than 64 MiB\n");
    erroneous(&scratch, "/dev/null", "error[json-syntax]: the text is empty\n…");
}

#[test]
fn a_large_profile_is_written_nowhere_after_an_error() {
    let scratch = Scratch::new();
    let text =
        entries("{ \"names\": [\"read\"], \"action\": \"SCMP_ACT_ERNO\" }", ",\n", 1_000_000);
    scratch.file("p.json", text);
    for (args, _, status) in VERBS {
        let outcome = bounded(|| verb(&scratch, args, "p.json"));
        assert_eq!((outcome.status, outcome.stdout.as_str()), (*status, ""));
    }
}
