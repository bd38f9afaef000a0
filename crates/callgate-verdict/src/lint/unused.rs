//! Entries of a text that change nothing.
//!
//! What decides is the meaning: the rules of the names in question are made with the entry and
//! without it, and the diagrams compared.

use alloc::{collections::BTreeMap, format, string::String, vec, vec::Vec};

use callgate_bpf::{ByteOrder, Layout};
use callgate_diagnostic::{Label, Severity};
use callgate_policy::{Entry, NewerCalls, Policy, Target, Test};
use callgate_syscalls::Abi;

use super::{
    Finding, Written, edits,
    places::is_json,
    view::{ARGUMENTS, Linter},
    words::name_list,
};
use crate::{Manager, TooComplex};

/// A name in more entries than this is not looked at: the work grows with their square.
const ENTRY_LIMIT: usize = 32;

/// Entries that are held against each other in all: a second on a text made to take time.
const TRY_LIMIT: usize = 50_000;

/// Nodes for the rules of a few names.
const SCRATCH_SIZE: usize = 1 << 16;

/// Why an entry changes nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    EqualsDefault,
    /// What stands elsewhere decides, and answers the same.
    Repeated,
    /// What stands elsewhere decides, and answers otherwise.
    Overruled,
}

impl Linter<'_> {
    pub(super) fn unused(&mut self) -> Result<(), TooComplex> {
        let Some(written) = self.subject.written else { return Ok(()) };
        let policy = written.policy;
        let mut entries_of: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, entry) in policy.entries.iter().enumerate() {
            if entry.applies_to(written.target) {
                for name in &entry.names {
                    let list = entries_of.entry(&name.value).or_default();
                    if list.last() != Some(&index) {
                        list.push(index);
                    }
                }
            }
        }
        let boundary = Boundary::of(written, &entries_of);
        let mut tries = 0;
        for (index, entry) in policy.entries.iter().enumerate() {
            if !entry.applies_to(written.target) {
                continue;
            }
            if !entry.comparisons.is_empty() && self.never_matches(written, entry)? {
                self.push_never(written, entry);
                continue;
            }
            let mut found: Vec<(&str, Why, Option<usize>)> = Vec::new();
            for name in &entry.names {
                let name = &*name.value;
                let Some(all) = entries_of.get(name) else { continue };
                if boundary.is_set_by(name, all) || all.len() > ENTRY_LIMIT || tries > TRY_LIMIT {
                    continue;
                }
                tries += all.len() - 1;
                if let Some((why, other)) = idle(written, index, name, all) {
                    found.push((name, why, other));
                }
            }
            for why in [Why::Overruled, Why::Repeated, Why::EqualsDefault] {
                let of: Vec<(&str, Option<usize>)> =
                    found.iter().filter(|i| i.1 == why).map(|i| (i.0, i.2)).collect();
                if !of.is_empty() {
                    self.push_idle(written, entry, why, &of);
                }
            }
        }
        Ok(())
    }

    /// Whether no call fulfils the conditions, on any ABI that has one of the names.
    fn never_matches(&mut self, written: Written<'_>, entry: &Entry) -> Result<bool, TooComplex> {
        let any_of = written.policy.dialect.is_some() && has_argument_twice(entry);
        for bits in [64, 32] {
            let abis = self.tables.iter().map(|table| table.abi);
            let mut of_width = abis.filter(|abi| abi.arg_bits() == bits);
            if !of_width.any(|abi| entry.names.iter().any(|n| abi.number(&n.value).is_some())) {
                continue;
            }
            let mut all = self.manager.always(true);
            let mut any = self.manager.always(false);
            for comparison in &entry.comparisons {
                let (bits, mut test) = comparison.value.on(bits);
                if let (Test::MaskedEq { mask, value }, true) =
                    (test, written.policy.dialect.is_some())
                {
                    // As libseccomp makes it.
                    test = Test::MaskedEq { mask, value: value & mask };
                }
                let arg = ARGUMENTS[usize::from(comparison.value.arg)];
                let fields = self.manager.digits.layout().fields;
                let field = fields.iter().position(|field| field.name == arg);
                let field = field.expect("system calls have six arguments");
                let holds = self.manager.field_test(field, bits, test)?;
                all = self.manager.and(all, holds)?;
                any = self.manager.or(any, holds)?;
            }
            let matched = if any_of { any } else { all };
            if matched != self.manager.always(false) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn push_never(&mut self, written: Written<'_>, entry: &Entry) {
        let names: Vec<&str> = entry.names.iter().map(|name| &*name.value).collect();
        let consequence = if entry.action.value.runs_call() {
            "a user's program is refused what the entry was to permit"
        } else {
            "an attacker makes the calls that the entry was to refuse"
        };
        let labels = entry.comparisons.iter().map(|c| Label { span: c.span, text: String::new() });
        let mut finding = Finding::new(
            "never-matches",
            format!("no call fulfils the conditions: {}", name_list(&names)),
            consequence,
        )
        .labels(labels)
        .help("mend the conditions, or remove the entry");
        if is_json(written) {
            finding = finding.edits(edits::remove_entry(written.text, written.policy, entry));
        }
        self.push(finding);
    }

    fn push_idle(
        &mut self,
        written: Written<'_>,
        entry: &Entry,
        why: Why,
        idle: &[(&str, Option<usize>)],
    ) {
        let names: Vec<&str> = idle.iter().map(|(name, _)| *name).collect();
        let list = name_list(&names);
        let finding = match why {
            Why::EqualsDefault => Finding::new(
                "equals-default",
                format!("this says what the default says: {list}"),
                "nobody loses: a reader takes it for a rule, and runtimes drop it",
            )
            .help("remove it, or change the action"),
            Why::Repeated => Finding::new(
                "shadowed",
                format!("another entry says the same: {list}"),
                "nobody loses: a reader who changes this entry changes nothing",
            )
            .help("remove one of the two"),
            Why::Overruled => Finding::new(
                "shadowed",
                format!("another entry decides, so this one changes nothing: {list}"),
                if entry.action.value.runs_call() {
                    "a user's program is refused what the entry was to permit"
                } else {
                    "an attacker makes the calls that the entry was to refuse"
                },
            )
            .severity(Severity::Warning)
            .help("remove one of the two"),
        };
        let mut finding = finding;
        for (name, other) in idle.iter().take(4) {
            let named = entry.names.iter().filter(|n| n.value == *name);
            finding = finding.labels(named.map(|n| Label { span: n.span, text: String::new() }));
            let other = other.and_then(|other| written.policy.entries.get(other));
            if let Some(other) = other {
                let span = super::places::name_span(other, name);
                finding = finding.labels([Label { span, text: String::from("this decides") }]);
            }
        }
        if is_json(written) {
            let whole = names.len() == entry.names.len();
            let edits: Vec<_> = if whole {
                edits::remove_entry(written.text, written.policy, entry).into_iter().collect()
            } else {
                let remove =
                    |name: &&str| edits::remove_name(written.text, written.policy, entry, name);
                names.iter().filter_map(remove).collect()
            };
            // Neighbours would both take the comma between them.
            let apart = edits.windows(2).all(|pair| pair[0].span.end <= pair[1].span.start);
            finding = finding.edits(edits.into_iter().filter(|_| apart));
        }
        self.push(finding);
    }
}

/// Whether a name in an entry changes nothing: the reason, and the entry that decides.
fn idle(
    written: Written<'_>,
    index: usize,
    name: &str,
    all: &[usize],
) -> Option<(Why, Option<usize>)> {
    let policy = written.policy;
    let entry = &policy.entries[index];
    let default = policy.default.value;
    let container = policy.dialect.is_some();
    // In a container profile a rule equal to the default is none.
    if container && entry.action.value == default {
        return Some((Why::EqualsDefault, None));
    }
    // An entry that holds on other targets alone decides nothing on those without it.
    let everywhere = |&other: &usize| other == index || is_unconditional(&policy.entries[other]);
    let names = related(name, &written.target_abis());
    let mut relevant: Vec<usize> = all.iter().copied().filter(everywhere).collect();
    for other in names.iter().filter(|other| **other != name) {
        let more = policy.entries.iter().enumerate().filter(|(at, entry)| {
            entry.applies_to(written.target)
                && everywhere(at)
                && entry.names.iter().any(|n| n.value == *other)
        });
        relevant.extend(more.map(|(at, _)| at));
    }
    relevant.sort_unstable();
    relevant.dedup();
    if relevant.len() == 1 && entry.action.value != default || relevant.len() > ENTRY_LIMIT {
        return None;
    }
    let part = |without: Option<(usize, &str)>| part_of(policy, &relevant, &names, without);
    if !mean_the_same(&part(None), &part(Some((index, name))), written.target) {
        return None;
    }
    let others = relevant.iter().copied().filter(|&other| other != index);
    let answers = |&other: &usize| {
        let other = &policy.entries[other];
        other.action.value == entry.action.value && other.names.iter().any(|n| n.value == name)
    };
    let same = others.clone().find(|other| answers(other));
    let named = |other: &usize| policy.entries[*other].names.iter().any(|n| n.value == name);
    Some(match (same, entry.action.value == default) {
        (Some(same), _) => (Why::Repeated, Some(same)),
        (None, true) => (Why::EqualsDefault, None),
        (None, false) => (Why::Overruled, others.clone().find(named).or(others.clone().next())),
    })
}

/// Whether two policies come to the same; not where that cannot be told.
fn mean_the_same(a: &Policy, b: &Policy, target: &Target) -> bool {
    let target = Target { newer: NewerCalls::Default, ..target.clone() };
    let mut manager = Manager::with_limit(Layout::seccomp(ByteOrder::NATIVE), SCRATCH_SIZE);
    let mut meaning = |policy: &Policy| {
        let ruleset = policy.resolve(&target).ruleset?;
        manager.ruleset(&ruleset).ok()
    };
    meaning(a).zip(meaning(b)).is_some_and(|(a, b)| a == b)
}

impl Written<'_> {
    fn target_abis(&self) -> Vec<Abi> {
        self.ruleset.abis.iter().map(|rules| rules.abi).collect()
    }
}

