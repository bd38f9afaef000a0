//! `callgate record`: what a workload calls.

#[cfg(target_os = "linux")]
mod command;
mod file;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod output;
#[cfg(target_os = "linux")]
mod summary;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use callgate_record::Marker;
use callgate_syscalls::Abi;
use clap::{Args as ClapArgs, ValueEnum};

#[cfg(target_os = "linux")]
pub use self::command::{info, run_id};
pub use self::file::read;
use crate::{report, target::parse_abi};

const USAGE: &str = "\
callgate record [OPTIONS] -o <FILE> -- <COMMAND>...
       callgate record [OPTIONS] -o <FILE> --pid <N> | --cgroup <PATH> | --container <ID>
       callgate record [OPTIONS] -o <FILE> --from-strace <FILE> | --from-audit <FILE>";

const AFTER_HELP: &str = "\
A recording has, for each run, what every executable called: how often, with which of the arguments
that choose what a call does, with which errors, when, and in which phase. A file that is there
already gets another run. What was written stays, whatever becomes of the recorder.

eBPF counts every call in the kernel, and takes root. Notification takes no privilege: it asks about
calls that are not known yet, and lets them run; what earlier runs in the file and --on-top-of know
is not asked about, costs nothing, and is not counted. So a first run is slow and the next ones are
not. Where callgate may not keep them, setuid programs gain no privilege meanwhile, and a program
that wants a notification filter of its own gets EBUSY.

Exit status: the command's own, 128+N for signal N, 125 callgate failed, 126 not executable, 127 not
found. Of a process, a cgroup, a container or files 0, or 2 for an error.

Examples:
  callgate record -o web.rec -- nginx -g 'daemon off;'
  callgate record -o web.rec --warm-up -- ./test-suite
  callgate record -o web.rec --marker serving=listen -- nginx -g 'daemon off;'
  callgate record -o more.rec --on-top-of docker-default -- ./server
  callgate record -o web.rec --pid 4711 --for 600
  callgate record -o web.rec --container web
  callgate record -o web.rec --from-strace trace.txt
  callgate record -o web.rec --from-audit /var/log/audit/audit.log";

/// Record what a command calls, or read it from what other tools wrote
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP, override_usage = USAGE)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true)
    .args(["command", "pid", "cgroup", "container", "from_strace", "from_audit"])))]
pub struct Args {
    /// The recording; further runs are added to it
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// How to watch the command
    #[arg(long, value_enum, default_value = "auto")]
    method: MethodName,

    /// Take as known what this profile allows or this recording has; may be repeated
    #[arg(long, value_name = "SOURCE")]
    on_top_of: Vec<String>,

    /// Run the command twice: once to learn, once to record at full speed
    #[arg(long)]
    warm_up: bool,

    /// Ask about a known call too when its arguments are new
    #[arg(long)]
    args: bool,

    /// Record this process, what it has started and will start, until it ends or Ctrl-C; eBPF
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(i32).range(1..),
        conflicts_with_all = ["command", "cgroup", "from_strace", "from_audit", "on_top_of",
            "warm_up", "args", "start_up"]
    )]
    pid: Option<i32>,

    /// Record the processes of this cgroup, a folder of the version 2 tree, until there are none
    /// or Ctrl-C; eBPF
    #[arg(
        long,
        value_name = "PATH",
        conflicts_with_all = ["command", "from_strace", "from_audit", "on_top_of", "warm_up",
            "args", "start_up"]
    )]
    cgroup: Option<PathBuf>,

    /// Record a running container of runc, crun, Podman, Docker, containerd or CRI-O until it
    /// ends or Ctrl-C: its id, the beginning of one, a name that Podman or Docker gave it, or its
    /// folder below the --root of runc or crun; eBPF
    #[arg(
        long,
        value_name = "ID",
        conflicts_with_all = ["command", "pid", "cgroup", "from_strace", "from_audit", "on_top_of",
            "warm_up", "args", "start_up"]
    )]
    container: Option<String>,

    /// Stop recording a process, cgroup or container after this time
    #[arg(long = "for", value_name = "SECONDS", conflicts_with_all = ["command", "from_strace", "from_audit"])]
    time: Option<u32>,

    /// How long the command starts; calls after it belong to the running phase
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    start_up: u32,

    /// A call that begins a phase of its own, behind it, the first time that it is made; may be
    /// repeated. `callgate profile --phase after:NAME` takes what came from then on; without NAME it
    /// is that of the call
    #[arg(
        long,
        value_name = "[NAME=]CALL",
        conflicts_with_all = ["from_strace", "from_audit"]
    )]
    marker: Vec<Marker>,

    /// Read what `strace` or `strace -f` wrote; may be repeated
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["command", "method", "on_top_of", "warm_up", "args", "start_up"]
    )]
    from_strace: Vec<String>,

    /// Read the seccomp records of an audit.log, dmesg or journal; may be repeated
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["command", "method", "on_top_of", "warm_up", "args", "start_up"]
    )]
    from_audit: Vec<String>,

    /// The machine that strace ran on [default: this one]
    #[arg(long, value_name = "ARCH", value_parser = parse_abi, requires = "from_strace")]
    arch: Option<Abi>,

    /// The command and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MethodName {
    /// The cheapest that this machine and user can do
    Auto,
    /// eBPF on raw tracepoints; takes root
    Ebpf,
    /// User notification of what is not known yet; takes no privilege
    Notify,
}

#[cfg(not(target_os = "linux"))]
pub fn main(_: Args) -> ExitCode {
    report::error("record needs a Linux kernel");
    ExitCode::from(2)
}

#[cfg(target_os = "linux")]
pub fn main(args: Args) -> ExitCode {
    use super::{Failure, run::OWN_ERROR};

    let running = args.pid.is_some() || args.cgroup.is_some() || args.container.is_some();
    let (result, own_error) = if running {
        (command::attach(&args).map(|()| 0), 2)
    } else if args.command.is_empty() {
        (files::record(&args).map(|()| 0), 2)
    } else {
        (command::record(&args), OWN_ERROR)
    };
    ExitCode::from(result.unwrap_or_else(|failure| {
        if let Failure::Message(message) = failure {
            report::error(message);
        }
        own_error
    }))
}

/// Milliseconds for people.
pub fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0..1000 => format!("{milliseconds} ms"),
        1000..600_000 => format!("{} s", milliseconds / 1000),
        _ => format!("{} min", milliseconds / 60_000),
    }
}
