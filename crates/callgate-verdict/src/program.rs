//! From a program to its diagram, by running it on all inputs at once.
//!
//! Forwards, every instruction is visited with each state that can reach it: what A, X and the
//! scratch words hold, as a [`Value`]. Backwards, each visit gets its diagram: a return is a
//! terminal, a branch chooses between the diagrams behind it. Jumps only go forward, so both
//! passes are one sweep, and nothing recurses on the program.
//!
//! Real filters only ever hold a word of the context, perhaps masked, in A; then a visit is one
//! choice on one word, and the result is exact. Other arithmetic goes bit by bit
//! ([`bits`](self::bits)) and may come to [`TooComplex`].

mod bits;
mod state;

use alloc::{vec, vec::Vec};

use callgate_bpf::{AluOp, Condition, Op, Operand, Program, RawAction, ShiftRule};

use self::{
    bits::BitVectors,
    state::{State, Value, Visits},
};
use crate::{Diagram, Manager, Predicate, TooComplex, manager::NodeId};

/// Tests of other words than architecture and number up to which it does not pay to find out
/// which calls reach them.
const FEW_TESTS: usize = 64;

/// Visits beyond which a program counts as too complex: eight for each instruction of the longest
/// program, some 30 MB.
const VISIT_LIMIT: usize = 1 << 15;

impl Manager {
    /// The meaning of a program, exact in every word that it can return.
    ///
    /// `shifts` says what a shift by X does on the machine in question.
    ///
    /// # Errors
    ///
    /// When the answer needs more than the manager's memory: arithmetic between words of the
    /// context, or very many tests that tie the bits of one argument to those of another. Filters
    /// in use test words against constants and come nowhere near that.
    ///
    /// # Panics
    ///
    /// When the program's layout has another size or other fields than the manager's.
    pub fn program(&mut self, program: &Program, shifts: ShiftRule) -> Result<Diagram, TooComplex> {
        let (its, ours) = (program.layout(), self.digits.layout());
        assert!(
            its.size == ours.size && its.fields == ours.fields,
            "the manager is for another context"
        );
        // Offsets are the program's: its byte order says which half a word is.
        self.digits.set_byte_order(program.layout().byte_order);
        let mut executor = Executor {
            visits: Visits::new(program),
            bits: BitVectors::default(),
            steps: Vec::new(),
            manager: self,
            shifts,
            size: program.layout().size,
        };
        executor.forwards(program)?;
        executor.backwards(program)
    }
}

/// What a visit does, once its state is known.
#[derive(Clone, Copy)]
enum Step {
    Return(NodeId),
    Go(usize),
    Branch {
        condition: NodeId,
        then: usize,
        otherwise: usize,
        /// It tests the architecture or the number.
        selects: bool,
    },
    /// Division by X: 0 ends the program with 0.
    UnlessZero {
        zero: NodeId,
        next: usize,
    },
}

struct Executor<'m> {
    manager: &'m mut Manager,
    visits: Visits,
    bits: BitVectors,
    /// In the order of `visits`.
    steps: Vec<Step>,
    shifts: ShiftRule,
    size: u32,
}

