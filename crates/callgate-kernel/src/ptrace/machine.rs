//! Registers and instructions of the processors on which a tracee can be made to call.

use rustix::process::Pid;

use crate::errno::Errno;
use crate::ptrace;

/// Whether this build knows its processor.
pub(crate) const SUPPORTED: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

#[cfg(target_arch = "x86_64")]
mod arch {
    /// The fields of `struct user_regs_struct` (`sys/user.h`).
    pub(super) const WORDS: usize = 27;
    pub(super) const PC: usize = 16;
    pub(super) const RESULT: usize = 10;
    /// rdi, rsi, rdx, r10, r8, r9.
    pub(super) const ARGS: [usize; 6] = [14, 13, 12, 7, 9, 8];
    /// rax going in; `orig_rax` once inside.
    pub(super) const NUMBER: usize = RESULT;
    pub(super) const NUMBER_INSIDE: usize = 15;

    /// `int3`.
    pub(super) const TRAP: &[u8] = &[0xcc];
    /// `syscall; int3`.
    pub(super) const CALL: &[u8] = &[0x0f, 0x05, 0xcc];
    /// Bytes of `syscall`.
    pub(super) const CALL_LENGTH: u64 = 2;
    /// How far the counter stands behind the start of a trap that was met.
    pub(super) const PAST_TRAP: u64 = 1;

    /// `rdtsc` and `rdtscp`.
    pub(super) const TIME_STAMP: &[&[u8]] = &[&[0x0f, 0x31], &[0x0f, 0x01, 0xf9]];
}

#[cfg(target_arch = "aarch64")]
mod arch {
    /// `struct user_pt_regs` (`asm/ptrace.h`): x0 to x30, sp, pc, pstate.
    pub(super) const WORDS: usize = 34;
    pub(super) const PC: usize = 32;
    pub(super) const RESULT: usize = 0;
    pub(super) const ARGS: [usize; 6] = [0, 1, 2, 3, 4, 5];
    pub(super) const NUMBER: usize = 8;
    pub(super) const NUMBER_INSIDE: usize = 8;

    /// `brk #0`.
    pub(super) const TRAP: &[u8] = &[0x00, 0x00, 0x20, 0xd4];
    /// `svc #0; brk #0`.
    pub(super) const CALL: &[u8] = &[0x01, 0x00, 0x00, 0xd4, 0x00, 0x00, 0x20, 0xd4];
    pub(super) const CALL_LENGTH: u64 = 4;
    pub(super) const PAST_TRAP: u64 = 0;

    /// Strict mode leaves this processor's counter alone.
    pub(super) const TIME_STAMP: &[&[u8]] = &[];
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod arch {
    pub(super) const WORDS: usize = 1;
    pub(super) const PC: usize = 0;
    pub(super) const RESULT: usize = 0;
    pub(super) const ARGS: [usize; 6] = [0; 6];
    pub(super) const NUMBER: usize = 0;
    pub(super) const NUMBER_INSIDE: usize = 0;
    pub(super) const TRAP: &[u8] = &[];
    pub(super) const CALL: &[u8] = &[];
    pub(super) const CALL_LENGTH: u64 = 0;
    pub(super) const PAST_TRAP: u64 = 0;
    pub(super) const TIME_STAMP: &[&[u8]] = &[];
}

/// The general registers of a stopped tracee.
#[derive(Clone, Copy)]
pub(crate) struct Registers([u64; arch::WORDS]);

impl Registers {
    /// EIO for a tracee of another width, a 32-bit program.
    pub(crate) fn of(thread: Pid) -> Result<Registers, Errno> {
        ptrace::registers(thread).map(Registers)
    }

    pub(crate) fn set(&self, thread: Pid) -> Result<(), Errno> {
        ptrace::set_registers(thread, &self.0)
    }

    pub(crate) fn counter(&self) -> u64 {
        self.0[arch::PC]
    }

    pub(crate) fn set_counter(&mut self, address: u64) {
        self.0[arch::PC] = address;
    }

    /// The start of the trap that the tracee has just met, if it has.
    pub(crate) fn trap(&self) -> u64 {
        self.counter().wrapping_sub(arch::PAST_TRAP)
    }

    /// Prepares a system call at `address`, where [`call`] was written.
    pub(crate) fn set_call(&mut self, address: u64, number: u64, args: [u64; 3]) {
        self.set_counter(address);
        self.0[arch::NUMBER] = number;
        for (register, value) in arch::ARGS.into_iter().zip(args) {
            self.0[register] = value;
        }
        self.leave_call();
    }

