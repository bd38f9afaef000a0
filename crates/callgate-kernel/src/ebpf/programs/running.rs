//! What runs on each processor, kept so that most calls need not ask.
//!
//! A call of a helper costs as much as all else that is done for a system call, and finding out
//! whose call it is takes two. But it is mostly the task that made the last call on this processor.
//! So a pointer to that task is kept, with what is known of it, and it is still the one that runs
//! when it has the stack on which this call's registers lie: the stack of a task is no other's, and
//! is taken from it when it ends; memory that has become another task's is told by its start.
//!
//! Tasks under a filter go the long way, which keeps count of the calls that they enter.

use super::super::assembler::{
    Alu, Assembler, FRAME, Helper, Label, R0, R1, R2, R6, R7, R9, When, Width,
};
use super::super::map::Map;
use super::{Plan, stack};

/// Of a processor's entry; the first is the pointer to the task.
mod entry {
    pub(super) const TASK: i16 = 0;
    pub(super) const START: i16 = 8;
    pub(super) const MM: i16 = 16;
    pub(super) const CGROUPS: i16 = 24;
    pub(super) const REGISTERS: i16 = 32;
    pub(super) const STACK: i16 = 40;
    pub(super) const EXECUTABLE: i16 = 48;
}

/// In place of an executable: a task that is not recorded.
pub(super) const FOREIGN: i32 = i32::MAX;

/// The size of an entry: the words above, and one that is not used.
pub(in super::super) const ENTRY: u32 = 56;

impl Plan<'_> {
    /// When the task that runs is the one that is kept for this processor, goes on at `known`, with R6
    /// and R9 as [`Plan::resolve`] leaves them, or at `foreign`. R7 are the registers of the call.
    pub(super) fn running(&self, a: &mut Assembler, known: Label, foreign: Label) {
        let Some(map) = &self.maps.running else { return };
        let other = a.label();
        let task = &self.layout.task;
        find(a, map);
        a.jump_if(When::Equal, R0, 0, other);
        a.load(Width::Double, R6, R0, entry::TASK);
        a.jump_if(When::Equal, R6, 0, other);
        a.load(Width::Double, R1, R0, entry::REGISTERS);
        a.jump_if(When::NotEqual, R1, R7, other);
        let mut same = |field: i16, kept: i16| {
            a.load(Width::Double, R1, R6, field);
            a.load(Width::Double, R2, R0, kept);
            a.jump_if(When::NotEqual, R1, R2, other);
        };
        same(task.stack, entry::STACK);
        same(task.start, entry::START);
        same(task.mm, entry::MM);
        if self.maps.cgroup.is_some() {
            same(task.cgroups, entry::CGROUPS);
        }
        a.load(Width::Word, R9, R0, entry::EXECUTABLE);
        a.jump_if(When::Equal, R9, FOREIGN, foreign);
        a.load(Width::Word, R1, R6, task.seccomp_mode);
        a.jump_if(When::Equal, R1, 0, known);
        a.place(other);
    }

    /// Keeps task R6 for this processor, whose call has the registers R7, with R9: its executable, or
    /// [`FOREIGN`]. Changes R0 to R5.
    pub(super) fn keep_running(&self, a: &mut Assembler) {
        let Some(map) = &self.maps.running else { return };
        let none = a.label();
        let task = &self.layout.task;
        find(a, map);
        a.jump_if(When::Equal, R0, 0, none);
        a.store(Width::Double, R0, entry::TASK, R6);
        a.store(Width::Double, R0, entry::REGISTERS, R7);
        let mut keep = |field: i16, kept: i16| {
            a.load(Width::Double, R1, R6, field);
            a.store(Width::Double, R0, kept, R1);
        };
        keep(task.stack, entry::STACK);
        keep(task.start, entry::START);
        keep(task.mm, entry::MM);
        keep(task.cgroups, entry::CGROUPS);
        a.store(Width::Word, R0, entry::EXECUTABLE, R9);
        a.place(none);
    }
}

/// R0 = this processor's entry.
fn find(a: &mut Assembler, map: &Map) {
    a.call(Helper::ProcessorId);
    a.store(Width::Word, FRAME, stack::KEY, R0);
    a.map(R1, map);
    a.set(R2, FRAME);
    a.alu(Alu::Add, R2, i32::from(stack::KEY));
    a.call(Helper::MapLookup);
}
