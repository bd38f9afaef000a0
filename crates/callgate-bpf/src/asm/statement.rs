//! One instruction as it is written.

use super::cursor::Cursor;
use super::error::{Error, Kind, excerpt};
use crate::{Action, AluOp, Condition, Instruction, Layout, Op, Operand};

/// An instruction with its place, its jumps not yet resolved.
pub(super) struct Statement<'t> {
    pub(super) draft: Draft<'t>,
    pub(super) unused: Unused,
    pub(super) line: usize,
    pub(super) column: usize,
}

/// An instruction as far as one line tells.
pub(super) enum Draft<'t> {
    Whole(Instruction),
    Jump(Target<'t>),
    /// A way without a target goes on with the next instruction.
    Branch {
        condition: Condition,
        operand: Operand,
        yes: Option<Target<'t>>,
        no: Option<Target<'t>>,
    },
}

/// A label that is jumped to.
pub(super) struct Target<'t> {
    pub(super) label: &'t str,
    pub(super) column: usize,
}

/// Values for fields that the instruction does not use.
#[derive(Default)]
pub(super) struct Unused {
    pub(super) jt: Option<u8>,
    pub(super) jf: Option<u8>,
    pub(super) k: Option<u32>,
}

const RETURNS: &str =
    "`a`, a constant such as `#0x7fff0000` or an action such as `allow` or `errno(1)`";

impl<'t> Statement<'t> {
    /// Reads one instruction, labels being done with.
    pub(super) fn read(cursor: &mut Cursor<'t>, layout: &Layout) -> Result<Statement<'t>, Error> {
        let (line, column) = (cursor.line(), cursor.column());
        let Some(mnemonic) = cursor.word() else {
            return Err(cursor.expected("an instruction or a label with `:`"));
        };
        let draft = match mnemonic {
            ".raw" => Draft::Whole(raw(cursor)?),
            "ja" => Draft::Jump(target(cursor)?),
            _ => match condition(mnemonic) {
                Some((condition, swapped)) => branch(cursor, condition, swapped)?,
                None => match straight(mnemonic, cursor, layout)? {
                    Some(op) => Draft::Whole(op.into()),
                    None => {
                        let kind = Kind::Mnemonic { found: excerpt(mnemonic) };
                        return Err(cursor.error_at(column, kind));
                    }
                },
            },
        };
        let (uses_jumps, uses_k) = match &draft {
            // Everything is said.
            Draft::Whole(_) if mnemonic == ".raw" => (true, true),
            Draft::Whole(instruction) => {
                let op = instruction.decode().expect("made from an operation");
                (op.uses_jumps(), op.uses_k())
            }
            Draft::Jump(_) => (false, true),
            Draft::Branch { operand, .. } => (true, matches!(operand, Operand::K(_))),
        };
        let unused = Unused::read(cursor, uses_jumps, uses_k)?;
        Ok(Statement { draft, unused, line, column })
    }
}

/// `.raw code, jt, jf, k`, the directive being done with.
fn raw(cursor: &mut Cursor<'_>) -> Result<Instruction, Error> {
    let byte = |cursor: &mut Cursor<'_>, what| {
        cursor.require(',', "`,`")?;
        Ok(u8::try_from(cursor.number(what, 255)?).expect("at most 255"))
    };
    let code = cursor.number("the opcode, a number", u32::from(u16::MAX))?;
    let jt = byte(cursor, "jt, a number")?;
    let jf = byte(cursor, "jf, a number")?;
    cursor.require(',', "`,`")?;
    let k = cursor.number("k, a number", u32::MAX)?;
    Ok(Instruction { code: u16::try_from(code).expect("at most 65535"), jt, jf, k })
}

/// The comparison, and whether its ways are the other way round.
fn condition(mnemonic: &str) -> Option<(Condition, bool)> {
    Some(match mnemonic {
        "jeq" => (Condition::Eq, false),
        "jgt" => (Condition::Gt, false),
        "jge" => (Condition::Ge, false),
        "jset" => (Condition::Set, false),
        "jne" => (Condition::Eq, true),
        "jle" => (Condition::Gt, true),
        "jlt" => (Condition::Ge, true),
        _ => return None,
    })
}

