//! What a filter answers to call after call, and what decided.

use std::{collections::HashMap, fmt::Write};

use callgate_bpf::{Action, ByteOrder, Program, RawAction, SeccompData, ShiftRule};
use callgate_policy::Decision;

use crate::{
    commands::diff::verb,
    meaning::{Context, Meaning, Origin, entry_place},
};

/// Decides calls by what a source was: a program is run, rules are looked up. Nothing is allocated
/// for a call.
pub struct Judge<'a> {
    meaning: &'a Meaning,
    order: ByteOrder,
    shifts: ShiftRule,
    /// What was said of a call that was decided so. Finding an entry's place in its text takes
    /// longer than all else.
    sentences: HashMap<(RawAction, By), String>,
}

/// What decided a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum By {
    /// An instruction of a filter, counted from the newest.
    Instruction { filter: usize, index: usize },
    /// No filter of several said anything stronger than ALLOW.
    AllFilters,
    /// There is no filter.
    NoFilter,
    /// An entry of the profile.
    Entry(usize),
    /// Its rule on newer calls.
    Newer,
    /// Its rule on other architectures.
    OtherAbi,
    /// Its default.
    Default,
}

impl Judge<'_> {
    pub fn new<'a>(meaning: &'a Meaning, context: &Context) -> Judge<'a> {
        let (order, shifts) = (context.order(), context.shifts());
        Judge { meaning, order, shifts, sentences: HashMap::new() }
    }

    /// The word that the kernel acts on, and what gave it.
    pub fn decide(&self, data: &SeccompData) -> (RawAction, By) {
        match &self.meaning.origin {
            Origin::Profile { ruleset, .. } => {
                let (action, decision) = ruleset.decide(data);
                let by = match decision {
                    Decision::Rule(rule) => By::Entry(rule.entry),
                    Decision::Newer => By::Newer,
                    Decision::OtherAbi => By::OtherAbi,
                    _ => By::Default,
                };
                (action.raw(), by)
            }
            Origin::Program(program) => {
                let ended = program.run_to_end(&data.words(self.order), self.shifts);
                (ended.action, By::Instruction { filter: 0, index: ended.instruction })
            }
            Origin::Stack(stack) => self.stack(&stack.programs, data),
        }
    }

    /// As [`callgate_bpf::Stack`] decides, with the instruction.
    fn stack(&self, programs: &[Program], data: &SeccompData) -> (RawAction, By) {
        let words = data.words(self.order);
        let by = if programs.is_empty() { By::NoFilter } else { By::AllFilters };
        let mut decided = (Action::Allow.raw(), by);
        for (filter, program) in programs.iter().enumerate() {
            let ended = program.run_to_end(&words, self.shifts);
            if ended.action.rank() < decided.0.rank() || programs.len() == 1 {
                decided = (ended.action, By::Instruction { filter, index: ended.instruction });
            }
        }
        decided
    }

    /// What follows the call on its line: `: docker-default allows, by its default`.
    pub fn sentence(&mut self, word: RawAction, by: By) -> &str {
        /// Words that a program computes can be many.
        const LIMIT: usize = 1 << 16;
        if self.sentences.len() >= LIMIT {
            self.sentences.clear();
        }
        if !self.sentences.contains_key(&(word, by)) {
            let mut text = format!(": {} {}, by ", self.meaning.name, verb(word.action()));
            let _ = writeln!(text, "{}", self.reason(by));
            self.sentences.insert((word, by), text);
        }
        &self.sentences[&(word, by)]
    }

    /// A rule of the text, or an instruction.
    pub fn reason(&self, by: By) -> String {
        let fixed = match (by, &self.meaning.origin) {
            (By::Instruction { filter, index }, Origin::Stack(stack)) => {
                return format!("instruction {index} of {}", stack.filter_name(filter));
            }
            (By::Instruction { index, .. }, _) => return format!("instruction {index}"),
            (By::AllFilters, Origin::Stack(stack)) => {
                return format!("all {} filters", stack.programs.len());
            }
            (By::Entry(entry), Origin::Profile { profile, .. }) => {
                return entry_place(profile, entry);
            }
            (By::AllFilters | By::NoFilter, _) => "nothing: no filter holds it",
            (By::Newer, _) => "the rule on calls newer than every one that it names",
            (By::OtherAbi, _) => "the rule on architectures that it does not name",
            (By::Entry(_) | By::Default, _) => "its default",
        };
        fixed.to_owned()
    }
}
