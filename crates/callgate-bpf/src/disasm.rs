//! A program as text.
//!
//! One instruction a line, each with its index as a label, jump targets by label, and a comment
//! with what the numbers mean where that is known:
//!
//! ```text
//! 0000: ld   [4]                     ; arch
//! 0001: jeq  #0xc000003e, 0002, 0005 ; x86_64
//! 0002: ld   [0]                     ; nr
//! 0003: jeq  #59, 0004, 0005         ; execve
//! 0004: ret  #0x50001                ; errno(1)
//! 0005: ret  #0x7fff0000             ; allow
//! ```
//!
//! [`asm`](crate::asm) reads it back, to the byte. Where a program has something in fields that
//! an instruction does not use, braces after the instruction say what: `tax {jt=1 k=0x7}`. What
//! is no instruction of seccomp stands as `.raw code, jt, jf, k`.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use core::fmt;

use crate::knowledge::{self, Holds, Known};
use crate::{
    AluOp, Architecture, Condition, Instruction, Layout, Names, NoNames, Op, Operand, Program,
    RawAction, SyscallNr,
};

/// Writes a program down; its `Display` is the whole listing.
///
/// Takes time in proportion to the length of the program.
///
/// ```
/// use callgate_bpf::disasm::Listing;
/// use callgate_bpf::{ByteOrder, Layout, Op, Program, asm};
///
/// let layout = Layout::seccomp(ByteOrder::NATIVE);
/// let instructions = vec![Op::Load(0).into(), Op::Return(0x7fff_0000).into()];
/// let program = Program::new(instructions, layout)?;
/// let text = Listing::new(&program).to_string();
/// assert_eq!(text, "\
/// 0000: ld   [0]         ; nr
/// 0001: ret  #0x7fff0000 ; allow
/// ");
/// assert_eq!(asm::assemble(&text, layout).as_ref(), Ok(&program));
/// # Ok::<(), callgate_bpf::Invalid>(())
/// ```
#[derive(Clone, Copy)]
pub struct Listing<'a> {
    instructions: &'a [Instruction],
    layout: &'a Layout,
    names: &'a dyn Names,
    assumed: Option<Architecture>,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// The index of the instruction.
    pub index: usize,
    /// The instruction itself.
    pub instruction: Instruction,
    /// What the assembler reads, without the label: `jeq  #59, 0007, 0004`.
    pub text: String,
    /// What it means; may be empty.
    pub comment: String,
}

impl<'a> Listing<'a> {
    /// A listing without names for anything but fields and actions.
    pub fn new(program: &'a Program) -> Listing<'a> {
        Listing::of_instructions(program.instructions(), program.layout())
    }

    /// A listing of instructions that need not make a valid program.
    pub fn of_instructions(instructions: &'a [Instruction], layout: &'a Layout) -> Listing<'a> {
        Listing { instructions, layout, names: &NoNames, assumed: None }
    }

    /// Takes names from here.
    pub fn with_names(self, names: &'a dyn Names) -> Listing<'a> {
        Listing { names, ..self }
    }

    /// Names system calls by this architecture where the program has not looked at it.
    pub fn assuming(self, arch: Architecture) -> Listing<'a> {
        Listing { assumed: Some(arch), ..self }
    }

