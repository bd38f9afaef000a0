//! From a policy to the lines of a unit file.

mod fit;
mod proof;

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::{String, ToString as _},
    vec::Vec,
};

use callgate_bpf::Action;
use callgate_diagnostic::{Diagnostic, Span};
use callgate_syscalls::{Group, all_syscalls, errno, groups};

use self::fit::{Plan, Scope};
use super::{
    calls, cover,
    reader::{ARCHITECTURES, ERROR_NUMBER, FILTER, LOG},
    words,
};
use crate::Policy;

/// The width that a line may have.
const WIDTH: usize = 100;

pub(super) fn write(policy: &Policy) -> Result<String, Vec<Diagnostic>> {
    let plan = fit::plan(policy)?;
    // What is logged may be said by what is not, which differs for the calls behind others.
    let forms = if passes(plan.default) { &[false][..] } else { &[false, true] };
    let mut trouble = None;
    for &all_but in forms {
        let text = settings(&plan, all_but);
        match proof::difference(policy, &plan.scope, &text) {
            None => return Ok(text),
            Some(difference) => trouble = trouble.or(Some(difference)),
        }
    }
    Err(trouble.into_iter().collect())
}

fn settings(plan: &Plan, all_but: bool) -> String {
    let mut writer = Writer { text: String::from("[Service]\n"), scope: &plan.scope };
    writer.filter(plan);
    writer.log(plan, all_but);
    if let Some(words) = &plan.architectures {
        writer.line(ARCHITECTURES, "", words);
    }
    if writer.text.lines().count() == 1 {
        // A list of nothing that is refused: it says that nothing is.
        writer.text.push_str(&format!("{FILTER}=~\n"));
    }
    writer.text
}

/// Whether a verdict lets the call run as far as `SystemCallFilter=` goes.
fn passes(action: Action) -> bool {
    action.runs_call()
}

struct Writer<'p> {
    text: String,
    scope: &'p Scope,
}

