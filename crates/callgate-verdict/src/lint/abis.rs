//! ABIs beside the one that the filter was written for.

use alloc::{format, string::String, vec::Vec};

use callgate_bpf::SyscallNr;
use callgate_syscalls::{Abi, KernelVersion, constants, syscall};

use super::{
    Example, Finding,
    view::{Call, Linter},
    words::{abi_list, name_list},
};
use crate::{Manager, Predicate, TooComplex};

/// Calls that show best what an open door lets through, where the filter refuses them.
const TELLING: [&str; 12] = [
    "execve",
    "openat",
    "open",
    "socket",
    "mount",
    "ptrace",
    "unshare",
    "bpf",
    "init_module",
    "keyctl",
    "mkdir",
    "kill",
];

/// The first kernel that gives numbers 512 to 547 of x32 to nobody but x32
/// (`arch/x86/entry/common.c`).
const X32_MENDED: KernelVersion = KernelVersion::new(5, 4);

impl Linter<'_> {
    pub(super) fn abis(&mut self) -> Result<(), TooComplex> {
        if !self.by_architecture {
            self.no_arch_check();
            return Ok(());
        }
        let mut open: Vec<(usize, usize)> = Vec::new();
        for loose in 0..self.tables.len() {
            // The first that tells more is enough: the others say the same of it.
            for strict in 0..self.tables.len() {
                if self.is_measure(strict, loose) && self.looser(strict, loose, &mut open)? {
                    break;
                }
            }
        }
        self.abi_open(&open)?;
        self.old_x32();
        Ok(())
    }

    /// The meaning has no architecture in it, and yet numbers.
    fn no_arch_check(&mut self) {
        let Some(&table) = self.filtered().first() else { return };
        let open = self.tables[table].is_open();
        let ours = self.tables[table].abi.audit();
        let other = (0..self.tables.len()).find(|&other| self.tables[other].abi.audit() != ours);
        // A call that is refused here, and has a number there that is not.
        let runs_there = |other: usize| {
            let names =
                TELLING.iter().copied().chain(self.tables[table].abi.syscalls().map(|c| c.1));
            let mut both =
                names.filter_map(|name| Some((self.call(other, name)?, self.call(table, name)?)));
            both.find(|(there, here)| there.permission.runs && here.permission.always_refused())
        };
        let shown = other.and_then(runs_there);
        let mut finding = Finding::new(
            "no-arch-check",
            "system call numbers are compared without looking at the architecture",
            format!(
                "an attacker calls through another ABI, where the same number is another call: {}",
                if open { "what is refused has another number there" } else { "what is allowed here is something else there" },
            ),
        )
        .help("compare `arch` first, and kill or refuse what is not the architecture that the numbers are of");
        if let Some((there, here)) = shown {
            finding = finding.example(self.contrast(there.with([0; 6]), here.with([0; 6])));
        }
        if !self.subject.programs.is_empty() {
            finding = finding.at_instruction(0, 0);
        }
        self.push(finding);
    }

    /// Whether one ABI is what another is held against: it is filtered, one kernel runs both, and
    /// it is the wider of the two, unless the other is not filtered at all. A narrow ABI beside a
    /// filtered wide one is no measure: what the wide one permits is not kept from anybody by the
    /// narrow one, which may only lack the call.
    fn is_measure(&self, strict: usize, loose: usize) -> bool {
        let wide_beside = |narrow: Abi| {
            self.tables.iter().any(|table| {
                table.spoken
                    && table.is_filtered()
                    && table.abi.arg_bits() > narrow.arg_bits()
                    && self.share_a_kernel(table.abi, narrow)
            })
        };
        let (here, there) = (&self.tables[strict], &self.tables[loose]);
        let wholly_open = !there.all.refuses && !there.all.asks;
        here.spoken
            && here.is_filtered()
            && self.share_a_kernel(here.abi, there.abi)
            && (wholly_open || here.abi.arg_bits() >= there.abi.arg_bits())
            && !wide_beside(here.abi)
    }

    /// Whether one kernel runs programs of both.
    fn share_a_kernel(&self, a: Abi, b: Abi) -> bool {
        let runs = |kernel: Abi, abi: Abi| kernel == abi || kernel.companions().contains(&abi);
        let together = |kernel: Abi| runs(kernel, a) && runs(kernel, b);
        a != b && (together(a) || together(b) || together(self.subject.native))
    }

    /// What one ABI permits and another refuses; whether there is any.
    fn looser(
        &mut self,
        strict: usize,
        loose: usize,
        open: &mut Vec<(usize, usize)>,
    ) -> Result<bool, TooComplex> {
        let (here, there) = (self.tables[strict].abi, self.tables[loose].abi);
        let all = self.tables[loose].all;
        let of_x32 = here == Abi::X86_64 && there == Abi::X32;
        if !all.refuses && !all.asks && !of_x32 {
            open.push((strict, loose));
            return Ok(true);
        }
        let found = self.permitted_here(strict, loose)?;
        let Some(&(call, same, more)) = found.first() else { return Ok(false) };
        let example =
            self.witness(call, more).map(|data| self.contrast(data, same.with(data.args)));
        let names: Vec<&str> = found.iter().map(|(call, ..)| call.name).collect();
        let finding = if of_x32 {
            x32_hole(&names, all.refuses, self.subject.written.is_none())
        } else {
            abi_looser(here, there, &names)
        };
        self.push_with_place(finding, call, example);
        Ok(true)
    }

    /// The calls that one ABI permits and another refuses, each with the other's and the arguments
    /// with which it is so; the most telling first.
    fn permitted_here(
        &mut self,
        strict: usize,
        loose: usize,
    ) -> Result<Vec<(Call, Call, Predicate)>, TooComplex> {
        let here = self.tables[strict].abi;
        let mut found: Vec<(Call, Call, Predicate)> = Vec::new();
        for call in self.calls(loose) {
            if !call.permission.runs || through_others(call.name) {
                continue;
            }
            let Some(same) = self.counterpart(strict, call, here) else { continue };
            if let Some(more) = self.permits_more(call, same)? {
                found.push((call, same, more));
            }
        }
        let telling = |call: &Call| TELLING.iter().position(|name| *name == call.name);
        found.sort_by_key(|(call, ..)| telling(call).unwrap_or(TELLING.len()));
        Ok(found)
    }

    /// ABIs without any refusal beside one that is filtered.
    fn abi_open(&mut self, open: &[(usize, usize)]) -> Result<(), TooComplex> {
        let Some(&(strict, loose)) = open.first() else { return Ok(()) };
        let here = self.tables[strict].abi;
        let there = abi_list(open.iter().map(|(_, loose)| self.tables[*loose].abi));
        let found = self.permitted_here(strict, loose)?;
        let Some(&(call, same, more)) = found.first() else { return Ok(()) };
        let example =
            self.witness(call, more).map(|data| self.contrast(data, same.with(data.args)));
        let finding = Finding::new(
            "abi-open",
            format!("every system call of {there} is allowed; only {here} is filtered"),
            format!(
                "an attacker makes the refused calls the way {there} programs do, on kernels that run those"
            ),
        );
        let finding = finding.help(if self.subject.written.is_none() {
            format!("refuse {there}, or filter it as well; where another filter of the same process does, name all of them together")
        } else {
            format!("refuse {there}, or filter it as well")
        });
        self.push_with_place(finding, call, example);
        Ok(())
    }

    /// The call that does on another ABI what this one does.
    fn counterpart(&self, table: usize, call: Call, abi: Abi) -> Option<Call> {
        let same = self.call(table, call.name);
        same.or_else(|| self.call(table, modern_name(call.name, abi)?))
    }

    /// The arguments with which the first runs and the second does not; none where nothing can be
    /// said because the two take different arguments.
    fn permits_more(&mut self, a: Call, b: Call) -> Result<Option<Predicate>, TooComplex> {
        let looked_at = |linter: &Linter<'_>| {
            let mut all = linter.arguments(a.verdict);
            all.extend(linter.arguments(b.verdict));
            all
        };
        let comparable = a.permission.always_runs()
            || b.permission.always_refused()
            || looked_at(self).into_iter().all(|arg| alike(a, b, arg));
        if !comparable || b.permission.always_runs() {
            return Ok(None);
        }
        let mut more = self.manager.permits_more(a.verdict, b.verdict)?;
        // Half of a 64-bit comparison is no news; the lints of widths tell it.
        for arg in looked_at(self) {
            let small = self.argument_is(arg, callgate_policy::Test::Le(u64::from(u32::MAX)))?;
            more = self.manager.and(more, small)?;
        }
        Ok((more != never(self.manager)).then_some(more))
    }

    /// Numbers 512 to 547 without bit 30, which old kernels take for x32's.
    fn old_x32(&mut self) {
        if self.subject.kernel.is_none_or(|kernel| kernel >= X32_MENDED) {
            return;
        }
        let Some(table) = self
            .tables
            .iter()
            .position(|table| table.abi == Abi::X86_64 && table.spoken && table.all.refuses)
        else {
            return;
        };
        let found: Vec<(Call, Call)> = (512..=547)
            .filter_map(|nr| {
                let name = Abi::X32.name_of(SyscallNr(nr | SyscallNr::X32_BIT))?;
                let there = self.numbered(table, SyscallNr(nr), name);
                let here = self.call(table, name)?;
                (there.permission.runs && here.permission.always_refused()).then_some((there, here))
            })
            .collect();
        let Some(&(there, here)) = found.first() else { return };
        let names: Vec<&str> = found.iter().map(|(call, _)| call.name).collect();
        let example = self.contrast(there.with([0; 6]), here.with([0; 6]));
        let finding = Finding::new(
            "x32-hole",
            format!(
                "numbers 512 to 547 are not refused, and kernels before 5.4 run them as x32's: {}",
                name_list(&names)
            ),
            "an attacker makes calls that are refused, by the number that x32 has for them",
        )
        .help("refuse all numbers from 512 on, or run a kernel from 5.4 on");
        self.push_with_place(finding, here, Some(example));
    }

    fn push_with_place(&mut self, finding: Finding, call: Call, example: Option<Example>) {
        let labels = self.subject.written.map(|written| written.labels(call, None, ""));
        let mut finding = finding.labels(labels.unwrap_or_default());
        finding.example = example;
        self.push(finding);
    }
}

