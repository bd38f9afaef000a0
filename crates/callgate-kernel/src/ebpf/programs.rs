//! The programs that count, as they are given to the kernel.
//!
//! | at | does | file |
//! |---|---|---|
//! | `sys_enter` | counts the call, notes its arguments | `enter` |
//! | `sys_exit` | counts errors, and calls that a filter kept from being entered | `exit` |
//! | `sched_process_fork`, `sched_process_exit` | keep a process tree | `tree` |
//!
//! In all of them R6 is the task and R9 the number of its executable, once known.

mod enter;
mod executable;
mod exit;
mod running;
mod scope;
mod tree;

pub(super) use self::{enter::enter, exit::exit, running::ENTRY, tree::forked, tree::left};

use super::assembler::{
    Alu, Assembler, FRAME, Helper, Label, R0, R1, R2, R3, R4, R6, R8, R9, When, Width,
};
use super::layout::{self, Layout};
use super::maps::{Control, Maps};
use super::table::{COMPAT, X32};

/// What programs are made for.
pub(super) struct Plan<'a> {
    pub(super) layout: &'a Layout,
    pub(super) maps: &'a Maps,
    /// A process that has been forked and whose first exec is the beginning of the recording.
    pub(super) launched: Option<u32>,
    /// Whether each refused call is told, with its registers.
    pub(super) refusals: bool,
}

/// Bytes of the stack, from the frame down.
mod stack {
    /// A key of up to 16 bytes.
    pub(super) const KEY: i16 = -16;
    /// A value of 8 bytes.
    pub(super) const VALUE: i16 = -24;
    pub(super) const SAVED: [i16; 4] = [-32, -40, -48, -56];
    /// The six arguments.
    pub(super) const ARGUMENTS: i16 = -104;
    /// Which of them are looked at, and the number of the next one's set.
    pub(super) const TRACKED: i16 = -112;
    pub(super) const SET: i16 = -120;
    pub(super) const EVENT: i16 = -160;
}

/// What an event is about.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum EventKind {
    /// A call that was not made before, on this processor.
    Call = 1,
    Argument = 2,
    /// A value that was not listed, its set being full.
    Unlisted = 3,
    Executable = 4,
    Result = 5,
    /// A task has a filter, or is about to get one.
    Filter = 6,
    /// A call that was not entered, or an error that is new: see [`refusal`].
    Refusal = 7,
}

/// An event: 32-bit kind, executable, index of the call, argument; 64-bit value; 32-bit thread and
/// process; 64-bit time, in nanoseconds of CLOCK_MONOTONIC.
pub(super) const EVENT_SIZE: u8 = 40;

/// An event about one refused call, in words of 64 bits.
pub(super) mod refusal {
    /// 32-bit kind and executable.
    pub(in super::super) const KIND: i16 = 0;
    /// 32-bit number and flags.
    pub(in super::super) const NUMBER: i16 = 1;
    pub(in super::super) const RESULT: i16 = 2;
    /// Thread and process.
    pub(in super::super) const CALLER: i16 = 3;
    pub(in super::super) const INSTRUCTION: i16 = 4;
    pub(in super::super) const STACK_POINTER: i16 = 5;
    /// Six of them.
    pub(in super::super) const ARGUMENTS: i16 = 6;
    pub(in super::super) const STACK: i16 = 12;
    pub(in super::super) const STACK_WORDS: i16 = 16;
    /// For each argument how its memory was read, and the memory.
    pub(in super::super) const MEMORY: i16 = STACK + STACK_WORDS;
    pub(in super::super) const MEMORY_WORDS: i16 = 32;
    pub(in super::super) const WORDS: i16 = MEMORY + 6 * (1 + MEMORY_WORDS);

    /// Flags.
    pub(in super::super) const COMPAT: i32 = 1;
    pub(in super::super) const ENTERED: i32 = 2;

    /// How memory was read: not, all of it, or up to a NUL.
    pub(in super::super) const NONE: i32 = 0;
    pub(in super::super) const WHOLE: i32 = 1;
    pub(in super::super) const STRING: i32 = 2;
}

/// Of a task's storage: the address space and cgroups for which the rest holds, the executable, and
/// the number of the last call that it has entered, and 1: 0 for none yet.
mod storage {
    pub(super) const MM: i16 = 0;
    pub(super) const CGROUPS: i16 = 8;
    pub(super) const EXECUTABLE: i16 = 16;
    pub(super) const ENTERED: i16 = 20;
    /// In its place once the call has been left, as far as anybody looked.
    pub(super) const LEFT: i32 = -1;
}

