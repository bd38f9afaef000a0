//! The lines that `callgate check --for` prints are carried out, each as it stands.

use std::{fs, path::Path, process::Command};

use super::{
    Lab,
    bundle::Runtime,
    command::{self, Output},
    containerd,
    docker::{self, Docker},
    podman, profiles,
    rootfs::CALLGATE,
};

/// Put in the place of a command: it tells whether mkdir is refused.
const ATTEMPT: &str = "/bin/sh -c 'mkdir /tmp/folder || echo refused'";

fn refused(what: &str, output: &Output) {
    assert_eq!(output.stdout, "refused\n", "{what}: {output:?}");
}

/// What `callgate check PROFILE --for CONSUMER` prints: pairs of a purpose and its lines.
fn printed(profile: &Path, consumer: &str) -> Vec<(String, String)> {
    let output = command::run(
        Command::new(CALLGATE).arg("check").arg(profile).args(["--for", consumer, "--json"]),
        "",
    )
    .expect("callgate check");
    let report = profiles::parse(&output);
    let plain = command::run(
        Command::new(CALLGATE).arg("check").arg(profile).args(["--for", consumer]),
        "",
    )
    .expect("callgate check");
    let text = |value: &serde_json::Value| value.as_str().expect("it is a text").to_owned();
    let uses: Vec<(String, String)> = report["usage"]
        .as_array()
        .expect("there is a list of uses")
        .iter()
        .map(|usage| (text(&usage["what"]), text(&usage["text"])))
        .collect();
    assert!(!uses.is_empty());
    for (_, lines) in &uses {
        assert!(plain.contains(lines), "printed as JSON alone: {lines}");
    }
    uses
}

/// A profile file whose name a shell and YAML would take apart.
fn awkward_file(lab: &Lab) -> std::path::PathBuf {
    let path = lab.path().join(format!("it's a {} profile.json", lab.unique()));
    fs::write(&path, profiles::MKDIR_NAMES).expect("the folder takes a file");
    path
}

#[test]
fn the_lines_for_docker_work() {
    let Some(lab) = Lab::open() else { return };
    let engine = lab.docker();
    for path in [awkward_file(&lab), lab.share(profiles::MKDIR_NAMES).0] {
        for (what, lines) in printed(&path, "docker") {
            let output = if lines.starts_with("docker run") {
                engine.shell(&lines.replace("IMAGE", &format!("{} {ATTEMPT}", docker::IMAGE)))
            } else if lines.starts_with("services:") {
                compose(&lab, &engine, &lines)
            } else if lines.starts_with("dockerd ") {
                let options = shell_words(&lines);
                let options: Vec<&str> = options[1..].iter().map(String::as_str).collect();
                with_another_engine(&lab, &options)
            } else if lines.starts_with('{') {
                let file = lab.path().join(format!("daemon-{}.json", lab.unique()));
                fs::write(&file, &lines).expect("the folder takes a file");
                with_another_engine(&lab, &["--config-file", &file.display().to_string()])
            } else {
                panic!("nobody carries this out: {what}: {lines}");
            };
            refused(&what, &output);
        }
    }
}

#[test]
fn the_lines_for_podman_work() {
    let Some(lab) = Lab::open() else { return };
    let store = lab.podman();
    for path in [awkward_file(&lab), lab.share(profiles::MKDIR_NAMES).0] {
        for (what, lines) in printed(&path, "podman") {
            let output = if lines.starts_with("podman run") {
                store.shell(&lab, &lines.replace("IMAGE", &format!("{} {ATTEMPT}", podman::IMAGE)))
            } else if let Some(setting) = lines.strip_prefix("[containers]\n") {
                store.container_with(
                    &lab,
                    Runtime::Runc,
                    setting,
                    &["/bin/sh", "-c", "mkdir /tmp/folder || echo refused"],
                )
            } else {
                panic!("nobody carries this out: {what}: {lines}");
            };
            refused(&what, &output);
        }
    }
}

#[test]
fn the_lines_for_containerd_work() {
    let Some(lab) = Lab::open() else { return };
    let socket = containerd::with_image(&lab);
    let engine = lab.docker();
    for path in [awkward_file(&lab), lab.share(profiles::MKDIR_NAMES).0] {
        for (what, lines) in printed(&path, "containerd") {
            assert!(lines.starts_with("ctr run"), "nobody carries this out: {what}: {lines}");
            let name = format!("printed-{}", lab.unique());
            let line = lines
                .replace("IMAGE", containerd::IMAGE)
                .replace("NAME", &format!("{name} {ATTEMPT}"));
            // The socket, and a control group under the laboratory's name.
            let function = format!(
                "ctr() {{ shift; command ctr --address {} run --cgroup /{}/{name} \"$@\"; }}",
                socket.display(),
                lab.cell.cgroup()
            );
            refused(&what, &engine.shell(&format!("{function}; {line}")));
        }
    }
}

#[test]
fn the_lines_for_runc_and_crun_work() {
    let Some(lab) = Lab::open() else { return };
    for runtime in [Runtime::Runc, Runtime::Crun] {
        for path in [awkward_file(&lab), lab.share(profiles::MKDIR_NAMES).0] {
            let name = format!("printed-{}", lab.unique());
            let script: Vec<String> =
                printed(&path, runtime.name()).into_iter().map(|(_, lines)| lines).collect();
            let script = script.join(" && ").replace("NAME", &name);
            let bundle = super::bundle::write(
                &lab,
                &name,
                None,
                &["/bin/sh", "-c", "mkdir /tmp/folder || echo refused"],
            );
            let output = command::run(
                lab.cell
                    .command("sh")
                    .args(["-c", &format!("cd {} && {script}", bundle.display())]),
                "",
            );
            refused(runtime.name(), &output);
        }
    }
}

fn with_another_engine(lab: &Lab, options: &[&str]) -> Output {
    let engine = Docker::start(lab, &format!("engine-{}", lab.unique()), options);
    engine.container(&[], &["/bin/sh", "-c", "mkdir /tmp/folder || echo refused"], "")
}

/// The lines of a compose file, with an image and a command beside them.
fn compose(lab: &Lab, engine: &Docker, lines: &str) -> Output {
    let file = lab.path().join(format!("compose-{}.yaml", lab.unique()));
    let added = format!(
        "{}\n    image: {}\n    network_mode: none\n    command: [\"/bin/sh\", \"-c\", \"mkdir /tmp/folder || echo refused\"]\n",
        lines.replace("SERVICE", "printed"),
        docker::IMAGE
    );
    fs::write(&file, format!("version: \"2.4\"\n{added}")).expect("the folder takes a file");
    engine.shell(&format!(
        "docker-compose --file {} --project-name printed run --rm -T printed",
        file.display()
    ))
}

/// The words of a line, as a shell takes them apart.
fn shell_words(line: &str) -> Vec<String> {
    let script = format!("printf '%s\\n' {line}");
    command::run(Command::new("sh").args(["-c", &script]), "")
        .expect("sh")
        .lines()
        .map(str::to_owned)
        .collect()
}
