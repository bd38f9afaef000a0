//! What the settings come to.
//!
//! systemd loads one filter for each architecture of the machine and each setting, all of which
//! let other architectures pass; the kernel takes the strongest answer. So a call of an
//! architecture has the stronger of its two verdicts, and where `SystemCallArchitectures=` leaves
//! an architecture out, one more filter ends the thread.
//!
//! libseccomp adds to a call that can come through `socketcall` or `ipc` a rule for that way,
//! unless the way itself has one.
//!
//! Source: `seccomp_load_syscall_filter_set_raw` and `seccomp_restrict_archs` in
//! `src/shared/seccomp-util.c`, `apply_syscall_filter` in `src/core/exec-invoke.c`.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use callgate_bpf::Action;
use callgate_diagnostic::{Diagnostic, Span, Spanned};
use callgate_syscalls::{Abi, all_syscalls};

use super::{
    super::report::Report,
    calls::{self, Calls, Listed},
    reader::Settings,
};
use crate::{Architectures, ArgIndex, Comparison, Condition, Entry, Policy, Test};

/// One of the filters that a setting loads, without its architecture.
struct Filter<'s> {
    calls: Option<&'s Calls>,
    default: Action,
    /// What a listed call gets.
    listed: Action,
}

impl Filter<'_> {
    /// The rule for a call; one equal to the default is none.
    fn rule(&self, place: usize) -> Option<(Action, Listed)> {
        let listed = self.calls?.get(place)?;
        let action = listed.own.unwrap_or(self.listed);
        (action != self.default).then_some((action, listed))
    }

    fn verdict(&self, place: usize) -> Action {
        self.rule(place).map_or(self.default, |(action, _)| action)
    }

    /// The verdict on a call that comes through another.
    fn verdict_through(&self, way: usize, place: usize) -> Action {
        match self.rule(way) {
            Some((action, _)) => action,
            None => self.verdict(place),
        }
    }
}

pub(super) fn of(settings: &Settings, first: Span, report: &mut Report) -> Policy {
    let refusal = settings.refusal.map_or(Action::KillProcess, |refusal| refusal.value);
    let filter = settings.filter.as_ref();
    let filter = match filter.map(|filter| &filter.value) {
        None => Filter { calls: None, default: Action::Allow, listed: Action::Allow },
        Some(calls) if calls.allow_list => {
            Filter { calls: Some(calls), default: refusal, listed: Action::Allow }
        }
        Some(calls) => Filter { calls: Some(calls), default: Action::Allow, listed: refusal },
    };
    let log = match settings.log.as_ref().map(|log| &log.value) {
        None => Filter { calls: None, default: Action::Allow, listed: Action::Allow },
        Some(calls) if calls.allow_list => {
            Filter { calls: Some(calls), default: Action::Allow, listed: Action::Log }
        }
        // A list with nothing in it logs everything.
        Some(calls) => Filter { calls: Some(calls), default: Action::Log, listed: Action::Allow },
    };
    warn_of_idle(settings, &filter, report);
    let stronger = |f: Action, l: Action| f.min(l);
    let default = stronger(filter.default, log.default);
    let place = settings.filter.as_ref().or(settings.log.as_ref()).map_or(first, |set| set.span);
    let mut entries = ways(&filter, &log);
    let mut groups: BTreeMap<Action, Vec<Spanned<String>>> = BTreeMap::new();
    for (place, call) in all_syscalls().iter().enumerate() {
        let action = stronger(filter.verdict(place), log.verdict(place));
        if action == default {
            continue;
        }
        let span = span_of(&filter, &log, place);
        groups.entry(action).or_default().push(Spanned::new(String::from(call.name), span));
    }
    entries.extend(groups.into_iter().rev().map(|(action, names)| {
        let span = names.iter().map(|name| name.span).reduce(Span::to).unwrap_or(place);
        entry(names, Vec::new(), action, Vec::new(), span)
    }));
    let (architectures, other) = architectures(settings, place);
    Policy {
        dialect: None,
        default: Spanned::new(default, settings.refusal.map_or(place, |refusal| refusal.span)),
        architectures,
        other,
        flags: Vec::new(),
        listener: None,
        entries,
    }
}

