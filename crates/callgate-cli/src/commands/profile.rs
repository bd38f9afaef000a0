//! `callgate profile`: from recordings to a profile.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use callgate_bpf::Action;
use callgate_policy::{AbiRules, NewerCalls, Target};
use callgate_record::{
    Call, Phase, Recording,
    profile::{
        self, Options, Profile,
        base::{Base, Runtime},
        stability::Stability,
    },
};
use callgate_syscalls::{Abi, CapabilitySet, KernelVersion, errno};
use clap::{Args as ClapArgs, ValueEnum};

use super::{
    Answer, Failure,
    convert::{self, To, Wanted},
    record,
};
use crate::{
    formats::{self, Format},
    output, report,
    source::plural,
    target::{native, parse_abi},
};

mod stability;

const AFTER_HELP: &str = "\
The profile permits what was seen in any run, and what is written is read back and proved to. Each
entry says where it comes from; what was not recorded stands in entries of its own that say so:
what the container runtime needs once the filter holds it (--runtime none leaves it out), what takes
the place of a recorded call on other architectures or with other C libraries, and what comes with
it by chance, as with a signal (--no-siblings leaves both out). Calls newer than all that were
recorded get ENOSYS, so that programs fall back.

With no_new_privs in the container its runtime needs far less: --no-new-privileges. So it does, with
crun, where nobody uses `exec`: --no-exec.

Exit status: 0 the profile was written, 2 error.

Examples:
  callgate profile web.rec -o web.json
  callgate profile run1.rec run2.rec --args --runtime crun --no-new-privileges --no-exec
  callgate profile web.rec --phase after:serving --runtime none -o serving.json
  callgate profile web.rec --default kill --to docker -o web.json";

/// Make a profile of recordings
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Recordings; what any has is permitted
    #[arg(required = true, value_name = "RECORDING")]
    recordings: Vec<PathBuf>,

    /// Only what was called in this phase: `start-up`, `running`, or `after:NAME` from a marker on;
    /// may be repeated
    #[arg(long, value_name = "PHASE", value_parser = parse_phase)]
    phase: Vec<Phase>,

    /// Write to this file, which appears whole or not at all [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// The format to write
    #[arg(long, value_name = "FORMAT", default_value = "oci", value_parser = parse_format)]
    to: &'static Format,

    /// Permit arguments that choose what a call does only as they were seen, where that is bounded
    #[arg(long)]
    args: bool,

    /// What becomes of every other call: an error's name, `kill`, `kill-thread`, `trap` or `log`
    #[arg(long, value_name = "ACTION", default_value = "EPERM", value_parser = parse_default)]
    default: Action,

    /// Add what this runtime needs after loading the filter
    #[arg(long, value_enum, default_value = "any")]
    runtime: RuntimeName,

    /// The container has no_new_privs, so that its runtime needs less
    #[arg(long)]
    no_new_privileges: bool,

    /// No further command is started in the container (`podman exec`, health checks), so that its
    /// runtime needs less
    #[arg(long)]
    no_exec: bool,

    /// Leave out what takes the place of recorded calls elsewhere, and what comes with them by
    /// chance
    #[arg(long)]
    no_siblings: bool,

    /// Make the profile for this architecture too; may be repeated
    #[arg(long, value_name = "ARCH", value_parser = parse_abi)]
    arch: Vec<Abi>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RuntimeName {
    /// Whichever it will be
    Any,
    /// Docker, containerd, Kubernetes
    Runc,
    /// Podman, CRI-O
    Crun,
    /// Podman, with crun or runc
    Podman,
    /// None: the profile is not for a container
    None,
}

pub fn main(args: Args) -> Result<Answer, Failure> {
    let text = make(&args)?;
    match &args.output {
        Some(path) => output::write_file(path, text.as_bytes())?,
        None => output::print(&text)?,
    }
    Ok(Answer::Yes)
}

/// The profile of these recordings for a container runtime, as it is made without any option; for
/// these architectures too.
pub fn of_recordings(recordings: &[PathBuf], arch: &[Abi]) -> Result<String, Failure> {
    make(&Args {
        recordings: recordings.to_vec(),
        phase: Vec::new(),
        output: None,
        to: parse_format("oci")?,
        args: false,
        default: parse_default("EPERM")?,
        runtime: RuntimeName::Any,
        no_new_privileges: false,
        no_exec: false,
        no_siblings: false,
        arch: arch.to_vec(),
    })
}

