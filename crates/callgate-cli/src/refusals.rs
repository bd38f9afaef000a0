//! What a filter refuses while a command runs: asked about, decoded, and gathered, each once.

mod asking;
mod call;
mod rule;
mod site;
mod subject;
mod symbols;
mod text;

pub use self::{
    asking::asking,
    call::{Argument, Call, Known},
    rule::{DecidedBy, decide},
    site::{Place, Site},
    subject::{Returned, Subject},
    text::{MEMORY_WAITED, notes, part, row},
};

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use callgate_bpf::{Action, Architecture, SeccompData, SyscallNr};
use callgate_kernel::{Caller, End, Notification};

use crate::commands::run::filter::Ready;

/// Refusals that are told apart; of more, only their number is known.
const MOST: usize = 1000;

/// What a filter refuses.
#[derive(Default)]
pub struct Refusals {
    rows: Vec<Refusal>,
    places: BTreeMap<Key, usize>,
    /// How many were refused after there were [`MOST`] kinds.
    beyond: u64,
    /// The program that wanted to listen to a filter of its own, if one did.
    own_listener: Option<PathBuf>,
    /// This program, which the child is until its exec; none afterwards.
    own: Option<PathBuf>,
    /// Whether the child has asked for its exec. A call after it that is none is the command's, or
    /// the command did not start.
    execs: bool,
}

/// Calls that are alike: of one number, refused in one way by one program, with the same flags and
/// commands.
type Key = (Architecture, SyscallNr, Vec<Option<String>>, String, Option<PathBuf>, bool);

/// Calls that are alike, and the first of them.
pub struct Refusal {
    pub data: SeccompData,
    pub action: Action,
    pub call: Call,
    pub by: DecidedBy,
    pub executable: Option<PathBuf>,
    pub site: Option<Site>,
    /// Whether callgate's own child made it, before it became the command.
    pub is_start: bool,
    /// How many there were.
    pub count: u64,
    /// Whether other arguments differed.
    pub varied: bool,
    /// The process of the first; None where it could not be held.
    pub caller: Option<Caller>,
    /// What was done in the kernel's stead that is not quite what it does.
    pub approximation: Option<&'static str>,
}

/// What to do about a call that the filter has asked about.
pub enum Noticed<'t> {
    /// The filter refuses it: this is the verdict, and the row of the table where there is one.
    Refused(Action, Option<&'t mut Refusal>),
    /// It allows it: a program asks for a listener of its own, which the kernel will refuse.
    Allowed,
}

impl Refusals {
    /// Of a command that is about to be started.
    pub fn of_command() -> Refusals {
        Refusals { own: env::current_exe().ok(), ..Refusals::default() }
    }

    /// Takes a call down, while its thread waits.
    pub fn notice(&mut self, ready: &Ready, notification: &Notification<'_>) -> Noticed<'_> {
        let executable = notification.executable();
        let (action, by) = rule::decide(&ready.origin, &ready.target, notification.data());
        if action.runs_call() {
            self.own_listener.get_or_insert_with(|| executable.unwrap_or_default());
            return Noticed::Allowed;
        }
        let call = Call::decode(notification);
        let is_start = self.is_start(&call, executable.as_deref());
        let place = self.add(notification, call, (action, by), is_start);
        Noticed::Refused(action, place.and_then(|place| self.rows.get_mut(place)))
    }

    /// Takes a call down that has returned, and says in which row.
    pub fn returned(
        &mut self,
        returned: &Returned<'_>,
        verdict: (Action, DecidedBy),
    ) -> Option<usize> {
        self.add(returned, Call::decode(returned), verdict, false)
    }

    /// The very same call as the first of this row came again.
    pub fn again(&mut self, place: usize) {
        if let Some(row) = self.rows.get_mut(place) {
            row.count += 1;
        }
    }

    fn add(
        &mut self,
        subject: &dyn Subject,
        call: Call,
        (action, by): (Action, DecidedBy),
        is_start: bool,
    ) -> Option<usize> {
        let (data, executable) = (subject.data(), subject.executable());
        let kinds = call.arguments.iter().map(|argument| argument.kind()).collect();
        let key = (data.arch, data.nr, kinds, by.text.clone(), executable.clone(), is_start);
        if let Some(&place) = self.places.get(&key) {
            let row = &mut self.rows[place];
            row.count += 1;
            row.varied |= row.call.to_string() != call.to_string();
            return Some(place);
        }
        if self.rows.len() == MOST {
            self.beyond += 1;
            return None;
        }
        self.places.insert(key, self.rows.len());
        self.rows.push(Refusal {
            data: *data,
            action,
            call,
            by,
            // callgate's own code is no place that says anything of the command.
            site: if is_start { None } else { Site::of(subject, executable.as_deref()) },
            executable,
            is_start,
            count: 1,
            varied: false,
            caller: subject.caller(),
            approximation: None,
        });
        Some(self.rows.len() - 1)
    }

    /// Whether a call is callgate's own, made on the way to the command.
    fn is_start(&mut self, call: &Call, executable: Option<&Path>) -> bool {
        let execs = matches!(call.name, Some("execve" | "execveat"));
        if self.own.is_none() || self.own.as_deref() != executable || (self.execs && !execs) {
            self.own = None;
            return false;
        }
        self.execs |= execs;
        true
    }

    /// In the order in which they came.
    pub fn rows(&self) -> &[Refusal] {
        &self.rows
    }

    /// How many calls in all.
    pub fn total(&self) -> u64 {
        self.rows.iter().map(|row| row.count).sum::<u64>() + self.beyond
    }

    /// Why something that the program did went otherwise than under `run`, if it did.
    pub fn own_listener(&self) -> Option<String> {
        let executable = self.own_listener.as_ref()?;
        let name = crate::report::printable_name(&executable.to_string_lossy());
        Some(format!(
            "{name} asked for a listener of a filter of its own; the kernel allows one in a chain of filters, and callgate has it here, so the program got EBUSY. What it did after that says nothing about the profile"
        ))
    }
}

impl Refusal {
    /// How the process of the first of these calls ended.
    pub fn end(&self) -> End {
        self.caller.as_ref().map_or(End::Unknown, Caller::end)
    }
}
