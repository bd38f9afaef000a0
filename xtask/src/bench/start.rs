//! What `callgate run` adds to the start of a command.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    Result,
    report::{Quantity, Row, Section},
    timing::{Samples, time},
};

/// What it may add.
const LIMIT: Duration = Duration::from_millis(3);

/// # Errors
///
/// When the command does not end well, with callgate or without.
pub fn measure(repeat: usize) -> Result<Section> {
    let mut paths = ["/bin/true", "/usr/bin/true"].map(Path::new).into_iter();
    let nothing_done = paths.find(|path| path.exists()).ok_or("no program `true`")?;
    let callgate = callgate()?;
    let (mut alone, mut under, mut nothing) =
        (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..repeat {
        alone.add(ended(&mut command(nothing_done), 0)?);
        under.add(ended(command(&callgate).args(["run", "--"]).arg(nothing_done), 0)?);
        nothing.add(ended(command(&callgate).arg("--version"), 0)?);
    }

    let mut section = Section::new("Starting a command");
    section.add(Row::times("true", &alone));
    section.add(Row::times("callgate run -- true", &under));
    section.add(Row::times("callgate --version (callgate's own start)", &nothing));
    let [minimum, median] = under.added_to(&alone);
    section.add(
        Row::new("added by callgate run", Quantity::Time(minimum))
            .median(Quantity::Time(median))
            .target("under 3 ms", median < LIMIT),
    );
    Ok(section)
}

/// A command that is to be silent.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// How long the command takes, from start to end.
///
/// # Errors
///
/// When it ends with another status.
pub fn ended(command: &mut Command, with: i32) -> Result<Duration> {
    let (elapsed, status) = time(|| command.status());
    match status?.code() {
        Some(code) if code == with => Ok(elapsed),
        other => Err(format!("{:?} ended with {other:?}", command.get_program()).into()),
    }
}

/// The binary beside this program, which `cargo xtask bench` has built before.
///
/// # Errors
///
/// When it is not there.
pub fn callgate() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.ancestors().nth(2).ok_or("no folder above this program")?;
    let binary = folder.join("callgate");
    if binary.exists() {
        Ok(binary)
    } else {
        Err(format!("{} does not exist; start with `cargo xtask bench`", binary.display()).into())
    }
}
