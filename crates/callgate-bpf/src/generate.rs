//! Random programs and inputs, for tests.
//!
//! Deterministic: the same seed gives the same programs on every machine, so a failing test names
//! a seed and can be run again. Nothing here is meant for use outside tests, and it may change
//! with every version; it needs the feature `testing`.
//!
//! ```
//! use callgate_bpf::generate::{self, Rng};
//! use callgate_bpf::{ByteOrder, Layout, Program, ShiftRule};
//!
//! let layout = Layout::seccomp(ByteOrder::NATIVE);
//! let mut rng = Rng::new(1);
//! let instructions = generate::valid_program(&mut rng, &layout, 50);
//! let inputs = generate::inputs(&mut rng, &instructions, 10);
//! let program = Program::new(instructions, layout)?;
//! for words in inputs {
//!     program.run(&words, ShiftRule::Low5);
//! }
//! # Ok::<(), callgate_bpf::Invalid>(())
//! ```

use alloc::vec;
use alloc::vec::Vec;

use crate::{AluOp, Condition, Instruction, Layout, MAX_INSTRUCTIONS, Op, Operand};

/// A small generator of random numbers (splitmix64). Not for secrets.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// A generator whose numbers depend on the seed alone.
    pub const fn new(seed: u64) -> Rng {
        Rng { state: seed }
    }

    /// The next 64 bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next 32 bits.
    pub const fn next_u32(&mut self) -> u32 {
        let [a, b, c, d, ..] = self.next_u64().to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    /// A number below `bound`.
    ///
    /// # Panics
    /// When `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("usize fits 64 bits");
        usize::try_from(self.next_u64() % bound).expect("below a usize")
    }

    /// True about once in `n`.
    ///
    /// # Panics
    /// When `n` is 0.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of the items.
    ///
    /// # Panics
    /// When there is none.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

/// A program that the kernel takes: all 41 opcodes, jumps and scratch memory included, at most
/// `longest` instructions, mostly few. Unused fields are not always 0.
pub fn valid_program(rng: &mut Rng, layout: &Layout, longest: usize) -> Vec<Instruction> {
    let longest = longest.clamp(1, MAX_INSTRUCTIONS);
    let length = match rng.below(16) {
        0 => 1 + rng.below(longest),
        1 => 1 + rng.below(4.min(longest)),
        _ => 1 + rng.below(40.min(longest)),
    };
    let mut writer = Writer { layout, length, written: 0, at_target: vec![u16::MAX; length] };
    (0..length).map(|index| writer.next(rng, index)).collect()
}

/// A program that the kernel may or may not take: more than half are valid, the others are a
/// few changes away from it, near the borders of the rules.
pub fn program(rng: &mut Rng, layout: &Layout, longest: usize) -> Vec<Instruction> {
    let mut instructions = valid_program(rng, layout, longest);
    if rng.below(5) < 3 {
        for _ in 0..1 + rng.below(2) {
            spoil(rng, &mut instructions);
        }
    }
    instructions
}

/// Words for a program to run over, most of them at or beside the constants that it has.
pub fn inputs(rng: &mut Rng, instructions: &[Instruction], count: usize) -> Vec<[u32; 16]> {
    let constants: Vec<u32> = instructions.iter().map(|instruction| instruction.k).collect();
    (0..count).map(|_| core::array::from_fn(|_| boundary(rng, &constants))).collect()
}

