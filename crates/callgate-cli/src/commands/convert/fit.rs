//! The nearest rules that a format can say: changed call by call, and nowhere else.
//!
//! What a format has no words for is found out by asking its writer, so it holds for each of them.
//! The rules that come out may still mean something else than was intended here, on numbers that
//! no call has; whoever takes them compares what the text means.

use std::collections::BTreeMap;

use callgate_bpf::{Action, RawAction, SyscallNr};
use callgate_diagnostic::{Diagnostic, Span, Spanned};
use callgate_policy::{AbiRules, Condition, Dialect, Entry, Policy, Ruleset, formats::Format};
use callgate_syscalls::Abi;
use callgate_verdict::{Diagram, Manager};

use super::{
    Toward,
    tables::{
        WAYS, add_x32, always, follow_ways, is_behind, name_newer, only, set_default, without_ways,
    },
};

/// Rules that a format can say.
pub struct Fitted {
    pub ruleset: Ruleset,
    /// What it could not.
    pub unsayable: Vec<String>,
}

/// From the strongest action to the weakest, each in its usual form.
const LADDER: [Action; 8] = [
    Action::KillProcess,
    Action::KillThread,
    Action::Trap(0),
    Action::Errno(1),
    Action::UserNotif,
    Action::Trace(0),
    Action::Log,
    Action::Allow,
];

impl Toward {
    /// Of several answers the one that is on this side of all; of equal ones the first.
    fn extreme(self, words: impl IntoIterator<Item = RawAction>) -> Option<Action> {
        let further = |best: RawAction, word: RawAction| match self {
            Toward::Weaker if word.rank() > best.rank() => word,
            Toward::Stricter if word.rank() < best.rank() => word,
            _ => best,
        };
        words.into_iter().reduce(further).map(RawAction::action)
    }

    /// The actions that may stand for one, the nearest first.
    fn candidates(self, action: Action) -> impl Iterator<Item = Action> {
        let rank = action.raw().rank();
        let mut others: Vec<Action> = LADDER.to_vec();
        others.retain(|other| match self {
            Toward::Weaker => other.raw().rank() >= rank,
            Toward::Stricter => other.raw().rank() <= rank,
        });
        if self == Toward::Stricter {
            others.reverse();
        }
        std::iter::once(action).chain(others)
    }
}

/// Rules for a meaning that a format can say, on this side of it; none where changing the verdicts
/// of calls does not help. `own` is the ABI that matters most. With `ways`, what `socketcall` and `ipc` reach is treated as the calls
/// themselves are, for formats that have no other words.
pub fn fit(
    manager: &mut Manager,
    (meaning, own): (Diagram, Abi),
    (format, dialect): (&Format, Option<Dialect>),
    toward: Toward,
    ways: bool,
) -> Option<Fitted> {
    let mut unsayable = Vec::new();
    let (meaning, mut ruleset) = rules(manager, meaning, own, toward, &mut unsayable)?;
    let mut defaults: Vec<RawAction> = ruleset.abis.iter().map(|t| t.default.raw()).collect();
    for table in &mut ruleset.abis {
        if dialect.is_none() {
            // What has no name gets the default, also among the newer calls.
            defaults.extend(table.newer.map(|newer| newer.action.raw()));
            name_newer(table);
        }
        table.rules.retain(|&nr, _| table.abi.name_of(nr).is_some());
    }
    let default = toward.extreme(defaults)?;
    let mut fitting =
        Fitting { manager, meaning, format, dialect, toward, ways, ruleset, unsayable };
    fitting.header(default)?;
    fitting.calls()?;
    if ways {
        follow_ways(&mut fitting.ruleset);
    }
    Some(Fitted { ruleset: fitting.ruleset, unsayable: fitting.unsayable })
}