fn branch<'t>(
    cursor: &mut Cursor<'t>,
    condition: Condition,
    swapped: bool,
) -> Result<Draft<'t>, Error> {
    let operand = operand(cursor)?;
    cursor.require(',', "`,` and a label")?;
    let first = Some(target(cursor)?);
    let second = if cursor.take(',') { Some(target(cursor)?) } else { None };
    let (yes, no) = if swapped { (second, first) } else { (first, second) };
    Ok(Draft::Branch { condition, operand, yes, no })
}

fn target<'t>(cursor: &mut Cursor<'t>) -> Result<Target<'t>, Error> {
    let column = cursor.column();
    match cursor.word() {
        Some(label) => Ok(Target { label, column }),
        None => Err(cursor.expected("a label")),
    }
}

/// `#5` or `x`.
fn operand(cursor: &mut Cursor<'_>) -> Result<Operand, Error> {
    if cursor.take('#') {
        return Ok(Operand::K(constant(cursor)?));
    }
    let expected = cursor.expected("a constant such as `#5`, or `x`");
    match cursor.word() {
        Some("x") => Ok(Operand::X),
        _ => Err(expected),
    }
}

/// A number, its `#` being done with.
fn constant(cursor: &mut Cursor<'_>) -> Result<u32, Error> {
    cursor.number("a number", u32::MAX)
}

/// An instruction that does not jump; `None` when there is none of this name.
fn straight(mnemonic: &str, cursor: &mut Cursor<'_>, layout: &Layout) -> Result<Option<Op>, Error> {
    let alu = |cursor: &mut Cursor<'_>, alu| operand(cursor).map(|operand| Op::Alu(alu, operand));
    Ok(Some(match mnemonic {
        "ld" => load(cursor, layout)?,
        "ldx" => load_x(cursor)?,
        "st" => Op::Store(scratch(cursor)?),
        "stx" => Op::StoreX(scratch(cursor)?),
        "add" => alu(cursor, AluOp::Add)?,
        "sub" => alu(cursor, AluOp::Sub)?,
        "mul" => alu(cursor, AluOp::Mul)?,
        "div" => alu(cursor, AluOp::Div)?,
        "or" => alu(cursor, AluOp::Or)?,
        "and" => alu(cursor, AluOp::And)?,
        "lsh" => alu(cursor, AluOp::Lsh)?,
        "rsh" => alu(cursor, AluOp::Rsh)?,
        "xor" => alu(cursor, AluOp::Xor)?,
        "neg" => Op::Neg,
        "ret" => ret(cursor)?,
        "tax" => Op::Tax,
        "txa" => Op::Txa,
        _ => return Ok(None),
    }))
}

fn load(cursor: &mut Cursor<'_>, layout: &Layout) -> Result<Op, Error> {
    if cursor.take('#') {
        return Ok(Op::LoadImm(constant(cursor)?));
    }
    if cursor.take('[') {
        return address(cursor, layout).map(Op::Load);
    }
    let expected = cursor.expected("`[offset or field]`, `#constant`, `M[index]` or `len`");
    match cursor.word() {
        Some("len") => Ok(Op::LoadLen),
        Some("M") => Ok(Op::LoadMem(index(cursor)?)),
        _ => Err(expected),
    }
}

fn load_x(cursor: &mut Cursor<'_>) -> Result<Op, Error> {
    if cursor.take('#') {
        return Ok(Op::LoadXImm(constant(cursor)?));
    }
    let expected = cursor.expected("`#constant`, `M[index]` or `len`");
    match cursor.word() {
        Some("len") => Ok(Op::LoadXLen),
        Some("M") => Ok(Op::LoadXMem(index(cursor)?)),
        _ => Err(expected),
    }
}

