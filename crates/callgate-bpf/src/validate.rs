//! The kernel's verdict on a program.
//!
//! Three passes of the kernel in one place: `bpf_check_classic` and `check_load_and_stores` of
//! `net/core/filter.c`, `seccomp_check_filter` of `kernel/seccomp.c`. All end in EINVAL, so their
//! order cannot be seen from outside; the errors here come in the order that helps most.
//!
//! Fields that an instruction does not use (`jt` of a load, `k` of TAX) are ignored, as the
//! kernel ignores them.

use alloc::vec;
use alloc::vec::Vec;

use crate::invalid::{Arm, Kind};
use crate::{AluOp, Instruction, Invalid, Layout, MAX_INSTRUCTIONS, Op, Operand, SCRATCH_WORDS};

/// The decoded instructions, if the kernel would take them over this context.
pub(crate) fn check(instructions: &[Instruction], layout: &Layout) -> Result<Vec<Op>, Invalid> {
    if layout.size == 0 || layout.size > 64 || !layout.size.is_multiple_of(4) {
        return Err(Invalid::whole(Kind::Layout { size: layout.size }));
    }
    let count = instructions.len();
    if count == 0 || count > MAX_INSTRUCTIONS {
        return Err(Invalid::whole(Kind::Length { count }));
    }
    let mut ops = Vec::with_capacity(count);
    for (index, instruction) in instructions.iter().enumerate() {
        let unknown = Kind::Opcode { code: instruction.code };
        let op = instruction.decode().ok_or(Invalid::at(index, unknown))?;
        check_alone(op, index, count, layout).map_err(|kind| Invalid::at(index, kind))?;
        ops.push(op);
    }
    if !matches!(ops.last(), Some(Op::Return(_) | Op::ReturnA)) {
        return Err(Invalid::at(count - 1, Kind::NoReturn));
    }
    check_scratch(&ops)?;
    Ok(ops)
}

/// What can be said of an instruction knowing only where it stands.
fn check_alone(op: Op, index: usize, count: usize, layout: &Layout) -> Result<(), Kind> {
    match op {
        Op::Load(offset) if offset >= layout.size || offset % 4 != 0 => {
            Err(Kind::LoadOffset { offset, size: layout.size })
        }
        Op::LoadMem(index) | Op::LoadXMem(index) | Op::Store(index) | Op::StoreX(index)
            if index >= SCRATCH_WORDS =>
        {
            Err(Kind::ScratchIndex { index })
        }
        Op::Alu(AluOp::Div, Operand::K(0)) => Err(Kind::DivisionByZero),
        Op::Alu(AluOp::Lsh | AluOp::Rsh, Operand::K(distance)) if distance >= 32 => {
            Err(Kind::Shift { distance })
        }
        Op::Jump(distance) => check_jump(distance, index, count, Arm::Always),
        Op::Branch { jt, jf, .. } => {
            check_jump(u32::from(jt), index, count, Arm::True)?;
            check_jump(u32::from(jf), index, count, Arm::False)
        }
        _ => Ok(()),
    }
}

/// Whether the jump lands on an instruction. Distances are unsigned: there is no way back.
fn check_jump(distance: u32, index: usize, count: usize, arm: Arm) -> Result<(), Kind> {
    let after = count - index - 1;
    match usize::try_from(distance) {
        Ok(steps) if steps < after => Ok(()),
        _ => Err(Kind::Jump { distance, count, arm }),
    }
}

