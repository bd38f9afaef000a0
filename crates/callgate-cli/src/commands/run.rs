//! `callgate run`: a command under a filter.

#[cfg(target_os = "linux")]
mod capabilities;
#[cfg(target_os = "linux")]
mod filter;
#[cfg(target_os = "linux")]
mod outcome;
#[cfg(target_os = "linux")]
mod strict;

use std::{ffi::OsString, process::ExitCode};

use callgate_syscalls::CapabilitySet;
use clap::Args as ClapArgs;

use crate::{
    report,
    target::{NewerArgs, ReadingArgs, parse_caps},
};

const AFTER_HELP: &str = "\
The kernel's rule: a filter can be loaded by who has no_new_privs or CAP_SYS_ADMIN. `run` sets
no_new_privs, after which nothing that the command executes can gain privilege: setuid bits and
file capabilities have no effect. Only with --keep-privileges, and CAP_SYS_ADMIN, it is left alone.

Order: bounding set, no_new_privs, filter, the other capability sets, exec. What comes after the
filter runs under it; a profile that refuses these calls is found before the start (status 125).

Capabilities: with the built-in docker-default, root's command keeps Docker's 14 capabilities,
unless --cap-keep is given. With another profile the sets stay as they are, unless an option
changes them. A user without capabilities has none to give; the bounding set then stays as it is.

Exit status: the command's own, 128+N for signal N, 125 callgate failed, 126 not executable,
127 not found.

Examples:
  callgate run -- sh -c 'unshare -U true || echo refused'
  callgate run --profile web.json -v -- nginx -g 'daemon off;'
  callgate run --cap-drop ALL --cap-add NET_BIND_SERVICE -- ./server
  callgate run --strict -- ./filter < input > output";

/// Run a command under a filter
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The profile to enforce
    #[arg(long, value_name = "SOURCE", default_value = "docker-default")]
    profile: String,

    #[command(flatten)]
    reading: ReadingArgs,

    #[command(flatten)]
    newer: NewerArgs,

    /// Take this capability from the command, or ALL; may be repeated
    #[arg(long, value_name = "NAME", value_parser = parse_caps, conflicts_with = "cap_keep")]
    cap_drop: Vec<CapabilitySet>,

    /// Give the command this capability, or ALL that can be given; after every --cap-drop
    #[arg(long, value_name = "NAME", value_parser = parse_caps, conflicts_with = "cap_keep")]
    cap_add: Vec<CapabilitySet>,

    /// Leave the capability sets as they are
    #[arg(long)]
    cap_keep: bool,

    /// Do not set no_new_privs; takes CAP_SYS_ADMIN
    #[arg(long)]
    keep_privileges: bool,

    /// Start although nobody would answer SCMP_ACT_NOTIFY or SCMP_ACT_TRACE, so that those calls
    /// end in ENOSYS
    #[arg(long)]
    allow_unanswered: bool,

    /// Log what the filter refuses to the audit log (SECCOMP_FILTER_FLAG_LOG)
    #[arg(long)]
    log: bool,

    /// Strict mode instead of a filter: from `main` on only read, write, exit and sigreturn
    #[arg(long, conflicts_with_all = [
        "profile", "dialect", "pedantic", "no_enosys", "like", "cap_drop", "cap_add", "cap_keep",
        "keep_privileges", "allow_unanswered", "log",
    ])]
    strict: bool,

    /// Enter strict mode at this symbol instead of `main`
    #[arg(long, value_name = "SYMBOL", requires = "strict")]
    strict_at: Option<String>,

    /// Turn the kill at the end, for calling exit_group, into the status that the program meant
    #[arg(long, requires = "strict")]
    strict_exit: bool,

    /// Say what is done: the resolved target, the program, the notes on the profile
    #[arg(short, long)]
    verbose: bool,

    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// The status for callgate's own errors.
pub const OWN_ERROR: u8 = 125;

#[cfg(not(target_os = "linux"))]
pub fn main(_: Args) -> ExitCode {
    report::error(
        "run needs a Linux kernel; on this system compile, check, disasm, syscall and caps work",
    );
    ExitCode::from(OWN_ERROR)
}

#[cfg(target_os = "linux")]
pub fn main(args: Args) -> ExitCode {
    if callgate_kernel::is_secure_exec() {
        report::error(
            "callgate was started setuid, setgid or with file capabilities; it does not lend its rights to a command. Remove the bit or the capabilities from the file",
        );
        return ExitCode::from(OWN_ERROR);
    }
    let status = if args.strict { strict::run(args) } else { filter::run(args) };
    match status {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            if let super::Failure::Message(message) = failure {
                report::error(message);
            }
            ExitCode::from(OWN_ERROR)
        }
    }
}