impl Executor<'_> {
    fn forwards(&mut self, program: &Program) -> Result<(), TooComplex> {
        let start = State::start();
        self.visits.add(0, start);
        for pc in 0..program.len() {
            let op = program.instructions()[pc].decode().expect("validated");
            for id in self.visits.at(pc) {
                let step = self.step(pc, op, id)?;
                // Visits are numbered when they are found, and stepped later.
                self.steps.resize(self.visits.len(), Step::Go(usize::MAX));
                self.steps[id] = step;
            }
            if self.visits.len() > VISIT_LIMIT {
                return Err(TooComplex::new());
            }
        }
        Ok(())
    }

    fn backwards(&mut self, program: &Program) -> Result<Diagram, TooComplex> {
        let killed = self.manager.terminal(0);
        let others = |step: &&Step| matches!(step, Step::Branch { selects: false, .. });
        let reached = if self.steps.iter().filter(others).count() > FEW_TESTS {
            Some(self.reached(program)?)
        } else {
            None
        };
        let mut results = vec![killed; self.visits.len()];
        for pc in (0..program.len()).rev() {
            for id in self.visits.at(pc) {
                results[id] = match self.steps[id] {
                    Step::Return(node) => node,
                    Step::Go(next) => results[next],
                    Step::Branch { condition, then, otherwise, selects } => {
                        let [mut then, mut otherwise] =
                            [then, otherwise].map(|next| Diagram(results[next]));
                        if let Some(reached) = reached.as_ref().filter(|_| !selects) {
                            let (here, nothing) = (reached[id], Diagram(killed));
                            then = self.manager.choose(here, then, nothing)?;
                            otherwise = self.manager.choose(here, otherwise, nothing)?;
                        }
                        self.manager.choose(Predicate(condition), then, otherwise)?.0
                    }
                    Step::UnlessZero { zero, next } => {
                        let next = Diagram(results[next]);
                        self.manager.choose(Predicate(zero), Diagram(killed), next)?.0
                    }
                };
            }
        }
        Ok(Diagram(results[0]))
    }

    /// For each visit, the calls that can reach it as far as their architecture and number decide.
    ///
    /// Elsewhere its diagram does not matter. Filters that go on to the next number when a
    /// comparison of an argument fails need that: behind the comparison the number is known, but
    /// the code is that for all the numbers to come, and its diagram would have a node for each.
    fn reached(&mut self, program: &Program) -> Result<Vec<Predicate>, TooComplex> {
        let never = self.manager.always(false);
        let mut reached = vec![never; self.visits.len()];
        reached[0] = self.manager.always(true);
        for pc in 0..program.len() {
            for id in self.visits.at(pc) {
                let here = reached[id];
                let ways = match self.steps[id] {
                    Step::Return(_) => [None, None],
                    Step::Go(next) | Step::UnlessZero { next, .. } => [Some((next, here)), None],
                    Step::Branch { then, otherwise, selects: false, .. } => {
                        [Some((then, here)), Some((otherwise, here))]
                    }
                    Step::Branch { condition, then, otherwise, selects: true } => {
                        let condition = Predicate(condition);
                        let not = self.manager.not(condition)?;
                        let holds = self.manager.and(here, condition)?;
                        let fails = self.manager.and(here, not)?;
                        [Some((then, holds)), Some((otherwise, fails))]
                    }
                };
                for (next, part) in ways.into_iter().flatten() {
                    reached[next] = self.manager.or(reached[next], part)?;
                }
            }
        }
        Ok(reached)
    }

    fn step(&mut self, pc: usize, op: Op, id: usize) -> Result<Step, TooComplex> {
        let mut state = self.visits.state(id);
        match op {
            Op::Return(k) => return Ok(Step::Return(self.manager.constant(RawAction(k)).0)),
            Op::ReturnA => return self.return_a(state.a),
            Op::Jump(k) => {
                let skip = usize::try_from(k).expect("validated");
                return Ok(Step::Go(self.visits.add(pc + 1 + skip, state)));
            }
            Op::Branch { condition, operand, jt, jf } => {
                return self.branch(pc, state, condition, operand, [jt, jf]);
            }
            Op::Load(offset) => state.a = Value::Word { offset, mask: u32::MAX },
            Op::LoadLen => state.a = Value::Constant(self.size),
            Op::LoadImm(k) => state.a = Value::Constant(k),
            Op::LoadMem(slot) => state.a = state.memory[index(slot)],
            Op::LoadXLen => state.x = Value::Constant(self.size),
            Op::LoadXImm(k) => state.x = Value::Constant(k),
            Op::LoadXMem(slot) => state.x = state.memory[index(slot)],
            Op::Store(slot) => state.memory[index(slot)] = state.a,
            Op::StoreX(slot) => state.memory[index(slot)] = state.x,
            Op::Tax => state.x = state.a,
            Op::Txa => state.a = state.x,
            Op::Neg => state.a = self.arithmetic(AluOp::Sub, Value::Constant(0), state.a)?,
            Op::Alu(AluOp::Div, Operand::X) => return self.divide(pc, state),
            Op::Alu(operation, operand) => {
                let right = state.operand(operand);
                state.a = self.arithmetic(operation, state.a, right)?;
            }
        }
        Ok(Step::Go(self.visits.add(pc + 1, state)))
    }

    fn divide(&mut self, pc: usize, mut state: State) -> Result<Step, TooComplex> {
        let zero = self.compare(Condition::Eq, state.x, Value::Constant(0))?;
        if state.x == Value::Constant(0) {
            return Ok(Step::Return(self.manager.constant(RawAction(0)).0));
        }
        state.a = self.arithmetic(AluOp::Div, state.a, state.x)?;
        Ok(Step::UnlessZero { zero: zero.0, next: self.visits.add(pc + 1, state) })
    }

    fn branch(
        &mut self,
        pc: usize,
        state: State,
        condition: Condition,
        operand: Operand,
        [jt, jf]: [u8; 2],
    ) -> Result<Step, TooComplex> {
        let selects = match state.a {
            Value::Word { offset, .. } => self.manager.digits.selects(offset),
            _ => false,
        };
        let condition = self.compare(condition, state.a, state.operand(operand))?;
        let (then, otherwise) = (pc + 1 + usize::from(jt), pc + 1 + usize::from(jf));
        Ok(if condition == self.manager.always(true) {
            Step::Go(self.visits.add(then, state))
        } else if condition == self.manager.always(false) {
            Step::Go(self.visits.add(otherwise, state))
        } else {
            let then = self.visits.add(then, state);
            let otherwise = self.visits.add(otherwise, state);
            Step::Branch { condition: condition.0, then, otherwise, selects }
        })
    }

    fn compare(
        &mut self,
        condition: Condition,
        left: Value,
        right: Value,
    ) -> Result<Predicate, TooComplex> {
        match (left, right) {
            (Value::Constant(a), Value::Constant(k)) => {
                Ok(self.manager.always(condition.holds(a, k)))
            }
            (Value::Word { offset, mask }, Value::Constant(k)) => {
                self.manager.word_test(offset, mask, condition, k)
            }
            _ => {
                let left = self.bits.of(self.manager, left)?;
                let right = self.bits.of(self.manager, right)?;
                bits::compare(self.manager, condition, &left, &right)
            }
        }
    }

    fn arithmetic(
        &mut self,
        operation: AluOp,
        left: Value,
        right: Value,
    ) -> Result<Value, TooComplex> {
        match (operation, left, right) {
            (AluOp::And, Value::Word { offset, mask }, Value::Constant(k))
            | (AluOp::And, Value::Constant(k), Value::Word { offset, mask }) => {
                Ok(match mask & k {
                    0 => Value::Constant(0),
                    mask => Value::Word { offset, mask },
                })
            }
            _ => {
                let left = self.bits.of(self.manager, left)?;
                let right = self.bits.of(self.manager, right)?;
                let result = bits::arithmetic(self.manager, operation, &left, &right, self.shifts)?;
                Ok(self.bits.value(self.manager, result))
            }
        }
    }

    fn return_a(&mut self, a: Value) -> Result<Step, TooComplex> {
        let node = match a {
            Value::Constant(word) => self.manager.constant(RawAction(word)).0,
            _ => {
                let bits = self.bits.of(self.manager, a)?;
                bits::terminals(self.manager, &bits)?
            }
        };
        Ok(Step::Return(node))
    }
}

fn index(slot: u32) -> usize {
    usize::try_from(slot).expect("validated: below 16")
}
