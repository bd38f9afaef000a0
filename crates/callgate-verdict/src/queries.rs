//! Questions to diagrams: an example, a part, a count, and what the kernel makes of the words.

use alloc::{collections::BTreeMap, vec, vec::Vec};

use callgate_bpf::{Architecture, RawAction, SeccompData, SyscallNr};

use crate::{
    Diagram, Manager, Predicate, TooComplex,
    digits::Digit,
    manager::{NodeId, View},
};

impl Manager {
    /// The word that a call gets.
    ///
    /// # Panics
    ///
    /// When the manager is not for `struct seccomp_data`.
    pub fn decide(&self, diagram: Diagram, data: &SeccompData) -> RawAction {
        let values = self.field_values(data);
        let mut at = diagram.0;
        loop {
            match self.view(at) {
                View::Terminal(word) => return RawAction(word),
                View::Runs(digit, runs) => {
                    let byte = self.byte(&values, digit);
                    let run = runs.partition_point(|run| run.last < byte);
                    at = runs[run].child;
                }
            }
        }
    }

    /// A call of which the predicate holds, with bytes that do not matter 0; `None` when it holds
    /// of none.
    ///
    /// # Panics
    ///
    /// When the manager is not for `struct seccomp_data`.
    pub fn witness(&self, predicate: Predicate) -> Option<SeccompData> {
        let fields = self.digits.layout().fields;
        let mut values = vec![0u64; fields.len()];
        let mut at = predicate.0;
        loop {
            match self.view(at) {
                View::Terminal(0) => return None,
                View::Terminal(_) => break,
                View::Runs(digit, runs) => {
                    // A node that is no terminal is not constant, so some run leads to 1.
                    let next = runs.iter().position(|run| !self.is_never(run.child))?;
                    let byte = next.checked_sub(1).map_or(0, |before| runs[before].last + 1);
                    let (field, below) = self.digits.place(digit);
                    values[field] |= u64::from(byte) << below;
                    at = runs[next].child;
                }
            }
        }
        let value = |name: &str| {
            let index = fields.iter().position(|field| field.name == name);
            values[index.expect("a context of system calls")]
        };
        let word = |name: &str| u32::try_from(value(name)).expect("a field of 4 bytes");
        let names = ["args[0]", "args[1]", "args[2]", "args[3]", "args[4]", "args[5]"];
        Some(SeccompData {
            nr: SyscallNr(word("nr")),
            arch: Architecture(word("arch")),
            instruction_pointer: value("instruction_pointer"),
            args: names.map(value),
        })
    }

    /// The diagram where a field has this value: what is said of one architecture, then of one
    /// number of it.
    ///
    /// # Errors
    ///
    /// When the manager's memory does not suffice.
    ///
    /// # Panics
    ///
    /// When the layout has no field of this name.
    pub fn cofactor(
        &mut self,
        diagram: Diagram,
        field: &str,
        value: u64,
    ) -> Result<Diagram, TooComplex> {
        let fields = self.digits.layout().fields;
        let field = fields.iter().position(|f| f.name == field).expect("a field of the layout");
        let mut done = BTreeMap::new();
        self.restrict(diagram.0, field, value, &mut done).map(Diagram)
    }

    fn restrict(
        &mut self,
        node: NodeId,
        field: usize,
        value: u64,
        done: &mut BTreeMap<NodeId, NodeId>,
    ) -> Result<NodeId, TooComplex> {
        let View::Runs(digit, runs) = self.view(node) else {
            return Ok(node);
        };
        if let Some(&known) = done.get(&node) {
            return Ok(known);
        }
        let (of, below) = self.digits.place(digit);
        let result = if of == field {
            let [.., byte] = (value >> below).to_be_bytes();
            let child = runs[runs.partition_point(|run| run.last < byte)].child;
            self.restrict(child, field, value, done)?
        } else {
            self.map_children(node, |manager, child| manager.restrict(child, field, value, done))?
        };
        done.insert(node, result);
        Ok(result)
    }

    /// The diagram of what the kernel does: unknown actions kill the process, error numbers are
    /// capped, data that nobody sees is dropped ([`RawAction::action`]).
    ///
    /// # Errors
    ///
    /// When the manager's memory does not suffice.
    pub fn act(&mut self, diagram: Diagram) -> Result<Diagram, TooComplex> {
        self.map_terminals(diagram, |word| word.action().raw())
    }

