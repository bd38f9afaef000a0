//! Verdicts and conditions in words, with the names of constants.

use callgate_bpf::{Action, SeccompData, SyscallNr};
use callgate_policy::{Comparison, NumberVerdict, Rule, Ruleset, Test};
use callgate_syscalls::{Abi, constants, errno, syscall};
use callgate_verdict::Beyond;

use crate::commands::diff;

/// A verdict and when it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub action: Action,
    when: When,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum When {
    /// Always, or where nothing before holds.
    Otherwise,
    /// One of these conjunctions holds.
    Any(Vec<Vec<Comparison>>),
    /// For some arguments, such as those of this call.
    Like(SeccompData),
}

/// What is known of a filter: its rules, and what no rules say.
#[derive(Clone, Copy)]
pub struct Known<'f> {
    pub ruleset: &'f Ruleset,
    pub beyond: &'f [Beyond],
}

impl Known<'_> {
    /// The verdicts on a number in the order in which they are tried. The last is unconditional,
    /// unless no rules say when which is given.
    pub fn verdicts(self, abi: Abi, nr: SyscallNr) -> Vec<Verdict> {
        let here = |beyond: &&Beyond| {
            beyond.arch == abi.audit()
                && beyond.numbers.is_some_and(|(first, last)| first <= nr && nr <= last)
        };
        match self.beyond.iter().find(here) {
            None => verdicts(self.ruleset.rules_for(abi.audit(), nr)),
            Some(beyond) => {
                let answers = beyond.answers.iter();
                let like = |call: &SeccompData| When::Like(SeccompData { nr, ..*call });
                answers
                    .map(|(action, call)| Verdict { action: *action, when: like(call) })
                    .collect()
            }
        }
    }

    /// What calls get of architectures that the rules do not speak of, where it is one thing.
    pub fn other(self) -> Option<Action> {
        let varies = self.beyond.iter().any(|beyond| beyond.numbers.is_none());
        (!varies).then_some(self.ruleset.other)
    }
}

/// The verdicts that rules say, in the order in which they are tried; the last is unconditional.
pub fn verdicts(number: NumberVerdict<'_>) -> Vec<Verdict> {
    let always = |action| Verdict { action, when: When::Otherwise };
    let (table, rules) = match number {
        NumberVerdict::Newer(action) | NumberVerdict::OtherAbi(action) => {
            return vec![always(action)];
        }
        NumberVerdict::Rules { table, rules } => (table, rules),
    };
    let mut verdicts: Vec<Verdict> = Vec::new();
    for Rule { action, comparisons, .. } in rules {
        if comparisons.is_empty() {
            verdicts.push(always(*action));
            return verdicts;
        }
        // Neighbours of one action are alternatives of one sentence.
        match verdicts.last_mut() {
            Some(Verdict { action: last, when: When::Any(any) }) if last == action => {
                any.push(comparisons.clone());
            }
            _ => verdicts
                .push(Verdict { action: *action, when: When::Any(vec![comparisons.clone()]) }),
        }
    }
    verdicts.push(always(table.default));
    verdicts
}

impl Verdict {
    /// `flags has none of CLONE_NEWNS|…`; `None` where it is unconditional.
    pub fn condition(&self, abi: Abi, name: &str) -> Option<String> {
        let alternatives = match &self.when {
            When::Otherwise => return None,
            When::Like(call) => {
                return Some(format!("the arguments are like those of {}", diff::call(call)));
            }
            When::Any(alternatives) => alternatives,
        };
        // Alternatives on one argument share its name: "family is 39, at most 37 or at least 41".
        if let Some(arg) = single_argument(alternatives) {
            let tests: Vec<String> =
                alternatives.iter().map(|alternative| test(abi, name, &alternative[0])).collect();
            return Some(format!("{} {}", argument(abi, name, arg), list(&tests)));
        }
        let alternatives: Vec<String> =
            alternatives.iter().map(|alternative| conjunction(abi, name, alternative)).collect();
        Some(alternatives.join("; or when "))
    }
}

