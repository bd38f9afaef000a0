//! A folder for what a measurement needs.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::Result;

/// A folder of its own, removed when dropped.
pub struct Folder(PathBuf);

impl Folder {
    /// A folder whose name says what it is for.
    ///
    /// # Errors
    ///
    /// When none can be made.
    pub fn new(purpose: &str) -> Result<Folder> {
        let name = format!("callgate-bench-{purpose}-{}", std::process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir(&path)?;
        Ok(Folder(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
