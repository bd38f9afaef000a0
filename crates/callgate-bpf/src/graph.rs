//! The ways through a program: its basic blocks, and what leads from one to the next.
//!
//! A block is a run of instructions that is entered at its first and left at its last. The
//! instructions need not make a valid program: a listing shows also what the kernel would refuse.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use crate::{Instruction, Op};

/// The control-flow graph of a program.
///
/// Takes time and memory in proportion to the length of the program.
///
/// ```
/// use callgate_bpf::graph::{Edge, Graph, Way};
/// use callgate_bpf::{Condition, Instruction, Op, Operand};
///
/// let is_39 = Op::Branch { condition: Condition::Eq, operand: Operand::K(39), jt: 0, jf: 1 };
/// let program: [Instruction; 4] =
///     [Op::Load(0), is_39, Op::Return(0x5_0001), Op::Return(0x7fff_0000)].map(Into::into);
/// let graph = Graph::of(&program);
/// assert_eq!(graph.blocks.len(), 3);
/// let first = &graph.blocks[0];
/// assert_eq!(first.instructions, 0..2);
/// assert_eq!(first.edges[0], Edge { way: Way::True, to: Some(1) });
/// assert_eq!(first.edges[1], Edge { way: Way::False, to: Some(2) });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Graph {
    /// In the order of their instructions, each of which is in exactly one of them.
    pub blocks: Vec<Block>,
}

/// Instructions that are executed one after the other or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Block {
    /// Which instructions; never empty.
    pub instructions: Range<usize>,
    /// Where it goes on: nowhere after a return, to two places after a conditional jump, else to
    /// one.
    pub edges: Vec<Edge>,
    /// Whether some way leads here from the first instruction, whatever the conditions say.
    pub reachable: bool,
}

/// What leads out of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a way and its end are all that an edge is")]
pub struct Edge {
    /// When it is taken.
    pub way: Way,
    /// The index of the block that it leads to. `None` where the way leaves the program, which
    /// the kernel refuses.
    pub to: Option<usize>,
}

/// When an edge is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "classic BPF has no other way to go on")]
pub enum Way {
    /// The condition of the jump holds.
    True,
    /// The condition of the jump does not hold.
    False,
    /// Always: the jump has no condition.
    Jump,
    /// Always: the next instruction is one that something else jumps to.
    Next,
}

impl Graph {
    /// The graph of these instructions.
    pub fn of(instructions: &[Instruction]) -> Graph {
        let starts = starts(instructions);
        let mut numbers = vec![0; instructions.len()];
        let mut blocks: Vec<Block> = Vec::new();
        for (index, &starts) in starts.iter().enumerate() {
            match blocks.last_mut() {
                Some(block) if !starts => block.instructions.end = index + 1,
                _ => blocks.push(Block {
                    instructions: index..index + 1,
                    edges: Vec::new(),
                    reachable: index == 0,
                }),
            }
            numbers[index] = blocks.len() - 1;
        }
        // Jumps go forward only, so every way to a block comes from one that stands before it.
        for number in 0..blocks.len() {
            let last = blocks[number].instructions.end - 1;
            let edges: Vec<Edge> = successors(instructions[last], last)
                .map(|(way, target)| Edge { way, to: numbers.get(target).copied() })
                .collect();
            if blocks[number].reachable {
                for edge in &edges {
                    if let Some(block) = edge.to.and_then(|to| blocks.get_mut(to)) {
                        block.reachable = true;
                    }
                }
            }
            blocks[number].edges = edges;
        }
        Graph { blocks }
    }
}

/// Whether each instruction is the first of a block.
fn starts(instructions: &[Instruction]) -> Vec<bool> {
    let mut starts = vec![false; instructions.len()];
    let mut mark = |index: usize| {
        if let Some(start) = starts.get_mut(index) {
            *start = true;
        }
    };
    mark(0);
    for (index, &instruction) in instructions.iter().enumerate() {
        let mut goes_on = false;
        for (way, target) in successors(instruction, index) {
            goes_on = way == Way::Next;
            if !goes_on {
                mark(target);
            }
        }
        if !goes_on {
            mark(index + 1);
        }
    }
    starts
}

