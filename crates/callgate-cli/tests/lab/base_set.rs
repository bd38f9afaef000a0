//! What runtimes need once the filter holds them, against the runtimes here: with the table's calls
//! and those of the program a container starts, and without any of them it does not.

use std::{collections::BTreeSet, fs};

use callgate_record::profile::base::{Base, Runtime as Who, TABLE};
use serde_json::{Value, json};

use super::{
    Lab,
    bundle::{self, Runtime},
    command::{self, Output},
    containerd, docker, podman,
    profiles::parse,
    tell,
};

/// How a container is started: by whom, as which user, and whether with no_new_privs.
#[derive(Clone, Copy, Debug)]
struct Start {
    way: Way,
    user: u32,
    no_new_privs: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// `run`.
    Run,
    /// `create`, `start`, and in what runs then, `exec`.
    Exec,
}

impl Start {
    /// Every one with no_new_privs, or without.
    fn all(no_new_privs: bool) -> impl Iterator<Item = Start> {
        let of_user = move |user| {
            [Way::Run, Way::Exec].into_iter().map(move |way| Start { way, user, no_new_privs })
        };
        [0, 1000].into_iter().flat_map(of_user)
    }
}

/// The versions that the table was measured with: of others it claims no more than that they start.
const MEASURED: [(Runtime, Who, &str); 2] = [
    (Runtime::Crun, Who::Crun, "crun version 1.8."),
    (Runtime::Runc, Who::Runc, "runc version 1.1."),
];

/// Starts before a call that is not always made has been made.
const STARTS: usize = 3;

/// A profile of these calls and those of the program, which kills for every other.
fn profile(names: &BTreeSet<&str>) -> String {
    let names: Vec<&str> = names.iter().copied().chain(["exit_group", "pause"]).collect();
    json!({
        "defaultAction": "SCMP_ACT_KILL_PROCESS",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{ "names": names, "action": "SCMP_ACT_ALLOW" }],
    })
    .to_string()
}

fn base(runtime: Who, no_new_privs: bool, exec: bool) -> BTreeSet<&'static str> {
    Base { runtime, no_new_privs, exec }.names()
}

/// Starts the program that only ends.
fn start(lab: &Lab, runtime: Runtime, profile: &str, start: Start) -> Output {
    let name = format!("n{}", lab.unique());
    let line: &[&str] = match start.way {
        Way::Run => &["/bin/nothing"],
        Way::Exec => &["/bin/nothing", "wait"],
    };
    let folder = bundle::write(lab, &name, Some(profile), line);
    let config = folder.join("config.json");
    let mut text = parse(&fs::read_to_string(&config).expect("it was written"));
    text["process"]["noNewPrivileges"] = Value::from(start.no_new_privs);
    text["process"]["user"] = json!({ "uid": start.user, "gid": start.user });
    fs::write(&config, text.to_string()).expect("it is ours");
    if start.way == Way::Run {
        return bundle::start(lab, runtime, &folder, &name, "");
    }
    let call = |words: &[&str]| {
        let mut command = lab.cell.command(runtime.name());
        command.arg("--root").arg(folder.join("state")).args(words);
        command::run(&mut command, "")
    };
    let bundle = folder.display().to_string();
    let steps: [&[&str]; 3] = [
        &["create", "--bundle", &bundle, &name],
        &["start", &name],
        &["exec", &name, "/bin/nothing"],
    ];
    let mut output = call(steps[0]);
    for step in &steps[1..] {
        if output.success() {
            output = call(step);
        }
    }
    call(&["delete", "--force", &name]);
    let _ = fs::remove_dir_all(&folder);
    output
}

#[test]
fn a_program_that_only_ends_starts_under_the_base_set_of_its_runtime() {
    let Some(lab) = Lab::open() else { return };
    for (runtime, who, _) in MEASURED {
        for who in [who, Who::Any] {
            for no_new_privs in [true, false] {
                for case in Start::all(no_new_privs) {
                    let profile = profile(&base(who, no_new_privs, case.way == Way::Exec));
                    let output = start(&lab, runtime, &profile, case);
                    let what = format!("{} under the set of {who:?}, {case:?}", runtime.name());
                    assert!(output.success(), "{what}: {}\n{profile}", output.stderr);
                }
            }
        }
    }
}

