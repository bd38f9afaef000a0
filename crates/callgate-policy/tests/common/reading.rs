//! What the tests of the readers of plain texts share.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{collections::BTreeSet, fs, path::Path};

use callgate_diagnostic::{Diagnostic, Severity};
use callgate_policy::{Policy, Width, formats::Reading};

use crate::common::{Found, show, unmark};

/// A reader.
pub type Read = fn(&str) -> Reading;

/// The policy of a text that nothing is said about.
#[track_caller]
pub fn clean(read: Read, text: &str) -> Policy {
    let reading = read(text);
    assert!(reading.diagnostics.is_empty(), "{}", show(&reading.diagnostics));
    reading.policy.expect("no diagnostic, so a policy")
}

/// The policy of a text that may have warnings.
#[track_caller]
pub fn policy(read: Read, text: &str) -> Policy {
    let Reading { policy, diagnostics, .. } = read(text);
    policy.unwrap_or_else(|| panic!("refused: {}", show(&diagnostics)))
}

/// The one diagnostic with this id at the marked place.
#[track_caller]
pub fn find(read: Read, marked: &str, severity: Severity, id: &str) -> Found {
    let (text, span) = unmark(marked);
    let reading = read(&text);
    let here = |d: &&Diagnostic| d.id == id && d.primary().is_some_and(|l| l.span == span);
    let found: Vec<&Diagnostic> = reading.diagnostics.iter().filter(here).collect();
    let [found] = found[..] else {
        panic!("expected one `{id}` at {span:?}, got: {}", show(&reading.diagnostics));
    };
    assert_eq!(found.severity, severity, "{found}");
    let failed = reading.diagnostics.iter().any(Diagnostic::is_error);
    assert_eq!(reading.policy.is_none(), failed, "a policy exactly when there is no error");
    Found { text, diagnostic: found.clone() }
}

/// The ids of what is found in a text, in order.
pub fn ids(read: Read, text: &str) -> Vec<&'static str> {
    read(text).diagnostics.iter().map(|diagnostic| diagnostic.id).collect()
}

/// The entries of a policy, one a line: `read write on x86 if low arg0 == 0x1: allow`, where
/// `low` says that 32 bits are compared. The ABIs of an entry for nearly all are left out.
pub fn lines(policy: &Policy) -> Vec<String> {
    let line = |entry: &callgate_policy::Entry| {
        let names: Vec<&str> = entry.names.iter().map(|name| name.value.as_str()).collect();
        let mut line = names.join(" ");
        if !entry.abis.is_empty() && entry.abis.len() < 20 {
            let abis: Vec<&str> = entry.abis.iter().map(|abi| abi.name()).collect();
            line += &format!(" on {}", abis.join(" "));
        }
        for (index, comparison) in entry.comparisons.iter().enumerate() {
            line += if index == 0 { " if " } else { " and " };
            line += if comparison.value.width == Width::Low32 { "low " } else { "" };
            line += &comparison.value.to_string();
        }
        format!("{line}: {}", entry.action.value)
    };
    policy.entries.iter().map(line).collect()
}

/// Checks that the example on a diagnostic's page leads to it.
#[track_caller]
pub fn check_page(read: Read, id: &str) {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/diagnostics");
    let page = fs::read_to_string(pages.join(format!("{id}.md"))).expect("a page");
    let example = page.split("```").nth(1).and_then(|block| block.split_once('\n'));
    let (_, example) = example.expect("a block of code");
    let found = ids(read, example);
    assert!(found.contains(&id), "{id}: {found:?} of {example}");
}

/// Changes a text at random places, many times, and reads what comes out: no reader may panic,
/// each label must lie in the text, and there is a policy exactly when there is no error. `check`
/// sees the policies.
pub fn mutate(read: Read, text: &str, pieces: &[&str], rounds: u32, check: impl Fn(&Policy)) {
    let mut random = Random(0x5eed);
    let mut seen = BTreeSet::new();
    let mut read_well = 0;
    for _ in 0..rounds {
        let mut changed = text.to_owned();
        for _ in 0..=random.below(2) {
            change(&mut changed, pieces, &mut random);
        }
        let reading = read(&changed);
        for diagnostic in &reading.diagnostics {
            seen.insert(diagnostic.id);
            for label in &diagnostic.labels {
                assert!(
                    changed.get(label.span.start..label.span.end).is_some(),
                    "{diagnostic} at {:?} of {changed:?}",
                    label.span
                );
            }
        }
        let failed = reading.diagnostics.iter().any(Diagnostic::is_error);
        assert_eq!(reading.policy.is_none(), failed, "{changed:?}");
        if let Some(policy) = &reading.policy {
            read_well += 1;
            check(policy);
        }
    }
    assert!(read_well > rounds / 100, "some changes leave a policy: {read_well} of {rounds}");
    assert!(seen.len() > 5, "the changes lead to different errors: {seen:?}");
}

/// Puts in, takes out, or doubles a piece of a text.
fn change(text: &mut String, pieces: &[&str], random: &mut Random) {
    let mut place = |text: &str| {
        let mut at = random.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (a, b) = (place(text), place(text));
    let (start, end) = (a.min(b), a.max(b).min(a.min(b) + 8));
    let end = (start..=end).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(start);
    match random.below(4) {
        0 => text.replace_range(start..end, ""),
        1 => text.insert_str(start, &text.clone()[start..end]),
        2 => text.insert_str(start, pieces[random.below(pieces.len())]),
        _ => text.replace_range(start..end, pieces[random.below(pieces.len())]),
    }
}

/// Numbers that look random, the same in each run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }
}