/// Whether every scratch word is written before it is read, by the kernel's own approximation.
///
/// One pass; a 16-bit mask of what is written, cut down at each jump's targets. Two corners
/// follow, and are the kernel's: after a jump of any kind the *next* instruction, unless it is a
/// target itself, counts as having everything written; after a return nothing is reset, so a
/// dead load there is judged by the straight line above it.
///
/// Jumps and indices must have been checked.
fn check_scratch(ops: &[Op]) -> Result<(), Invalid> {
    const ALL: u16 = u16::MAX;
    let mut at_target = vec![ALL; ops.len()];
    let mut written = 0;
    for (index, op) in ops.iter().enumerate() {
        written &= at_target[index];
        match *op {
            Op::Store(word) | Op::StoreX(word) => written |= 1 << word,
            Op::LoadMem(word) | Op::LoadXMem(word) if written & (1 << word) == 0 => {
                return Err(Invalid::at(index, Kind::ScratchUnwritten { index: word }));
            }
            Op::Jump(distance) => {
                let distance = usize::try_from(distance).unwrap_or(usize::MAX);
                at_target[index + 1 + distance] &= written;
                written = ALL;
            }
            Op::Branch { jt, jf, .. } => {
                at_target[index + 1 + usize::from(jt)] &= written;
                at_target[index + 1 + usize::from(jf)] &= written;
                written = ALL;
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::{ByteOrder, Condition};

    fn verdict(ops: &[Op]) -> Result<(), Invalid> {
        let instructions: Vec<Instruction> = ops.iter().map(|op| (*op).into()).collect();
        check(&instructions, &Layout::seccomp(ByteOrder::Little)).map(drop)
    }

    fn branch(jt: u8, jf: u8) -> Op {
        Op::Branch { condition: Condition::Eq, operand: Operand::K(0), jt, jf }
    }

    #[test]
    fn length_is_1_to_4096() {
        assert!(verdict(&[]).unwrap_err().is_length());
        assert!(verdict(&[Op::ReturnA]).is_ok());
        assert!(verdict(&[Op::ReturnA; 4096]).is_ok());
        assert!(verdict(&[Op::ReturnA; 4097]).unwrap_err().is_length());
    }

    #[test]
    fn the_end_must_return() {
        let error = verdict(&[Op::Tax]).unwrap_err();
        assert!(error.is_unfinished());
        assert_eq!(error.instruction(), Some(0));
        // An earlier return does not make the tail right.
        assert!(verdict(&[Op::ReturnA, Op::LoadLen]).unwrap_err().is_unfinished());
    }

    #[test]
    fn loads_stay_within_the_context() {
        for offset in 0..70 {
            let good = offset < 64 && offset % 4 == 0;
            assert_eq!(verdict(&[Op::Load(offset), Op::ReturnA]).is_ok(), good, "{offset}");
        }
        assert!(verdict(&[Op::Load(u32::MAX - 3), Op::ReturnA]).unwrap_err().is_load());
        let small = Layout { size: 40, ..Layout::seccomp(ByteOrder::Little) };
        let at = |k| [Op::Load(k).into(), Op::ReturnA.into()];
        assert!(check(&at(36), &small).is_ok());
        assert!(check(&at(40), &small).unwrap_err().is_load());
    }

    #[test]
    fn constants_that_the_kernel_refuses() {
        let alu = |op, k| verdict(&[Op::Alu(op, Operand::K(k)), Op::ReturnA]);
        assert!(alu(AluOp::Div, 0).unwrap_err().is_arithmetic());
        assert!(alu(AluOp::Div, 1).is_ok());
        for shift in [AluOp::Lsh, AluOp::Rsh] {
            assert!(alu(shift, 31).is_ok());
            assert!(alu(shift, 32).unwrap_err().is_arithmetic());
            assert!(verdict(&[Op::Alu(shift, Operand::X), Op::ReturnA]).is_ok());
        }
        assert!(verdict(&[Op::Store(15), Op::ReturnA]).is_ok());
        assert!(verdict(&[Op::Store(16), Op::ReturnA]).unwrap_err().is_scratch());
        assert!(verdict(&[Op::StoreX(u32::MAX), Op::ReturnA]).unwrap_err().is_scratch());
    }

    #[test]
    fn jumps_land_on_an_instruction() {
        assert!(verdict(&[Op::Jump(0), Op::ReturnA]).is_ok());
        let error = verdict(&[Op::Jump(1), Op::ReturnA]).unwrap_err();
        assert!(error.is_jump());
        assert_eq!(
            error.to_string(),
            "instruction 0: jump of 1 leaves the program (2 instructions)"
        );
        // A distance that would wrap around to a backward jump.
        assert!(verdict(&[Op::Jump(u32::MAX), Op::ReturnA]).unwrap_err().is_jump());
        assert!(verdict(&[branch(0, 0), Op::ReturnA]).is_ok());
        assert!(verdict(&[branch(1, 0), Op::ReturnA]).unwrap_err().is_jump());
        assert!(verdict(&[branch(0, 1), Op::ReturnA]).unwrap_err().is_jump());
    }

    #[test]
    fn opcodes_of_other_bpf_users_are_refused() {
        for code in [0x28, 0x30, 0x40, 0x94, 0xb1, 0xff20, 0x100] {
            let instructions = [Instruction { code, jt: 0, jf: 0, k: 1 }, Op::ReturnA.into()];
            let layout = Layout::seccomp(ByteOrder::Little);
            assert!(check(&instructions, &layout).unwrap_err().is_opcode(), "{code:#x}");
        }
    }

    #[test]
    fn unused_fields_are_ignored() {
        let mut instruction = Instruction::from(Op::Tax);
        (instruction.jt, instruction.jf, instruction.k) = (255, 255, u32::MAX);
        let mut end = Instruction::from(Op::ReturnA);
        (end.jt, end.jf, end.k) = (255, 255, u32::MAX);
        assert!(check(&[instruction, end], &Layout::seccomp(ByteOrder::Little)).is_ok());
    }

    #[test]
    fn scratch_is_written_before_it_is_read() {
        assert!(verdict(&[Op::LoadMem(0), Op::ReturnA]).unwrap_err().is_scratch());
        assert!(verdict(&[Op::Store(1), Op::LoadMem(0), Op::ReturnA]).is_err());
        assert!(verdict(&[Op::Store(0), Op::LoadMem(0), Op::ReturnA]).is_ok());
        assert!(verdict(&[Op::StoreX(3), Op::LoadXMem(3), Op::ReturnA]).is_ok());
        // One arm writes, the other does not, both meet at the load.
        let diamond = [branch(0, 1), Op::Store(0), Op::LoadMem(0), Op::ReturnA];
        assert_eq!(verdict(&diamond).unwrap_err().instruction(), Some(2));
        let both =
            [branch(0, 2), Op::Store(0), Op::Jump(1), Op::Store(0), Op::LoadMem(0), Op::ReturnA];
        assert!(verdict(&both).is_ok());
    }

    #[test]
    fn dead_code_after_a_jump_reads_what_it_likes() {
        assert!(verdict(&[Op::Jump(1), Op::LoadMem(0), Op::ReturnA]).is_ok());
        assert!(verdict(&[branch(1, 1), Op::LoadMem(0), Op::ReturnA]).is_ok());
    }

    #[test]
    fn dead_code_after_a_return_does_not() {
        assert!(verdict(&[Op::ReturnA, Op::LoadMem(0), Op::ReturnA]).is_err());
        assert!(verdict(&[Op::Store(0), Op::ReturnA, Op::LoadMem(0), Op::ReturnA]).is_ok());
    }
}
