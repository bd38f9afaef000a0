//! ptrace(2), as far as it is needed here. Every call must come from the thread that seized.
//!
//! # Safety
//!
//! A tracee is another process, so no request can touch this one's memory but those that fill a
//! buffer, which each name with its size.
#![allow(unsafe_code)]

pub(crate) mod machine;

use std::ffi::c_long;
use std::ptr;

use callgate_bpf::{Instruction, SeccompData};
use rustix::process::Pid;

use crate::errno::Errno;

// Requests of `linux/ptrace.h`.
const PTRACE_PEEKDATA: c_long = 2;
const PTRACE_POKEDATA: c_long = 5;
const PTRACE_CONT: c_long = 7;
const PTRACE_DETACH: c_long = 17;
const PTRACE_SYSCALL: c_long = 24;
const PTRACE_SETOPTIONS: c_long = 0x4200;
const PTRACE_GETEVENTMSG: c_long = 0x4201;
const PTRACE_SETSIGINFO: c_long = 0x4203;
const PTRACE_GETREGSET: c_long = 0x4204;
const PTRACE_SETREGSET: c_long = 0x4205;
const PTRACE_SEIZE: c_long = 0x4206;
const PTRACE_INTERRUPT: c_long = 0x4207;
const PTRACE_LISTEN: c_long = 0x4208;
const PTRACE_GETSIGMASK: c_long = 0x420a;
const PTRACE_SETSIGMASK: c_long = 0x420b;
const PTRACE_SECCOMP_GET_FILTER: c_long = 0x420c;
const PTRACE_SECCOMP_GET_METADATA: c_long = 0x420d;
const PTRACE_GET_SYSCALL_INFO: c_long = 0x420e;

/// `NT_PRSTATUS` of `linux/elf.h`: the general registers.
const NT_PRSTATUS: usize = 1;

// Options.
pub(crate) const TRACE_SYSGOOD: usize = 0x1;
pub(crate) const TRACE_FORK: usize = 0x2;
pub(crate) const TRACE_VFORK: usize = 0x4;
pub(crate) const TRACE_CLONE: usize = 0x8;
pub(crate) const TRACE_EXEC: usize = 0x10;
pub(crate) const TRACE_EXIT: usize = 0x40;
pub(crate) const EXIT_KILL: usize = 0x0010_0000;

// Events: the third byte of a stop's wait status.
pub(crate) const EVENT_FORK: i32 = 1;
pub(crate) const EVENT_VFORK: i32 = 2;
pub(crate) const EVENT_CLONE: i32 = 3;
pub(crate) const EVENT_EXEC: i32 = 4;
pub(crate) const EVENT_EXIT: i32 = 6;
pub(crate) const EVENT_STOP: i32 = 128;

/// Attaches without stopping; the process must be stopped already, or be stopped by an event.
pub(crate) fn seize(pid: Pid, options: usize) -> Result<(), Errno> {
    request(PTRACE_SEIZE, pid, 0, options).map(drop)
}

/// Lets a stopped tracee go on, with a signal unless 0.
pub(crate) fn cont(pid: Pid, signal: i32) -> Result<(), Errno> {
    request(PTRACE_CONT, pid, 0, usize::try_from(signal).unwrap_or(0)).map(drop)
}

/// Lets a stopped tracee go on to the next beginning or end of a system call, with a signal
/// unless 0.
pub(crate) fn cont_to_call(pid: Pid, signal: i32) -> Result<(), Errno> {
    request(PTRACE_SYSCALL, pid, 0, usize::try_from(signal).unwrap_or(0)).map(drop)
}

/// Leaves a tracee in its group stop, until SIGCONT.
pub(crate) fn listen(pid: Pid) -> Result<(), Errno> {
    request(PTRACE_LISTEN, pid, 0, 0).map(drop)
}

/// Stops a running tracee.
pub(crate) fn interrupt(pid: Pid) -> Result<(), Errno> {
    request(PTRACE_INTERRUPT, pid, 0, 0).map(drop)
}

/// Blocks all signals of the tracee but SIGTRAP, whose default action would otherwise be forced;
/// the mask before is the result.
pub(crate) fn block_signals(pid: Pid) -> Result<u64, Errno> {
    let mut mask: u64 = 0;
    // SAFETY: the third argument is the size of a kernel signal set, which the kernel writes.
    unsafe { call(PTRACE_GETSIGMASK, pid, size_of::<u64>(), ptr::from_mut(&mut mask).cast()) }?;
    set_signal_mask(pid, !(1 << (libc::SIGTRAP - 1)))?;
    Ok(mask)
}

