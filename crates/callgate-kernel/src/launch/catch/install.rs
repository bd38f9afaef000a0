//! A call that loads a filter: what it asks for, and what came of it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use callgate_bpf::{Architecture, ByteOrder, Instruction, SyscallNr};
use callgate_syscalls::{Abi, from_audit};

use super::{LoadCall, LoadFlags};
use crate::load::{FLAG_NEW_LISTENER, FLAG_TSYNC, FLAG_TSYNC_ESRCH};
use crate::ptrace::Entry;
use crate::status::ThreadStatus;

/// A call that has begun.
pub(super) struct Install {
    pub(super) arch: Architecture,
    pub(super) call: LoadCall,
    pub(super) flags: LoadFlags,
    /// What it points to; `None` where that cannot be read, by the kernel neither.
    pub(super) instructions: Option<Vec<Instruction>>,
    /// How many filters the thread has, where `/proc` tells.
    before: Option<u32>,
}

const PR_SET_SECCOMP: u32 = 22;
const SECCOMP_MODE_FILTER: u64 = 2;
const SECCOMP_SET_MODE_FILTER: u32 = 1;

/// `__AUDIT_ARCH_64BIT` of `linux/audit.h`.
const WIDE: u32 = 0x8000_0000;

impl Install {
    /// The load that a call of this thread asks for, if it is one.
    pub(super) fn of(tid: i32, entry: &Entry) -> Option<Install> {
        let arch = Architecture(entry.arch);
        let nr = SyscallNr(low(entry.nr));
        let mut abis = from_audit(arch);
        let (abi, call) = abis.find_map(|abi| Some((abi, call_of(abi, nr)?)))?;
        // The kernel's entry of a 32-bit call takes the low halves of the registers.
        let argument = |index: usize| {
            let value = entry.args[index];
            if entry.arch & WIDE == 0 { u64::from(low(value)) } else { value }
        };
        let (wanted, flags) = match call {
            LoadCall::Prctl => {
                (low(argument(0)) == PR_SET_SECCOMP && argument(1) == SECCOMP_MODE_FILTER, 0)
            }
            LoadCall::Seccomp => (low(argument(0)) == SECCOMP_SET_MODE_FILTER, low(argument(1))),
        };
        wanted.then(|| Install {
            arch,
            call,
            flags: LoadFlags(flags),
            // x32 has the structure of a 32-bit ABI, behind a full register.
            instructions: read_program(tid, argument(2), abi.arg_bits() == 32).ok(),
            before: filters(tid),
        })
    }

    /// Whether the call that returned `result` has loaded the filter.
    ///
    /// The kernel returns 0, or with NEW_LISTENER a descriptor; with TSYNC alone a positive result
    /// is the thread that stood in the way. A filter that answers the call itself, with ERRNO 0
    /// or through its listener, can return what it likes, so the thread's filters are counted.
    pub(super) fn succeeded(&self, tid: i32, result: i64) -> bool {
        let thread_in_the_way =
            self.flags.has(FLAG_TSYNC) && !self.flags.has(FLAG_TSYNC_ESRCH) && result > 0;
        let more = match (self.before, filters(tid)) {
            (Some(before), Some(after)) => after > before,
            _ => true,
        };
        result >= 0 && !thread_in_the_way && more
    }

    /// The listener's number.
    pub(super) fn listener(&self, result: i64) -> Option<i32> {
        self.flags.has(FLAG_NEW_LISTENER).then(|| i32::try_from(result).ok()).flatten()
    }
}

fn call_of(abi: Abi, nr: SyscallNr) -> Option<LoadCall> {
    if abi.number("seccomp") == Some(nr) {
        Some(LoadCall::Seccomp)
    } else if abi.number("prctl") == Some(nr) {
        Some(LoadCall::Prctl)
    } else {
        None
    }
}

fn filters(tid: i32) -> Option<u32> {
    ThreadStatus::of_thread(tid).ok()?.filters
}

/// The program behind a `struct sock_fprog` in the memory of a traced thread.
fn read_program(tid: i32, address: u64, narrow: bool) -> io::Result<Vec<Instruction>> {
    let memory = File::open(format!("/proc/{tid}/mem"))?;
    let mut header = [0; 16];
    // 2 bytes of length, padding to the pointer's width, the pointer.
    let header = if narrow { &mut header[..8] } else { &mut header[..] };
    memory.read_exact_at(header, address)?;
    let length = u16::from_ne_bytes([header[0], header[1]]);
    let start = match header {
        [.., a, b, c, d] if narrow => u64::from(u32::from_ne_bytes([*a, *b, *c, *d])),
        [.., a, b, c, d, e, f, g, h] => u64::from_ne_bytes([*a, *b, *c, *d, *e, *f, *g, *h]),
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    let mut bytes = vec![0; usize::from(length) * 8];
    memory.read_exact_at(&mut bytes, start)?;
    let (instructions, _) = bytes.as_chunks::<8>();
    Ok(instructions.iter().map(|&i| Instruction::from_bytes(i, ByteOrder::NATIVE)).collect())
}

/// The low half of a register.
fn low(value: u64) -> u32 {
    let [_, _, _, _, a, b, c, d] = value.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}
