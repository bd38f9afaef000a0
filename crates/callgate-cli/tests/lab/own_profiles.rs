//! Profiles of our own, each on a part of the language, under each runtime and `callgate run`.

use super::{
    Lab,
    answers::Outcome,
    bundle::{self, Runtime},
    calls::{Around, Call, Mode},
    compare::same_answers,
    names::Names,
    profiles,
};

/// Calls that only some modes of the probe tell apart.
fn closer_looks(names: &Names) -> Vec<Call> {
    let call = |name, mode| Call::native(names, name, &[]).with_mode(mode);
    vec![
        call("getpgrp", Mode::Thread),
        call("getsid", Mode::Thread),
        call("getpgid", Mode::Thread),
        call("times", Mode::Thread),
        call("sched_get_priority_min", Mode::Traced),
        call("getitimer", Mode::Traced),
        call("getuid", Mode::Traced),
    ]
}

fn compare(
    lab: &Lab,
    host: &str,
    theirs: impl Fn(&str, &[Call]) -> Outcome,
    ours: impl Fn(&str, &[Call]) -> Outcome,
) {
    for (title, profile) in profiles::OWN {
        let mut calls = profiles::calls_for(profile, &lab.names, Around::BothHalves);
        calls.extend(closer_looks(&lab.names));
        same_answers(
            &format!("{host}, {title}"),
            &lab.names,
            &profiles::parse(profile),
            &calls,
            theirs(profile, &calls),
            ours(profile, &calls),
        );
    }
}

#[test]
fn runc_and_callgate_answer_alike_under_our_profiles() {
    let Some(lab) = Lab::open() else { return };
    compare(
        &lab,
        "runc",
        |profile, calls| bundle::ask(&lab, Runtime::Runc, profile, calls),
        |profile, calls| bundle::ask_callgate(&lab, Runtime::Runc, profile, calls),
    );
}

#[test]
fn crun_and_callgate_answer_alike_under_our_profiles() {
    let Some(lab) = Lab::open() else { return };
    compare(
        &lab,
        "crun",
        |profile, calls| bundle::ask(&lab, Runtime::Crun, profile, calls),
        |profile, calls| bundle::ask_callgate(&lab, Runtime::Crun, profile, calls),
    );
}

#[test]
fn docker_and_callgate_answer_alike_under_our_profiles() {
    let Some(lab) = Lab::open() else { return };
    let docker = lab.docker();
    compare(
        &lab,
        "docker",
        |profile, calls| docker.ask(&lab, profile, &[], calls),
        |profile, calls| docker.ask_callgate(&lab, profile, &[], calls),
    );
}

#[test]
fn podman_and_callgate_answer_alike_under_our_profiles() {
    let Some(lab) = Lab::open() else { return };
    let podman = lab.podman();
    for runtime in [Runtime::Runc, Runtime::Crun] {
        compare(
            &lab,
            &format!("podman with {}", runtime.name()),
            |profile, calls| podman.ask(&lab, runtime, profile, calls),
            |profile, calls| podman.ask_callgate(&lab, runtime, profile, calls),
        );
    }
}
