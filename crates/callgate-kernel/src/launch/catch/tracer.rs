//! The tracer: follows every thread, and stops it before and after each system call.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal as Kill, WaitOptions, WaitStatus, kill_process, wait, waitpid};

use super::install::Install;
use super::{CatchError, CatchFinished, CaughtFilter, CrossCheck, Kind};
use crate::dump::{DumpError, DumpedFilter, may_read, read_stopped};
use crate::errno::Errno;
use crate::launch::signals::stop_with;
use crate::load::FLAG_LOG;
use crate::outcome::Outcome;
use crate::ptrace::{self, Step};

/// What a tracee tells of, and that what it starts is traced too.
pub(super) const OPTIONS: usize = ptrace::TRACE_SYSGOOD
    | ptrace::TRACE_EXEC
    | ptrace::TRACE_CLONE
    | ptrace::TRACE_FORK
    | ptrace::TRACE_VFORK;

/// `__WALL` of wait(2): threads of a tracee too, which are nobody's children.
const ALL_KINDS: WaitOptions = WaitOptions::from_bits_retain(0x4000_0000);

/// `__WNOTHREAD`: not the children and tracees of this process's other threads.
const OWN: WaitOptions = WaitOptions::from_bits_retain(0x2000_0000);

/// A stop by TRACE_SYSGOOD.
const SYSCALL_STOP: i32 = libc::SIGTRAP | 0x80;

/// The traced threads, of all processes. With the end of the thread that made it the kernel lets go
/// of them, and does not stop them for it.
pub(super) struct Tracer<F> {
    leader: Pid,
    /// Each with the load that it is in.
    threads: BTreeMap<i32, Option<Install>>,
    executed: bool,
    /// Those that stopped before they were announced.
    early: BTreeSet<i32>,
    /// How the command ended.
    outcome: Option<Outcome>,
    caught: F,
    count: usize,
    /// Why the kernel is not asked.
    unchecked: Option<DumpError>,
}

impl<F: FnMut(CaughtFilter)> Tracer<F> {
    pub(super) fn new(leader: Pid, caught: F) -> Tracer<F> {
        Tracer {
            leader,
            threads: BTreeMap::from([(number(leader), None)]),
            early: BTreeSet::new(),
            executed: false,
            outcome: None,
            caught,
            count: 0,
            unchecked: may_read().err(),
        }
    }

