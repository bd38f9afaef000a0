//! What the programs keep, and how it is laid out.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use super::error::{Error, Kind};
use super::map::{Map, MapKind, SharedMap};
use super::programs::ENTRY;
use super::table::{ArgumentTable, CALLS, SETS};

/// The most memory that counters take, over all processors, unless there are very many of them.
const COUNTERS: usize = 64 << 20;
/// How many executables are told apart, at least and at most.
const EXECUTABLES: std::ops::RangeInclusive<usize> = 32..=256;
/// How many sets of values there are for all executables together.
pub(super) const POOL: u32 = 16_384;
/// How many values a set lists.
pub(super) const LISTED: u16 = 16;
/// A set: the bits of values that are not listed, those that are (each combined with [`VEIL`]),
/// and whether any is not.
pub(super) const SET_WORDS: u16 = LISTED + 2;
/// Makes a listed value distinct from an empty place, which is 0. A value that would not be is
/// not listed.
pub(super) const VEIL: u64 = 0x5bd1_e995_7f4a_7c15;
/// How many combinations of executable, call and error are told apart.
const RESULTS: u32 = 16_384;
/// How many calls with numbers beyond the tables are told apart.
const ODD: u32 = 1_024;
/// How many processes of a tree can wait for their first call.
const ROOTS: u32 = 65_536;
/// Components of a path, and bytes of each with the NUL.
pub(super) const LEVELS: u16 = 24;
pub(super) const COMPONENT: u16 = 128;
/// What stands before them: process, thread, whether the root was reached.
pub(super) const NAME_HEAD: u16 = 16;

/// The words of the control map, each 64 bits.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Control {
    /// Executables and sets that have been given out.
    Executables,
    Sets,
    /// Whether a task was seen that has a filter, or that may be getting one.
    Filters,
    /// Losses.
    LostEvents,
    LostExecutables,
    LostSets,
    LostResults,
    LostCalls,
    LostProcesses,
    /// How many words there are.
    End,
}

/// The maps of a recorder.
pub(super) struct Maps {
    /// For each task: what it executes and where, see `programs/scope.rs`.
    pub(super) storage: Map,
    /// By processor: the task that made the last call there, see `programs/running.rs`. `None` where
    /// the kernel (before Linux 6.4) keeps no pointers.
    pub(super) running: Option<Map>,
    /// By processor and executable: a counter for each call.
    pub(super) counters: SharedMap,
    pub(super) control: SharedMap,
    /// For each call: which arguments are looked at.
    pub(super) arguments: Map,
    /// By executable and number of a tracked argument: its set.
    pub(super) places: SharedMap,
    pub(super) sets: SharedMap,
    /// From the file to the number of the executable.
    pub(super) executables: Map,
    pub(super) names: Map,
    pub(super) results: Map,
    pub(super) odd: Map,
    /// Processes of a tree that are in it without having been forked in it.
    pub(super) roots: Map,
    pub(super) ring: Map,
    pub(super) cgroup: Option<Map>,
    pub(super) processors: u32,
    /// How many executables are told apart, with 0 for all others.
    pub(super) slots: u32,
}

impl Maps {
    pub(super) fn new(
        table: &ArgumentTable,
        cgroup: Option<&OwnedFd>,
        ring: u32,
    ) -> Result<Maps, Error> {
        let processors = possible_processors();
        let row = CALLS * 8;
        let slots = (COUNTERS / (row * processors)).clamp(*EXECUTABLES.start(), *EXECUTABLES.end());
        let number = |n: usize| u32::try_from(n).expect("sizes of maps fit in 32 bits");
        let (slots, processors) = (number(slots), number(processors));
        let control = u32::from(Control::End as u8) * 8;
        let name = u32::from(NAME_HEAD) + u32::from(LEVELS) * u32::from(COMPONENT);
        let made = |name| move |errno| Error::of_map(name, errno);
        let shared =
            |label, name, size, entries| Map::shared(name, size, entries).map_err(made(label));
        let map = |label, name, kind, [key, value, entries]: [u32; 3]| {
            Map::new(name, kind, key, value, entries).map_err(made(label))
        };
        let maps = Maps {
            storage: Map::task_storage(c"cg_tasks", 6).map_err(made("tasks"))?,
            running: Map::task_pointers(c"cg_running", ENTRY, processors).ok(),
            counters: shared("counters", c"cg_counters", number(row), processors * slots)?,
            control: shared("control", c"cg_control", control, 1)?,
            arguments: map("arguments", c"cg_arguments", MapKind::Array, [4, number(row), 1])?,
            places: shared("places", c"cg_places", slots * number(SETS) * 4, 1)?,
            sets: shared("sets", c"cg_sets", POOL * u32::from(SET_WORDS) * 8, 1)?,
            executables: map("executables", c"cg_files", MapKind::Hash, [16, 4, slots * 2])?,
            names: map("names", c"cg_names", MapKind::Array, [4, name, slots])?,
            results: map("results", c"cg_results", MapKind::Hash, [8, 8, RESULTS])?,
            odd: map("odd", c"cg_odd", MapKind::Hash, [8, 8, ODD])?,
            roots: map("roots", c"cg_roots", MapKind::Hash, [4, 4, ROOTS])?,
            ring: map("ring", c"cg_ring", MapKind::Ring, [0, 0, ring])?,
            cgroup: cgroup
                .map(|_| map("cgroup", c"cg_cgroup", MapKind::Cgroups, [4, 4, 1]))
                .transpose()?,
            processors,
            slots,
        };
        maps.arguments.update(&0u32.to_ne_bytes(), &table.words()).map_err(made("arguments"))?;
        if let (Some(map), Some(cgroup)) = (&maps.cgroup, cgroup) {
            let fd = cgroup.as_fd().as_raw_fd();
            map.update(&0u32.to_ne_bytes(), &fd.to_ne_bytes()).map_err(Kind::Cgroup)?;
        }
        Ok(maps)
    }

    pub(super) fn control(&self, what: Control) -> u64 {
        self.control.word(usize::from(what as u8))
    }
}

/// How many processors there may ever be: the highest number, and 1.
fn possible_processors() -> usize {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    let last = text.trim().rsplit([',', '-']).next().and_then(|last| last.parse::<usize>().ok());
    // The kernel has at most 8192.
    last.map_or(8192, |last| last + 1)
}
