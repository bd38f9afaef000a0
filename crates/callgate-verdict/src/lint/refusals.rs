//! How calls are refused, and which ones must not be.

use alloc::{format, string::String, vec::Vec};

use callgate_bpf::{Action, RawAction};
use callgate_syscalls::{Abi, errno};

use super::{
    Finding,
    abis::{names, on_abis},
    edits,
    places::{is_json, name_span},
    view::{Call, Linter},
    words::{abi_list, name_list, sentence},
};
use crate::{Diagram, TooComplex};

/// Calls that the kernel takes up again by `restart_syscall` when a stop has interrupted them.
const RESTARTED: [&str; 6] =
    ["nanosleep", "clock_nanosleep", "clock_nanosleep_time64", "poll", "futex", "futex_time64"];

/// `(call, what a library falls back on, who)`: only after ENOSYS, from glibc's and musl's sources.
const FALLBACKS: [(&str, &[&str], &str); 8] = [
    ("clone3", &["clone"], "glibc (threads, posix_spawn)"),
    ("faccessat2", &["faccessat"], "glibc and musl (faccessat, eaccess)"),
    ("fchmodat2", &["fchmodat"], "glibc and musl (fchmodat)"),
    ("execveat", &["execve"], "glibc and musl (fexecve)"),
    ("preadv2", &["preadv"], "glibc (preadv2)"),
    ("pwritev2", &["pwritev"], "glibc (pwritev2)"),
    ("renameat2", &["renameat"], "glibc (renameat2)"),
    ("prlimit64", &["setrlimit", "getrlimit"], "musl (getrlimit, setrlimit)"),
];

/// On 32-bit ABIs, calls with 64-bit times and what they replace.
const TIMES: [(&str, &str); 10] = [
    ("clock_gettime64", "clock_gettime"),
    ("clock_nanosleep_time64", "clock_nanosleep"),
    ("clock_getres_time64", "clock_getres"),
    ("futex_time64", "futex"),
    ("ppoll_time64", "ppoll"),
    ("pselect6_time64", "pselect6"),
    ("utimensat_time64", "utimensat"),
    ("timerfd_settime64", "timerfd_settime"),
    ("timer_settime64", "timer_settime"),
    ("recvmmsg_time64", "recvmmsg"),
];

/// Of x86_64 only: run by the kernel before it asks a filter, from this release on.
const UNFILTERED: [(&str, &str); 2] = [("uretprobe", "6.14"), ("uprobe", "6.18")];

