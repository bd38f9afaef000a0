//! `sched_process_fork` and `sched_process_exit`: who belongs to a process tree.
//!
//! A new task is in the tree when the one that made it is. That is known before the new one runs.

use super::super::assembler::{
    Alu, Assembler, FRAME, Helper, Instruction, R0, R1, R2, R6, R7, R8, R9, When, Width,
};
use super::super::maps::Control;
use super::{Plan, stack, storage};

/// The program at `sched_process_fork`.
pub(in super::super) fn forked(plan: &Plan<'_>) -> Vec<Instruction> {
    let mut a = Assembler::default();
    let [outside, inside, known] = [(); 3].map(|()| a.label());
    // The parent and the child.
    a.load(Width::Double, R6, R1, 0);
    a.load(Width::Double, R7, R1, 8);
    if let Some(launched) = plan.launched {
        // Of a process that has not begun its command, new threads are found by their process.
        let begun = a.label();
        plan.unless_before_exec(&mut a, R7, launched, begun);
        a.jump(outside);
        a.place(begun);
    }
    // There is no call here, whose number would have to be kept.
    a.set(R8, 0);
    plan.storage_of(&mut a, 0);
    a.jump_if(When::NotEqual, R0, 0, known);
    // A parent that made this very call before it was watched.
    plan.root(&mut a);
    a.set(R9, 0);
    a.jump_if(When::Equal, R0, 0, outside);
    a.set(R6, R7);
    plan.executable(&mut a);
    a.jump(inside);
    a.place(known);
    a.load(Width::Word, R9, R0, storage::EXECUTABLE);
    a.set(R6, R7);
    a.place(inside);
    plan.storage_of(&mut a, 1);
    let remember = a.label();
    a.jump_if(When::NotEqual, R0, 0, remember);
    // No memory: it is known by its process instead.
    a.load(Width::Word, R1, R6, plan.layout.task.process);
    a.store(Width::Word, FRAME, stack::KEY, R1);
    a.store_constant(Width::Word, FRAME, stack::VALUE, 0);
    plan.insert(&mut a, &plan.maps.roots);
    a.jump_if(When::Equal, R0, 0, outside);
    plan.count(&mut a, Control::LostProcesses);
    a.jump(outside);
    a.place(remember);
    plan.remember(&mut a);
    a.place(outside);
    a.leave();
    a.finish()
}

/// The program at `sched_process_exit`: the number of a process is another's after it.
pub(in super::super) fn left(plan: &Plan<'_>) -> Vec<Instruction> {
    let mut a = Assembler::default();
    let outside = a.label();
    a.load(Width::Double, R6, R1, 0);
    a.load(Width::Double, R1, R6, plan.layout.task.signal);
    a.jump_if(When::Equal, R1, 0, outside);
    // The last of its threads has been taken off already.
    a.load(Width::Word, R1, R1, plan.layout.task.signal_live);
    a.jump_if(When::NotEqual, R1, 0, outside);
    a.load(Width::Word, R1, R6, plan.layout.task.process);
    a.store(Width::Word, FRAME, stack::KEY, R1);
    a.map(R1, &plan.maps.roots);
    a.set(R2, FRAME);
    a.alu(Alu::Add, R2, i32::from(stack::KEY));
    a.call(Helper::MapDelete);
    a.place(outside);
    a.leave();
    a.finish()
}