    /// The lines in order.
    pub fn lines(&self) -> impl Iterator<Item = Line> + use<'a> {
        let listing = *self;
        let survey = knowledge::survey(self.instructions, Known::start(self.assumed));
        let numbered = self.instructions.iter().zip(survey).enumerate();
        numbered.map(move |(index, (instruction, known))| Line {
            index,
            instruction: *instruction,
            text: listing.text(*instruction, index, known),
            comment: match known {
                Some(known) => listing.comment(*instruction, known),
                None => String::from("unreachable"),
            },
        })
    }

    /// The instruction as the assembler reads it.
    fn text(&self, instruction: Instruction, index: usize, known: Option<Known>) -> String {
        let Instruction { code, jt, jf, k } = instruction;
        let target = |distance: u32| {
            let distance = usize::try_from(distance).unwrap_or(usize::MAX);
            let target = index.saturating_add(1).saturating_add(distance);
            (target < self.instructions.len()).then_some(Label(target))
        };
        let written = match instruction.decode() {
            Some(Op::Jump(distance)) => target(distance).map(|to| format!("ja   {to}")),
            Some(Op::Branch { condition, operand, jt, jf }) => {
                let name = condition_name(condition);
                let of_nr = known.is_some_and(|known| known.a == Holds::Word(0));
                target(u32::from(jt)).zip(target(u32::from(jf))).map(|(yes, no)| match operand {
                    // Numbers of system calls are decimal, all else is hexadecimal.
                    Operand::K(k) if of_nr => {
                        format!("{name:4} #{}, {yes}, {no}", SyscallNr(k))
                    }
                    Operand::K(k) => format!("{name:4} #{k:#x}, {yes}, {no}"),
                    Operand::X => format!("{name:4} x, {yes}, {no}"),
                })
            }
            Some(op) => Some(straight(op)),
            None => None,
        };
        match (written, instruction.decode()) {
            (Some(text), Some(op)) => text + &unused_fields(op, instruction),
            _ => format!(".raw {code:#06x}, {jt}, {jf}, {k:#x}"),
        }
    }

    /// What the numbers mean.
    fn comment(&self, instruction: Instruction, known: Known) -> String {
        let comment = match instruction.decode() {
            Some(Op::Load(offset)) => self.field(offset, known),
            Some(Op::Return(k)) => self.names.action(RawAction(k)),
            Some(Op::Branch { operand: Operand::K(k), .. }) => self.compared(k, known),
            Some(Op::Alu(AluOp::And, Operand::K(k))) => match known.a {
                Holds::Word(offset) | Holds::Masked(offset) => self.constant(offset, k, known),
                Holds::Anything => None,
            },
            _ => None,
        };
        // One line, whatever the names have in them.
        comment.map_or_else(String::new, |comment| {
            comment.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
        })
    }

    /// The field at this offset, with the argument's name where the call is known.
    fn field(&self, offset: u32, known: Known) -> Option<Cow<'a, str>> {
        let (field, high) = self.layout.field_at(offset)?;
        if field.size == 4 {
            return Some(Cow::Borrowed(field.name));
        }
        let half = if high { "high" } else { "low" };
        let argument = known
            .arch
            .zip(known.nr())
            .zip(argument_index(field.offset))
            .and_then(|((arch, nr), index)| self.names.argument(arch, nr, index));
        Some(Cow::Owned(match argument {
            Some(name) => format!("{}.{half} {name}", field.name),
            None => format!("{}.{half}", field.name),
        }))
    }

    /// What A is compared with.
    fn compared(&self, k: u32, known: Known) -> Option<Cow<'a, str>> {
        const X86_64: Architecture = Architecture(0xc000_003e);
        match known.a {
            Holds::Word(0) => {
                let arch = known.arch?;
                if arch == X86_64 && k == SyscallNr::X32_BIT {
                    return Some(Cow::Borrowed("x32"));
                }
                self.names.syscall(arch, SyscallNr(k))
            }
            Holds::Word(4) => self.names.architecture(Architecture(k)),
            Holds::Word(offset) | Holds::Masked(offset) => self.constant(offset, k, known),
            Holds::Anything => None,
        }
    }

    /// A constant that meets the word of an argument.
    fn constant(&self, offset: u32, k: u32, known: Known) -> Option<Cow<'a, str>> {
        let (field, high) = self.layout.field_at(offset)?;
        let index = argument_index(field.offset)?;
        let value = if high { u64::from(k) << 32 } else { u64::from(k) };
        if high && k == 0 {
            return None;
        }
        self.names.constant(known.arch?, known.nr()?, index, value)
    }
}

