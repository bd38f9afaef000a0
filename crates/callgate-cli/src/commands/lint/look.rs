//! From the command line to findings.

use callgate_bpf::{ByteOrder, Layout, Program};
use callgate_policy::{Policy, Ruleset, Target};
use callgate_verdict::{
    Manager, TooComplex,
    lint::{self, Finding, Subject, Written},
};

use super::{Args, Failure};
use crate::{
    source::{Profile, Source},
    target,
};

/// What was looked at, and what was found.
pub struct Seen {
    pub name: String,
    /// The text of a profile; empty where there is none.
    pub text: String,
    /// The programs of a source without a text.
    pub programs: Vec<Program>,
    pub findings: Vec<Finding>,
    /// The text has errors that keep it from having a meaning.
    pub unreadable: bool,
}

/// What the readers say that is no finding, or that a lint says better.
const LEFT_OUT: [&str; 3] = ["dialect", "errno-zero", "unknown-syscall"];

pub fn look(args: &Args) -> Result<Seen, Failure> {
    let target = args.target.target()?;
    let order = args.order.order(args.target.arch.first().copied());
    let dialect = args.dialect.format();
    let [first, others @ ..] = &args.sources[..] else {
        return Err(Failure::Message("name a source".to_owned()));
    };
    let source = Source::open(first, dialect)?;
    if let Source::Profile(profile) = source {
        if let Some(other) = others.first() {
            return Err(Failure::Message(format!("{other}: a profile is looked at by itself")));
        }
        return of_profile(*profile, &target);
    }
    let mut programs = programs_of(source, order)?;
    for other in others {
        programs.extend(programs_of(Source::open(other, dialect)?, order)?);
    }
    let name = args.sources.join(" ");
    let subject = Subject::of_programs(&programs, target.native).on_kernel(target.kernel);
    let mut manager = Manager::new(Layout::seccomp(order));
    let findings = lint::lint(&mut manager, &subject).map_err(|error| unknown(&name, error))?;
    Ok(Seen { name, text: String::new(), programs, findings, unreadable: false })
}

fn unknown(name: &str, error: TooComplex) -> String {
    format!("{name}: its meaning is unknown: {error}")
}

/// The programs of a source, newest first.
fn programs_of(source: Source, order: ByteOrder) -> Result<Vec<Program>, Failure> {
    match source {
        Source::Program { name, bytes } => {
            let program = Program::from_bytes(&bytes, order, Layout::seccomp(order))
                .map_err(|error| format!("{name}: the kernel would refuse it: {error}"))?;
            Ok(vec![program])
        }
        Source::Stack(stack) => Ok(stack.programs),
        Source::Profile(profile) => {
            Err(Failure::Message(format!("{}: a profile is looked at by itself", profile.name)))
        }
    }
}

/// Looks at a profile.
///
/// # Errors
///
/// When its meaning is too much to look at.
pub fn of_profile(mut profile: Profile, target: &Target) -> Result<Seen, Failure> {
    let target = target::target_of(&profile, target);
    let (name, text) = (profile.name.clone(), std::mem::take(&mut profile.text));
    let mut said = std::mem::take(&mut profile.diagnostics);
    let resolved = profile.policy.as_ref().and_then(|policy| {
        let mut resolution = policy.resolve(&target);
        said.append(&mut resolution.diagnostics);
        // A name that nobody knows is no rule; all others have their meaning.
        resolution.ruleset.or_else(|| known_names(policy).resolve(&target).ruleset)
    });
    let (Some(policy), Some(ruleset)) = (&profile.policy, &resolved) else {
        if let Some(salvaged) = &profile.salvaged {
            said.extend(salvaged.unknown_names(&target));
        }
        let findings = said.into_iter().map(Finding::from).collect();
        return Ok(Seen { name, text, programs: Vec::new(), findings, unreadable: true });
    };
    let mut findings = linted(&name, &text, policy, ruleset, &target)?;
    let more = said.into_iter().filter(|d| !LEFT_OUT.contains(&d.id)).map(Finding::from);
    findings.extend(more);
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.diagnostic.severity));
    Ok(Seen { name, text, programs: Vec::new(), findings, unreadable: false })
}

fn linted(
    name: &str,
    text: &str,
    policy: &Policy,
    ruleset: &Ruleset,
    target: &Target,
) -> Result<Vec<Finding>, Failure> {
    let order = ruleset.abis.first().map_or(ByteOrder::NATIVE, |table| table.abi.byte_order());
    let compiled = callgate_compile::compile(ruleset);
    let (programs, refused) = match compiled {
        Ok(compiled) => (vec![compiled.into_program()], None),
        Err(error) if error.is_internal() => {
            return Err(Failure::Message(format!("{name}: {error}")));
        }
        Err(error) => (Vec::new(), Some(error).filter(|error| !error.is_too_complex())),
    };
    let written = Written { text, policy, target, ruleset };
    let subject = Subject::of_text(written, &programs);
    let mut manager = Manager::new(Layout::seccomp(order));
    let linted = lint::lint(&mut manager, &subject);
    let Some(error) = refused else {
        return Ok(linted.map_err(|error| unknown(name, error))?);
    };
    // What fits no program may be too much to look at as well.
    let mut findings = linted.unwrap_or_default();
    findings.insert(0, lint::does_not_compile(&error.to_string()));
    Ok(findings)
}

/// The policy without the names that no ABI has; entries keep their places.
fn known_names(policy: &Policy) -> Policy {
    let mut policy = policy.clone();
    for entry in &mut policy.entries {
        entry.names.retain(|name| callgate_syscalls::syscall(&name.value).is_some());
    }
    policy
}
