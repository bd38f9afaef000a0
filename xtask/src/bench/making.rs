//! How long it takes from a profile's text to a program.

use std::{hint::black_box, time::Duration};

use callgate_bpf::ShiftRule;
use callgate_compile::compile;
use callgate_policy::{Dialect, Ruleset, formats::profile};
use callgate_verdict::Manager;

use crate::{
    Result,
    driver::Driver,
    libseccomp::{LEVELS, name},
    report::{Row, Section},
    subject::Subject,
    timing::{Samples, time},
};

/// What making the program must stay under, and how many times faster than libseccomp it must be.
const LIMIT: Duration = Duration::from_millis(1);
const READ_LIMIT: Duration = Duration::from_micros(300);
const MAKING_LIMIT: Duration = Duration::from_micros(500);
const PROOF_LIMIT: Duration = Duration::from_micros(1_200);
const FACTOR: f64 = 10.0;

/// Callgate's phases.
#[derive(Default)]
struct Phases {
    read: Samples,
    /// Without the proof.
    making: Samples,
    proof: Samples,
    total: Samples,
}

/// # Errors
///
/// When the library refuses its rules.
pub fn measure(
    subject: &Subject,
    mut library: Option<&mut Driver>,
    repeat: usize,
) -> Result<Section> {
    let mut own = Phases::default();
    let mut theirs = LEVELS.map(|level| (level, <[Samples; 3]>::default()));
    // In turn, so that a busy moment of the machine does not fall on one contender alone.
    for _ in 0..repeat {
        once(subject, &mut own)?;
        let Some(library) = library.as_deref_mut() else { continue };
        for (level, [add, export, total]) in &mut theirs {
            let [adding, exporting] = library.build(*level)?;
            add.add(adding);
            export.add(exporting);
            total.add(adding + exporting);
        }
    }

    let mut section = Section::new("Making the program of docker-default (x86_64, x86, x32)");
    let total = own.total.minimum().as_secs_f64();
    for (name, samples, limit) in [
        ("callgate: read, resolve, compile, prove", &own.total, LIMIT),
        ("  read the JSON", &own.read, READ_LIMIT),
        ("  resolve for the target, and compile", &own.making, MAKING_LIMIT),
        ("  prove", &own.proof, PROOF_LIMIT),
    ] {
        let target = format!("under {} µs", limit.as_micros());
        section.add(Row::times(name, samples).target(&target, samples.median() < limit));
    }
    if library.is_some() {
        for (level, [add, export, all]) in &theirs {
            let name = format!("{}: rules and program, no JSON", name(*level));
            let row = Row::times(name, all).against(total);
            let met = row.ratio().is_some_and(|ratio| ratio >= FACTOR);
            section.add(row.target("at least 10 times", met));
            section.add(Row::times("  add the rules", add));
            section.add(Row::times("  make the program", export));
        }
    }
    Ok(section)
}

fn once(subject: &Subject, phases: &mut Phases) -> Result<()> {
    let (read, reading) = time(|| profile::read(black_box(subject.text), Some(Dialect::Docker)));
    let policy = reading.policy.ok_or("docker-default cannot be read")?;
    let (resolve, resolution) = time(|| policy.resolve(black_box(&subject.target)));
    let ruleset = resolution.ruleset.ok_or("docker-default cannot be resolved")?;
    let (compiling, compiled) = time(|| compile(black_box(&ruleset)));
    black_box(compiled?);
    let (proof, proved) = time(|| prove(black_box(&ruleset), subject));
    if !proved? {
        return Err("the program is not what the rules say".into());
    }
    phases.read.add(read);
    phases.making.add(resolve + compiling.saturating_sub(proof));
    phases.proof.add(proof);
    phases.total.add(read + resolve + compiling);
    Ok(())
}

/// What the compiler does to prove its program.
fn prove(ruleset: &Ruleset, subject: &Subject) -> Result<bool> {
    let mut manager = Manager::new(*subject.program.layout());
    let rules = manager.ruleset(ruleset)?;
    let program = manager.program(&subject.program, ShiftRule::default())?;
    Ok(rules == program)
}
