//! `callgate hook`: records a container whose annotations ask for it, from its start to its end.

#[cfg(target_os = "linux")]
mod place;
#[cfg(target_os = "linux")]
mod recorder;
#[cfg(target_os = "linux")]
mod request;

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::{Answer, Failure};

const AFTER_HELP: &str = "\
Container runtimes call this as a hook, with the state of a container on standard input. A container
with the annotation io.containers.trace-syscall=of:FILE is recorded by eBPF, in the background, from
its first instruction to its end; then FILE is written: a profile, or a recording where its name ends
in .rec. With if:PROFILE;of:FILE the new profile is PROFILE and what it lacks. Others are left alone.

FILE lies in or below the folder that --folder says. No symbolic link is followed on the way, others
may not write to FILE's own folder, and a file of another user is not replaced. When a container asks for what
cannot be done, the hook fails, and the container does not start.

Exit status: 0 it is recorded, or does not ask to be; 2 error.

Examples:
  callgate hook --print-config > /usr/share/containers/oci/hooks.d/callgate.json
  podman run --annotation io.containers.trace-syscall=of:/var/lib/callgate/web.json nginx
  podman run --security-opt seccomp=/var/lib/callgate/web.json nginx";

/// Record the containers that ask for it, as a hook of Podman, CRI-O and other runtimes
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The folder in and below which files may be written
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/callgate")]
    folder: PathBuf,

    /// Print what makes Podman and CRI-O call this, for a file in their hooks.d
    #[arg(long)]
    print_config: bool,

    /// Be the one in the background
    #[arg(long, hide = true, conflicts_with = "print_config")]
    recorder: bool,
}

#[cfg(not(target_os = "linux"))]
pub fn main(_: Args) -> Result<Answer, Failure> {
    Err(Failure::Message("hook needs a Linux kernel".to_owned()))
}

#[cfg(target_os = "linux")]
pub fn main(args: Args) -> Result<Answer, Failure> {
    use std::{io, path::absolute};

    let folder = absolute(&args.folder)?;
    if args.print_config {
        return print_config(&folder);
    }
    let state = request::read(io::stdin().lock())?;
    match request::Request::of(&state)? {
        None => {}
        Some(request) if args.recorder => recorder::run(&folder, &request)?,
        Some(_) => recorder::start(&folder, &state)?,
    }
    Ok(Answer::Yes)
}

/// The file for `hooks.d`, as oci-hooks(5) of Podman has it.
#[cfg(target_os = "linux")]
fn print_config(folder: &std::path::Path) -> Result<Answer, Failure> {
    let text = |path: &std::path::Path| {
        let text = path.to_str().ok_or_else(|| format!("{}: its name is no text", path.display()));
        text.map(str::to_owned)
    };
    crate::output::print_json(&serde_json::json!({
        "version": "1.0.0",
        "hook": {
            "path": text(&std::env::current_exe()?)?,
            "args": ["callgate", "hook", "--folder", text(folder)?],
            // Seconds; a start that waits longer is an error.
            "timeout": 60,
        },
        "when": { "annotations": { "^io\\.containers\\.trace-syscall$": ".*" } },
        "stages": ["createRuntime"],
    }))?;
    Ok(Answer::Yes)
}
