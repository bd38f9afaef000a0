//! Firecracker's own filters, from the texts that it ships: many conditions on arguments.

use callgate_bpf::{Action, Program};
use callgate_policy::{AbiRules, ArgIndex, Comparison, Rule, Ruleset, Test, Width};
use callgate_syscalls::Abi;
use serde_json::Value;

use crate::{
    Result,
    counts::executed,
    docker::{beside, theirs},
    inputs,
    own::{self, Good},
    peers::{Peers, means},
    report::{Quantity, Row, Section, float},
};

/// A thread's filter: its key, how many instructions it may have, and how many may run.
const FILTERS: [(&str, usize, Option<usize>); 3] =
    [("vmm", 111, Some(15)), ("vcpu", 76, None), ("api", 60, None)];

/// # Errors
///
/// When there is no such text, or a filter in it cannot be read or compiled.
pub fn measure(peers: &Peers) -> Result<Section> {
    let mut section = Section::new("Firecracker's filters for x86_64");
    let text: Value = serde_json::from_str(&own::data("firecracker-x86_64.json")?)?;
    for (name, instructions, worst) in FILTERS {
        let ruleset = ruleset(&text[name]).ok_or_else(|| format!("no filter `{name}`"))?;
        filter(&mut section, peers, name, &ruleset, (instructions, worst))?;
    }
    Ok(section)
}

fn filter(
    section: &mut Section,
    peers: &Peers,
    name: &str,
    ruleset: &Ruleset,
    (instructions, worst): (usize, Option<usize>),
) -> Result<()> {
    let made = peers.make(ruleset);
    for one in &made {
        let what = format!("{name}: {} means the same on x86_64", one.peer.name);
        section.add(Row::new(what, means(ruleset, &one.peer.program)?));
    }
    let own = own::compile(ruleset, Good::Default)?;
    let short = own::compile(ruleset, Good::Short)?;
    let programs: Vec<(&str, &Program)> =
        [("callgate", &own), ("callgate, told to be short", &short)]
            .into_iter()
            .chain(theirs(&made))
            .collect();
    let what = format!("{name}: instructions");
    beside(section, &what, &programs, Some(float(instructions)), |p| Quantity::Count(p.len()));
    let calls = inputs::of(ruleset);
    beside(
        section,
        &format!("{name}: executed at worst"),
        &programs,
        worst.map(float),
        |program| {
            let all = calls.iter().flat_map(|calls| calls.all());
            Quantity::Count(all.map(|(data, _)| executed(program, data)).max().unwrap_or(0))
        },
    );
    Ok(())
}

/// The rules of a filter. x32's numbers get the default, as from the compiler that Firecracker had
/// of its own; libseccomp and Kafel end their threads, for one or two instructions more.
fn ruleset(filter: &Value) -> Option<Ruleset> {
    let action = |key: &str| match filter[key].as_str()? {
        "allow" => Some(Action::Allow),
        "trap" => Some(Action::Trap(0)),
        _ => None,
    };
    let (default, taken) = (action("default_action")?, action("filter_action")?);
    let abi = Abi::X86_64;
    let mut table = AbiRules { abi, default, rules: Default::default(), newer: None };
    for entry in filter["filter"].as_array()? {
        let number = abi.number(entry["syscall"].as_str()?)?;
        let arguments = entry["args"].as_array().map(Vec::as_slice).unwrap_or_default();
        let comparisons = arguments.iter().map(comparison).collect::<Option<_>>()?;
        table.rules.entry(number).or_default().push(Rule { action: taken, comparisons, entry: 0 });
    }
    for rules in table.rules.values_mut() {
        // What always holds decides, whatever stands beside it.
        if let Some(always) = rules.iter().position(Rule::is_unconditional) {
            rules.swap(0, always);
            rules.truncate(1);
        }
    }
    let x32 = AbiRules { abi: Abi::X32, default, rules: Default::default(), newer: None };
    Some(Ruleset { abis: vec![table, x32], other: Action::KillThread, flags: Vec::new() })
}

fn comparison(argument: &Value) -> Option<Comparison> {
    let value = argument["val"].as_u64()?;
    let test = match &argument["op"] {
        Value::String(op) if op == "eq" => Test::Eq(value),
        Value::Object(op) => Test::MaskedEq { mask: op.get("masked_eq")?.as_u64()?, value },
        _ => return None,
    };
    let width = match argument["type"].as_str()? {
        "dword" => Width::Low32,
        "qword" => Width::Full,
        _ => return None,
    };
    let arg = ArgIndex::new(u8::try_from(argument["index"].as_u64()?).ok()?)?;
    Some(Comparison { arg, width, test })
}
