//! The Docker default profile beside every contender: what the programs are and do.

use std::{hint::black_box, time::Duration};

use callgate_bpf::{Program, SeccompData, SyscallNr};
use callgate_policy::{NewerCalls, Ruleset, Target};
use callgate_syscalls::Abi;

use crate::{
    Result,
    counts::{executed, mean},
    inputs, optimum,
    own::{self, Frequencies, Good},
    peers::{Made, Peers, means},
    report::{Quantity, Report, Row, Section, float},
    subject::Subject,
    timing::{Samples, time},
};

/// What the best of all contenders is known to do, and a little better.
const INSTRUCTIONS: usize = 72;
const THREE_ABIS: usize = 242;
const NAMED: f64 = 8.8;
const REFUSED: f64 = 12.0;
const WORST: f64 = 17.0;
const WEIGHTED: f64 = 6.4;
const OVER_OPTIMUM: f64 = 1.02;

/// # Errors
///
/// When callgate cannot compile its own profile.
pub fn measure(
    subject: &Subject,
    peers: &Peers,
    report: &mut Report,
    repeat: usize,
) -> Result<Section> {
    let mut section = Section::new("docker-default for x86_64 alone, no ENOSYS for newer calls");
    let ruleset = subject.x86_64_alone()?;
    let mut made = peers.make(&ruleset);
    for one in &made {
        let name = format!("{}: means the same on x86_64", one.peer.name);
        section.add(Row::new(name, means(&ruleset, &one.peer.program)?));
    }
    let uniform = own::compile(&ruleset, Good::Uniform)?;
    let default = own::compile(&ruleset, Good::Default)?;
    let programs: Vec<(&str, &Program)> =
        [("callgate, all calls alike", &uniform), ("callgate", &default)]
            .into_iter()
            .chain(theirs(&made))
            .collect();

    let calls = Inputs::new(&ruleset);
    let limit = Some(float(INSTRUCTIONS));
    beside(&mut section, "instructions", &programs, limit, |p| Quantity::Count(p.len()));
    let what = format!("executed for {} named calls", calls.named.len());
    beside(&mut section, &what, &programs, Some(NAMED), |p| average(p, &calls.named));
    let what = format!("executed for {} refused numbers", calls.refused.len());
    beside(&mut section, &what, &programs, Some(REFUSED), |p| average(p, &calls.refused));
    beside(&mut section, "executed at worst", &programs, Some(WORST), |program| {
        let worst = calls.boundaries.iter().map(|data| executed(program, data)).max();
        Quantity::Count(worst.unwrap_or(0))
    });
    match own::frequencies() {
        Ok(often) => {
            let weighted = own::compile(&ruleset, Good::Often(&often))?;
            let programs: Vec<_> =
                [("callgate, told how often", &weighted), ("callgate", &default)]
                    .into_iter()
                    .chain(theirs(&made))
                    .collect();
            frequent(&mut section, &ruleset, &programs, &often);
        }
        Err(why) => report.missing(format!("executed as often as calls are made: {why}")),
    }
    making(&mut section, &ruleset, &mut made, repeat)?;
    let target = Target { newer: NewerCalls::Default, ..subject.target.clone() };
    let three = subject.policy.resolve(&target).ruleset.ok_or("docker-default")?;
    let three = own::compile(&three, Good::Uniform)?;
    section.add(
        Row::new("instructions for x86_64, x86 and x32: callgate", Quantity::Count(three.len()))
            .target(&format!("at most {THREE_ABIS}"), three.len() <= THREE_ABIS),
    );
    Ok(section)
}

/// Who made which program.
pub fn theirs(made: &[Made]) -> impl Iterator<Item = (&str, &Program)> {
    made.iter().map(|one| (one.peer.name.as_str(), &one.peer.program))
}

/// A row for each program; the first one has the target, if there is one, and the others are compared with it.
pub fn beside(
    section: &mut Section,
    what: &str,
    programs: &[(&str, &Program)],
    limit: Option<f64>,
    of: impl Fn(&Program) -> Quantity,
) {
    let mut first = None;
    for (name, program) in programs {
        let quantity = of(program);
        let number = quantity.number();
        let row = Row::new(format!("{what}: {name}"), quantity);
        section.add(match first {
            None => match limit {
                Some(limit) => {
                    let met = number.is_some_and(|number| number <= limit);
                    row.target(&format!("at most {limit}"), met)
                }
                None => row,
            },
            Some(own) => row.against(own),
        });
        first = first.or(number);
    }
}