impl Plan<'_> {
    /// Goes on at `odd` unless R8, a number as the tracepoint has it, is turned into the index of
    /// the call. There, R8 is the number's 32 bits and R1 not 0 for a call by the 32-bit table.
    fn index(&self, a: &mut Assembler, odd: Label) {
        let [compat, x32, done] = [(); 3].map(|()| a.label());
        a.low_half(R8, R8);
        a.load(Width::Word, R1, R6, self.layout.task.status);
        a.alu(Alu::And, R1, layout::COMPAT);
        a.jump_if(When::NotEqual, R1, 0, compat);
        a.jump_if(When::AnyBit, R8, 0x4000_0000, x32);
        a.jump_if(When::AtLeast, R8, COMPAT, odd);
        a.jump(done);
        a.place(compat);
        a.jump_if(When::AtLeast, R8, COMPAT, odd);
        a.alu(Alu::Add, R8, COMPAT);
        a.jump(done);
        a.place(x32);
        let back = a.label();
        a.alu(Alu::Xor, R8, 0x4000_0000);
        a.jump_if(When::Below, R8, X32, back);
        a.alu(Alu::Xor, R8, 0x4000_0000);
        a.jump(odd);
        a.place(back);
        a.alu(Alu::Add, R8, X32);
        a.place(done);
    }

    /// Adds 1 to a word of the control map.
    fn count(&self, a: &mut Assembler, what: Control) {
        a.map_value(R1, &self.maps.control.map, control_byte(what));
        a.set(R2, 1);
        a.atomic_add(Width::Double, R1, 0, R2);
    }

    /// From now on each return of a call is looked at: somebody may have a filter. Changes R0 to R5.
    fn filters(&self, a: &mut Assembler) {
        let known = a.label();
        a.map_value(R1, &self.maps.control.map, control_byte(Control::Filters));
        a.load(Width::Double, R2, R1, 0);
        a.jump_if(When::NotEqual, R2, 0, known);
        a.store_constant(Width::Double, R1, 0, 1);
        event_call(a);
        event_no_value(a);
        self.send(a, EventKind::Filter, 0);
        a.place(known);
    }

    /// Adds 1 to the value of the 8-byte key at [`stack::KEY`] of a hash; where there is no room for
    /// it, to a loss. Goes on at `new` when it was not there. Changes R0 to R5.
    fn count_in(&self, a: &mut Assembler, map: &super::map::Map, loss: Control, new: Label) {
        let [there, done] = [(); 2].map(|()| a.label());
        for attempt in 0..2 {
            a.map(R1, map);
            a.set(R2, FRAME);
            a.alu(Alu::Add, R2, i32::from(stack::KEY));
            a.call(Helper::MapLookup);
            a.jump_if(When::NotEqual, R0, 0, there);
            if attempt == 1 {
                break;
            }
            // Another processor may have put it there meanwhile: then it is found the second time.
            a.store_constant(Width::Double, FRAME, stack::VALUE, 1);
            self.insert(a, map);
            a.jump_if(When::Equal, R0, 0, new);
        }
        self.count(a, loss);
        a.jump(done);
        a.place(there);
        a.set(R1, 1);
        a.atomic_add(Width::Double, R0, 0, R1);
        a.place(done);
    }

    /// Puts the value at [`stack::VALUE`] under the key at [`stack::KEY`], unless it is there. R0 is
    /// 0 when it was put there.
    #[expect(clippy::unused_self, reason = "beside its neighbours")]
    fn insert(&self, a: &mut Assembler, map: &super::map::Map) {
        /// `BPF_NOEXIST` of `linux/bpf.h`.
        const NEW: i32 = 1;
        a.map(R1, map);
        a.set(R2, FRAME);
        a.alu(Alu::Add, R2, i32::from(stack::KEY));
        a.set(R3, FRAME);
        a.alu(Alu::Add, R3, i32::from(stack::VALUE));
        a.set(R4, NEW);
        a.call(Helper::MapUpdate);
    }

    /// Sends an event of the running task, of executable R9. Call and value, where it has them, are at
    /// their places on the stack: [`Plan::event_call`], [`Plan::event_value`]. Changes R0 to R5.
    fn send(&self, a: &mut Assembler, kind: EventKind, argument: i32) {
        const SIZE: i32 = EVENT_SIZE as i32;
        let sent = a.label();
        let field = |offset: i16| stack::EVENT + offset;
        a.store_constant(Width::Word, FRAME, field(0), i32::from(kind as u8));
        a.store(Width::Word, FRAME, field(4), R9);
        a.store_constant(Width::Word, FRAME, field(12), argument);
        a.call(Helper::CurrentNumbers);
        a.store(Width::Double, FRAME, field(24), R0);
        a.call(Helper::KernelTime);
        a.store(Width::Double, FRAME, field(32), R0);
        a.map(R1, &self.maps.ring);
        a.set(R2, FRAME);
        a.alu(Alu::Add, R2, i32::from(stack::EVENT));
        a.set(R3, SIZE);
        a.set(R4, 0);
        a.call(Helper::RingOutput);
        a.jump_if(When::Equal, R0, 0, sent);
        self.count(a, Control::LostEvents);
        a.place(sent);
    }
}

/// The event that is to be sent is of the call R8.
fn event_call(a: &mut Assembler) {
    a.store(Width::Word, FRAME, stack::EVENT + 8, R8);
}

/// It has the value in this register.
fn event_value(a: &mut Assembler, register: super::assembler::Register) {
    a.store(Width::Double, FRAME, stack::EVENT + 16, register);
}

/// It has no value.
fn event_no_value(a: &mut Assembler) {
    a.store_constant(Width::Double, FRAME, stack::EVENT + 16, 0);
}

fn control_byte(what: Control) -> u32 {
    u32::from(what as u8) * 8
}
