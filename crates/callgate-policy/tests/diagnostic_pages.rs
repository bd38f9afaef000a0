//! Every diagnostic that this crate can give has a page, and the readers' have a test.

use std::{collections::BTreeSet, fs, path::Path};

/// All Rust files below a folder, as path and text.
fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder of the crate") {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path.display().to_string(), text));
        }
    }
}

/// The ids in a source: the first argument of what makes a diagnostic, and constants called `ID`.
fn ids(source: &str) -> BTreeSet<String> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let makers = [
        "Diagnostic::error(",
        "Diagnostic::warning(",
        "Diagnostic::note(",
        "Diagnostic::new(",
        "const ID: &str =",
    ];
    let mut found = BTreeSet::new();
    for maker in makers {
        for (at, _) in source.match_indices(maker) {
            let argument = source[at + maker.len()..].trim_start();
            if let Some(id) = argument.strip_prefix('"').and_then(|rest| rest.split('"').next()) {
                found.insert(id.to_owned());
            } else {
                assert!(argument.starts_with("ID"), "an id that this test can't see: {maker}");
            }
        }
    }
    found
}

#[test]
fn every_id_has_a_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    let all: BTreeSet<String> = files.iter().flat_map(|(_, text)| ids(text)).collect();
    assert!(all.len() > 30, "the search finds the ids: {all:?}");
    let pages = root.join("../../docs/diagnostics");
    for id in all {
        let page = fs::read_to_string(pages.join(format!("{id}.md")))
            .unwrap_or_else(|_| panic!("docs/diagnostics/{id}.md is missing"));
        assert!(page.starts_with(&format!("# {id}\n")), "{id}.md begins with its name");
        for section in ["## Example", "## What to do"] {
            assert!(page.contains(section), "{id}.md has no section `{section}`");
        }
    }
}

#[test]
fn every_id_of_the_readers_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut files, mut tests) = (Vec::new(), Vec::new());
    sources(&root.join("src"), &mut files);
    sources(&root.join("tests"), &mut tests);
    let unit_tests = files.iter().filter_map(|(_, text)| text.split_once("#[cfg(test)]"));
    let tested: String = tests
        .iter()
        .map(|(_, text)| text.as_str())
        .chain(unit_tests.map(|(_, test)| test))
        .collect();
    let readers =
        files.iter().filter(|(path, _)| path.contains("json") || path.contains("formats"));
    for id in readers.flat_map(|(_, text)| ids(text)) {
        assert!(tested.contains(&format!("\"{id}\"")), "no test names {id}");
    }
}