    /// Prepares a call of `exit(2)` by the instruction that made the last call, which [`call_before`]
    /// has found.
    pub(crate) fn set_exit(&mut self, status: u64) {
        let start = self.counter().wrapping_sub(arch::CALL_LENGTH);
        let number = u64::try_from(libc::SYS_exit).unwrap_or(u64::MAX);
        self.set_call(start, number, [status, 0, 0]);
    }

    /// Puts back what stood where the result of a call is now: its number, or its first argument.
    pub(crate) fn roll_back(&mut self, first: u64) {
        self.0[arch::RESULT] = match arch::NUMBER == arch::RESULT {
            true => self.0[arch::NUMBER_INSIDE],
            false => first,
        };
    }

    /// Makes the kernel believe in no system call that it could restart.
    pub(crate) fn leave_call(&mut self) {
        if arch::NUMBER_INSIDE != arch::NUMBER {
            self.0[arch::NUMBER_INSIDE] = u64::MAX;
        }
    }

    /// What a system call has returned.
    pub(crate) fn result(&self) -> Result<u64, Errno> {
        let result = self.0[arch::RESULT].cast_signed();
        match i32::try_from(-result) {
            Ok(errno @ 1..=4095) => Err(Errno(errno)),
            _ => Ok(result.cast_unsigned()),
        }
    }

    /// The number of the call that the tracee is in, as a filter would see it. On aarch64 it is
    /// just a register, which means nothing outside a call.
    pub(crate) fn number_inside(&self) -> u32 {
        let [_, _, _, _, a, b, c, d] = self.0[arch::NUMBER_INSIDE].to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    pub(crate) fn args(&self) -> [u64; 6] {
        arch::ARGS.map(|register| self.0[register])
    }
}

/// Bytes of a tracee that were replaced.
pub(crate) struct Patch {
    address: u64,
    original: Vec<u8>,
}

impl Patch {
    /// A trap at `address`.
    pub(crate) fn trap(thread: Pid, address: u64) -> Result<Patch, Errno> {
        Patch::write(thread, address, arch::TRAP)
    }

    /// A system call at `address`, and a trap after it.
    pub(crate) fn call(thread: Pid, address: u64) -> Result<Patch, Errno> {
        Patch::write(thread, address, arch::CALL)
    }

    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    /// Where the trap after the system call stands.
    pub(crate) fn end_of_call(&self) -> u64 {
        self.address + arch::CALL_LENGTH
    }

    /// Puts the original bytes back, in the memory of this thread.
    pub(crate) fn undo(&self, thread: Pid) -> Result<(), Errno> {
        write(thread, self.address, &self.original)
    }

    fn write(thread: Pid, address: u64, bytes: &[u8]) -> Result<Patch, Errno> {
        let original = read(thread, address, bytes.len())?;
        write(thread, address, bytes)?;
        Ok(Patch { address, original })
    }
}

/// Where the instruction of a call begins that ends at this address, and what it must be there;
/// none for a processor that is not known.
pub(crate) fn call_before(counter: u64) -> Option<(u64, &'static [u8])> {
    let length = usize::try_from(arch::CALL_LENGTH).ok()?;
    SUPPORTED.then(|| (counter.wrapping_sub(arch::CALL_LENGTH), &arch::CALL[..length]))
}

/// Whether the tracee stands before an instruction that reads the time-stamp counter.
pub(crate) fn reads_time_stamp(thread: Pid, counter: u64) -> bool {
    arch::TIME_STAMP
        .iter()
        .any(|code| read(thread, counter, code.len()).is_ok_and(|bytes| bytes == **code))
}

fn read(thread: Pid, address: u64, length: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let at = usize::try_from(address).map_err(|_| Errno(libc::EIO))? + bytes.len();
        bytes.extend(ptrace::peek(thread, at)?.to_ne_bytes());
    }
    bytes.truncate(length);
    Ok(bytes)
}

fn write(thread: Pid, address: u64, bytes: &[u8]) -> Result<(), Errno> {
    const WORD: usize = size_of::<usize>();
    for (i, chunk) in bytes.chunks(WORD).enumerate() {
        let at = usize::try_from(address).map_err(|_| Errno(libc::EIO))? + i * WORD;
        let mut word = ptrace::peek(thread, at)?.to_ne_bytes();
        word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        ptrace::poke(thread, at, usize::from_ne_bytes(word))?;
    }
    Ok(())
}
