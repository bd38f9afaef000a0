//! The tracer: from exec to strict mode, and to the end.

use std::fs;
use std::time::Duration;

use callgate_bpf::{Architecture, SyscallNr};
use callgate_syscalls::Abi;
use rustix::process::{Pid, Signal as Kill, WaitOptions, WaitStatus, kill_process, waitpid};

use super::image::{Image, NoImage};
use super::{Kind, Moment, RefusedCall, StrictFinished, StrictRunError};
use crate::errno::Errno;
use crate::launch::signals::stop_with;
use crate::outcome::{Outcome, Signal};
use crate::ptrace;
use crate::ptrace::machine::{Patch, Registers, reads_time_stamp};
use crate::status::{Mode, ThreadStatus};
use crate::strict::StrictError;

/// The traced process, and how far it has come.
pub(super) struct Tracer<'m> {
    moment: &'m Moment,
    leader: Pid,
    /// Traced threads, the leader first.
    threads: Vec<Pid>,
    phase: Phase,
    entered: Option<Option<String>>,
    refused: Option<RefusedCall>,
    time_stamp_fault: bool,
}

enum Phase {
    /// Before exec.
    Starting,
    /// A trap stands at the moment.
    Waiting { image: Image, trap: Patch },
    /// This thread is in strict mode.
    Strict { thread: Pid },
}

/// `__WALL` of wait(2): threads of a tracee too, which are nobody's children.
const ALL_KINDS: WaitOptions = WaitOptions::from_bits_retain(0x4000_0000);

