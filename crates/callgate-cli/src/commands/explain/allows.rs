//! The reverse question: whether a call can run, and else which call near to it can.

use callgate_bpf::{Action, SeccompData, SyscallNr};
use callgate_record::calls;
use callgate_verdict::{Diagram, Manager, Predicate, TooComplex, lint::relatives};

use super::{Failure, existing, one::Section, words};
use crate::{
    commands::diff,
    target::{SourceArgs, native},
};

/// What --allows asks about.
pub struct Asked {
    pub name: &'static str,
    /// With arguments it is this call.
    pub call: Option<SeccompData>,
}

impl Asked {
    /// # Errors
    ///
    /// When there is no such system call, or its arguments are neither numbers nor constants.
    pub fn parse(text: &str, args: &SourceArgs) -> Result<Asked, Failure> {
        let text = text.trim();
        let end = text.find(|c: char| c == '(' || c.is_whitespace());
        let name = existing(&text[..end.unwrap_or(text.len())])?;
        if end.is_none() {
            return Ok(Asked { name, call: None });
        }
        let abi = match args.target.arch.first() {
            Some(&abi) => abi,
            None => native()?,
        };
        let call = calls::written(abi, text).map_err(|error| format!("--allows: {error}"))?;
        Ok(Asked { name, call })
    }

    /// Whether it runs; adds to each architecture what runs there.
    ///
    /// # Errors
    ///
    /// When the meaning is too complex to ask.
    pub fn answer(
        &self,
        manager: &mut Manager,
        meaning: Diagram,
        sections: &mut Vec<Section>,
    ) -> Result<bool, Failure> {
        let unknown = |error: TooComplex| format!("unknown what is allowed: {error}");
        let runs = running(manager, meaning).map_err(unknown)?;
        let mut ever = false;
        if let Some(call) = self.call {
            sections.retain(|of| (of.abi.audit(), of.number) == (call.arch, call.nr));
        }
        for section in sections {
            let call = SeccompData::new(section.abi.audit(), section.number);
            let wanted = self.call;
            let found = manager.nearest(runs, &wanted.unwrap_or(call)).map_err(unknown)?;
            ever |= found.is_some();
            let Some(found) = found else {
                section.no_call_runs(self.name, manager, meaning, runs).map_err(unknown)?;
                continue;
            };
            let verdict = manager.verdict(meaning, section.abi.audit(), section.number);
            let always = manager.answers(verdict).iter().all(|word| word.action().runs_call());
            if !always && wanted != Some(found) {
                let action = words::sentence(manager.decide(meaning, &found).action());
                let example = if wanted.is_some() { "" } else { ", for example" };
                let call = section.call(&found);
                section.advice = Some(format!("{call} is {action}{example}"));
                section.nearest = Some(call);
            }
        }
        Ok(match &self.call {
            Some(call) => manager.decide(meaning, call).action().runs_call(),
            None => ever,
        })
    }
}

/// The calls that run: their word is weaker than that which asks a tracer.
fn running(manager: &mut Manager, meaning: Diagram) -> Result<Predicate, TooComplex> {
    let asks = manager.constant(Action::Trace(0).raw());
    manager.weaker(meaning, asks)
}

impl Section {
    /// Nothing of this number runs: which calls that do the same do?
    fn no_call_runs(
        &mut self,
        name: &str,
        manager: &mut Manager,
        meaning: Diagram,
        runs: Predicate,
    ) -> Result<(), TooComplex> {
        let known: Vec<(&str, SyscallNr)> = relatives(name)
            .into_iter()
            .filter_map(|relative| Some((relative, self.abi.number(relative)?)))
            .collect();
        let mut shown = Vec::new();
        for &(relative, nr) in &known {
            let Some(call) = manager.nearest(runs, &SeccompData::new(self.abi.audit(), nr))? else {
                continue;
            };
            let verdict = manager.verdict(meaning, self.abi.audit(), nr);
            let always = manager.answers(verdict).iter().all(|word| word.action().runs_call());
            self.instead.push(relative.to_owned());
            shown.push(if always {
                relative.to_owned()
            } else {
                format!("{} and others", self.call(&call))
            });
        }
        self.advice = Some(if !shown.is_empty() {
            format!("no `{name}` runs; allowed and related: {}", shown.join(", "))
        } else if known.is_empty() {
            format!("no `{name}` runs, and no call is known that does the same")
        } else {
            let names: Vec<&str> = known.iter().map(|(relative, _)| *relative).collect();
            format!("no `{name}` runs, nor what is related: {}", names.join(", "))
        });
        Ok(())
    }

    /// A call without its architecture, which the section says.
    fn call(&self, call: &SeccompData) -> String {
        let text = diff::call(call);
        let place = format!(" on {}", self.abi.name());
        text.strip_suffix(&place).map_or(text.clone(), str::to_owned)
    }
}