/// Sets the mask of blocked signals, bit n-1 for signal n.
pub(crate) fn set_signal_mask(pid: Pid, mut mask: u64) -> Result<(), Errno> {
    // SAFETY: the third argument is the size of a kernel signal set, which the kernel reads.
    unsafe { call(PTRACE_SETSIGMASK, pid, size_of::<u64>(), ptr::from_mut(&mut mask).cast()) }
        .map(drop)
}

/// Lets go of a stopped tracee.
pub(crate) fn detach(pid: Pid) -> Result<(), Errno> {
    detach_with(pid, 0)
}

/// Lets go of a stopped tracee, with a signal unless 0.
pub(crate) fn detach_with(pid: Pid, signal: i32) -> Result<(), Errno> {
    request(PTRACE_DETACH, pid, 0, usize::try_from(signal).unwrap_or(0)).map(drop)
}

pub(crate) fn set_options(pid: Pid, options: usize) -> Result<(), Errno> {
    request(PTRACE_SETOPTIONS, pid, 0, options).map(drop)
}

/// What an event is about: a new thread, or an exit status.
pub(crate) fn event_message(pid: Pid) -> Result<u64, Errno> {
    let mut message: libc::c_ulong = 0;
    // SAFETY: the kernel writes one unsigned long.
    unsafe { call(PTRACE_GETEVENTMSG, pid, 0, ptr::from_mut(&mut message).cast()) }?;
    #[allow(clippy::useless_conversion, reason = "c_ulong is 32 bits wide on 32-bit targets")]
    Ok(u64::from(message))
}

/// One word of the tracee's memory.
pub(crate) fn peek(pid: Pid, address: usize) -> Result<usize, Errno> {
    let mut word: usize = 0;
    // SAFETY: the system call, unlike the C function, writes the word to the fourth argument.
    unsafe { call(PTRACE_PEEKDATA, pid, address, ptr::from_mut(&mut word).cast()) }?;
    Ok(word)
}

/// Writes one word of the tracee's memory, also where the tracee may only execute.
pub(crate) fn poke(pid: Pid, address: usize, word: usize) -> Result<(), Errno> {
    request(PTRACE_POKEDATA, pid, address, word).map(drop)
}

/// The general registers, `N` words of 64 bits; fewer or more than the machine has is an error.
pub(crate) fn registers<const N: usize>(pid: Pid) -> Result<[u64; N], Errno> {
    let mut registers = [0u64; N];
    let mut vector =
        libc::iovec { iov_base: registers.as_mut_ptr().cast(), iov_len: size_of::<[u64; N]>() };
    // SAFETY: the vector describes `registers`, which outlives the call.
    unsafe { call(PTRACE_GETREGSET, pid, NT_PRSTATUS, ptr::from_mut(&mut vector).cast()) }?;
    if vector.iov_len == size_of::<[u64; N]>() { Ok(registers) } else { Err(Errno(libc::EIO)) }
}

pub(crate) fn set_registers<const N: usize>(pid: Pid, registers: &[u64; N]) -> Result<(), Errno> {
    let mut vector = libc::iovec {
        iov_base: registers.as_ptr().cast_mut().cast(),
        iov_len: size_of::<[u64; N]>(),
    };
    // SAFETY: the vector describes `registers`, which the kernel only reads.
    unsafe { call(PTRACE_SETREGSET, pid, NT_PRSTATUS, ptr::from_mut(&mut vector).cast()) }.map(drop)
}

/// Makes the SIGSYS that the tracee has stopped for the one of a filter's trap: `si_call_addr`,
/// `si_syscall`, `si_arch` and the filter's data as `si_errno` (`sigaction(2)`).
pub(crate) fn set_trap_info(pid: Pid, data: u16, call: &SeccompData) -> Result<(), Errno> {
    /// SYS_SECCOMP of `asm-generic/siginfo.h`.
    const SYS_SECCOMP: i32 = 1;
    /// `siginfo_t` on 64-bit machines; it has 128 bytes.
    #[repr(C)]
    struct Info {
        signal: i32,
        error: i32,
        code: i32,
        gap: u32,
        address: u64,
        syscall: u32,
        arch: u32,
        rest: [u64; 12],
    }
    const { assert!(size_of::<Info>() == 128) };
    let mut info = Info {
        signal: libc::SIGSYS,
        error: i32::from(data),
        code: SYS_SECCOMP,
        gap: 0,
        address: call.instruction_pointer,
        syscall: call.nr.0,
        arch: call.arch.0,
        rest: [0; 12],
    };
    // SAFETY: the kernel reads a `siginfo_t`, whose size `info` has.
    unsafe { self::call(PTRACE_SETSIGINFO, pid, 0, ptr::from_mut(&mut info).cast()) }.map(drop)
}

