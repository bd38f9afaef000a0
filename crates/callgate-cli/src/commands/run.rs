//! `callgate run`: a command under a filter.

#[cfg(target_os = "linux")]
mod capabilities;
#[cfg(target_os = "linux")]
mod counted;
#[cfg(target_os = "linux")]
mod dry;
#[cfg(target_os = "linux")]
pub mod filter;
mod options;
#[cfg(target_os = "linux")]
mod outcome;
#[cfg(target_os = "linux")]
mod strict;

use std::{ffi::OsString, process::ExitCode};

use clap::Args as ClapArgs;

pub use self::options::FilterArgs;
use crate::report;

const AFTER_HELP: &str = "\
The kernel's rule: a filter can be loaded by who has no_new_privs or CAP_SYS_ADMIN. `run` sets
no_new_privs, after which nothing that the command executes can gain privilege: setuid bits and
file capabilities have no effect. Only with --keep-privileges, and CAP_SYS_ADMIN, it is left alone.

Order: bounding set, no_new_privs, filter, the other capability sets, exec. What comes after the
filter runs under it; a profile that refuses these calls is found before the start (status 125).

Capabilities: with the built-in docker-default, root's command keeps Docker's 14 capabilities,
unless --cap-keep is given. With another profile the sets stay as they are, unless an option
changes them. A user without capabilities has none to give; the bounding set then stays as it is.

--dry-run loads the filter with a supervisor: what would be refused is asked about, listed and
allowed; all else runs at full speed. Should callgate be killed meanwhile, the calls in question
fail with ENOSYS: the kernel's rule.

Exit status: the command's own, 128+N for signal N, 125 callgate failed, 126 not executable,
127 not found.

Examples:
  callgate run -- sh -c 'unshare -U true || echo refused'
  callgate run --profile web.json -v -- nginx -g 'daemon off;'
  callgate run --profile web.json --dry-run -- nginx -g 'daemon off;'
  callgate run --cap-drop ALL --cap-add NET_BIND_SERVICE -- ./server
  callgate run --strict -- ./filter < input > output";

/// Run a command under a filter
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    filter: FilterArgs,

    /// Refuse nothing, and list on standard error what would have been refused
    #[arg(long, conflicts_with = "strict")]
    dry_run: bool,

    /// Log what the filter refuses to the audit log (SECCOMP_FILTER_FLAG_LOG)
    #[arg(long, conflicts_with = "dry_run")]
    log: bool,

    /// Strict mode instead of a filter: from `main` on only read, write, exit and sigreturn
    #[arg(long, conflicts_with_all = [
        "profile", "dialect", "pedantic", "typed_args", "no_enosys", "like", "cap_drop", "cap_add", "cap_keep",
        "keep_privileges", "allow_unanswered", "log", "dry_run",
    ])]
    strict: bool,

    /// Enter strict mode at this symbol instead of `main`
    #[arg(long, value_name = "SYMBOL", requires = "strict")]
    strict_at: Option<String>,

    /// Turn the kill at the end, for calling exit_group, into the status that the program meant
    #[arg(long, requires = "strict")]
    strict_exit: bool,

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
    pass_on(|| if args.strict { strict::run(args) } else { filter::run(args) })
}

/// The status to exit with: the command's, or that of callgate's own errors.
#[cfg(target_os = "linux")]
pub fn pass_on(start: impl FnOnce() -> Result<u8, super::Failure>) -> ExitCode {
    if callgate_kernel::is_secure_exec() {
        report::error(
            "callgate was started setuid, setgid or with file capabilities; it does not lend its rights to a command. Remove the bit or the capabilities from the file",
        );
        return ExitCode::from(OWN_ERROR);
    }
    ExitCode::from(start().unwrap_or_else(|failure| {
        if let super::Failure::Message(message) = failure {
            report::error(message);
        }
        OWN_ERROR
    }))
}