/// Words for several programs to run over, each at or beside a constant that one of them compares
/// this very word with: so most reach what is behind the tests of architecture and number, where
/// [`inputs`] seldom comes.
pub fn inputs_by_word(rng: &mut Rng, programs: &[&[Instruction]], count: usize) -> Vec<[u32; 16]> {
    let mut constants: [Vec<u32>; 16] = core::array::from_fn(|_| Vec::new());
    for program in programs {
        // In the order of the text: a load stands close before its tests.
        let mut word = 0;
        for instruction in *program {
            match instruction.decode() {
                Some(Op::Load(offset)) => word = usize::try_from(offset / 4).unwrap_or(0) % 16,
                Some(Op::Branch { condition, operand: Operand::K(k), .. }) => {
                    constants[word].push(k);
                    if condition == Condition::Set {
                        constants[word].push(!k);
                    }
                }
                Some(Op::Alu(AluOp::And, Operand::K(k))) => constants[word].push(!k),
                _ => {}
            }
        }
    }
    let beside = |rng: &mut Rng, constants: &[u32]| {
        let k = if constants.is_empty() { 0 } else { rng.pick(constants) };
        match rng.below(12) {
            0 => k.wrapping_add(1),
            1 => k.wrapping_sub(1),
            2 => k ^ (1 << rng.below(32)),
            3 => k.wrapping_neg(),
            4 => rng.next_u32(),
            5 => 0,
            _ => k,
        }
    };
    (0..count).map(|_| core::array::from_fn(|word| beside(rng, &constants[word]))).collect()
}

/// A word at or beside one of the constants, or of a list of troublesome ones.
fn boundary(rng: &mut Rng, constants: &[u32]) -> u32 {
    let base = match rng.below(4) {
        0 => rng.next_u32(),
        1 => constant(rng),
        _ if constants.is_empty() => 0,
        _ => rng.pick(constants),
    };
    match rng.below(8) {
        0 => base.wrapping_add(1),
        1 => base.wrapping_sub(1),
        2 => !base,
        3 => base.wrapping_neg(),
        4 => base ^ (1 << rng.below(32)),
        _ => base,
    }
}

/// Constants around which machines differ.
fn constant(rng: &mut Rng) -> u32 {
    const TROUBLESOME: &[u32] = &[
        0,
        1,
        2,
        3,
        5,
        7,
        8,
        15,
        16,
        31,
        32,
        33,
        40,
        63,
        64,
        65,
        0x7f,
        0x80,
        0xff,
        0x100,
        0x101,
        0xfff,
        0x7fff,
        0xffff,
        0x1_0000,
        0x4000_0000,
        0x7fff_0000,
        0x7fff_fffe,
        0x7fff_ffff,
        0x8000_0000,
        0x8000_0001,
        0xc000_003e,
        0xffff_0000,
        0xffff_fffe,
        u32::MAX,
    ];
    if rng.one_in(4) { rng.next_u32() >> rng.below(32) } else { rng.pick(TROUBLESOME) }
}

const ALU_OPS: &[AluOp] = &[
    AluOp::Add,
    AluOp::Sub,
    AluOp::Mul,
    AluOp::Div,
    AluOp::Or,
    AluOp::And,
    AluOp::Lsh,
    AluOp::Rsh,
    AluOp::Xor,
];

const CONDITIONS: &[Condition] = &[Condition::Eq, Condition::Gt, Condition::Ge, Condition::Set];

/// What has to be known so that the next instruction keeps the program valid.
struct Writer<'a> {
    layout: &'a Layout,
    length: usize,
    /// Scratch words that the kernel takes for written here.
    written: u16,
    /// The same at each instruction that a jump leads to.
    at_target: Vec<u16>,
}

