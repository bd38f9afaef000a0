//! `why --container`: what the filter of a running container refuses, told as it comes.

mod filters;
pub mod kills;
mod known;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use callgate_kernel::{
    EndRequest,
    ebpf::{self as kernel, ExecutableId, Refused},
};
use callgate_record::{
    container::{self, Container},
    ebpf::{self, Attach},
};

use self::{
    filters::{Filters, Verdict},
    kills::Kills,
    known::Known,
};
use super::{Args, fix, json};
use crate::{
    commands::Failure,
    output,
    refusals::{self, Call, Refusals, Returned},
    report::{self, printable_name},
    source::plural,
};

/// How long a row waits, so that it can say what the process did next.
const REST: Duration = Duration::from_millis(250);

/// Failures that are shown which were not the filter's.
const MOST_OTHERS: usize = 100;

const MEMORY: &str = "* was read from the program's memory as the call returned; another of its threads can change that at any time, so no filter could decide by it";

/// Tells what is refused until the container ends, and gives the status to exit with.
pub fn run(args: &Args, id: &str) -> Result<u8, Failure> {
    if callgate_kernel::is_secure_exec() {
        return Err(Failure::Message(
            "callgate was started setuid, setgid or with file capabilities; it does not lend its rights to look into other users' containers".to_owned(),
        ));
    }
    let container = container::find(id).map_err(|error| error.to_string())?;
    let known = Known::of(args, &container)?;
    let mut seen = Seen::new(&container, known.as_ref())?;
    if args.fix {
        let Some((fixes, name)) = seen.fixes.as_ref().zip(args.filter.profile.as_deref()) else {
            return Err(Failure::Message(
                "--fix takes the profile that the container was started with: --profile FILE; what its runtime keeps is written anew with each start".to_owned(),
            ));
        };
        fixes.may_be_written(name)?;
        output::may_be_written(Path::new(name))?;
    }
    if let Some(file) = &args.output {
        output::may_be_written(file)?;
    }
    let at_once = !args.json && args.output.is_none();
    let mut end = EndRequest::watch().map_err(|errno| format!("signals: {errno}"))?;
    let mut attach = Attach::new(container.running());
    if let Some(seconds) = args.time {
        attach = attach.at_most(Duration::from_secs(u64::from(seconds)));
    }
    let mut begun = false;
    ebpf::refusals(attach, &mut end, |recorder, over| {
        if !std::mem::replace(&mut begun, true) {
            tell_of(&container, known.as_ref().map(|known| known.path.as_str()));
        }
        seen.look(recorder, over);
        if at_once {
            report::say(seen.settled(over));
        }
    })
    .map_err(|error| format!("container {}: {error}", printable_name(&container.id)))?;
    let text = match args.json {
        true => seen.json()?,
        false => seen.settled(true),
    };
    match &args.output {
        Some(file) => output::write_file(file, text.as_bytes())?,
        None if args.json => output::print(&text)?,
        None => {}
    }
    if !args.json {
        seen.notes();
    }
    if args.fix && seen.refusals.total() > 0 {
        let name = args.filter.profile();
        if let Some(fixes) = &seen.fixes {
            report::note(fixes.write(name, &seen.edits)?);
            report::note("a filter that is loaded stays as it is: start the container again");
        }
    }
    Ok(u8::from(seen.refusals.total() > 0 || !seen.kills.is_empty()))
}

/// What has been seen.
struct Seen<'k> {
    container: &'k Container,
    name: String,
    filters: Filters<'k>,
    fixes: Option<fix::Fixes<'k>>,
    refusals: Refusals,
    /// When each row came, and what would allow it: worked out when it is told.
    since: Vec<Instant>,
    edits: Vec<Result<fix::Edit, String>>,
    others: Vec<Other>,
    others_told: usize,
    kills: Kills,
    executables: BTreeMap<ExecutableId, Option<PathBuf>>,
    /// The last refused call, and its row: a program that is refused in a loop need not be looked at
    /// each time.
    last: Option<(Refused, usize)>,
    /// Calls that a supervisor of the container's answered, or that nobody knows who did.
    answered: u64,
    /// Calls that the kernel has counted as not entered, and those that were not looked at.
    counted: u64,
    lost: u64,
}

/// A call that failed, and not by the filter.
pub struct Other {
    pub call: Call,
    pub errno: u16,
    pub executable: Option<PathBuf>,
}

