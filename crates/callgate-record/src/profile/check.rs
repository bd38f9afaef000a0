//! The proof that a text permits what was recorded.

use std::fmt;

use callgate_bpf::{Layout, SeccompData};
use callgate_policy::{NewerCalls, Policy, Target, formats::Format};
use callgate_syscalls::{Abi, CapabilitySet, KernelVersion};
use callgate_verdict::Manager;

use super::Profile;
use crate::{Fact, Key, Recording};

/// The most calls that are made of one fact.
const SAMPLES: usize = 256;

/// A profile's text does not do what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unproved(String);

impl std::error::Error for Unproved {}

impl fmt::Display for Unproved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a text that was written of a profile back, and checks that it means the profile, and that
/// it permits every recorded call that has a name, whatever becomes of newer calls: each with the
/// arguments that were seen.
///
/// # Errors
///
/// Says what is wrong; a format that is only written cannot be read back.
pub fn check(
    recording: &Recording,
    profile: &Profile,
    format: &Format,
    text: &str,
) -> Result<(), Unproved> {
    let read = format
        .read
        .ok_or_else(|| Unproved(format!("{} is only written, so it is not proved", format.name)))?;
    let policy = read(text)
        .policy
        .ok_or_else(|| Unproved("the text that was written is no profile".to_owned()))?;
    for newer in [NewerCalls::Enosys, NewerCalls::LikeRunc, NewerCalls::Default] {
        let native = *profile.abis.first().unwrap_or(&Abi::X86_64);
        let target = Target {
            native,
            abis: Some(profile.abis.clone()),
            capabilities: CapabilitySet::EMPTY,
            kernel: KernelVersion::new(0, 0),
            newer,
        };
        let mut manager = Manager::new(Layout::seccomp(native.byte_order()));
        let mut meaning = |policy: &Policy| {
            let ruleset = policy.resolve(&target).ruleset;
            let ruleset = ruleset.ok_or_else(|| Unproved("it has no rules".to_owned()))?;
            manager
                .ruleset(&ruleset)
                .map_err(|error| Unproved(format!("its meaning is unknown: {error}")))
        };
        let (wanted, written) = (meaning(&profile.policy)?, meaning(&policy)?);
        if wanted != written {
            return Err(Unproved(format!(
                "{} cannot say it: what was written means something else",
                format.name
            )));
        }
        for (_, key, fact) in recording.facts() {
            if key.call.name().is_none() || key.call.abi.byte_order() != native.byte_order() {
                continue;
            }
            for data in calls(key, fact) {
                if !manager.decide(written, &data).action().runs_call() {
                    let name = key.call.name().unwrap_or_default();
                    return Err(Unproved(format!(
                        "it refuses {name}{:x?}, which was recorded",
                        data.args
                    )));
                }
            }
        }
    }
    Ok(())
}

/// Calls with every combination of the values that were seen, as far as they are listed; of
/// flags also all bits at once.
fn calls(key: &Key, fact: &Fact) -> Vec<SeccompData> {
    let mut all = vec![SeccompData::new(key.call.abi.audit(), key.call.number)];
    for (&index, values) in &fact.arguments {
        let values: Vec<u64> = match values.listed() {
            Some(listed) => listed.iter().copied().collect(),
            None => vec![0, values.mask()],
        };
        let more: Vec<SeccompData> = all
            .iter()
            .flat_map(|data| {
                values.iter().map(move |&value| {
                    let mut data = *data;
                    data.args[usize::from(index)] = value;
                    data
                })
            })
            .take(SAMPLES)
            .collect();
        if !more.is_empty() {
            all = more;
        }
    }
    all
}
