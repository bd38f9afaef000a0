//! Narrowing by arguments: what was seen, where that is bounded.

use std::collections::{BTreeMap, BTreeSet};

use callgate_policy::{ArgIndex, Comparison, Test, Width};
use callgate_syscalls::{Abi, constants, syscall};

use crate::{Choice, Recording, Values, choice, values::bits};

/// The most entries that one name is spread over.
const ENTRIES: usize = 16;

/// The conjunctions that a name is narrowed to: any of them must hold.
type Alternatives = Vec<Vec<Comparison>>;

/// Which names are narrowed, and how.
pub struct Narrowing {
    by_name: BTreeMap<&'static str, Alternatives>,
    unwatched: BTreeSet<&'static str>,
}

impl Narrowing {
    /// Of a recording, for a profile of these ABIs.
    pub fn new(recording: &Recording, abis: &[Abi], wanted: bool) -> Narrowing {
        let mut narrowing = Narrowing { by_name: BTreeMap::new(), unwatched: BTreeSet::new() };
        if !wanted {
            return narrowing;
        }
        let mut seen: BTreeMap<&'static str, BTreeMap<u8, Values>> = BTreeMap::new();
        for (_, key, fact) in recording.facts() {
            let Some(name) = key.call.name() else { continue };
            let all = seen.entry(name).or_default();
            for index in 0..6 {
                if choice(key.call.abi, name, index).is_some() {
                    let values = fact.arguments.get(&index).cloned().unwrap_or_else(Values::any);
                    all.entry(index).or_insert_with(Values::none).join(&values);
                }
            }
        }
        let unwatched: BTreeSet<&str> = recording
            .runs
            .values()
            .flat_map(|run| run.unwatched.iter().filter_map(|call| call.name()))
            .collect();
        for (name, arguments) in seen {
            let Some(alternatives) = alternatives(name, &arguments, abis) else { continue };
            if unwatched.contains(name) {
                narrowing.unwatched.insert(name);
            } else {
                narrowing.by_name.insert(name, alternatives);
            }
        }
        narrowing
    }

    /// How a name is narrowed, if it is.
    pub fn of(&self, name: &str) -> Option<&Alternatives> {
        self.by_name.get(name)
    }

    /// The names that are.
    pub fn names(&self) -> BTreeSet<&'static str> {
        self.by_name.keys().copied().collect()
    }

    /// The names that would be, but that some run let pass without looking.
    pub fn unwatched(&self) -> BTreeSet<&'static str> {
        self.unwatched.clone()
    }
}

/// None when nothing bounds the arguments.
fn alternatives(
    name: &str,
    arguments: &BTreeMap<u8, Values>,
    abis: &[Abi],
) -> Option<Alternatives> {
    let having: Vec<Abi> = abis.iter().copied().filter(|abi| abi.number(name).is_some()).collect();
    let mut all: Alternatives = vec![Vec::new()];
    for (&index, values) in arguments {
        let Some(argument) = ArgIndex::new(index) else { continue };
        if !same_everywhere(name, index, &having) {
            continue;
        }
        let wide = having.iter().any(|&abi| bits(abi, name, index) == 64);
        let width = if wide { Width::Full } else { Width::Low32 };
        let tests: Vec<Test> = match (choice(*having.first()?, name, index)?, values.listed()) {
            _ if values.is_any() => continue,
            (Choice::One, Some(listed)) => listed.iter().map(|&value| Test::Eq(value)).collect(),
            (Choice::One, None) => continue,
            (Choice::Flags, _) => {
                let all_bits = if wide { u64::MAX } else { 0xffff_ffff };
                let mask = all_bits & !values.mask();
                if mask == 0 {
                    continue;
                }
                vec![Test::MaskedEq { mask, value: 0 }]
            }
        };
        if all.len() * tests.len() > ENTRIES {
            continue;
        }
        all = all
            .iter()
            .flat_map(|before| {
                tests.iter().map(move |&test| {
                    let mut more = before.clone();
                    more.push(Comparison { arg: argument, width, test });
                    more
                })
            })
            .collect();
    }
    all.iter().any(|comparisons| !comparisons.is_empty()).then_some(all)
}

/// Whether an argument stands at the same place and its constants have the same values on all of
/// these ABIs: a profile's entry is for all of them.
fn same_everywhere(name: &str, index: u8, abis: &[Abi]) -> bool {
    let Some((&first, others)) = abis.split_first() else { return false };
    let argument = |abi: Abi| syscall(name)?.args_on(abi).get(usize::from(index)).map(|a| a.name);
    let set = |abi: Abi| constants::on(abi, name, index).map(std::ptr::from_ref);
    others.iter().all(|&abi| argument(abi) == argument(first) && set(abi) == set(first))
}