fn single_argument(alternatives: &[Vec<Comparison>]) -> Option<u8> {
    let first = alternatives.first()?.first()?.arg;
    alternatives
        .iter()
        .all(|alternative| matches!(alternative[..], [only] if only.arg == first))
        .then_some(first.get())
}

/// `domain is AF_UNIX and type is SOCK_STREAM`
pub fn conjunction(abi: Abi, name: &str, comparisons: &[Comparison]) -> String {
    let part =
        |c: &Comparison| format!("{} {}", argument(abi, name, c.arg.get()), test(abi, name, c));
    comparisons.iter().map(part).collect::<Vec<_>>().join(" and ")
}

/// `refused with EPERM`
pub fn sentence(action: Action) -> String {
    match action {
        Action::Allow => "allowed".to_owned(),
        Action::Log => "allowed and logged".to_owned(),
        Action::Errno(0) => "skipped, returning 0".to_owned(),
        Action::Errno(number) => match errno::name(number) {
            Some(name) => format!("refused with {name}"),
            None => format!("refused with error {number}"),
        },
        Action::KillProcess => "kills the process".to_owned(),
        Action::KillThread => "kills the thread".to_owned(),
        Action::Trap(data) => format!("SIGSYS with {data}"),
        Action::UserNotif => "up to the supervisor".to_owned(),
        Action::Trace(data) => format!("up to the tracer ({data})"),
        other => other.to_string(),
    }
}

fn argument(abi: Abi, name: &str, index: u8) -> String {
    syscall(name)
        .and_then(|syscall| syscall.args_on(abi).get(usize::from(index)))
        .map_or_else(|| format!("argument {index}"), |argument| argument.name.to_owned())
}

fn test(abi: Abi, name: &str, comparison: &Comparison) -> String {
    let (_, test) = comparison.on(abi.arg_bits());
    let set = constants::on(abi, name, comparison.arg.get());
    let value =
        |value: u64| set.and_then(|set| set.describe(value)).unwrap_or_else(|| number(value));
    match test {
        Test::Eq(v) => format!("is {}", value(v)),
        Test::Ne(v) => format!("is not {}", value(v)),
        Test::Lt(v) => format!("is below {}", number(v)),
        Test::Le(v) => format!("is at most {}", number(v)),
        Test::Ge(v) => format!("is at least {}", number(v)),
        Test::Gt(v) => format!("is above {}", number(v)),
        Test::MaskedEq { mask, value: 0 } if mask.is_power_of_two() => {
            format!("lacks {}", value(mask))
        }
        Test::MaskedEq { mask, value: 0 } => {
            // A mask of what is not permitted says more by what is left.
            let width = if abi.arg_bits() == 32 { u64::from(u32::MAX) } else { u64::MAX };
            let rest = !mask & width;
            if rest.count_ones() < mask.count_ones() / 2 {
                format!("has no bits but {}", value(rest))
            } else {
                format!("has none of {}", value(mask))
            }
        }
        Test::MaskedEq { mask, value: v } if mask == v => format!("has {}", value(v)),
        Test::MaskedEq { mask: 0xffff_ffff, value: v } => {
            format!("is {} in its low 32 bits", value(v))
        }
        Test::MaskedEq { mask, value: v } => {
            format!("is {} where {} counts", value(v), value(mask))
        }
    }
}

/// Decimal where that is how people write it.
fn number(value: u64) -> String {
    if value < 0x1_0000 { value.to_string() } else { format!("{value:#x}") }
}

/// `is 1, 2 or 3`
fn list(tests: &[String]) -> String {
    let shared: Vec<&str> =
        tests.iter().map(|test| test.strip_prefix("is ").unwrap_or(test)).collect();
    let head = if tests.iter().all(|test| test.starts_with("is ")) { "is " } else { "" };
    let shown: Vec<&str> =
        if head.is_empty() { tests.iter().map(String::as_str).collect() } else { shared };
    match shown.split_last() {
        Some((last, [])) => format!("{head}{last}"),
        Some((last, rest)) => format!("{head}{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
