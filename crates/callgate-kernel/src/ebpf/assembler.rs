//! Extended BPF, assembled: the opcodes that the recorder's programs are made of.
//!
//! The encoding is that of the kernel's "BPF Instruction Set Architecture" (RFC 9669).

use std::os::fd::{AsFd, AsRawFd};

use super::map::Map;

/// A register: R0 takes results, R1 to R5 arguments, which a helper call destroys; R6 to R9 stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Register(u8);

pub(super) const R0: Register = Register(0);
pub(super) const R1: Register = Register(1);
pub(super) const R2: Register = Register(2);
pub(super) const R3: Register = Register(3);
pub(super) const R4: Register = Register(4);
pub(super) const R5: Register = Register(5);
pub(super) const R6: Register = Register(6);
pub(super) const R7: Register = Register(7);
pub(super) const R8: Register = Register(8);
pub(super) const R9: Register = Register(9);
/// The frame; the stack lies below it.
pub(super) const FRAME: Register = Register(10);

/// The second operand.
#[derive(Clone, Copy)]
pub(super) enum Operand {
    Register(Register),
    /// Extended to 64 bits by its sign.
    Immediate(i32),
}

impl From<Register> for Operand {
    fn from(register: Register) -> Operand {
        Operand::Register(register)
    }
}

impl From<i32> for Operand {
    fn from(value: i32) -> Operand {
        Operand::Immediate(value)
    }
}

/// An operation on 64 bits.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Alu {
    Add = 0x00,
    Sub = 0x10,
    Mul = 0x20,
    Or = 0x40,
    And = 0x50,
    ShiftLeft = 0x60,
    ShiftRight = 0x70,
    Xor = 0xa0,
    Move = 0xb0,
}

/// A comparison of 64 bits.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum When {
    Equal = 0x10,
    Above = 0x20,
    AtLeast = 0x30,
    /// A common bit.
    AnyBit = 0x40,
    NotEqual = 0x50,
    Below = 0xa0,
}

/// The width of an access to memory.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Width {
    Word = 0x00,
    Double = 0x18,
}

/// A helper of the kernel, by its number in `linux/bpf.h`.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Helper {
    MapLookup = 1,
    MapUpdate = 2,
    MapDelete = 3,
    KernelTime = 5,
    ProcessorId = 8,
    CurrentNumbers = 14,
    CurrentUnderCgroup = 37,
    ReadUser = 112,
    ReadUserString = 114,
    ReadKernel = 113,
    ReadKernelString = 115,
    RingOutput = 130,
    RingReserve = 131,
    RingSubmit = 132,
    TaskStorageGet = 156,
    CurrentTask = 158,
}

/// An atomic operation on memory.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Atomic {
    Add = 0x00,
    Or = 0x40,
    FetchAdd = 0x01,
    CompareExchange = 0xf1,
}

/// A place to jump to.
#[derive(Clone, Copy)]
pub(super) struct Label(usize);

/// One instruction as the kernel reads it: `struct bpf_insn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Instruction {
    code: u8,
    /// Source in the high half, destination in the low one.
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// A program that is being written.
#[derive(Default)]
pub(super) struct Assembler {
    code: Vec<Instruction>,
    /// Where each label lies, once it is placed.
    labels: Vec<Option<usize>>,
    /// Jumps, and where they go.
    jumps: Vec<(usize, Label)>,
}

const CLASS_LOAD: u8 = 0x00;
const CLASS_LOAD_MEMORY: u8 = 0x01;
const CLASS_STORE_IMMEDIATE: u8 = 0x02;
const CLASS_STORE: u8 = 0x03;
const CLASS_ALU32: u8 = 0x04;
const CLASS_JUMP: u8 = 0x05;
const CLASS_ALU64: u8 = 0x07;
const MODE_MEMORY: u8 = 0x60;
const MODE_ATOMIC: u8 = 0xc0;
const SOURCE_REGISTER: u8 = 0x08;
const CALL: u8 = 0x80;
const EXIT: u8 = 0x90;
/// `BPF_PSEUDO_MAP_FD` and `BPF_PSEUDO_MAP_VALUE` of `linux/bpf.h`.
const PSEUDO_MAP: u8 = 1;
const PSEUDO_MAP_VALUE: u8 = 2;

