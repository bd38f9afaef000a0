//! Random rulesets: compiled, proved, and run in the interpreter beside their own evaluation.

use callgate_bpf::{ShiftRule, generate::Rng};
use callgate_compile::{Goal, Options, Passes, Weights};
use callgate_policy::generate::{self, Shape};
use callgate_syscalls::Abi;

const LITTLE: &[Abi] =
    &[Abi::X86_64, Abi::X86, Abi::X32, Abi::Aarch64, Abi::Arm, Abi::Riscv64, Abi::Mipsel64n32];
const X86: &[Abi] = &[Abi::X86_64, Abi::X32];
const BIG: &[Abi] = &[Abi::S390x, Abi::S390, Abi::Ppc64, Abi::Mips64n32, Abi::Mips];

/// All optimisations, none, and all but each one.
fn ways() -> Vec<(&'static str, Options)> {
    let with = |passes| {
        let mut options = Options::default();
        options.passes = passes;
        options
    };
    let mut ways = vec![("all", with(Passes::ALL)), ("none", with(Passes::NONE))];
    ways.extend(Passes::each_off().map(|(name, passes)| (name, with(passes))));
    let mut size = Options::default();
    size.goal = Goal::Size;
    let mut uniform = Options::default();
    uniform.weights = Weights::uniform();
    ways.extend([("size", size), ("uniform", uniform)]);
    ways
}

#[test]
fn programs_answer_as_their_rules() {
    let count = if std::env::var_os("CALLGATE_FULL").is_some() { 500_000 } else { 1_000 };
    let ways = ways();
    for (seed, abis) in [(1, LITTLE), (2, BIG), (3, X86)] {
        let mut rng = Rng::new(seed);
        let shape = Shape { abis, first_number: 0, numbers: 12, rules: 4, default: None };
        for round in 0..count {
            let ruleset = generate::ruleset(&mut rng, &shape);
            let (name, options) = &ways[round % ways.len()];
            let compiled = callgate_compile::compile_with(&ruleset, options)
                .unwrap_or_else(|error| panic!("{name}: {error}\n{ruleset:#?}"));
            let program = compiled.program();
            for data in generate::calls(&mut rng, &ruleset, 100) {
                let (rules, _) = ruleset.decide(&data);
                let words = data.words(program.layout().byte_order);
                let answer = program.run(&words, ShiftRule::default());
                assert_eq!(answer, rules.raw(), "{name}: {data:#x?}\n{ruleset:#?}");
            }
        }
    }
}