    /// The diagram with each word replaced.
    pub(crate) fn map_terminals(
        &mut self,
        diagram: Diagram,
        of: impl Fn(RawAction) -> RawAction,
    ) -> Result<Diagram, TooComplex> {
        self.replace_words(diagram.0, &of, &mut BTreeMap::new()).map(Diagram)
    }

    fn replace_words(
        &mut self,
        node: NodeId,
        of: &impl Fn(RawAction) -> RawAction,
        done: &mut BTreeMap<NodeId, NodeId>,
    ) -> Result<NodeId, TooComplex> {
        if let Some(&known) = done.get(&node) {
            return Ok(known);
        }
        let result = match self.view(node) {
            View::Terminal(word) => self.terminal(of(RawAction(word)).0),
            View::Runs(..) => {
                self.map_children(node, |manager, child| manager.replace_words(child, of, done))?
            }
        };
        done.insert(node, result);
        Ok(result)
    }

    /// The node with each child replaced.
    pub(crate) fn map_children(
        &mut self,
        node: NodeId,
        mut of: impl FnMut(&mut Manager, NodeId) -> Result<NodeId, TooComplex>,
    ) -> Result<NodeId, TooComplex> {
        self.take_step()?;
        let digit = self.digit(node);
        let unfinished = self.begin();
        let mut index = 0;
        loop {
            let View::Runs(_, runs) = self.view(node) else {
                return Ok(node);
            };
            let Some(&run) = runs.get(index) else {
                return self.finish(digit, unfinished);
            };
            match of(self, run.child) {
                Ok(child) => self.push(&unfinished, run.last, child),
                Err(error) => {
                    self.abandon(unfinished);
                    return Err(error);
                }
            }
            index += 1;
        }
    }

    /// The share of all contexts of which the predicate holds, 0 to 1.
    pub fn share(&self, predicate: Predicate) -> f64 {
        fn of(manager: &Manager, node: NodeId, done: &mut BTreeMap<NodeId, f64>) -> f64 {
            match manager.view(node) {
                View::Terminal(value) => f64::from(value.min(1)),
                View::Runs(_, runs) => {
                    if let Some(&known) = done.get(&node) {
                        return known;
                    }
                    let mut first = 0u16;
                    let mut sum = 0.0;
                    for run in runs {
                        let behind = u16::from(run.last) + 1;
                        sum += f64::from(behind - first) / 256.0 * of(manager, run.child, done);
                        first = behind;
                    }
                    done.insert(node, sum);
                    sum
                }
            }
        }
        of(self, predicate.0, &mut BTreeMap::new())
    }

    /// The words that a diagram can answer, in ascending order.
    pub fn answers(&self, diagram: Diagram) -> Vec<RawAction> {
        let mut words = Vec::new();
        let mut seen = BTreeMap::new();
        let mut open = vec![diagram.0];
        while let Some(node) = open.pop() {
            if seen.insert(node, ()).is_some() {
                continue;
            }
            match self.view(node) {
                View::Terminal(word) => words.push(RawAction(word)),
                View::Runs(_, runs) => open.extend(runs.iter().map(|run| run.child)),
            }
        }
        words.sort_unstable();
        words
    }

    fn is_never(&self, node: NodeId) -> bool {
        matches!(self.view(node), View::Terminal(0))
    }

    pub(crate) fn field_values(&self, data: &SeccompData) -> Vec<u64> {
        let of = |name: &str| match name {
            "nr" => u64::from(data.nr.0),
            "arch" => u64::from(data.arch.0),
            "instruction_pointer" => data.instruction_pointer,
            "args[0]" => data.args[0],
            "args[1]" => data.args[1],
            "args[2]" => data.args[2],
            "args[3]" => data.args[3],
            "args[4]" => data.args[4],
            "args[5]" => data.args[5],
            _ => panic!("the manager is not for system calls"),
        };
        self.digits.layout().fields.iter().map(|field| of(field.name)).collect()
    }

    pub(crate) fn byte(&self, values: &[u64], digit: Digit) -> u8 {
        let (field, below) = self.digits.place(digit);
        let [.., byte] = (values[field] >> below).to_be_bytes();
        byte
    }
}
