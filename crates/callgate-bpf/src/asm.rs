//! Text as a program.
//!
//! Reads what [`disasm`](crate::disasm) writes, and what people write: one instruction a line,
//! any words as labels, comments from `;` to the end of the line.
//!
//! ```
//! use callgate_bpf::{ByteOrder, Layout, asm};
//!
//! let text = "
//!         ld   [arch]
//!         jne  #0xc000003e, bad       ; one target: the other way goes on
//!         ld   [nr]
//!         jeq  #59, look, good        ; when equal, when not
//! look:   ld   [args[0].low]
//!         jset #0x1, refuse
//! good:   ret  allow
//! refuse: ret  errno(1)
//! bad:    ret  kill_process
//! ";
//! let program = asm::assemble(text, Layout::seccomp(ByteOrder::NATIVE))?;
//! assert_eq!(program.len(), 9);
//!
//! let layout = Layout::seccomp(ByteOrder::NATIVE);
//! let error = asm::assemble("ld [nr]\nret alow", layout).unwrap_err();
//! assert_eq!(error.to_string(), "line 2, column 5: expected `a`, a constant such as `#0x7fff0000` \
//!     or an action such as `allow` or `errno(1)`, found `alow`");
//! # Ok::<(), asm::Error>(())
//! ```
//!
//! | text | means |
//! |---|---|
//! | `ld [16]`, `ld [nr]`, `ld [args[0].high]`, `ld #5`, `ld M[3]`, `ld len` | A = context word, constant, scratch word, size of the context |
//! | `ldx #5`, `ldx M[3]`, `ldx len` | X = … |
//! | `st M[3]`, `stx M[3]` | scratch word = A, = X |
//! | `add`, `sub`, `mul`, `div`, `or`, `and`, `lsh`, `rsh`, `xor` with `#5` or `x` | A = A op … |
//! | `neg`, `tax`, `txa` | A = −A, X = A, A = X |
//! | `ja L` | go to L |
//! | `jeq`, `jgt`, `jge`, `jset` with `#5, L, M` or `x, L, M` | to L when A == > >= & …, else to M |
//! | `jeq #5, L` | to L, else go on; so `jne`, `jle`, `jlt` too |
//! | `ret #5`, `ret a`, `ret allow`, `ret errno(1)` | end |
//! | `… {jt=1 jf=2 k=3}` | values of fields that the instruction does not use |
//! | `.raw 0x28, 1, 2, 3` | `code`, `jt`, `jf`, `k` as they are |
//!
//! Numbers are decimal, or hexadecimal after `0x`. Jumps go forward only.

mod cursor;
mod error;
mod statement;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use self::cursor::Cursor;
pub use self::error::Error;
use self::error::Kind;
use self::statement::{Draft, Statement, Target};
use crate::{Instruction, Layout, MAX_INSTRUCTIONS, Op, Program};

/// The longest text that is read, in bytes: room for the longest program with 1,000 bytes a line.
pub const MAX_TEXT: usize = 1 << 22;

/// Reads a program and checks it as [`Program::new`] does.
///
/// # Errors
/// [`Error`] with the place, when the text is not understood, and when it is and the kernel would
/// refuse the program.
pub fn assemble(text: &str, layout: Layout) -> Result<Program, Error> {
    let (instructions, places) = read(text, &layout)?;
    Program::new(instructions, layout).map_err(|invalid| {
        let last = places.last().copied().unwrap_or((1, 1));
        let (line, column) =
            invalid.instruction().and_then(|index| places.get(index).copied()).unwrap_or(last);
        Error::new(line, column, Kind::Invalid(invalid))
    })
}

/// Reads instructions that need not make a valid program.
///
/// # Errors
/// [`Error`] with the place, when the text is not understood.
pub fn assemble_unchecked(text: &str, layout: &Layout) -> Result<Vec<Instruction>, Error> {
    Ok(read(text, layout)?.0)
}

/// Line and column, both from 1.
type Place = (usize, usize);

/// The instructions, and where each stands.
fn read(text: &str, layout: &Layout) -> Result<(Vec<Instruction>, Vec<Place>), Error> {
    if text.len() > MAX_TEXT {
        return Err(Error::new(1, 1, Kind::TextTooLong { bytes: text.len() }));
    }
    let mut labels = BTreeMap::new();
    let mut statements = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut cursor = Cursor::new(line, index + 1);
        while let Some(label) = cursor.label() {
            if labels.insert(label.text, statements.len()).is_some() {
                let kind = Kind::LabelTwice { label: error::excerpt(label.text) };
                return Err(cursor.error_at(label.column, kind));
            }
        }
        if cursor.at_end() {
            continue;
        }
        if statements.len() == MAX_INSTRUCTIONS {
            return Err(cursor.error(Kind::TooManyInstructions));
        }
        statements.push(Statement::read(&mut cursor, layout)?);
        if !cursor.at_end() {
            return Err(cursor.expected("the end of the line or a comment after `;`"));
        }
    }
    let mut instructions = Vec::with_capacity(statements.len());
    for (index, statement) in statements.iter().enumerate() {
        instructions.push(resolve(statement, index, &labels)?);
    }
    Ok((
        instructions,
        statements.iter().map(|statement| (statement.line, statement.column)).collect(),
    ))
}

/// The instruction, its labels made distances.
fn resolve(
    statement: &Statement<'_>,
    index: usize,
    labels: &BTreeMap<&str, usize>,
) -> Result<Instruction, Error> {
    let distance = |target: &Target<'_>| {
        let fail = |kind: Kind| Error::new(statement.line, target.column, kind);
        let label = || error::excerpt(target.label);
        let Some(place) = labels.get(target.label) else {
            return Err(fail(Kind::UnknownLabel { label: label() }));
        };
        place.checked_sub(index + 1).ok_or_else(|| fail(Kind::Backward { label: label() }))
    };
    let near = |target: &Target<'_>| {
        let distance = distance(target)?;
        u8::try_from(distance).map_err(|_| {
            let kind = Kind::TooFar { label: error::excerpt(target.label), distance };
            Error::new(statement.line, target.column, kind)
        })
    };
    let mut instruction = match &statement.draft {
        Draft::Whole(instruction) => *instruction,
        Draft::Jump(target) => {
            let distance = u32::try_from(distance(target)?).expect("at most 4096");
            Op::Jump(distance).into()
        }
        Draft::Branch { condition, operand, yes, no } => {
            let way = |target: &Option<Target<'_>>| target.as_ref().map_or(Ok(0), near);
            let (jt, jf) = (way(yes)?, way(no)?);
            Op::Branch { condition: *condition, operand: *operand, jt, jf }.into()
        }
    };
    let unused = &statement.unused;
    instruction.jt = unused.jt.unwrap_or(instruction.jt);
    instruction.jf = unused.jf.unwrap_or(instruction.jf);
    instruction.k = unused.k.unwrap_or(instruction.k);
    Ok(instruction)
}

#[cfg(test)]
mod tests;
