//! The files that Localhost profiles name, read as the node's runtime reads them.

use std::{
    collections::HashMap,
    fs,
    path::{PathBuf, absolute},
    rc::Rc,
};

use callgate_diagnostic::Diagnostic;
use callgate_kube::{ProfileFile, Runtime, missing_profile};
use callgate_policy::formats;

use crate::{
    commands::{Failure, lint},
    source::{Profile, Source},
    target::TargetArgs,
};

/// The profiles of a node.
pub struct Profiles<'a> {
    root: Option<PathBuf>,
    runtime: Runtime,
    target: &'a TargetArgs,
    /// Each is looked at once, however many name it.
    known: HashMap<String, Rc<[Diagnostic]>>,
}

impl Profiles<'_> {
    pub fn new(root: Option<PathBuf>, runtime: Runtime, target: &TargetArgs) -> Profiles<'_> {
        Profiles { root, runtime, target, known: HashMap::new() }
    }

    /// What is to be said of the profile at a path below the root; nothing where no root is known.
    ///
    /// # Errors
    ///
    /// When it is too much to look at, or the target cannot be told.
    pub fn findings(&mut self, path: &str) -> Result<Rc<[Diagnostic]>, Failure> {
        if let Some(known) = self.known.get(path) {
            return Ok(known.clone());
        }
        let findings: Rc<[Diagnostic]> = match &self.root {
            // A path with a name as in a URL is a file as any other: it stands behind a `/`.
            Some(root) => self.look(path, absolute(root)?.join(path))?.into(),
            None => Rc::new([]),
        };
        self.known.insert(path.to_owned(), findings.clone());
        Ok(findings)
    }

    fn look(&self, path: &str, file: PathBuf) -> Result<Vec<Diagnostic>, Failure> {
        let shown = file.display().to_string();
        let missing = |why: &str| Ok(vec![missing_profile(path, &shown, why)]);
        match fs::metadata(&file) {
            Ok(meta) if meta.is_file() => {}
            Ok(_) => return missing("it is no file"),
            Err(error) => return missing(&error.to_string()),
        }
        let format = formats::named(self.runtime.dialect().name());
        let profile: Profile = match Source::open_profile(&shown, format) {
            Ok(profile) => profile,
            Err(error) => return missing(&error),
        };
        let text = profile.text.clone();
        let seen = lint::of_profile(profile, &self.target.target()?)?;
        let said: Vec<&Diagnostic> =
            seen.findings.iter().map(|finding| &finding.diagnostic).collect();
        let file = ProfileFile {
            path,
            file: &shown,
            runtime: self.runtime,
            text: &text,
            said: &said,
            is_understood: !seen.unreadable,
        };
        Ok(file.findings())
    }
}
