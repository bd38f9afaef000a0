//! `sys_exit`: what calls came to that failed, or that were never entered.
//!
//! A filter decides before `sys_enter`: a call that it refuses, or that its supervisor answers, has
//! an exit and no entry. So the task's storage knows the call that it has entered, and only tasks
//! under a filter need looking at when a call has succeeded.

use super::super::assembler::{
    Alu, Assembler, FRAME, Helper, Instruction, R0, R1, R2, R3, R4, R6, R7, R8, R9, When, Width,
};
use super::super::layout;
use super::super::maps::Control;
use super::scope::Outside;
use super::{EventKind, Plan, control_byte, event_call, event_value, refusal, stack, storage};

const MODE: i16 = stack::ARGUMENTS;
const RESULT: i16 = stack::ARGUMENTS + 8;
const REGISTERS: i16 = stack::ARGUMENTS + 16;
const NUMBER: i16 = stack::ARGUMENTS + 24;
const SAVED: i16 = stack::ARGUMENTS + 32;

/// The program.
///
/// A key of the results: bits 0 to 11 the error, 0 for none; bit 12 whether the call was not
/// entered; the call's index from bit 16; the executable from bit 32.
pub(in super::super) fn exit(plan: &Plan<'_>) -> Vec<Instruction> {
    let mut a = Assembler::default();
    let [outside, odd, new, look] = [(); 4].map(|()| a.label());
    let [filtered, entered, refused, failed, no_error, keyed] = [(); 6].map(|()| a.label());
    const NOT_ENTERED: i32 = 1 << 12;
    /// `MAX_ERRNO` of `linux/err.h`.
    const MAX_ERRNO: i32 = 4095;
    /// From ERESTARTSYS to ERESTART_RESTARTBLOCK of `linux/errno.h`: the kernel's own, which no
    /// program sees: the call is made again or fails with EINTR.
    const RESTART: [i32; 2] = [512, 516];

    // What the tracepoint gives: the registers, and the result.
    a.load(Width::Double, R7, R1, 0);
    a.load(Width::Double, R9, R1, 8);
    a.store(Width::Double, FRAME, RESULT, R9);
    a.load(Width::Double, R8, R7, plan.layout.registers.number);
    if plan.refusals {
        a.store(Width::Double, FRAME, REGISTERS, R7);
        a.store(Width::Double, FRAME, NUMBER, R8);
    }
    // The short way out: a success, where nobody has a filter.
    a.jump_if(When::AtLeast, R9, -MAX_ERRNO, look);
    a.map_value(R1, &plan.maps.control.map, control_byte(Control::Filters));
    a.load(Width::Double, R1, R1, 0);
    a.jump_if(When::Equal, R1, 0, outside);
    a.place(look);
    a.call(Helper::CurrentTask);
    a.load(Width::Word, R1, R0, plan.layout.task.seccomp_mode);
    a.store(Width::Double, FRAME, MODE, R1);
    a.jump_if(When::NotEqual, R1, 0, filtered);
    a.jump_if(When::Below, R9, -MAX_ERRNO, outside);
    a.place(filtered);
    plan.resolve(&mut a, Outside { now: outside, ever: outside });
    a.jump_if(When::Equal, R0, 0, entered);
    a.load(Width::Double, R1, FRAME, MODE);
    a.jump_if(When::Equal, R1, 0, entered);
    a.load(Width::Word, R3, R0, storage::ENTERED);
    a.store_constant(Width::Word, R0, storage::ENTERED, storage::LEFT);
    // A task that had no filter when it was last seen, or that is seen for the first time, as one
    // is that was in a call when the recording began, or that returns from its own making.
    a.jump_if(When::Equal, R3, 0, entered);
    following_number(&mut a);
    a.jump_if(When::Equal, R2, 0, outside);
    a.jump_if(When::NotEqual, R2, R3, refused);
    a.place(entered);
    // What it leaves in the result is that of the call which the signal interrupted.
    following_number(&mut a);
    a.jump_if(When::Equal, R2, 0, outside);
    a.set(R7, 0);
    a.load(Width::Double, R1, FRAME, RESULT);
    a.jump_if(When::Below, R1, -MAX_ERRNO, outside);
    a.jump(failed);

    a.place(refused);
    if plan.refusals {
        plan.refusal(&mut a, 0);
    }
    a.set(R7, NOT_ENTERED);
    a.place(failed);
    plan.index(&mut a, odd);
    a.load(Width::Double, R1, FRAME, RESULT);
    a.jump_if(When::Below, R1, -MAX_ERRNO, no_error);
    a.set(R2, 0);
    a.alu(Alu::Sub, R2, R1);
    let plain = a.label();
    a.jump_if(When::Below, R2, RESTART[0], plain);
    a.jump_if(When::Above, R2, RESTART[1], plain);
    a.jump(outside);
    a.place(plain);
    a.alu(Alu::Or, R7, R2);
    a.jump(keyed);
    // Answered by a supervisor or a signal. The return of exec into a program of another ABI is no
    // such answer, though the number is another's now.
    a.place(no_error);
    a.jump_if(When::NotEqual, R1, 0, keyed);
    for index in EXEC {
        a.jump_if(When::Equal, R8, index, outside);
    }
    a.place(keyed);
    a.set(R1, R9);
    a.alu(Alu::ShiftLeft, R1, 16);
    a.alu(Alu::Or, R1, R8);
    a.alu(Alu::ShiftLeft, R1, 16);
    a.alu(Alu::Or, R1, R7);
    a.store(Width::Double, FRAME, stack::KEY, R1);
    plan.count_in(&mut a, &plan.maps.results, Control::LostResults, new);
    a.jump(outside);

    a.place(new);
    if plan.refusals {
        let told = a.label();
        a.jump_if(When::AnyBit, R7, NOT_ENTERED, told);
        plan.refusal(&mut a, refusal::ENTERED);
        a.place(told);
    }
    event_call(&mut a);
    event_value(&mut a, R7);
    plan.send(&mut a, EventKind::Result, 0);
    a.jump(outside);
    a.place(odd);
    plan.count(&mut a, Control::LostResults);
    a.place(outside);
    a.leave();
    a.finish()
}

