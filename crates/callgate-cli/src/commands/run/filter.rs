//! The ordinary case: compile the profile, ask the filter about our own calls, start.

use std::ffi::OsString;

use callgate_bpf::{Action, ByteOrder, Layout, Program, SeccompData, ShiftRule};
use callgate_kernel::{Launch, has_sys_admin, no_new_privs};
use callgate_policy::{FilterFlag, Policy, Ruleset, Target};
use callgate_syscalls::Abi;

use super::{
    Args, FilterArgs,
    capabilities::{self, Capabilities},
    dry, outcome,
};
use crate::{
    commands::Failure,
    meaning::Origin,
    report,
    source::{Profile, Source, Stack, other_byte_order},
    target::{native, resolve, running_kernel},
};

/// A filter that is ready to be loaded, and what belongs to it.
pub struct Ready {
    pub program: Program,
    flags: Vec<FilterFlag>,
    pub origin: Origin,
    /// For what a profile was resolved.
    pub target: Target,
    pub capabilities: Capabilities,
}

pub fn run(args: Args) -> Result<u8, Failure> {
    let ready = prepare(&args.filter)?;
    if args.dry_run {
        return dry::run(&ready, &args);
    }
    let mut launch = ready.launch(&ready.program, &args.filter, &args.command);
    if args.log {
        launch = launch.log();
    }
    permit_start(&launch, &ready.program, args.filter.profile())?;
    outcome::start(launch)
}

/// Reads the profile and compiles it.
pub fn prepare(args: &FilterArgs) -> Result<Ready, Failure> {
    let source = Source::open(args.profile(), args.reading.dialect())?;
    let docker = matches!(&source, Source::Profile(p) if p.builtin.is_some_and(|b| b.name == "docker-default"));
    if args.keep_privileges {
        may_load_as_it_is()?;
    }
    let capabilities = capabilities::plan(args, docker)?;
    let target = Target {
        native: native()?,
        abis: None,
        capabilities: capabilities.command,
        kernel: running_kernel()?,
        newer: args.newer.newer(),
    };
    let (program, flags, origin) = match source {
        Source::Profile(profile) => from_profile(profile, args, &target)?,
        Source::Program { name, bytes } => from_program(&name, &bytes, args)?,
        Source::Stack(stack) => from_stack(stack, args)?,
    };
    if !args.cap_drop.is_empty() && !capabilities.plan.kept_bounding().is_empty() {
        report::note(kept_bounding(args));
    }
    if args.verbose {
        let caps = if capabilities.changed { "set to" } else { "left at" };
        report::note(format!("capabilities {caps}: {}", capabilities.command));
    }
    Ok(Ready { program, flags, origin, target, capabilities })
}

impl Ready {
    /// The command under a program: this one, or one that was made from it.
    pub fn launch(&self, program: &Program, args: &FilterArgs, command: &[OsString]) -> Launch {
        let plan = self.capabilities.plan.clone();
        let mut launch = Launch::new(command).filter(program).capabilities(plan);
        if self.flags.contains(&FilterFlag::Log) {
            launch = launch.log();
        }
        if self.flags.contains(&FilterFlag::SpecAllow) {
            launch = launch.spec_allow();
        }
        if args.keep_privileges {
            launch = launch.keep_privileges();
        }
        launch
    }
}

type Compiled = (Program, Vec<FilterFlag>, Origin);

/// The kernel's rule for who may load a filter, told before the kernel says EACCES.
fn may_load_as_it_is() -> Result<(), Failure> {
    // What cannot be asked, the kernel will judge.
    if has_sys_admin().unwrap_or(true) || no_new_privs().unwrap_or(true) {
        return Ok(());
    }
    Err(Failure::Message(
        "--keep-privileges takes CAP_SYS_ADMIN, which this process does not have: who has neither that nor no_new_privs may not load a filter (EACCES). Leave the option out, and no_new_privs is set".to_owned(),
    ))
}

fn kept_bounding(args: &FilterArgs) -> String {
    let consequence = if args.keep_privileges {
        "a setuid program that the command executes can still gain from it"
    } else {
        "with no_new_privs nothing that the command executes can gain from it"
    };
    format!("the bounding set stays as it is, since changing it takes CAP_SETPCAP; {consequence}")
}

