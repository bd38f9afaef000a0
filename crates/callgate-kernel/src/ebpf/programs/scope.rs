//! Whether a task is one of those that are recorded, and what it executes.

use super::super::assembler::{
    Alu, Assembler, FRAME, Helper, Label, R0, R1, R2, R3, R4, R6, R8, R9, Register, When, Width,
};
use super::{Plan, stack, storage};

/// `PF_FORKNOEXEC` of `linux/sched.h`: forked, and nothing executed yet.
const FORK_NO_EXEC: i32 = 0x40;
/// `BPF_LOCAL_STORAGE_GET_F_CREATE` of `linux/bpf.h`.
const CREATE: i32 = 1;

/// Where to go on for a task that is not recorded.
#[derive(Clone, Copy)]
pub(super) struct Outside {
    /// It is not yet.
    pub(super) now: Label,
    /// It is none of those that are, as long as its address space and cgroups stay.
    pub(super) ever: Label,
}

impl Plan<'_> {
    /// R6 = the running task. Then goes on elsewhere unless the task is recorded; here R9 = the
    /// number of its executable, R0 = its storage, or 0 where the kernel had no memory for it, and
    /// R7 and R8 are as before.
    ///
    /// What was found out is kept in the task's storage, and holds as long as the task has the same
    /// address space, which exec changes, and the same set of cgroups.
    pub(super) fn resolve(&self, a: &mut Assembler, outside: Outside) {
        let [unknown, stale, found] = [(); 3].map(|()| a.label());
        a.call(Helper::CurrentTask);
        a.set(R6, R0);
        self.storage_of(a, 0);
        a.jump_if(When::Equal, R0, 0, unknown);
        a.load(Width::Double, R1, R0, storage::MM);
        a.load(Width::Double, R2, R6, self.layout.task.mm);
        a.jump_if(When::NotEqual, R1, R2, stale);
        if self.maps.cgroup.is_some() {
            a.load(Width::Double, R1, R0, storage::CGROUPS);
            a.load(Width::Double, R2, R6, self.layout.task.cgroups);
            a.jump_if(When::NotEqual, R1, R2, stale);
        }
        a.load(Width::Word, R9, R0, storage::EXECUTABLE);
        a.jump(found);

        let inside = a.label();
        match &self.maps.cgroup {
            Some(cgroup) => {
                a.place(unknown);
                a.place(stale);
                a.map(R1, cgroup);
                a.set(R2, 0);
                a.call(Helper::CurrentUnderCgroup);
                a.jump_if(When::NotEqual, R0, 1, outside.ever);
            }
            None => {
                // A task with storage is in the tree, whatever it executes.
                a.place(stale);
                a.jump(inside);
                a.place(unknown);
                self.root(a);
                a.jump_if(When::Equal, R0, 0, outside.ever);
            }
        }
        if let Some(launched) = self.launched {
            self.before_exec(a, launched, inside, outside.now);
        }
        a.place(inside);
        self.executable(a);
        let unfiltered = a.label();
        a.load(Width::Word, R1, R6, self.layout.task.seccomp_mode);
        a.jump_if(When::Equal, R1, 0, unfiltered);
        self.filters(a);
        a.place(unfiltered);
        self.storage_of(a, CREATE);
        a.jump_if(When::Equal, R0, 0, found);
        self.remember(a);
        a.place(found);
    }

    /// R0 = the storage of task R6, or 0.
    pub(super) fn storage_of(&self, a: &mut Assembler, flags: i32) {
        a.map(R1, &self.maps.storage);
        a.set(R2, R6);
        a.set(R3, 0);
        a.set(R4, flags);
        a.call(Helper::TaskStorageGet);
    }

    /// Keeps in storage R0 what is known of task R6.
    pub(super) fn remember(&self, a: &mut Assembler) {
        a.load(Width::Double, R1, R6, self.layout.task.mm);
        a.store(Width::Double, R0, storage::MM, R1);
        a.load(Width::Double, R1, R6, self.layout.task.cgroups);
        a.store(Width::Double, R0, storage::CGROUPS, R1);
        a.store(Width::Word, R0, storage::EXECUTABLE, R9);
    }

    /// R0 is not 0 where the process of task R6 is one that was put into the tree by name.
    pub(super) fn root(&self, a: &mut Assembler) {
        a.load(Width::Word, R1, R6, self.layout.task.process);
        a.store(Width::Word, FRAME, stack::KEY, R1);
        a.map(R1, &self.maps.roots);
        a.set(R2, FRAME);
        a.alu(Alu::Add, R2, i32::from(stack::KEY));
        a.call(Helper::MapLookup);
    }

    /// Goes on elsewhere unless `task` is of the process that was launched, and that has executed
    /// nothing yet. R1 is lost.
    pub(super) fn unless_before_exec(
        &self,
        a: &mut Assembler,
        task: Register,
        launched: u32,
        elsewhere: Label,
    ) {
        a.load(Width::Word, R1, task, self.layout.task.process);
        a.jump_if(When::NotEqual, R1, launched.cast_signed(), elsewhere);
        // Threads that are started after the exec have the flag too, the first one has not.
        a.load(Width::Double, R1, task, self.layout.task.leader);
        a.load(Width::Word, R1, R1, self.layout.task.flags);
        a.alu(Alu::And, R1, FORK_NO_EXEC);
        a.jump_if(When::Equal, R1, 0, elsewhere);
    }

    /// Of the process that was launched, before it executes the command: only its exec counts, as
    /// the rest is the doing of who launched it.
    fn before_exec(&self, a: &mut Assembler, launched: u32, inside: Label, outside: Label) {
        self.unless_before_exec(a, R6, launched, inside);
        a.low_half(R1, R8);
        for exec in EXEC {
            a.jump_if(When::Equal, R1, exec, inside);
        }
        a.jump(outside);
    }
}

/// `execve` and `execveat` of x86_64.
const EXEC: [i32; 2] = [59, 322];
