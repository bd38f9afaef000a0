//! Verdicts that take a tracer for a moment: a trap as the kernel's own, and the end of one thread.

use callgate_syscalls::Abi;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions, getpid, waitid, waitpid};

use super::process::field;
use super::{Answer, Notification};
use crate::errno::Errno;
use crate::ptrace::machine::{Registers, call_before};
use crate::ptrace::{self, EVENT_STOP};

impl Notification<'_> {
    /// Sends the calling thread the SIGSYS of a filter's trap (SECCOMP_RET_TRAP) with this datum,
    /// and answers the call: the program's handler finds the call's number, place and registers,
    /// as from the kernel. For a program that [handles](Notification::handles_sigsys) it.
    ///
    /// Whether it was told all that: not on a 32-bit machine, nor in a 32-bit program, nor when
    /// another signal stopped it first; it then has a SIGSYS from a process.
    ///
    /// # Errors
    ///
    /// EPERM when this process may not trace that one, or another does; ESRCH when the thread does
    /// not wait any more. Nothing was done then.
    pub fn trap(&self, data: u16) -> Result<bool, Errno> {
        let caller = self.caller()?;
        let traced = self.seize()?;
        let thread = traced.thread;
        self.send_to_thread(&caller)?;
        self.answer(Answer::Errno(Errno::ENOSYS))?;
        while let Some((signal, event)) = traced.next_stop() {
            if event == 0 && signal == libc::SIGSYS {
                let exact = cfg!(target_pointer_width = "64")
                    && ptrace::set_trap_info(thread, data, self.data()).is_ok()
                    && self.roll_back(thread).is_ok();
                // A thread that was killed meanwhile needs no letting go.
                let _ = ptrace::detach_with(thread, signal);
                return Ok(exact);
            }
            if event != 0 {
                let _ = ptrace::detach(thread);
                return Ok(false);
            }
            // A signal that was there before.
            ptrace::cont(thread, signal)?;
        }
        Ok(false)
    }

    /// Ends the calling thread alone, as SECCOMP_RET_KILL_THREAD does in a process that has others:
    /// it is made to call `exit(2)`, which the filters must let it.
    ///
    /// # Errors
    ///
    /// EOPNOTSUPP for another processor than x86_64 and aarch64, a 32-bit program, and a call by
    /// other means than the usual instruction; EPERM and ESRCH as [`Notification::trap`] has them.
    /// Nothing was done then.
    pub fn end_thread(&self) -> Result<(), Errno> {
        self.is_usual_call()?;
        let traced = self.seize()?;
        let thread = traced.thread;
        // It stops when its call returns, before anything else.
        ptrace::interrupt(thread)?;
        self.answer(Answer::Errno(Errno::ENOSYS))?;
        while let Some((signal, event)) = traced.next_stop() {
            if event == EVENT_STOP {
                let done = exit_next(thread);
                let _ = ptrace::detach(thread);
                return done;
            }
            ptrace::cont(thread, signal)?;
        }
        Err(Errno(libc::ESRCH))
    }

    /// Whether the call was made by a 64-bit program's own instruction for it.
    fn is_usual_call(&self) -> Result<(), Errno> {
        let unknown = Errno(libc::EOPNOTSUPP);
        if Abi::native().map(Abi::audit) != Some(self.data().arch) {
            return Err(unknown);
        }
        let (start, instruction) = call_before(self.data().instruction_pointer).ok_or(unknown)?;
        let mut there = vec![0; instruction.len()];
        let count = self.read(start, &mut there)?;
        if there[..count] == *instruction { Ok(()) } else { Err(unknown) }
    }

    fn seize(&self) -> Result<Traced, Errno> {
        let thread = self.thread().and_then(Pid::from_raw).ok_or(Errno(libc::ESRCH))?;
        let status = self.status()?;
        let number = |key| field(&status, key).and_then(|pid| pid.parse().ok());
        let number = |key| number(key).and_then(Pid::from_raw);
        let own_child = number("PPid:") == Some(getpid()) && number("Tgid:") == Some(thread);
        ptrace::seize(thread, 0)?;
        if self.is_waiting() { Ok(Traced { thread, own_child }) } else { Err(Errno(libc::ESRCH)) }
    }

    fn roll_back(&self, thread: Pid) -> Result<(), Errno> {
        let mut registers = Registers::of(thread)?;
        registers.roll_back(self.data().args[0]);
        registers.set(thread)
    }
}

fn exit_next(thread: Pid) -> Result<(), Errno> {
    let mut registers = Registers::of(thread)?;
    registers.set_exit(u64::try_from(libc::SIGSYS).unwrap_or(0));
    registers.set(thread)
}

/// A thread that this one traces.
struct Traced {
    thread: Pid,
    /// Whether this process will be asked for its end, which it must not have taken already.
    own_child: bool,
}

impl Traced {
    /// The signal and the event of the next stop; None when the thread has ended.
    fn next_stop(&self) -> Option<(i32, i32)> {
        /// `__WALL` of wait(2): threads of a tracee too, which are nobody's children.
        const ALL_KINDS: u32 = 0x4000_0000;
        let peek = WaitIdOptions::EXITED
            | WaitIdOptions::STOPPED
            | WaitIdOptions::NOWAIT
            | WaitIdOptions::from_bits_retain(ALL_KINDS);
        loop {
            let ended = match waitid(WaitId::Pid(self.thread), peek) {
                Ok(Some(status)) => !status.stopped() && !status.trapped(),
                Err(rustix::io::Errno::INTR) => continue,
                Ok(None) | Err(_) => return None,
            };
            if ended && self.own_child {
                return None;
            }
            // The parent of another's child is told only after the tracer.
            let all = WaitOptions::from_bits_retain(ALL_KINDS);
            let (_, status) = waitpid(Some(self.thread), all).ok()??;
            let raw = status.as_raw();
            return status.stopped().then_some((raw >> 8 & 0xff, raw >> 16));
        }
    }
}
