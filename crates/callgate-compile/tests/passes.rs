//! Each optimisation: what a program is without it, and what with it.

use callgate_bpf::{Action, disasm::Listing};
use callgate_compile::{Options, Passes, compile_with};
use callgate_policy::{AbiRules, ArgIndex, Comparison, Rule, Ruleset, Test};
use callgate_syscalls::Abi;

const DENY: Action = Action::Errno(1);

/// Rules of x86_64: number and what must hold of the arguments to be allowed.
fn rules(abi: Abi, rules: &[(u32, &[Comparison])]) -> AbiRules {
    let mut table = AbiRules { abi, default: DENY, rules: Default::default(), newer: None };
    for (entry, (nr, comparisons)) in rules.iter().enumerate() {
        let rule = Rule { action: Action::Allow, comparisons: comparisons.to_vec(), entry };
        table.rules.entry(callgate_bpf::SyscallNr(*nr)).or_default().push(rule);
    }
    table
}

fn ruleset(abis: impl IntoIterator<Item = AbiRules>) -> Ruleset {
    Ruleset { abis: abis.into_iter().collect(), other: DENY, flags: Vec::new() }
}

/// The listing's instructions without addresses and remarks.
fn listing(ruleset: &Ruleset, passes: Passes) -> Vec<String> {
    let mut options = Options::default();
    options.passes = passes;
    let compiled = compile_with(ruleset, &options).unwrap();
    let text = Listing::new(compiled.program()).to_string();
    let line = |line: &str| {
        let code = line.split(';').next().unwrap_or_default();
        let code = code.split_once(": ").map_or(code, |(_, code)| code);
        code.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    text.lines().map(line).collect()
}

fn without(change: impl FnOnce(&mut Passes)) -> Passes {
    let mut passes = Passes::ALL;
    change(&mut passes);
    passes
}

fn count(listing: &[String], opcode: &str) -> usize {
    listing.iter().filter(|line| line.split(' ').next() == Some(opcode)).count()
}

fn eq(arg: usize, value: u64) -> Comparison {
    Comparison::full(ArgIndex::ALL[arg], Test::Eq(value))
}

fn low(arg: usize, value: u64) -> Comparison {
    Comparison::low32(ArgIndex::ALL[arg], Test::Eq(value))
}

#[test]
fn chains_close_the_gap_of_a_single_number() {
    let numbers: Vec<(u32, &[Comparison])> =
        (0..20).filter(|nr| *nr != 10).map(|nr| (nr, &[][..])).collect();
    let ruleset = ruleset([rules(Abi::Aarch64, &numbers)]);
    let with = listing(&ruleset, Passes::ALL);
    assert_eq!((count(&with, "jeq"), count(&with, "jge")), (2, 1), "{with:#?}");
    let off = listing(&ruleset, without(|passes| passes.chains = false));
    assert_eq!((count(&off, "jeq"), count(&off, "jge")), (1, 3), "{off:#?}");
}

#[test]
fn pairs_take_two_values_out_at_once() {
    let values = [0x11, 0x4011, 0x22, 0x4022, 0x35, 0x4035];
    let conditions = values.map(|value| [low(0, value)]);
    let numbers: Vec<(u32, &[Comparison])> =
        conditions.iter().map(|condition| (5, &condition[..])).collect();
    let ruleset = ruleset([rules(Abi::X86_64, &numbers)]);
    let with = listing(&ruleset, Passes::ALL);
    assert!(with.contains(&"and #0xffffbfff".to_owned()), "{with:#?}");
    let off = listing(&ruleset, without(|passes| passes.pairs = false));
    assert_eq!(count(&off, "and"), 0, "{off:#?}");
    assert!(off.len() >= with.len() + 2, "{off:#?}");
}

#[test]
fn cubes_cover_a_set_of_values_with_one_mask() {
    let values = [0, 8, 0x2_0000, 0x2_0008];
    let conditions = values.map(|value| [low(0, value)]);
    let numbers: Vec<(u32, &[Comparison])> =
        conditions.iter().map(|condition| (135, &condition[..])).collect();
    let ruleset = ruleset([rules(Abi::X86_64, &numbers)]);
    let with = listing(&ruleset, Passes::ALL);
    assert_eq!(with.iter().filter(|l| l.starts_with("jset #0xfffdfff7")).count(), 1, "{with:#?}");
    assert_eq!(count(&with, "jeq"), 2, "architecture and number: {with:#?}");
    let off = listing(&ruleset, without(|passes| passes.cubes = false));
    assert_eq!(count(&off, "jset"), 0, "{off:#?}");
    assert!(off.len() > with.len());
}

#[test]
fn x32_is_folded_into_the_tree_of_x86_64() {
    let numbers: Vec<u32> = (0..300).filter(|nr| nr % 7 > 1).collect();
    let own: Vec<(u32, &[Comparison])> = numbers.iter().map(|&nr| (nr, &[][..])).collect();
    let x32: Vec<(u32, &[Comparison])> = numbers
        .iter()
        .filter(|nr| ![59, 88].contains(*nr))
        .map(|&nr| (nr | 0x4000_0000, &[][..]))
        .collect();
    let ruleset = ruleset([rules(Abi::X86_64, &own), rules(Abi::X32, &x32)]);
    let with = listing(&ruleset, Passes::ALL);
    assert!(with.contains(&"and #0xbfffffff".to_owned()), "{with:#?}");
    let off = listing(&ruleset, without(|passes| passes.fold = false));
    assert!(off.len() > with.len() + 50, "{} and {}", off.len(), with.len());
}

#[test]
fn what_all_rules_ask_is_asked_once() {
    let conditions = [3, 5, 9].map(|value| [eq(0, 1), eq(1, value)]);
    let numbers: Vec<(u32, &[Comparison])> =
        conditions.iter().map(|condition| (5, &condition[..])).collect();
    let ruleset = ruleset([rules(Abi::X86_64, &numbers)]);
    // Two halves of two arguments, each loaded once.
    let with = listing(&ruleset, Passes::ALL);
    assert_eq!(count(&with, "ld"), 2 + 4, "{with:#?}");
    let off = listing(&ruleset, without(|passes| passes.words = false));
    assert!(off.len() > with.len(), "{off:#?}");
}

#[test]
fn ranges_become_their_complement() {
    // Docker's rule on families of sockets: all but 38 and 40.
    let tests = [Test::Lt(38), Test::Eq(39), Test::Gt(40)];
    let conditions = tests.map(|test| [Comparison::full(ArgIndex::ALL[0], test)]);
    let numbers: Vec<(u32, &[Comparison])> =
        conditions.iter().map(|condition| (41, &condition[..])).collect();
    let listing = listing(&ruleset([rules(Abi::X86_64, &numbers)]), Passes::ALL);
    let argument: Vec<&str> = listing.iter().skip(4).map(String::as_str).collect();
    let [load, first, second, high, zero, ..] = argument[..] else { panic!("{listing:#?}") };
    assert_eq!((load, high), ("ld [16]", "ld [20]"), "{listing:#?}");
    assert!(first.starts_with("jeq #0x26") && second.starts_with("jeq #0x28"), "{listing:#?}");
    assert!(zero.starts_with("jeq #0x0") || zero.starts_with("jge #0x1"), "{listing:#?}");
}

#[test]
fn programs_are_the_same_each_time() {
    let numbers: Vec<u32> = (0..200).filter(|nr| nr % 3 > 0).collect();
    let own: Vec<(u32, &[Comparison])> = numbers.iter().map(|&nr| (nr, &[][..])).collect();
    let ruleset = ruleset([rules(Abi::X86_64, &own)]);
    assert_eq!(listing(&ruleset, Passes::ALL), listing(&ruleset, Passes::ALL));
}