/// Rules for a meaning. A number that has none loses what it asks of its arguments; a filter that
/// has none for unknown architectures is kept for the target's own.
fn rules(
    manager: &mut Manager,
    mut meaning: Diagram,
    own: Abi,
    toward: Toward,
    unsayable: &mut Vec<String>,
) -> Option<(Diagram, Ruleset)> {
    let mut narrowed = false;
    loop {
        match manager.synthesize_named(meaning) {
            Ok(ruleset) => return Some((meaning, ruleset)),
            Err(why) if why.is_about_architectures() && !narrowed => {
                meaning = narrow(manager, meaning, own, toward)?;
                narrowed = true;
                unsayable.push(why.to_string());
            }
            Err(why) => {
                let (arch, nr) = why.call()?;
                let words = manager.answers(manager.verdict(meaning, arch, nr));
                let word = toward.extreme(words)?.raw();
                // Each time one number less depends on its arguments, so this comes to an end.
                meaning = manager.settle(meaning, arch, nr, word).ok()?;
                unsayable.push(why.to_string());
            }
        }
    }
}

/// One verdict on all architectures but one.
fn narrow(manager: &mut Manager, meaning: Diagram, own: Abi, toward: Toward) -> Option<Diagram> {
    let here = manager.calls_of(own.audit()).ok()?;
    // What every format can say, where that is on the right side of all.
    let usual = manager.constant(Action::KillThread.raw());
    let others = manager.choose(here, usual, meaning).ok()?;
    let word = toward.extreme(manager.answers(others))?;
    let elsewhere = manager.constant(word.raw());
    manager.choose(here, meaning, elsewhere).ok()
}

struct Fitting<'f> {
    manager: &'f Manager,
    meaning: Diagram,
    format: &'f Format,
    dialect: Option<Dialect>,
    toward: Toward,
    ways: bool,
    ruleset: Ruleset,
    unsayable: Vec<String>,
}

impl Fitting<'_> {
    /// The default, and the verdict on other architectures.
    fn header(&mut self, default: Action) -> Option<()> {
        let mut why = None;
        for x32 in [false, true] {
            for other in self.toward.candidates(self.ruleset.other) {
                for default in self.toward.candidates(default) {
                    let mut ruleset = Ruleset { other, ..self.ruleset.clone() };
                    ruleset.abis.iter_mut().for_each(|table| set_default(table, default));
                    if x32 {
                        add_x32(&mut ruleset);
                    }
                    let policy = without_entries(&ruleset, self.dialect)?;
                    match (self.format.write)(&policy) {
                        Ok(_) => {
                            self.ruleset = ruleset;
                            self.unsayable.extend(why);
                            return Some(());
                        }
                        Err(errors) => why = why.or_else(|| first_message(&errors)),
                    }
                }
            }
        }
        None
    }

    /// The calls, one group of names after the other. What is refused is settled number by number,
    /// then on all ABIs alike.
    fn calls(&mut self) -> Option<()> {
        let mut tried: BTreeMap<String, Round> = BTreeMap::new();
        loop {
            let refused = self.refused()?;
            if refused.is_empty() {
                return Some(());
            }
            for (name, abis) in refused {
                let round = tried.get(&name).map_or(Round::EachNumber, |round| round.next());
                match round {
                    Round::EachNumber => self.settle(&name, &abis, false)?,
                    Round::AllAbis => self.settle(&name, &[], true)?,
                    Round::GivenUp => return None,
                }
                tried.insert(name, round);
            }
        }
    }

    /// The names whose rules the format refuses, with the ABIs that have them so; none are all.
    fn refused(&mut self) -> Option<Vec<(String, Vec<Abi>)>> {
        let whole = self.policy(self.ruleset.clone())?;
        if (self.format.write)(&whole).is_ok() {
            return Some(Vec::new());
        }
        let mut refused = Vec::new();
        for group in whole.entries.chunk_by(|a, b| a.names == b.names && a.abis == b.abis) {
            let names: Vec<&str> = group[0].names.iter().map(|name| &*name.value).collect();
            if names.iter().all(|name| WAYS.contains(name)) {
                continue;
            }
            let (behind, plain): (Vec<&str>, Vec<&str>) =
                names.iter().partition(|name| is_behind(&self.ruleset, name));
            let alone = [only(&self.ruleset, &plain), without_ways(&only(&self.ruleset, &behind))];
            let errors = alone.into_iter().find_map(|rules| {
                let policy = Policy::from_rules(&rules, self.dialect).ok()?;
                (self.format.write)(&policy).err()
            });
            let Some(errors) = errors else { continue };
            if let Some(message) = first_message(&errors) {
                let reason = with_names(&names, &message);
                if !self.unsayable.contains(&reason) {
                    self.unsayable.push(reason);
                }
            }
            let abis = &group[0].abis;
            refused.extend(names.into_iter().map(|name| (name.to_owned(), abis.clone())));
        }
        // It refuses the whole and none of the parts: nothing is to be done here.
        (!refused.is_empty()).then_some(refused)
    }

    fn policy(&self, mut ruleset: Ruleset) -> Option<Policy> {
        if self.ways {
            follow_ways(&mut ruleset);
        }
        Policy::from_rules(&ruleset, self.dialect).ok()
    }

    /// One verdict for all calls of a name, on each of these ABIs, or on all together.
    fn settle(&mut self, name: &str, abis: &[Abi], together: bool) -> Option<()> {
        let numbers: Vec<(usize, SyscallNr)> = (0..)
            .zip(&self.ruleset.abis)
            .filter(|(_, table)| abis.is_empty() || abis.contains(&table.abi))
            .filter_map(|(index, table)| Some((index, table.abi.number(name)?)))
            .collect();
        let answers = |&(index, nr): &(usize, SyscallNr)| {
            let arch = self.ruleset.abis[index].abi.audit();
            self.manager.answers(self.manager.verdict(self.meaning, arch, nr))
        };
        let all: Vec<RawAction> = numbers.iter().flat_map(&answers).collect();
        let mut verdicts = Vec::new();
        for number in &numbers {
            let words = if together { all.clone() } else { answers(number) };
            verdicts.push((*number, self.sayable(name, self.toward.extreme(words)?)?));
        }
        for ((index, nr), action) in verdicts {
            let table = &mut self.ruleset.abis[index];
            if action == table.default {
                table.rules.remove(&nr);
            } else {
                table.rules.insert(nr, vec![always(action)]);
            }
        }
        Some(())
    }

    /// The nearest action that the format has for a name.
    fn sayable(&self, name: &str, action: Action) -> Option<Action> {
        let mut policy = match is_behind(&self.ruleset, name) {
            true => without_entries(&without_ways(&self.ruleset), self.dialect)?,
            false => without_entries(&self.ruleset, self.dialect)?,
        };
        self.toward.candidates(action).find(|&candidate| {
            policy.entries = vec![entry(name, candidate)];
            candidate == policy.default.value || (self.format.write)(&policy).is_ok()
        })
    }
}

