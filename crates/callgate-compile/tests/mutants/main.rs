//! Programs spoiled in one place, told from the original by their diagrams.
//!
//! Each constant, each jump and each opcode of a program is changed in turn. Where the diagram
//! of the result is another, its witness must show it in the interpreter. Where it is the same,
//! ten thousand inputs at the limits of both programs, and z3 for a sample, must find no
//! difference either.
//!
//! `CALLGATE_FULL=1` takes every change of every program, more programs, and asks z3 more.

mod change;
mod smt;

use std::env;

use callgate_bpf::{
    ByteOrder, Instruction, Layout, Op, Program, ShiftRule,
    disasm::Listing,
    generate::{self, Rng},
};
use callgate_policy::{
    Dialect, NewerCalls, Target, builtin,
    formats::profile,
    generate::{self as rulesets, Shape},
};
use callgate_syscalls::{Abi, CapabilitySet, KernelVersion};
use callgate_verdict::{Diagram, Manager, TooComplex};

use self::smt::Answer;

const SHIFTS: ShiftRule = ShiftRule::Low5;

/// The size of diagrams beyond which a mutant is too complex: most of those return A, and A holds
/// a whole word of the context, so that no size would do.
const LIMIT: usize = 1 << 17;

/// Inputs on which a mutant that was found equal must agree.
const INPUTS: usize = 10_000;

fn is_full() -> bool {
    env::var_os("CALLGATE_FULL").is_some_and(|value| value == "1")
}

/// A program for a failure's message.
fn list(program: &Program) -> Listing<'_> {
    Listing::new(program)
}

/// Mutants by what became of them.
#[derive(Default)]
struct Tally {
    refused: usize,
    differing: usize,
    equal: usize,
    too_complex: usize,
    /// Pairs that z3 found as they were found here, and those on which it gave up.
    asked: usize,
    unknown: usize,
}

/// Compares programs with their mutants.
struct Judge {
    rng: Rng,
    /// One mutant in so many is looked at.
    one_in: usize,
    /// Pairs to ask z3 about, and whether they were found equal.
    sample: Vec<(Program, Program, bool)>,
    /// One equal mutant in so many is for z3, and a tenth as many of the others.
    ask_one_in: usize,
    tally: Tally,
}

impl Judge {
    fn new(seed: u64, one_in: usize, ask_one_in: usize) -> Judge {
        let (rng, sample, tally) = (Rng::new(seed), Vec::new(), Tally::default());
        Judge { rng, one_in, sample, ask_one_in, tally }
    }

    /// Looks at the mutants of a program, unless the program itself is too complex.
    fn mutate(&mut self, original: &Program) {
        let Ok(mut bench) = Bench::new(original) else { return };
        for change in change::changes(original.instructions()) {
            if !self.rng.one_in(self.one_in) {
                continue;
            }
            let changed = change::apply(original.instructions(), &change);
            let Ok(mutant) = Program::new(changed, *original.layout()) else {
                self.tally.refused += 1;
                continue;
            };
            let verdict = bench.compare(original, &mutant).or_else(|_| {
                // What the mutants before have left of a manager may not suffice.
                bench = Bench::new(original)?;
                bench.compare(original, &mutant)
            });
            match verdict {
                Ok(true) => self.must_agree(original, mutant),
                Ok(false) => {
                    self.tally.differing += 1;
                    if self.rng.one_in(10 * self.ask_one_in) {
                        self.sample.push((original.clone(), mutant, false));
                    }
                }
                Err(_) => self.tally.too_complex += 1,
            }
        }
    }

    fn must_agree(&mut self, original: &Program, mutant: Program) {
        let both = [original.instructions(), mutant.instructions()];
        let mut inputs = generate::inputs_by_word(&mut self.rng, &both, INPUTS / 2);
        let constants: Vec<Instruction> = both.concat();
        inputs.extend(generate::inputs(&mut self.rng, &constants, INPUTS / 2));
        for words in inputs {
            let (one, other) = (original.run(&words, SHIFTS), mutant.run(&words, SHIFTS));
            assert_eq!(
                one,
                other,
                "found equal:\n{}\n{}\n{words:#x?}",
                list(original),
                list(&mutant)
            );
        }
        self.tally.equal += 1;
        if self.rng.one_in(self.ask_one_in) {
            self.sample.push((original.clone(), mutant, true));
        }
    }

    /// Asks z3 about the sample, and says what was seen.
    fn finish(mut self, what: &str) -> Tally {
        if smt::is_there() {
            for (original, mutant, equal) in &self.sample {
                match smt::compare(original, mutant) {
                    Answer::Equal => {
                        assert!(equal, "z3: equal:\n{}\n{}", list(original), list(mutant))
                    }
                    Answer::Differ(words) => {
                        let (one, other) =
                            (original.run(&words, SHIFTS), mutant.run(&words, SHIFTS));
                        assert_ne!(one, other, "z3's own example: {words:#x?}");
                        assert!(
                            !equal,
                            "z3: differ on {words:#x?}:\n{}\n{}",
                            list(original),
                            list(mutant)
                        );
                    }
                    Answer::Unknown => {
                        self.tally.unknown += 1;
                        continue;
                    }
                }
                self.tally.asked += 1;
            }
        }
        let Tally { refused, differing, equal, too_complex, asked, unknown } = self.tally;
        println!(
            "{what}: {} mutants: {differing} differ and show it, {equal} are equal, \
             {too_complex} too complex ({refused} more are no programs); z3 agrees on {asked}, \
             gives up on {unknown}",
            differing + equal + too_complex
        );
        self.tally
    }
}

