//! What the registers hold on the way to an instruction.

use alloc::{collections::BTreeMap, vec::Vec};

use callgate_bpf::{Op, Operand, Program};

/// What is known of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    Constant(u32),
    /// A word of the context, some bits of it cleared.
    Word {
        offset: u32,
        mask: u32,
    },
    /// A number of [`BitVectors`](super::bits::BitVectors).
    Bits(u32),
}

/// A, X and the scratch words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct State {
    pub(super) a: Value,
    pub(super) x: Value,
    pub(super) memory: [Value; 16],
}

impl State {
    pub(super) fn start() -> State {
        let zero = Value::Constant(0);
        State { a: zero, x: zero, memory: [zero; 16] }
    }

    pub(super) fn operand(&self, operand: Operand) -> Value {
        match operand {
            Operand::K(k) => Value::Constant(k),
            Operand::X => self.x,
        }
    }
}

/// Each instruction with each state that reaches it, once.
pub(super) struct Visits {
    states: Vec<State>,
    at: Vec<Vec<usize>>,
    known: BTreeMap<(usize, State), usize>,
    live: Vec<Live>,
}

impl Visits {
    pub(super) fn new(program: &Program) -> Visits {
        Visits {
            states: Vec::new(),
            at: (0..program.len()).map(|_| Vec::new()).collect(),
            known: BTreeMap::new(),
            live: liveness(program),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    pub(super) fn state(&self, id: usize) -> State {
        self.states[id]
    }

    /// The visits of an instruction; complete once all before it were stepped.
    pub(super) fn at(&self, pc: usize) -> impl Iterator<Item = usize> + use<> {
        self.at[pc].clone().into_iter()
    }

    /// The number of a visit, new or known. Registers that nobody will read do not tell states
    /// apart.
    pub(super) fn add(&mut self, pc: usize, mut state: State) -> usize {
        self.live[pc].forget_dead(&mut state);
        // Most instructions are reached with one state or two.
        let here = &self.at[pc];
        if here.len() <= 4 {
            if let Some(&id) = here.iter().find(|&&id| self.states[id] == state) {
                return id;
            }
        } else if let Some(&id) = self.known.get(&(pc, state)) {
            return id;
        }
        let id = self.states.len();
        self.states.push(state);
        self.at[pc].push(id);
        if self.at[pc].len() == 5 {
            for &id in &self.at[pc] {
                self.known.insert((pc, self.states[id]), id);
            }
        } else if self.at[pc].len() > 5 {
            self.known.insert((pc, state), id);
        }
        id
    }
}

/// Which registers are read before they are written, from an instruction on.
#[derive(Clone, Copy, Default)]
struct Live {
    a: bool,
    x: bool,
    memory: u16,
}

impl Live {
    fn join(self, other: Live) -> Live {
        Live { a: self.a || other.a, x: self.x || other.x, memory: self.memory | other.memory }
    }

    fn forget_dead(self, state: &mut State) {
        let zero = Value::Constant(0);
        if !self.a {
            state.a = zero;
        }
        if !self.x {
            state.x = zero;
        }
        for (slot, value) in state.memory.iter_mut().enumerate() {
            if self.memory & (1 << slot) == 0 {
                *value = zero;
            }
        }
    }
}

fn liveness(program: &Program) -> Vec<Live> {
    let mut live = alloc::vec![Live::default(); program.len()];
    let mut next = Live::default();
    for (pc, instruction) in program.instructions().iter().enumerate().rev() {
        let op = instruction.decode().expect("validated");
        let reads_x = |operand: Operand| operand == Operand::X;
        next = match op {
            Op::Return(_) => Live::default(),
            Op::ReturnA => Live { a: true, ..Live::default() },
            Op::Jump(k) => live[pc + 1 + usize::try_from(k).expect("validated")],
            Op::Branch { operand, jt, jf, .. } => {
                let after = live[pc + 1 + usize::from(jt)].join(live[pc + 1 + usize::from(jf)]);
                Live { a: true, x: after.x || reads_x(operand), ..after }
            }
            Op::Load(_) | Op::LoadLen | Op::LoadImm(_) => Live { a: false, ..next },
            Op::LoadXLen | Op::LoadXImm(_) => Live { x: false, ..next },
            Op::LoadMem(slot) => Live { a: false, memory: next.memory | 1 << slot, ..next },
            Op::LoadXMem(slot) => Live { x: false, memory: next.memory | 1 << slot, ..next },
            Op::Store(slot) => Live { a: true, memory: next.memory & !(1 << slot), ..next },
            Op::StoreX(slot) => Live { x: true, memory: next.memory & !(1 << slot), ..next },
            Op::Alu(_, operand) => Live { a: true, x: next.x || reads_x(operand), ..next },
            Op::Neg => Live { a: true, ..next },
            Op::Tax => Live { a: next.a || next.x, x: false, ..next },
            Op::Txa => Live { a: false, x: next.x || next.a, ..next },
        };
        live[pc] = next;
    }
    live
}
