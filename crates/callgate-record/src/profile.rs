//! From recordings to a profile.
//!
//! A profile of a recording permits what was called, in entries that say where they come from;
//! beside them, each in an entry of its own that says so, what the container runtime needs once
//! the filter holds it ([`base`]), what stands for a recorded call on other architectures and with
//! other C libraries, what comes with it by chance, and ENOSYS for what programs only try.
//!
//! ```
//! use callgate_policy::formats;
//! use callgate_record::{Recorder, Recording, RunId, RunInfo, profile, strace};
//! use callgate_syscalls::Abi;
//!
//! let mut recorder = Recorder::new(RunId::new(1), RunInfo::default());
//! strace::read(Abi::X86_64, b"open(\"/etc/passwd\", O_RDONLY) = 3\n", &mut recorder)?;
//! let (id, run) = recorder.finish();
//! let recording = Recording::of_run(id, run);
//! let profile = profile::generate(&recording, &profile::Options::new(Abi::X86_64))?;
//! let text = (formats::named("oci").unwrap().write)(&profile.policy).unwrap();
//! assert!(text.contains("\"open\"") && text.contains("\"openat\""));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod arguments;
pub mod base;
mod check;
mod companions;
mod recorded;
mod siblings;
pub mod stability;

use std::{collections::BTreeSet, fmt};

use callgate_bpf::Action;
use callgate_diagnostic::{Span, Spanned};
use callgate_policy::{Architectures, Comparison, Condition, Dialect, Entry, Newer, Policy};
use callgate_syscalls::{Abi, all_names};

pub(crate) use self::arguments::Narrowing;
use self::base::Base;
pub use self::check::{Unproved, check};
use crate::{Call, Recording};

/// How a profile is made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The verdict on everything else; EPERM unless another is asked for.
    pub default: Action,
    /// Narrow what arguments choose to what was seen, where that is bounded.
    pub arguments: bool,
    /// Add what stands for recorded calls elsewhere, and what comes with them by chance.
    pub siblings: bool,
    /// What the runtime needs.
    pub base: Option<Base>,
    /// Further ABIs that the profile is for.
    pub abis: Vec<Abi>,
    /// The machine's own ABI, which comes first.
    pub native: Abi,
    /// Whose dialect it will be written in; none for a format that is no container profile.
    pub dialect: Option<Dialect>,
}

impl Options {
    /// EPERM, whole calls, siblings, no runtime, in the form of the runtime specification.
    pub fn new(native: Abi) -> Options {
        Options {
            default: Action::Errno(1),
            arguments: false,
            siblings: true,
            base: None,
            abis: Vec::new(),
            native,
            dialect: Some(Dialect::Oci),
        }
    }
}

/// A profile, and what there is to say of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Profile {
    /// What it says.
    pub policy: Policy,
    /// The ABIs that it is for.
    pub abis: Vec<Abi>,
    /// The names of recorded calls.
    pub recorded: BTreeSet<&'static str>,
    /// The names that the runtime needs beyond them.
    pub base: BTreeSet<&'static str>,
    /// The names that stand for recorded ones elsewhere.
    pub siblings: BTreeSet<&'static str>,
    /// The names that come with recorded ones by chance: with a signal, with a lock that is taken.
    pub companions: BTreeSet<&'static str>,
    /// The recorded names that were narrowed.
    pub narrowed: BTreeSet<&'static str>,
    /// The recorded names that could not be narrowed, since some run let them pass unwatched.
    pub unwatched: BTreeSet<&'static str>,
    /// Recorded calls that filters refused whenever they were made; the profile permits them.
    pub refused: BTreeSet<&'static str>,
    /// Recorded numbers that no call has, which no profile can name.
    pub nameless: BTreeSet<Call>,
}

/// Why there is no profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileError(());

impl std::error::Error for ProfileError {}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no call was recorded that has a name, so there is nothing to permit")
    }
}

