//! What the project says of itself holds: examples in documents, names of tests and files, help,
//! man pages, completions, schemas.
//!
//! # Examples that are run
//!
//! The documents are README.md, the other documents beside it, and all below docs/. A code block
//! whose first words are `console run` is run and compared:
//!
//! ````text
//! ```console run
//! $ callgate caps CHOWN | head -n 1
//! CAP_CHOWN (number 0, since Linux …)
//! ```
//! ````
//!
//! - A line that begins with `$ ` is a command for `sh`, lines that begin with `> ` right below
//!   it belong to it, and all others are what it prints, on standard output and standard error
//!   together. `$?` is the status of the command before.
//! - `…` in the output stands for any text, also none; on a line of its own it may stand for
//!   lines.
//! - Further words say what it takes: `root` (the prompt is then `# `), `user` (an ordinary one,
//!   if need be by becoming one), `needs=PROGRAM`. Where that is missing the block is skipped,
//!   loudly.
//! - A block of any kind with the word `file=NAME` is written to a file first.
//! - The blocks of one document share a folder, in their order; each begins a new shell in it.
//!   `callgate` is the program under test.
//!
//! A block that says `console` alone is an illustration and not run.

#![cfg(target_os = "linux")]

mod common;

#[path = "documents/examples.rs"]
mod examples;
#[path = "documents/help.rs"]
mod help;
#[path = "documents/markdown.rs"]
mod markdown;
#[path = "documents/references.rs"]
mod references;
#[path = "documents/shipped.rs"]
mod shipped;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The top of the repository.
fn root() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    path.canonicalize().expect("the workspace is there")
}

/// Files below a folder with this ending, sorted; nothing of build folders.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("the folder is readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            found.extend(files(&path, ending));
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The documents, as name and text.
fn documents() -> Vec<(String, String)> {
    let root = root();
    let mut paths = files(&root.join("docs"), ".md");
    for entry in fs::read_dir(&root).expect("the workspace is readable") {
        let path = entry.expect("it is readable").path();
        if path.extension().is_some_and(|extension| extension == "md") {
            paths.push(path);
        }
    }
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let name = path.strip_prefix(&root).expect("it lies below").display().to_string();
        (name, text)
    };
    paths.into_iter().map(read).collect()
}