/// A manager with the meaning of the original.
struct Bench {
    manager: Manager,
    meaning: Diagram,
}

impl Bench {
    fn new(original: &Program) -> Result<Bench, TooComplex> {
        let mut manager = Manager::with_limit(*original.layout(), LIMIT);
        let meaning = manager.program(original, SHIFTS)?;
        Ok(Bench { manager, meaning })
    }

    /// Whether the mutant means the same. Where it does not, the witness of the difference must
    /// show it, and each diagram must know its program's answer.
    fn compare(&mut self, original: &Program, mutant: &Program) -> Result<bool, TooComplex> {
        let meaning = self.manager.program(mutant, SHIFTS)?;
        if meaning == self.meaning {
            return Ok(true);
        }
        let difference = self.manager.differ(self.meaning, meaning)?;
        let data = self.manager.witness(difference).expect("unequal diagrams differ somewhere");
        let words = data.words(original.layout().byte_order);
        let [one, other] =
            [(original, self.meaning), (mutant, meaning)].map(|(program, meaning)| {
                let answer = program.run(&words, SHIFTS);
                assert_eq!(
                    self.manager.decide(meaning, &data),
                    answer,
                    "{}\n{data:#x?}",
                    list(program)
                );
                answer
            });
        assert_ne!(
            one,
            other,
            "found different:\n{}\n{}\n{data:#x?}",
            list(original),
            list(mutant)
        );
        Ok(false)
    }
}

#[test]
fn mutants_of_the_docker_default() {
    let text = builtin::named("docker-default").unwrap().text;
    let policy = profile::read(text, Some(Dialect::Docker)).policy.unwrap();
    let target = Target {
        native: Abi::X86_64,
        abis: None,
        capabilities: CapabilitySet::DOCKER_DEFAULT,
        kernel: KernelVersion::new(6, 18),
        newer: NewerCalls::Enosys,
    };
    let ruleset = policy.resolve(&target).ruleset.unwrap();
    let program = callgate_compile::compile(&ruleset).unwrap().into_program();
    let (one_in, ask_one_in) = if is_full() { (1, 20) } else { (10, 4) };
    let mut judge = Judge::new(1, one_in, ask_one_in);
    judge.mutate(&program);
    let tally = judge.finish("docker-default");
    assert!(tally.differing > 5 * (tally.equal + tally.too_complex) && tally.equal > 0);
}

#[test]
fn mutants_of_random_rulesets() {
    const LITTLE: &[Abi] = &[Abi::X86_64, Abi::X86, Abi::X32, Abi::Aarch64, Abi::Mipsel64n32];
    const BIG: &[Abi] = &[Abi::S390x, Abi::S390, Abi::Ppc64, Abi::Mips64n32];
    let (one_in, ask_one_in) = if is_full() { (1, 1_000) } else { (8, 40) };
    let mut judge = Judge::new(2, one_in, ask_one_in);
    for round in 0..if is_full() { 600 } else { 24 } {
        let abis = if round % 2 == 0 { LITTLE } else { BIG };
        let shape = Shape { abis, first_number: 0, numbers: 3, rules: 3, default: None };
        let ruleset = rulesets::ruleset(&mut judge.rng, &shape);
        let program = callgate_compile::compile(&ruleset).unwrap().into_program();
        judge.mutate(&program);
    }
    let tally = judge.finish("random rulesets");
    assert!(tally.differing > tally.equal && tally.equal > 0);
}

/// Not only what the compiler writes: every opcode, arithmetic on words of the context included.
#[test]
fn mutants_of_random_programs() {
    let (one_in, ask_one_in) = if is_full() { (1, 500) } else { (12, 40) };
    let mut judge = Judge::new(3, one_in, ask_one_in);
    for round in 0..if is_full() { 2_000 } else { 100 } {
        let order = if round % 2 == 0 { ByteOrder::Little } else { ByteOrder::Big };
        let layout = Layout::seccomp(order);
        let instructions = generate::valid_program(&mut judge.rng, &layout, 20);
        // Multiplication and division of unknown words are too complex more often than not, and
        // would take the time of all others.
        let heavy = |i: &Instruction| {
            use callgate_bpf::AluOp::{Div, Mul};
            matches!(i.decode(), Some(Op::Alu(Mul | Div, _)))
        };
        if !is_full() && instructions.iter().any(heavy) {
            continue;
        }
        judge.mutate(&Program::new(instructions, layout).unwrap());
    }
    let tally = judge.finish("random programs");
    assert!(tally.differing > 0 && tally.equal > 0);
}