fn x32_hole(names: &[&str], restricted: bool, is_program: bool) -> Finding {
    let what = if restricted { "permit" } else { "are not looked at: they permit" };
    Finding::new(
        "x32-hole",
        format!("numbers of x32 (with bit 30) {what} what is refused on x86_64: {}", name_list(names)),
        "where the kernel runs x32, an attacker makes the refused calls with bit 30 set in their number",
    )
    .help(if is_program {
        "refuse every number from 0x40000000 on, or give x32 the same rules; where another filter of the same process does, name all of them together"
    } else {
        "name x32 among the architectures, so that it has the same rules"
    })
}

fn abi_looser(here: Abi, there: Abi, names: &[&str]) -> Finding {
    Finding::new(
        "abi-looser",
        format!("{there} permits what {here} refuses: {}", name_list(names)),
        format!("an attacker makes the calls that {here} refuses the way {there} programs do"),
    )
    .help(format!("give {} the same rules", abi_list([there, here])))
}

/// Whether an argument has one meaning in both.
fn alike(a: Call, b: Call, arg: usize) -> bool {
    let name = |call: Call| call.args().get(arg).map(|arg| arg.name);
    let set = |call: Call| constants::on(call.abi, call.name, u8::try_from(arg).unwrap_or(0));
    let same_set = match (set(a), set(b)) {
        (Some(a), Some(b)) => core::ptr::eq(a, b),
        (None, None) => true,
        _ => false,
    };
    name(a) == name(b) && same_set
}