impl<'m> Tracer<'m> {
    pub(super) fn new(leader: Pid, moment: &'m Moment) -> Tracer<'m> {
        Tracer {
            moment,
            leader,
            threads: vec![leader],
            phase: Phase::Starting,
            entered: None,
            refused: None,
            time_stamp_fault: false,
        }
    }

    /// Ends the process and waits for it, after an error.
    pub(super) fn kill(&self) {
        // A child that is not reaped is there to be killed; nothing can be done if not.
        let _ = kill_process(self.leader, Kill::KILL);
        loop {
            // Threads may stop once more before their end, and the leader ends last.
            for &thread in &self.threads {
                match waitpid(Some(thread), WaitOptions::NOHANG | ALL_KINDS) {
                    Ok(Some((_, status))) if Outcome::of(status).is_none() => {
                        let _ = ptrace::cont(thread, 0);
                    }
                    Ok(Some(_)) | Err(rustix::io::Errno::CHILD) if thread == self.leader => return,
                    _ => {}
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Handles what has happened to the threads; the result when the process has ended.
    pub(super) fn look(&mut self) -> Result<Option<StrictFinished>, StrictRunError> {
        let mut index = 0;
        while let Some(&thread) = self.threads.get(index) {
            match waitpid(Some(thread), WaitOptions::NOHANG | ALL_KINDS) {
                Ok(None) => index += 1,
                Ok(Some((_, status))) => {
                    if let Some(outcome) = Outcome::of(status) {
                        if thread == self.leader {
                            return Ok(Some(self.finished(outcome)));
                        }
                        self.threads.remove(index);
                    } else {
                        gone_is_fine(self.stopped(thread, status))?;
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                // A thread that is no longer traced, or ended with the process.
                Err(rustix::io::Errno::CHILD) if thread != self.leader => {
                    self.threads.remove(index);
                }
                Err(errno) => return Err(Errno::from(errno).into()),
            }
        }
        Ok(None)
    }

    /// Whether the command was executed.
    pub(super) fn has_executed(&self) -> bool {
        !matches!(self.phase, Phase::Starting)
    }

    fn finished(&mut self, outcome: Outcome) -> StrictFinished {
        StrictFinished {
            pid: self.leader.as_raw_nonzero().get(),
            outcome,
            entered: self.entered.take(),
            refused: self.refused.take(),
            time_stamp_fault: self.time_stamp_fault,
        }
    }

    /// A thread has stopped; lets it go on unless the terminal stopped it.
    fn stopped(&mut self, thread: Pid, status: WaitStatus) -> Result<(), StrictRunError> {
        let raw = status.as_raw();
        let (signal, event) = (raw >> 8 & 0xff, raw >> 16);
        match event {
            0 if signal == libc::SIGTRAP && self.at_trap(thread)? => self.trapped(thread)?,
            0 => {
                if signal == libc::SIGSEGV {
                    let counter = Registers::of(thread)?.counter();
                    self.time_stamp_fault =
                        self.is_strict(thread) && reads_time_stamp(thread, counter);
                }
                ptrace::cont(thread, signal)?;
            }
            ptrace::EVENT_EXEC => {
                self.executed()?;
                ptrace::cont(thread, 0)?;
            }
            ptrace::EVENT_EXIT => {
                if self.is_strict(thread) {
                    self.refused = refused(thread)?;
                    if self.refused.is_some() {
                        // The kernel ends the thread alone, and threads that it leaves behind
                        // would go on outside strict mode, perhaps for ever.
                        kill_process(self.leader, Kill::KILL).map_err(Errno::from)?;
                    }
                }
                ptrace::cont(thread, 0)?;
            }
            ptrace::EVENT_CLONE | ptrace::EVENT_FORK | ptrace::EVENT_VFORK => {
                self.born(thread, event)?;
                ptrace::cont(thread, 0)?;
            }
            ptrace::EVENT_STOP if signal != libc::SIGTRAP => {
                ptrace::listen(thread)?;
                if thread == self.leader {
                    stop_with(signal)?;
                }
            }
            _ => ptrace::cont(thread, 0)?,
        }
        Ok(())
    }

    fn is_strict(&self, thread: Pid) -> bool {
        matches!(self.phase, Phase::Strict { thread: strict } if strict == thread)
    }

    /// A new program is in the process: finds its moment, and sets a trap there.
    fn executed(&mut self) -> Result<(), StrictRunError> {
        // The other threads are gone, and the caller goes by the leader's number now.
        self.threads.truncate(1);
        let image = Image::of(self.leader, self.moment).map_err(|reason| match reason {
            NoImage::Hidden => Kind::Hidden,
            NoImage::Foreign => Kind::Foreign,
            NoImage::NoSymbol(name) => Kind::NoSymbol(name),
        })?;
        let trap = Patch::trap(self.leader, image.moment)?;
        self.phase = Phase::Waiting { image, trap };
        Ok(())
    }

    /// A thread or process was born of `parent`, traced like it.
    fn born(&mut self, parent: Pid, event: i32) -> Result<(), StrictRunError> {
        let number = i32::try_from(ptrace::event_message(parent)?).ok().and_then(Pid::from_raw);
        let Some(new) = number else { return Ok(()) };
        let raw = new.as_raw_nonzero();
        let own = self.leader.as_raw_nonzero();
        if fs::exists(format!("/proc/{own}/task/{raw}")).unwrap_or(false) {
            self.threads.push(new);
            return Ok(());
        }
        // Another process is not this launch's to put into strict mode, but a copy of the memory
        // has a copy of the trap. After vfork(2) the memory is the same, and the trap stays.
        gone_is_fine(wait(new).map(drop).map_err(StrictRunError::from))?;
        if let (Phase::Waiting { trap, .. }, ptrace::EVENT_FORK) = (&self.phase, event) {
            gone_is_fine(trap.undo(new).map_err(StrictRunError::from))?;
        }
        gone_is_fine(ptrace::detach(new).map_err(StrictRunError::from))
    }

    fn at_trap(&self, thread: Pid) -> Result<bool, StrictRunError> {
        match &self.phase {
            Phase::Waiting { trap, .. } => Ok(Registers::of(thread)?.trap() == trap.address()),
            Phase::Starting | Phase::Strict { .. } => Ok(false),
        }
    }

    /// The moment has come.
    fn trapped(&mut self, thread: Pid) -> Result<(), StrictRunError> {
        let phase = std::mem::replace(&mut self.phase, Phase::Strict { thread });
        let Phase::Waiting { image, trap } = phase else { return Ok(()) };
        trap.undo(thread)?;
        let mut registers = Registers::of(thread)?;
        registers.set_counter(trap.address());
        registers.leave_call();
        // The call is made at the entry point, which no thread executes any more.
        let mask = ptrace::block_signals(thread)?;
        let entered = enter_strict(thread, image.entry, registers)?;
        ptrace::set_signal_mask(thread, mask)?;
        registers.set(thread)?;
        entered?;
        self.entered = Some(image.symbol);
        // From here on the program lives on if this process dies.
        ptrace::set_options(thread, ptrace::TRACE_EXIT)?;
        ptrace::cont(thread, 0)?;
        self.release_others(thread)
    }

    /// The other threads are none of ours any more.
    fn release_others(&mut self, strict: Pid) -> Result<(), StrictRunError> {
        for thread in std::mem::take(&mut self.threads) {
            if thread == strict {
                continue;
            }
            let stopped = ptrace::interrupt(thread).and_then(|()| wait(thread));
            let released = stopped.and_then(|status| match Outcome::of(status) {
                Some(_) => Ok(()),
                None => ptrace::detach(thread),
            });
            gone_is_fine(released.map_err(StrictRunError::from))?;
        }
        self.threads = vec![self.leader];
        if strict != self.leader {
            self.threads.push(strict);
        }
        Ok(())
    }
}

/// Makes the thread call seccomp(2); the inner result is the kernel's answer.
fn enter_strict(
    thread: Pid,
    place: u64,
    mut registers: Registers,
) -> Result<Result<(), Kind>, StrictRunError> {
    let number = u64::try_from(libc::SYS_seccomp).unwrap_or(u64::MAX);
    let call = Patch::call(thread, place)?;
    // SECCOMP_SET_MODE_STRICT, no flags, no argument.
    registers.set_call(place, number, [0; 3]);
    registers.set(thread)?;
    loop {
        ptrace::cont(thread, 0)?;
        let status = wait(thread)?;
        if Outcome::of(status).is_some() {
            return Err(Errno(libc::ESRCH).into());
        }
        registers = Registers::of(thread)?;
        if status.as_raw() >> 8 == libc::SIGTRAP && registers.trap() == call.end_of_call() {
            break;
        }
        // A stop from outside: signals proper are blocked meanwhile.
    }
    call.undo(thread)?;
    Ok(registers.result().map(drop).map_err(|errno| {
        let pid = thread.as_raw_nonzero().get();
        let filtered = ThreadStatus::of_process(pid)
            .is_ok_and(|threads| threads.iter().any(|t| t.mode == Some(Mode::Filter)));
        Kind::Strict(StrictError::new(errno, filtered))
    }))
}

/// The call for which strict mode has just ended this thread, which stands before its end.
fn refused(thread: Pid) -> Result<Option<RefusedCall>, StrictRunError> {
    /// The calls that `mode1_syscalls` of `kernel/seccomp.c` has, under either ABI's name.
    const ALLOWED: [&str; 5] = ["read", "write", "exit", "rt_sigreturn", "sigreturn"];
    // The status that wait(2) will show: a bare signal number for a kill.
    if ptrace::event_message(thread)? & 0x7f != u64::try_from(Signal::KILL.0).unwrap_or(0) {
        return Ok(None);
    }
    let registers = Registers::of(thread)?;
    let arch = ptrace::architecture(thread).map(Architecture).ok();
    let arch = arch.or_else(|| Abi::native().map(Abi::audit)).unwrap_or(Architecture(0));
    let nr = SyscallNr(registers.number_inside());
    // A SIGKILL from somebody else finds the thread in no call, or in one that is allowed.
    let allowed = Abi::ALL
        .iter()
        .filter(|abi| abi.audit() == arch)
        .any(|abi| ALLOWED.iter().any(|name| abi.number(name) == Some(nr)));
    let call =
        RefusedCall { arch, nr, args: registers.args(), instruction_pointer: registers.counter() };
    Ok((nr != SyscallNr::SKIP && !allowed).then_some(call))
}

/// Waits for one stop, or the end, of a thread.
fn wait(thread: Pid) -> Result<WaitStatus, Errno> {
    loop {
        match waitpid(Some(thread), ALL_KINDS) {
            Ok(Some((_, status))) => return Ok(status),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// A SIGKILL ends a tracee at any time, and requests to it then fail with ESRCH; its end is told
/// by the next wait.
fn gone_is_fine(result: Result<(), StrictRunError>) -> Result<(), StrictRunError> {
    match result {
        Err(StrictRunError { kind: Kind::Trace(Errno(libc::ESRCH)) }) => Ok(()),
        other => other,
    }
}
