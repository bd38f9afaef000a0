//! What the compiler makes of real policies: lengths and instructions executed.
//!
//! `cargo run -p callgate-compile --example measure`. `ONLY=part-of-a-name` leaves the others out,
//! `LIST=name` prints a program, `MANY=1` measures rules by the thousand instead.

use std::{collections::BTreeMap, env, fs, path::PathBuf, time::Instant};

use callgate_bpf::{Action, Program, SeccompData, ShiftRule, SyscallNr};
use callgate_compile::{Goal, Options, Weights, compile_with, statistics};
use callgate_policy::{
    AbiRules, ArgIndex, Comparison, Dialect, NewerCalls, Rule, Ruleset, Target, Test, builtin,
    formats::profile, json,
};
use callgate_syscalls::{Abi, CapabilitySet, KernelVersion};
use callgate_verdict::Manager;

fn docker(abis: Option<Vec<Abi>>, newer: NewerCalls) -> Ruleset {
    let text = builtin::named("docker-default").unwrap().text;
    let policy = profile::read(text, Some(Dialect::Docker)).policy.unwrap();
    let target = Target {
        native: Abi::X86_64,
        abis,
        capabilities: CapabilitySet::DOCKER_DEFAULT,
        kernel: KernelVersion::new(6, 18),
        newer,
    };
    policy.resolve(&target).ruleset.unwrap()
}

fn data(name: &str) -> Option<String> {
    let folder = env::var_os("CALLGATE_TEST_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let path = folder.join(name);
    let text = fs::read_to_string(&path).ok();
    if text.is_none() {
        println!("skipped: no {}; set CALLGATE_TEST_DATA", path.display());
    }
    text
}

fn firecracker(text: &str, thread: &str) -> Ruleset {
    let document = json::parse(text).unwrap();
    fn member<'d>(value: json::Value<'d>, key: &str) -> Option<json::Value<'d>> {
        value.members().find(|(k, _)| k.as_str().as_deref() == Some(key)).map(|(_, v)| v)
    }
    let filter = member(document.root(), thread).unwrap();
    let mut rules: BTreeMap<SyscallNr, Vec<Rule>> = BTreeMap::new();
    for (entry, rule) in member(filter, "filter").unwrap().elements().enumerate() {
        let name = member(rule, "syscall").unwrap().as_str().unwrap();
        let nr = Abi::X86_64.number(&name).unwrap();
        let mut comparisons = Vec::new();
        if let Some(args) = member(rule, "args").filter(|args| !args.is_null()) {
            for arg in args.elements() {
                let index = member(arg, "index").unwrap().as_u64().unwrap();
                let index = ArgIndex::new(u8::try_from(index).unwrap()).unwrap();
                let value = member(arg, "val").unwrap().as_u64().unwrap();
                let op = member(arg, "op").unwrap();
                let test = match op.as_str().as_deref() {
                    Some("eq") => Test::Eq(value),
                    None => {
                        let mask = member(op, "masked_eq").unwrap().as_u64().unwrap();
                        Test::MaskedEq { mask, value }
                    }
                    other => panic!("{other:?}"),
                };
                comparisons.push(Comparison::low32(index, test));
            }
        }
        rules.entry(nr).or_default().push(Rule { action: Action::Allow, comparisons, entry });
    }
    let default = Action::Trap(0);
    Ruleset {
        // Its own compiler gives x32 the default, and ends who comes with another architecture.
        abis: vec![
            AbiRules { abi: Abi::X86_64, default, rules, newer: None },
            AbiRules { abi: Abi::X32, default, rules: BTreeMap::new(), newer: None },
        ],
        other: Action::KillProcess,
        flags: Vec::new(),
    }
}

fn executed(program: &Program, data: &SeccompData) -> usize {
    let words = data.words(program.layout().byte_order);
    program.run_traced(&words, ShiftRule::default()).path.len()
}

fn frequencies() -> Option<BTreeMap<String, u64>> {
    let text = data("syscall-frequency.txt")?;
    let lines = text.lines().filter_map(|line| {
        let (name, count) = line.split_once(':')?;
        Some((name.trim().to_owned(), count.trim().parse().ok()?))
    });
    Some(lines.collect())
}

