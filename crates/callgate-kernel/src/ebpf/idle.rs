//! What counting costs at least: programs that do nothing, where those of a recorder count.

use super::assembler::{Assembler, Instruction};
use super::error::Error;
use super::layout::Layout;
use super::program::{Attached, Program};
use super::recorder::Results;

/// Empty programs at the tracepoints of a [`Recorder`](super::Recorder), until it is dropped. For
/// measurements: what they cost a workload is the kernel's own way to such programs, and no
/// recorder there can cost less.
pub struct Idle {
    _programs: Vec<Attached>,
}

impl Idle {
    /// At the beginning of calls and, with [`Results::Always`], at their end.
    ///
    /// # Errors
    ///
    /// As [`RecorderOptions::start`](super::RecorderOptions::start).
    pub fn start(results: Results) -> Result<Idle, Error> {
        let layout = Layout::of_this_kernel()?;
        let enter = Program::load("idle enter", c"cg_idle", &nothing(), layout.sys_enter)?;
        let mut programs = vec![enter.attach()?];
        if results == Results::Always {
            let exit = Program::load("idle exit", c"cg_idle", &nothing(), layout.sys_exit)?;
            programs.push(exit.attach()?);
        }
        Ok(Idle { _programs: programs })
    }
}

fn nothing() -> Vec<Instruction> {
    let mut a = Assembler::default();
    a.leave();
    a.finish()
}
