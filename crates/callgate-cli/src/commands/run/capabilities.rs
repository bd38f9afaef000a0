//! Which capabilities the command is to have.

use callgate_kernel::{CapPlan, CapState, ExecRule, root_is_special};
use callgate_syscalls::CapabilitySet;

use super::FilterArgs;
use crate::commands::Failure;

/// What happens to the sets, and what the command will have.
pub struct Capabilities {
    pub plan: CapPlan,
    /// The permitted set of the command, by which a profile's conditions are decided.
    pub command: CapabilitySet,
    /// Whether the plan changes anything.
    pub changed: bool,
}

/// Reads the options; `docker` says that the profile is the built-in Docker default.
pub fn plan(args: &FilterArgs, docker: bool) -> Result<Capabilities, Failure> {
    let current = CapState::of_this_thread()
        .map_err(|errno| format!("the capability sets cannot be read: {errno}"))?;
    let root = root_is_special().map_err(|errno| format!("securebits cannot be read: {errno}"))?;
    let rule = ExecRule { root, no_new_privs: !args.keep_privileges };
    let inherited = current.after_exec(rule).permitted;
    let asked = !args.cap_drop.is_empty() || !args.cap_add.is_empty();
    let by_profile = docker && root;
    if args.cap_keep || !(asked || by_profile) {
        return Ok(Capabilities { plan: CapPlan::keep(), command: inherited, changed: false });
    }
    let obtainable = current.obtainable(rule);
    let start =
        if by_profile { CapabilitySet::DOCKER_DEFAULT.intersection(obtainable) } else { inherited };
    let dropped = args.cap_drop.iter().fold(start, |set, &drop| set.difference(drop));
    let wanted = args.cap_add.iter().fold(dropped, |set, &add| {
        // ALL means all that there is to give; a capability by name must be there.
        set.union(if add == CapabilitySet::ALL { add.intersection(obtainable) } else { add })
    });
    let plan = CapPlan::give(&current, wanted, rule).map_err(|error| error.to_string())?;
    Ok(Capabilities { plan, command: wanted, changed: true })
}
