//! What earlier recordings and profiles know, as a filter that asks about everything else.

use std::collections::{BTreeMap, BTreeSet};

use callgate_bpf::{Action, SyscallNr};
use callgate_policy::{AbiRules, Rule, Ruleset};
use callgate_syscalls::Abi;

use crate::{Call, Marker, Recording, profile::Narrowing};

/// The rules of a run that is recorded incrementally: what is known passes at full speed, and
/// only the unknown is asked about.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Known {
    /// The rules: ALLOW for what is known, USER_NOTIF for the rest.
    pub ruleset: Ruleset,
    /// The calls that the rules let pass whatever their arguments.
    pub unwatched: BTreeSet<Call>,
}

impl Known {
    /// What a recording and a profile know, on a machine of this ABI and its companions.
    ///
    /// With `arguments`, a recorded call is known only with the arguments that were seen, where
    /// those are bounded. Whatever a profile lets run is known.
    pub fn new(
        native: Abi,
        recording: &Recording,
        profile: Option<&Ruleset>,
        arguments: bool,
    ) -> Known {
        let abis = [native].into_iter().chain(native.companions().iter().copied());
        let mut unwatched = BTreeSet::new();
        let mut tables: Vec<AbiRules> = abis
            .map(|abi| AbiRules {
                abi,
                default: Action::UserNotif,
                rules: BTreeMap::new(),
                newer: None,
            })
            .collect();
        for table in &mut tables {
            let narrow = Narrowing::new(recording, &[table.abi], arguments);
            let calls = recording.calls();
            for call in calls.iter().filter(|call| call.abi == table.abi) {
                let alternatives = call.name().and_then(|name| narrow.of(name)).cloned();
                let rules = alternatives.unwrap_or_else(|| vec![Vec::new()]);
                let rule = |comparisons| Rule { action: Action::Allow, comparisons, entry: 0 };
                table.rules.insert(call.number, rules.into_iter().map(rule).collect());
            }
            if let Some(profile) =
                profile.and_then(|ruleset| ruleset.abis.iter().find(|other| other.abi == table.abi))
            {
                add(table, profile);
            }
            let whole = |rules: &Vec<Rule>| {
                rules.first().is_some_and(|rule| rule.is_unconditional() && rule.action.runs_call())
            };
            let known = table.rules.iter().filter(|(_, rules)| whole(rules));
            unwatched.extend(known.map(|(&number, _)| Call { abi: table.abi, number }));
        }
        let ruleset = Ruleset { abis: tables, other: Action::UserNotif, flags: Vec::new() };
        Known { ruleset, unwatched }
    }

    /// Asks about the calls of these markers too, so that their moment is known.
    pub fn ask_about(&mut self, markers: &[Marker]) {
        let known = |abi, number| !markers.iter().any(|marker| marker.is(Call { abi, number }));
        for table in &mut self.ruleset.abis {
            let abi = table.abi;
            table.rules.retain(|&number, _| known(abi, number));
        }
        self.unwatched.retain(|call| known(call.abi, call.number));
    }
}