/// From rules to a program, callgate's with the proof; in turn.
fn making(
    section: &mut Section,
    ruleset: &Ruleset,
    made: &mut [Made],
    repeat: usize,
) -> Result<()> {
    let mut own = Samples::default();
    let mut theirs = vec![Samples::default(); made.len()];
    for _ in 0..repeat {
        let (elapsed, program) = time(|| own::compile(black_box(ruleset), Good::Default));
        black_box(program?);
        own.add(elapsed);
        for (one, samples) in made.iter_mut().zip(&mut theirs) {
            one.time()?.into_iter().for_each(|elapsed| samples.add(elapsed));
        }
    }
    let seconds = own.minimum().as_secs_f64();
    section.add(Row::times("made from rules: callgate, proved", &own));
    for (one, samples) in made.iter().zip(&theirs) {
        let what = format!("made from rules: {}", one.peer.name);
        section.add(match samples.minimum() {
            Duration::ZERO => Row::new(what, Quantity::None("not known".to_owned())),
            _ => Row::times(what, samples).against(seconds),
        });
    }
    Ok(())
}

/// Calls as often as they are made, and the least that they can take.
fn frequent(
    section: &mut Section,
    ruleset: &Ruleset,
    programs: &[(&str, &Program)],
    often: &Frequencies,
) {
    let calls: Vec<(SeccompData, f64)> = often
        .iter()
        .filter_map(|(name, &count)| {
            let data = call(Abi::X86_64.number(name)?);
            Some((data, u32::try_from(count).map_or(f64::MAX, f64::from)))
        })
        .collect();
    let total: f64 = calls.iter().map(|(_, weight)| weight).sum();
    let weighted = |program: &Program| {
        calls.iter().map(|(data, weight)| float(executed(program, data)) * weight).sum::<f64>()
            / total
    };
    beside(section, "executed, as often as calls are made", programs, Some(WEIGHTED), |program| {
        Quantity::Mean(weighted(program))
    });
    if let (Some(least), Some((_, own))) = (optimum::executed(ruleset, often), programs.first()) {
        let what = "executed, as often as calls are made: the optimum";
        section.add(Row::new(what, Quantity::Mean(least)));
        let ratio = weighted(own) / least;
        section.add(
            Row::new("  callgate's, told how often, to the optimum", Quantity::Ratio(ratio))
                .target(&format!("at most {OVER_OPTIMUM}"), ratio <= OVER_OPTIMUM),
        );
    }
}

/// Calls of x86_64 to try programs on.
struct Inputs {
    /// One of each number that the rules name.
    named: Vec<SeccompData>,
    /// One of each other number up to the last that there is.
    refused: Vec<SeccompData>,
    /// With arguments at the boundaries of the rules, too.
    boundaries: Vec<SeccompData>,
}

impl Inputs {
    fn new(ruleset: &Ruleset) -> Inputs {
        let table = &ruleset.abis[0];
        let last = table.abi.syscalls().map(|(number, _)| number.0).max().unwrap_or(0);
        let numbers = (0..=last).map(SyscallNr);
        let (named, refused): (Vec<_>, Vec<_>) =
            numbers.partition(|number| table.rules.contains_key(number));
        let boundaries = inputs::of(ruleset);
        let boundaries = boundaries.iter().flat_map(|calls| calls.all().map(|(data, _)| *data));
        let boundaries = boundaries.chain(refused.iter().copied().map(call)).collect();
        let calls = |numbers: Vec<SyscallNr>| numbers.into_iter().map(call).collect();
        Inputs { named: calls(named), refused: calls(refused), boundaries }
    }
}

fn call(number: SyscallNr) -> SeccompData {
    SeccompData::new(Abi::X86_64.audit(), number)
}

fn average(program: &Program, calls: &[SeccompData]) -> Quantity {
    mean(calls.iter().map(|data| executed(program, data)))
}
