//! Recordings merge like sets, and survive being written, cut and read.

use callgate_bpf::{SyscallNr, generate::Rng};
use callgate_record::{
    Arguments, Call, End, Observation, Phase, Recorder, Recording, Run, RunId, RunInfo,
};
use callgate_syscalls::Abi;

/// A run of random observations; the same seed gives the same run, and of two lengths the
/// shorter is a beginning of the longer.
fn run(seed: usize, length: usize) -> (RunId, Run) {
    let mut rng = Rng::new(u64::try_from(seed).unwrap());
    let info = RunInfo {
        command: vec!["sh".into(), "-c".into(), "true \u{1b}[2J\n\"".into()],
        method: "notify".into(),
        kernel: "6.18".into(),
        machine: Some(Abi::X86_64),
        start: Some(1_764_000_000_000),
    };
    let mut recorder = Recorder::new(RunId::new(u64::try_from(seed).unwrap()), info);
    for step in 0..length {
        match step {
            0 => recorder.enter(Phase::StartUp),
            20 => recorder.enter(Phase::Running),
            40 => recorder.enter(Phase::After("reload".into())),
            _ => {}
        }
        observe(&mut rng, &mut recorder);
    }
    recorder.finish()
}

fn observe(rng: &mut Rng, recorder: &mut Recorder) {
    let abi = rng.pick(&[Abi::X86_64, Abi::X86, Abi::X32, Abi::Aarch64]);
    let name = rng.pick(&["socket", "openat", "ioctl", "clone", "read", "prctl"]);
    let Some(number) = abi.number(name) else {
        return;
    };
    let value = |rng: &mut Rng| Some(u64::try_from(rng.below(40)).unwrap());
    let arguments = match rng.below(10) {
        0 => Arguments::Unknown,
        1 => Arguments::Elsewhere,
        _ => Arguments::Registers([(); 6].map(|()| value(rng))),
    };
    recorder.observe(&Observation {
        architecture: abi.audit(),
        number,
        executable: rng.pick(&["/bin/sh", "/usr/bin/\u{202e}x\n", ""]),
        arguments,
        count: u64::try_from(rng.below(3)).unwrap(),
        errno: rng.one_in(3).then_some(1),
        refused: rng.one_in(5),
        at: rng.one_in(2).then(|| u64::try_from(rng.below(1000)).unwrap()),
    });
    match rng.below(20) {
        0 => recorder.lose("events", 3),
        1 => recorder.library("/lib/libc.so.6"),
        2 => recorder.leave_unwatched([Call { abi: Abi::X86_64, number: SyscallNr(0) }]),
        3 => recorder.end(End { after: Some(5), status: Some(0) }),
        _ => {}
    }
}

/// A recording of some of eight runs, each up to some moment.
fn recording(rng: &mut Rng) -> Recording {
    let mut all = Recording::default();
    for _ in 0..rng.below(4) {
        let (id, run) = run(rng.below(8), 5 + rng.below(60));
        all.merge(&Recording::of_run(id, run));
    }
    all
}

fn merged(a: &Recording, b: &Recording) -> Recording {
    let mut all = a.clone();
    all.merge(b);
    all
}

#[test]
fn merging_is_a_union() {
    let mut rng = Rng::new(7);
    for _ in 0..60 {
        let (a, b, c) = (recording(&mut rng), recording(&mut rng), recording(&mut rng));
        assert_eq!(merged(&a, &b), merged(&b, &a));
        assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        assert_eq!(merged(&a, &a), a);
        assert_eq!(merged(&merged(&a, &b), &b), merged(&a, &b));
        assert_eq!(merged(&a, &Recording::default()), a);
    }
}

#[test]
fn counts_of_different_runs_add_up_and_of_one_run_do_not() {
    let (first, second) = (run(1, 50), run(2, 50));
    let sum = first.1.count() + second.1.count();
    let both = merged(
        &Recording::of_run(first.0, first.1.clone()),
        &Recording::of_run(second.0, second.1.clone()),
    );
    let twice = merged(&both, &Recording::of_run(first.0, first.1));
    let count = |recording: &Recording| recording.runs.values().map(Run::count).sum::<u64>();
    assert_eq!((count(&both), count(&twice)), (sum, sum));
}

#[test]
fn what_is_written_is_read() {
    let mut rng = Rng::new(11);
    for _ in 0..60 {
        let recording = recording(&mut rng);
        let text = recording.to_text();
        let read = Recording::read(text.as_bytes()).unwrap();
        assert_eq!((&read.recording, read.torn), (&recording, None));
        assert!(text.is_ascii() || !text.contains('\u{1b}'), "control characters are escaped");
    }
}

#[test]
fn files_one_behind_the_other_are_one_recording() {
    let mut rng = Rng::new(13);
    let (a, b) = (recording(&mut rng), recording(&mut rng));
    let text = a.to_text() + &b.to_text() + &a.to_text();
    assert_eq!(Recording::read(text.as_bytes()).unwrap().recording, merged(&a, &b));
}

