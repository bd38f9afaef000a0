//! Who reads a profile: `--for`, `--dialect`, and what is detected.

use super::PLAIN;
use crate::common::Scratch;

/// Docker's words: a condition on capabilities, and rows of architectures.
const DOCKERS: &str = r#"{
  "defaultAction": "SCMP_ACT_ERRNO",
  "archMap": [
    { "architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"] }
  ],
  "syscalls": [
    { "names": ["read"], "action": "SCMP_ACT_ALLOW" },
    {
      "names": ["unshare"],
      "action": "SCMP_ACT_ALLOW",
      "includes": { "caps": ["CAP_SYS_ADMIN"] }
    }
  ]
}
"#;

/// The old singular key.
const SINGULAR: &str = r#"{
  "defaultAction": "SCMP_ACT_ALLOW",
  "syscalls": [
    { "name": "mkdir", "action": "SCMP_ACT_ERRNO" }
  ]
}
"#;

#[test]
fn every_consumer_gets_the_lines_that_use_the_profile() {
    let scratch = Scratch::new();
    scratch.file("p.json", PLAIN);
    let path = scratch.join("p.json");
    let path = path.display();
    let check = |consumer: &str, dialect: &str, lines: &str| {
        let said = format!("p.json: understood, in the {dialect} dialect; no warnings\n{lines}");
        scratch.callgate(&["check", "p.json", "--for", consumer]).run().is(0, &said, "");
    };
    check(
        "docker",
        "docker",
        &format!(
            "
# one container
docker run --rm --security-opt seccomp={path} IMAGE

# compose.yaml
services:
  SERVICE:
    security_opt:
      - \"seccomp={path}\"

# every container of the engine: /etc/docker/daemon.json
{{ \"seccomp-profile\": \"{path}\" }}

# the same, on the engine's command line
dockerd --seccomp-profile {path}
"
        ),
    );
    check(
        "podman",
        "containers",
        &format!(
            "
# one container
podman run --rm --security-opt seccomp={path} IMAGE

# every container: containers.conf
[containers]
seccomp_profile = \"{path}\"
"
        ),
    );
    check(
        "containerd",
        "oci",
        &format!("\n# one container\nctr run --rm --seccomp --seccomp-profile {path} IMAGE NAME\n"),
    );
    for runtime in ["crun", "runc"] {
        check(
            runtime,
            "oci",
            &format!(
                "
# into the bundle's config.json
jq --slurpfile profile {path} '.linux.seccomp = $profile[0]' config.json > config.new && mv config.new config.json

# then, in the bundle
{runtime} run NAME
"
            ),
        );
    }
    let unknown = scratch.callgate(&["check", "p.json", "--for", "lxc"]).run();
    unknown.is_like(2, "", "error: invalid value 'lxc' for '--for <CONSUMER>'\n  [possible values: docker, podman, containerd, crun, runc]\n…");
}

#[test]
fn a_path_with_odd_characters_is_quoted_for_the_shell() {
    let scratch = Scratch::new();
    let name = "it's a \"profile\" of $HOME.json";
    scratch.file(name, PLAIN);
    let outcome = scratch.callgate(&["check", name, "--for", "docker"]).run();
    let line = outcome.stdout.lines().find(|line| line.starts_with("docker run")).expect("a line");
    let words =
        format!("for word in {}; do echo \"<$word>\"; done", line.replacen("docker", "x", 1));
    let expected = format!("<seccomp={}>", scratch.join(name).display());
    let shell = scratch.command("sh").args(&["-c", &words]).run();
    assert!(shell.stdout.lines().any(|word| word == expected), "{line}\n{}", shell.stdout);
    let json = scratch.callgate(&["check", name, "--for", "docker", "--json"]).run().json(0);
    let daemon = json["usage"][2]["text"].as_str().expect("text");
    let daemon: serde_json::Value = serde_json::from_str(daemon).expect("daemon.json is JSON");
    assert_eq!(daemon["seccomp-profile"], scratch.join(name).display().to_string());
}

#[test]
fn dockers_conditions_are_an_error_for_runtimes_with_their_places() {
    let scratch = Scratch::new();
    scratch.file("p.json", DOCKERS);
    let check = |consumer: &str| scratch.callgate(&["check", "p.json", "--for", consumer]).run();
    check("docker").is_like(0, "p.json: understood, in the docker dialect; no warnings\n…", "");
    check("podman").is_like(0, "p.json: understood, in the containers dialect; no warnings\n…", "");
    for runtime in ["runc", "crun", "containerd"] {
        check(runtime).is_like(
            1,
            "",
            "error[dropped-key]: runc and crun drop `archMap`, …
 --> p.json:3:4
…error[dropped-key]: runc and crun drop `includes`, so the entry always applies
  --> p.json:11:8
…`callgate compile --format oci` writes the flat equivalent…
p.json: 2 errors; its reader would refuse or misread it
",
        );
    }
    // Once flat, they read it.
    let compile = ["compile", "p.json", "--format", "oci", "--arch", "x86_64", "--kernel", "6.1"];
    scratch.callgate(&[&compile[..], &["-o", "flat.json"]].concat()).run().is(0, "", "");
    let flat = scratch.callgate(&["check", "flat.json", "--for", "runc"]).run();
    flat.is_like(0, "flat.json: understood, in the oci dialect; no warnings\n…", "");
}

#[test]
fn the_built_in_profile_is_dockers_and_no_runtimes() {
    let scratch = Scratch::new();
    scratch.callgate(&["check", "docker-default", "--for", "runc"]).run().is_like(
        1,
        "",
        "error[dropped-key]: runc and crun drop `archMap`…docker-default: … errors; …",
    );
    scratch.callgate(&["check", "docker-default", "--for", "docker"]).run().is_like(
        0,
        "docker-default: understood, in the docker dialect; no warnings

# first, into a file
callgate compile docker-default --format oci -o PROFILE.json

# one container
docker run --rm --security-opt seccomp=PROFILE.json IMAGE
…",
        "",
    );
}

#[test]
fn the_old_name_key_is_read_by_docker_and_an_error_for_runc() {
    let scratch = Scratch::new();
    scratch.file("p.json", SINGULAR);
    let check = |consumer: &str| scratch.callgate(&["check", "p.json", "--for", consumer]).run();
    check("docker").is_like(0, "p.json: understood, in the docker dialect; …", "…");
    check("runc").is_like(
        1,
        "",
        "error[dropped-key]: runc and crun drop `name`, so the entry doesn't cover `mkdir`
 --> p.json:4:8
…p.json: 1 error; its reader would refuse or misread it
",
    );
    // What would be silently allowed under runc is refused here, and nothing starts.
    let run = ["run", "--dialect", "oci", "--profile", "p.json", "--", "mkdir", "made"];
    if cfg!(target_os = "linux") {
        scratch.callgate(&run).run().is_like(125, "", "error[…]: …nothing was loaded\n");
        let run = ["run", "--profile", "p.json", "--", "mkdir", "made"];
        let docker = scratch.callgate(&run).run();
        let refusal = "…mkdir: cannot create directory 'made': Operation not permitted\n";
        docker.is_like(1, "", refusal);
        assert!(!scratch.join("made").exists());
    }
}

#[test]
fn the_dialect_is_detected_with_a_note_or_stated() {
    let scratch = Scratch::new();
    scratch.file("p.json", DOCKERS);
    scratch.callgate(&["check", "p.json"]).run().is_like(
        0,
        "p.json: understood, in the docker dialect; no warnings\n",
        "note[dialect]: read in the dialect `docker` because of its key `archMap`
 --> p.json:3:4
  |
3 |   \"archMap\": [
  |    ^^^^^^^ Docker reads this
  |
  = help: `--dialect docker|oci|containers` says who will read it
",
    );
    let stated = |dialect: &str| {
        scratch.callgate(&["check", "p.json", "--dialect", dialect, "--json"]).run()
    };
    assert_eq!(stated("docker").json(0)["diagnostics"], serde_json::json!([]));
    assert_eq!(stated("containers").json(0)["dialect"], "containers");
    assert_eq!(stated("oci").json(1)["understood"], false);
    scratch.callgate(&["check", "p.json", "--for", "runc", "--dialect", "oci"]).run().is_like(
        2,
        "",
        "error: the argument '--for <CONSUMER>' cannot be used with '--dialect <WHO>'\n…",
    );
    // Podman's own keys.
    let podmans = PLAIN.replace(
        "\"action\": \"SCMP_ACT_ERRNO\"",
        "\"action\": \"SCMP_ACT_ERRNO\", \"errno\": \"ENOLCK\"",
    );
    scratch.file("podman.json", podmans);
    scratch.callgate(&["check", "podman.json"]).run().is_like(
        0,
        "podman.json: understood, in the containers dialect; no warnings\n",
        "note[dialect]: read in the dialect `containers` because of its key `errno`…",
    );
    scratch.callgate(&["check", "podman.json", "--for", "docker"]).run().is_like(
        1,
        "",
        "error[dropped-key]: Docker drops `errno`, …",
    );
}

#[test]
fn conditions_are_resolved_for_the_target_of_check_too() {
    let scratch = Scratch::new();
    // The name is wrong only where the entry counts.
    scratch.file(
        "p.json",
        DOCKERS.replace("SCMP_ACT_ERRNO", "SCMP_ACT_LOG").replace(
            "\"unshare\"],\n      \"action\": \"SCMP_ACT_ALLOW\"",
            "\"unsahre\"],\n      \"action\": \"SCMP_ACT_ERRNO\"",
        ),
    );
    let check =
        |caps: &str| scratch.callgate(&["check", "p.json", "--for", "docker", "--cap", caps]).run();
    check("none").is_like(0, "p.json: understood, …1 warning\n…", "warning[unknown-syscall]: …");
    check("SYS_ADMIN").is_like(1, "", "error[unknown-syscall]: …did you mean `unshare`?\n…");
}
