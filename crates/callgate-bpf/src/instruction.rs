//! One instruction: the kernel's `struct sock_filter`, and its decoded form.

use core::fmt;

/// One instruction as the kernel takes it, `struct sock_filter` of `linux/filter.h`.
///
/// Any bits may stand in it: [`Instruction::decode`] says whether seccomp knows the opcode, and
/// [`Program::new`](crate::Program::new) whether it may stand where it does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Instruction {
    /// The opcode: class, and what the class needs.
    pub code: u16,
    /// Instructions to skip when a comparison holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// The constant.
    pub k: u32,
}

/// A decoded instruction: the 41 opcodes that seccomp accepts, 18 shapes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the kernel has frozen classic BPF")]
pub enum Op {
    /// A = the word of the context at this byte offset.
    Load(u32),
    /// A = size of the context, 64.
    LoadLen,
    /// A = constant.
    LoadImm(u32),
    /// A = scratch word.
    LoadMem(u32),
    /// X = size of the context, 64.
    LoadXLen,
    /// X = constant.
    LoadXImm(u32),
    /// X = scratch word.
    LoadXMem(u32),
    /// Scratch word = A.
    Store(u32),
    /// Scratch word = X.
    StoreX(u32),
    /// A = A op operand.
    Alu(AluOp, Operand),
    /// A = −A.
    Neg,
    /// Skip this many instructions.
    Jump(u32),
    /// Skip `jt` instructions when A stands so to the operand, else `jf`.
    Branch {
        /// The comparison.
        condition: Condition,
        /// Its right side.
        operand: Operand,
        /// Skip when it holds.
        jt: u8,
        /// Skip when it does not.
        jf: u8,
    },
    /// End with a constant.
    Return(u32),
    /// End with A.
    ReturnA,
    /// X = A.
    Tax,
    /// A = X.
    Txa,
}

/// The second operand of an ALU operation or a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the kernel has frozen classic BPF")]
pub enum Operand {
    /// The instruction's constant.
    K(u32),
    /// The index register.
    X,
}

/// Arithmetic on A, all unsigned 32-bit with wraparound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the kernel has frozen classic BPF")]
#[expect(missing_docs, reason = "the names are the operations")]
pub enum AluOp {
    Add,
    Sub,
    Mul,
    Div,
    Or,
    And,
    Lsh,
    Rsh,
    Xor,
}

/// A comparison of A, unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the kernel has frozen classic BPF")]
pub enum Condition {
    /// A == operand.
    Eq,
    /// A > operand.
    Gt,
    /// A >= operand.
    Ge,
    /// A & operand != 0.
    Set,
}

// Opcode bits of linux/bpf_common.h.
const LD: u16 = 0x00;
const LDX: u16 = 0x01;
const ST: u16 = 0x02;
const STX: u16 = 0x03;
const ALU: u16 = 0x04;
const JMP: u16 = 0x05;
const RET: u16 = 0x06;
const MISC: u16 = 0x07;

const IMM: u16 = 0x00;
const ABS: u16 = 0x20;
const MEM: u16 = 0x60;
const LEN: u16 = 0x80;

const JA: u16 = 0x00;
const NEG: u16 = 0x80;
const SRC_X: u16 = 0x08;
const RET_A: u16 = 0x10;
const TXA: u16 = 0x80;

impl Instruction {
    /// The meaning of the opcode and its fields; `None` when seccomp does not know the opcode.
    ///
    /// Fields that the opcode does not use are ignored, as the kernel ignores them.
    pub const fn decode(self) -> Option<Op> {
        let Instruction { code, jt, jf, k } = self;
        if code > 0xff {
            return None;
        }
        let operand = if code & SRC_X == 0 { Operand::K(k) } else { Operand::X };
        Some(match code & 0x07 {
            LD => match code & 0xf8 {
                ABS => Op::Load(k),
                LEN => Op::LoadLen,
                IMM => Op::LoadImm(k),
                MEM => Op::LoadMem(k),
                _ => return None,
            },
            LDX => match code & 0xf8 {
                LEN => Op::LoadXLen,
                IMM => Op::LoadXImm(k),
                MEM => Op::LoadXMem(k),
                _ => return None,
            },
            ST if code == ST => Op::Store(k),
            STX if code == STX => Op::StoreX(k),
            ALU => match code & 0xf0 {
                0x00 => Op::Alu(AluOp::Add, operand),
                0x10 => Op::Alu(AluOp::Sub, operand),
                0x20 => Op::Alu(AluOp::Mul, operand),
                0x30 => Op::Alu(AluOp::Div, operand),
                0x40 => Op::Alu(AluOp::Or, operand),
                0x50 => Op::Alu(AluOp::And, operand),
                0x60 => Op::Alu(AluOp::Lsh, operand),
                0x70 => Op::Alu(AluOp::Rsh, operand),
                NEG if code & SRC_X == 0 => Op::Neg,
                0xa0 => Op::Alu(AluOp::Xor, operand),
                _ => return None,
            },
            JMP => {
                let condition = match code & 0xf0 {
                    JA if code & SRC_X == 0 => return Some(Op::Jump(k)),
                    0x10 => Condition::Eq,
                    0x20 => Condition::Gt,
                    0x30 => Condition::Ge,
                    0x40 => Condition::Set,
                    _ => return None,
                };
                Op::Branch { condition, operand, jt, jf }
            }
            RET => match code & 0xf8 {
                0x00 => Op::Return(k),
                RET_A => Op::ReturnA,
                _ => return None,
            },
            MISC => match code & 0xf8 {
                0x00 => Op::Tax,
                TXA => Op::Txa,
                _ => return None,
            },
            _ => return None,
        })
    }

