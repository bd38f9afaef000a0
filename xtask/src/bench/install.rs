//! How long the kernel takes to load a program.

use std::{thread, time::Duration};

use callgate_bpf::Program;
use callgate_kernel::{LoadOptions, load};

use crate::{
    Result,
    libseccomp::Peer,
    report::{Row, Section},
    subject::{Alike, Subject},
    timing::{Samples, time},
};

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
    for (index, (name, _, samples)) in contenders.into_iter().enumerate() {
        let row = Row::times(name, &samples);
        section.add(if index == 0 { row } else { row.against(own) });
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
