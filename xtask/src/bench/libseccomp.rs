//! Debian's libseccomp as a contender, behind a small C program (`libseccomp.c`).

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Result, driver::Driver, folder::Folder};

/// The forms of program that it makes: comparisons in a row, and a binary tree, which is what
/// runc asks for when a profile is as long as Docker's.
pub const LEVELS: [u32; 2] = [1, 2];

const SOURCE: &str = include_str!("libseccomp.c");

/// The driver, built.
pub struct Library {
    folder: Folder,
}

impl Library {
    /// Builds the driver.
    ///
    /// # Errors
    ///
    /// A reason for people: no compiler, no library, or one too old.
    pub fn build() -> Result<Library> {
        let folder = Folder::new("libseccomp")?;
        build(folder.path())?;
        Ok(Library { folder })
    }

    /// A run of it with these rules.
    ///
    /// # Errors
    ///
    /// When the library refuses them.
    pub fn with(&self, rules: &str) -> Result<Driver> {
        Driver::start(&driver(self.folder.path()), rules)
    }
}

/// Of a level.
pub fn name(level: u32) -> String {
    format!("libseccomp level {level}")
}

fn driver(folder: &Path) -> PathBuf {
    folder.join("driver")
}

fn build(folder: &Path) -> Result<()> {
    let source = folder.join("driver.c");
    fs::write(&source, SOURCE)?;
    let output = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args(["-std=gnu11", "-O2", "-o"])
        .args([&driver(folder), &source])
        .arg("-lseccomp")
        .output()
        .map_err(|error| format!("no C compiler ({error}); install gcc and libseccomp-dev"))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let first = errors.lines().find(|line| line.contains("error")).unwrap_or("no message");
    Err(format!("the C driver does not build ({first}); install libseccomp-dev").into())
}