    /// The four fields as they lie in memory on a machine of this byte order.
    pub const fn to_bytes(self, order: crate::ByteOrder) -> [u8; 8] {
        let (c, k) = match order {
            crate::ByteOrder::Little => (self.code.to_le_bytes(), self.k.to_le_bytes()),
            crate::ByteOrder::Big => (self.code.to_be_bytes(), self.k.to_be_bytes()),
        };
        [c[0], c[1], self.jt, self.jf, k[0], k[1], k[2], k[3]]
    }

    /// The reverse of [`Instruction::to_bytes`].
    pub const fn from_bytes(bytes: [u8; 8], order: crate::ByteOrder) -> Instruction {
        let [c0, c1, jt, jf, k0, k1, k2, k3] = bytes;
        let (code, k) = match order {
            crate::ByteOrder::Little => {
                (u16::from_le_bytes([c0, c1]), u32::from_le_bytes([k0, k1, k2, k3]))
            }
            crate::ByteOrder::Big => {
                (u16::from_be_bytes([c0, c1]), u32::from_be_bytes([k0, k1, k2, k3]))
            }
        };
        Instruction { code, jt, jf, k }
    }
}

impl Op {
    /// Whether the operation reads the field `k`; where it does not, any value may stand there.
    pub(crate) const fn uses_k(self) -> bool {
        match self {
            Op::Load(_)
            | Op::LoadImm(_)
            | Op::LoadMem(_)
            | Op::LoadXImm(_)
            | Op::LoadXMem(_)
            | Op::Store(_)
            | Op::StoreX(_)
            | Op::Jump(_)
            | Op::Return(_)
            | Op::Alu(_, Operand::K(_))
            | Op::Branch { operand: Operand::K(_), .. } => true,
            Op::LoadLen
            | Op::LoadXLen
            | Op::Neg
            | Op::ReturnA
            | Op::Tax
            | Op::Txa
            | Op::Alu(_, Operand::X)
            | Op::Branch { operand: Operand::X, .. } => false,
        }
    }

    /// Whether the operation reads the fields `jt` and `jf`.
    pub(crate) const fn uses_jumps(self) -> bool {
        matches!(self, Op::Branch { .. })
    }
}

/// The one encoding of an operation; unused fields are 0.
impl From<Op> for Instruction {
    fn from(op: Op) -> Instruction {
        let with = |code: u16, k: u32| Instruction { code, jt: 0, jf: 0, k };
        let split = |operand: Operand| match operand {
            Operand::K(k) => (0, k),
            Operand::X => (SRC_X, 0),
        };
        match op {
            Op::Load(k) => with(LD | ABS, k),
            Op::LoadLen => with(LD | LEN, 0),
            Op::LoadImm(k) => with(LD | IMM, k),
            Op::LoadMem(k) => with(LD | MEM, k),
            Op::LoadXLen => with(LDX | LEN, 0),
            Op::LoadXImm(k) => with(LDX | IMM, k),
            Op::LoadXMem(k) => with(LDX | MEM, k),
            Op::Store(k) => with(ST, k),
            Op::StoreX(k) => with(STX, k),
            Op::Alu(alu, operand) => {
                let code = match alu {
                    AluOp::Add => 0x00,
                    AluOp::Sub => 0x10,
                    AluOp::Mul => 0x20,
                    AluOp::Div => 0x30,
                    AluOp::Or => 0x40,
                    AluOp::And => 0x50,
                    AluOp::Lsh => 0x60,
                    AluOp::Rsh => 0x70,
                    AluOp::Xor => 0xa0,
                };
                let (source, k) = split(operand);
                with(ALU | code | source, k)
            }
            Op::Neg => with(ALU | NEG, 0),
            Op::Jump(k) => with(JMP | JA, k),
            Op::Branch { condition, operand, jt, jf } => {
                let code = match condition {
                    Condition::Eq => 0x10,
                    Condition::Gt => 0x20,
                    Condition::Ge => 0x30,
                    Condition::Set => 0x40,
                };
                let (source, k) = split(operand);
                Instruction { code: JMP | code | source, jt, jf, k }
            }
            Op::Return(k) => with(RET, k),
            Op::ReturnA => with(RET | RET_A, 0),
            Op::Tax => with(MISC, 0),
            Op::Txa => with(MISC | TXA, 0),
        }
    }
}

/// `{ 0x20, 0, 0, 0x00000004 }`, as C arrays are written.
impl fmt::Debug for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{ {:#04x}, {}, {}, {:#010x} }}", self.code, self.jt, self.jf, self.k)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ByteOrder;

    #[test]
    fn seccomp_knows_41_opcodes_and_each_survives_encoding() {
        let mut known = 0;
        for code in 0..=u16::MAX {
            let instruction = Instruction { code, jt: 1, jf: 2, k: 3 };
            if let Some(op) = instruction.decode() {
                known += 1;
                assert_eq!(Instruction::from(op).decode(), Some(op));
                assert_eq!(Instruction::from(op).code, code);
            }
        }
        assert_eq!(known, 41);
    }

    #[test]
    fn bytes_survive_in_both_orders() {
        let instruction = Instruction { code: 0x15, jt: 1, jf: 255, k: 0xc000_003e };
        for order in [ByteOrder::Little, ByteOrder::Big] {
            assert_eq!(Instruction::from_bytes(instruction.to_bytes(order), order), instruction);
        }
        assert_eq!(instruction.to_bytes(ByteOrder::Big), [0, 0x15, 1, 255, 0xc0, 0, 0, 0x3e]);
    }
}
