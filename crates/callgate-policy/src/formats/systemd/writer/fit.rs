//! What of a policy a unit file can say.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::{String, ToString as _},
    vec::Vec,
};

use callgate_bpf::Action;
use callgate_diagnostic::{Diagnostic, Span, Spanned};
use callgate_syscalls::Abi;

use super::{
    super::{calls, policy::rows, words},
    all_places, name_span,
};
use crate::{Architectures, ArgIndex, Entry, Policy, Test, quote::quoted};

/// A policy as a unit file has it.
pub(super) struct Plan {
    pub scope: Scope,
    pub default: Action,
    /// The calls with another verdict, by place.
    pub verdicts: BTreeMap<usize, Action>,
    /// The words of `SystemCallArchitectures=`, if that is to be said.
    pub architectures: Option<Vec<String>>,
}

/// The ABIs that a policy is for.
pub(super) struct Scope {
    pub abis: Vec<Abi>,
    /// The calls that one of them has, by place.
    has: BTreeSet<usize>,
}

impl Scope {
    fn of(policy: &Policy) -> Scope {
        let known =
            || Abi::ALL.iter().copied().filter(|abi| words::architecture_word(*abi).is_some());
        let abis: Vec<Abi> = match &policy.architectures {
            Architectures::List(list) => list.iter().map(|abi| abi.value).collect(),
            Architectures::Native | Architectures::Map(_) => known().collect(),
        };
        let has = all_places()
            .filter(|place| abis.iter().any(|abi| abi.number(calls::at(*place).name).is_some()))
            .collect();
        Scope { abis, has }
    }

    /// Whether none of the ABIs has a call.
    pub fn lacks(&self, place: usize) -> bool {
        !self.has.contains(&place)
    }
}

/// How a unit file says a policy.
///
/// # Errors
///
/// One diagnostic for each thing that it has no words for.
pub(super) fn plan(policy: &Policy) -> Result<Plan, Vec<Diagnostic>> {
    let scope = Scope::of(policy);
    let mut check = Check { policy, unfit: Vec::new() };
    if policy.dialect.is_some() {
        check.with_help(
            "a container profile's rules combine in another order, and answer newer calls with ENOSYS",
            policy.default.span,
            "resolve the profile for one machine first",
        );
        return Err(check.unfit);
    }
    check.action(policy.default);
    if let Some(flag) = policy.flags.first() {
        check.cannot("flags for loading are systemd's own", flag.span);
    }
    if let Some(listener) = &policy.listener {
        check.cannot("systemd hands no call to a supervisor", listener.path.span);
    }
    for (index, entry) in policy.entries.iter().enumerate() {
        check.entry(index, entry, &scope);
    }
    let architectures = check.architectures();
    let verdicts = check.verdicts(&scope);
    if !check.unfit.is_empty() {
        return Err(check.unfit);
    }
    Ok(Plan { scope, default: policy.default.value, verdicts, architectures })
}

struct Check<'p> {
    policy: &'p Policy,
    unfit: Vec<Diagnostic>,
}

