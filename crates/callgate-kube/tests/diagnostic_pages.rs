//! Every diagnostic of this crate has a page, and a test names it.

use std::{collections::BTreeSet, fs, path::Path};

use callgate_kube::{Expected, Findings, Level, look, workloads, yaml};

/// All sources below a folder, without the tests in them.
fn sources(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).expect("a folder of the crate") {
        let path = entry.expect("it is readable").path();
        if path.is_dir() {
            all += &sources(&path);
        } else {
            let text = fs::read_to_string(&path).expect("sources are text");
            all += text.split("#[cfg(test)]").next().unwrap_or("");
        }
    }
    all
}

/// The ids that a source gives: the first argument of what makes a diagnostic.
fn ids(source: &str) -> BTreeSet<String> {
    let makers = ["Diagnostic::error(", "Diagnostic::warning(", "Diagnostic::note("];
    let mut found = BTreeSet::new();
    for maker in makers {
        for (at, _) in source.match_indices(maker) {
            let argument = source[at + maker.len()..].trim_start();
            let id = argument.strip_prefix('"').and_then(|rest| rest.split('"').next());
            found.insert(
                id.unwrap_or_else(|| panic!("an id that is no word: {argument:.20}")).to_owned(),
            );
        }
    }
    found
}

fn page(id: &str) -> String {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/diagnostics");
    fs::read_to_string(pages.join(format!("{id}.md")))
        .unwrap_or_else(|_| panic!("docs/diagnostics/{id}.md is missing"))
}

#[test]
fn every_id_has_a_page_and_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ids = ids(&sources(&root.join("src")));
    assert!(ids.len() >= 8, "the search finds the ids: {ids:?}");
    let tests = sources(&root.join("tests"));
    for id in ids {
        let page = page(&id);
        assert!(page.starts_with(&format!("# {id}\n")), "{id}.md begins with its name");
        for section in ["## Example", "## What to do"] {
            assert!(page.contains(section), "{id}.md has no section `{section}`");
        }
        let named = [format!("\"{id}\""), format!("[{id}]")];
        assert!(named.iter().any(|name| tests.contains(name)), "no test names {id}");
    }
}

#[test]
fn the_examples_of_yaml_that_is_refused_lead_to_their_pages() {
    for id in ["yaml-syntax", "yaml-alias", "yaml-merge", "yaml-key", "yaml-duplicate-key"] {
        let page = page(id);
        let example = page.split("```").nth(1).and_then(|block| block.split_once('\n'));
        let (_, example) = example.expect("a block of code");
        let refused = yaml::documents(example).find_map(Result::err);
        assert_eq!(refused.map(|refused| refused.id), Some(id), "{example}");
    }
}

#[test]
fn the_examples_of_manifests_lead_to_their_pages() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let expected = Expected { seccomp_default: false, pod_security: Some(Level::Baseline) };
    let mut checked = 0;
    for id in ids(&sources(&root.join("src"))).iter().filter(|id| id.starts_with("kube-")) {
        let page = page(id);
        let Some((_, example)) = page.split_once("```yaml\napiVersion") else { continue };
        let example = format!("apiVersion{}", example.split("```").next().unwrap_or(""));
        let mut found = Findings::default();
        for document in yaml::documents(&example) {
            let document = document.unwrap_or_else(|error| panic!("{id}: {error}"));
            for workload in workloads(document.root(), &mut found) {
                look(&workload, expected, &mut found);
            }
        }
        assert!(found.in_order().iter().any(|finding| finding.id == id), "{id}: {found:?}");
        checked += 1;
    }
    assert!(checked > 8, "the examples are found: {checked}");
}