/// The whole listing, a line each; comments stand in one column.
impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Wide enough for most lines; a longer one pushes its comment to the right.
        let widest = self.lines().map(|line| line.text.len()).max().unwrap_or(0).min(32);
        for line in self.lines() {
            let label = Label(line.index);
            if line.comment.is_empty() {
                writeln!(f, "{label}: {}", line.text)?;
            } else {
                writeln!(f, "{label}: {:widest$} ; {}", line.text, line.comment)?;
            }
        }
        Ok(())
    }
}

/// An instruction's index as it is written.
struct Label(usize);

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.0)
    }
}

/// The index of the argument that stands at this offset of `struct seccomp_data`.
fn argument_index(offset: u32) -> Option<u8> {
    let index = u8::try_from(offset.checked_sub(16)? / 8).ok()?;
    (index < 6).then_some(index)
}

/// An instruction that does not jump.
fn straight(op: Op) -> String {
    match op {
        Op::Load(offset) => format!("ld   [{offset}]"),
        Op::LoadLen => String::from("ld   len"),
        Op::LoadImm(k) => format!("ld   #{k:#x}"),
        Op::LoadMem(word) => format!("ld   M[{word}]"),
        Op::LoadXLen => String::from("ldx  len"),
        Op::LoadXImm(k) => format!("ldx  #{k:#x}"),
        Op::LoadXMem(word) => format!("ldx  M[{word}]"),
        Op::Store(word) => format!("st   M[{word}]"),
        Op::StoreX(word) => format!("stx  M[{word}]"),
        Op::Alu(alu, Operand::K(k)) => format!("{:4} #{k:#x}", alu_name(alu)),
        Op::Alu(alu, Operand::X) => format!("{:4} x", alu_name(alu)),
        Op::Neg => String::from("neg"),
        Op::Return(k) => format!("ret  #{k:#x}"),
        Op::ReturnA => String::from("ret  a"),
        Op::Tax => String::from("tax"),
        Op::Txa => String::from("txa"),
        Op::Jump(_) | Op::Branch { .. } => unreachable!("jumps are written with their targets"),
    }
}

/// What stands in fields that the instruction does not use: ` {jt=1 k=0x7}`, or nothing.
fn unused_fields(op: Op, instruction: Instruction) -> String {
    let mut text = String::new();
    let mut field = |name: &str, value: u32| {
        text.push_str(if text.is_empty() { " {" } else { " " });
        text.push_str(&format!("{name}={value:#x}"));
    };
    if !op.uses_jumps() {
        if instruction.jt != 0 {
            field("jt", u32::from(instruction.jt));
        }
        if instruction.jf != 0 {
            field("jf", u32::from(instruction.jf));
        }
    }
    if !op.uses_k() && instruction.k != 0 {
        field("k", instruction.k);
    }
    if !text.is_empty() {
        text.push('}');
    }
    text
}

const fn alu_name(alu: AluOp) -> &'static str {
    match alu {
        AluOp::Add => "add",
        AluOp::Sub => "sub",
        AluOp::Mul => "mul",
        AluOp::Div => "div",
        AluOp::Or => "or",
        AluOp::And => "and",
        AluOp::Lsh => "lsh",
        AluOp::Rsh => "rsh",
        AluOp::Xor => "xor",
    }
}

