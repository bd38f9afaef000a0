//! The same calls under the same profile, loaded by a runtime and by `callgate run`.

use std::collections::{BTreeMap, BTreeSet};

use callgate_bpf::SyscallNr;

use super::{
    answers::{Answer, Outcome},
    calls::{Abi, Call, names_of},
    names::Names,
    tell,
};

/// How many differences a failure lists.
const MOST_SHOWN: usize = 30;

/// Checks that each answer is the same, or differs for a cause that follows from the two syscall
/// tables, and tells what was compared. Gives the number of calls compared.
///
/// # Panics
///
/// When one side did not start, and when a difference is left unexplained.
pub fn same_answers(
    title: &str,
    names: &Names,
    profile: &serde_json::Value,
    calls: &[Call],
    theirs: Outcome,
    ours: Outcome,
) -> usize {
    let theirs = theirs.unwrap_or_else(|refusal| panic!("{title}: the runtime {refusal}"));
    let ours = ours.unwrap_or_else(|refusal| panic!("{title}: callgate {refusal}"));
    let tables = Tables::new(names, profile);
    let mut explained: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut unexplained = Vec::new();
    for ((call, theirs), ours) in calls.iter().zip(&theirs.0).zip(&ours.0) {
        if theirs == ours {
            continue;
        }
        if let Some(cause) = tables.cause(call, theirs) {
            explained.entry(cause).or_default().push(tables.word(call));
        } else {
            let word = tables.word(call);
            unexplained.push(format!("  {call} ({word}): the runtime {theirs}, callgate {ours}"));
        }
    }
    let different: usize = explained.values().map(Vec::len).sum();
    tell(&format!("{title}: {} calls, {different} different", calls.len()));
    for (cause, words) in &explained {
        tell(&format!("  {cause}: {}", words.join(", ")));
    }
    let count = unexplained.len();
    unexplained.truncate(MOST_SHOWN);
    assert!(
        count == 0,
        "{title}: {count} differences without a cause, the first being\n{}",
        unexplained.join("\n")
    );
    calls.len()
}

/// The two tables: libseccomp's, that the runtimes use, and callgate's.
struct Tables<'a> {
    names: &'a Names,
    named: BTreeSet<String>,
    largest: BTreeMap<Abi, (Option<u32>, Option<u32>)>,
}

impl<'a> Tables<'a> {
    fn new(names: &'a Names, profile: &serde_json::Value) -> Tables<'a> {
        let named: BTreeSet<String> = profile["syscalls"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(names_of)
            .map(str::to_owned)
            .collect();
        let ours = |abi: Abi| {
            let number = |name: &String| abi.of_callgate().number(name).map(|SyscallNr(nr)| nr);
            named.iter().filter_map(number).max()
        };
        let largest = Abi::ALL
            .map(|abi| (abi, (names.largest(abi, &named), ours(abi))))
            .into_iter()
            .collect();
        Tables { names, named, largest }
    }

    /// Why a runtime answers otherwise, when its table is the reason.
    fn cause(&self, call: &Call, theirs: &Answer) -> Option<String> {
        let abi = call.abi;
        let ours = self.our_name(call);
        let unknown = self.names.name(abi, call.number).is_none();
        if unknown && ours.is_some_and(|name| self.named.contains(name)) {
            return Some(format!(
                "named by the profile, unknown to libseccomp {}",
                self.names.version
            ));
        }
        let (their_largest, our_largest) = self.largest[&abi];
        let beyond = their_largest.is_some_and(|largest| call.number > largest)
            && our_largest.is_some_and(|largest| call.number <= largest);
        (beyond && theirs.is("errno 38")).then(|| {
            format!(
                "newer than any {} call that the profile names and libseccomp {} knows ({}), not newer than all that it names ({})",
                abi.name(),
                self.names.version,
                their_largest.unwrap_or(0),
                our_largest.unwrap_or(0),
            )
        })
    }

    fn our_name(&self, call: &Call) -> Option<&'static str> {
        call.abi.of_callgate().name_of(SyscallNr(call.number))
    }

    fn word(&self, call: &Call) -> String {
        let name = self.our_name(call).or_else(|| self.names.name(call.abi, call.number));
        format!("{} {}", call.abi.name(), name.unwrap_or("without a name"))
    }
}

/// How many system calls of `abi` among `calls` both tables know.
pub fn known_to_both(names: &Names, abi: Abi, calls: &[Call]) -> usize {
    let numbers: BTreeSet<u32> =
        calls.iter().filter(|call| call.abi == abi).map(|call| call.number).collect();
    numbers
        .into_iter()
        .filter(|&number| {
            names.name(abi, number).is_some()
                && abi.of_callgate().name_of(SyscallNr(number)).is_some()
        })
        .count()
}