impl Assembler {
    pub(super) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// The label lies here.
    pub(super) fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.code.len());
    }

    fn push(&mut self, code: u8, to: Register, from: Register, offset: i16, immediate: i32) {
        self.code.push(Instruction { code, registers: from.0 << 4 | to.0, offset, immediate });
    }

    /// `to = to OP operand`.
    pub(super) fn alu(&mut self, operation: Alu, to: Register, operand: impl Into<Operand>) {
        self.operate(CLASS_ALU64 | operation as u8, to, operand.into());
    }

    /// `to = operand`.
    pub(super) fn set(&mut self, to: Register, operand: impl Into<Operand>) {
        self.alu(Alu::Move, to, operand);
    }

    /// `to` = the low half of `from`.
    pub(super) fn low_half(&mut self, to: Register, from: Register) {
        self.operate(CLASS_ALU32 | Alu::Move as u8, to, from.into());
    }

    fn operate(&mut self, code: u8, to: Register, operand: Operand) {
        match operand {
            Operand::Register(from) => self.push(code | SOURCE_REGISTER, to, from, 0, 0),
            Operand::Immediate(value) => self.push(code, to, R0, 0, value),
        }
    }

    /// `to = value`, all 64 bits of it.
    pub(super) fn constant(&mut self, to: Register, value: u64) {
        self.wide(to, 0, value);
    }

    fn wide(&mut self, to: Register, pseudo: u8, value: u64) {
        let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
        let code = CLASS_LOAD | Width::Double as u8;
        self.push(code, to, Register(pseudo), 0, i32::from_le_bytes([a, b, c, d]));
        self.push(0, R0, R0, 0, i32::from_le_bytes([e, f, g, h]));
    }

    /// `to` = the map itself, for a helper.
    pub(super) fn map(&mut self, to: Register, map: &Map) {
        self.wide(to, PSEUDO_MAP, descriptor(map));
    }

    /// `to` = the address of a byte of the only value of an array map.
    pub(super) fn map_value(&mut self, to: Register, map: &Map, byte: u32) {
        self.wide(to, PSEUDO_MAP_VALUE, descriptor(map) | u64::from(byte) << 32);
    }

    /// `to = *(base + offset)`, zeros above.
    pub(super) fn load(&mut self, width: Width, to: Register, base: Register, offset: i16) {
        self.push(CLASS_LOAD_MEMORY | MODE_MEMORY | width as u8, to, base, offset, 0);
    }

    /// `*(base + offset) = from`.
    pub(super) fn store(&mut self, width: Width, base: Register, offset: i16, from: Register) {
        self.push(CLASS_STORE | MODE_MEMORY | width as u8, base, from, offset, 0);
    }

    /// `*(base + offset) = value`.
    pub(super) fn store_constant(&mut self, width: Width, base: Register, offset: i16, value: i32) {
        self.push(CLASS_STORE_IMMEDIATE | MODE_MEMORY | width as u8, base, R0, offset, value);
    }

    /// `*(base + offset) += from`, atomically.
    pub(super) fn atomic_add(&mut self, width: Width, base: Register, offset: i16, from: Register) {
        self.atomic(Atomic::Add, width, base, offset, from);
    }

    /// `*(base + offset) |= from`, atomically.
    pub(super) fn atomic_or(&mut self, width: Width, base: Register, offset: i16, from: Register) {
        self.atomic(Atomic::Or, width, base, offset, from);
    }

    /// `*(base + offset) += from` atomically; `from` = what was there before.
    pub(super) fn fetch_add(&mut self, width: Width, base: Register, offset: i16, from: Register) {
        self.atomic(Atomic::FetchAdd, width, base, offset, from);
    }

    /// Where `*(base + offset)` is R0, it becomes `from`; R0 = what was there before.
    pub(super) fn compare_exchange(
        &mut self,
        width: Width,
        base: Register,
        offset: i16,
        from: Register,
    ) {
        self.atomic(Atomic::CompareExchange, width, base, offset, from);
    }

    fn atomic(&mut self, what: Atomic, width: Width, base: Register, offset: i16, from: Register) {
        let code = CLASS_STORE | MODE_ATOMIC | width as u8;
        self.push(code, base, from, offset, i32::from(what as u8));
    }

    pub(super) fn jump(&mut self, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.push(CLASS_JUMP, R0, R0, 0, 0);
    }

    pub(super) fn jump_if(
        &mut self,
        when: When,
        left: Register,
        right: impl Into<Operand>,
        to: Label,
    ) {
        self.jumps.push((self.code.len(), to));
        self.operate(CLASS_JUMP | when as u8, left, right.into());
    }

    pub(super) fn call(&mut self, helper: Helper) {
        self.push(CLASS_JUMP | CALL, R0, R0, 0, i32::from(helper as u8));
    }

    /// Ends the program, with the result 0.
    pub(super) fn leave(&mut self) {
        self.set(R0, 0);
        self.push(CLASS_JUMP | EXIT, R0, R0, 0, 0);
    }

    /// The instructions, with each jump's distance in place.
    ///
    /// # Panics
    ///
    /// A label was never placed, or lies too far away. The programs are fixed, so either is an
    /// error in this crate that its first test meets.
    pub(super) fn finish(mut self) -> Vec<Instruction> {
        for (from, label) in self.jumps {
            let to = self.labels[label.0].expect("each label is placed");
            let [to, next] =
                [to, from + 1].map(|at| i16::try_from(at).expect("programs are short"));
            self.code[from].offset = to - next;
        }
        self.code
    }
}

