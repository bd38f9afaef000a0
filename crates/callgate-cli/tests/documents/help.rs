//! `--help` of every verb.

use std::collections::BTreeSet;

use crate::common::Scratch;

/// The verbs, with the one for packagers, which the list does not show.
pub fn verbs(scratch: &Scratch) -> Vec<String> {
    let help = scratch.callgate(&["--help"]).run();
    assert_eq!((help.status, help.stderr.as_str()), (0, ""));
    let list = help.stdout.lines().skip_while(|line| *line != "Commands:").skip(1);
    list.take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .chain(["generate".to_owned()])
        .collect()
}

/// The verbs, and behind one that has its own the words of each: `kube check`. What `generate`
/// makes is for packagers.
pub fn commands(scratch: &Scratch) -> Vec<String> {
    let mut all = Vec::new();
    for verb in verbs(scratch) {
        let help = scratch.callgate(&[&verb, "--help"]).run().stdout;
        let own = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        let own = own.take_while(|line| verb != "generate" && !line.is_empty());
        let words = own.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let words: Vec<&str> = words.filter_map(|line| line.split_whitespace().next()).collect();
        all.extend(words.into_iter().map(|word| format!("{verb} {word}")));
        all.push(verb);
    }
    all
}

/// The options that a help text explains.
fn options(help: &str) -> BTreeSet<&str> {
    help.split(|c: char| c.is_whitespace() || ",[]<>=".contains(c))
        .filter(|word| word.starts_with('-'))
        .collect()
}

#[test]
fn every_verb_has_an_example_of_itself_with_options_that_it_has() {
    let scratch = Scratch::new();
    let verbs = commands(&scratch);
    for verb in [
        "run",
        "kube check",
        "kube manifest",
        "compile",
        "check",
        "disasm",
        "syscall",
        "caps",
        "doctor",
    ] {
        assert!(verbs.iter().any(|known| known == verb), "{verb}");
    }
    for verb in &verbs {
        let words: Vec<&str> = verb.split(' ').collect();
        let help = scratch.callgate(&words).arg("--help").run();
        assert_eq!((help.status, help.stderr.as_str()), (0, ""), "{verb}");
        let (explained, examples) = help
            .stdout
            .split_once("\nExamples:\n")
            .or_else(|| help.stdout.split_once("\nExample:\n"))
            .unwrap_or_else(|| panic!("{verb} has no example:\n{}", help.stdout));
        let known = options(explained);
        let own = format!("callgate {verb}");
        assert!(examples.lines().any(|line| line.contains(&own)), "{examples}");
        // `kube` explains no options of `kube check`.
        let below = verbs.iter().filter(|other| other.starts_with(&format!("{verb} ")));
        let below: Vec<String> = below.map(|other| format!("callgate {other}")).collect();
        for line in examples.lines().map(str::trim_start).filter(|line| {
            line.starts_with(&own) && !below.iter().any(|other| line.starts_with(other))
        }) {
            // What stands behind `--` or a pipe is not ours.
            let ours = line.split(" -- ").next().unwrap_or_default();
            let ours = ours.split([';', '|', '&', '>']).next().unwrap_or_default();
            for option in ours.split_whitespace().filter(|w| w.starts_with('-') && w.len() > 1) {
                assert!(known.contains(option), "{verb}: {option} in {line}");
            }
        }
        assert!(help.stdout.lines().all(|line| line.chars().count() <= 100), "{verb}");
    }
}

#[test]
fn the_short_help_says_what_a_source_and_a_status_is() {
    let scratch = Scratch::new();
    let said = "Linux seccomp made whole: …\nUsage: callgate <COMMAND>\n…Sources:\n…docker-default\
                …Exit status:\n  0 yes, same, clean; 1 no, different, findings; 2 error. …\nExample:\n…";
    scratch.callgate(&["--help"]).run().is_like(0, said, "");
    // Without a verb that is an error.
    scratch.callgate(&[]).run().is_like(2, "", said);
    let version = format!("callgate {}\n", env!("CARGO_PKG_VERSION"));
    scratch.callgate(&["--version"]).run().is(0, &version, "");
    scratch.callgate(&["chekc"]).run().is_like(2, "", "error: …'chekc'…'check'…");
}