fn show(name: &str, ruleset: &Ruleset, options: &Options, counts: Option<&BTreeMap<String, u64>>) {
    if env::var("ONLY").is_ok_and(|only| !name.contains(&only)) {
        return;
    }
    let compiled = match compile_with(ruleset, options) {
        Ok(compiled) => compiled,
        Err(error) => return println!("{name}: {error}"),
    };
    let program = compiled.program();
    let least = |work: &mut dyn FnMut()| {
        (0..30)
            .map(|_| {
                let start = Instant::now();
                work();
                start.elapsed()
            })
            .min()
            .unwrap_or_default()
    };
    let all = least(&mut || drop(compile_with(ruleset, options)));
    let proof = least(&mut || {
        let mut manager = Manager::new(*program.layout());
        let rules = manager.ruleset(ruleset).unwrap();
        assert_eq!(manager.program(program, ShiftRule::default()).unwrap(), rules);
    });
    println!(
        "{name}: {} instructions, path cost {}, compiled in {:?}, proved in {proof:?}",
        program.len(),
        program.path_cost(),
        all.saturating_sub(proof)
    );
    for (abi, table) in statistics(program, ruleset).iter().zip(&ruleset.abis) {
        let (sum, count) = abi.executed;
        let refused: Vec<usize> = abi
            .abi
            .syscalls()
            .filter(|(nr, _)| {
                !table.rules.contains_key(nr) && table.newer.is_none_or(|newer| !newer.takes(*nr))
            })
            .map(|(nr, _)| executed(program, &SeccompData::new(abi.abi.audit(), nr)))
            .collect();
        let blend = counts.map_or(0.0, |counts| {
            let (mut sum, mut total) = (0.0, 0.0);
            for (name, &count) in counts {
                if let Some(nr) = abi.abi.number(name) {
                    let n = executed(program, &SeccompData::new(abi.abi.audit(), nr));
                    sum += n as f64 * count as f64;
                    total += count as f64;
                }
            }
            sum / total
        });
        println!(
            "   {:7} named {count} mean {:.2}, refused {} mean {:.2}, worst {}, blend {blend:.2}, cached {}/{}",
            abi.abi.name(),
            sum as f64 / count as f64,
            refused.len(),
            refused.iter().sum::<usize>() as f64 / refused.len() as f64,
            abi.worst,
            abi.cached,
            abi.allowed,
        );
    }
    if env::var_os("LIST").is_some_and(|v| v == name) {
        println!("{}", callgate_bpf::disasm::Listing::new(program));
    }
}

/// Rules by the thousand, as far as a program can hold them and further.
fn many() -> Vec<(&'static str, Ruleset)> {
    let table = |rules: Vec<(u32, Vec<Comparison>)>| {
        let mut numbers: BTreeMap<SyscallNr, Vec<Rule>> = BTreeMap::new();
        for (entry, (nr, comparisons)) in rules.into_iter().enumerate() {
            let rule = Rule { action: Action::Allow, comparisons, entry };
            numbers.entry(SyscallNr(nr)).or_default().push(rule);
        }
        let default = Action::Errno(1);
        Ruleset {
            abis: vec![AbiRules { abi: Abi::X86_64, default, rules: numbers, newer: None }],
            other: Action::KillProcess,
            flags: Vec::new(),
        }
    };
    let full = |arg: u8, value: u32| {
        Comparison::full(ArgIndex::new(arg).unwrap(), Test::Eq(u64::from(value)))
    };
    let spread = |i: u32| i.wrapping_mul(2_654_435_761) >> 8;
    vec![
        ("4000 of one call", table((0..4000).map(|i| (5, vec![full(0, spread(i))])).collect())),
        ("3000 of one call", table((0..3000).map(|i| (5, vec![full(0, spread(i))])).collect())),
        (
            "4000 of 300 calls",
            table((0..4000).map(|i| (i % 300, vec![full(1, spread(i))])).collect()),
        ),
        ("4000 numbers", table((0..4000).map(|i| (2 * i, Vec::new())).collect())),
        (
            "1000 of 300 calls, two arguments",
            table(
                (0..1000)
                    .map(|i| (i % 300, vec![full(0, spread(i) & 7), full(1, spread(i) >> 4)]))
                    .collect(),
            ),
        ),
        (
            "4000 of one call, two arguments",
            table(
                (0..4000).map(|i| (5, vec![full(0, i / 64), full(1, spread(i) & 255)])).collect(),
            ),
        ),
    ]
}

fn main() {
    if env::var_os("MANY").is_some() {
        for (name, ruleset) in many() {
            if env::var("ONLY").is_ok_and(|only| !name.contains(&only)) {
                continue;
            }
            let start = Instant::now();
            let outcome = compile_with(&ruleset, &Options::default());
            let took = start.elapsed();
            let outcome = match outcome {
                Ok(compiled) => format!("{} instructions", compiled.program().len()),
                Err(error) => error.to_string(),
            };
            println!("{name}: {took:?} with the proof: {outcome}");
        }
        return;
    }
    let counts = frequencies();
    let mut ways = vec![
        ("default", Options::default()),
        ("size", with(Goal::Size, Weights::default())),
        ("uniform", with(Goal::Speed, Weights::uniform())),
    ];
    if let Some(counts) = &counts {
        ways.push(("file", with(Goal::Speed, Weights::counted(counts.clone()))));
    }
    for (way, options) in ways {
        println!("== {way}");
        for newer in [NewerCalls::Default, NewerCalls::Enosys] {
            let enosys = if newer == NewerCalls::Enosys { "" } else { " no-enosys" };
            for (name, abis) in [("x86_64", Some(vec![Abi::X86_64])), ("three", None)] {
                let name = format!("docker {name}{enosys}");
                show(&name, &docker(abis, newer), &options, counts.as_ref());
            }
        }
        if let Some(text) = data("firecracker-x86_64.json") {
            for thread in ["vmm", "vcpu", "api"] {
                show(thread, &firecracker(&text, thread), &options, None);
            }
        }
    }
}

fn with(goal: Goal, weights: Weights) -> Options {
    let mut options = Options::default();
    (options.goal, options.weights) = (goal, weights);
    options
}