#[test]
fn a_recorder_that_dies_anywhere_leaves_what_it_flushed() {
    let mut rng = Rng::new(17);
    let mut recorder = Recorder::new(RunId::new(1), RunInfo::default());
    let mut file = b"{\"callgate-recording\":1}\n".to_vec();
    let mut flushed = vec![(file.len(), Recording::default())];
    for _ in 0..12 {
        for _ in 0..5 {
            observe(&mut rng, &mut recorder);
        }
        recorder.flush(&mut file).unwrap();
        assert!(!recorder.has_news());
        flushed.push((file.len(), Recording::of_run(RunId::new(1), recorder.run().clone())));
    }
    for &(length, ref state) in &flushed {
        let read = Recording::read(&file[..length]).unwrap();
        // A run that has no line yet is not known to have begun.
        assert_eq!(read.recording, *state);
    }
    let header = flushed[0].0;
    for length in (header..file.len()).step_by(7) {
        let read = Recording::read(&file[..length]).unwrap();
        let known = flushed.iter().rev().find(|(end, _)| *end <= length).unwrap();
        let mut at_least = read.recording.clone();
        at_least.merge(&known.1);
        assert_eq!(at_least, read.recording, "cut at {length}");
        assert!(read.whole <= length);
        let torn = file[..length].last() != Some(&b'\n') && read.whole < length;
        assert_eq!(read.torn.is_some(), torn, "cut at {length}");
    }
}

#[test]
fn a_flush_that_fails_is_repeated_whole() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut rng = Rng::new(19);
    let mut recorder = Recorder::new(RunId::new(1), RunInfo::default());
    for _ in 0..40 {
        observe(&mut rng, &mut recorder);
    }
    assert!(recorder.flush(&mut Full).is_err());
    let mut file = b"{\"callgate-recording\":1}\n".to_vec();
    recorder.flush(&mut file).unwrap();
    let (id, run) = recorder.finish();
    assert_eq!(Recording::read(&file).unwrap().recording, Recording::of_run(id, run));
}

#[track_caller]
fn refused(lines: &str, line: usize, what: &str) {
    let error = Recording::read(lines.as_bytes()).unwrap_err();
    assert_eq!((error.line(), error.to_string().contains(what)), (line, true), "{error}");
}

#[test]
fn what_makes_no_sense_is_refused_with_its_line() {
    let header = "{\"callgate-recording\":1}\n";
    let call = |rest: &str| {
        format!(
            "{header}{{\"in\":\"0000000000000001\",\"abi\":\"x86_64\",\"number\":1,\"exe\":\"/bin/sh\",\
             \"phase\":\"running\",\"count\":1{rest}}}\n"
        )
    };
    assert!(Recording::read(call("").as_bytes()).is_ok());
    assert!(Recording::read(call(",\"colour\":1").as_bytes()).is_ok());
    refused("", 1, "no recording");
    refused("\n", 1, "no recording");
    refused("{}\n", 1, "no recording");
    refused("{\"callgate-recording\":2}\n", 1, "version 2");
    refused(&format!("{header}{{\"in\":\"00\n{header}"), 2, "no JSON object");
    refused(&format!("{header}\n{header}"), 2, "no JSON object");
    refused(&format!("{header}[1]\n"), 2, "no JSON object");
    refused(&format!("{header}{{\"a\":1}}\n"), 2, "nothing this program knows");
    refused(&format!("{header}{{\"in\":\"0000000000000001\"}}\n"), 2, "nothing this program knows");
    refused(&format!("{header}{{\"run\":\"1\"}}\n"), 2, "sixteen");
    refused(&call("").replace("x86_64", "z80"), 2, "\"z80\" is no architecture");
    refused(&call("").replace("running", "walking"), 2, "\"walking\" is none of");
    refused(&call("").replace("\"number\":1", "\"number\":4294967296"), 2, "4294967296");
    refused(&call("").replace("\"count\":1", "\"count\":-1"), 2, "-1");
    refused(&call(",\"args\":{\"6\":[1]}"), 2, "no argument 6");
    refused(&call(",\"errors\":{\"4096\":1}"), 2, "4096 is no error number");
    refused(&call(",\"seen\":[2,1]"), 2, "before the first");
    let long = format!("{header}{{\"in\":\"{}\"}}\n", "x".repeat(1 << 20));
    refused(&long, 2, "longer than");
    refused(&format!("{header}{}{header}", "[".repeat(5000) + "\n"), 2, "no JSON object");
    // What a stranger wrote does not reach the terminal as it is.
    let error = Recording::read(call("").replace("x86_64", "\\u001b[2J").as_bytes()).unwrap_err();
    assert!(!error.to_string().contains('\u{1b}'), "{error}");
}

#[test]
fn a_torn_last_line_is_dropped_and_told() {
    let header = "{\"callgate-recording\":1}\n";
    let read = Recording::read(format!("{header}{{\"in\":\"00").as_bytes()).unwrap();
    assert_eq!((read.torn, read.whole), (Some(2), header.len()));
    assert!(read.recording.runs.is_empty());
}

#[test]
fn more_values_than_are_listed_are_kept_as_bits() {
    let header = "{\"callgate-recording\":1}\n";
    let listed: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let line = format!(
        "{header}{{\"in\":\"0000000000000001\",\"abi\":\"x86_64\",\"number\":41,\"exe\":\"\",\
         \"phase\":\"unknown\",\"count\":1,\"args\":{{\"0\":[{}]}}}}\n",
        listed.join(",")
    );
    let read = Recording::read(line.as_bytes()).unwrap().recording;
    let (_, _, fact) = read.facts().next().unwrap();
    assert_eq!((fact.arguments[&0].listed(), fact.arguments[&0].mask()), (None, 127));
}
