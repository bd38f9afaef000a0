//! The one in the background, from the hook's start of it to the file that it writes.

use std::{
    cell::Cell,
    collections::BTreeSet,
    fs::File,
    io::{self, Read, Write},
    os::unix::net::UnixDatagram,
    path::Path,
    process::{self, Command, Stdio},
};

use callgate_diagnostic::Severity;
use callgate_kernel::{Cgroup, EndRequest};
use callgate_policy::{Condition, Dialect, Entry, Policy, formats};
use callgate_record::{
    Recorder, Recording,
    container::{self, Container},
    ebpf::{self, Attach},
    method::Method,
    profile::{
        self, Options,
        base::{Base, Runtime},
    },
};
use rustix::{
    process::setsid,
    stdio::{dup2_stderr, dup2_stdin, dup2_stdout},
};

use super::{place::Place, request::Request};
use crate::{
    commands::{Failure, record, why::insert_entry},
    report::printable_name,
    target::native,
};

/// What it says when every call is counted.
const READY: &str = "ready";

/// Starts it, and returns when it counts, or has failed and has said why.
pub fn start(folder: &Path, state: &[u8]) -> Result<(), Failure> {
    // This very program, whatever has its name by now.
    let mut child = Command::new("/proc/self/exe")
        .args(["hook", "--recorder", "--folder"])
        .arg(folder)
        // It outlives the container's folders.
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // Should it not read all, it says why itself.
        let _ = input.write_all(state);
    }
    let mut said = String::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_string(&mut said)?;
    }
    match said.trim_end() {
        READY => Ok(()),
        _ => Err(Failure::Reported),
    }
}

/// Records a container to its end, and writes what was asked for.
///
/// # Errors
///
/// Until it counts. What comes later has nobody to be told to but the system's log.
pub fn run(folder: &Path, request: &Request) -> Result<(), Failure> {
    if callgate_kernel::is_secure_exec() {
        return Err(Failure::Message(
            "callgate was started setuid, setgid or with file capabilities; it does not lend its rights to record other users' processes".to_owned(),
        ));
    }
    let output = Place::open(folder, &request.output)?;
    let input = request.input.as_deref().map(|path| Place::open(folder, path)).transpose()?;
    let input = input.map(|input| Input::read(&input, &output)).transpose()?;
    let container = container::made(request.id.clone(), request.pid);
    // An engine takes the group of a container's monitor away, and what is in it.
    let left = Cgroup::leave_all();
    // That the terminal goes does not concern it. It is no leader, so that cannot fail.
    let _ = setsid();
    let mut end = EndRequest::watch().map_err(|errno| format!("signals: {errno}"))?;
    let name = vec![format!("container:{}", container.id)];
    let mut recorder = Recorder::new(record::run_id(), record::info(name, Method::Ebpf, native()?));
    let counts = Cell::new(false);
    let seen = |_: &Recorder| {
        if !counts.replace(true) {
            detach();
        }
    };
    let attach = Attach::new(container.running());
    ebpf::attach(attach, &mut end, &mut recorder, &mut io::sink(), seen)
        .map_err(|error| format!("container {}: {error}", printable_name(&container.id)))?;
    if let Err(error) = left {
        log(&format!("{error}; the engine may end the recording too early"));
    }
    let (id, run) = recorder.finish();
    let recording = Recording::of_run(id, run);
    match put(&output, input.as_ref(), &recording) {
        Ok(()) => log(&summary(&output, &container, &recording)),
        Err(why) => log(&format!("nothing was written: {why}")),
    }
    Ok(())
}

/// Tells the hook that all is ready, and lets go of all that it or the runtime waits for.
fn detach() {
    let mut stdout = io::stdout().lock();
    // Without the hook there is nobody to tell.
    let _ = writeln!(stdout, "{READY}").and_then(|()| stdout.flush());
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        let _ =
            dup2_stdin(&null).and_then(|()| dup2_stdout(&null)).and_then(|()| dup2_stderr(&null));
    }
}

