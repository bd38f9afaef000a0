//! Where results go: standard output, or a file that appears whole or not at all.

use std::{
    fs::{self, File},
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde::Serialize;

/// Writes a result to standard output. A reader that went away is no error.
pub fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    ignore_closed(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// A list in lines of at most 100 columns, each of which begins with `indent`.
pub fn wrapped(indent: &str, separator: &str, items: &[impl AsRef<str>]) -> String {
    const WIDTH: usize = 100;
    let mut lines = vec![String::from(indent)];
    for (index, item) in items.iter().enumerate() {
        let item = item.as_ref();
        let separator = if index + 1 < items.len() { separator } else { "" };
        let line = &lines[lines.len() - 1];
        let length = line.len() + item.len() + separator.trim_end().len();
        if length > WIDTH && line.len() > indent.len() {
            lines.push(String::from(indent));
        }
        let last = lines.len() - 1;
        lines[last].push_str(item);
        lines[last].push_str(separator);
    }
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Writes a result to a file, or else to standard output; what is no text not to a terminal.
pub fn write(path: Option<&Path>, bytes: &[u8], is_text: bool) -> io::Result<()> {
    match path {
        Some(path) => write_file(path, bytes),
        None if is_text => print(&String::from_utf8_lossy(bytes)),
        None => print_bytes(bytes),
    }
}

/// Writes bytes to standard output, unless that is a terminal.
fn print_bytes(bytes: &[u8]) -> io::Result<()> {
    if io::stdout().is_terminal() {
        return Err(io::Error::other(
            "raw bytes would be written to a terminal; name a file with -o, or choose another --format",
        ));
    }
    let mut stdout = io::stdout().lock();
    ignore_closed(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

/// Writes a value to standard output as indented JSON.
pub fn print_json(value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    print(&text)
}

/// The JSON Schema of what [`print_json`] writes of a value of this type.
pub fn schema_of<T: JsonSchema>() -> Schema {
    // What is left out when it is empty is not required.
    SchemaSettings::default().for_serialize().into_generator().into_root_schema_for::<T>()
}

/// Writes a file so that it appears whole or not at all: into a temporary file beside it, which
/// then takes its name.
pub fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    // A device or a pipe cannot be replaced, only written to.
    if fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        return fs::write(path, bytes).map_err(named);
    }
    // A link stays a link, and a file that was there keeps its mode.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let temporary = beside(&target);
    let written = File::create_new(&temporary)
        .and_then(|mut file| {
            if let Ok(before) = fs::metadata(&target) {
                file.set_permissions(before.permissions())?;
            }
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, &target));
    if written.is_err() {
        // The error that counts is the one above.
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(named)
}

/// Writes files below a folder, which appears with all of them or not at all if it was not there;
/// if it was, each file appears so.
pub fn write_folder<'f>(
    folder: &Path,
    files: impl IntoIterator<Item = (&'f str, &'f str)>,
) -> io::Result<()> {
    let there = fs::metadata(folder).is_ok();
    let place = if there { folder.to_owned() } else { beside(folder) };
    let written = files.into_iter().try_for_each(|(path, text)| {
        let path = place.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", folder.display())))?;
        }
        write_file(&path, text.as_bytes())
    });
    if there {
        return written;
    }
    let written = written.and_then(|()| {
        fs::rename(&place, folder)
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", folder.display())))
    });
    if written.is_err() {
        // The error that counts is the one above.
        let _ = fs::remove_dir_all(&place);
    }
    written
}

/// Finds out, before the work for it is done, whether [`write_file`] could write a file.
///
/// # Errors
///
/// Those that it would have.
#[cfg(target_os = "linux")]
pub fn may_be_written(path: &Path) -> io::Result<()> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => return Err(named(io::ErrorKind::IsADirectory.into())),
        // A device or a pipe; to open it may be noticed at its other end.
        Ok(meta) if !meta.is_file() => return Ok(()),
        _ => {}
    }
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let temporary = beside(&target);
    File::create_new(&temporary).and_then(|_| fs::remove_file(&temporary)).map_err(named)
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}", std::process::id()))
}

fn ignore_closed(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn lines_end_before_the_hundredth_column_and_lose_nothing() {
        let names: Vec<String> = (1..40).map(|length| "x".repeat(length)).collect();
        let text = wrapped("   ", ", ", &names);
        assert!(text.lines().all(|line| line.len() <= 100 && line.starts_with("   x")));
        let words: Vec<&str> = text.split_whitespace().map(|w| w.trim_end_matches(',')).collect();
        assert_eq!(words, names);
        assert_eq!(wrapped("  ", " ", &["y".repeat(200)]), format!("  {}\n", "y".repeat(200)));
    }
}
