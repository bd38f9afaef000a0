//! Very many rules: how long it takes to compile and prove them, or to say that they are too many.

use std::{collections::BTreeMap, hint::black_box, time::Duration};

use callgate_bpf::{Action, Program, ShiftRule, SyscallNr};
use callgate_policy::{AbiRules, ArgIndex, Comparison, Rule, Ruleset, Test, Width};
use callgate_syscalls::Abi;
use callgate_verdict::Manager;

use crate::{
    Result,
    libseccomp::name,
    own::{self, Good},
    peers::Peers,
    report::{Quantity, Row, Section},
    timing::{Samples, time},
    words,
};

const COMPILE_LIMIT: Duration = Duration::from_millis(20);
const PROOF_LIMIT: Duration = Duration::from_millis(200);

/// How many system calls the rules are spread over.
const CALLS: u32 = 300;

/// What rules.
struct Shape {
    name: &'static str,
    rules: u32,
    arguments: u8,
    calls: u32,
}

const SHAPES: [Shape; 3] = [
    Shape { name: "4000 values of one argument of one call", rules: 4_000, arguments: 1, calls: 1 },
    Shape {
        name: "4000 rules of one argument over 300 calls",
        rules: 4_000,
        arguments: 1,
        calls: CALLS,
    },
    BESIDE,
];

/// That which libseccomp gets too, once: it takes seconds.
const BESIDE: Shape = Shape {
    name: "1000 rules of two arguments over 300 calls",
    rules: 1_000,
    arguments: 2,
    calls: CALLS,
};

/// # Errors
///
/// When a proof fails.
pub fn measure(peers: &Peers, repeat: usize) -> Result<Section> {
    let mut section = Section::new("Very many rules for x86_64");
    for shape in SHAPES {
        own(&mut section, shape.name, &ruleset(&shape), repeat.div_ceil(10))?;
    }
    if let Some(library) = peers.library() {
        let mut driver = library.with(&words::of_one_abi(&ruleset(&BESIDE)))?;
        let [adding, making] = driver.build(1)?;
        let what = format!("  {}, once", name(1));
        section.add(Row::new(what, Quantity::Time(adding + making)));
    }
    Ok(section)
}

fn own(section: &mut Section, what: &str, ruleset: &Ruleset, repeat: usize) -> Result<()> {
    let [mut compiling, mut proving] = [(); 2].map(|()| Samples::default());
    let mut length = None;
    for _ in 0..repeat {
        let (elapsed, compiled) = time(|| own::compile(black_box(ruleset), Good::Default));
        match compiled {
            Ok(program) => {
                length = Some(program.len());
                let (proof, proved) = time(|| prove(ruleset, &program));
                if !proved? {
                    return Err("the program is not what the rules say".into());
                }
                // The compiler has proved it too.
                compiling.add(elapsed.saturating_sub(proof));
                proving.add(proof);
            }
            Err(_) => compiling.add(elapsed),
        }
    }
    let row = Row::times(format!("{what}: compile"), &compiling);
    section.add(row.target("under 20 ms", compiling.median() < COMPILE_LIMIT));
    let Some(length) = length else {
        let why = Quantity::None("too large".to_owned());
        section.add(Row::new("  instructions", why));
        return Ok(());
    };
    let row = Row::times("  the proof", &proving);
    section.add(row.target("under 200 ms", proving.median() < PROOF_LIMIT));
    section.add(Row::new("  instructions", Quantity::Count(length)));
    Ok(())
}

fn prove(ruleset: &Ruleset, program: &Program) -> Result<bool> {
    let mut manager = Manager::new(*program.layout());
    let rules = manager.ruleset(ruleset)?;
    Ok(rules == manager.program(program, ShiftRule::default())?)
}

/// Rules that allow values without a pattern, the same in each run.
fn ruleset(shape: &Shape) -> Ruleset {
    let abi = Abi::X86_64;
    let mut rules: BTreeMap<SyscallNr, Vec<Rule>> = BTreeMap::new();
    for index in 0..shape.rules {
        let comparison = |argument: u8| Comparison {
            arg: ArgIndex::ALL[usize::from(argument)],
            width: Width::Full,
            test: Test::Eq(value(index, argument)),
        };
        let comparisons = (0..shape.arguments).map(comparison).collect();
        let rule = Rule { action: Action::Allow, comparisons, entry: 0 };
        rules.entry(SyscallNr(index % shape.calls)).or_default().push(rule);
    }
    let table = AbiRules { abi, default: Action::Errno(1), rules, newer: None };
    Ruleset { abis: vec![table], other: Action::KillThread, flags: Vec::new() }
}

/// Below 2^20, as flags and commands are; different for each index.
fn value(index: u32, argument: u8) -> u64 {
    // A multiplication by an odd number takes no two indices to one value.
    let mixed = index.wrapping_mul(0x9_e3b1).wrapping_add(u32::from(argument) * 0x1_2345);
    u64::from(mixed & 0xf_ffff)
}
