//! Narrowing by arguments: what was seen, where that is bounded.

use std::collections::{BTreeMap, BTreeSet};

use callgate_policy::{ArgIndex, Comparison, Test, Width};
use callgate_syscalls::{
    Abi,
    constants::{self, ConstantSet},
    syscall,
};

use crate::{Choice, Recording, Values, choice, values::bits};

/// The most entries that one name is spread over.
const ENTRIES: usize = 16;

/// Values of which chance decides whether a run has them: a lock is found taken or is not, an
/// allocator has enough to give back or has not, a reader keeps up or does not. A call that is
/// narrowed has all of them, whichever were seen.
const BY_CHANCE: &[(&str, u8, &[&str])] = &[
    ("futex", 1, FUTEX),
    ("futex_time64", 1, FUTEX),
    ("madvise", 2, &["MADV_DONTNEED", "MADV_FREE"]),
    ("epoll_ctl", 1, &["EPOLL_CTL_ADD", "EPOLL_CTL_MOD", "EPOLL_CTL_DEL"]),
];

/// What C libraries wait and wake with (glibc's `lowlevellock.h` and `futex-internal.c`).
const FUTEX: &[&str] = &[
    "FUTEX_WAIT",
    "FUTEX_WAKE",
    "FUTEX_WAIT_BITSET",
    "FUTEX_PRIVATE_FLAG",
    "FUTEX_CLOCK_REALTIME",
];

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
    let first = *having.first()?;
    let mut all: Alternatives = vec![Vec::new()];
    for (&index, values) in arguments {
        let Some(argument) = ArgIndex::new(index) else { continue };
        if !same_everywhere(name, index, &having) {
            continue;
        }
        let wide = having.iter().any(|&abi| bits(abi, name, index) == 64);
        let width = if wide { Width::Full } else { Width::Low32 };
        let values = with_chance(first, name, index, values);
        if values.is_any() || holds_identifiers(first, name, index, &values) {
            continue;
        }
        let field = constants::on(first, name, index).map_or(0, ConstantSet::field);
        let room = ENTRIES / all.len();
        let tests = match choice(first, name, index)? {
            Choice::One => one_of(&values).filter(|tests| tests.len() <= room),
            Choice::Flags => field_and_flags(field, &values, wide)
                .filter(|tests| tests.len() <= room)
                .or_else(|| flags(&values, wide)),
        };
        let Some(tests) = tests else { continue };
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

/// What was seen, and what chance alone kept from being seen.
fn with_chance(abi: Abi, name: &str, index: u8, values: &Values) -> Values {
    let mut values = values.clone();
    let listed = BY_CHANCE.iter().find(|(call, at, _)| *call == name && *at == index);
    if let (Some((.., names)), Some(set)) = (listed, constants::on(abi, name, index)) {
        names.iter().filter_map(|name| set.value(name)).for_each(|value| values.insert(value));
    }
    values
}

/// Whether some of the values are the number of a process or of a descriptor, which is another in
/// the next run: of clocks the negative ones are (`include/linux/posix-timers.h`).
fn holds_identifiers(abi: Abi, name: &str, index: u8, values: &Values) -> bool {
    const NEGATIVE: u64 = 1 << 31;
    let set = constants::on(abi, name, index);
    let clocks = set.is_some_and(|set| set.value("CLOCK_MONOTONIC").is_some());
    clocks && values.mask() & NEGATIVE != 0
}

/// One of the values, while they are listed.
fn one_of(values: &Values) -> Option<Vec<Test>> {
    Some(values.listed()?.iter().map(|&value| Test::Eq(value)).collect())
}

/// Of a field of bits one of its values that were seen, with any of the flags beside it: a stream
/// and a datagram socket (1 and 2) do not make a raw one (3).
fn field_and_flags(field: u64, values: &Values, wide: bool) -> Option<Vec<Test>> {
    let listed = values.listed().filter(|_| field != 0)?;
    let mask = all_bits(wide) & !(values.mask() & !field);
    let seen: BTreeSet<u64> = listed.iter().map(|value| value & field).collect();
    Some(seen.into_iter().map(|value| Test::MaskedEq { mask, value }).collect())
}

/// Any of the bits that were seen.
fn flags(values: &Values, wide: bool) -> Option<Vec<Test>> {
    let mask = all_bits(wide) & !values.mask();
    (mask != 0).then(|| vec![Test::MaskedEq { mask, value: 0 }])
}

fn all_bits(wide: bool) -> u64 {
    if wide { u64::MAX } else { 0xffff_ffff }
}

/// Whether an argument stands at the same place and its constants have the same values on all of
/// these ABIs: a profile's entry is for all of them.
fn same_everywhere(name: &str, index: u8, abis: &[Abi]) -> bool {
    let Some((&first, others)) = abis.split_first() else { return false };
    let argument = |abi: Abi| syscall(name)?.args_on(abi).get(usize::from(index)).map(|a| a.name);
    let set = |abi: Abi| constants::on(abi, name, index).map(std::ptr::from_ref);
    others.iter().all(|&abi| argument(abi) == argument(first) && set(abi) == set(first))
}