/// How many instructions the tracee's filter `index` has, oldest first.
pub(crate) fn filter_length(pid: Pid, index: usize) -> Result<i64, Errno> {
    // A null buffer asks for the length.
    request(PTRACE_SECCOMP_GET_FILTER, pid, index, 0)
}

/// The program of the tracee's filter `index`, oldest first.
pub(crate) fn filter(pid: Pid, index: usize) -> Result<Vec<Instruction>, Errno> {
    let length = usize::try_from(filter_length(pid, index)?).map_err(|_| Errno(libc::EIO))?;
    let empty = libc::sock_filter { code: 0, jt: 0, jf: 0, k: 0 };
    let mut program = vec![empty; length];
    // SAFETY: the kernel writes all instructions of the filter: as many as it has just said, since
    // a filter never changes, and where `index` counts from the oldest it stays that filter's.
    unsafe { call(PTRACE_SECCOMP_GET_FILTER, pid, index, program.as_mut_ptr().cast()) }?;
    let ours = |i: &libc::sock_filter| Instruction { code: i.code, jt: i.jt, jf: i.jf, k: i.k };
    Ok(program.iter().map(ours).collect())
}

/// The flags of the tracee's filter `index`, oldest first, that the kernel tells: LOG alone
/// (Linux 4.16).
pub(crate) fn filter_flags(pid: Pid, index: usize) -> Result<u64, Errno> {
    // `struct seccomp_metadata`: the index going in, the flags coming out.
    let mut metadata = [u64::try_from(index).unwrap_or(u64::MAX), 0];
    let size = size_of_val(&metadata);
    // SAFETY: the third argument is the size of the buffer, beyond which the kernel touches
    // nothing.
    unsafe { call(PTRACE_SECCOMP_GET_METADATA, pid, size, ptr::from_mut(&mut metadata).cast()) }?;
    Ok(metadata[1])
}

/// A system call that a tracee stands before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The audit architecture of the call's own ABI.
    pub(crate) arch: u32,
    pub(crate) nr: u64,
    /// The registers, whatever their width in that ABI.
    pub(crate) args: [u64; 6],
}

/// Where a tracee stands in a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Entry(Entry),
    /// What it returned; an error number is negative.
    Exit(i64),
    /// It stopped for something else.
    Other,
}

/// Where the tracee stands (Linux 5.3).
pub(crate) fn step(pid: Pid) -> Result<Step, Errno> {
    // `struct ptrace_syscall_info`: op in the first byte, arch in bytes 4 to 7; two addresses; then
    // number and arguments, or the result.
    let mut info = [0u64; 11];
    // SAFETY: the third argument is the size of the buffer, beyond which the kernel writes nothing.
    unsafe {
        call(PTRACE_GET_SYSCALL_INFO, pid, size_of_val(&info), ptr::from_mut(&mut info).cast())
    }?;
    let [first, _, _, nr, a, b, c, d, e, f, _] = info;
    let [op, _, _, _, arch @ ..] = first.to_ne_bytes();
    Ok(match op {
        1 => Step::Entry(Entry { arch: u32::from_ne_bytes(arch), nr, args: [a, b, c, d, e, f] }),
        2 => Step::Exit(nr.cast_signed()),
        _ => Step::Other,
    })
}

/// The audit architecture of the ABI that the tracee is in (Linux 5.3).
pub(crate) fn architecture(pid: Pid) -> Result<u32, Errno> {
    // The start of `struct ptrace_syscall_info`: op, padding, flags; arch.
    let mut info = [0u32; 2];
    // SAFETY: the third argument is the size of the buffer, beyond which the kernel writes nothing.
    unsafe {
        call(PTRACE_GET_SYSCALL_INFO, pid, size_of_val(&info), ptr::from_mut(&mut info).cast())
    }?;
    Ok(info[1])
}

fn request(request: c_long, pid: Pid, address: usize, data: usize) -> Result<i64, Errno> {
    // SAFETY: the requests that come here take numbers: options, a signal, a word, or null.
    unsafe { call(request, pid, address, ptr::without_provenance_mut(data)) }
}

/// # Safety
///
/// `data` must be what `request` expects: a number in a pointer's clothes, or a buffer.
unsafe fn call(
    request: c_long,
    pid: Pid,
    address: usize,
    data: *mut libc::c_void,
) -> Result<i64, Errno> {
    let pid = c_long::from(pid.as_raw_nonzero().get());
    // SAFETY: as the caller promises.
    let result = unsafe { libc::syscall(libc::SYS_ptrace, request, pid, address, data) };
    if result == -1 {
        return Err(Errno::last());
    }
    #[allow(clippy::useless_conversion, reason = "c_long is 32 bits wide on 32-bit targets")]
    Ok(i64::from(result))
}