fn descriptor(map: &Map) -> u64 {
    u64::try_from(map.as_fd().as_raw_fd()).expect("an open descriptor is not negative")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Code, registers, offset and immediate of each.
    fn assembled(write: impl FnOnce(&mut Assembler)) -> Vec<(u8, u8, i16, i32)> {
        let mut assembler = Assembler::default();
        write(&mut assembler);
        let fields = |i: Instruction| (i.code, i.registers, i.offset, i.immediate);
        assembler.finish().into_iter().map(fields).collect()
    }

    #[test]
    fn instructions_are_encoded_as_the_standard_has_them() {
        let code = assembled(|a| {
            a.set(R6, R1);
            a.alu(Alu::Add, R2, -8);
            a.low_half(R3, R3);
            a.load(Width::Double, R7, R6, 8);
            a.store(Width::Word, FRAME, -4, R7);
            a.store_constant(Width::Word, FRAME, -8, 1);
            a.atomic_add(Width::Double, R0, 0, R1);
            a.compare_exchange(Width::Double, R2, 8, R3);
            a.call(Helper::CurrentTask);
        });
        assert_eq!(
            code,
            [
                (0xbf, 0x16, 0, 0),
                (0x07, 0x02, 0, -8),
                (0xbc, 0x33, 0, 0),
                (0x79, 0x67, 8, 0),
                (0x63, 0x7a, -4, 0),
                (0x62, 0x0a, -8, 1),
                (0xdb, 0x10, 0, 0),
                (0xdb, 0x32, 8, 0xf1),
                (0x85, 0x00, 0, 158),
            ]
        );
    }

    #[test]
    fn jumps_count_from_the_next_instruction() {
        let code = assembled(|a| {
            let (again, end) = (a.label(), a.label());
            a.place(again);
            a.jump_if(When::Equal, R1, 7, end);
            a.constant(R1, 0x0123_4567_89ab_cdef);
            a.jump(again);
            a.place(end);
            a.leave();
        });
        assert_eq!(code[0], (0x15, 0x01, 3, 7));
        assert_eq!(code[1], (0x18, 0x01, 0, 0x89ab_cdef_u32.cast_signed()));
        assert_eq!(code[2], (0x00, 0x00, 0, 0x0123_4567));
        assert_eq!(code[3], (0x05, 0x00, -4, 0));
        assert_eq!(code[5], (0x95, 0x00, 0, 0));
    }
}
