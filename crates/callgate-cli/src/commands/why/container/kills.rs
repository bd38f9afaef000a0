//! Kills that leave nothing but a record in the audit log: of a thread among several.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use callgate_bpf::{Action, SyscallNr};
use callgate_kernel::{AuditLog, Cgroup, SeccompRecord, ebpf::Refused};
use callgate_record::container::Container;

use crate::{names::syscall_name, refusals, report::printable_name};

/// How long the kernel's other way of telling may take.
const REST: Duration = Duration::from_millis(500);

/// What the audit log has of a container's kills.
pub struct Kills {
    log: Result<AuditLog, String>,
    /// Processes of the container, by when they were seen.
    processes: BTreeSet<i32>,
    /// Calls that were told with their registers.
    heard: BTreeMap<(i32, SyscallNr), u64>,
    waiting: Vec<(Instant, SeccompRecord)>,
    rows: Vec<SeccompRecord>,
    told: usize,
}

impl Kills {
    pub fn listen() -> Kills {
        Kills {
            log: AuditLog::open().map_err(|error| error.to_string()),
            processes: BTreeSet::new(),
            heard: BTreeMap::new(),
            waiting: Vec::new(),
            rows: Vec::new(),
            told: 0,
        }
    }

    /// Why the audit log cannot be read.
    pub fn deaf(&self) -> Option<&str> {
        self.log.as_ref().err().map(String::as_str)
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn rows(&self) -> &[SeccompRecord] {
        &self.rows
    }

    /// This call was told with its registers.
    pub fn heard(&mut self, refused: &Refused) {
        self.processes.insert(refused.process);
        if refused.result == i64::from(refused.data.nr.0) {
            *self.heard.entry((refused.process, refused.data.nr)).or_default() += 1;
        }
    }

    /// Takes what is new in the log, of processes of this container.
    pub fn look(&mut self, container: &Container, over: bool) {
        let Ok(log) = &mut self.log else { return };
        let inside = container.cgroup.as_ref().ok().and_then(|path| Cgroup::open(path).ok());
        let now = inside.and_then(|group| group.processes().ok()).unwrap_or_default();
        self.processes.extend(now.into_iter().chain([container.init]));
        let killed = |record: &SeccompRecord| {
            matches!(record.code.action(), Action::KillThread | Action::KillProcess)
        };
        let records = log.records().into_iter().filter(killed);
        self.waiting.extend(records.map(|record| (Instant::now(), record)));
        let mut waiting = Vec::new();
        for (since, record) in std::mem::take(&mut self.waiting) {
            if !over && since.elapsed() < REST {
                waiting.push((since, record));
                continue;
            }
            let key = (record.pid, record.syscall);
            match self.heard.get_mut(&key) {
                Some(count) if *count > 0 => *count -= 1,
                _ if self.processes.contains(&record.pid) => self.rows.push(record),
                _ => {}
            }
        }
        self.waiting = waiting;
    }

    /// Rows that have not been told.
    pub fn untold(&mut self) -> String {
        let rows = self.rows.get(self.told..).unwrap_or_default();
        let text = rows.iter().map(text).collect();
        self.told = self.rows.len();
        text
    }
}

/// The name of the call, or its number.
pub fn call(record: &SeccompRecord) -> String {
    syscall_name(record.arch, record.syscall)
        .map_or_else(|| format!("syscall {}", record.syscall), str::to_owned)
}

/// What the kernel did.
pub fn verdict(record: &SeccompRecord) -> &'static str {
    match record.code.action() {
        Action::KillThread => "kills the thread",
        _ => "kills the process",
    }
}

fn text(record: &SeccompRecord) -> String {
    let from = record.exe.as_deref().unwrap_or("a program without a file");
    let from = format!(
        "{}, thread {}, at {:#x}",
        printable_name(from),
        printable_name(&record.comm),
        record.instruction_pointer
    );
    [
        format!("refused   {}(…) {}\n", call(record), verdict(record)),
        refusals::part(
            "by",
            "the filter; the audit log, which alone has this, tells neither arguments nor rule",
        ),
        refusals::part("from", &from),
    ]
    .concat()
}