fn from_profile(
    mut profile: Box<Profile>,
    args: &FilterArgs,
    target: &Target,
) -> Result<Compiled, Failure> {
    let ruleset = resolve(&mut profile, &args.reading, target);
    profile.print_diagnostics(args.verbose, "nothing was loaded");
    let (Some(ruleset), Some(policy)) = (ruleset, &profile.policy) else {
        return Err(Failure::Reported);
    };
    let compiled = callgate_compile::compile(&ruleset)
        .map_err(|error| format!("{}: {error}; nothing was loaded", profile.name))?;
    if !args.allow_unanswered {
        refuse_unanswered(policy, &ruleset, &profile.name)?;
    }
    if args.verbose {
        let abis: Vec<&str> = ruleset.abis.iter().map(|table| table.abi.name()).collect();
        report::note(format!(
            "{}: for {}, kernel {}, {}; {} instructions, proved",
            profile.name,
            abis.join(", "),
            target.kernel,
            match args.newer.newer() {
                callgate_policy::NewerCalls::Default => "newer calls get the default",
                callgate_policy::NewerCalls::Enosys => "newer calls get ENOSYS",
                callgate_policy::NewerCalls::LikeRunc => "newer calls as runc has them",
            },
            compiled.program().len(),
        ));
    }
    let flags = ruleset.flags.clone();
    Ok((compiled.into_program(), flags, Origin::Profile { profile, ruleset }))
}

fn from_program(name: &str, bytes: &[u8], args: &FilterArgs) -> Result<Compiled, Failure> {
    let order = ByteOrder::NATIVE;
    let program = Program::from_bytes(bytes, order, Layout::seccomp(order)).map_err(|error| {
        let hint = other_byte_order(bytes, order);
        format!("{name}: the kernel would refuse this program: {error}{hint}")
    })?;
    if args.verbose {
        report::note(format!("{name}: {} instructions", program.len()));
    }
    Ok((program.clone(), Vec::new(), Origin::Program(program)))
}

/// The filter of a running process, when it has one: several are no profile, and loading one of them
/// would not mean what holds that process.
fn from_stack(stack: Stack, args: &FilterArgs) -> Result<Compiled, Failure> {
    let Stack { name, programs, log } = stack;
    let count = programs.len();
    let Ok([program]) = <[Program; 1]>::try_from(programs) else {
        return Err(Failure::Message(match count {
            0 => format!(
                "{name}: there is nothing to load; --profile takes a process with one filter"
            ),
            _ => format!(
                "{name}: {count} filters hold it, and `run` loads one; `callgate convert {name} --to oci` writes one profile that means the same, `callgate dump` writes each"
            ),
        }));
    };
    if args.verbose {
        report::note(format!("{name}: {} instructions", program.len()));
    }
    let flags = log.then_some(FilterFlag::Log).into_iter().collect();
    Ok((program.clone(), flags, Origin::Program(program)))
}

/// Nobody listens and nobody traces: such calls would end in ENOSYS.
fn refuse_unanswered(policy: &Policy, ruleset: &Ruleset, name: &str) -> Result<(), Failure> {
    let unanswered = |action: Action| matches!(action, Action::UserNotif | Action::Trace(_));
    let rule = ruleset
        .abis
        .iter()
        .flat_map(|table| table.rules.values().flatten())
        .find(|rule| unanswered(rule.action));
    let (action, what) = match rule {
        Some(rule) => {
            let names: Vec<&str> =
                policy.entries[rule.entry].names.iter().map(|n| n.value.as_str()).collect();
            (rule.action, names.join(", "))
        }
        None if unanswered(policy.default.value) => (policy.default.value, "the default".into()),
        None => return Ok(()),
    };
    let (word, who) = match action {
        Action::UserNotif => ("SCMP_ACT_NOTIFY", "no supervisor listens"),
        _ => ("SCMP_ACT_TRACE", "no tracer is attached"),
    };
    Err(Failure::Message(format!(
        "{name}: {what}: {word}, but under `run` {who}, so the calls would fail with ENOSYS. Use another action, or --allow-unanswered to start all the same"
    )))
}

/// The filter must let us get from loading it to the command.
pub fn permit_start(launch: &Launch, program: &Program, name: &str) -> Result<(), Failure> {
    for data in launch.calls_after_load() {
        let action =
            program.run(&data.words(ByteOrder::NATIVE), ShiftRule::of_kernel(data.arch)).action();
        if !action.runs_call() {
            return Err(Failure::Message(format!(
                "{name}: the command could not be started: `{}` must be allowed, which comes between loading the filter and the command, and the filter answers {action}. {}",
                call_name(&data),
                advice(&data),
            )));
        }
    }
    Ok(())
}

fn call_name(data: &SeccompData) -> String {
    let name = Abi::native().and_then(|abi| abi.name_of(data.nr));
    name.map_or_else(|| data.nr.to_string(), str::to_owned)
}

fn advice(data: &SeccompData) -> &'static str {
    match call_name(data).as_str() {
        "capset" | "prctl" => "Allow it, or leave the capability sets alone with --cap-keep",
        "execve" => {
            "Allow it; a program that loads its filter itself, after its start, needs no execve (see the library)"
        }
        _ => "Allow it in the profile",
    }
}
