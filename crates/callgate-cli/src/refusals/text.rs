//! Rows of refusals for people.

use callgate_bpf::Action;
use callgate_kernel::{End, Outcome};
use callgate_syscalls::errno;

use super::{MOST, Refusal, Refusals, Site};
use crate::report::{self, printable_name};

/// The width in which a call and how often it came stand on one line.
const WIDTH: usize = 84;

/// A row: the call under this word, what decided, and where it came from. `name` is the filter's.
pub fn row(word: &str, row: &Refusal, name: &str) -> String {
    let call = format!("{word}   {} {}", row.call, verdict(row.action));
    let width = WIDTH.saturating_sub(call.chars().count()).max(1);
    let varied = if row.varied { ", not all with these arguments" } else { "" };
    let mut text = format!("{call}{:width$}{}{varied}\n", "", times(row.count));
    let name = row.by.filter.as_deref().unwrap_or(name);
    text.push_str(&part("by", &format!("{}: {}", printable_name(name), row.by.text)));
    let executable = row.executable.as_ref().map(|path| path.to_string_lossy());
    let from = match (&row.site, executable) {
        _ if row.is_start => "callgate itself, starting the command".to_owned(),
        (Some(site), Some(executable)) if !site.names(&executable) => {
            format!("{}, in {}", site.text(), printable_name(&executable))
        }
        (Some(site), _) => site.text(),
        (None, Some(executable)) => printable_name(&executable),
        (None, None) => "a process that /proc does not show".to_owned(),
    };
    text.push_str(&part("from", &from));
    text
}

/// A line of a row.
pub fn part(word: &str, text: &str) -> String {
    format!("  {word:<7} {text}\n")
}

/// What the star of a call means whose thread waited.
pub const MEMORY_WAITED: &str = "* was read from the program's memory while it waited; another of its threads can change that before the kernel looks, so no filter could decide by it";

/// What there is to say of all rows together, when the command has ended.
pub fn notes(refusals: &Refusals, memory: &str, left: bool) {
    if refusals.rows().iter().any(|row| row.call.has_memory()) {
        report::note(memory);
    }
    if refusals.beyond > 0 {
        report::note(format!(
            "after {MOST} kinds of refusals {} more calls were counted and not told apart",
            refusals.beyond
        ));
    }
    if let Some(note) = refusals.own_listener() {
        report::warning(note);
    }
    if left {
        report::warning(
            "callgate was asked to end; what the command has left running gets ENOSYS from now on where the filter refuses",
        );
    }
}

/// `1 time`, `1000 times`.
pub fn times(count: u64) -> String {
    if count == 1 { "1 time".to_owned() } else { format!("{count} times") }
}

/// What the program gets.
fn verdict(action: Action) -> String {
    match action {
        Action::Errno(number) => match errno::name(number) {
            Some(name) => format!("= {name}"),
            None => format!("= {number}"),
        },
        Action::KillProcess => "kills the process".to_owned(),
        Action::KillThread => "kills the thread".to_owned(),
        Action::Trap(_) => "= SIGSYS (trap)".to_owned(),
        Action::UserNotif | Action::Trace(_) => "= ENOSYS (nobody answers)".to_owned(),
        other => format!("= {other}"),
    }
}

impl Site {
    fn names(&self, executable: &str) -> bool {
        self.at.file == executable || self.caller.as_ref().is_some_and(|c| c.file == executable)
    }

    /// `/usr/bin/unshare+0x3a14, through libc unshare()`
    pub fn text(&self) -> String {
        let Some(caller) = &self.caller else { return self.at.to_string() };
        let library = self.at.file.rsplit('/').next().unwrap_or_default();
        let library = library.split(".so").next().unwrap_or_default();
        let through = self.through.as_ref().map_or_else(String::new, |name| format!(" {name}()"));
        printable_name(&format!("{caller}, through {library}{through}"))
    }
}

impl std::fmt::Display for super::Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}+{:#x}", printable_name(&self.file), self.offset)?;
        match &self.symbol {
            Some(symbol) => write!(f, " (in {}())", printable_name(&symbol.name)),
            None => Ok(()),
        }
    }
}

impl Refusal {
    /// What the process did next: `the program went on and exited with 1`.
    pub fn then(&self) -> String {
        let ended =
            matches!(self.action, Action::KillProcess | Action::KillThread | Action::Trap(_));
        let text = match self.end() {
            End::Known(outcome) => match outcome {
                Outcome::Exited(status) => {
                    format!("the program went on and exited with {status}")
                }
                Outcome::Signaled { signal, core } if ended => {
                    format!("the program died of it: {}", self::signal(signal, core))
                }
                Outcome::Signaled { signal, core } => {
                    format!("the program went on and died of {}", self::signal(signal, core))
                }
            },
            End::Alive => "the program still runs".to_owned(),
            _ if self.action == Action::KillProcess => "the program died of it".to_owned(),
            _ => "the program has ended; how is not known here".to_owned(),
        };
        match self.approximation {
            Some(approximation) => format!("{text} ({approximation})"),
            None => text,
        }
    }
}

/// `SIGSYS, core dumped`
pub fn signal(signal: callgate_kernel::Signal, core: bool) -> String {
    format!("{signal}{}", if core { ", core dumped" } else { "" })
}
