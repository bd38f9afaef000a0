//! How long the kernel takes to load a program.

use std::{thread, time::Duration};

use callgate_bpf::Program;
use callgate_kernel::{LoadOptions, load};

use crate::{
    Result,
    driver::Peer,
    libseccomp,
    report::{Quantity, Row, Section},
    subject::{Alike, Subject},
    timing::{Samples, time},
};

/// How much of the time that libseccomp's tree takes a load may take.
const LIMIT: f64 = 0.3;

/// # Errors
///
/// When the kernel does not take a program, as inside a container that forbids seccomp(2).
pub fn measure(subject: &Subject, alike: &Alike, peers: &[Peer], repeat: usize) -> Result<Section> {
    let mut contenders: Vec<(String, &Program, Samples)> = vec![
        ("callgate, same rules".to_owned(), &alike.program, Samples::default()),
        ("callgate run's".to_owned(), &subject.program, Samples::default()),
    ];
    contenders
        .extend(peers.iter().map(|peer| (peer.name.clone(), &peer.program, Samples::default())));
    for _ in 0..repeat {
        for (_, program, samples) in &mut contenders {
            samples.add(once(program)?);
        }
    }

    let mut section = Section::new("Loading it: seccomp(2)");
    let own = contenders[0].2.minimum().as_secs_f64();
    for (index, (name, _, samples)) in contenders.iter().enumerate() {
        let row = Row::times(name.as_str(), samples);
        section.add(if index == 0 { row } else { row.against(own) });
    }
    if let Some((_, _, tree)) = contenders.iter().find(|(name, ..)| *name == libseccomp::name(2)) {
        let ratio = own / tree.minimum().as_secs_f64();
        section.add(
            Row::new("callgate to libseccomp's tree", Quantity::Ratio(ratio))
                .target(&format!("at most {LIMIT}"), ratio <= LIMIT),
        );
    }
    Ok(section)
}

/// In a thread of its own, since a filter belongs to a thread and stays.
fn once(program: &Program) -> Result<Duration> {
    let (elapsed, result) = thread::scope(|scope| {
        let loading = scope.spawn(|| {
            let (elapsed, loaded) = time(|| load(program, &LoadOptions::new()));
            (elapsed, loaded.map(|_| ()))
        });
        loading.join().map_err(|_| "the loading thread has ended")
    })?;
    result?;
    Ok(elapsed)
}