/// The text, and on standard error what it was made of.
fn make(args: &Args) -> Result<String, Failure> {
    let mut recording = Recording::default();
    for path in &args.recordings {
        recording.merge(&record::read(path)?);
    }
    if !args.phase.is_empty() {
        recording = of_phases(recording, &args.phase)?;
    }
    let runtime = match args.runtime {
        RuntimeName::Any => Some(Runtime::Any),
        RuntimeName::Runc => Some(Runtime::Runc),
        RuntimeName::Crun => Some(Runtime::Crun),
        RuntimeName::Podman => Some(Runtime::Podman),
        RuntimeName::None => None,
    };
    let machine = recording.runs.values().find_map(|run| run.info.machine);
    let mut options = Options::new(match machine {
        Some(abi) => abi,
        None => native()?,
    });
    options.default = args.default;
    options.arguments = args.args;
    options.siblings = !args.no_siblings;
    options.abis = args.arch.clone();
    let base =
        |runtime| Base { runtime, no_new_privs: args.no_new_privileges, exec: !args.no_exec };
    options.base = runtime.map(base);
    options.dialect = args.to.dialect;
    let profile = profile::generate(&recording, &options).map_err(|e| e.to_string())?;
    let text = write(args, &recording, &profile)?;
    tell(args, &recording, &profile);
    Ok(text)
}

/// What a recording has of these phases. A run that never was in one says nothing about it.
fn of_phases(mut recording: Recording, phases: &[Phase]) -> Result<Recording, Failure> {
    let all: BTreeSet<Phase> = recording.facts().map(|(_, key, _)| key.phase.clone()).collect();
    if let Some(phase) = phases.iter().find(|phase| !all.contains(phase)) {
        let all: Vec<String> = all.iter().map(Phase::to_string).collect();
        return Err(Failure::Message(format!(
            "no run was in the phase `{}`; the recorded ones: {}",
            phase.to_string().escape_debug(),
            report::printable_name(&all.join(", "))
        )));
    }
    for run in recording.runs.values_mut() {
        run.facts.retain(|key, _| phases.contains(&key.phase));
    }
    recording.runs.retain(|_, run| !run.facts.is_empty());
    let seen = recording.calls();
    let passed = |call: &Call| recording.runs.values().all(|run| run.unwatched.contains(call));
    let unwatched: BTreeSet<Call> =
        recording.runs.values().flat_map(|run| &run.unwatched).copied().collect();
    let unknown: Vec<Call> =
        unwatched.into_iter().filter(|call| !seen.contains(call) && passed(call)).collect();
    if !unknown.is_empty() {
        report::warning(format!(
            "{} may be missing, which every run of this phase let pass without looking, since earlier recordings knew them: {}; record once into a new file",
            plural(unknown.len(), "call"),
            stability::names(unknown.into_iter())
        ));
    }
    Ok(recording)
}

/// The text, proved; where the format has no words for the profile as it is, its meaning in
/// the format's own words.
fn write(args: &Args, recording: &Recording, profile: &Profile) -> Result<String, Failure> {
    let format = args.to;
    let as_it_is = (format.write)(&profile.policy)
        .map_err(|errors| errors.iter().map(|e| e.message.clone()).collect::<Vec<_>>().join("; "))
        .and_then(|text| {
            if format.read.is_none() {
                report::note(format!("{} is only written, so it is not proved", format.name));
                return Ok(text);
            }
            profile::check(recording, profile, format, &text).map_err(|e| e.to_string())?;
            Ok(text)
        });
    match as_it_is {
        Ok(text) => Ok(text),
        Err(why) if profile.policy.dialect.is_some() => {
            Err(Failure::Message(format!("nothing was written: {why}")))
        }
        Err(why) => in_other_words(profile, format).map_err(|_| {
            // Where nothing was narrowed, the only conditions are those on calls that were not
            // recorded.
            let hint = if profile.siblings.is_empty() || !profile.narrowed.is_empty() {
                ""
            } else {
                "; --no-siblings leaves out what was not recorded, such as `clone` without namespaces"
            };
            Failure::Message(format!("nothing was written: {why}{hint}"))
        }),
    }
}

