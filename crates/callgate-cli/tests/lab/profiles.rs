//! The profiles that the runtimes and callgate are compared on.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use super::{
    calls::{self, Around, Call},
    command,
    names::Names,
    rootfs::CALLGATE,
    tell,
};

/// mkdir refused, as every consumer understands it.
pub const MKDIR_NAMES: &str = include_str!("profiles/mkdir-names.json");
/// mkdir refused with the old key `name`, which is Docker's alone.
pub const MKDIR_NAME: &str = include_str!("profiles/mkdir-name.json");

/// What the probe, the runtimes and callgate need, allowed, and everything else killed.
pub const ALLOW_LIST: &str = include_str!("profiles/allow-list.json");

/// Our own profiles, each on a part of the language. All mean the same in every dialect.
pub const OWN: &[(&str, &str)] = &[
    ("mkdir", MKDIR_NAMES),
    ("operators", include_str!("profiles/operators.json")),
    ("sets", include_str!("profiles/sets.json")),
    ("repeated argument", include_str!("profiles/repeated-argument.json")),
    ("actions", include_str!("profiles/actions.json")),
    ("allow list", ALLOW_LIST),
];

/// The built-in default profile, in Docker's dialect.
pub fn docker_default() -> &'static str {
    callgate_policy::builtin::named("docker-default").expect("it is built in").text
}

/// The same without `minKernel`, which podman's reader does not know.
///
/// Callgate refuses the key in podman's dialect. On every kernel from 4.8 on it holds anyway.
pub fn docker_default_for_podman() -> String {
    let mut profile = parse(docker_default());
    for entry in profile["syscalls"].as_array_mut().into_iter().flatten() {
        for condition in ["includes", "excludes"] {
            if let Some(keys) = entry.get_mut(condition).and_then(Value::as_object_mut) {
                keys.remove("minKernel");
            }
        }
    }
    profile.to_string()
}

/// A published profile from the folder of test data, or None after saying that it is not there.
pub fn published(name: &str) -> Option<String> {
    let folder = env::var_os("CALLGATE_TEST_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    match fs::read_to_string(folder.join(name)) {
        Ok(text) => Some(text),
        Err(error) => {
            tell(&format!("skipped: {name} cannot be read ({error}); set CALLGATE_TEST_DATA"));
            None
        }
    }
}

/// The built-in default profile, flat.
pub fn docker_default_flat() -> String {
    flat("docker-default")
}

/// A built-in profile, flat, as callgate writes it for Docker's default capabilities.
pub fn flat(builtin: &str) -> String {
    command::run(Command::new(CALLGATE).args(["compile", builtin, "--format", "oci"]), "")
        .expect("callgate compile --format oci")
}

/// The profile as a value.
pub fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("the profile is JSON")
}

/// The same profile with a default that no system call can be mistaken for.
///
/// The kernel answers EPERM to much that a container tries; a TRAP is the filter's alone. Each
/// profile is compared as it is and like this.
pub fn with_visible_default(text: &str) -> String {
    let mut profile = parse(text);
    profile["defaultAction"] = json!("SCMP_ACT_TRAP");
    if let Some(keys) = profile.as_object_mut() {
        // crun refuses a datum beside an action that has none; podman's own key is a name.
        keys.remove("defaultErrnoRet");
        keys.remove("defaultErrno");
    }
    profile.to_string()
}

/// Every number, and the arguments that stand around the profile's values.
pub fn calls_for(profile: &str, names: &Names, around: Around) -> Vec<Call> {
    let mut all = calls::every_number();
    all.extend(calls::multiplexed());
    all.extend(calls::arguments_of(&parse(profile), names, around));
    all
}
