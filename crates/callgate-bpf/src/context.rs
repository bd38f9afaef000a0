//! What a filter reads: the fields, their places, and the byte order that decides which half of
//! an argument stands where.

use crate::{Architecture, SyscallNr};

/// The order of bytes in a word, and so of the two words in a 64-bit field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ByteOrder {
    /// Low byte, low word first.
    Little,
    /// High byte, high word first.
    Big,
}

impl ByteOrder {
    /// The order of the machine that this is compiled for.
    pub const NATIVE: ByteOrder =
        if cfg!(target_endian = "big") { ByteOrder::Big } else { ByteOrder::Little };
}

/// The shape of the bytes that a program may load from.
///
/// Seccomp has one; other users of the same instruction set (io_uring's filter, since Linux 7.0)
/// have their own, so everything that reads programs takes it as a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes in all, a multiple of 4. Loads go from 0 to `size - 4`; `LD LEN` yields it.
    pub size: u32,
    /// The order of the two words of a 64-bit field.
    pub byte_order: ByteOrder,
    /// The fields in order of offset, without gaps.
    pub fields: &'static [Field],
}

/// One field of a [`Layout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name in listings: `nr`, `arch`, `args[0]`.
    pub name: &'static str,
    /// Bytes from the start.
    pub offset: u32,
    /// 4 or 8 bytes.
    pub size: u32,
}

const SECCOMP_FIELDS: &[Field] = &[
    Field { name: "nr", offset: 0, size: 4 },
    Field { name: "arch", offset: 4, size: 4 },
    Field { name: "instruction_pointer", offset: 8, size: 8 },
    Field { name: "args[0]", offset: 16, size: 8 },
    Field { name: "args[1]", offset: 24, size: 8 },
    Field { name: "args[2]", offset: 32, size: 8 },
    Field { name: "args[3]", offset: 40, size: 8 },
    Field { name: "args[4]", offset: 48, size: 8 },
    Field { name: "args[5]", offset: 56, size: 8 },
];

impl Layout {
    /// `struct seccomp_data` in the given byte order.
    pub const fn seccomp(byte_order: ByteOrder) -> Layout {
        Layout { size: 64, byte_order, fields: SECCOMP_FIELDS }
    }

    /// Byte offset of the low word of argument `index`, 0 to 5, of `struct seccomp_data`.
    pub const fn arg_low(byte_order: ByteOrder, index: u8) -> u32 {
        16 + 8 * index as u32
            + match byte_order {
                ByteOrder::Little => 0,
                ByteOrder::Big => 4,
            }
    }

    /// Byte offset of the high word of argument `index`, 0 to 5, of `struct seccomp_data`.
    pub const fn arg_high(byte_order: ByteOrder, index: u8) -> u32 {
        Layout::arg_low(byte_order, index) ^ 4
    }

    /// The field that holds the word at `offset`, and whether that word is its high half.
    pub fn field_at(&self, offset: u32) -> Option<(Field, bool)> {
        let field =
            *self.fields.iter().find(|f| f.offset <= offset && offset < f.offset + f.size)?;
        let second = offset != field.offset;
        Some((field, field.size == 8 && second == (self.byte_order == ByteOrder::Little)))
    }
}

/// One system call as a filter sees it, `struct seccomp_data` of `linux/seccomp.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeccompData {
    /// The number.
    pub nr: SyscallNr,
    /// The architecture.
    pub arch: Architecture,
    /// Address of the instruction after the call.
    pub instruction_pointer: u64,
    /// The six argument registers, all 64 bits of them.
    pub args: [u64; 6],
}

impl SeccompData {
    /// A call with no arguments set.
    pub const fn new(arch: Architecture, nr: SyscallNr) -> SeccompData {
        SeccompData { nr, arch, instruction_pointer: 0, args: [0; 6] }
    }

    /// The sixteen words that a program loads, the one at offset 4·i at index i.
    pub const fn words(&self, byte_order: ByteOrder) -> [u32; 16] {
        let mut words = [0; 16];
        words[0] = self.nr.0;
        words[1] = self.arch.0;
        let mut i = 0;
        while i < 7 {
            let value = if i == 0 { self.instruction_pointer } else { self.args[i - 1] };
            let (low, high) = halves(value);
            let (first, second) = match byte_order {
                ByteOrder::Little => (low, high),
                ByteOrder::Big => (high, low),
            };
            words[2 + 2 * i] = first;
            words[3 + 2 * i] = second;
            i += 1;
        }
        words
    }

    /// The reverse of [`SeccompData::words`].
    pub const fn from_words(words: &[u32; 16], byte_order: ByteOrder) -> SeccompData {
        const fn wide(words: &[u32; 16], index: usize, byte_order: ByteOrder) -> u64 {
            let (low, high) = match byte_order {
                ByteOrder::Little => (words[index], words[index + 1]),
                ByteOrder::Big => (words[index + 1], words[index]),
            };
            (high as u64) << 32 | low as u64
        }
        let mut args = [0; 6];
        let mut i = 0;
        while i < 6 {
            args[i] = wide(words, 4 + 2 * i, byte_order);
            i += 1;
        }
        SeccompData {
            nr: SyscallNr(words[0]),
            arch: Architecture(words[1]),
            instruction_pointer: wide(words, 2, byte_order),
            args,
        }
    }
}

/// Low and high word.
const fn halves(value: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
    (u32::from_be_bytes([e, f, g, h]), u32::from_be_bytes([a, b, c, d]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_follow_the_byte_order() {
        let mut data = SeccompData::new(Architecture(0xc000_003e), SyscallNr(39));
        data.args[5] = 0x1122_3344_5566_7788;
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let words = data.words(order);
            assert_eq!(words[0], 39);
            assert_eq!(words[1], 0xc000_003e);
            assert_eq!(words[Layout::arg_low(order, 5) as usize / 4], 0x5566_7788);
            assert_eq!(words[Layout::arg_high(order, 5) as usize / 4], 0x1122_3344);
            assert_eq!(SeccompData::from_words(&words, order), data);
            let layout = Layout::seccomp(order);
            let (field, high) = layout.field_at(Layout::arg_high(order, 5)).unwrap();
            assert_eq!((field.name, high), ("args[5]", true));
            assert!(!layout.field_at(0).unwrap().1);
        }
    }
}
