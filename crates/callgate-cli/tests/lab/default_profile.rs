//! The default profile, loaded by each runtime and by `callgate run`: the same answers.

use super::{
    Lab,
    bundle::{self, Runtime},
    calls::{Abi, Around},
    compare::{known_to_both, same_answers},
    profiles,
};

/// As it is, and with every refusal by default made visible.
fn forms(profile: &str) -> [(&'static str, String); 2] {
    [
        ("as it is", profile.to_owned()),
        ("TRAP for its default", profiles::with_visible_default(profile)),
    ]
}

fn with_a_bundle(runtime: Runtime) {
    let Some(lab) = Lab::open() else { return };
    for (form, profile) in forms(&profiles::docker_default_flat()) {
        let calls = profiles::calls_for(profiles::docker_default(), &lab.names, Around::Value);
        for abi in Abi::ALL {
            let known = known_to_both(&lab.names, abi, &calls);
            assert!(known >= 300, "only {known} {} calls are tried", abi.name());
        }
        same_answers(
            &format!("{}, docker-default made flat, {form}", runtime.name()),
            &lab.names,
            &profiles::parse(&profile),
            &calls,
            bundle::ask(&lab, runtime, &profile, &calls),
            bundle::ask_callgate(&lab, runtime, &profile, &calls),
        );
    }
}

#[test]
fn runc_and_callgate_answer_alike_under_the_default_profile() {
    with_a_bundle(Runtime::Runc);
}

#[test]
fn crun_and_callgate_answer_alike_under_the_default_profile() {
    with_a_bundle(Runtime::Crun);
}

#[test]
fn docker_and_callgate_answer_alike_under_the_default_profile() {
    let Some(lab) = Lab::open() else { return };
    let docker = lab.docker();
    // The second set opens the entries that depend on capabilities.
    let privileges: [(&str, &[&str]); 2] = [
        ("docker", &[]),
        (
            "docker with other capabilities",
            &["--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE", "--cap-drop", "SYS_CHROOT"],
        ),
    ];
    for (title, options) in privileges {
        for (form, profile) in forms(profiles::docker_default()) {
            let calls = profiles::calls_for(&profile, &lab.names, Around::Value);
            same_answers(
                &format!("{title}, docker-default, {form}"),
                &lab.names,
                &profiles::parse(&profile),
                &calls,
                docker.ask(&lab, &profile, options, &calls),
                docker.ask_callgate(&lab, &profile, options, &calls),
            );
        }
    }
}

fn with_podman(runtime: Runtime) {
    let Some(lab) = Lab::open() else { return };
    let podman = lab.podman();
    let mut subjects = vec![("docker-default", profiles::docker_default_for_podman())];
    subjects.extend(
        profiles::published("containers-common-seccomp.json").map(|text| ("podman's own", text)),
    );
    for (title, profile) in subjects {
        for (form, profile) in forms(&profile) {
            let calls = profiles::calls_for(&profile, &lab.names, Around::Value);
            same_answers(
                &format!("podman with {}, {title}, {form}", runtime.name()),
                &lab.names,
                &profiles::parse(&profile),
                &calls,
                podman.ask(&lab, runtime, &profile, &calls),
                podman.ask_callgate(&lab, runtime, &profile, &calls),
            );
        }
    }
}

#[test]
fn podman_with_runc_and_callgate_answer_alike_under_the_default_profile() {
    with_podman(Runtime::Runc);
}

#[test]
fn podman_with_crun_and_callgate_answer_alike_under_the_default_profile() {
    with_podman(Runtime::Crun);
}
