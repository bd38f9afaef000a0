//! One profile for many containers, and for all of an engine's.

use std::{process::Stdio, thread};

use super::{
    Lab,
    bundle::Runtime,
    command::Output,
    docker::{self, Docker},
    profiles,
};

const ATTEMPT: [&str; 3] =
    ["/bin/sh", "-c", "mkdir /tmp/folder || echo refused; grep Seccomp: /proc/self/status"];

fn refused(output: &Output) {
    assert_eq!(output.stdout, "refused\nSeccomp:\t2\n", "{output:?}");
}

#[test]
fn one_profile_file_serves_three_containers_at_once() {
    let Some(lab) = Lab::open() else { return };
    let docker = lab.docker();
    let (path, _) = lab.share(profiles::MKDIR_NAMES);
    let seccomp = format!("seccomp={}", path.display());
    // Each waits until it is told to go on, so that all three run at the same time.
    let wait = "while ! test -e /tmp/go; do sleep 0.05; done; mkdir /tmp/folder || echo refused";
    let names: Vec<String> = (0..3).map(|_| format!("three-{}", lab.unique())).collect();
    for name in &names {
        docker
            .run(
                &[
                    "run",
                    "--detach",
                    "--name",
                    name,
                    "--network",
                    "none",
                    "--security-opt",
                    &seccomp,
                    docker::IMAGE,
                    "/bin/sh",
                    "-c",
                    wait,
                ],
                "",
            )
            .expect("docker run");
    }
    let running = docker.run(&["ps", "--quiet", "--filter", "name=three-"], "").expect("docker ps");
    assert_eq!(running.lines().count(), 3, "{running}");
    thread::scope(|scope| {
        for name in &names {
            let docker = &docker;
            scope.spawn(move || {
                docker.run(&["exec", name, "/bin/touch", "/tmp/go"], "").expect("docker exec");
                assert_eq!(docker.run(&["wait", name], "").expect("docker wait").trim(), "0");
                assert_eq!(docker.run(&["logs", name], "").stdout, "refused\n");
                docker.run(&["rm", name], "").expect("docker rm");
            });
        }
    });
}

#[test]
fn a_profile_is_the_default_of_a_docker_engine() {
    let Some(lab) = Lab::open() else { return };
    let (path, _) = lab.share(profiles::MKDIR_NAMES);
    let path = path.display().to_string();
    let options = ["--seccomp-profile", path.as_str()];
    let docker = Docker::start(&lab, &format!("engine-{}", lab.unique()), &options);
    refused(&docker.container(&[], &ATTEMPT, ""));
    let other = docker.container(&["--security-opt", "seccomp=unconfined"], &ATTEMPT, "");
    assert_eq!(other.stdout, "Seccomp:\t0\n", "{other:?}");
}

#[test]
fn a_profile_is_the_default_of_podman() {
    let Some(lab) = Lab::open() else { return };
    let podman = lab.podman();
    let (path, _) = lab.share(profiles::MKDIR_NAMES);
    let path = path.display().to_string();
    for runtime in [Runtime::Runc, Runtime::Crun] {
        let setting = format!("seccomp_profile = \"{path}\"");
        refused(&podman.container_with(&lab, runtime, &setting, &ATTEMPT));
        let without = podman.container(&lab, runtime, &[], &ATTEMPT, "");
        assert_eq!(without.stdout, "Seccomp:\t2\n", "podman's own default allows mkdir");
    }
}

/// What a container has is what the next one needs: a leftover would be found here.
#[test]
fn the_laboratory_leaves_the_machine_as_it_was() {
    let Some(lab) = Lab::open() else { return };
    drop(lab.docker());
    drop(lab.podman());
    let bridges = std::process::Command::new("ip")
        .args(["-brief", "link", "show", "docker0"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("ip starts");
    // A machine may have an engine of its own.
    if std::path::Path::new("/run/docker.sock").exists() {
        super::tell("not checked: this machine runs a Docker engine of its own");
    } else {
        assert!(!bridges.success(), "docker0 is outside of the laboratory's world");
    }
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("it can be read");
    let ours = lab.path().display().to_string();
    assert!(!mounts.contains(&ours), "{mounts}");
}
