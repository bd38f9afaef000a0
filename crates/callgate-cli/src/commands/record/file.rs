//! The file of a recording, read.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use callgate_record::Recording;

use crate::{commands::Failure, report};

/// Longest recording that is read.
const SIZE_LIMIT: u64 = 1 << 30;

/// Reads a recording.
///
/// # Errors
///
/// When it can't be read or is none.
pub fn read(path: &Path) -> Result<Recording, Failure> {
    let bytes = read_bytes(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(parse(path, &bytes)?.0)
}

pub fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(SIZE_LIMIT + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > SIZE_LIMIT) {
        return Err(io::Error::other(format!("larger than {} MiB", SIZE_LIMIT >> 20)));
    }
    Ok(bytes)
}

/// A recording, and the length of what is whole.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<(Recording, usize), Failure> {
    let name = path.display();
    let reading = Recording::read(bytes).map_err(|error| format!("{name}: {error}"))?;
    if let Some(line) = reading.torn {
        report::note(format!(
            "{name}: line {line} was torn by the recorder's end, and dropped; what stands before it is whole"
        ));
    }
    Ok((reading.recording, reading.whole))
}