const fn condition_name(condition: Condition) -> &'static str {
    match condition {
        Condition::Eq => "jeq",
        Condition::Gt => "jgt",
        Condition::Ge => "jge",
        Condition::Set => "jset",
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::ByteOrder;

    const LAYOUT: Layout = Layout::seccomp(ByteOrder::Little);
    const X86_64: u32 = 0xc000_003e;

    struct CloneOnly;

    impl Names for CloneOnly {
        fn syscall(&self, arch: Architecture, nr: SyscallNr) -> Option<Cow<'_, str>> {
            (arch.0 == X86_64 && nr.0 == 56).then_some(Cow::Borrowed("clone"))
        }

        fn architecture(&self, arch: Architecture) -> Option<Cow<'_, str>> {
            (arch.0 == X86_64).then_some(Cow::Borrowed("x86_64"))
        }

        fn argument(&self, _: Architecture, nr: SyscallNr, index: u8) -> Option<Cow<'_, str>> {
            (nr.0 == 56 && index == 0).then_some(Cow::Borrowed("flags\n; ret"))
        }

        fn constant(
            &self,
            _: Architecture,
            nr: SyscallNr,
            index: u8,
            value: u64,
        ) -> Option<Cow<'_, str>> {
            (nr.0 == 56 && index == 0 && value == 0x1000_0000)
                .then_some(Cow::Borrowed("CLONE_NEWUSER"))
        }
    }

    fn branch(condition: Condition, k: u32, jt: u8, jf: u8) -> Op {
        Op::Branch { condition, operand: Operand::K(k), jt, jf }
    }

    fn instructions(ops: &[Op]) -> Vec<Instruction> {
        ops.iter().map(|op| (*op).into()).collect()
    }

    #[test]
    fn names_follow_what_is_known() {
        let program = Program::new(
            instructions(&[
                Op::Load(4),
                branch(Condition::Eq, X86_64, 0, 7),
                Op::Load(0),
                branch(Condition::Ge, 0x4000_0000, 5, 0),
                branch(Condition::Eq, 56, 0, 3),
                Op::Load(16),
                branch(Condition::Set, 0x1000_0000, 0, 1),
                Op::Return(0x0005_0001),
                Op::Return(0x7fff_0000),
                Op::Return(0x8000_0000),
            ]),
            LAYOUT,
        )
        .unwrap();
        let expected = "\
0000: ld   [4]                     ; arch
0001: jeq  #0xc000003e, 0002, 0009 ; x86_64
0002: ld   [0]                     ; nr
0003: jge  #0x40000000, 0009, 0004 ; x32
0004: jeq  #56, 0005, 0008         ; clone
0005: ld   [16]                    ; args[0].low flags?; ret
0006: jset #0x10000000, 0007, 0008 ; CLONE_NEWUSER
0007: ret  #0x50001                ; errno(1)
0008: ret  #0x7fff0000             ; allow
0009: ret  #0x80000000             ; kill_process
";
        let listing = Listing::new(&program).with_names(&CloneOnly).to_string();
        assert_eq!(listing, expected);
    }

    #[test]
    fn an_assumed_architecture_names_calls() {
        let program = Program::new(
            instructions(&[Op::Load(0), branch(Condition::Eq, 56, 0, 0), Op::ReturnA]),
            LAYOUT,
        )
        .unwrap();
        let comment = |listing: Listing| listing.lines().nth(1).unwrap().comment;
        let listing = Listing::new(&program).with_names(&CloneOnly);
        assert_eq!(comment(listing), "");
        assert_eq!(comment(listing.assuming(Architecture(X86_64))), "clone");
    }

    #[test]
    fn what_is_no_instruction_is_written_raw() {
        let instructions = [
            Instruction { code: 0x28, jt: 1, jf: 2, k: 12 },
            Op::Jump(9).into(),
            Instruction { code: 0x07, jt: 1, jf: 0, k: 7 },
            Instruction { code: 0x1d, jt: 0, jf: 0, k: 5 },
            Op::ReturnA.into(),
        ];
        let lines: Vec<String> = Listing::of_instructions(&instructions, &LAYOUT)
            .lines()
            .map(|line| line.text)
            .collect();
        assert_eq!(
            lines,
            [
                ".raw 0x0028, 1, 2, 0xc",
                ".raw 0x0005, 0, 0, 0x9",
                "tax {jt=0x1 k=0x7}",
                "jeq  x, 0004, 0004 {k=0x5}",
                "ret  a"
            ]
        );
    }

    #[test]
    fn dead_code_is_marked() {
        let instructions = vec![Op::ReturnA.into(), Op::ReturnA.into()];
        let program = Program::new(instructions, LAYOUT).unwrap();
        let comments: Vec<String> =
            Listing::new(&program).lines().map(|line| line.comment).collect();
        assert_eq!(comments, ["", "unreachable"]);
    }
}
