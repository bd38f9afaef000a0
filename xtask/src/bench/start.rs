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
    let command = ["/bin/true", "/usr/bin/true"].into_iter().find(|path| Path::new(path).exists());
    let command = command.ok_or("no program `true`")?;
    let callgate = callgate()?;
    let (mut alone, mut under, mut nothing) =
        (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..repeat {
        alone.add(start(&mut Command::new(command))?);
        under.add(start(Command::new(&callgate).args(["run", "--", command]))?);
        nothing.add(start(Command::new(&callgate).arg("--version"))?);
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

fn start(command: &mut Command) -> Result<Duration> {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null());
    let (elapsed, status) = time(|| silent.status());
    match status?.code() {
        Some(0) => Ok(elapsed),
        other => Err(format!("{:?} ended with {other:?}", command.get_program()).into()),
    }
}

/// The binary beside this program, which `cargo xtask bench` has built before.
fn callgate() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.ancestors().nth(2).ok_or("no folder above this program")?;
    let binary = folder.join("callgate");
    if binary.exists() {
        Ok(binary)
    } else {
        Err(format!("{} does not exist; start with `cargo xtask bench`", binary.display()).into())
    }
}
