//! A command, watched from its first call to its last.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, IsTerminal, Write, stderr},
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use callgate_kernel::EndRequest;
use callgate_policy::{NewerCalls, Ruleset, Target};
use callgate_record::{
    Known, Recorder, Recording, RunId, RunInfo,
    container::{self, Container},
    ebpf::{self, Attach, CountError, Moment, Running},
    method::{self, Method},
    notify::{self, Watch},
};
use callgate_syscalls::{Abi, CapabilitySet};

use super::{
    Args, MethodName,
    output::{self, Output},
    summary,
};
use crate::{
    commands::{Failure, run::OWN_ERROR},
    report,
    source::{Source, plural},
    target::{ReadingArgs, native, resolve, running_kernel},
};

pub fn record(args: &Args) -> Result<u8, Failure> {
    if callgate_kernel::is_secure_exec() {
        return Err(Failure::Message(
            "callgate was started setuid, setgid or with file capabilities; it does not lend its rights to a command. Remove the bit or the capabilities from the file".to_owned(),
        ));
    }
    let incremental = args.warm_up || args.args || !args.on_top_of.is_empty();
    let against = "--on-top-of, --warm-up and --args are for user notification";
    let known = on_top_of(&args.on_top_of, native()?)?;
    let mut output = Output::open(&args.output)?;
    let why = match args.method {
        MethodName::Notify => None,
        MethodName::Ebpf if incremental => {
            output.discard();
            return Err(Failure::Message(format!("--method ebpf: {against}")));
        }
        MethodName::Auto if incremental => Some(against.to_owned()),
        MethodName::Auto | MethodName::Ebpf => match counted(args, &mut output)? {
            Counting::Done(status) => return Ok(status),
            Counting::NotStarted(error) => {
                if args.method == MethodName::Ebpf || !error.is_unavailable() {
                    output.discard();
                    let other =
                        if error.is_unavailable() { "; --method notify does without" } else { "" };
                    report::error(format_args!("{error}{other}"));
                    return Ok(error.status());
                }
                Some(error.to_string())
            }
        },
    };
    method::notify_works().map_err(|why| format!("user notification: {why}"))?;
    if let Some(why) = why {
        report::note(format!("recording by user notification (no eBPF: {why})"));
    }
    notified(args, known, output)
}

/// What came of recording by eBPF.
enum Counting {
    /// The command ran; the status to exit with.
    Done(u8),
    /// It did not.
    NotStarted(CountError),
}

/// Records what runs already.
pub fn attach(args: &Args) -> Result<(), Failure> {
    if args.method == MethodName::Notify {
        return Err(Failure::Message(
            "a filter cannot be put on a process from outside; --pid, --cgroup and --container take --method ebpf"
                .to_owned(),
        ));
    }
    let container = args.container.as_deref().map(container::find).transpose();
    let container = container.map_err(|error| error.to_string())?;
    let (running, name) = match (&args.pid, &args.cgroup, &container) {
        (Some(pid), ..) => (Running::Process(*pid), format!("pid:{pid}")),
        (_, Some(path), _) => (Running::Cgroup(path), path.to_string_lossy().into_owned()),
        (.., Some(container)) => (container.running(), format!("container:{}", container.id)),
        (None, None, None) => {
            return Err(Failure::Message("nothing is named to record".to_owned()));
        }
    };
    if let Some(container) = &container {
        tell_of(container, &name);
    }
    let mut output = Output::open(&args.output)?;
    let mut recorder = Recorder::new(run_id(), info(vec![name.clone()], Method::Ebpf, native()?));
    let mut live = Live::new(Method::Ebpf);
    let mut attach = Attach::new(running).markers(&args.marker);
    if let Some(seconds) = args.time {
        attach = attach.at_most(Duration::from_secs(u64::from(seconds)));
    }
    // Until the summary is printed: a signal that comes late ends nothing that is done anyway.
    let mut end = EndRequest::watch().map_err(|errno| format!("signals: {errno}"))?;
    let attached = ebpf::attach(attach, &mut end, &mut recorder, &mut output, |r| live.show(r));
    live.end();
    let unwritten = match attached {
        Ok(unwritten) => unwritten,
        Err(error) => {
            output.discard();
            return Err(Failure::Message(format!("{name}: {error}")));
        }
    };
    let (id, run) = recorder.finish();
    summary::print(&args.output, &output.before, id, &run);
    if container.is_some_and(|container| !container.is_waiting) {
        report::note(
            "the container ran already, so its start is missing here; a recording has it that begins between `create` (of Podman `init`) and `start`",
        );
    }
    match written(args, unwritten) {
        Some(_) => Err(Failure::Reported),
        None => Ok(()),
    }
}

