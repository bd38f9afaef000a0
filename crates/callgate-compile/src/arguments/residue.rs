//! What is left to decide: rules of which some conditions are known.

use alloc::{collections::BTreeMap, rc::Rc, vec::Vec};

use callgate_bpf::RawAction;
use callgate_policy::{AbiRules, Rule};

use super::atom::{self, Atom, Half, Known, Left};

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Clause {
    /// All must hold; in order, no two alike.
    pub(crate) atoms: Vec<Atom>,
    pub(crate) action: RawAction,
}

/// Rules in order, and the verdict when none holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Residue {
    pub(crate) clauses: Vec<Clause>,
    pub(crate) default: RawAction,
}

/// More clauses than this are not compared with each other.
const COMPARED: usize = 32;

impl Residue {
    /// The rules of one number.
    pub(crate) fn of(rules: &[Rule], table: &AbiRules) -> Residue {
        let bits = table.abi.arg_bits();
        let clauses = rules.iter().filter_map(|rule| {
            let mut clause = Clause { atoms: Vec::new(), action: rule.action.raw() };
            for comparison in &rule.comparisons {
                for atom in Atom::of(comparison, bits)? {
                    clause.add(atom)?;
                }
            }
            Some(clause)
        });
        Residue::new(clauses, table.default.raw())
    }

    /// In the form in which equal ones are found: nothing that cannot matter is left.
    pub(crate) fn new(clauses: impl IntoIterator<Item = Clause>, default: RawAction) -> Residue {
        let mut residue = Residue { clauses: Vec::new(), default };
        for clause in clauses {
            if clause.atoms.is_empty() {
                residue.default = clause.action;
                break;
            }
            // What a former one takes in any case adds nothing.
            let near = residue.clauses.len().saturating_sub(COMPARED);
            if !residue.clauses[near..].iter().any(|former| former.takes(&clause)) {
                residue.clauses.push(clause);
            }
        }
        while residue.clauses.last().is_some_and(|clause| clause.action == residue.default) {
            residue.clauses.pop();
        }
        residue.sort();
        residue
    }

    /// Neighbours with one action may stand in any order.
    fn sort(&mut self) {
        for block in self.clauses.chunk_by_mut(|a, b| a.action == b.action) {
            block.sort_unstable();
        }
        self.clauses.dedup();
    }

    /// The words that something depends on, in order.
    pub(crate) fn halves(&self) -> Vec<Half> {
        let atoms = self.clauses.iter().flat_map(|clause| &clause.atoms);
        let mut halves: Vec<Half> = atoms.flat_map(|atom| atom.halves()).collect();
        halves.sort_unstable();
        halves.dedup();
        halves
    }
}

impl Clause {
    fn add(&mut self, atom: Atom) -> Option<()> {
        match atom {
            Atom::Word(half, holds) => atom::push(&mut self.atoms, half, holds),
            Atom::Wide(..) => {
                if let Err(place) = self.atoms.binary_search(&atom) {
                    self.atoms.insert(place, atom);
                }
                Some(())
            }
        }
    }

    /// Whether it holds wherever the other does, as far as one can see.
    fn takes(&self, other: &Clause) -> bool {
        self.atoms.len() <= other.atoms.len()
            && self.atoms.iter().all(|atom| other.atoms.contains(atom))
    }

    /// What is left of it; `None` when it cannot hold.
    pub(crate) fn given(&self, half: Half, known: Known) -> Option<Clause> {
        let mut left = Clause { atoms: Vec::with_capacity(self.atoms.len()), action: self.action };
        for &atom in &self.atoms {
            match atom.given(half, known) {
                Left::Nothing => {}
                Left::Never => return None,
                Left::Still(atom) => left.add(atom)?,
            }
        }
        Some(left)
    }
}

/// A residue among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ResidueId(pub(crate) u32);

/// Every residue once.
#[derive(Default)]
pub(crate) struct Residues {
    all: Vec<Rc<Residue>>,
    known: BTreeMap<Rc<Residue>, ResidueId>,
}

impl Residues {
    pub(crate) fn intern(&mut self, residue: Residue) -> ResidueId {
        if let Some(&known) = self.known.get(&residue) {
            return known;
        }
        let id = ResidueId(u32::try_from(self.all.len()).expect("less than memory"));
        let residue = Rc::new(residue);
        self.all.push(Rc::clone(&residue));
        self.known.insert(residue, id);
        id
    }

    pub(crate) fn get(&self, id: ResidueId) -> Rc<Residue> {
        Rc::clone(&self.all[usize::try_from(id.0).unwrap_or(usize::MAX)])
    }
}
