//! A program that the kernel would accept.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::interpret::Step;
use crate::invalid::Kind;
use crate::{ByteOrder, Instruction, Invalid, Layout, validate};

/// The longest program, in instructions (`BPF_MAXINSNS` of `linux/bpf_common.h`).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// The words of scratch memory (`BPF_MEMWORDS` of `linux/filter.h`).
pub const SCRATCH_WORDS: u32 = 16;

/// Instructions that passed the kernel's checks, with the layout of what they read.
///
/// There is no other way to make one than [`Program::new`] and [`Program::from_bytes`], so
/// whoever takes a `Program` need not check again.
///
/// ```
/// use callgate_bpf::{Action, ByteOrder, Layout, Op, Program};
///
/// let layout = Layout::seccomp(ByteOrder::NATIVE);
/// let deny = Program::new(vec![Op::Return(Action::Errno(1).raw().0).into()], layout)?;
/// assert_eq!(deny.len(), 1);
///
/// // The kernel would refuse a program that does not end in a return.
/// let error = Program::new(vec![Op::LoadLen.into()], layout).unwrap_err();
/// assert_eq!(error.to_string(), "instruction 0: the last instruction must be a return");
/// # Ok::<(), callgate_bpf::Invalid>(())
/// ```
#[derive(Clone)]
pub struct Program {
    instructions: Box<[Instruction]>,
    /// The same, decoded for the interpreter.
    steps: Box<[Step]>,
    layout: Layout,
}

impl Program {
    /// Checks the instructions as the kernel does when a filter is loaded.
    ///
    /// The path budget is not among the checks, since it depends on the filters that already
    /// hold: see [`Program::path_cost`].
    ///
    /// # Errors
    /// [`Invalid`] exactly where `seccomp(2)` gives EINVAL for the instructions, and where
    /// `layout` is not 4 to 64 bytes in a multiple of 4.
    pub fn new(instructions: Vec<Instruction>, layout: Layout) -> Result<Program, Invalid> {
        let ops = validate::check(&instructions, &layout)?;
        let steps = Step::all(&ops, &layout);
        Ok(Program { instructions: instructions.into_boxed_slice(), steps, layout })
    }

    /// Reads an array of `struct sock_filter` as it lies in memory on a machine of this byte
    /// order, and checks it.
    ///
    /// # Errors
    /// [`Invalid`] when the bytes are no multiple of 8, and as [`Program::new`].
    pub fn from_bytes(bytes: &[u8], order: ByteOrder, layout: Layout) -> Result<Program, Invalid> {
        let (instructions, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(Invalid::whole(Kind::Bytes { count: bytes.len() }));
        }
        if instructions.len() > MAX_INSTRUCTIONS {
            // Before the copy: the bytes may be gigabytes.
            return Err(Invalid::whole(Kind::Length { count: instructions.len() }));
        }
        let read = |chunk: &[u8; 8]| Instruction::from_bytes(*chunk, order);
        Program::new(instructions.iter().map(read).collect(), layout)
    }

    /// The array of `struct sock_filter` as it lies in memory on a machine of this byte order.
    pub fn to_bytes(&self, order: ByteOrder) -> Vec<u8> {
        self.instructions.iter().flat_map(|instruction| instruction.to_bytes(order)).collect()
    }

    /// The instructions, unused fields as they came.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// How many instructions, 1 to [`MAX_INSTRUCTIONS`].
    #[expect(clippy::len_without_is_empty, reason = "a program is never empty")]
    pub fn len(&self) -> usize {
        self.instructions.len()
    }

    /// What the program reads from.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The decoded instructions, one for each.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }
}

/// The same instructions over the same layout.
impl PartialEq for Program {
    fn eq(&self, other: &Program) -> bool {
        self.instructions == other.instructions && self.layout == other.layout
    }
}

impl Eq for Program {}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.instructions).finish()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::Op;

    const LAYOUT: Layout = Layout::seccomp(ByteOrder::Little);

    #[test]
    fn bytes_come_back_in_both_orders() {
        let mut odd = Instruction::from(Op::Tax);
        odd.k = 0x0102_0304;
        let program = Program::new(vec![odd, Op::Return(7).into()], LAYOUT).unwrap();
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let bytes = program.to_bytes(order);
            assert_eq!(bytes.len(), 16);
            assert_eq!(Program::from_bytes(&bytes, order, LAYOUT).unwrap(), program);
        }
        assert_ne!(program.to_bytes(ByteOrder::Little), program.to_bytes(ByteOrder::Big));
    }

    #[test]
    fn broken_bytes_are_refused() {
        for count in [0, 1, 7, 9, 8 * 4097] {
            let error =
                Program::from_bytes(&vec![0; count], ByteOrder::Little, LAYOUT).unwrap_err();
            assert!(error.is_length(), "{count}: {error}");
        }
        // `ld #0` is right by itself but cannot stand last.
        let error = Program::from_bytes(&[0; 8], ByteOrder::Little, LAYOUT).unwrap_err();
        assert!(error.is_unfinished());
    }
}