/// Says which container it is, and by what it is followed.
fn tell_of(container: &Container, name: &str) {
    let name = report::printable_name(name);
    report::note(match &container.cgroup {
        Ok(path) => {
            format!("{name}: recording {}", report::printable_name(&path.to_string_lossy()))
        }
        Err(why) => format!(
            "{name}: recording process {} and what it has started and starts, but not what is sent in from outside, as by `exec`: {why}",
            container.init
        ),
    });
}

/// The kernel counts.
fn counted(args: &Args, output: &mut Output) -> Result<Counting, Failure> {
    let mut recorder = Recorder::new(run_id(), info(command_of(args), Method::Ebpf, native()?));
    let mut live = Live::new(Method::Ebpf);
    let tell = |moment| match moment {
        Moment::Begun if args.method == MethodName::Auto => {
            report::note("recording by eBPF: it costs least, and this machine and user can");
        }
        Moment::Begun => {}
        Moment::Waiting => tell_of_left(),
    };
    let counted = ebpf::record(&watch(args), &mut recorder, output, |r| live.show(r), tell);
    live.end();
    let counted = match counted {
        Ok(counted) => counted,
        Err(error) => return Ok(Counting::NotStarted(error)),
    };
    let (id, run) = recorder.finish();
    summary::print(&args.output, &output.before, id, &run);
    let own = written(args, counted.unwritten);
    Ok(Counting::Done(own.unwrap_or(counted.finished.outcome.status())))
}

fn tell_of_left() {
    report::note(
        "the command has ended, and has left others running, which are recorded to their end; Ctrl-C ends the recording",
    );
}

/// A filter asks about what is not known.
fn notified(
    args: &Args,
    (mut known, profile): (Recording, Option<Ruleset>),
    mut output: Output,
) -> Result<u8, Failure> {
    let native = native()?;
    known.merge(&output.before);
    let mut before = output.before.clone();
    let runs = if args.warm_up { 2 } else { 1 };
    let mut status = 0;
    for round in 0..runs {
        let mut filter = Known::new(native, &known, profile.as_ref(), args.args);
        filter.ask_about(&args.marker);
        let compiled = callgate_compile::compile(&filter.ruleset).map_err(|e| e.to_string())?;
        let mut recorder = Recorder::new(run_id(), info(command_of(args), Method::Notify, native));
        recorder.leave_unwatched(filter.unwatched.iter().copied());
        let mut live = Live::new(Method::Notify);
        let seen = |r: &Recorder| live.show(r);
        let (watch, filter) = (watch(args), (&filter, compiled.program()));
        let watched =
            notify::record(&watch, filter, &mut recorder, &mut output, seen, tell_of_left);
        live.end();
        let watched = match watched {
            Ok(watched) => watched,
            Err(error) => {
                report::error(&error);
                output.discard();
                return Ok(error.status());
            }
        };
        output.keep();
        let (id, run) = recorder.finish();
        summary::print(&args.output, &before, id, &run);
        let whole = Recording::of_run(id, run);
        before.merge(&whole);
        known.merge(&whole);
        status = watched.finished.outcome.status();
        if let Some(own_error) = written(args, watched.unwritten) {
            return Ok(own_error);
        }
        if round + 1 < runs && status != 0 {
            report::note(format!(
                "the command ended with {status} while it was learnt; it is not run again"
            ));
            break;
        }
    }
    Ok(status)
}