impl Writer<'_> {
    fn next(&mut self, rng: &mut Rng, index: usize) -> Instruction {
        self.written &= self.at_target[index];
        let op = if index + 1 == self.length { last(rng) } else { self.inner(rng, index) };
        match op {
            Op::Store(word) | Op::StoreX(word) => self.written |= 1 << word,
            Op::Jump(distance) => {
                self.aim(index, usize::try_from(distance).expect("chosen below the length"));
                self.written = u16::MAX;
            }
            Op::Branch { jt, jf, .. } => {
                self.aim(index, usize::from(jt));
                self.aim(index, usize::from(jf));
                self.written = u16::MAX;
            }
            _ => {}
        }
        let mut instruction = Instruction::from(op);
        if rng.one_in(16) {
            dirty(rng, &mut instruction);
        }
        instruction
    }

    fn aim(&mut self, index: usize, distance: usize) {
        self.at_target[index + 1 + distance] &= self.written;
    }

    /// Anything but the last instruction.
    fn inner(&self, rng: &mut Rng, index: usize) -> Op {
        let operand = |rng: &mut Rng| {
            if rng.one_in(2) { Operand::X } else { Operand::K(constant(rng)) }
        };
        match rng.below(40) {
            0..8 => {
                let words = usize::try_from(self.layout.size / 4).expect("a small number");
                Op::Load(4 * u32::try_from(rng.below(words)).expect("a small number"))
            }
            8 => rng.pick(&[Op::LoadLen, Op::LoadXLen]),
            9 => Op::LoadImm(constant(rng)),
            10 => Op::LoadXImm(constant(rng)),
            11..14 => {
                let word = scratch_index(rng);
                rng.pick(&[Op::Store(word), Op::StoreX(word)])
            }
            14..18 => {
                let word = scratch_index(rng);
                if self.written & (1 << word) == 0 {
                    rng.pick(&[Op::Store(word), Op::StoreX(word)])
                } else {
                    rng.pick(&[Op::LoadMem(word), Op::LoadXMem(word)])
                }
            }
            18..26 => match (rng.pick(ALU_OPS), operand(rng)) {
                (AluOp::Div, Operand::K(0)) => Op::Alu(AluOp::Div, Operand::K(1)),
                (alu @ (AluOp::Lsh | AluOp::Rsh), Operand::K(k)) => {
                    Op::Alu(alu, Operand::K(k & 31))
                }
                (alu, operand) => Op::Alu(alu, operand),
            },
            26 => Op::Neg,
            27..30 => rng.pick(&[Op::Tax, Op::Txa]),
            30..32 => {
                let distance = self.distance(rng, index, usize::MAX);
                Op::Jump(u32::try_from(distance).expect("below the length"))
            }
            32 if rng.one_in(3) => last(rng),
            _ => {
                let way = |rng: &mut Rng| {
                    u8::try_from(self.distance(rng, index, 255)).expect("at most 255")
                };
                Op::Branch {
                    condition: rng.pick(CONDITIONS),
                    operand: operand(rng),
                    jt: way(rng),
                    jf: way(rng),
                }
            }
        }
    }

    /// A jump from here that stays in the program: mostly short, sometimes to the very end.
    fn distance(&self, rng: &mut Rng, index: usize, most: usize) -> usize {
        let after = (self.length - index - 1).min(most.saturating_add(1));
        match rng.below(32) {
            0 => rng.below(after),
            1 => after - 1,
            2..16 => 0,
            _ => rng.below(after.min(4)),
        }
    }
}

fn last(rng: &mut Rng) -> Op {
    if rng.one_in(4) { Op::Return(constant(rng)) } else { Op::ReturnA }
}

fn scratch_index(rng: &mut Rng) -> u32 {
    // Few words, so that loads meet stores.
    let words = if rng.one_in(4) { 16 } else { 3 };
    u32::try_from(rng.below(words)).expect("at most 15")
}

/// Fills fields that the instruction does not use.
fn dirty(rng: &mut Rng, instruction: &mut Instruction) {
    let [jt, jf, ..] = rng.next_u64().to_be_bytes();
    let k = constant(rng);
    let Some(op) = instruction.decode() else { return };
    if !op.uses_jumps() {
        (instruction.jt, instruction.jf) = (jt, jf);
    }
    if !op.uses_k() {
        instruction.k = k;
    }
}