/// `M[3]`.
fn scratch(cursor: &mut Cursor<'_>) -> Result<u32, Error> {
    let expected = cursor.expected("`M[index]`");
    match cursor.word() {
        Some("M") => index(cursor),
        _ => Err(expected),
    }
}

/// `[3]`.
fn index(cursor: &mut Cursor<'_>) -> Result<u32, Error> {
    cursor.require('[', "`[` and an index")?;
    let index = cursor.number("an index", u32::MAX)?;
    cursor.require(']', "`]`")?;
    Ok(index)
}

/// A number, or the name of a field, `.low` or `.high` after the name of a wide one; and `]`.
fn address(cursor: &mut Cursor<'_>, layout: &Layout) -> Result<u32, Error> {
    let column = cursor.column();
    if let Ok(offset) = cursor.number("an offset", u32::MAX) {
        cursor.require(']', "`]`")?;
        return Ok(offset);
    }
    let Some(name) = cursor.until(']') else {
        return Err(cursor.expected("an offset or a field, and `]`"));
    };
    let found = layout.fields.iter().find_map(|field| {
        let rest = name.strip_prefix(field.name)?;
        let words: &[u32] = if field.size == 4 { &[0] } else { &[0, 4] };
        words.iter().map(|word| field.offset + word).find(|offset| {
            let high = layout.field_at(*offset).is_some_and(|(_, high)| high);
            match rest {
                "" => field.size == 4,
                ".low" => field.size == 8 && !high,
                ".high" => field.size == 8 && high,
                _ => false,
            }
        })
    });
    found.ok_or_else(|| cursor.error_at(column, Kind::UnknownField { found: excerpt(name) }))
}

fn ret(cursor: &mut Cursor<'_>) -> Result<Op, Error> {
    if cursor.take('#') {
        return Ok(Op::Return(constant(cursor)?));
    }
    let expected = cursor.expected(RETURNS);
    let action = match cursor.word() {
        Some("a") => return Ok(Op::ReturnA),
        Some("kill_process") => Action::KillProcess,
        Some("kill_thread") => Action::KillThread,
        Some("trap") => Action::Trap(data(cursor, u16::MAX)?),
        // The kernel takes no larger error number.
        Some("errno") => Action::Errno(data(cursor, 4095)?),
        Some("user_notif") => Action::UserNotif,
        Some("trace") => Action::Trace(data(cursor, u16::MAX)?),
        Some("log") => Action::Log,
        Some("allow") => Action::Allow,
        _ => return Err(expected),
    };
    Ok(Op::Return(action.raw().0))
}

/// `(1)`, what goes with an action.
fn data(cursor: &mut Cursor<'_>, most: u16) -> Result<u16, Error> {
    cursor.require('(', "`(` and a number")?;
    let value = cursor.number("a number", u32::from(most))?;
    cursor.require(')', "`)`")?;
    Ok(u16::try_from(value).expect("at most 65535"))
}

impl Unused {
    /// `{jt=1 jf=2 k=3}`, if it stands here.
    fn read(cursor: &mut Cursor<'_>, uses_jumps: bool, uses_k: bool) -> Result<Unused, Error> {
        let mut unused = Unused::default();
        if !cursor.take('{') {
            return Ok(unused);
        }
        while !cursor.take('}') {
            let column = cursor.column();
            let expected = cursor.expected("`jt=`, `jf=`, `k=` or `}`");
            let (field, used) = match cursor.word() {
                Some("jt") => ("jt", uses_jumps),
                Some("jf") => ("jf", uses_jumps),
                Some("k") => ("k", uses_k),
                _ => return Err(expected),
            };
            if used {
                return Err(cursor.error_at(column, Kind::FieldInUse { field }));
            }
            cursor.require('=', "`=`")?;
            if field == "k" {
                unused.k = Some(cursor.number("a number", u32::MAX)?);
            } else {
                let value = cursor.number("a number", u32::from(u8::MAX))?;
                let value = Some(u8::try_from(value).expect("at most 255"));
                *(if field == "jt" { &mut unused.jt } else { &mut unused.jf }) = value;
            }
        }
        Ok(unused)
    }
}
