//! The verdict diagrams: how long they take, how large they are.

use std::{hint::black_box, time::Duration};

use callgate_bpf::{MAX_INSTRUCTIONS, Program, ShiftRule};
use callgate_verdict::{Diagram, Manager, TooComplex};

use crate::{
    Result,
    driver::Peer,
    long::{self, Shape},
    peak::{self, Task},
    report::{Quantity, Row, Section},
    subject::{Alike, Subject},
    timing::{Samples, time},
};

const POLICY_LIMIT: Duration = Duration::from_millis(20);
const OWN_GOAL: Duration = Duration::from_micros(1_200);
const FORMS_LIMIT: Duration = Duration::from_millis(50);
const LONG_LIMIT: Duration = Duration::from_secs(1);
const MEMORY_LIMIT: usize = 64_000_000;

/// # Errors
///
/// When a diagram cannot be made of what must have one.
pub fn measure(subject: &Subject, alike: &Alike, peers: &[Peer], repeat: usize) -> Result<Section> {
    let mut section = Section::new("The proof: diagrams, and whether they are one");
    own(&mut section, subject, repeat)?;
    for peer in peers {
        against_rules(&mut section, alike, peer, repeat)?;
    }
    if let [linear, tree] = peers {
        forms(&mut section, linear, tree, repeat)?;
    }
    for shape in Shape::ALL {
        longest(&mut section, shape, repeat.div_ceil(10))?;
    }
    Ok(section)
}

/// Callgate's own program, with which every start is proved.
fn own(section: &mut Section, subject: &Subject, repeat: usize) -> Result<()> {
    let mut samples = Samples::default();
    let mut nodes = 0;
    for _ in 0..repeat {
        let (elapsed, outcome) = time(|| -> Result<_> {
            let mut manager = Manager::new(*subject.program.layout());
            let rules = manager.ruleset(&subject.ruleset)?;
            Ok((rules == diagram(&mut manager, &subject.program)?, manager.node_count()))
        });
        let (same, count) = outcome?;
        if !same {
            return Err("callgate's program is not what the rules say".into());
        }
        samples.add(elapsed);
        nodes = count;
    }
    section.add(
        Row::times("rules and callgate's program", &samples)
            .target("under 1.2 ms", samples.median() < OWN_GOAL),
    );
    section.add(Row::new("  nodes", Quantity::Count(nodes)));
    memory(section, Task::Start)
}

fn against_rules(section: &mut Section, alike: &Alike, peer: &Peer, repeat: usize) -> Result<()> {
    let mut samples = Samples::default();
    let mut nodes = 0;
    for _ in 0..repeat {
        let (elapsed, outcome) = time(|| -> Result<_> {
            let mut manager = Manager::new(*peer.program.layout());
            let rules = manager.ruleset(&alike.ruleset)?;
            let same = rules == diagram(&mut manager, &peer.program)?;
            Ok((black_box(same), manager.node_count()))
        });
        samples.add(elapsed);
        nodes = outcome?.1;
    }
    section.add(
        Row::times(
            format!("rules and {}'s {} instructions", peer.name, peer.program.len()),
            &samples,
        )
        .target("under 20 ms", samples.median() < POLICY_LIMIT),
    );
    section.add(Row::new("  nodes", Quantity::Count(nodes)));
    Ok(())
}

/// The two forms in which libseccomp writes one filter.
fn forms(section: &mut Section, linear: &Peer, tree: &Peer, repeat: usize) -> Result<()> {
    let mut samples = Samples::default();
    let mut equal = false;
    for _ in 0..repeat {
        let (elapsed, outcome) = time(|| -> Result<_> {
            let mut manager = Manager::new(*linear.program.layout());
            let linear = diagram(&mut manager, &linear.program)?;
            Ok(linear == diagram(&mut manager, &tree.program)?)
        });
        samples.add(elapsed);
        equal = outcome?;
    }
    section.add(
        Row::times("libseccomp's two forms of it", &samples)
            .target("under 50 ms", samples.median() < FORMS_LIMIT),
    );
    section.add(Row::new("  proved equal", Quantity::Answer(equal)).target("yes", equal));
    memory(section, Task::Compare(&linear.file, &tree.file))
}

fn longest(section: &mut Section, shape: Shape, repeat: usize) -> Result<()> {
    const TARGET: &str = "under 1 s";
    let what = format!("4096 instructions, {}", shape.name());
    let program = long::program(shape, MAX_INSTRUCTIONS);
    let mut samples = Samples::default();
    let mut nodes = 0;
    for _ in 0..repeat {
        let mut manager = Manager::new(*program.layout());
        let (elapsed, outcome) = time(|| manager.program(&program, ShiftRule::default()));
        if let Err(why) = outcome {
            let _: TooComplex = why;
            section.add(
                Row::new(what, Quantity::None("too complex".to_owned())).target(TARGET, false),
            );
            section.add(Row::new("  after", Quantity::Time(elapsed)));
            return Ok(());
        }
        samples.add(elapsed);
        nodes = manager.node_count();
    }
    section.add(Row::times(what, &samples).target(TARGET, samples.median() < LONG_LIMIT));
    section.add(Row::new("  nodes", Quantity::Count(nodes)));
    memory(section, Task::Long(shape))
}

fn memory(section: &mut Section, task: Task<'_>) -> Result<()> {
    let peak = peak::of(task)?;
    section.add(
        Row::new("  peak memory of the process", Quantity::Bytes(peak))
            .target("under 64 MB", peak < MEMORY_LIMIT),
    );
    Ok(())
}

fn diagram(manager: &mut Manager, program: &Program) -> Result<Diagram> {
    Ok(manager.program(program, ShiftRule::default())?)
}
