//! Which calls a name or a number stands for.

use alloc::{format, rc::Rc, string::String, vec::Vec};

use callgate_bpf::SyscallNr;
use callgate_diagnostic::Diagnostic;
use callgate_syscalls::{Abi, syscall};

use super::{super::report::suggestion, filter::Filter, names, reader::Reader};
use crate::{quote::quoted, suggest};

/// What a name stands for.
pub(super) struct Calls {
    pub on: Vec<(Abi, &'static str)>,
    /// What Kafel calls it, where the text has the name of `unistd.h` instead.
    kafel: Option<String>,
}

impl Calls {
    fn of(name: &str) -> Calls {
        let mut on = Vec::new();
        let mut exact = false;
        let mut elsewhere = None;
        for abi in Abi::ALL.iter().copied().filter(|abi| *abi != Abi::X32) {
            if let Some(call) = names::call(abi, name) {
                exact = true;
                on.push((abi, call));
            } else if let Some(known) =
                syscall(name).filter(|known| abi.number(known.name).is_some())
            {
                on.push((abi, known.name));
                if abi == Abi::X86_64 || elsewhere.is_none() {
                    elsewhere = Some((abi, names::kafel_name(abi, known.name)));
                }
            }
        }
        // Where x86_64 has it under the name given, the name is right for most.
        let kafel = elsewhere.filter(|(abi, _)| !exact || *abi == Abi::X86_64);
        Calls { on, kafel: kafel.map(|(_, kafel)| kafel) }
    }
}

impl<'t> Reader<'t> {
    /// The calls of a name, x32's left out: Kafel knows no names for them.
    pub fn named(&mut self, name: &'t str, filter: &Filter<'t>) -> Vec<(Abi, &'static str)> {
        let calls = self.entries.calls.entry(name).or_insert_with(|| Rc::new(Calls::of(name)));
        let calls = Rc::clone(calls);
        let report = &mut self.lexer.report;
        let span = filter.call.span;
        if calls.on.is_empty() {
            report.error(|| {
                let message = format!("no architecture has a syscall {}", quoted(name));
                let known: Vec<String> = names::all().collect();
                let diagnostic = Diagnostic::error("unknown-syscall", message);
                match suggest::closest(name, known.iter().map(String::as_str)) {
                    Some(near) => suggestion(diagnostic, span, near),
                    None => diagnostic.at(span, "Kafel refuses the policy"),
                }
            });
        }
        if let Some(kafel) = &calls.kafel {
            report.warning(|| {
                let message = format!("Kafel's name for {} is `{kafel}`", quoted(name));
                Diagnostic::warning("kafel-name", message)
                    .at(span, "Kafel refuses this name where its tables lack it")
                    .help("Kafel's names are those of the kernel's functions")
                    .replace(span, kafel.as_str())
            });
        }
        let on: Vec<_> = match &filter.guard {
            None => calls.on.clone(),
            Some(guard) => {
                calls.on.iter().copied().filter(|(abi, _)| guard.contains(abi)).collect()
            }
        };
        if on.is_empty()
            && !calls.on.is_empty()
            && filter.guard.as_ref().is_some_and(|g| !g.is_empty())
        {
            report.error(|| {
                let message =
                    format!("the architectures named here have no syscall {}", quoted(name));
                Diagnostic::error("unknown-syscall", message).at(span, "Kafel refuses the policy")
            });
        }
        on
    }

    /// The calls that have a number on Kafel's architectures; x32's are among x86_64's.
    pub fn numbered(&mut self, number: u64, filter: &Filter<'t>) -> Vec<(Abi, &'static str)> {
        let span = filter.call.span;
        // A negative number is the 32-bit word that the kernel shows for it.
        let negative = number > u64::MAX - u64::from(u32::MAX);
        let word = if negative { number & u64::from(u32::MAX) } else { number };
        let Ok(nr) = u32::try_from(word).map(SyscallNr) else {
            self.lexer.report.error(|| {
                Diagnostic::error("unnamed-call", format!("{number} is no system call number"))
                    .at(span, "a number has 32 bits; Kafel cuts off the rest")
            });
            return Vec::new();
        };
        let mut calls = Vec::new();
        let mut without = Vec::new();
        for (abi, _) in names::ARCHITECTURES {
            if filter.guard.as_ref().is_some_and(|guard| !guard.contains(&abi)) {
                continue;
            }
            let x32 = abi == Abi::X86_64 && nr.0 & SyscallNr::X32_BIT != 0;
            let abi = if x32 { Abi::X32 } else { abi };
            match abi.name_of(nr) {
                Some(name) => {
                    calls.push((abi, name));
                    self.entries.names_x32 |= x32;
                }
                // mips counts from 4000 and 5000 on.
                None if abi.syscalls().next().is_some_and(|(first, _)| nr < first) => {}
                None => without.push(abi.name()),
            }
        }
        if calls.is_empty() {
            self.lexer.report.error(|| {
                Diagnostic::error("unnamed-call", format!("no system call has the number {nr}"))
                    .at(span, "rules are kept by name here, and this one has none")
            });
        } else if !without.is_empty() {
            self.lexer.report.warning(|| {
                let message =
                    format!("no system call of {} has the number {nr}", without.join(", "));
                Diagnostic::warning("unnamed-call", message)
                    .at(span, "the rule is left out there")
                    .help("an `ON` guard says for which architectures a number is meant")
            });
        }
        calls
    }
}

/// Those of Kafel's architectures on which it has a call of this name.
pub(super) fn targets_of(name: &str) -> Vec<Abi> {
    let on = Calls::of(name).on;
    let targets = names::ARCHITECTURES.iter().map(|(abi, _)| *abi);
    targets.filter(|abi| on.iter().any(|(known, _)| known == abi)).collect()
}
