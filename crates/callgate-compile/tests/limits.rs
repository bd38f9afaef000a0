//! Rules by the hundred and by the thousand: a proved program, or an error that says why not.

use callgate_bpf::{Action, SyscallNr};
use callgate_compile::{CompileError, Compiled, compile};
use callgate_policy::{AbiRules, ArgIndex, Comparison, Rule, Ruleset, Test};
use callgate_syscalls::Abi;

/// Compiles rules of x86_64: number and what must hold for the call to be allowed.
fn compiled(
    rules: impl IntoIterator<Item = (u32, Vec<Comparison>)>,
) -> Result<Compiled, CompileError> {
    let default = Action::Errno(1);
    let mut table = AbiRules { abi: Abi::X86_64, default, rules: Default::default(), newer: None };
    for (entry, (nr, comparisons)) in rules.into_iter().enumerate() {
        let rule = Rule { action: Action::Allow, comparisons, entry };
        table.rules.entry(SyscallNr(nr)).or_default().push(rule);
    }
    compile(&Ruleset { abis: vec![table], other: Action::KillProcess, flags: Vec::new() })
}

fn full(arg: usize, test: Test) -> Comparison {
    Comparison::full(ArgIndex::ALL[arg], test)
}

/// Values without structure.
fn spread(i: u32) -> u64 {
    u64::from(i.wrapping_mul(2_654_435_761) >> 8)
}

#[test]
fn a_thousand_values_of_one_argument_are_a_search_tree() {
    let compiled = compiled((0..1000).map(|i| (5, vec![full(0, Test::Eq(spread(i)))]))).unwrap();
    let length = compiled.program().len();
    assert!((1000..1300).contains(&length), "{length}");
}

#[test]
fn what_does_not_fit_is_too_long_and_says_where() {
    let error = compiled((0..5000).map(|i| (5, vec![full(0, Test::Eq(spread(i)))]))).unwrap_err();
    assert!(error.to_string().starts_with("the program would have "), "{error}");
    assert_eq!(error.contributors()[0].name, "fstat");
}

#[test]
fn two_arguments_of_many_calls_share_their_ends() {
    let rules = (0..600).map(|i| {
        let first = full(0, Test::Eq(spread(i) & 7));
        (i % 300, vec![first, full(1, Test::Eq(spread(i) >> 4))])
    });
    let compiled = compiled(rules).unwrap();
    // Two rules: one load and two tests for the first argument, two of each for the second, and
    // the way there. The upper halves are asked once for all calls.
    assert!(compiled.program().len() < 300 * 11, "{}", compiled.program().len());
}

#[test]
fn masks_by_the_hundred_need_no_more_stack_than_a_thread_has() {
    for count in [100, 300, 350, 1000, 4000] {
        let rules = (0..count).map(|i| {
            let mask = 2 * spread(i) + 1;
            (5, vec![full(0, Test::MaskedEq { mask, value: spread(7 * i) & mask })])
        });
        if let Err(error) = compiled(rules) {
            let text = error.to_string();
            assert!(error.is_too_complex() || text.contains("instructions"), "{text}");
        }
    }
}