fn in_other_words(profile: &Profile, format: &Format) -> Result<String, Failure> {
    let first = profile.abis.first().copied();
    let native = first.ok_or_else(|| "the profile is for no architecture".to_owned())?;
    let target = Target {
        native,
        abis: Some(profile.abis.clone()),
        capabilities: CapabilitySet::EMPTY,
        kernel: KernelVersion::new(0, 0),
        newer: NewerCalls::Default,
    };
    let ruleset = profile.policy.resolve(&target).ruleset;
    let mut ruleset = ruleset.ok_or_else(|| "the profile has no rules".to_owned())?;
    // Kafel's and libseccomp's filters for x86_64 give x32's calls their default.
    if let Some(wide) = ruleset.abis.iter().find(|table| table.abi == Abi::X86_64)
        && ruleset.abis.iter().all(|table| table.abi != Abi::X32)
    {
        let table = AbiRules { abi: Abi::X32, rules: BTreeMap::new(), ..wide.clone() };
        ruleset.abis.push(table);
    }
    let context = crate::meaning::Context::of_target(target);
    let mut manager = context.manager();
    let unknown = |error: callgate_verdict::TooComplex| format!("its meaning is unknown: {error}");
    let raw = manager.ruleset(&ruleset).map_err(unknown)?;
    let meaning = manager.act(raw).map_err(unknown)?;
    let wanted = Wanted::made("the recording", meaning, Vec::new());
    let to = To::parse(format.name)?;
    let bytes = convert::write(&context, &mut manager, &wanted, to, None)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What was made of what, on standard error.
fn tell(args: &Args, recording: &Recording, profile: &Profile) {
    let name = match &args.output {
        Some(path) => report::printable_name(&path.to_string_lossy()),
        None => "profile".to_owned(),
    };
    let mut text = format!("{name}: {} recorded", profile.recorded.len());
    if !profile.base.is_empty() {
        let who = match args.runtime {
            RuntimeName::Runc => "runc needs",
            RuntimeName::Crun => "crun needs",
            RuntimeName::Podman => "Podman's runtime needs",
            RuntimeName::Any | RuntimeName::None => "runc or crun needs",
        };
        text.push_str(&format!(" + {} that {who} after loading", profile.base.len()));
    }
    if !profile.siblings.is_empty() {
        text.push_str(&format!(" + {} for other machines and libraries", profile.siblings.len()));
    }
    if !profile.companions.is_empty() {
        text.push_str(&format!(" + {} that come by chance", profile.companions.len()));
    }
    crate::report::say_line(&text);
    let list = |names: &BTreeSet<&str>| names.iter().copied().collect::<Vec<_>>().join(", ");
    if args.args {
        crate::report::say_line(format_args!(
            "narrowed by arguments: {}",
            if profile.narrowed.is_empty() { "none".into() } else { list(&profile.narrowed) }
        ));
    }
    if !profile.unwatched.is_empty() {
        report::note(format!(
            "not narrowed, since a run let them pass without looking: {}; record with --args to look",
            list(&profile.unwatched)
        ));
    }
    if !profile.refused.is_empty() {
        report::note(format!(
            "permitted, though a filter refused them whenever they were called: {}",
            list(&profile.refused)
        ));
    }
    for call in &profile.nameless {
        report::warning(format!(
            "{} {} was called, and no system call has that number",
            call.abi, call.number
        ));
    }
    if !args.no_new_privileges
        && let Some(fewer) = saved(args, profile)
    {
        report::note(format!(
            "with no_new_privs in the container, {} fewer: --no-new-privileges",
            plural(fewer, "call")
        ));
    }
    stability::print(&Stability::of(recording));
}

/// How many calls the runtime would need less.
fn saved(args: &Args, profile: &Profile) -> Option<usize> {
    let runtime = match args.runtime {
        RuntimeName::Any => Runtime::Any,
        RuntimeName::Runc => Runtime::Runc,
        RuntimeName::Crun => Runtime::Crun,
        RuntimeName::Podman => Runtime::Podman,
        RuntimeName::None => return None,
    };
    let with = Base { runtime, no_new_privs: true, exec: !args.no_exec }.names();
    let fewer = profile.base.difference(&with).count();
    (fewer > 0).then_some(fewer)
}

fn parse_format(name: &str) -> Result<&'static Format, String> {
    formats::named(name).ok_or_else(|| {
        let known: Vec<&str> = formats::all().map(|format| format.name).collect();
        format!("not a format; known: {}", known.join(", "))
    })
}

fn parse_phase(word: &str) -> Result<Phase, String> {
    word.parse().map_err(|()| "not a phase; known: start-up, running, after:NAME".to_owned())
}

fn parse_default(word: &str) -> Result<Action, String> {
    Ok(match word {
        "kill" => Action::KillProcess,
        "kill-thread" => Action::KillThread,
        "trap" => Action::Trap(0),
        "log" => Action::Log,
        name => Action::Errno(errno::number(name).ok_or_else(|| {
            "not an action; known: kill, kill-thread, trap, log, and names of errors such as EPERM".to_owned()
        })?),
    })
}
