//! Operations on diagrams, each one walk over the operands together.
//!
//! Recursion goes down the digits, of which a context has 64 at most, so no input can make it
//! deep.

use callgate_bpf::RawAction;

use crate::{
    Diagram, Manager, Predicate,
    digits::Digit,
    manager::{NodeId, Operation, TooComplex, View},
};

impl Manager {
    /// Everything answers this word.
    pub fn constant(&mut self, action: RawAction) -> Diagram {
        Diagram(self.terminal(action.0))
    }

    /// True or false of everything.
    pub fn always(&mut self, holds: bool) -> Predicate {
        Predicate(self.terminal(u32::from(holds)))
    }

    /// Where the predicate holds `then`, elsewhere `otherwise`.
    ///
    /// # Errors
    ///
    /// As every operation: when the manager's memory does not suffice.
    pub fn choose(
        &mut self,
        condition: Predicate,
        then: Diagram,
        otherwise: Diagram,
    ) -> Result<Diagram, TooComplex> {
        self.walk(Operation::IfThenElse, [condition.0, then.0, otherwise.0]).map(Diagram)
    }

    /// Both hold.
    pub fn and(&mut self, a: Predicate, b: Predicate) -> Result<Predicate, TooComplex> {
        let never = self.terminal(0);
        self.walk(Operation::IfThenElse, [a.0, b.0, never]).map(Predicate)
    }

    /// One or both hold.
    pub fn or(&mut self, a: Predicate, b: Predicate) -> Result<Predicate, TooComplex> {
        let always = self.terminal(1);
        self.walk(Operation::IfThenElse, [a.0, always, b.0]).map(Predicate)
    }

    /// It does not hold.
    pub fn not(&mut self, a: Predicate) -> Result<Predicate, TooComplex> {
        let (never, always) = (self.terminal(0), self.terminal(1));
        self.walk(Operation::IfThenElse, [a.0, never, always]).map(Predicate)
    }

    /// Exactly one holds.
    pub fn xor(&mut self, a: Predicate, b: Predicate) -> Result<Predicate, TooComplex> {
        let not_b = self.not(b)?;
        self.walk(Operation::IfThenElse, [a.0, not_b.0, b.0]).map(Predicate)
    }

    /// What two filters come to when both hold: the stronger word, the newer one's at equal rank
    /// (`seccomp_run_filters` in `kernel/seccomp.c`). Words stay raw. The older one decides where
    /// [`Manager::weaker`]`(newer, older)` holds, the newer one everywhere else.
    pub fn stack(&mut self, newer: Diagram, older: Diagram) -> Result<Diagram, TooComplex> {
        self.walk(Operation::Stack, [newer.0, older.0, older.0]).map(Diagram)
    }

    /// The stronger answer of the two everywhere: what both permit. [`Manager::stack`] by another
    /// name, for filters that were never loaded.
    pub fn intersect(&mut self, a: Diagram, b: Diagram) -> Result<Diagram, TooComplex> {
        self.stack(a, b)
    }

    /// The weaker answer of the two everywhere: what either permits. At equal rank the first's.
    pub fn union(&mut self, a: Diagram, b: Diagram) -> Result<Diagram, TooComplex> {
        let stronger = self.weaker(b, a)?;
        self.choose(stronger, b, a)
    }

    /// Where the first answers more weakly than the second, by the kernel's precedence.
    pub fn weaker(&mut self, a: Diagram, b: Diagram) -> Result<Predicate, TooComplex> {
        self.walk(Operation::Weaker, [a.0, b.0, b.0]).map(Predicate)
    }

    /// Where the two answer different words.
    pub fn differ(&mut self, a: Diagram, b: Diagram) -> Result<Predicate, TooComplex> {
        self.walk(Operation::Differ, [a.0, b.0, b.0]).map(Predicate)
    }

    /// The outcome where it follows from the operands themselves.
    fn outcome(&mut self, operation: Operation, nodes: [NodeId; 3]) -> Option<NodeId> {
        let [a, b, c] = nodes;
        match operation {
            Operation::Empty => Some(a),
            Operation::IfThenElse if b == c => Some(b),
            Operation::IfThenElse => match self.view(a) {
                View::Terminal(0) => Some(c),
                View::Terminal(_) => Some(b),
                View::Runs(..) => match (self.view(b), self.view(c)) {
                    // Predicates have no other terminals than 0 and 1.
                    (View::Terminal(1), View::Terminal(0)) => Some(a),
                    _ => None,
                },
            },
            Operation::Stack if a == b => Some(a),
            Operation::Weaker | Operation::Differ if a == b => Some(self.terminal(0)),
            Operation::Stack | Operation::Weaker | Operation::Differ => {
                let (View::Terminal(left), View::Terminal(right)) = (self.view(a), self.view(b))
                else {
                    return None;
                };
                let weaker = RawAction(right).rank() < RawAction(left).rank();
                Some(match operation {
                    Operation::Stack if weaker => b,
                    Operation::Stack => a,
                    Operation::Weaker => self.terminal(u32::from(weaker)),
                    _ => self.terminal(1),
                })
            }
        }
    }

    pub(crate) fn walk(
        &mut self,
        operation: Operation,
        nodes: [NodeId; 3],
    ) -> Result<NodeId, TooComplex> {
        self.take_step()?;
        if let Some(outcome) = self.outcome(operation, nodes) {
            return Ok(outcome);
        }
        if let Some(known) = self.cache.get(operation, nodes) {
            return Ok(known);
        }
        let digit = nodes.iter().map(|&node| self.digit(node)).min().unwrap_or(Digit::TERMINAL);
        let unfinished = self.begin();
        let mut cursors = nodes.map(|node| Cursor { node, run: 0 });
        let mut last;
        loop {
            let steps = cursors.map(|cursor| self.step(cursor, digit));
            last = steps.iter().map(|step| step.0).min().unwrap_or(u8::MAX);
            let child = match self.walk(operation, steps.map(|step| step.1)) {
                Ok(child) => child,
                Err(error) => {
                    self.abandon(unfinished);
                    return Err(error);
                }
            };
            self.push(&unfinished, last, child);
            if last == u8::MAX {
                break;
            }
            for (cursor, step) in cursors.iter_mut().zip(steps) {
                cursor.run += usize::from(step.0 == last);
            }
        }
        let result = self.finish(digit, unfinished)?;
        self.cache.set(operation, nodes, result);
        Ok(result)
    }

    /// How far the run goes that the cursor stands in, and where it leads; a node of a later
    /// digit does not depend on this one.
    fn step(&self, cursor: Cursor, digit: Digit) -> (u8, NodeId) {
        match self.view(cursor.node) {
            View::Runs(of, runs) if of == digit => {
                let run = runs[cursor.run];
                (run.last, run.child)
            }
            _ => (u8::MAX, cursor.node),
        }
    }
}

#[derive(Clone, Copy)]
struct Cursor {
    node: NodeId,
    run: usize,
}
