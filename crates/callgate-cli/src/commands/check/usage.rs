//! The lines that give a profile to its consumer.

use std::path::absolute;

use schemars::JsonSchema;
use serde::Serialize;

use super::Consumer;
use crate::{report::moves_the_cursor, source::Profile};

/// One way to use a profile.
#[derive(Serialize, JsonSchema)]
pub struct Use {
    /// What the lines are for.
    pub what: &'static str,
    /// A command to run, or lines of a file.
    pub text: String,
}

/// How a consumer is given this profile, with the file's full path.
pub fn of(consumer: Consumer, profile: &Profile) -> Vec<Use> {
    let path = path_of(profile);
    let shell = quote(&path);
    let json = quote_json(&path);
    let using = |what, text| Use { what, text };
    let mut uses = match consumer {
        Consumer::Docker => vec![
            using(
                "one container",
                format!(
                    "docker run --rm --security-opt {} IMAGE",
                    quote(&format!("seccomp={path}"))
                ),
            ),
            using(
                "compose.yaml",
                format!(
                    "services:\n  SERVICE:\n    security_opt:\n      - {}",
                    quote_json(&format!("seccomp={path}"))
                ),
            ),
            using(
                "every container of the engine: /etc/docker/daemon.json",
                format!("{{ \"seccomp-profile\": {json} }}"),
            ),
            using(
                "the same, on the engine's command line",
                format!("dockerd --seccomp-profile {shell}"),
            ),
        ],
        Consumer::Podman => vec![
            using(
                "one container",
                format!(
                    "podman run --rm --security-opt {} IMAGE",
                    quote(&format!("seccomp={path}"))
                ),
            ),
            using(
                "every container: containers.conf",
                format!("[containers]\nseccomp_profile = {json}"),
            ),
        ],
        Consumer::Containerd => vec![using(
            "one container",
            format!("ctr run --rm --seccomp --seccomp-profile {shell} IMAGE NAME"),
        )],
        Consumer::Crun | Consumer::Runc => {
            let runtime = if consumer == Consumer::Crun { "crun" } else { "runc" };
            vec![
                using(
                    "into the bundle's config.json",
                    format!(
                        "jq --slurpfile profile {shell} '.linux.seccomp = $profile[0]' config.json > config.new && mv config.new config.json"
                    ),
                ),
                using("then, in the bundle", format!("{runtime} run NAME")),
            ]
        }
    };
    if let Some(builtin) = profile.builtin {
        let write = format!("callgate compile {} --format oci -o {path}", builtin.name);
        uses.insert(0, using("first, into a file", write));
    }
    uses
}

fn path_of(profile: &Profile) -> String {
    if profile.builtin.is_some() || profile.name == "standard input" {
        return "PROFILE.json".to_owned();
    }
    absolute(&profile.name).map_or_else(|_| profile.name.clone(), |path| path.display().to_string())
}

/// A word as a POSIX shell reads it back. Control characters, which must not reach the terminal,
/// take the quotes of POSIX.1-2024.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=+:,@%".contains(c);
    if word.chars().any(moves_the_cursor) {
        let escaped = |c: char| match c {
            '\'' | '\\' => format!("\\{c}"),
            c if moves_the_cursor(c) => {
                c.to_string().bytes().map(|byte| format!("\\{byte:03o}")).collect()
            }
            c => c.to_string(),
        };
        format!("$'{}'", word.chars().map(escaped).collect::<String>())
    } else if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A string as JSON, YAML and TOML read it back.
fn quote_json(text: &str) -> String {
    let json = serde_json::Value::String(text.to_owned()).to_string();
    let escaped = |c: char| {
        if moves_the_cursor(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }
    };
    json.chars().map(escaped).collect()
}