/// What has been tried to make a name sayable.
#[derive(Clone, Copy)]
enum Round {
    EachNumber,
    AllAbis,
    GivenUp,
}

impl Round {
    fn next(self) -> Round {
        match self {
            Round::EachNumber => Round::AllAbis,
            Round::AllAbis | Round::GivenUp => Round::GivenUp,
        }
    }
}

fn without_entries(ruleset: &Ruleset, dialect: Option<Dialect>) -> Option<Policy> {
    let bare = |table: &AbiRules| AbiRules { rules: BTreeMap::new(), ..table.clone() };
    let abis = ruleset.abis.iter().map(bare).collect();
    Policy::from_rules(&Ruleset { abis, ..ruleset.clone() }, dialect).ok()
}

fn entry(name: &str, action: Action) -> Entry {
    let nowhere = Span::default();
    Entry {
        names: vec![Spanned::new(name.to_owned(), nowhere)],
        abis: Vec::new(),
        action: Spanned::new(action, nowhere),
        comparisons: Vec::new(),
        includes: Condition::default(),
        excludes: Condition::default(),
        comment: None,
        span: nowhere,
    }
}

fn first_message(errors: &[Diagnostic]) -> Option<String> {
    errors.first().map(|error| error.message.clone())
}

/// A writer speaks of its entries by number, which nobody has seen; their names say more.
fn with_names(names: &[&str], message: &str) -> String {
    const SHOWN: usize = 3;
    let rest = message.strip_prefix("entry ").and_then(|rest| rest.split_once(' '));
    let Some((_, rest)) = rest.filter(|(number, _)| number.parse::<usize>().is_ok()) else {
        return message.to_owned();
    };
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("the rule on {}{more} {rest}", shown.join(", "))
}
