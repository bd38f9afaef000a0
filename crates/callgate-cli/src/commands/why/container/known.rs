//! The profile that a container was started with.

use callgate_policy::{NewerCalls, Target};
use callgate_record::container::Container;
use callgate_syscalls::CapabilitySet;

use crate::{
    commands::{Failure, why::Args},
    meaning::Origin,
    source::{Profile, Source},
    target::{native, resolve, running_kernel},
};

/// What the container was started with, as far as it is known, in every way in which runtimes treat
/// calls that are newer than it.
pub struct Known {
    /// As rows name it.
    pub name: String,
    /// As the first message names it.
    pub path: String,
    pub origins: Vec<Origin>,
    pub target: Target,
}

impl Known {
    /// What `--profile` or the runtime says.
    pub fn of(args: &Args, container: &Container) -> Result<Option<Known>, Failure> {
        let given = args.filter.profile.clone();
        let kept = || {
            let path = container.bundle.as_ref()?.join("config.json");
            path.to_str().map(str::to_owned)
        };
        let Some(path) = given.clone().or_else(kept) else { return Ok(None) };
        let name = given.clone().unwrap_or_else(|| "config.json".to_owned());
        let held = callgate_kernel::ThreadStatus::of_thread(container.init).ok();
        // Before its start the first process is the runtime's, with all that this may do.
        let held = held.filter(|_| !container.is_waiting);
        let mut target = Target {
            native: native()?,
            abis: None,
            capabilities: held
                .map_or(CapabilitySet::DOCKER_DEFAULT, |status| status.capabilities.bounding),
            kernel: running_kernel()?,
            newer: NewerCalls::Default,
        };
        let mut origins = Vec::new();
        for newer in [NewerCalls::LikeRunc, NewerCalls::Default, NewerCalls::Enosys] {
            target.newer = newer;
            let read = Source::open_profile(&path, args.filter.reading.dialect());
            let mut profile: Box<Profile> = match read {
                Ok(profile) => Box::new(profile),
                Err(why) if given.is_some() => return Err(Failure::Message(why)),
                // A runtime that keeps none, or one of another machine.
                Err(_) => return Ok(None),
            };
            profile.name.clone_from(&name);
            let ruleset = resolve(&mut profile, &args.filter.reading, &target);
            if given.is_some() && origins.is_empty() {
                profile.print_diagnostics(args.filter.verbose, "nothing is told");
            }
            match ruleset {
                Some(ruleset) => origins.push(Origin::Profile { profile, ruleset }),
                None if given.is_some() => return Err(Failure::Reported),
                None => return Ok(None),
            }
        }
        Ok(Some(Known { name, path, origins, target }))
    }
}