impl Writer<'_> {
    fn filter(&mut self, plan: &Plan) {
        if passes(plan.default) { self.deny_list(plan) } else { self.allow_list(plan) }
    }

    /// What is allowed, then what of that is taken away again, and what is refused in another way
    /// than the rest.
    fn allow_list(&mut self, plan: &Plan) {
        let allowed = plan.calls(passes);
        let refused = |place: usize| !allowed.contains(&place);
        let implied: BTreeSet<usize> =
            groups::find("@default").into_iter().flat_map(calls::places).collect();
        // With a whole group first, which has calls too many, it may be shorter.
        let base = |group: Option<&'static Group>| {
            let given: BTreeSet<usize> =
                group.into_iter().flat_map(calls::places).chain(implied.iter().copied()).collect();
            let rest = allowed.difference(&given).copied().collect();
            let idle = |place: usize| allowed.contains(&place) || self.scope.lacks(place);
            let mut list: Vec<&str> = group.iter().map(|group| group.name).collect();
            list.extend(cover::words(&rest, idle));
            let over = given
                .into_iter()
                .filter(|place| plan.verdict(*place) == plan.default && !self.scope.lacks(*place));
            // Whatever is not allowed may be taken away as well.
            let idle = |place: usize| refused(place) || self.scope.lacks(place);
            (list, cover::words(&over.collect(), idle))
        };
        let groups = groups::ALL.iter().filter(|group| {
            let inside = calls::places(group).filter(|place| allowed.contains(place)).count();
            inside * 2 > allowed.len()
        });
        let all = core::iter::once(None).chain(groups.map(Some)).map(base);
        let (mut list, over) =
            all.min_by_key(|(list, over)| list.len() + over.len()).unwrap_or_default();
        if list.is_empty() {
            list.push("@default");
        }
        self.line(FILTER, "", &strings(&list));
        self.inverted(&over, None);
        for (action, calls) in plan.by_action() {
            if !passes(action) && action != plan.default {
                let list = cover::words(&calls, |place| self.scope.lacks(place));
                self.inverted(&list, Some(action));
            }
        }
        self.error_number(plan.default);
    }

    /// What is refused: most in one way, which [`ERROR_NUMBER`] says, and the rest each in its
    /// own.
    fn deny_list(&mut self, plan: &Plan) {
        let refused: Vec<(Action, BTreeSet<usize>)> =
            plan.by_action().into_iter().filter(|(action, _)| !passes(*action)).collect();
        let sayable = |action: Action| action != Action::Errno(0);
        let usual = refused
            .iter()
            .filter(|(action, _)| sayable(*action))
            .max_by_key(|(_, calls)| calls.len())
            .map_or(Action::KillProcess, |(action, _)| *action);
        let is_usual = |action: Action| action == usual;
        let usual_first = |usual: bool| refused.iter().filter(move |(a, _)| is_usual(*a) == usual);
        for (action, calls) in usual_first(true).chain(usual_first(false)) {
            let list = cover::words(calls, |place| self.scope.lacks(place));
            self.inverted(&list, (!is_usual(*action)).then_some(*action));
        }
        if !refused.is_empty() {
            self.error_number(usual);
        }
    }

    /// What is logged, or what is not. Of what is refused it does not matter.
    fn log(&mut self, plan: &Plan, all_but: bool) {
        let wanted =
            if all_but || plan.default == Action::Log { Action::Allow } else { Action::Log };
        let idle = |place: usize| self.scope.lacks(place) || !passes(plan.verdict(place));
        let list = cover::words(&plan.calls(|action| action == wanted), idle);
        match (wanted, list.is_empty()) {
            (Action::Log, _) => self.line(LOG, "", &strings(&list)),
            (_, true) => self.text.push_str(&format!("{LOG}=~\n")),
            _ => self.line(LOG, "~", &strings(&list)),
        }
    }

    fn error_number(&mut self, action: Action) {
        if action != Action::KillProcess {
            self.line(ERROR_NUMBER, "", &[refusal(action)]);
        }
    }

    /// A list of what is refused, with what it gets where that is not the usual.
    fn inverted(&mut self, list: &[&str], own: Option<Action>) {
        let words: Vec<String> = match own {
            None => strings(list),
            Some(action) => list.iter().map(|word| format!("{word}:{}", refusal(action))).collect(),
        };
        self.line(FILTER, "~", &words);
    }

    /// An assignment, and more of the same where one would be too long; none for nothing.
    fn line(&mut self, key: &str, front: &str, words: &[String]) {
        let mut width = 0;
        for word in words {
            if width > 0 && width + 1 + word.len() <= WIDTH {
                self.text.push(' ');
                self.text.push_str(word);
                width += 1 + word.len();
            } else {
                if width > 0 {
                    self.text.push('\n');
                }
                let start = format!("{key}={front}{word}");
                width = start.len();
                self.text.push_str(&start);
            }
        }
        if width > 0 {
            self.text.push('\n');
        }
    }
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| String::from(*word)).collect()
}

/// The word for a refusal.
fn refusal(action: Action) -> String {
    match action {
        Action::Errno(number) => {
            errno::name(number).map_or_else(|| number.to_string(), String::from)
        }
        _ => String::from(words::KILL),
    }
}

impl Plan {
    /// The verdict on a call.
    fn verdict(&self, place: usize) -> Action {
        self.verdicts.get(&place).copied().unwrap_or(self.default)
    }

    /// The calls with such a verdict, other than the default.
    fn calls(&self, wanted: impl Fn(Action) -> bool) -> BTreeSet<usize> {
        let verdicts = self.verdicts.iter();
        verdicts.filter(|(_, action)| wanted(**action)).map(|(place, _)| *place).collect()
    }

    fn by_action(&self) -> Vec<(Action, BTreeSet<usize>)> {
        let mut groups: BTreeMap<Action, BTreeSet<usize>> = BTreeMap::new();
        for (place, action) in &self.verdicts {
            groups.entry(*action).or_default().insert(*place);
        }
        groups.into_iter().collect()
    }
}

/// The place of a call in the text of the policy, for messages.
fn name_span(policy: &Policy, name: &str) -> Span {
    let names = policy.entries.iter().flat_map(|entry| &entry.names);
    names.into_iter().find(|known| known.value == name).map_or(policy.default.span, |n| n.span)
}

/// Every call by place.
fn all_places() -> impl Iterator<Item = usize> {
    0..all_syscalls().len()
}