/// The largest numbers named, above which calls get ENOSYS: naming one has an effect by itself.
struct Boundary {
    /// For each ABI with such a rule.
    last: Vec<(Abi, callgate_bpf::SyscallNr)>,
}

impl Boundary {
    fn of(written: Written<'_>, names: &BTreeMap<&str, Vec<usize>>) -> Boundary {
        let tables = written.ruleset.abis.iter().filter(|table| table.newer.is_some());
        let last = |abi: Abi| names.keys().filter_map(|name| abi.number(name)).max();
        Boundary { last: tables.filter_map(|t| Some((t.abi, last(t.abi)?))).collect() }
    }

    /// Whether the name, in the only entry that has it, is the newest.
    fn is_set_by(&self, name: &str, entries: &[usize]) -> bool {
        entries.len() == 1 && self.last.iter().any(|&(abi, last)| abi.number(name) == Some(last))
    }
}

/// The names whose rules meet this name's: itself, what it is reached through, what it reaches.
fn related(name: &str, abis: &[Abi]) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    let mut add = |name: &str| {
        let known = callgate_syscalls::syscall(name).map(|call| call.name);
        names.extend(known.filter(|known| !names.contains(known)));
    };
    add(name);
    for &abi in abis {
        if let Some(way) = abi.multiplexer(name) {
            abi.name_of(way.nr).into_iter().for_each(&mut add);
        }
    }
    if matches!(name, "socketcall" | "ipc") {
        for abi in abis {
            let through = abi.number(name);
            let reached = callgate_syscalls::all_names()
                .filter(|n| through.is_some() && abi.multiplexer(n).map(|way| way.nr) == through);
            reached.for_each(&mut add);
        }
    }
    names
}

