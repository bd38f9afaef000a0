//! The example that everyone starts with: a profile under which mkdir fails.

use std::process::Command;

use super::{
    Lab,
    bundle::{self, Runtime},
    command::{self, Output},
    docker::Docker,
    profiles,
    rootfs::CALLGATE,
};

/// Tries mkdir and touch in a container, and says what came of each.
const ATTEMPT: [&str; 3] = [
    "/bin/sh",
    "-c",
    "mkdir /tmp/folder && echo made a folder; touch /tmp/file && echo made a file",
];

fn mkdir_is_refused(output: &Output) {
    assert_eq!(output.stdout, "made a file\n", "{output:?}");
    assert!(output.stderr.contains("Operation not permitted"), "{output:?}");
}

fn mkdir_is_allowed(output: &Output) {
    assert_eq!(output.stdout, "made a folder\nmade a file\n", "{output:?}");
}

fn in_docker(lab: &Lab, docker: &Docker, profile: &str) -> Output {
    let (path, _) = lab.share(profile);
    let seccomp = format!("seccomp={}", path.display());
    docker.container(&["--security-opt", &seccomp], &ATTEMPT, "")
}

/// In a container without a filter, so that its files and capabilities are the same.
fn under_callgate(lab: &Lab, docker: &Docker, dialect: &str, profile: &str) -> Output {
    let (_, inside) = lab.share(profile);
    let share = format!("{}:/lab:ro", lab.path().join("share").display());
    let options = ["--security-opt", "seccomp=unconfined", "--volume", share.as_str()];
    let mut args = vec!["/bin/callgate", "run", "--profile", &inside, "--dialect", dialect];
    args.extend(["--cap-keep", "--"]);
    args.extend(ATTEMPT);
    docker.container(&options, &args, "")
}

#[test]
fn mkdir_fails_in_a_docker_container_and_under_callgate_alike() {
    let Some(lab) = Lab::open() else { return };
    let docker = lab.docker();
    mkdir_is_allowed(&docker.container(&[], &ATTEMPT, ""));
    for profile in [profiles::MKDIR_NAMES, profiles::MKDIR_NAME] {
        let theirs = in_docker(&lab, &docker, profile);
        let ours = under_callgate(&lab, &docker, "docker", profile);
        mkdir_is_refused(&theirs);
        mkdir_is_refused(&ours);
        assert_eq!(theirs.code(), ours.code());
        assert_eq!(theirs.stderr, ours.stderr);
    }
}

#[test]
fn runc_drops_the_old_key_and_lets_mkdir_through_where_callgate_refuses_the_profile() {
    let Some(lab) = Lab::open() else { return };
    let runc = |profile| bundle::run(&lab, Runtime::Runc, Some(profile), &ATTEMPT, "");
    mkdir_is_refused(&runc(profiles::MKDIR_NAMES));
    mkdir_is_allowed(&runc(profiles::MKDIR_NAME));

    let (_, inside) = lab.share(profiles::MKDIR_NAME);
    let mut args = vec!["/bin/callgate", "run", "--profile", &inside, "--dialect", "oci"];
    args.extend(["--cap-keep", "--"]);
    args.extend(ATTEMPT);
    let ours = bundle::run(&lab, Runtime::Runc, None, &args, "");
    assert_eq!(ours.code(), 125, "{ours:?}");
    assert_eq!(ours.stdout, "", "nothing was started");
    assert!(ours.stderr.contains("`name`"), "{ours:?}");
}

#[test]
fn callgate_check_refuses_the_old_key_for_those_who_drop_it() {
    let Some(lab) = Lab::open() else { return };
    let (path, _) = lab.share(profiles::MKDIR_NAME);
    let check = |consumer: &str| {
        command::run(Command::new(CALLGATE).arg("check").arg(&path).args(["--for", consumer]), "")
    };
    for consumer in ["runc", "crun", "containerd"] {
        let output = check(consumer);
        assert_eq!(output.code(), 1, "{consumer}: {output:?}");
        assert!(output.stderr.contains("`name`"), "{consumer}: {output:?}");
    }
    for consumer in ["docker", "podman"] {
        let output = check(consumer);
        assert_eq!(output.code(), 0, "{consumer}: {output:?}");
    }
}

/// moby's file, given to runc as it is: every conditional entry holds, CAP_SYS_ADMIN or not.
#[test]
fn mobys_profile_given_to_runc_as_it_is_opens_unshare() {
    let Some(lab) = Lab::open() else { return };
    let args = ["/bin/unshare", "-U", "/bin/true"];
    let runc = |profile: &str| bundle::run(&lab, Runtime::Runc, Some(profile), &args, "");
    let published = profiles::published("moby-default.json");
    let built_in = profiles::docker_default();
    for profile in published.as_deref().into_iter().chain([built_in]) {
        let as_it_is = runc(profile);
        assert_eq!(as_it_is.code(), 0, "{as_it_is:?}");

        let (path, _) = lab.share(profile);
        let check = command::run(
            Command::new(CALLGATE).arg("check").arg(&path).args(["--for", "runc"]),
            "",
        );
        assert_eq!(check.code(), 1, "{check:?}");
        assert!(check.stderr.contains("`includes`"), "{check:?}");
    }
    let flat = runc(&profiles::docker_default_flat());
    assert_ne!(flat.code(), 0, "{flat:?}");
    assert!(flat.stderr.contains("Operation not permitted"), "{flat:?}");
}