    /// Ends the command and waits for it, after an error.
    pub(super) fn kill(&self) {
        if self.has_ended() {
            return;
        }
        // A child that is not reaped is there to be killed; nothing can be done if not.
        let _ = kill_process(self.leader, Kill::KILL);
        loop {
            match waitpid(Some(self.leader), WaitOptions::NOHANG | ALL_KINDS) {
                Ok(Some((_, status))) if Outcome::of(status).is_none() => {
                    let _ = ptrace::cont(self.leader, 0);
                }
                Ok(Some(_)) | Err(rustix::io::Errno::CHILD) => return,
                _ => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Whether the command was executed.
    pub(super) fn has_executed(&self) -> bool {
        self.executed
    }

    /// Handles what has happened to the threads; the result when the command and all others have
    /// ended, or the command has and `end` asks not to wait for the others.
    pub(super) fn look(&mut self, end: bool) -> Result<Option<CatchFinished>, CatchError> {
        loop {
            // Nobody else is waited for: this thread has no children, and traces these alone.
            match wait(WaitOptions::NOHANG | ALL_KINDS | OWN) {
                Ok(Some((thread, status))) => match Outcome::of(status) {
                    Some(outcome) => {
                        if thread == self.leader {
                            self.outcome = Some(outcome);
                        }
                        self.threads.remove(&number(thread));
                    }
                    None => {
                        self.met(thread);
                        gone_is_fine(self.stopped(thread, status))?;
                    }
                },
                Ok(None) | Err(rustix::io::Errno::CHILD) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(Errno::from(errno).into()),
            }
        }
        let Some(outcome) = self.outcome else { return Ok(None) };
        if !self.threads.is_empty() && !end {
            return Ok(None);
        }
        let pid = number(self.leader);
        let released = self.threads.len();
        Ok(Some(CatchFinished { pid, outcome, caught: self.count, released }))
    }

    /// Whether the command has ended: its number may soon be another's.
    pub(super) fn has_ended(&self) -> bool {
        self.outcome.is_some()
    }

    /// A thread that stops may not have been announced yet by the one that started it.
    fn met(&mut self, thread: Pid) {
        let tid = number(thread);
        if let Entry::Vacant(place) = self.threads.entry(tid) {
            place.insert(None);
            self.early.insert(tid);
        }
    }

    /// A thread is announced; it may have stopped before, and even have ended.
    fn announced(&mut self, tid: i32) {
        if !self.early.remove(&tid) {
            self.threads.entry(tid).or_insert(None);
        }
    }

    /// A thread has stopped; lets it go on unless a signal stopped it for longer.
    fn stopped(&mut self, thread: Pid, status: WaitStatus) -> Result<(), CatchError> {
        let raw = status.as_raw();
        let (signal, event) = (raw >> 8 & 0xff, raw >> 16);
        let tid = number(thread);
        match event {
            0 if signal == SYSCALL_STOP => {
                self.at_call(thread)?;
                ptrace::cont_to_call(thread, 0)?;
            }
            0 => ptrace::cont_to_call(thread, signal)?,
            ptrace::EVENT_EXEC => {
                self.executed = true;
                // The thread goes by the process's number now, whatever its own was.
                if let Ok(former) = i32::try_from(ptrace::event_message(thread)?)
                    && former != tid
                {
                    self.threads.remove(&former);
                }
                self.threads.insert(tid, None);
                ptrace::cont_to_call(thread, 0)?;
            }
            ptrace::EVENT_CLONE | ptrace::EVENT_FORK | ptrace::EVENT_VFORK => {
                if let Ok(new) = i32::try_from(ptrace::event_message(thread)?) {
                    self.announced(new);
                }
                ptrace::cont_to_call(thread, 0)?;
            }
            ptrace::EVENT_STOP if signal != libc::SIGTRAP => {
                ptrace::listen(thread)?;
                if thread == self.leader {
                    stop_with(signal)?;
                }
            }
            _ => ptrace::cont_to_call(thread, 0)?,
        }
        Ok(())
    }

    /// A thread stands before or after a system call.
    fn at_call(&mut self, thread: Pid) -> Result<(), CatchError> {
        let tid = number(thread);
        let step = ptrace::step(thread).map_err(|errno| match errno.0 {
            libc::EIO => CatchError::from(Kind::Unsupported),
            _ => errno.into(),
        })?;
        match step {
            Step::Entry(entry) => {
                let install = Install::of(tid, &entry);
                self.threads.insert(tid, install);
            }
            Step::Exit(result) => {
                let install = self.threads.get_mut(&tid).and_then(Option::take);
                if let Some(install) = install
                    && install.succeeded(tid, result)
                {
                    self.loaded(thread, install, result);
                }
            }
            Step::Other => {}
        }
        Ok(())
    }

    fn loaded(&mut self, thread: Pid, install: Install, result: i64) {
        let tid = number(thread);
        let listener = install.listener(result);
        let (instructions, check) = self.cross_check(thread, &install);
        self.count += 1;
        let filter = CaughtFilter {
            order: self.count,
            pid: process_of(tid).unwrap_or(tid),
            tid,
            executable: fs::read_link(format!("/proc/{tid}/exe")).ok(),
            arch: install.arch,
            call: install.call,
            flags: install.flags,
            listener,
            instructions,
            check,
        };
        (self.caught)(filter);
    }

    /// The program that counts, and how the kernel's compares to the one in memory.
    fn cross_check(
        &self,
        thread: Pid,
        install: &Install,
    ) -> (Vec<callgate_bpf::Instruction>, CrossCheck) {
        let in_memory = || install.instructions.clone().unwrap_or_default();
        if let Some(reason) = &self.unchecked {
            return (in_memory(), CrossCheck::Unchecked(reason.clone()));
        }
        let filters = match read_stopped(thread) {
            Ok(filters) => filters,
            Err(reason) => return (in_memory(), CrossCheck::Unchecked(reason)),
        };
        let same = |filter: &DumpedFilter| {
            Some(&filter.instructions) == install.instructions.as_ref()
                && filter.log.is_none_or(|log| log == install.flags.has(FLAG_LOG))
        };
        // The newest, unless another thread has put its own on top meanwhile (TSYNC).
        match filters.iter().rev().find(|filter| same(filter)) {
            Some(filter) => (filter.instructions.clone(), CrossCheck::Same),
            None => {
                let newest = filters.into_iter().next_back();
                (newest.map_or_else(in_memory, |filter| filter.instructions), CrossCheck::Differs)
            }
        }
    }
}

fn number(thread: Pid) -> i32 {
    thread.as_raw_nonzero().get()
}

/// The process that a thread belongs to.
fn process_of(tid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok())
}

/// A SIGKILL ends a tracee at any time, and requests to it then fail with ESRCH; its end is told
/// by the next wait.
fn gone_is_fine(result: Result<(), CatchError>) -> Result<(), CatchError> {
    match result {
        Err(CatchError { kind: Kind::Trace(Errno(libc::ESRCH)) }) => Ok(()),
        other => other,
    }
}
