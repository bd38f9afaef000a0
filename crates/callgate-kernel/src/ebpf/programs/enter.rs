//! `sys_enter`: counts each call and notes the arguments that are looked at.

use super::super::assembler::{
    Alu, Assembler, FRAME, Helper, Instruction, Label, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9,
    When, Width,
};
use super::super::maps::{Control, LISTED, POOL, SET_WORDS, VEIL};
use super::super::table::{self, COMPAT, SETS, X32};
use super::running::FOREIGN;
use super::scope::Outside;
use super::{
    EventKind, Plan, control_byte, event_call, event_no_value, event_value, stack, storage,
};

/// The program.
pub(in super::super) fn enter(plan: &Plan<'_>) -> Vec<Instruction> {
    let mut a = Assembler::default();
    let [outside, foreign, odd, known, unfiltered, seen, end] = [(); 7].map(|()| a.label());
    // What the tracepoint gives: the registers of the call, and its number.
    a.load(Width::Double, R7, R1, 0);
    a.load(Width::Double, R8, R1, 8);
    plan.running(&mut a, known, outside);
    plan.resolve(&mut a, Outside { now: outside, ever: foreign });
    a.jump_if(When::Equal, R0, 0, known);
    a.load(Width::Word, R1, R6, plan.layout.task.seccomp_mode);
    a.jump_if(When::Equal, R1, 0, unfiltered);
    a.set(R1, R8);
    a.alu(Alu::Add, R1, 1);
    a.store(Width::Word, R0, storage::ENTERED, R1);
    a.jump(known);
    a.place(unfiltered);
    // Without a filter there is nothing to tell apart at the call's end.
    plan.keep_running(&mut a);
    a.place(known);
    plan.index(&mut a, odd);

    a.call(Helper::ProcessorId);
    a.alu(Alu::Mul, R0, plan.maps.slots.cast_signed());
    a.alu(Alu::Add, R0, R9);
    a.store(Width::Word, FRAME, stack::KEY, R0);
    a.map(R1, &plan.maps.counters.map);
    a.set(R2, FRAME);
    a.alu(Alu::Add, R2, i32::from(stack::KEY));
    a.call(Helper::MapLookup);
    a.jump_if(When::Equal, R0, 0, outside);
    a.set(R1, R8);
    a.alu(Alu::ShiftLeft, R1, 3);
    a.alu(Alu::Add, R0, R1);
    // The counter is this processor's own, and the kernel runs this without preemption.
    a.load(Width::Double, R1, R0, 0);
    a.set(R2, R1);
    a.alu(Alu::Add, R2, 1);
    a.store(Width::Double, R0, 0, R2);
    a.jump_if(When::NotEqual, R1, 0, seen);
    event_call(&mut a);
    event_no_value(&mut a);
    plan.send(&mut a, EventKind::Call, 0);
    a.place(seen);

    a.map_value(R1, &plan.maps.arguments, 0);
    a.set(R2, R8);
    a.alu(Alu::ShiftLeft, R2, 3);
    a.alu(Alu::Add, R1, R2);
    a.load(Width::Double, R1, R1, 0);
    a.jump_if(When::Equal, R1, 0, outside);
    plan.arguments(&mut a);
    a.jump(outside);

    a.place(foreign);
    a.set(R9, FOREIGN);
    plan.keep_running(&mut a);
    a.jump(outside);

    a.place(odd);
    plan.odd(&mut a, end);
    a.place(end);
    a.place(outside);
    a.leave();
    a.finish()
}

