//! A call that is looked at, with the thread that made it: one that waits, or one that has gone on.

use std::{fs, path::PathBuf};

use callgate_bpf::SeccompData;
use callgate_kernel::{Caller, Notification, Text, ebpf::Refused};

/// What can be learnt of a call. Nothing that `/proc` says is told before
/// [`is_still_there`](Subject::is_still_there) has said yes after it was read.
pub trait Subject {
    /// What a filter sees.
    fn data(&self) -> &SeccompData;
    /// The thread; None where it cannot be seen.
    fn thread(&self) -> Option<i32>;
    /// Whether that number still is the thread that called, in the program that called.
    fn is_still_there(&self) -> bool;
    /// The file that called.
    fn executable(&self) -> Option<PathBuf>;
    /// Its process, held.
    fn caller(&self) -> Option<Caller>;
    /// Fills the buffer from its memory, and says how far.
    fn read(&self, address: u64, buffer: &mut [u8]) -> Option<usize>;
    fn read_string(&self, address: u64, limit: usize) -> Option<Text>;
    /// The stack pointer at the call.
    fn stack_pointer(&self) -> Option<u64>;
    /// What lay on the stack at the call.
    fn stack_word(&self, address: u64) -> Option<u64>;
}

impl Subject for Notification<'_> {
    fn data(&self) -> &SeccompData {
        Notification::data(self)
    }

    fn thread(&self) -> Option<i32> {
        Notification::thread(self)
    }

    fn is_still_there(&self) -> bool {
        self.is_waiting()
    }

    fn executable(&self) -> Option<PathBuf> {
        let path = fs::read_link(format!("/proc/{}/exe", self.thread()?)).ok()?;
        self.is_waiting().then_some(path)
    }

    fn caller(&self) -> Option<Caller> {
        Notification::caller(self).ok()
    }

    fn read(&self, address: u64, buffer: &mut [u8]) -> Option<usize> {
        Notification::read(self, address, buffer).ok()
    }

    fn read_string(&self, address: u64, limit: usize) -> Option<Text> {
        Notification::read_string(self, address, limit).ok()
    }

    /// `/proc/PID/syscall` has it before the instruction pointer.
    fn stack_pointer(&self) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/syscall", self.thread()?)).ok()?;
        let pointer = text.split_whitespace().rev().nth(1)?;
        u64::from_str_radix(pointer.strip_prefix("0x")?, 16).ok()
    }

    fn stack_word(&self, address: u64) -> Option<u64> {
        let mut word = [0; 8];
        (self.read(address, &mut word) == Ok(8)).then(|| u64::from_ne_bytes(word))
    }
}

/// A call that has returned: its thread has gone on meanwhile.
pub struct Returned<'r> {
    refused: &'r Refused,
    executable: Option<PathBuf>,
}

impl<'r> Returned<'r> {
    /// The call, and the file that made it, as the kernel has it.
    pub fn new(refused: &'r Refused, executable: Option<PathBuf>) -> Returned<'r> {
        Returned { refused, executable }
    }

    /// What the kernel has read behind an argument.
    fn memory(&self, address: u64) -> Option<&[u8]> {
        let arguments = self.refused.data.args.iter().zip(&self.refused.memory);
        let memory = arguments.filter(|(argument, _)| **argument == address).map(|(_, m)| m);
        memory.map(Vec::as_slice).find(|memory| !memory.is_empty())
    }
}

impl Subject for Returned<'_> {
    fn data(&self) -> &SeccompData {
        &self.refused.data
    }

    fn thread(&self) -> Option<i32> {
        Some(self.refused.thread)
    }

    /// As far as `/proc` tells: a number that is another's by now mostly executes something else.
    fn is_still_there(&self) -> bool {
        let link = fs::read_link(format!("/proc/{}/exe", self.refused.thread)).ok();
        self.executable.is_some() && link == self.executable
    }

    fn executable(&self) -> Option<PathBuf> {
        self.executable.clone()
    }

    fn caller(&self) -> Option<Caller> {
        Caller::hold(self.refused.process).ok().filter(|_| self.is_still_there())
    }

    fn read(&self, address: u64, buffer: &mut [u8]) -> Option<usize> {
        let memory = self.memory(address)?;
        let count = memory.len().min(buffer.len());
        buffer[..count].copy_from_slice(&memory[..count]);
        Some(count)
    }

    fn read_string(&self, address: u64, limit: usize) -> Option<Text> {
        let memory = self.memory(address)?;
        Some(Text::of(&memory[..memory.len().min(limit)]))
    }

    fn stack_pointer(&self) -> Option<u64> {
        Some(self.refused.stack_pointer)
    }

    fn stack_word(&self, address: u64) -> Option<u64> {
        let inside = address.checked_sub(self.refused.stack_pointer)?;
        let index = usize::try_from(inside / 8).ok().filter(|_| inside % 8 == 0)?;
        self.refused.stack.get(index).copied()
    }
}
