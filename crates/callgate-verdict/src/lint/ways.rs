//! Ways round a filter: calls that make other calls, and other processes.

use alloc::{format, vec::Vec};

use callgate_bpf::{Action, SeccompData};
use callgate_diagnostic::Severity;
use callgate_syscalls::{Abi, KernelVersion};

use super::{
    Finding,
    abis::{names, on_abis},
    edits,
    places::is_json,
    view::{Call, Linter},
    words::name_list,
};
use crate::{Diagram, TooComplex};

/// What io_uring operations do, by the name of the call (`enum io_uring_op`), with the kernel that
/// brought the operation.
const IO_URING: [(&str, u16, u16); 33] = [
    ("socket", 5, 19),
    ("connect", 5, 5),
    ("bind", 6, 11),
    ("listen", 6, 11),
    ("accept", 5, 5),
    ("accept4", 5, 5),
    ("openat", 5, 6),
    ("openat2", 5, 6),
    ("mkdirat", 5, 15),
    ("unlinkat", 5, 11),
    ("renameat2", 5, 11),
    ("linkat", 5, 15),
    ("symlinkat", 5, 15),
    ("setxattr", 5, 19),
    ("fsetxattr", 5, 19),
    ("getxattr", 5, 19),
    ("sendmsg", 5, 3),
    ("recvmsg", 5, 3),
    ("sendto", 5, 6),
    ("recvfrom", 5, 6),
    ("shutdown", 5, 11),
    ("read", 5, 6),
    ("write", 5, 6),
    ("readv", 5, 1),
    ("writev", 5, 1),
    ("statx", 5, 6),
    ("fallocate", 5, 6),
    ("ftruncate", 6, 9),
    ("madvise", 5, 6),
    ("splice", 5, 7),
    ("epoll_ctl", 5, 6),
    ("close", 5, 6),
    ("waitid", 6, 7),
];

/// Ways to read or change another process, where ptrace access to it is had.
const PROCESS: [&str; 4] = ["ptrace", "process_vm_writev", "process_vm_readv", "pidfd_getfd"];

/// The first kernel that runs the filter after the tracer (`syscall_trace_enter`).
const TRACER_FIRST: KernelVersion = KernelVersion::new(4, 8);

const SECCOMP_SET_MODE_FILTER: u64 = 1;
const SECCOMP_FILTER_FLAG_NEW_LISTENER: u64 = 8;

