//! Random rulesets: compiled, proved, and run in the interpreter beside their own evaluation.

use callgate_bpf::{ShiftRule, generate::Rng};
use callgate_policy::generate::{self, Shape};
use callgate_syscalls::Abi;

const LITTLE: &[Abi] =
    &[Abi::X86_64, Abi::X86, Abi::X32, Abi::Aarch64, Abi::Arm, Abi::Riscv64, Abi::Mipsel64n32];
const BIG: &[Abi] = &[Abi::S390x, Abi::S390, Abi::Ppc64, Abi::Mips64n32, Abi::Mips];

#[test]
fn programs_answer_as_their_rules() {
    let count = if std::env::var_os("CALLGATE_FULL").is_some() { 500_000 } else { 1_000 };
    for (seed, abis) in [(1, LITTLE), (2, BIG)] {
        let mut rng = Rng::new(seed);
        let shape = Shape { abis, first_number: 0, numbers: 12, rules: 4, default: None };
        for _ in 0..count {
            let ruleset = generate::ruleset(&mut rng, &shape);
            let compiled = callgate_compile::compile(&ruleset)
                .unwrap_or_else(|error| panic!("{error}\n{ruleset:#?}"));
            let program = compiled.program();
            for data in generate::calls(&mut rng, &ruleset, 100) {
                let (rules, _) = ruleset.decide(&data);
                let words = data.words(program.layout().byte_order);
                let answer = program.run(&words, ShiftRule::default());
                assert_eq!(answer, rules.raw(), "{data:#x?}\n{ruleset:#?}");
            }
        }
    }
}