impl Check<'_> {
    fn action(&mut self, action: Spanned<Action>) {
        let nearest = match action.value {
            Action::Allow | Action::Log | Action::KillProcess => return,
            Action::Errno(number) if number <= words::LARGEST_ERRNO => return,
            Action::Errno(number) => {
                let why = format!("the error number {number} is larger than libseccomp takes");
                return self.cannot(why, action.span);
            }
            Action::KillThread => "`kill` ends the whole process, which is stricter",
            _ => "an error, as in `name:ENOSYS`, or `kill` is stricter",
        };
        let why = format!("systemd has no words for the action {}", action.value);
        self.with_help(why, action.span, nearest);
    }

    fn entry(&mut self, index: usize, entry: &Entry, scope: &Scope) {
        self.action(entry.action);
        if !entry.includes.is_empty() || !entry.excludes.is_empty() {
            self.with_help(
                format!("entry {index} has conditions on the machine"),
                entry.span,
                "resolve the policy for one machine and its capabilities first",
            );
        }
        for name in &entry.names {
            if calls::place(&name.value).is_none() {
                self.cannot(format!("no syscall is called {}", quoted(&name.value)), name.span);
            }
        }
        let applies = scope.abis.iter().any(|abi| is_for(entry, *abi));
        if let Some(comparison) = entry.comparisons.first().filter(|_| applies)
            && !is_selector(entry)
        {
            self.with_help(
                format!("entry {index} compares arguments ({})", comparison.value),
                comparison.span,
                "without the condition the entry takes more calls",
            );
        }
    }

    /// The words of `SystemCallArchitectures=`; none where that is left away.
    fn architectures(&mut self) -> Option<Vec<String>> {
        let place = self.policy.default.span;
        match self.policy.other {
            Action::KillThread => return Some(self.kept()),
            Action::Allow if filters_all(self.policy) => {}
            Action::Allow => self.with_help(
                "other architectures of the machine may call everything",
                place,
                "systemd filters all architectures of a machine alike, or ends the thread",
            ),
            other => self.with_help(
                format!(
                    "another architecture gets {other}, and systemd ends the thread or lets it pass"
                ),
                place,
                "the end of the thread is stricter where the call would run",
            ),
        }
        None
    }

    /// The architectures that stay where all others are refused.
    fn kept(&mut self) -> Vec<String> {
        let mut kept: Vec<Spanned<Abi>> = Vec::new();
        let mut native = true;
        match &self.policy.architectures {
            Architectures::Native => {}
            Architectures::List(list) => {
                native = list.is_empty();
                kept.clone_from(list);
            }
            Architectures::Map(map) => {
                let others = || map.iter().flat_map(|(_, others)| others).copied();
                if rows(|abi| others().any(|other| other.value == abi)) != plain(map) {
                    let span = map.first().map_or(self.policy.default.span, |(main, _)| main.span);
                    self.with_help(
                        "one list of architectures is for all machines",
                        span,
                        "resolve the policy for one machine first",
                    );
                }
                kept.extend(others());
            }
        }
        let mut words: Vec<String> = Vec::new();
        words.extend(native.then(|| words::NATIVE.to_string()));
        for abi in kept {
            match words::architecture_word(abi.value) {
                Some(word) if words.iter().any(|known| known == word) => {}
                Some(word) => words.push(word.to_string()),
                None => {
                    let why = format!("systemd has no word for the architecture {}", abi.value);
                    self.cannot(why, abi.span);
                }
            }
        }
        words
    }

    /// The verdict of each call, which must be the same on all ABIs that have it.
    fn verdicts(&mut self, scope: &Scope) -> BTreeMap<usize, Action> {
        let default = self.policy.default.value;
        let mut on: BTreeMap<Abi, BTreeMap<&str, Action>> = BTreeMap::new();
        for &abi in &scope.abis {
            let verdicts = on.entry(abi).or_default();
            let entries = self.policy.entries.iter().filter(|entry| is_for(entry, abi));
            for entry in entries.filter(|entry| entry.comparisons.is_empty()) {
                for name in &entry.names {
                    verdicts.entry(&name.value).or_insert(entry.action.value);
                }
            }
        }
        let mut all: BTreeMap<usize, Action> = BTreeMap::new();
        for place in all_places().filter(|place| !scope.lacks(*place)) {
            let name = calls::at(place).name;
            let verdict = |abi: &Abi| on[abi].get(name).copied().unwrap_or(default);
            let mut having = scope.abis.iter().filter(|abi| abi.number(name).is_some());
            let Some(first) = having.next() else {
                continue;
            };
            let action = verdict(first);
            if let Some(other) = having.find(|other| verdict(other) != action) {
                let why = format!(
                    "`{name}` gets {action} on {first} and {} on {other}, and systemd has one list",
                    verdict(other)
                );
                self.cannot(why, name_span(self.policy, name));
            } else if action != default {
                all.insert(place, action);
            }
        }
        all
    }

    fn cannot(&mut self, why: impl Into<String>, span: Span) {
        self.unfit
            .push(Diagnostic::error("cannot-write", why).at(span, "can't be said in a unit file"));
    }

    fn with_help(&mut self, why: impl Into<String>, span: Span, help: &str) {
        self.cannot(why, span);
        if let Some(last) = self.unfit.last_mut() {
            last.help = Some(String::from(help));
        }
    }
}

fn is_for(entry: &Entry, abi: Abi) -> bool {
    entry.abis.is_empty() || entry.abis.contains(&abi)
}

/// Whether an entry is about a call behind `socketcall` or `ipc`.
fn is_selector(entry: &Entry) -> bool {
    let way = |name: &str| name == "socketcall" || name == "ipc";
    let [one] = &entry.comparisons[..] else {
        return false;
    };
    entry.names.iter().all(|name| way(&name.value))
        && one.value.arg == ArgIndex::ALL[0]
        && matches!(one.value.test, Test::Eq(_))
}

/// Whether a policy that lets other architectures pass filters all that a machine has.
fn filters_all(policy: &Policy) -> bool {
    match &policy.architectures {
        Architectures::Native => false,
        Architectures::Map(map) => plain(map) == rows(|_| true),
        Architectures::List(list) => {
            let all: BTreeSet<Abi> = list.iter().map(|abi| abi.value).collect();
            let whole = |main: Abi| {
                let known = main.companions().iter().copied();
                core::iter::once(main).chain(known).collect::<BTreeSet<Abi>>()
            };
            all.iter().any(|main| whole(*main) == all)
        }
    }
}

fn plain(map: &[(Spanned<Abi>, Vec<Spanned<Abi>>)]) -> Vec<(Abi, Vec<Abi>)> {
    let values = |list: &[Spanned<Abi>]| list.iter().map(|abi| abi.value).collect();
    map.iter().map(|(main, others)| (main.value, values(others))).collect()
}