fn watch(args: &Args) -> Watch<'_> {
    Watch {
        command: &args.command,
        start_up: Duration::from_secs(u64::from(args.start_up)),
        markers: &args.marker,
    }
}

/// The status where the recording could not be written.
fn written(args: &Args, error: Option<io::Error>) -> Option<u8> {
    let error = error?;
    report::error(format!(
        "{}: {error}; the recording lacks what came after the last write that worked",
        args.output.display()
    ));
    Some(OWN_ERROR)
}

/// What recordings and at most one profile know.
fn on_top_of(sources: &[String], native: Abi) -> Result<(Recording, Option<Ruleset>), Failure> {
    let mut known = Recording::default();
    let mut profile = None;
    for source in sources {
        if output::is_recording(Path::new(source)) {
            known.merge(&super::read(Path::new(source))?);
            continue;
        }
        if profile.is_some() {
            return Err(Failure::Message(format!(
                "{source}: --on-top-of takes recordings, and one profile; `callgate merge` makes one of several"
            )));
        }
        let reading = ReadingArgs::default();
        let mut read = Source::open_profile(source, None)?;
        let target = Target {
            native,
            abis: None,
            capabilities: CapabilitySet::DOCKER_DEFAULT,
            kernel: running_kernel()?,
            newer: NewerCalls::Enosys,
        };
        let ruleset = resolve(&mut read, &reading, &target);
        read.print_diagnostics(false, "nothing was recorded");
        profile = Some(ruleset.ok_or(Failure::Reported)?);
    }
    Ok((known, profile))
}

/// The command line, as a recording keeps it.
fn command_of(args: &Args) -> Vec<String> {
    /// Longer command lines are cut.
    const ARGUMENTS: usize = 64;
    const LENGTH: usize = 4096;
    let text = |argument: &std::ffi::OsString| -> String {
        argument.to_string_lossy().chars().take(LENGTH).collect()
    };
    args.command.iter().take(ARGUMENTS).map(text).collect()
}

/// A run that begins now on this machine.
pub fn info(command: Vec<String>, method: Method, native: Abi) -> RunInfo {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    RunInfo {
        command,
        method: method.name().to_owned(),
        kernel: callgate_kernel::release(),
        machine: Some(native),
        start: u64::try_from(now.as_millis()).ok(),
    }
}

/// Different for every run: the standard library's hasher has 128 random bits.
pub fn run_id() -> RunId {
    let mut hasher = RandomState::new().build_hasher();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    hasher.write_u128(now.as_nanos());
    hasher.write_u32(std::process::id());
    RunId::new(hasher.finish())
}

/// A line on the terminal while the command runs; nothing elsewhere.
struct Live {
    method: Method,
    terminal: bool,
    shown: Option<Instant>,
}

impl Live {
    fn new(method: Method) -> Live {
        Live { method, terminal: stderr().is_terminal(), shown: None }
    }

    fn show(&mut self, recorder: &Recorder) {
        const EVERY: Duration = Duration::from_millis(200);
        if !self.terminal || self.shown.is_some_and(|shown| shown.elapsed() < EVERY) {
            return;
        }
        self.shown = Some(Instant::now());
        let run = recorder.run();
        let line = format!(
            "recording by {}, {}, {} looked at",
            self.method,
            plural(run.calls().len(), "syscall"),
            plural(usize::try_from(run.count()).unwrap_or(usize::MAX), "call"),
        );
        // Standard error going away leaves nobody to tell.
        let _ = write!(stderr().lock(), "\r\x1b[K{line}");
    }

    fn end(&self) {
        if self.shown.is_some() {
            let _ = write!(stderr().lock(), "\r\x1b[K");
        }
    }
}