fn entry(
    names: Vec<Spanned<String>>,
    abis: Vec<Abi>,
    action: Action,
    comparisons: Vec<Spanned<Comparison>>,
    span: Span,
) -> Entry {
    Entry {
        names,
        abis,
        action: Spanned::new(action, span),
        comparisons,
        includes: Condition::default(),
        excludes: Condition::default(),
        comment: None,
        span,
    }
}

/// Where a call's verdict is written.
fn span_of(filter: &Filter<'_>, log: &Filter<'_>, place: usize) -> Span {
    let rule = filter.rule(place).or_else(|| log.rule(place));
    rule.map_or(Span::default(), |(_, listed)| listed.span)
}

/// The rules for the calls behind `socketcall` and `ipc`, where they differ from those for the
/// whole of it.
fn ways(filter: &Filter<'_>, log: &Filter<'_>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for abi in Abi::ALL.iter().copied() {
        for (place, call) in all_syscalls().iter().enumerate() {
            let Some(multiplexed) = abi.multiplexer(call.name) else {
                continue;
            };
            let Some(name) = abi.name_of(multiplexed.nr) else {
                continue;
            };
            let Some(way) = calls::place(name) else {
                continue;
            };
            let action = filter.verdict_through(way, place).min(log.verdict_through(way, place));
            if action == filter.verdict(way).min(log.verdict(way)) {
                continue;
            }
            let span = span_of(filter, log, place);
            let selector = Comparison::full(ArgIndex::ALL[0], Test::Eq(multiplexed.call.into()));
            let same = |known: &&mut Entry| {
                known.action.value == action
                    && known.names[0].value == name
                    && known.comparisons[0].value == selector
            };
            match entries.iter_mut().find(same) {
                Some(known) => known.abis.push(abi),
                None => {
                    let names = Vec::from([Spanned::new(String::from(name), span)]);
                    let comparisons = Vec::from([Spanned::new(selector, span)]);
                    entries.push(entry(names, Vec::from([abi]), action, comparisons, span));
                }
            }
        }
    }
    entries
}

/// The architectures that are filtered, and what the others get.
fn architectures(settings: &Settings, place: Span) -> (Architectures, Action) {
    let wanted: Vec<Abi> = settings.architectures.iter().filter_map(|abi| abi.value).collect();
    let restricted = !settings.architectures.is_empty();
    let other = if restricted { Action::KillThread } else { Action::Allow };
    let rows = rows(|abi| !restricted || wanted.contains(&abi));
    if rows.is_empty() {
        return (Architectures::Native, other);
    }
    let here = |abi| Spanned::new(abi, place);
    let rows =
        rows.into_iter().map(|(main, others)| (here(main), others.into_iter().map(here).collect()));
    (Architectures::Map(rows.collect()), other)
}

/// For each machine that has other architectures, those that systemd filters on it.
pub(super) fn rows(wanted: impl Fn(Abi) -> bool) -> Vec<(Abi, Vec<Abi>)> {
    let machines = Abi::ALL.iter().copied().filter(|abi| abi.oci_name().is_some());
    let row = |main: Abi| {
        // The C library of x32 calls x86_64's clock, so systemd lets that pass with x32.
        let with = |abi: &Abi| {
            wanted(*abi) || (main == Abi::X32 && *abi == Abi::X86_64 && wanted(Abi::X32))
        };
        (main, main.companions().iter().copied().filter(with).collect::<Vec<_>>())
    };
    machines.map(row).filter(|(_, others)| !others.is_empty()).collect()
}

/// Warns of calls that are refused as everything is: libseccomp takes no such rule.
fn warn_of_idle(settings: &Settings, filter: &Filter<'_>, report: &mut Report) {
    let Some(calls) = settings.filter.as_ref().map(|filter| &filter.value) else {
        if let Some(refusal) = settings.refusal {
            report.warning(|| {
                Diagnostic::warning("no-effect", "there is no filter that would refuse so")
                    .at(refusal.span, "only `SystemCallFilter=` refuses calls")
            });
        }
        return;
    };
    let mut last = None;
    for place in 0..all_syscalls().len() {
        let Some(listed) = calls.get(place) else {
            continue;
        };
        if listed.own == Some(filter.default) && last != Some(listed.span) {
            last = Some(listed.span);
            report.warning(|| {
                Diagnostic::warning("no-effect", "the filter refuses everything else so already")
                    .at(listed.span, "libseccomp refuses a rule that says the default again")
                    .help("leave the error away: the unit may not start with it")
            });
        }
    }
}
