//! What the programs are, and what they do for each call: figures that do not depend on luck.

use callgate_bpf::{Action, Program, SeccompData, ShiftRule};
use callgate_verdict::Manager;

use crate::{
    driver::Peer,
    inputs::{self, Calls},
    report::{Quantity, Row, Section, float},
    subject::{Alike, Subject},
};

/// A program and its maker.
type Contender<'a> = (&'a str, &'a Program);

pub fn measure(subject: &Subject, alike: &Alike, peers: &[Peer]) -> Section {
    let calls = inputs::of(&alike.ruleset);
    let mut contenders: Vec<Contender> = vec![("callgate", &alike.program)];
    contenders.extend(peers.iter().map(|peer| (peer.name.as_str(), &peer.program)));

    let mut section = Section::new("The program (same rules, no ENOSYS for newer calls)");
    for peer in peers {
        agreement(&mut section, alike, peer, &calls);
    }
    compare(&mut section, "instructions", &contenders, |program| Quantity::Count(program.len()));
    section.add(Row::new("instructions: callgate run's", Quantity::Count(subject.program.len())));
    compare(&mut section, "cost of 32768 at most", &contenders, |program| {
        Quantity::Count(usize::try_from(program.path_cost()).unwrap_or(usize::MAX))
    });
    cached(&mut section, &contenders, alike, &calls);
    for calls in &calls {
        let name = calls.abi.name();
        let count =
            |runs: bool| calls.plain.iter().filter(|call| call.1.runs_call() == runs).count();
        for (word, runs) in [("allowed", true), ("refused", false)] {
            let what = format!("{name}, executed for {} {word} calls", count(runs));
            compare(&mut section, &what, &contenders, |program| {
                let those = calls.plain.iter().filter(|call| call.1.runs_call() == runs);
                mean(those.map(|(data, _)| executed(program, data)))
            });
        }
        compare(&mut section, &format!("{name}, executed at worst"), &contenders, |program| {
            let worst = calls.all().map(|(data, _)| executed(program, data)).max();
            Quantity::Count(worst.unwrap_or(0))
        });
    }
    section
}

/// Whether callgate's program and the other answer alike.
fn agreement(section: &mut Section, alike: &Alike, peer: &Peer, calls: &[Calls]) {
    let inputs: Vec<&(SeccompData, Action)> = calls.iter().flat_map(Calls::all).collect();
    let same = inputs.iter().filter(|(data, action)| answer(&peer.program, data) == *action);
    let name = &peer.name;
    section.add(Row::new(
        format!("{name}: answers as the rules say, of {} calls", inputs.len()),
        Quantity::Count(same.count()),
    ));
    let mut manager = Manager::new(*peer.program.layout());
    let mut diagram = |program| manager.program(program, ShiftRule::default()).ok();
    let same = match (diagram(&alike.program), diagram(&peer.program)) {
        (Some(own), Some(other)) => Quantity::Answer(own == other),
        _ => Quantity::None("too complex".to_owned()),
    };
    section.add(Row::new(format!("{name}: means the same, by the diagrams"), same));
}

/// Calls that the kernel answers without running the program.
fn cached(section: &mut Section, contenders: &[Contender], alike: &Alike, calls: &[Calls]) {
    for calls in calls.iter().filter(|calls| calls.abi.has_kernel_cache()) {
        let always = calls.plain.iter().filter(|(data, _)| always_allowed(alike, data)).count();
        for (name, program) in contenders {
            let count = calls
                .plain
                .iter()
                .filter(|(data, _)| program.always_allows(data.arch, data.nr))
                .count();
            let what = format!("{}, cached of {always} always allowed: {name}", calls.abi.name());
            let row = Row::new(what, Quantity::Count(count));
            let own = *name == "callgate";
            section.add(if own { row.target("all", count == always) } else { row });
        }
    }
}

/// Whether the rules allow the number whatever the arguments.
fn always_allowed(alike: &Alike, data: &SeccompData) -> bool {
    let rules = alike.ruleset.table(data).and_then(|table| table.rules.get(&data.nr));
    rules
        .and_then(|rules| rules.first())
        .is_some_and(|rule| rule.is_unconditional() && rule.action == Action::Allow)
}

/// A row for each contender, compared with the first.
fn compare(
    section: &mut Section,
    what: &str,
    contenders: &[Contender],
    of: impl Fn(&Program) -> Quantity,
) {
    let mut first = None;
    for (name, program) in contenders {
        let quantity = of(program);
        let number = quantity.number();
        let row = Row::new(format!("{what}: {name}"), quantity);
        section.add(match first {
            None => row,
            Some(own) => row.against(own),
        });
        first = first.or(number);
    }
}

/// How many instructions a call takes.
pub fn executed(program: &Program, data: &SeccompData) -> usize {
    let words = data.words(program.layout().byte_order);
    program.run_traced(&words, ShiftRule::of_kernel(data.arch)).path.len()
}

fn answer(program: &Program, data: &SeccompData) -> Action {
    let words = data.words(program.layout().byte_order);
    program.run(&words, ShiftRule::of_kernel(data.arch)).action()
}

/// Their mean, 0 of none.
pub fn mean(counts: impl Iterator<Item = usize>) -> Quantity {
    let counts: Vec<usize> = counts.collect();
    Quantity::Mean(float(counts.iter().sum()) / float(counts.len().max(1)))
}
