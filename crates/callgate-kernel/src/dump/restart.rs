//! Keeping a thread alive whose own filters would end it for having been stopped.
//!
//! A call with a timeout (`nanosleep`, `poll`, `futex` and others) that is interrupted by a stop
//! goes on by way of `restart_syscall(2)`, which the program never wrote and its filter may
//! refuse. Such a call is made to begin again instead, with its whole timeout.

use callgate_bpf::{
    Architecture, ByteOrder, Layout, Program, SeccompData, ShiftRule, Stack, SyscallNr,
};
use callgate_syscalls::from_audit;
use rustix::process::Pid;

use super::DumpedFilter;
use crate::errno::Errno;
use crate::ptrace;

// Results that the kernel keeps to itself (`include/linux/errno.h`), as the register has them.
const ERESTARTNOHAND: u64 = 514_u64.wrapping_neg();
const ERESTART_RESTARTBLOCK: u64 = 516_u64.wrapping_neg();

// The fields of x86_64's `struct user_regs_struct` (`sys/user.h`).
const WORDS: usize = 27;
const RAX: usize = 10;
const ORIG_RAX: usize = 15;
const RIP: usize = 16;
const ARGS: [usize; 6] = [14, 13, 12, 7, 9, 8];

/// Where the thread stands in a call that would go on by `restart_syscall`, and these filters
/// refuse that, makes it begin again. Only for 64-bit programs on x86_64: elsewhere the register
/// that decides is not the tracer's to set, or nobody needs it.
///
/// # Errors
///
/// A thread that has been killed meanwhile; nothing needs to be done then.
pub(super) fn spare(pid: Pid, filters: &[DumpedFilter]) -> Result<(), Errno> {
    if !cfg!(target_arch = "x86_64") {
        return Ok(());
    }
    let mut registers: [u64; WORDS] = match ptrace::registers(pid) {
        Ok(registers) => registers,
        // A 32-bit program has others.
        Err(Errno(libc::EIO)) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    if registers[RAX] != ERESTART_RESTARTBLOCK {
        return Ok(());
    }
    let arch = Architecture(ptrace::architecture(pid)?);
    if !permits_restart(filters, arch, &registers) {
        // Begins again where no handler runs, and none does: there is no signal.
        registers[RAX] = ERESTARTNOHAND;
        ptrace::set_registers(pid, &registers)?;
    }
    Ok(())
}

/// Whether the filters, oldest first, let the thread call `restart_syscall`.
fn permits_restart(filters: &[DumpedFilter], arch: Architecture, registers: &[u64; WORDS]) -> bool {
    let [_, _, _, _, low @ ..] = registers[ORIG_RAX].to_be_bytes();
    let interrupted = SyscallNr(u32::from_be_bytes(low));
    // The one of the ABIs that the interrupted call was made by: x32 has its own number.
    let abi = from_audit(arch).find(|abi| abi.name_of(interrupted).is_some());
    let Some(restart) = abi.and_then(|abi| abi.number("restart_syscall")) else { return true };
    let mut data = SeccompData::new(arch, restart);
    data.instruction_pointer = registers[RIP];
    data.args = ARGS.map(|register| registers[register]);
    let layout = Layout::seccomp(ByteOrder::NATIVE);
    let programs: Result<Vec<Program>, _> =
        filters.iter().rev().map(|f| Program::new(f.instructions.clone(), layout)).collect();
    // The kernel has validated them.
    let Ok(programs) = programs else { return true };
    let stack: Stack = programs.iter().collect();
    let words = data.words(ByteOrder::NATIVE);
    stack.run(&words, ShiftRule::of_kernel(arch)).action.action().runs_call()
}
