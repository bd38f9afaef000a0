//! Which filter a command gets and which capabilities, for every verb that starts one.

use callgate_syscalls::CapabilitySet;
use clap::Args;

use crate::target::{NewerArgs, ReadingArgs, parse_caps};

/// What is enforced.
#[derive(Args, Debug)]
pub struct FilterArgs {
    /// The profile to enforce [default: docker-default]
    #[arg(long, value_name = "SOURCE")]
    pub profile: Option<String>,

    #[command(flatten)]
    pub reading: ReadingArgs,

    #[command(flatten)]
    pub newer: NewerArgs,

    /// Take this capability from the command, or ALL; may be repeated
    #[arg(long, value_name = "NAME", value_parser = parse_caps, conflicts_with = "cap_keep")]
    pub cap_drop: Vec<CapabilitySet>,

    /// Give the command this capability, or ALL that can be given; after every --cap-drop
    #[arg(long, value_name = "NAME", value_parser = parse_caps, conflicts_with = "cap_keep")]
    pub cap_add: Vec<CapabilitySet>,

    /// Leave the capability sets as they are
    #[arg(long)]
    pub cap_keep: bool,

    /// Do not set no_new_privs; takes CAP_SYS_ADMIN
    #[arg(long)]
    pub keep_privileges: bool,

    /// Start although nobody would answer SCMP_ACT_NOTIFY or SCMP_ACT_TRACE, so that those calls
    /// end in ENOSYS
    #[arg(long)]
    pub allow_unanswered: bool,

    /// Say what is done: the resolved target, the program, the notes on the profile
    #[arg(short, long)]
    pub verbose: bool,
}

impl FilterArgs {
    /// The source of the profile.
    #[cfg(target_os = "linux")]
    pub fn profile(&self) -> &str {
        self.profile.as_deref().unwrap_or("docker-default")
    }
}
