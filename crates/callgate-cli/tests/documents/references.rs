//! Files, headings and tests that documents name are there.

use std::{collections::BTreeSet, fs};

use super::{documents, files, root};

/// Text outside of code blocks, line by line with its number.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        if line.starts_with("```") {
            fenced = !fenced;
            return None;
        }
        (!fenced).then_some((index + 1, line))
    })
}

/// What stands between backticks in a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The anchors of a document's headings, as the usual renderers make them.
fn anchors(text: &str) -> BTreeSet<String> {
    prose(text)
        .filter_map(|(_, line)| line.strip_prefix('#'))
        .map(|heading| {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = |c: &char| c.is_alphanumeric() || "-_ ".contains(*c);
            heading.chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn links_between_documents_lead_somewhere() {
    let root = root();
    let mut missing = Vec::new();
    for (name, text) in documents() {
        let folder = root.join(&name).parent().expect("it lies in a folder").to_owned();
        for (number, line) in prose(&text) {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                if link.contains("://") || link.starts_with("mailto:") {
                    continue;
                }
                let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
                let target = if path.is_empty() { root.join(&name) } else { folder.join(path) };
                let found = match fs::read_to_string(&target) {
                    Ok(text) => anchor.is_empty() || anchors(&text).contains(anchor),
                    Err(_) => target.is_dir() && anchor.is_empty(),
                };
                if !found {
                    missing.push(format!("{name}:{number}: {link}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "links that lead nowhere:\n{}", missing.join("\n"));
}

#[test]
fn files_that_documents_name_are_there() {
    let root = root();
    let mut missing = Vec::new();
    for (name, text) in documents() {
        for (number, line) in prose(&text) {
            for path in quoted(line).filter(|word| word.starts_with("crates/")) {
                let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
                if path.chars().all(plain) && !root.join(path).exists() {
                    missing.push(format!("{name}:{number}: {path}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "files that are not there:\n{}", missing.join("\n"));
}

/// A sentence of a name is a test: no field, option or system call has so many words.
fn is_test_name(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    word.chars().all(plain) && word.split('_').count() >= 4 && !word.contains("__")
}

#[test]
fn tests_that_documents_name_are_there() {
    let sources: String = files(&root(), ".rs")
        .iter()
        .map(|path| fs::read_to_string(path).expect("sources are text"))
        .collect();
    // As a function, or as the name of a case in a test program without the usual harness.
    let is_there = |name: &str| {
        sources.contains(&format!("fn {name}(")) || sources.contains(&format!("(\"{name}\""))
    };
    let mut missing = Vec::new();
    for (name, text) in documents() {
        for (number, line) in prose(&text) {
            for word in quoted(line).filter(|word| is_test_name(word) && !is_there(word)) {
                missing.push(format!("{name}:{number}: {word}"));
            }
        }
    }
    assert!(missing.is_empty(), "tests that are not there:\n{}", missing.join("\n"));
}
