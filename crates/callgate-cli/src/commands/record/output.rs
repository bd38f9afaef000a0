//! The file of a recording, added to.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use callgate_record::Recording;

use super::file::{parse, read_bytes};
use crate::commands::Failure;

/// A recording that is added to. It is made with the first write.
pub struct Output {
    path: PathBuf,
    /// What it had before.
    pub before: Recording,
    file: Option<File>,
    made: bool,
    /// Bytes that stay whatever comes: what the file had, and the runs that are over.
    kept: u64,
    /// Bytes written behind them.
    written: u64,
}

impl Output {
    /// Reads the file, if it is there. The torn end that a killed recorder left is cut off.
    ///
    /// # Errors
    ///
    /// When it is no recording: then it is not touched.
    pub fn open(path: &Path) -> Result<Output, Failure> {
        // What is no file, such as a device, has nothing to add to.
        let special = fs::metadata(path).is_ok_and(|meta| !meta.is_file());
        let bytes = if special { Ok(Vec::new()) } else { read_bytes(path) };
        let (before, whole) = match bytes {
            Ok(bytes) if bytes.is_empty() => (Recording::default(), None),
            Ok(bytes) => {
                let (recording, whole) = parse(path, &bytes)?;
                (recording, Some(whole))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Recording::default(), None),
            Err(error) => return Err(Failure::Message(format!("{}: {error}", path.display()))),
        };
        let mut output =
            Output { path: path.to_owned(), before, file: None, made: false, kept: 0, written: 0 };
        if let Some(whole) = whole {
            let named = |error: io::Error| format!("{}: {error}", path.display());
            let file = OpenOptions::new().append(true).open(path).map_err(named)?;
            let whole = u64::try_from(whole).unwrap_or(u64::MAX);
            if file.metadata().is_ok_and(|meta| meta.len() > whole) {
                file.set_len(whole).map_err(named)?;
            }
            output.file = Some(file);
            output.kept = whole;
        } else {
            // Found out before the command runs, not after.
            output.made = !path.exists();
            output.write_header()?;
        }
        Ok(output)
    }

    fn write_header(&mut self) -> Result<(), Failure> {
        let named = |error: io::Error| format!("{}: {error}", self.path.display());
        let mut file =
            OpenOptions::new().append(true).create(true).open(&self.path).map_err(named)?;
        let header = Recording::default().to_text();
        file.write_all(header.as_bytes()).map_err(named)?;
        self.written = u64::try_from(header.len()).unwrap_or(u64::MAX);
        self.file = Some(file);
        Ok(())
    }

    /// What was written so far stays.
    pub fn keep(&mut self) {
        self.made = false;
        self.kept = self.kept.saturating_add(self.written);
        self.written = 0;
    }

    /// Takes back what was written of a run that did not begin, and a file that was made for it.
    pub fn discard(self) {
        let Some(file) = self.file else { return };
        // Another recorder may have added to the file: then nothing is cut off.
        let ours = self.kept.saturating_add(self.written);
        if !file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() == ours) {
            return;
        }
        // Where this fails, what stays is a run without a call, which does no harm.
        let _ = if self.made { fs::remove_file(&self.path) } else { file.set_len(self.kept) };
    }
}

impl Write for Output {
    /// Appends all of it or nothing: what a full disk took of a line would tear the file.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(file) = &mut self.file else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let before = file.metadata().map(|meta| meta.len());
        if let Err(error) = file.write_all(bytes) {
            // A device has no length; the error that counts is the one above.
            let _ = before.and_then(|before| file.set_len(before));
            return Err(error);
        }
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.written = self.written.saturating_add(length);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a file is a recording, or would be but for errors.
pub fn is_recording(path: &Path) -> bool {
    let mut start = [0; 64];
    let read = File::open(path).and_then(|mut file| file.read(&mut start));
    read.is_ok_and(|length| {
        let text = String::from_utf8_lossy(&start[..length]).into_owned();
        text.trim_start().starts_with("{\"callgate-recording\"")
    })
}