/// The instructions that may come after this one. What is no instruction does not jump.
fn successors(instruction: Instruction, index: usize) -> impl Iterator<Item = (Way, usize)> {
    let target = |distance: u32| {
        let distance = usize::try_from(distance).unwrap_or(usize::MAX);
        index.saturating_add(1).saturating_add(distance)
    };
    let ways = match instruction.decode() {
        Some(Op::Return(_) | Op::ReturnA) => [None, None],
        Some(Op::Jump(distance)) => [Some((Way::Jump, target(distance))), None],
        Some(Op::Branch { jt, jf, .. }) => {
            let (yes, no) = (target(u32::from(jt)), target(u32::from(jf)));
            [Some((Way::True, yes)), Some((Way::False, no))]
        }
        _ => [Some((Way::Next, target(0))), None],
    };
    ways.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{self, Rng};
    use crate::{ByteOrder, Condition, Layout, Operand, Program};

    fn branch(jt: u8, jf: u8) -> Op {
        Op::Branch { condition: Condition::Eq, operand: Operand::K(1), jt, jf }
    }

    fn graph(ops: &[Op]) -> Graph {
        let instructions: Vec<Instruction> = ops.iter().map(|op| (*op).into()).collect();
        Graph::of(&instructions)
    }

    fn edges(graph: &Graph, block: usize) -> Vec<(Way, Option<usize>)> {
        graph.blocks[block].edges.iter().map(|edge| (edge.way, edge.to)).collect()
    }

    #[test]
    fn blocks_begin_where_jumps_land_and_behind_jumps() {
        let graph = graph(&[
            Op::Load(0),
            branch(1, 0),
            Op::Jump(1),
            Op::Load(4),
            Op::Load(16),
            Op::ReturnA,
        ]);
        let ranges: Vec<_> = graph.blocks.iter().map(|b| b.instructions.clone()).collect();
        assert_eq!(ranges, [0..2, 2..3, 3..4, 4..6]);
        assert_eq!(edges(&graph, 0), [(Way::True, Some(2)), (Way::False, Some(1))]);
        assert_eq!(edges(&graph, 1), [(Way::Jump, Some(3))]);
        assert_eq!(edges(&graph, 2), [(Way::Next, Some(3))]);
        assert_eq!(edges(&graph, 3), []);
    }

    #[test]
    fn unreachable_code_is_in_blocks_that_say_so() {
        // The jump that nothing reaches makes its target no more reachable.
        let graph = graph(&[Op::ReturnA, Op::Jump(0), Op::Load(0), Op::ReturnA]);
        let reachable: Vec<bool> = graph.blocks.iter().map(|block| block.reachable).collect();
        assert_eq!(reachable, [true, false, false]);
        assert_eq!(graph.blocks[2].instructions, 2..4);
    }

    #[test]
    fn a_jump_out_of_the_program_leads_nowhere() {
        assert_eq!(edges(&graph(&[Op::Jump(u32::MAX)]), 0), [(Way::Jump, None)]);
        assert_eq!(edges(&graph(&[Op::Load(0)]), 0), [(Way::Next, None)]);
        let graph = graph(&[branch(0, 200), Op::ReturnA]);
        assert_eq!(edges(&graph, 0), [(Way::True, Some(1)), (Way::False, None)]);
        assert_eq!(Graph::of(&[]).blocks, []);
    }

    /// Every instruction is in one block, no way leads into a block but to its start, and what
    /// is executed follows the edges.
    #[test]
    fn random_programs_run_along_the_edges() {
        let layout = Layout::seccomp(ByteOrder::Little);
        let mut rng = Rng::new(1);
        let mut blocks = 0;
        for _ in 0..2000 {
            let instructions = generate::valid_program(&mut rng, &layout, 60);
            let graph = Graph::of(&instructions);
            let all: Vec<usize> =
                graph.blocks.iter().flat_map(|b| b.instructions.clone()).collect();
            assert!(all.iter().copied().eq(0..instructions.len()), "{instructions:?}");
            blocks += graph.blocks.len();
            let program = Program::new(instructions.clone(), layout).unwrap();
            for words in generate::inputs(&mut rng, &instructions, 10) {
                let traced = program.run_traced(&words, crate::ShiftRule::Low5);
                let mut at = 0;
                let mut path = traced.path.iter().copied();
                'blocks: loop {
                    let block = &graph.blocks[at];
                    assert!(block.reachable);
                    for index in block.instructions.clone() {
                        match path.next() {
                            Some(executed) => assert_eq!(executed, index),
                            // A division by zero ends a program within a block.
                            None => break 'blocks,
                        }
                    }
                    let Some(next) = path.clone().next() else { break };
                    let starts = |to: usize| graph.blocks[to].instructions.start == next;
                    let edge = block.edges.iter().find(|edge| edge.to.is_some_and(starts));
                    at = edge.and_then(|edge| edge.to).expect("an edge leads there");
                }
                assert_eq!(path.next(), None);
            }
        }
        assert!(blocks > 2 * 2000, "{blocks} blocks are too few to say anything");
    }
}