impl<'k> Seen<'k> {
    fn new(container: &'k Container, known: Option<&'k Known>) -> Result<Seen<'k>, Failure> {
        let origins = known.map_or(&[][..], |known| &known.origins);
        let target = known.map(|known| &known.target);
        let filters = Filters::new(container.init, origins, target)?;
        let fixes =
            known.and_then(|known| Some(fix::Fixes::new(known.origins.first()?, &known.target)));
        let name = known.map_or_else(|| format!("pid:{}", container.init), |k| k.name.clone());
        Ok(Seen {
            container,
            name,
            filters,
            fixes,
            refusals: Refusals::default(),
            since: Vec::new(),
            edits: Vec::new(),
            others: Vec::new(),
            others_told: 0,
            kills: Kills::listen(),
            executables: BTreeMap::new(),
            last: None,
            answered: 0,
            counted: 0,
            lost: 0,
        })
    }

    fn look(&mut self, recorder: &mut kernel::Recorder, over: bool) {
        // What could not be waited for comes with the next look.
        let _ = recorder.poll(Duration::ZERO, |_| {});
        for refused in recorder.refused() {
            match &self.last {
                Some((last, row)) if *last == refused => self.refusals.again(*row),
                _ => {
                    let executable = self.executable(recorder, refused.executable);
                    self.refused(refused, executable);
                }
            }
        }
        self.kills.look(self.container, over);
        self.lost = recorder.losses().events;
        if over {
            let results = recorder.results().unwrap_or_default();
            self.counted = results.iter().filter(|r| !r.entered).map(|result| result.count).sum();
        }
    }

    fn refused(&mut self, refused: Refused, executable: Option<PathBuf>) {
        self.kills.heard(&refused);
        let returned = Returned::new(&refused, executable);
        let mut row = None;
        match self.filters.verdict(&refused) {
            Verdict::Filter(action, by) => row = self.refusals.returned(&returned, (action, by)),
            Verdict::Other(errno) => {
                let executable = refusals::Subject::executable(&returned);
                if self.others.len() < MOST_OTHERS {
                    self.others.push(Other { call: Call::decode(&returned), errno, executable });
                }
            }
            Verdict::Answered => self.answered += 1,
            Verdict::Nothing => {}
        }
        self.since.resize_with(self.refusals.rows().len(), Instant::now);
        self.last = row.map(|row| (refused, row));
    }

    fn executable(&mut self, recorder: &kernel::Recorder, id: ExecutableId) -> Option<PathBuf> {
        if !self.executables.contains_key(&id) {
            for executable in recorder.executables().unwrap_or_default() {
                self.executables.insert(executable.id, executable.path);
            }
        }
        self.executables.get(&id).cloned().flatten()
    }

    /// The rows that have not been told and have rested, or all.
    fn settled(&mut self, all: bool) -> String {
        let mut text = String::new();
        while let Some((row, since)) =
            self.refusals.rows().get(self.edits.len()).zip(self.since.get(self.edits.len()))
        {
            if !all && since.elapsed() < REST {
                break;
            }
            let edit = match &mut self.fixes {
                Some(fixes) => fixes.smallest(row),
                None => Err(
                    "no edit: with what profile it was started is not known; say it with --profile"
                        .to_owned(),
                ),
            };
            text.push_str(&refusals::row("refused", row, &self.name));
            text.push_str(&refusals::part("then", &row.then()));
            text.push_str(&refusals::part("allow", &fix::words(&edit)));
            self.edits.push(edit);
        }
        for other in self.others.iter().skip(self.others_told) {
            text.push_str(&other.text());
        }
        self.others_told = self.others.len();
        text + &self.kills.untold()
    }

    fn json(&mut self) -> Result<String, Failure> {
        self.settled(true);
        let status = u8::from(self.refusals.total() > 0 || !self.kills.is_empty());
        let container = json::of_container(
            &self.container.id,
            &self.others,
            self.kills.rows(),
            [self.answered, self.counted, self.lost],
        );
        json::text(&self.name, &self.refusals, &self.edits, status, false, Some(container))
    }

    /// What there is to say at the end.
    fn notes(&self) {
        for row in self.refusals.rows().iter().filter(|row| row.count > 1) {
            report::note(format!(
                "in all {} {}",
                plural(usize::try_from(row.count).unwrap_or(usize::MAX), "time"),
                row.call
            ));
        }
        refusals::notes(&self.refusals, MEMORY, false);
        if self.answered > 0 {
            report::note(format!(
                "{} were answered by a supervisor or a tracer of the container, and not by its filter",
                plural(usize::try_from(self.answered).unwrap_or(usize::MAX), "call")
            ));
        }
        if self.lost > 0 {
            report::warning(format!(
                "of {} that were refused {} came faster than they could be looked at, and are missing here",
                plural(usize::try_from(self.counted).unwrap_or(usize::MAX), "call"),
                self.lost
            ));
        }
        if let Some(why) = self.kills.deaf() {
            report::note(format!(
                "threads that the filter ended alone are not seen: the audit log has them, and {why}"
            ));
        }
        if self.refusals.total() == 0 && self.kills.is_empty() {
            report::note("the filter refused nothing while it was watched");
        }
    }
}

impl Other {
    fn text(&self) -> String {
        let name = callgate_syscalls::errno::name(self.errno)
            .map_or_else(|| self.errno.to_string(), str::to_owned);
        let mut text = format!("failed    {} = {name}\n", self.call);
        text.push_str(&refusals::part("by", OTHER));
        if let Some(path) = &self.executable {
            text.push_str(&refusals::part("from", &printable_name(&path.to_string_lossy())));
        }
        text
    }
}

const OTHER: &str = "not the filter, which allows it: a capability that is missing, the mode or owner of a file, or a security module";

/// Says which container it is, what is asked, and by what its processes are found.
fn tell_of(container: &Container, profile: Option<&str>) {
    let id = printable_name(&container.id);
    let rules = match profile {
        Some(name) => format!("its filter and {}", printable_name(name)),
        None => "its filter; with what profile it was started is not known (--profile)".to_owned(),
    };
    let by = match &container.cgroup {
        Ok(_) => String::new(),
        Err(why) => format!(
            "; its first process is watched with what it has started and starts, but not what is sent in from outside: {why}"
        ),
    };
    report::note(format!("container {id}: asking {rules}{by}"));
}