/// The profile of a recording. The same recording gives the same profile.
///
/// # Errors
///
/// When the recording has no call with a name.
pub fn generate(recording: &Recording, options: &Options) -> Result<Profile, ProfileError> {
    let calls = recording.calls();
    let nameless: BTreeSet<Call> =
        calls.iter().copied().filter(|call| call.name().is_none()).collect();
    let recorded: BTreeSet<&str> = calls.iter().filter_map(|call| call.name()).collect();
    if recorded.is_empty() {
        return Err(ProfileError(()));
    }
    let abis = abis(&calls, options);
    let narrow = Narrowing::new(recording, &abis, options.arguments);
    let mut entries = recorded::entries(recording, &narrow);
    let mut named = recorded.clone();
    let base = options.base.map(|base| base.names()).unwrap_or_default();
    let base: BTreeSet<&str> = base.difference(&named).copied().collect();
    if let (Some(runtime), false) = (options.base, base.is_empty()) {
        entries.push(allow(&base, Vec::new(), runtime.to_string()));
        named.extend(&base);
    }
    let (mut siblings, mut companions) = (BTreeSet::new(), BTreeSet::new());
    if options.siblings {
        if let Some(entry) = companions::entry(&named, &recorded) {
            companions.extend(names(&entry));
            entries.push(entry);
        }
        named.extend(&companions);
        for entry in siblings::entries(&named, &recorded, &narrow.names(), &abis) {
            siblings.extend(names(&entry));
            entries.push(entry);
        }
        named.extend(&siblings);
    }
    entries.extend(fallbacks(&named, &abis, options.default));
    if options.dialect.is_none() {
        // These formats are for the machine that reads them, and know its names alone.
        for entry in &mut entries {
            entry.names.retain(|name| abis.iter().any(|abi| abi.number(&name.value).is_some()));
        }
        entries.retain(|entry| !entry.names.is_empty());
    }
    let spanned = |abi: &Abi| Spanned::new(*abi, Span::default());
    let policy = Policy {
        dialect: options.dialect,
        default: Spanned::new(options.default, Span::default()),
        architectures: Architectures::List(abis.iter().map(spanned).collect()),
        other: Policy::CONTAINER_OTHER,
        flags: Vec::new(),
        listener: None,
        entries,
    };
    Ok(Profile {
        policy,
        abis,
        base,
        siblings,
        companions,
        narrowed: narrow.names(),
        unwatched: narrow.unwatched(),
        refused: always_refused(recording),
        recorded,
        nameless,
    })
}

/// The machine's own ABI where it was called, the others that were called, and those asked for.
fn abis(calls: &BTreeSet<Call>, options: &Options) -> Vec<Abi> {
    let called: BTreeSet<Abi> = calls.iter().map(|call| call.abi).collect();
    let own = called.contains(&options.native).then_some(options.native);
    let mut abis: Vec<Abi> = Vec::new();
    for abi in own.into_iter().chain(called).chain(options.abis.iter().copied()) {
        if !abis.contains(&abi) {
            abis.push(abi);
        }
    }
    abis
}

/// ENOSYS for what the profile does not name and a program tries because it is newer: above every
/// number that is named, on each ABI that has it. A runtime may do so by itself; said in words it
/// holds for all. `clone3` is one of them wherever `clone` is permitted, since its flags lie
/// behind a pointer and every C library falls back on `clone`.
fn fallbacks(named: &BTreeSet<&'static str>, abis: &[Abi], default: Action) -> Option<Entry> {
    let enosys = Newer::enosys(*abis.first()?);
    if default == enosys || default.runs_call() {
        return None;
    }
    let last = |abi: Abi| named.iter().filter_map(|name| abi.number(name)).max();
    let borders: Vec<_> = abis.iter().filter_map(|&abi| Some((abi, last(abi)?))).collect();
    let newer = |name: &&'static str| {
        let mut numbers = borders.iter().filter_map(|&(abi, last)| Some((abi.number(name)?, last)));
        let is_newer = numbers.clone().count() > 0 && numbers.all(|(number, last)| number > last);
        is_newer || (*name == "clone3" && named.contains("clone"))
    };
    let names: BTreeSet<&str> =
        all_names().filter(|name| !named.contains(name)).filter(newer).collect();
    let comment = "not recorded, and newer than what was: ENOSYS, so that programs which try them \
                   fall back";
    (!names.is_empty()).then(|| Entry {
        action: Spanned::new(enosys, Span::default()),
        ..allow(&names, Vec::new(), comment.to_owned())
    })
}

fn always_refused(recording: &Recording) -> BTreeSet<&'static str> {
    let mut ran = BTreeSet::new();
    let mut refused = BTreeSet::new();
    for (_, key, fact) in recording.facts() {
        let set =
            if fact.refused > 0 && fact.refused >= fact.count { &mut refused } else { &mut ran };
        set.extend(key.call.name());
    }
    refused.difference(&ran).copied().collect()
}

/// An entry that permits.
fn allow(names: &BTreeSet<&'static str>, comparisons: Vec<Comparison>, comment: String) -> Entry {
    let spanned = |name: &&str| Spanned::new((*name).to_owned(), Span::default());
    Entry {
        names: names.iter().map(spanned).collect(),
        abis: Vec::new(),
        action: Spanned::new(Action::Allow, Span::default()),
        comparisons: comparisons.into_iter().map(|c| Spanned::new(c, Span::default())).collect(),
        includes: Condition::default(),
        excludes: Condition::default(),
        comment: Some(comment),
        span: Span::default(),
    }
}

/// The names of an entry as the tables have them.
fn names(entry: &Entry) -> impl Iterator<Item = &'static str> {
    let known = |name: &Spanned<String>| callgate_syscalls::syscall(&name.value);
    entry.names.iter().filter_map(known).map(|call| call.name)
}