#[test]
fn a_runtime_needs_every_call_of_its_base_set() {
    let Some(lab) = Lab::open() else { return };
    for (runtime, who, measured) in MEASURED {
        let version = command::run(lab.cell.command(runtime.name()).arg("--version"), "").stdout;
        if !version.starts_with(measured) {
            tell(&format!(
                "skipped: whether this runtime needs every call of its base set, which was \
                 measured with {measured}x: {}",
                version.lines().next().unwrap_or_default()
            ));
            continue;
        }
        for no_new_privs in [true, false] {
            let all = base(who, no_new_privs, true);
            // Rows of newer versions, and of what only some starts need, say so.
            let measured_too = ["1.0", "1.1"];
            let rows = TABLE.iter().filter(|row| row.runtime == who && row.always);
            let rows = rows.filter(|row| measured_too.contains(&row.versions.0));
            let rows = rows.filter(|row| row.no_new_privs.is_none_or(|with| with == no_new_privs));
            for name in rows.flat_map(|row| row.names) {
                let mut fewer = all.clone();
                fewer.remove(name);
                let profile = profile(&fewer);
                let fails = |case| !start(&lab, runtime, &profile, case).success();
                let needed = Start::all(no_new_privs).any(fails);
                assert!(needed, "{version}: {name} is not needed, no_new_privs {no_new_privs}");
            }
        }
    }
}

#[test]
fn engines_start_a_program_that_only_ends_under_the_base_set() {
    let Some(lab) = Lab::open() else { return };
    let podman = lab.podman();
    let docker = lab.docker();
    let socket = containerd::with_image(&lab).display().to_string();
    for no_new_privs in [true, false] {
        let with = if no_new_privs { "--security-opt=no-new-privileges" } else { "--tty=false" };
        let podman = |runtime: Runtime, profile: &str| {
            let (file, _) = lab.share(profile);
            let line = format!(
                "podman run --runtime {} --rm {with} --security-opt seccomp={} {} /bin/nothing",
                runtime.name(),
                file.display(),
                podman::IMAGE
            );
            podman.shell(&lab, &line)
        };
        let docker = |profile: &str| {
            let filter = format!("seccomp={}", lab.share(profile).0.display());
            let line = ["run", "--rm", "--network", "none", with, "--security-opt", &filter];
            docker.run(&[&line[..], &[docker::IMAGE, "/bin/nothing"]].concat(), "")
        };
        let containerd = |profile: &str| {
            let (file, name) = (lab.share(profile).0, format!("base-{}", lab.unique()));
            let mut command = lab.cell.command("ctr");
            command.args(["--address", &socket, "run", "--rm", "--cgroup"]);
            command.arg(format!("/{}/{name}", lab.cell.cgroup()));
            command.args(["--seccomp", "--seccomp-profile"]).arg(file);
            if !no_new_privs {
                command.arg("--allow-new-privs");
            }
            command.args([containerd::IMAGE, &name, "/bin/nothing"]);
            command::run(&mut command, "")
        };
        type Engine<'a> = (&'static str, Who, Box<dyn Fn(&str) -> Output + 'a>);
        let engines: [Engine<'_>; 4] = [
            ("podman with crun", Who::Podman, Box::new(|text| podman(Runtime::Crun, text))),
            ("podman with runc", Who::Podman, Box::new(|text| podman(Runtime::Runc, text))),
            ("docker", Who::Runc, Box::new(docker)),
            ("containerd", Who::Runc, Box::new(containerd)),
        ];
        for (name, who, start) in &engines {
            let whole = base(*who, no_new_privs, false);
            for _ in 0..STARTS {
                let output = start(&profile(&whole));
                let how = format!("{name}, no_new_privs {no_new_privs}");
                assert!(output.success(), "{how}: {}{}", output.stdout, output.stderr);
            }
            let without = start(&profile(&BTreeSet::from(["execve"])));
            assert!(!without.success(), "{name} starts without what it needs");
        }
    }
}