impl Plan<'_> {
    /// Counts a call whose number R8 is beyond the tables; R1 is not 0 for one of the 32-bit table.
    fn odd(&self, a: &mut Assembler, end: Label) {
        // Bit 63: 32-bit; the executable above the number.
        a.alu(Alu::ShiftLeft, R1, 62);
        a.set(R2, R9);
        a.alu(Alu::ShiftLeft, R2, 32);
        a.alu(Alu::Or, R1, R2);
        a.alu(Alu::Or, R1, R8);
        a.store(Width::Double, FRAME, stack::KEY, R1);
        self.count_in(a, &self.maps.odd, Control::LostCalls, end);
    }

    /// Notes the arguments of call R8 in their sets; R1 says which. R7 are the registers.
    fn arguments(&self, a: &mut Assembler) {
        let [compat, native, ready] = [(); 3].map(|()| a.label());
        a.store(Width::Double, FRAME, stack::TRACKED, R1);
        a.alu(Alu::ShiftRight, R1, 16);
        a.store(Width::Double, FRAME, stack::SET, R1);
        a.jump_if(When::Below, R8, COMPAT, native);
        a.jump_if(When::Below, R8, X32, compat);
        a.place(native);
        for (offset, argument) in self.layout.registers.native.iter().zip(0i16..) {
            a.load(Width::Double, R1, R7, *offset);
            a.store(Width::Double, FRAME, stack::ARGUMENTS + argument * 8, R1);
        }
        a.jump(ready);
        a.place(compat);
        for (offset, argument) in self.layout.registers.compat.iter().zip(0i16..) {
            a.load(Width::Double, R1, R7, *offset);
            a.store(Width::Double, FRAME, stack::ARGUMENTS + argument * 8, R1);
        }
        a.place(ready);
        self.filter(a);
        for argument in 0..6 {
            self.argument(a, argument);
        }
    }

    /// A call that may load a filter: from now on each return is looked at.
    fn filter(&self, a: &mut Assembler) {
        /// `PR_SET_SECCOMP` of `linux/prctl.h`.
        const PRCTL_OPERATION: i32 = 22;
        let [loads, none] = [(); 2].map(|()| a.label());
        a.load(Width::Double, R1, FRAME, stack::TRACKED);
        a.jump_if(When::AnyBit, R1, table::SECCOMP, loads);
        a.alu(Alu::And, R1, table::PRCTL);
        a.jump_if(When::Equal, R1, 0, none);
        a.load(Width::Double, R2, FRAME, stack::ARGUMENTS);
        a.low_half(R2, R2);
        a.jump_if(When::NotEqual, R2, PRCTL_OPERATION, none);
        a.place(loads);
        self.filters(a);
        a.place(none);
    }

    /// Notes one argument, if it is looked at.
    fn argument(&self, a: &mut Assembler, argument: i16) {
        let [tracked, wide, allocate, placed, lost, unlisted, next] = [(); 7].map(|()| a.label());
        let sets = i32::try_from(SETS).expect("a small constant");
        a.load(Width::Double, R1, FRAME, stack::TRACKED);
        a.jump_if(When::AnyBit, R1, 1 << argument, tracked);
        a.jump(next);
        a.place(tracked);
        // The number of the set, within the executable and over all of them.
        a.load(Width::Double, R2, FRAME, stack::SET);
        a.set(R3, R2);
        a.alu(Alu::Add, R3, 1);
        a.store(Width::Double, FRAME, stack::SET, R3);
        a.jump_if(When::AtLeast, R2, sets, lost);
        a.jump_if(When::AtLeast, R9, self.maps.slots.cast_signed(), lost);
        a.set(R5, R9);
        a.alu(Alu::Mul, R5, sets);
        a.alu(Alu::Add, R5, R2);
        a.alu(Alu::ShiftLeft, R5, 2);
        a.load(Width::Double, R4, FRAME, stack::ARGUMENTS + argument * 8);
        a.jump_if(When::AnyBit, R1, 1 << (8 + argument), wide);
        a.low_half(R4, R4);
        a.place(wide);
        a.map_value(R3, &self.maps.places.map, 0);
        a.alu(Alu::Add, R3, R5);
        a.load(Width::Word, R0, R3, 0);
        a.jump_if(When::Equal, R0, 0, allocate);
        a.place(placed);
        a.jump_if(When::AtLeast, R0, POOL.cast_signed(), lost);
        a.alu(Alu::Mul, R0, i32::from(SET_WORDS) * 8);
        a.map_value(R5, &self.maps.sets.map, 0);
        a.alu(Alu::Add, R5, R0);
        a.set(R3, R5);
        a.constant(R2, VEIL);
        a.alu(Alu::Xor, R4, R2);
        a.jump_if(When::Equal, R4, 0, unlisted);
        let new = a.label();
        for _ in 0..LISTED {
            let other = a.label();
            a.alu(Alu::Add, R3, 8);
            a.load(Width::Double, R0, R3, 0);
            a.jump_if(When::Equal, R0, R4, next);
            a.jump_if(When::NotEqual, R0, 0, other);
            a.compare_exchange(Width::Double, R3, 0, R4);
            a.jump_if(When::Equal, R0, 0, new);
            a.jump_if(When::Equal, R0, R4, next);
            a.place(other);
        }
        a.place(unlisted);
        self.unlisted(a, argument, next);

        a.place(new);
        a.alu(Alu::Xor, R4, R2);
        event_call(a);
        event_value(a, R4);
        self.send(a, EventKind::Argument, i32::from(argument));
        a.jump(next);

        a.place(allocate);
        a.map_value(R5, &self.maps.control.map, control_byte(Control::Sets));
        a.set(R2, 1);
        a.fetch_add(Width::Double, R5, 0, R2);
        a.alu(Alu::Add, R2, 1);
        a.jump_if(When::AtLeast, R2, POOL.cast_signed(), lost);
        a.set(R0, 0);
        a.compare_exchange(Width::Word, R3, 0, R2);
        // Where another processor was first, its place is the one, and this one stays empty.
        a.jump_if(When::NotEqual, R0, 0, placed);
        a.set(R0, R2);
        a.jump(placed);

        a.place(lost);
        self.count(a, Control::LostSets);
        a.place(next);
    }

    /// Notes in set R5 the bits of a value, R4 under the veil R2, that found no place.
    fn unlisted(&self, a: &mut Assembler, argument: i16, next: Label) {
        const FLAG: i16 = (SET_WORDS.cast_signed() - 1) * 8;
        let news = a.label();
        a.alu(Alu::Xor, R4, R2);
        a.load(Width::Double, R0, R5, FLAG);
        a.jump_if(When::Equal, R0, 0, news);
        a.load(Width::Double, R0, R5, 0);
        a.set(R1, R0);
        a.alu(Alu::Or, R1, R4);
        a.jump_if(When::Equal, R0, R1, next);
        a.place(news);
        a.atomic_or(Width::Double, R5, 0, R4);
        a.store_constant(Width::Double, R5, FLAG, 1);
        event_call(a);
        event_value(a, R4);
        self.send(a, EventKind::Unlisted, i32::from(argument));
        a.jump(next);
    }
}