/// Calls that stand for many others; the lint of them tells more.
fn through_others(name: &str) -> bool {
    matches!(name, "socketcall" | "ipc" | "syscall" | "uretprobe" | "uprobe")
}

/// What a name that 64-bit ABIs lack is called there.
fn modern_name(name: &str, abi: Abi) -> Option<&'static str> {
    let special = match name {
        "umount" => "umount2",
        "stime" => "settimeofday",
        "waitpid" => "wait4",
        "_newselect" => "select",
        "olduname" | "oldolduname" => "uname",
        "oldstat" => "stat",
        "oldlstat" => "lstat",
        "oldfstat" => "fstat",
        "fstatat64" => "newfstatat",
        "mmap2" => "mmap",
        "ugetrlimit" => "getrlimit",
        "_llseek" => "lseek",
        "sigaction" | "signal" => "rt_sigaction",
        "sigprocmask" => "rt_sigprocmask",
        "sigsuspend" => "rt_sigsuspend",
        "sigpending" => "rt_sigpending",
        "sigreturn" => "rt_sigreturn",
        "fadvise64_64" | "arm_fadvise64_64" => "fadvise64",
        "sync_file_range2" | "arm_sync_file_range" => "sync_file_range",
        "nice" => "setpriority",
        "readdir" => "getdents",
        _ => {
            let stem = ["_time64", "64", "32"].iter().find_map(|end| name.strip_suffix(end))?;
            return syscall(stem).map(|call| call.name).filter(|name| abi.number(name).is_some());
        }
    };
    abi.number(special).map(|_| special)
}

/// The predicate that holds of nothing.
pub(super) fn never(manager: &mut Manager) -> Predicate {
    manager.always(false)
}

/// The names of calls.
pub(super) fn names(calls: &[Call]) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for call in calls {
        if !names.contains(&call.name) {
            names.push(call.name);
        }
    }
    names
}

/// ` on x86`, where not every filtered ABI is meant.
pub(super) fn on_abis(calls: &[Call], all: usize) -> String {
    let mut abis: Vec<Abi> = Vec::new();
    for call in calls {
        if !abis.contains(&call.abi) {
            abis.push(call.abi);
        }
    }
    if abis.len() == all { String::new() } else { format!(" on {}", abi_list(abis)) }
}
