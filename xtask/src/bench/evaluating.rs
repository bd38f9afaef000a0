//! What the interpreter does in a second, and what a file of calls takes beside it.

use std::{fmt::Write, fs, hint::black_box, path::Path, time::Duration};

use callgate_bpf::{ByteOrder, MAX_INSTRUCTIONS, Program, ShiftRule};

use crate::{
    Result,
    driver::Peer,
    folder::Folder,
    inputs::{self, Calls},
    long::{self, Shape},
    report::{Quantity, Row, Section, float},
    start::{callgate, command, ended},
    subject::{Alike, Subject},
    timing::{Samples, time},
};

/// Calls of the mixed set: more than a processor remembers the ways of, and still in its cache.
const MIXED: usize = 1 << 14;

/// Lines of the file of calls.
const LINES: usize = 100_000;

/// A call as a program loads it.
type Words = [u32; 16];

/// # Errors
///
/// When the command does not end as it should.
pub fn measure(subject: &Subject, alike: &Alike, peers: &[Peer], repeat: usize) -> Result<Section> {
    let mut section = Section::new("Evaluating calls, on one core");
    let calls = inputs::of(&alike.ruleset);
    let order = alike.program.layout().byte_order;
    let all: Vec<Words> =
        calls.iter().flat_map(Calls::all).map(|(data, _)| data.words(order)).collect();
    let mixed: Vec<Words> = picks(all.len()).take(MIXED).map(|pick| all[pick]).collect();
    let longest = long::program(Shape::FallsThrough, MAX_INSTRUCTIONS);
    let own = ("callgate", &alike.program);
    let others = peers.iter().map(|peer| (peer.name.as_str(), &peer.program));
    for (name, program) in [own].into_iter().chain(others).chain([("the longest", &longest)]) {
        interpreter(&mut section, name, program, &mixed, repeat);
    }
    batch(&mut section, subject, &calls, repeat.div_ceil(20))?;
    Ok(section)
}

/// One program: over calls in no order, and over one of them again and again.
fn interpreter(
    section: &mut Section,
    name: &str,
    program: &Program,
    mixed: &[Words],
    repeat: usize,
) {
    let executed = |words: &Words| program.run_traced(words, ShiftRule::default()).path.len();
    let lengths: Vec<usize> = mixed.iter().map(executed).collect();
    let mean = float(lengths.iter().sum()) / float(mixed.len());
    // The one of them whose way is nearest to the mean.
    let nearest = (0..mixed.len()).min_by(|&a, &b| {
        let off = |index: usize| (float(lengths[index]) - mean).abs();
        off(a).total_cmp(&off(b))
    });
    let same = nearest.unwrap_or(0);
    let repeated = vec![mixed[same]; mixed.len()];
    let (in_no_order, again) = (run(program, mixed, repeat), run(program, &repeated, repeat));
    let rate = |time: Duration| Quantity::Rate(float(mixed.len()) / time.as_secs_f64());
    let each = |time: Duration, executed: f64| {
        Quantity::Nanoseconds(time.as_secs_f64() * 1e9 / float(mixed.len()) / executed)
    };
    let title = format!("{name}'s {} instructions: calls a second", program.len());
    section.add(Row::new(title, rate(in_no_order.minimum())).median(rate(in_no_order.median())));
    section.add(Row::new("  executed for a call", Quantity::Mean(mean)));
    let own = each(in_no_order.minimum(), mean);
    let number = own.number().unwrap_or_default();
    section.add(
        Row::new("  for each, calls in no order", own).median(each(in_no_order.median(), mean)),
    );
    let executed = float(lengths[same]);
    section.add(
        Row::new("  for each, one call again and again", each(again.minimum(), executed))
            .median(each(again.median(), executed))
            .against(number),
    );
}

fn run(program: &Program, calls: &[Words], repeat: usize) -> Samples {
    let mut samples = Samples::default();
    for _ in 0..repeat {
        let (elapsed, ()) = time(|| {
            for words in calls {
                black_box(program.run(black_box(words), ShiftRule::default()));
            }
        });
        samples.add(elapsed);
    }
    samples
}

/// `callgate eval --calls`, of a program and of a profile.
fn batch(section: &mut Section, subject: &Subject, calls: &[Calls], repeat: usize) -> Result<()> {
    let callgate = callgate()?;
    let folder = Folder::new("eval")?;
    let (file, program) = (folder.path().join("calls"), folder.path().join("docker.bpf"));
    fs::write(&file, lines(calls))?;
    fs::write(&program, subject.program.to_bytes(ByteOrder::NATIVE))?;
    for (name, source) in
        [("its program", program.as_path()), ("docker-default", Path::new("docker-default"))]
    {
        let mut samples = Samples::default();
        for _ in 0..repeat {
            let mut eval = command(&callgate);
            eval.args(["eval", "--arch", "x86_64"]).arg(source).arg("--calls").arg(&file);
            // Some of the calls are refused.
            samples.add(ended(&mut eval, 1)?);
        }
        let rate = |time: Duration| Quantity::Rate(float(LINES) / time.as_secs_f64());
        section.add(
            Row::new(
                format!("callgate eval {name} --calls: lines a second"),
                rate(samples.minimum()),
            )
            .median(rate(samples.median())),
        );
    }
    Ok(())
}

/// Calls of x86_64 by name, in no order.
fn lines(calls: &[Calls]) -> String {
    let Some(calls) = calls.first() else { return String::new() };
    let all: Vec<_> = calls.all().map(|(data, _)| data).collect();
    let mut text = String::new();
    for pick in picks(all.len()).take(LINES) {
        let data = all[pick];
        let _ = match calls.abi.name_of(data.nr) {
            Some(name) => write!(text, "{name}"),
            None => write!(text, "{}", data.nr),
        };
        for value in data.args {
            let _ = write!(text, " {value:#x}");
        }
        text.push('\n');
    }
    text
}

/// Places in a list, in an order without a pattern (splitmix64) that is the same in each run.
fn picks(length: usize) -> impl Iterator<Item = usize> {
    let length = u64::try_from(length).unwrap_or(u64::MAX).max(1);
    (1u64..).map(move |step| {
        let mut z = step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % length).unwrap_or(0)
    })
}
