//! How much memory the diagrams need: the high-water mark of a process that does nothing else.

use std::{fs, path::Path, process::Command};

use callgate_bpf::{ByteOrder, Layout, MAX_INSTRUCTIONS, Program, ShiftRule};
use callgate_verdict::Manager;

use crate::{
    Result,
    long::{self, Shape},
    subject::Subject,
};

/// The option by which this program is started as such a process.
pub const OPTION: &str = "--peak";

/// What the process does.
#[derive(Clone, Copy)]
pub enum Task<'a> {
    /// Reads, compiles and proves the profile, as `callgate run` does.
    Start,
    /// Compares two stored programs.
    Compare(&'a Path, &'a Path),
    /// Gives the longest program its diagram.
    Long(Shape),
}

/// Bytes of memory at most, the program itself included.
///
/// # Errors
///
/// When the process fails.
pub fn of(task: Task<'_>) -> Result<usize> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(OPTION);
    match task {
        Task::Start => command.arg("start"),
        Task::Compare(one, other) => command.arg("compare").args([one, other]),
        Task::Long(shape) => command.args(["long", shape.name()]),
    };
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// The process's own main function.
///
/// # Errors
///
/// When the task fails.
pub fn child(args: &[String]) -> Result<()> {
    match args {
        [task] if task == "start" => drop(Subject::new()?),
        [task, name] if task == "long" => {
            let shape = Shape::ALL.into_iter().find(|shape| shape.name() == name);
            let program = long::program(shape.ok_or("not a shape")?, MAX_INSTRUCTIONS);
            Manager::new(*program.layout()).program(&program, ShiftRule::default())?;
        }
        [task, one, other] if task == "compare" => {
            let (one, other) = (stored(one)?, stored(other)?);
            let mut manager = Manager::new(*one.layout());
            let one = manager.program(&one, ShiftRule::default())?;
            if manager.program(&other, ShiftRule::default())? != one {
                return Err("the programs differ".into());
            }
        }
        _ => return Err(format!("{OPTION}: not a task").into()),
    }
    println!("{}", high_water()?);
    Ok(())
}

fn stored(path: &str) -> Result<Program> {
    let order = ByteOrder::NATIVE;
    Ok(Program::from_bytes(&fs::read(path)?, order, Layout::seccomp(order))?)
}

/// `VmHWM` of `proc_pid_status(5)`, in bytes.
fn high_water() -> Result<usize> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")).ok_or("no VmHWM")?;
    Ok(kilobytes.trim().parse::<usize>()? * 1024)
}
