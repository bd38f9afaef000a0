//! The commands that look at a filter, each as a whole process.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use callgate_bpf::{ByteOrder, Layout, Program};
use callgate_kernel::{Mode, ThreadStatus, filters_of};

use crate::{
    Result,
    folder::Folder,
    long::{self, Shape},
    report::{Row, Section},
    start::{callgate, command, ended},
    timing::Samples,
};

/// As long as tor's filter was when this was written.
const LIKE_TOR: usize = 494;

const DISASM_LIMIT: Duration = Duration::from_millis(10);
const EXPLAIN_LIMIT: Duration = Duration::from_millis(100);
const LINT_LIMIT: Duration = Duration::from_millis(200);

/// # Errors
///
/// When a command does not end as it should.
pub fn measure(repeat: usize) -> Result<Section> {
    let mut section = Section::new("Looking at a filter: the whole process");
    let folder = Folder::new("look")?;
    let (whose, program) = match tors(folder.path()) {
        Ok(program) => ("tor's".to_owned(), program),
        Err(why) => (format!("made-up ({why})"), long::program(Shape::FallsThrough, LIKE_TOR)),
    };
    let file = folder.path().join("filter.bpf");
    fs::write(&file, program.to_bytes(program.layout().byte_order))?;
    let listed = format!("disasm, {whose} {} instructions", program.len());
    let file = file.to_string_lossy();
    for (name, args, status, limit) in [
        (listed.as_str(), ["disasm", &file], 0, DISASM_LIMIT),
        ("explain docker-default", ["explain", "docker-default"], 0, EXPLAIN_LIMIT),
        // It has findings.
        ("lint docker-default", ["lint", "docker-default"], 1, LINT_LIMIT),
    ] {
        let callgate = callgate()?;
        let mut samples = Samples::default();
        for _ in 0..repeat {
            samples.add(ended(command(&callgate).args(args), status)?);
        }
        let target = format!("under {} ms", limit.as_millis());
        section.add(Row::times(name, &samples).target(&target, samples.median() < limit));
    }
    Ok(section)
}

/// The filter that Debian's tor loads for itself with its sandbox on, off the network.
///
/// # Errors
///
/// When there is no tor, or its filter cannot be read: that takes root.
fn tors(folder: &Path) -> Result<Program> {
    let data = folder.join("tor");
    fs::create_dir(&data)?;
    fs::set_permissions(&data, PermissionsExt::from_mode(0o700))?;
    let settings = folder.join("torrc");
    let text =
        format!("DataDirectory {}\nSocksPort 0\nDisableNetwork 1\nSandbox 1\n", data.display());
    fs::write(&settings, text)?;
    let mut tor = Command::new("tor");
    tor.arg("-f").arg(settings).args(["--defaults-torrc", "/dev/null"]);
    let silent = tor.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut tor = silent.spawn().map_err(|_| "tor is not installed")?;
    let program = filter_of(&mut tor);
    tor.kill()?;
    tor.wait()?;
    program
}

/// Waits until the process has filtered itself.
fn filter_of(child: &mut Child) -> Result<Program> {
    const PATIENCE: Duration = Duration::from_secs(20);
    let pid = i32::try_from(child.id())?;
    let begin = Instant::now();
    while ThreadStatus::of_thread(pid)?.mode != Some(Mode::Filter) {
        if begin.elapsed() > PATIENCE || child.try_wait()?.is_some() {
            return Err("tor did not filter itself".into());
        }
        thread::sleep(Duration::from_millis(20));
    }
    let filter = filters_of(pid)?.pop().ok_or("tor has no filter")?;
    Ok(Program::new(filter.instructions, Layout::seccomp(ByteOrder::NATIVE))?)
}