/// The policy of some entries, with some of their names.
fn part_of(
    policy: &Policy,
    entries: &[usize],
    names: &[&str],
    without: Option<(usize, &str)>,
) -> Policy {
    let kept = |index: usize| {
        let entry = &policy.entries[index];
        let stays = |name: &str| names.contains(&name) && without != Some((index, name));
        let named = entry.names.iter().filter(|name| stays(&name.value)).cloned().collect();
        Entry {
            names: named,
            abis: entry.abis.clone(),
            action: entry.action,
            comparisons: entry.comparisons.clone(),
            includes: entry.includes.clone(),
            excludes: entry.excludes.clone(),
            comment: None,
            span: entry.span,
        }
    };
    Policy {
        dialect: policy.dialect,
        default: policy.default,
        architectures: policy.architectures.clone(),
        other: policy.other,
        flags: vec![],
        listener: None,
        entries: entries.iter().map(|&index| kept(index)).collect(),
    }
}

fn is_unconditional(entry: &Entry) -> bool {
    entry.includes.is_empty() && entry.excludes.is_empty()
}

fn has_argument_twice(entry: &Entry) -> bool {
    let all = &entry.comparisons;
    (0..all.len()).any(|i| all[..i].iter().any(|c| c.value.arg == all[i].value.arg))
}
