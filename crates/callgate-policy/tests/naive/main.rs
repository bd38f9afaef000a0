//! A second opinion on what a profile's text means, the slow and obvious way.
//!
//! It takes a call and asks of every entry in turn whether it speaks of this call, sharing
//! nothing with the reader or the resolver but the tables of system calls. Where two rules that
//! hold give different answers, runtimes decide by an order that the tests against them pin; it
//! has no opinion there, and says nothing.

#[path = "../common/mod.rs"]
mod common;
mod meaning;
mod random;
mod text;

use callgate_bpf::generate::Rng;
use callgate_policy::Dialect;
use callgate_syscalls::{Abi, Capability};

use self::meaning::Opinion;

/// A profile as its author thinks of it.
struct Profile {
    default: Word,
    /// `architectures`, when it is no archMap.
    architectures: Option<Vec<Abi>>,
    /// The machine of an `archMap`, and the others.
    arch_map: Option<(Abi, Vec<Abi>)>,
    entries: Vec<Entry>,
}

struct Entry {
    names: Vec<&'static str>,
    action: Word,
    args: Vec<Arg>,
    includes: Condition,
    excludes: Condition,
}

/// An action's word, and the error number where one is given.
#[derive(Clone, Copy)]
struct Word {
    action: &'static str,
    errno: Option<u16>,
}

#[derive(Clone, Copy)]
struct Arg {
    index: usize,
    value: u64,
    value_two: u64,
    op: &'static str,
}

#[derive(Default)]
struct Condition {
    caps: Vec<Capability>,
    arches: Vec<&'static str>,
    min_kernel: Option<(u16, u16)>,
}

#[test]
fn profiles_mean_what_a_naive_reading_says() {
    let full = std::env::var_os("CALLGATE_FULL").is_some_and(|value| value == "1");
    let count = if full { 300_000 } else { 1_500 };
    let mut rng = Rng::new(1);
    let (mut agreed, mut by_conditions, mut silent, mut refused) = (0, 0, 0, 0);
    for _ in 0..count {
        let target = random::target(&mut rng);
        let profile = random::profile(&mut rng, target.native);
        let text = profile.text();
        let policy = common::policy(&text, Dialect::Docker);
        let resolution = policy.resolve(&target);
        let Some(ruleset) = resolution.ruleset else {
            assert!(
                profile.may_conflict(&target),
                "refused without need: {}\n{text}\n{target:?}",
                common::show(&resolution.diagnostics)
            );
            refused += 1;
            continue;
        };
        for data in random::calls(&mut rng, &profile, &target, 60) {
            let (action, _) = ruleset.decide(&data);
            match profile.opinion(&target, &data) {
                Opinion::Answer(naive, conditional) => {
                    assert_eq!(action, naive, "{data:#x?}\n{text}\n{target:?}");
                    agreed += 1;
                    by_conditions += usize::from(conditional);
                }
                Opinion::None => silent += 1,
            }
        }
    }
    println!(
        "{agreed} calls under {count} profiles agree, {by_conditions} of them by rules with \
         conditions; {silent} have no naive meaning, {refused} profiles contradict themselves"
    );
    assert!(by_conditions * 20 > agreed && agreed > 10 * silent && count > 5 * refused);
}