impl Linter<'_> {
    pub(super) fn ways(&mut self) -> Result<(), TooComplex> {
        for through in ["socketcall", "ipc"] {
            self.multiplexer(through)?;
        }
        self.io_uring()?;
        self.process_access()?;
        self.trace_overridden()?;
        Ok(())
    }

    /// What `socketcall` or `ipc` reaches although it is refused directly.
    fn multiplexer(&mut self, through: &'static str) -> Result<(), TooComplex> {
        let mut found: Vec<(Call, Call, SeccompData)> = Vec::new();
        for table in self.filtered() {
            let Some(way) = self.call(table, through) else { continue };
            if !way.permission.runs {
                continue;
            }
            for direct in self.calls(table) {
                let selector = self.tables[table].abi.multiplexer(direct.name);
                let Some(selector) = selector.filter(|selector| selector.nr == way.nr) else {
                    continue;
                };
                if direct.permission.always_runs() || !self.is_meant(table, direct) {
                    continue;
                }
                let chosen =
                    self.manager.cofactor(way.verdict, "args[0]", u64::from(selector.call))?;
                let runs = |linter: &Linter<'_>, verdict: Diagram| {
                    linter.manager.answers(verdict).iter().all(|word| word.action().runs_call())
                };
                // Of a call with conditions, another one with conditions may be the same.
                let open = if direct.permission.always_refused() {
                    self.manager.answers(chosen).iter().any(|word| word.action().runs_call())
                } else {
                    runs(self, chosen)
                };
                if open {
                    let data = way.with([u64::from(selector.call), 0, 0, 0, 0, 0]);
                    found.push((direct, way, data));
                }
            }
        }
        let Some(&(direct, way, data)) = found.first() else { return Ok(()) };
        let calls: Vec<Call> = found.iter().map(|(direct, ..)| *direct).collect();
        let permitted = self.permitted_set(direct)?;
        let refused = self.manager.not(permitted)?;
        let example = match self.witness(direct, refused) {
            Some(against) => self.contrast(data, against),
            None => self.example(data),
        };
        let names = names(&calls);
        let on = on_abis(&calls, self.filtered().len());
        let finding = Finding::new(
            "multiplexer-open",
            format!(
                "`{through}` makes calls that are refused or restricted directly{on}: {}",
                name_list(&names)
            ),
            format!("an attacker makes them through `{through}`, {}", if through == "socketcall" {
                "whose arguments lie behind a pointer where no filter sees them"
            } else {
                "which does the same"
            }),
        )
        .example(example)
        .help(format!(
            "leave the 32-bit ABI out, or refuse `{through}` for these (its first argument tells which): musl calls directly since Linux 4.3, 32-bit glibc does not"
        ));
        let labels =
            self.subject.written.map(|written| written.labels(way, None, "permitted here"));
        self.push(finding.labels(labels.unwrap_or_default()));
        Ok(())
    }

    /// Whether a call is refused on purpose, or on a 64-bit ABI of the filter as well.
    fn is_meant(&self, table: usize, direct: Call) -> bool {
        self.is_deliberate(table, direct)
            || (0..self.tables.len()).any(|other| {
                self.tables[other].spoken
                    && self.tables[other].abi.arg_bits() == 64
                    && self.call(other, direct.name).is_some_and(|call| call.permission.refuses)
            })
    }

    /// io_uring where what its operations do is refused.
    fn io_uring(&mut self) -> Result<(), TooComplex> {
        let setups = self.where_call("io_uring_setup", |linter, table, call| {
            call.permission.runs && !linter.refused_operations(table).is_empty()
        });
        let Some(&setup) = setups.first() else { return Ok(()) };
        let Some(table) = self.tables.iter().position(|table| table.abi == setup.abi) else {
            return Ok(());
        };
        let refused = self.refused_operations(table);
        let Some(data) = self.permitted(setup)? else { return Ok(()) };
        let permitted = self.permitted_set(refused[0])?;
        let outside = self.manager.not(permitted)?;
        let example = match self.witness(refused[0], outside) {
            Some(against) => self.contrast(data, against),
            None => self.example(data),
        };
        let on = on_abis(&setups, self.filtered().len());
        let mut finding = Finding::new(
            "io-uring-open",
            format!("io_uring is permitted{on}, and its operations do what is refused or restricted as a call: {}", name_list(&names(&refused))),
            "an attacker hands the operation to the kernel through a ring, which no system call filter sees",
        )
        .example(example)
        .help("refuse io_uring_setup, io_uring_enter and io_uring_register, or restrict rings by io_uring's own filters (Linux 7.0)");
        if let Some(written) = self.subject.written {
            finding = finding.labels(written.labels(setup, None, "permitted here"));
            let entries = written.entries_of(setup.abi, setup.nr);
            if let ([index], true) = (&entries[..], is_json(written))
                && let Some(entry) = written.policy.entries.get(*index)
                && entry.action.value.runs_call()
            {
                finding = finding.edits(edits::remove_name(
                    written.text,
                    written.policy,
                    entry,
                    "io_uring_setup",
                ));
            }
        }
        self.push(finding);
        Ok(())
    }

    fn refused_operations(&self, table: usize) -> Vec<Call> {
        let kernel = self.subject.kernel;
        let has =
            |major, minor| kernel.is_none_or(|kernel| kernel >= KernelVersion::new(major, minor));
        let operations = IO_URING.iter().filter(|(_, major, minor)| has(*major, *minor));
        let calls = operations.filter_map(|(name, ..)| self.call(table, name));
        calls.filter(|call| !call.permission.always_runs()).collect()
    }

    /// One way into other processes refused on purpose, another permitted; or tracing permitted.
    fn process_access(&mut self) -> Result<(), TooComplex> {
        let permitted_with = |linter: &Linter<'_>, table: usize| {
            let calls = PROCESS.iter().filter_map(|name| linter.call(table, name));
            calls.filter(|call| call.permission.runs).collect::<Vec<Call>>()
        };
        for refused in PROCESS {
            let found = self.where_call(refused, |linter, table, call| {
                call.permission.always_refused()
                    && linter.is_deliberate(table, call)
                    && !permitted_with(linter, table).is_empty()
            });
            let Some(&call) = found.first() else { continue };
            let table = self.tables.iter().position(|table| table.abi == call.abi);
            let others = table.map_or_else(Vec::new, |table| permitted_with(self, table));
            let Some(&other) = others.first() else { continue };
            let Some(data) = self.permitted(other)? else { continue };
            let list = name_list(&names(&others));
            let finding = Finding::new(
                "process-access",
                format!("`{refused}` is refused, and {list} is permitted{}", on_abis(&found, self.filtered().len())),
                "an attacker who may trace another process gets into it the other way, and has it do what this filter refuses",
            )
            .example(self.contrast(data, call.with([0; 6])))
            .help(format!("treat {} alike", name_list(&PROCESS)));
            let labels = self.subject.written.map(|written| written.labels(call, None, ""));
            self.push(finding.labels(labels.unwrap_or_default()));
            return self.old_ptrace();
        }
        self.old_ptrace()?;
        self.tracing()
    }

    /// `ptrace` permitted by a list that permits little: worth knowing.
    fn tracing(&mut self) -> Result<(), TooComplex> {
        let found = self.where_call("ptrace", |linter, table, call| {
            call.permission.runs && !linter.tables[table].is_open()
        });
        let Some(&call) = found.first() else { return Ok(()) };
        let Some(data) = self.permitted(call)? else { return Ok(()) };
        let finding = Finding::new(
            "process-access",
            format!("`ptrace` is permitted{}", on_abis(&found, self.filtered().len())),
            "an attacker who finds a process of the same user without this filter has it make the refused calls",
        )
        .severity(Severity::Note)
        .example(self.example(data))
        .help("refuse ptrace, process_vm_writev and pidfd_getfd, or see to it that there is no such process: a PID namespace, Yama");
        let labels =
            self.subject.written.map(|written| written.labels(call, None, "permitted here"));
        self.push(finding.labels(labels.unwrap_or_default()));
        Ok(())
    }

    fn old_ptrace(&mut self) -> Result<(), TooComplex> {
        if self.subject.kernel.is_none_or(|kernel| kernel >= TRACER_FIRST) {
            return Ok(());
        }
        let found = self.where_call("ptrace", |_, _, call| call.permission.runs);
        let Some(&call) = found.first() else { return Ok(()) };
        let Some(data) = self.permitted(call)? else { return Ok(()) };
        let finding = Finding::new(
            "ptrace-old-kernel",
            "`ptrace` is permitted on a kernel before 4.8",
            "an attacker traces a child and changes its calls after the filter has seen them, so nothing is refused",
        )
        .example(self.example(data))
        .help("refuse ptrace there: Docker's form has `minKernel` for this");
        let labels =
            self.subject.written.map(|written| written.labels(call, None, "permitted here"));
        self.push(finding.labels(labels.unwrap_or_default()));
        Ok(())
    }

    /// A call left to the tracer, where the program may load a filter that outranks TRACE and
    /// answers its own notifications.
    fn trace_overridden(&mut self) -> Result<(), TooComplex> {
        let mut traced: Vec<Call> = Vec::new();
        for table in self.filtered() {
            for call in self.calls(table) {
                let words = self.manager.answers(call.verdict);
                let traces = words.iter().any(|word| matches!(word.action(), Action::Trace(_)));
                if traces && self.may_listen(call.abi).is_some() {
                    traced.push(call);
                }
            }
        }
        let Some(&call) = traced.first() else { return Ok(()) };
        let Some(data) = self.may_listen(call.abi) else { return Ok(()) };
        let finding = Finding::new(
            "trace-overridden",
            format!("a tracer decides calls, and the program may load a filter with a listener: {}", name_list(&names(&traced))),
            "an attacker's own filter answers USER_NOTIF, which outranks TRACE; its listener lets the call go on, and the tracer never hears of it",
        )
        .example(self.example(data))
        .help("refuse `seccomp` with SECCOMP_FILTER_FLAG_NEW_LISTENER (8), or leave the calls to a listener instead of a tracer");
        let labels = self.subject.written.map(|written| written.labels(call, None, ""));
        self.push(finding.labels(labels.unwrap_or_default()));
        Ok(())
    }

    /// The call that loads a filter with a listener, where it runs.
    fn may_listen(&self, abi: Abi) -> Option<SeccompData> {
        let table = self.tables.iter().position(|table| table.abi == abi)?;
        let call = self.call(table, "seccomp")?;
        let args = [SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, 0, 0, 0, 0];
        let data = call.with(args);
        self.decide(&data).runs_call().then_some(data)
    }
}
