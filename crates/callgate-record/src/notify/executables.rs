//! What the threads that call execute.
//!
//! Asking `/proc` costs as much as all else that is done for a call, so what it said is kept for a
//! moment: as long as neither a thread has executed another file nor a number become another
//! thread's. Both take calls; where the filter asks about all of those, they are seen before they
//! happen.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    time::{Duration, Instant},
};

use callgate_bpf::{Architecture, SyscallNr};
use callgate_kernel::Notification;
use callgate_syscalls::{Abi, abi_of};

use crate::Known;

/// The executed files of threads, by their numbers.
pub(super) struct Executables {
    /// This program, which the child is until its first exec; none afterwards.
    own: Option<String>,
    /// The calls that end what is known; `None` where they may come unseen.
    ending: Option<BTreeSet<(Architecture, SyscallNr)>>,
    known: BTreeMap<i32, (Instant, String)>,
}

/// By these a thread executes another file, or gets a number that was another's.
const ENDING: [&str; 6] = ["execve", "execveat", "clone", "clone3", "fork", "vfork"];
const EXEC: [&str; 2] = ["execve", "execveat"];

/// How long an answer is kept at most. Numbers do not come round meanwhile.
const MOMENT: Duration = Duration::from_millis(100);

impl Executables {
    /// Of a run with this filter.
    pub(super) fn new(known: &Known) -> Executables {
        let own = env::current_exe().ok().map(|path| path.to_string_lossy().into_owned());
        let mut ending = BTreeSet::new();
        let mut all = true;
        for table in &known.ruleset.abis {
            for number in ENDING.iter().filter_map(|name| table.abi.number(name)) {
                all &= !table.rules.contains_key(&number);
                ending.insert((table.abi.audit(), number));
            }
        }
        Executables { own, ending: all.then_some(ending), known: BTreeMap::new() }
    }

    /// The executed file of the thread that calls; for the command's own start, the file that is
    /// executed. `None` where nobody can tell.
    pub(super) fn of(&mut self, call: &Notification<'_>) -> Option<String> {
        let thread = call.thread()?;
        let this = (call.data().arch, call.data().nr);
        let Some(ending) = &self.ending else { return self.ask(thread, call) };
        if ending.contains(&this) {
            self.known.clear();
            // It gets the number of its process, whose calls may still come while it is at it.
            if is_exec(this) && !leads(thread) {
                self.ending = None;
            }
            return self.ask(thread, call);
        }
        let now = Instant::now();
        if let Some((at, path)) = self.known.get(&thread)
            && now.duration_since(*at) < MOMENT
        {
            return Some(path.clone());
        }
        let path = self.ask(thread, call)?;
        self.known.insert(thread, (now, path.clone()));
        Some(path)
    }

    fn ask(&mut self, thread: i32, call: &Notification<'_>) -> Option<String> {
        let link = fs::read_link(format!("/proc/{thread}/exe")).ok()?;
        let path = link.to_string_lossy().into_owned();
        if !call.is_waiting() {
            return None;
        }
        if self.own.as_ref() != Some(&path) {
            self.own = None;
            return Some(path);
        }
        const LONGEST: usize = 4096;
        if Abi::native().is_none_or(|abi| abi.number("execve") != Some(call.data().nr)) {
            return Some(path);
        }
        let text = call.read_string(call.data().args[0], LONGEST).ok();
        Some(text.map_or(path, |text| String::from_utf8_lossy(&text.bytes).into_owned()))
    }
}

fn is_exec((architecture, number): (Architecture, SyscallNr)) -> bool {
    let name = abi_of(architecture, number).and_then(|abi| abi.name_of(number));
    name.is_some_and(|name| EXEC.contains(&name))
}

/// Whether the thread is the first of its process, whose number is the process's.
fn leads(thread: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
    let process = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
    process.and_then(|number| number.trim().parse().ok()) == Some(thread)
}
