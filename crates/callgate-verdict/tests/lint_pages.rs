//! Every id has a page and tests, and the index names all of them.

use std::{fs, path::Path};

use callgate_diagnostic::Severity;
use callgate_verdict::lint::LINTS;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_id_has_a_page() {
    let pages = root().join("../../docs/lints");
    for lint in LINTS {
        let page = read(pages.join(format!("{}.md", lint.id)));
        assert!(page.starts_with(&format!("# {}\n", lint.id)), "{} begins with its name", lint.id);
        for section in ["## Example", "## What to do"] {
            assert!(page.contains(section), "{} has no section `{section}`", lint.id);
        }
    }
    let count = fs::read_dir(&pages).unwrap().count();
    assert_eq!(count, LINTS.len() + 1, "a page without a lint in {}", pages.display());
}

#[test]
fn the_index_names_every_id_with_its_severity() {
    let index = read(root().join("../../docs/lints/README.md"));
    for lint in LINTS {
        let line = index.lines().find(|line| line.contains(&format!("]({}.md)", lint.id)));
        let line = line.unwrap_or_else(|| panic!("README.md does not name {}", lint.id));
        let severity = match lint.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        assert!(line.contains(severity), "{line}");
    }
}

#[test]
fn every_id_fires_in_a_test_and_is_silent_in_one() {
    let folder = fs::read_dir(root().join("tests/lint")).unwrap();
    let tests: String = folder.map(|file| read(file.unwrap().path())).collect();
    for lint in LINTS {
        let fires = ["fires", "shows_a_way", "mend"]
            .iter()
            .any(|how| tests.contains(&format!(".{how}(\"{}\")", lint.id)));
        assert!(fires, "no test has {} fire", lint.id);
        let silent = tests.contains(&format!(".is_silent(\"{}\")", lint.id))
            || tests.contains(&format!("\"{}\", ", lint.id)) && tests.contains("is_silent(id)");
        assert!(silent, "no test has {} silent", lint.id);
    }
}
