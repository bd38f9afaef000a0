//! What is measured: the Docker default profile, for x86_64 with x86 and x32.

use callgate_bpf::{Program, ShiftRule, SyscallNr};
use callgate_policy::{
    Comparison, Dialect, NewerCalls, Policy, Ruleset, Target, builtin, formats::profile,
};
use callgate_syscalls::{Abi, CapabilitySet, KernelVersion};
use callgate_verdict::Manager;

use crate::{Result, driver::Peer, words::Words};

/// The profile and what Callgate makes of it.
pub struct Subject {
    /// The text.
    pub text: &'static str,
    /// A container of the Docker engine, on a machine that does not depend on this one.
    pub target: Target,
    /// The text, read.
    pub policy: Policy,
    /// The rules as `callgate run` uses them.
    pub ruleset: Ruleset,
    /// The program as `callgate run` loads it.
    pub program: Program,
}

/// The same rules as a peer has, and Callgate's program of them.
pub struct Alike {
    /// The rules.
    pub ruleset: Ruleset,
    /// The program.
    pub program: Program,
    /// Rules that the peers' library has no numbers for, though it knows the names.
    pub lacking: Vec<String>,
}

impl Subject {
    /// # Errors
    ///
    /// When the profile that callgate carries has become wrong.
    pub fn new() -> Result<Subject> {
        let builtin = builtin::named("docker-default").ok_or("no built-in docker-default")?;
        let target = Target {
            native: Abi::X86_64,
            abis: None,
            capabilities: CapabilitySet::DOCKER_DEFAULT,
            kernel: KernelVersion::new(6, 18),
            newer: NewerCalls::Enosys,
        };
        let policy = profile::read(builtin.text, Some(Dialect::Docker)).policy;
        let policy = policy.ok_or("docker-default cannot be read")?;
        let Alike { ruleset, program, .. } = make(&policy, &target)?;
        Ok(Subject { text: builtin.text, target, policy, ruleset, program })
    }

    /// What Callgate makes of the rules that the peers have. They give newer calls no answer of
    /// their own, their library does not know some names at all, and some names not on every ABI:
    /// those rules are taken away, until the diagrams are one or differ for another reason.
    ///
    /// # Errors
    ///
    /// As [`Subject::new`].
    pub fn alike(&self, unknown: &[String], peers: &[Peer]) -> Result<Alike> {
        let mut policy = self.policy.clone();
        for entry in &mut policy.entries {
            entry.names.retain(|name| !unknown.contains(&name.value));
        }
        policy.entries.retain(|entry| !entry.names.is_empty());
        let target = Target { newer: NewerCalls::Default, ..self.target.clone() };
        let mut alike = make(&policy, &target)?;
        if let Some(peer) = peers.first() {
            while let Some((abi, nr)) = number_lacking(&alike, &peer.program)? {
                for table in alike.ruleset.abis.iter_mut().filter(|table| table.abi == abi) {
                    table.rules.remove(&nr);
                }
                alike.program = callgate_compile::compile(&alike.ruleset)?.into_program();
                let name = abi.name_of(nr).unwrap_or("a call");
                alike.lacking.push(format!("{name} on {}", abi.name()));
            }
        }
        Ok(alike)
    }

    /// The rules as a container runtime hands them to libseccomp: one for each name of each entry
    /// that applies and has another action than the default. In the driver's words.
    pub fn rules_for_libseccomp(&self) -> String {
        let policy = self.policy.flatten(&self.target);
        let abis = self.ruleset.abis.iter().map(|table| table.abi);
        let mut words = Words::new(policy.default.value, abis);
        for entry in &policy.entries {
            let comparisons: Vec<Comparison> = entry.comparisons.iter().map(|c| c.value).collect();
            for name in &entry.names {
                words.rule(&name.value, entry.action.value, &comparisons);
            }
        }
        words.into_text()
    }

    /// The rules of x86_64 alone, with no answer of their own for newer calls; x32's calls, as all
    /// of other architectures, are none of the profile's.
    ///
    /// # Errors
    ///
    /// As [`Subject::new`].
    pub fn x86_64_alone(&self) -> Result<Ruleset> {
        let target = Target {
            abis: Some(vec![Abi::X86_64]),
            newer: NewerCalls::Default,
            ..self.target.clone()
        };
        let ruleset = self.policy.resolve(&target).ruleset;
        Ok(ruleset.ok_or("docker-default cannot be resolved")?)
    }
}

fn make(policy: &Policy, target: &Target) -> Result<Alike> {
    let ruleset = policy.resolve(target).ruleset.ok_or("docker-default cannot be resolved")?;
    let program = callgate_compile::compile(&ruleset)?.into_program();
    Ok(Alike { ruleset, program, lacking: Vec::new() })
}

/// A number of an ABI that the rules speak of while the program leaves it to the default.
fn number_lacking(alike: &Alike, program: &Program) -> Result<Option<(Abi, SyscallNr)>> {
    let mut manager = Manager::new(*program.layout());
    let rules = manager.ruleset(&alike.ruleset)?;
    let program = manager.program(program, ShiftRule::default())?;
    let differ = manager.differ(rules, program)?;
    let Some(data) = manager.witness(differ) else { return Ok(None) };
    let Some(table) = alike.ruleset.table(&data) else { return Ok(None) };
    let by_default = manager.decide(program, &data).action() == table.default;
    Ok((by_default && table.rules.contains_key(&data.nr)).then_some((table.abi, data.nr)))
}
