//! A set of system calls as `SystemCallFilter=` and `SystemCallLog=` put it together.

use alloc::{vec, vec::Vec};

use callgate_bpf::Action;
use callgate_diagnostic::Span;
use callgate_syscalls::{Group, Syscall, all_syscalls};

/// The calls of one setting.
#[derive(Clone)]
pub(super) struct Calls {
    /// Whether the set is what is listed, or everything else.
    pub allow_list: bool,
    /// By the place of a call among all calls.
    listed: Vec<Option<Listed>>,
}

/// A call of the set.
#[derive(Clone, Copy)]
pub(super) struct Listed {
    /// What it gets, if the text says so for itself.
    pub own: Option<Action>,
    pub span: Span,
}

/// How a word counts.
#[derive(Clone, Copy)]
pub(super) struct Mode {
    /// Whether a `~` stands in front of the list.
    pub inverted: bool,
    /// What follows the word's colon.
    pub own: Option<Action>,
}

impl Calls {
    /// The set that a first assignment begins.
    pub fn new(allow_list: bool) -> Calls {
        Calls { allow_list, listed: vec![None; all_syscalls().len()] }
    }

    /// Adds a call, or takes it away when the list before it is of the other kind.
    pub fn put(&mut self, place: usize, mode: Mode, span: Span) {
        let same_kind = mode.inverted != self.allow_list;
        // On an allow list a refusal of its own keeps the call, to be refused so.
        let refused = mode.inverted && self.allow_list && mode.own.is_some();
        self.listed[place] = (same_kind || refused).then_some(Listed { own: mode.own, span });
    }

    /// The entry of a call.
    pub fn get(&self, place: usize) -> Option<Listed> {
        self.listed[place]
    }
}

/// The place of a call among all calls.
pub(super) fn place(name: &str) -> Option<usize> {
    all_syscalls().binary_search_by(|call| call.name.cmp(name)).ok()
}

/// The call at a place.
pub(super) fn at(place: usize) -> &'static Syscall {
    &all_syscalls()[place]
}

/// The places of a group's calls.
pub(super) fn places(group: &'static Group) -> impl Iterator<Item = usize> {
    group.syscalls().filter_map(|call| place(call.name))
}