/// Adds what a profile lets run; what it would not, is asked about.
fn add(table: &mut AbiRules, profile: &AbiRules) {
    let asked = |action: Action| if action.runs_call() { Action::Allow } else { Action::UserNotif };
    // A number that the profile's author could not know is decided before any rule.
    let newer = |number: SyscallNr| profile.newer.is_some_and(|newer| newer.takes(number));
    for (&number, rules) in &profile.rules {
        if newer(number) {
            continue;
        }
        let mapped = rules.iter().map(|rule| Rule { action: asked(rule.action), ..rule.clone() });
        table.rules.entry(number).or_default().extend(mapped);
        // Where none of the rules holds.
        let rest = Rule { action: asked(profile.default), comparisons: Vec::new(), entry: 0 };
        table.rules.entry(number).or_default().push(rest);
    }
    if profile.default.runs_call() {
        for (number, _) in table.abi.syscalls().filter(|(number, _)| !newer(*number)) {
            let rest = || vec![Rule { action: Action::Allow, comparisons: Vec::new(), entry: 0 }];
            table.rules.entry(number).or_insert_with(rest);
        }
    }
    for rules in table.rules.values_mut() {
        // What comes behind a rule that always holds never decides.
        if let Some(end) = rules.iter().position(Rule::is_unconditional) {
            rules.truncate(end + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use callgate_bpf::SeccompData;
    use callgate_policy::{Dialect, NewerCalls, Target, formats::profile};
    use callgate_syscalls::{CapabilitySet, KernelVersion};

    use super::*;
    use crate::{Recorder, RunId, RunInfo, strace};

    fn asks(known: &Known, name: &str, first: u64) -> bool {
        let number = Abi::X86_64.number(name).unwrap();
        let mut data = SeccompData::new(Abi::X86_64.audit(), number);
        // SOCK_STREAM, of sockets.
        data.args[..2].copy_from_slice(&[first, 1]);
        known.ruleset.decide(&data).0 == Action::UserNotif
    }

    fn recording() -> Recording {
        let mut recorder = Recorder::new(RunId::new(1), RunInfo::default());
        strace::read(
            Abi::X86_64,
            b"socket(AF_UNIX, SOCK_STREAM, 0) = 3\ngetpid() = 1\n",
            &mut recorder,
        )
        .unwrap();
        let (id, run) = recorder.finish();
        Recording::of_run(id, run)
    }

    #[test]
    fn what_was_recorded_is_not_asked_about() {
        let known = Known::new(Abi::X86_64, &recording(), None, false);
        assert!(!asks(&known, "socket", 16) && !asks(&known, "getpid", 0));
        assert!(asks(&known, "mount", 0));
        let getpid = SeccompData::new(Abi::X86.audit(), Abi::X86.number("getpid").unwrap());
        assert_eq!(known.ruleset.decide(&getpid).0, Action::UserNotif);
        assert_eq!(known.unwatched.len(), 2);
    }

    #[test]
    fn a_marker_is_asked_about() {
        let mut known = Known::new(Abi::X86_64, &recording(), None, false);
        known.ask_about(&["getpid".parse().unwrap()]);
        assert!(asks(&known, "getpid", 0) && !asks(&known, "socket", 16));
        assert_eq!(known.unwatched.len(), 1);
    }

    #[test]
    fn with_arguments_other_ones_are_asked_about() {
        let known = Known::new(Abi::X86_64, &recording(), None, true);
        assert!(!asks(&known, "socket", 1) && asks(&known, "socket", 16));
        let unwatched: Vec<_> = known.unwatched.iter().filter_map(|call| call.name()).collect();
        assert_eq!(unwatched, ["getpid"]);
    }

    #[test]
    fn what_a_profile_refuses_is_asked_about() {
        let text = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            { "names": ["getpid"], "action": "SCMP_ACT_ALLOW" },
            { "names": ["personality"], "action": "SCMP_ACT_ALLOW",
              "args": [{ "index": 0, "value": 8, "op": "SCMP_CMP_EQ" }] } ] }"#;
        let policy = profile::read(text, Some(Dialect::Oci)).policy.unwrap();
        let target = Target {
            native: Abi::X86_64,
            abis: None,
            capabilities: CapabilitySet::EMPTY,
            kernel: KernelVersion::new(6, 1),
            newer: NewerCalls::Enosys,
        };
        let ruleset = policy.resolve(&target).ruleset.unwrap();
        let known = Known::new(Abi::X86_64, &Recording::default(), Some(&ruleset), false);
        assert!(!asks(&known, "getpid", 0) && !asks(&known, "personality", 8));
        assert!(asks(&known, "personality", 0) && asks(&known, "socket", 1));
        assert!(asks(&known, "statx", 0), "what is newer than the profile");
        callgate_compile::compile(&known.ruleset).unwrap();
    }
}