/// Writes the file.
fn put(output: &Place, input: Option<&Input>, recording: &Recording) -> Result<(), String> {
    let _turn = output.lock()?;
    if is_recording(output) {
        let mut all = Recording::default();
        if let Some(bytes) = output.read()? {
            let before = Recording::read(&bytes);
            all = before.map_err(|error| format!("{}: {error}", output.shown()))?.recording;
        }
        all.merge(recording);
        return output.write(all.to_text().as_bytes());
    }
    let mut options = Options::new(native()?);
    options.base = Some(Base { runtime: Runtime::Any, no_new_privs: false, exec: true });
    options.dialect = Some(DIALECT);
    let profile = profile::generate(recording, &options).map_err(|error| error.to_string())?;
    let format = formats::named(DIALECT.name()).ok_or("the format is not known")?;
    let text = match input {
        Some(input) => input.with(&profile.policy)?,
        None => {
            let text = (format.write)(&profile.policy).map_err(|errors| {
                errors.iter().map(|e| e.message.clone()).collect::<Vec<_>>().join("; ")
            })?;
            profile::check(recording, &profile, format, &text).map_err(|e| e.to_string())?;
            text
        }
    };
    output.write(text.as_bytes())
}

/// What is written is for Podman and CRI-O, who call the hook.
const DIALECT: Dialect = Dialect::Containers;

fn is_recording(output: &Place) -> bool {
    output.has_extension("rec")
}

/// A profile to which what it lacks is added.
struct Input {
    text: String,
    policy: Policy,
}

impl Input {
    fn read(place: &Place, output: &Place) -> Result<Input, String> {
        if is_recording(output) {
            return Err(format!(
                "{}: `if:` is for a profile; runs are added to a recording that is there already",
                output.shown()
            ));
        }
        let bytes = place.read()?.ok_or_else(|| format!("{}: there is no file", place.shown()))?;
        let text = String::from_utf8(bytes).ok();
        let input = text.and_then(|text| Some(Input { policy: policy_of(&text)?, text }));
        input.ok_or_else(|| {
            format!("{0}: it is no profile without errors; see `callgate check {0}`", place.shown())
        })
    }

    /// The text with one more entry. What it refuses by name stays refused.
    fn with(&self, recorded: &Policy) -> Result<String, String> {
        let names = |entry: &Entry| -> Vec<String> {
            entry.names.iter().map(|name| name.value.clone()).collect()
        };
        let known: BTreeSet<String> = self
            .policy
            .entries
            .iter()
            .filter(|entry| {
                let always = entry.comparisons.is_empty()
                    && entry.includes == Condition::default()
                    && entry.excludes == Condition::default();
                always || !entry.action.value.runs_call()
            })
            .flat_map(names)
            .collect();
        let allowed = recorded.entries.iter().filter(|entry| entry.action.value.runs_call());
        let new: BTreeSet<String> = allowed.flat_map(names).collect();
        let new: Vec<&String> = new.difference(&known).collect();
        if new.is_empty() {
            return Ok(self.text.clone());
        }
        let rule = serde_json::json!({ "names": new, "action": "SCMP_ACT_ALLOW" });
        insert_entry(&self.text, &rule.to_string())
            .filter(|text| policy_of(text).is_some())
            .ok_or_else(|| "nothing could be added to the input profile".to_owned())
    }
}

/// What a text of the container tools means, if it has no errors.
fn policy_of(text: &str) -> Option<Policy> {
    let reading = formats::profile::read(text, Some(DIALECT));
    let wrong = reading.diagnostics.iter().any(|found| found.severity == Severity::Error);
    reading.policy.filter(|_| !wrong)
}

/// What was recorded, and what was lost.
fn summary(output: &Place, container: &Container, recording: &Recording) -> String {
    let lost: Vec<String> = recording
        .runs
        .values()
        .flat_map(|run| &run.losses)
        .map(|(what, count)| format!("; not recorded: {what}: {count}"))
        .collect();
    format!(
        "{}: {} of container {}{}",
        output.shown(),
        crate::source::plural(recording.calls().len(), "syscall"),
        printable_name(&container.id),
        lost.concat(),
    )
}

/// A line in the system's log (syslog(3)), of the daemons, as a notice.
fn log(line: &str) {
    let line = format!("<29>callgate-hook[{}]: {line}", process::id());
    // Without a log there is nobody to tell.
    let _ = UnixDatagram::unbound().and_then(|log| log.send_to(line.as_bytes(), "/dev/log"));
}
