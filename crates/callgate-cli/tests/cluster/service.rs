//! A daemon with its log in a file.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// How much of a log is told.
const LINES: usize = 20;

/// A daemon that runs.
pub struct Service {
    name: String,
    process: Child,
    log: PathBuf,
}

impl Service {
    /// Starts it with its log in `folder`.
    pub fn start(command: &mut Command, name: &str, folder: &Path) -> Service {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).expect("the folder takes a file");
        let process = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("descriptors are free"))
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        Service { name: name.to_owned(), process, log }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        let text = String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    /// # Panics
    ///
    /// When it has ended.
    pub fn check(&mut self) {
        if let Ok(Some(status)) = self.process.try_wait() {
            panic!("{} ended: {status}\n{}", self.name, self.log());
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // This is the entrance to the namespaces; the daemon behind it ends with them.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