impl Linter<'_> {
    pub(super) fn refusals(&mut self) -> Result<(), TooComplex> {
        self.restart();
        self.errno_zero()?;
        self.errno_range()?;
        self.needs_enosys();
        self.defaults();
        self.unfilterable();
        Ok(())
    }

    fn restart(&mut self) {
        let found = self.where_call("restart_syscall", |linter, table, call| {
            let runs =
                |name: &&str| linter.call(table, name).is_some_and(|call| call.permission.runs);
            call.permission.always_refused()
                && !linter.may_be_answered(call)
                && RESTARTED.iter().any(runs)
        });
        let Some(&call) = found.first() else { return };
        let Some(table) = self.tables.iter().position(|table| table.abi == call.abi) else {
            return;
        };
        let interrupted: Vec<Call> = RESTARTED
            .iter()
            .filter_map(|name| self.call(table, name))
            .filter(|call| call.permission.runs)
            .collect();
        let outcome = sentence(self.decide(&call.with([0; 6])), call.abi);
        let mut finding = Finding::new(
            "restart-syscall",
            format!(
                "`restart_syscall` is refused, and {} can be interrupted{}",
                name_list(&names(&interrupted)),
                on_abis(&found, self.filtered().len())
            ),
            format!("a user's program that is stopped and continued in such a call, or traced, has it {outcome} instead of taken up again"),
        )
        .example(self.example(call.with([0; 6])))
        .help("permit `restart_syscall`: it only takes up what was permitted before");
        if let Some(written) = self.subject.written {
            let entries = interrupted.iter().find_map(|call| {
                let index = *written.entries_of(call.abi, call.nr).first()?;
                let entry = written.policy.entries.get(index)?;
                (entry.comparisons.is_empty() && entry.action.value.runs_call())
                    .then_some((*call, entry))
            });
            let named = written.entries_of(call.abi, call.nr);
            finding = finding.labels(written.labels(call, None, ""));
            if let (Some((beside, entry)), true, true) =
                (entries, named.is_empty(), is_json(written))
            {
                let span = name_span(entry, beside.name);
                finding = finding.edits([edits::add_names(span, &["restart_syscall"])]);
            }
        }
        self.push(finding);
    }

    /// Calls that come to this action, or to a word that is like it, by name.
    fn with_word(
        &mut self,
        is: impl Fn(RawAction) -> bool,
    ) -> Result<Vec<(Call, RawAction)>, TooComplex> {
        let mut found = Vec::new();
        for table in self.filtered() {
            for call in self.calls(table) {
                let raw = self.raw_verdict(call)?;
                found.extend(
                    self.manager
                        .answers(raw)
                        .into_iter()
                        .find(|word| is(*word))
                        .map(|word| (call, word)),
                );
            }
        }
        Ok(found)
    }

    /// The words of a call as the filter has them.
    fn raw_verdict(&mut self, call: Call) -> Result<Diagram, TooComplex> {
        // Most filters have no words that the kernel reads otherwise.
        if self.raw == self.meaning {
            return Ok(call.verdict);
        }
        let of_abi = self.manager.cofactor(self.raw, "arch", u64::from(call.abi.audit().0))?;
        self.manager.cofactor(of_abi, "nr", u64::from(call.nr.0))
    }

    fn shown_with(
        &mut self,
        call: Call,
        word: RawAction,
    ) -> Result<Option<super::Example>, TooComplex> {
        let raw = self.raw_verdict(call)?;
        let constant = self.manager.constant(word);
        let elsewhere = self.manager.differ(raw, constant)?;
        let there = self.manager.not(elsewhere)?;
        Ok(self.witness(call, there).map(|data| self.example(data)))
    }

    fn errno_zero(&mut self) -> Result<(), TooComplex> {
        let found = self.with_word(|word| word.action() == Action::Errno(0))?;
        let Some(&(call, word)) = found.first() else { return Ok(()) };
        let calls: Vec<Call> = found.iter().map(|(call, _)| *call).collect();
        let mut finding = Finding::new(
            "errno-zero",
            format!("calls are skipped and report success: {}", name_list(&names(&calls))),
            "a user's program goes on as if the call had been made, without the file, the lock or the lower privilege that it asked for",
        )
        .help("refuse with an error number, such as EPERM (1); keep 0 where a call is to do nothing on purpose");
        finding.example = self.shown_with(call, word)?;
        if let Some(written) = self.subject.written {
            let zero = written
                .policy
                .entries
                .iter()
                .filter(|entry| entry.action.value == Action::Errno(0));
            let spans = zero.map(|entry| entry.action.span);
            let spans = spans.chain(
                (written.policy.default.value == Action::Errno(0))
                    .then_some(written.policy.default.span),
            );
            finding = finding.labels(spans.map(|span| callgate_diagnostic::Label {
                span,
                text: String::from("with error number 0"),
            }));
        }
        self.push(finding);
        Ok(())
    }

    fn errno_range(&mut self) -> Result<(), TooComplex> {
        /// The kernel's MAX_ERRNO.
        const LARGEST: u16 = 4095;
        let too_large =
            |word: RawAction| word.rank() == Action::Errno(0).raw().rank() && word.data() > LARGEST;
        let found = self.with_word(too_large)?;
        let Some(&(call, word)) = found.first() else { return Ok(()) };
        let calls: Vec<Call> = found.iter().map(|(call, _)| *call).collect();
        let mut finding = Finding::new(
            "errno-range",
            format!("error number {} is above 4095: {}", word.data(), name_list(&names(&calls))),
            "a user's program sees error 4095, which no one knows, since the kernel caps the number",
        )
        .help("return an error number that there is");
        finding.example = self.shown_with(call, word)?;
        self.push(finding);
        Ok(())
    }

    fn needs_enosys(&mut self) {
        for (call, fallbacks, who) in FALLBACKS {
            self.needs_enosys_of(call, fallbacks, who);
        }
        let mut times: Vec<(Call, &str)> = Vec::new();
        for (call, fallback) in TIMES {
            times
                .extend(self.unhelpful(call, &[fallback]).into_iter().map(|call| (call, fallback)));
        }
        let calls: Vec<Call> = times.iter().map(|(call, _)| *call).collect();
        self.push_enosys(
            &calls,
            times.first().map_or("", |(_, fallback)| fallback),
            "glibc and musl",
        );
    }

    fn needs_enosys_of(&mut self, name: &str, fallbacks: &[&str], who: &str) {
        let found = self.unhelpful(name, fallbacks);
        self.push_enosys(&found, fallbacks[0], who);
    }

    /// Where a call fails in a way that keeps a library from what it could do instead.
    fn unhelpful(&self, name: &str, fallbacks: &[&str]) -> Vec<Call> {
        self.where_call(name, |linter, table, call| {
            let enosys = errno::number_on(call.abi, "ENOSYS");
            let refused = match linter.decide(&call.with([0; 6])) {
                Action::Errno(number) => Some(number) != enosys && number != 0,
                // Who kills what is not listed means it, but no program is without threads.
                Action::KillProcess | Action::KillThread => name == "clone3",
                // A handler may answer a trap, a supervisor or a tracer anything.
                _ => false,
            };
            let falls_back = |fallback: &&str| {
                linter.call(table, fallback).is_some_and(|call| call.permission.runs)
            };
            // 64-bit ABIs have no calls of 64-bit times.
            call.permission.always_refused() && refused && fallbacks.iter().any(falls_back)
        })
    }

    fn push_enosys(&mut self, found: &[Call], fallback: &str, who: &str) {
        let Some(&call) = found.first() else { return };
        let outcome = sentence(self.decide(&call.with([0; 6])), call.abi);
        let names = names(found);
        let mut finding = Finding::new(
            "needs-enosys",
            format!(
                "{} {} {outcome}{}",
                name_list(&names),
                if names.len() == 1 { "is" } else { "are" },
                on_abis(found, self.filtered().len())
            ),
            format!(
                "a user's program fails, since {who} falls back on `{fallback}` after ENOSYS alone"
            ),
        )
        .example(self.example(call.with([0; 6])))
        .help("refuse it with ENOSYS, or permit it");
        if let Some(written) = self.subject.written {
            finding = finding.labels(written.labels(call, None, ""));
            let enosys = errno::number_on(call.abi, "ENOSYS").unwrap_or(38);
            if written.entries_of(call.abi, call.nr).is_empty() && is_json(written) {
                finding = finding.edits(edits::add_enosys(written.policy, &names, enosys));
            }
        }
        self.push(finding);
    }

    /// What becomes of calls that the filter does not know.
    fn defaults(&mut self) {
        let with = |linter: &Linter<'_>, is: &dyn Fn(Action) -> bool| -> Vec<Abi> {
            let tables = linter.filtered().into_iter().map(|table| &linter.tables[table]);
            tables.filter(|table| is(table.unnamed)).map(|table| table.abi).collect()
        };
        let kills =
            with(self, &|action| matches!(action, Action::KillProcess | Action::KillThread));
        if let Some(&abi) = kills.first() {
            let thread = self
                .tables
                .iter()
                .any(|table| kills.contains(&table.abi) && table.unnamed == Action::KillThread);
            let help = if thread {
                "answer ENOSYS to numbers above those that the filter knows; where killing is meant, kill the process: one thread less leaves a program that waits for it"
            } else {
                "answer ENOSYS to numbers above those that the filter knows, unless killing is meant"
            };
            let finding = Finding::new(
                "kill-default",
                format!("a call that the filter does not know kills{}", self.of_abis(&kills)),
                "a user's program dies with the first library that tries a newer call, instead of falling back on an older one",
            )
            .help(help);
            self.push_default(finding, abi);
        }
        let open = with(self, &|action| action.runs_call());
        if self.filtered().is_empty()
            && let Some(table) = self.tables.iter().find(|table| table.all.runs)
        {
            let abi = table.abi;
            let finding = Finding::new(
                "default-open",
                "every call is allowed: the filter refuses nothing",
                "an attacker has every call that there is, as without a filter",
            )
            .help("list what is permitted; `callgate profile` does it from a recording");
            self.push_default(finding, abi);
        } else if let Some(&abi) = open.first() {
            let finding = Finding::new(
                "default-open",
                format!("a call that the filter does not know is allowed{}", self.of_abis(&open)),
                "an attacker has every call that a newer kernel brings, among them newer ways to do what is refused",
            )
            .help("list what is permitted instead of what is refused");
            self.push_default(finding, abi);
        }
    }

    fn of_abis(&self, abis: &[Abi]) -> String {
        if abis.len() == self.filtered().len() {
            String::new()
        } else {
            format!(" on {}", abi_list(abis.iter().copied()))
        }
    }

    fn push_default(&mut self, finding: Finding, abi: Abi) {
        let Some(table) = self.tables.iter().position(|table| table.abi == abi) else { return };
        let last = abi.syscalls().next_back().map_or(0, |(nr, _)| nr.0);
        let call = self.numbered(table, callgate_bpf::SyscallNr(last + 0x100), "");
        let span = self.subject.written.map(|written| written.policy.default.span);
        let labels = span.map(|span| callgate_diagnostic::Label { span, text: String::new() });
        let example = self.example(call.with([0; 6]));
        self.push(finding.labels(labels).example(example));
    }

    fn unfilterable(&mut self) {
        for (name, since) in UNFILTERED {
            let found = self.where_call(name, |linter, table, call| {
                call.abi == Abi::X86_64
                    && call.permission.always_refused()
                    && linter.is_deliberate(table, call)
            });
            let Some(&call) = found.first() else { continue };
            let mut finding = Finding::new(
                "unfilterable",
                format!("`{name}` is refused, and the kernel (from {since}) runs it without asking a filter"),
                "a user believes it refused; where no probe is set, the kernel ends the caller with SIGILL by itself",
            )
            .example(self.example(call.with([0; 6])))
            .help("leave it out");
            if let Some(written) = self.subject.written {
                finding = finding.labels(written.labels(call, None, "has no effect"));
                let entries = written.entries_of(call.abi, call.nr);
                if is_json(written) {
                    let removed = entries.iter().filter_map(|&index| {
                        let entry = written.policy.entries.get(index)?;
                        edits::remove_name(written.text, written.policy, entry, name)
                    });
                    finding = finding.edits(removed.collect::<Vec<_>>());
                }
            }
            self.push(finding);
        }
    }
}
