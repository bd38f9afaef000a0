//! How long it takes from a profile's text to a program.

use std::{hint::black_box, time::Duration};

use callgate_bpf::ShiftRule;
use callgate_compile::compile;
use callgate_policy::{Dialect, Ruleset, formats::profile};
use callgate_verdict::Manager;

use crate::{
    Result,
    libseccomp::{LEVELS, Library},
    report::{Row, Section},
    subject::Subject,
    timing::{Samples, time},
};

/// What making the program must stay under, and how many times faster than libseccomp it must be.
const LIMIT: Duration = Duration::from_millis(1);
const FACTOR: f64 = 10.0;

/// Callgate's phases.
#[derive(Default)]
struct Phases {
    read: Samples,
    resolve: Samples,
    compile: Samples,
    proof: Samples,
    total: Samples,
}

/// # Errors
///
/// When the library refuses its rules.
pub fn measure(
    subject: &Subject,
    mut library: Option<&mut Library>,
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
    section.add(
        Row::times("callgate: read, resolve, compile, prove", &own.total)
            .target("under 1 ms", own.total.median() < LIMIT),
    );
    section.add(Row::times("  read the JSON", &own.read));
    section.add(Row::times("  resolve for the target", &own.resolve));
    section.add(Row::times("  compile, with the proof", &own.compile));
    section.add(Row::times("    the proof alone", &own.proof));
    if library.is_some() {
        for (level, [add, export, all]) in &theirs {
            let name = format!("libseccomp level {level}: rules and program, no JSON");
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
    phases.resolve.add(resolve);
    phases.compile.add(compiling);
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
