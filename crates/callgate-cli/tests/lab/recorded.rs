//! Profiles of recordings, under the runtimes: what a runtime itself needs once the filter holds
//! it is what `callgate profile` adds for it.

use std::{fs, process::Command};

use super::{
    Lab,
    bundle::{self, Runtime},
    command::Output,
};

const CALLGATE: &str = env!("CARGO_BIN_EXE_callgate");

/// runc's own threads make some calls in some starts only.
const STARTS: usize = 4;

/// The profile of a recorded command, with these options, for a default that kills.
fn profile(lab: &Lab, options: &[&str]) -> String {
    let recording = lab.path().join(format!("{}.rec", lab.unique()));
    let record = Command::new(CALLGATE)
        .args(["record", "--method", "notify", "-o"])
        .arg(&recording)
        .args(["--", "busybox", "true"])
        .output()
        .expect("callgate runs");
    assert!(record.status.success(), "{}", String::from_utf8_lossy(&record.stderr));
    let made = Command::new(CALLGATE)
        .args(["profile", "--no-siblings", "--default", "kill"])
        .args(options)
        .arg(&recording)
        .output()
        .expect("callgate runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).expect("a profile is text")
}

/// Starts a container under the profile, with no_new_privs or without.
pub fn start(lab: &Lab, runtime: Runtime, profile: &str, no_new_privs: bool) -> Output {
    let name = format!("b{}", lab.unique());
    let bundle = bundle::write(lab, &name, Some(profile), &["/bin/busybox", "true"]);
    let config = bundle.join("config.json");
    let text = fs::read_to_string(&config).expect("it was written");
    let with = "\"noNewPrivileges\":true";
    assert!(text.contains(with), "{text}");
    fs::write(&config, text.replace(with, &format!("\"noNewPrivileges\":{no_new_privs}")))
        .expect("it is ours");
    bundle::start(lab, runtime, &bundle, &name, "")
}

#[test]
fn containers_start_under_a_recorded_profile_with_what_their_runtime_needs() {
    let Some(lab) = Lab::open() else { return };
    for (runtime, name) in [(Runtime::Crun, "crun"), (Runtime::Runc, "runc")] {
        for no_new_privs in [true, false] {
            let mut options = vec!["--runtime", name];
            options.extend(no_new_privs.then_some("--no-new-privileges"));
            let text = profile(&lab, &options);
            for _ in 0..STARTS {
                let output = start(&lab, runtime, &text, no_new_privs);
                assert!(
                    output.success(),
                    "{name}, no_new_privs {no_new_privs}: {}\n{text}",
                    output.stderr
                );
            }
        }
        // Podman's row, and that for whichever runtime it will be, serve both.
        for other in ["podman", "any"] {
            let output = start(&lab, runtime, &profile(&lab, &["--runtime", other]), false);
            assert!(output.success(), "{name} with --runtime {other}: {}", output.stderr);
        }
        // It is the table that does it.
        let without = profile(&lab, &["--runtime", "none"]);
        let output = start(&lab, runtime, &without, false);
        assert!(!output.success(), "{name} starts without what it needs");
    }
}