/// Changes one thing, of the kind that the rules are about.
fn spoil(rng: &mut Rng, instructions: &mut Vec<Instruction>) {
    let Some(last) = instructions.len().checked_sub(1) else { return };
    let index = rng.below(last + 1);
    let after = last - index;
    let near = |rng: &mut Rng, n: usize| n.saturating_add(rng.below(3)).saturating_sub(1);
    let new = match rng.below(12) {
        0 => Op::Load(u32::try_from(near(rng, 4 * rng.clone().below(18))).unwrap_or(0)),
        1 => rng.pick(&[Op::LoadMem(0), Op::LoadXMem(1), Op::LoadMem(2), Op::LoadMem(9)]),
        2 => {
            let word = u32::try_from(near(rng, 15)).expect("a small number");
            rng.pick(&[Op::Store(word), Op::StoreX(word), Op::LoadMem(word), Op::LoadXMem(word)])
        }
        3 => {
            let k = u32::try_from(near(rng, 32)).expect("a small number");
            Op::Alu(rng.pick(&[AluOp::Lsh, AluOp::Rsh]), Operand::K(k))
        }
        4 => Op::Alu(AluOp::Div, Operand::K(u32::from(rng.one_in(2)))),
        5 => {
            let distance = u32::try_from(near(rng, after)).expect("below the length");
            Op::Jump(if rng.one_in(4) { distance.wrapping_neg() } else { distance })
        }
        6 => {
            let far = u8::try_from(near(rng, after).min(255)).expect("at most 255");
            let (jt, jf) = if rng.one_in(2) { (far, 0) } else { (0, far) };
            Op::Branch { condition: rng.pick(CONDITIONS), operand: Operand::X, jt, jf }
        }
        7 => Op::ReturnA,
        8 => {
            instructions.truncate(index + 1);
            return;
        }
        9 => {
            instructions.remove(index);
            return;
        }
        10 => {
            let [_, code, ..] = rng.next_u32().to_be_bytes();
            let bit = if rng.one_in(8) { 1 << rng.below(16) } else { 0 };
            instructions[index].code = u16::from(code) ^ bit;
            return;
        }
        _ => {
            instructions[index].k = boundary(rng, &[0, 16, 32, 64]);
            return;
        }
    };
    instructions[index] = new.into();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ByteOrder, Program, ShiftRule};

    const LAYOUT: Layout = Layout::seccomp(ByteOrder::Little);

    #[test]
    fn a_seed_always_gives_the_same() {
        let run = |seed| {
            let mut rng = Rng::new(seed);
            (program(&mut rng, &LAYOUT, 100), rng.next_u64())
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
        assert_eq!(Rng::new(0).next_u64(), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn valid_programs_are_valid_and_use_every_opcode() {
        let mut rng = Rng::new(7);
        let mut seen = [false; 256];
        for _ in 0..5_000 {
            let instructions = valid_program(&mut rng, &LAYOUT, 300);
            for instruction in &instructions {
                seen[usize::from(instruction.code)] = true;
            }
            assert!(instructions.len() <= 300);
            Program::new(instructions, LAYOUT).unwrap();
        }
        assert_eq!(seen.iter().filter(|seen| **seen).count(), 41);
    }

    #[test]
    fn programs_are_mixed_with_more_valid_than_not() {
        let mut rng = Rng::new(11);
        let mut valid = 0;
        for _ in 0..10_000 {
            let instructions = program(&mut rng, &LAYOUT, 300);
            valid += usize::from(Program::new(instructions, LAYOUT).is_ok());
        }
        assert!((5_000..9_000).contains(&valid), "{valid}");
    }

    #[test]
    fn inputs_by_word_pass_a_row_of_equalities() {
        let equal =
            |k| Op::Branch { condition: Condition::Eq, operand: Operand::K(k), jt: 0, jf: 1 };
        let mut ops = vec![];
        for word in 0..4 {
            ops.extend([
                Op::Load(4 * word),
                equal(0x1234 * (word + 1)),
                Op::Jump(1),
                Op::Return(0),
            ]);
        }
        ops.extend([Op::Return(1), Op::Return(0)]);
        let instructions: Vec<Instruction> = ops.into_iter().map(Instruction::from).collect();
        let inputs = inputs_by_word(&mut Rng::new(1), &[&instructions], 1_000);
        let program = Program::new(instructions, LAYOUT).unwrap();
        let passed = inputs.iter().filter(|words| program.run(words, ShiftRule::Low5).0 == 1);
        assert!(passed.count() > 20);
    }

    #[test]
    fn programs_and_inputs_reach_different_answers() {
        let mut rng = Rng::new(13);
        let mut varied = 0;
        for _ in 0..1_000 {
            let instructions = valid_program(&mut rng, &LAYOUT, 60);
            let inputs = inputs(&mut rng, &instructions, 20);
            let program = Program::new(instructions, LAYOUT).unwrap();
            let answer = |words| program.run(words, ShiftRule::Low5);
            varied += usize::from(inputs.iter().any(|words| answer(words) != answer(&inputs[0])));
        }
        assert!(varied > 400, "{varied} of 1000 programs depend on their input");
    }
}