impl Plan<'_> {
    /// Tells of the call that returns, of task R6 and executable R9, with its registers, which
    /// a filter has seen as they still are, the top of its stack, and what its arguments point to.
    /// Changes R0 to R5.
    fn refusal(&self, a: &mut Assembler, flags: i32) {
        let [native, compat, ready, lost, end] = [(); 5].map(|()| a.label());
        let registers = &self.layout.registers;
        let word = |index: i16| 8 * index;
        a.store(Width::Double, FRAME, SAVED, R7);
        a.map(R1, &self.maps.ring);
        a.set(R2, i32::from(word(refusal::WORDS)));
        a.set(R3, 0);
        a.call(Helper::RingReserve);
        a.jump_if(When::Equal, R0, 0, lost);
        a.set(R7, R0);
        a.store_constant(Width::Word, R7, word(refusal::KIND), i32::from(EventKind::Refusal as u8));
        a.store(Width::Word, R7, word(refusal::KIND) + 4, R9);
        a.load(Width::Double, R1, FRAME, NUMBER);
        a.store(Width::Word, R7, word(refusal::NUMBER), R1);
        a.load(Width::Double, R1, FRAME, RESULT);
        a.store(Width::Double, R7, word(refusal::RESULT), R1);
        a.call(Helper::CurrentNumbers);
        a.store(Width::Double, R7, word(refusal::CALLER), R0);
        a.load(Width::Double, R4, FRAME, REGISTERS);
        a.load(Width::Double, R1, R4, registers.instruction);
        a.store(Width::Double, R7, word(refusal::INSTRUCTION), R1);
        a.load(Width::Double, R3, R4, registers.stack);
        a.store(Width::Double, R7, word(refusal::STACK_POINTER), R3);
        a.load(Width::Word, R1, R6, self.layout.task.status);
        a.jump_if(When::AnyBit, R1, layout::COMPAT, compat);
        a.jump(native);
        for (label, flags, arguments) in [
            (compat, flags | refusal::COMPAT, &registers.compat),
            (native, flags, &registers.native),
        ] {
            a.place(label);
            a.store_constant(Width::Word, R7, word(refusal::NUMBER) + 4, flags);
            for (offset, index) in arguments.iter().zip(refusal::ARGUMENTS..) {
                a.load(Width::Double, R1, R4, *offset);
                a.store(Width::Double, R7, word(index), R1);
            }
            a.jump(ready);
        }
        a.place(ready);
        // Where there is no stack, the kernel writes zeros.
        read(a, Helper::ReadUser, refusal::STACK, refusal::STACK_WORDS);
        for index in 0..6 {
            let place = refusal::MEMORY + index * (1 + refusal::MEMORY_WORDS);
            let [address, told] = [(); 2].map(|()| a.label());
            /// Below it nothing is mapped: numbers, descriptors, flags.
            const FIRST: i32 = 4096;
            a.load(Width::Double, R3, R7, word(refusal::ARGUMENTS + index));
            a.store_constant(Width::Double, R7, word(place), refusal::NONE);
            a.jump_if(When::AtLeast, R3, FIRST, address);
            a.jump(told);
            a.place(address);
            a.store_constant(Width::Double, R7, word(place), refusal::WHOLE);
            read(a, Helper::ReadUser, place + 1, refusal::MEMORY_WORDS);
            a.jump_if(When::Equal, R0, 0, told);
            // The page behind it may be missing, but not behind the end of a string.
            a.store_constant(Width::Double, R7, word(place), refusal::STRING);
            a.load(Width::Double, R3, R7, word(refusal::ARGUMENTS + index));
            read(a, Helper::ReadUserString, place + 1, refusal::MEMORY_WORDS);
            a.place(told);
        }
        a.set(R1, R7);
        a.set(R2, 0);
        a.call(Helper::RingSubmit);
        a.jump(end);
        a.place(lost);
        self.count(a, Control::LostEvents);
        a.place(end);
        a.load(Width::Double, R7, FRAME, SAVED);
    }
}

/// Reads the program's memory at R3 to these words of record R7; R0 is 0 when all could be read.
fn read(a: &mut Assembler, helper: Helper, place: i16, words: i16) {
    a.set(R1, R7);
    a.alu(Alu::Add, R1, 8 * i32::from(place));
    a.set(R2, 8 * i32::from(words));
    a.call(helper);
}

/// R2 becomes one more than the number in R8, as `ENTERED` has it: 0 behind `rt_sigreturn`, where
/// there is no number.
fn following_number(a: &mut Assembler) {
    a.low_half(R2, R8);
    a.alu(Alu::Add, R2, 1);
    a.low_half(R2, R2);
}

/// The indices of `execve` and `execveat`: of x86_64, of its 32-bit table from 512, and of x32 from
/// 1024.
const EXEC: [i32; 6] = [59, 322, 512 + 11, 512 + 358, 1024 + 520, 1024 + 545];
