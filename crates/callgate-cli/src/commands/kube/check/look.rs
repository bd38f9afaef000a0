//! From a manifest to its pods and findings.

use std::{fs::File, io};

use callgate_kube::{
    Container, Expected, Findings, Level, Profile, Role, Why, Workload, look as look_at, workloads,
    yaml,
};

use super::profile::Profiles;
use crate::{commands::Failure, report::Places, source::read_bounded};

/// A manifest, or what a cluster says.
pub struct Text {
    pub name: String,
    pub bytes: Vec<u8>,
}

impl Text {
    /// Reads a file, or standard input for `-`.
    ///
    /// # Errors
    ///
    /// A sentence that names it.
    pub fn read(argument: &str) -> Result<Text, String> {
        let (name, bytes) = if argument == "-" {
            ("standard input", read_bounded(io::stdin().lock()))
        } else {
            (argument, File::open(argument).and_then(read_bounded))
        };
        let bytes = bytes.map_err(|error| format!("{name}: {error}"))?;
        // What a command that failed has left in a pipe must not pass as clean.
        if bytes.trim_ascii().is_empty() {
            return Err(format!("{name}: it is empty, so there is nothing to check"));
        }
        Ok(Text { name: name.to_owned(), bytes })
    }
}

/// What was looked at, and what was found.
pub struct Seen {
    pub name: String,
    pub text: String,
    pub pods: Vec<SeenPod>,
    pub findings: Findings,
    /// Whether the text was read to its end.
    pub is_whole: bool,
}

/// An object that makes pods.
pub struct SeenPod {
    pub kind: String,
    pub name: Option<String>,
    pub namespace: Option<String>,
    pub line: usize,
    pub level: Level,
    pub containers: Vec<SeenContainer>,
}

pub struct SeenContainer {
    pub name: Option<String>,
    pub role: Role,
    pub line: usize,
    /// None where the API server refuses what is said.
    pub profile: Option<&'static str>,
    /// The file, of a Localhost profile.
    pub path: Option<String>,
    pub why: Why,
}

/// # Errors
///
/// When a profile is too much to look at, or the target cannot be told.
pub fn look(
    text: Text,
    expected: Expected,
    allowed: &[String],
    profiles: &mut Profiles<'_>,
) -> Result<Seen, Failure> {
    let refused = yaml::text(&text.bytes).err();
    let text_of = |bytes| match String::from_utf8(bytes) {
        Ok(text) => text,
        // For the picture of the place alone, which lies before what is replaced.
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    };
    let mut seen = Seen {
        name: text.name,
        text: text_of(text.bytes),
        pods: Vec::new(),
        findings: Findings::without(allowed),
        is_whole: refused.is_none(),
    };
    if let Some(refused) = refused {
        seen.findings.push(refused);
        return Ok(seen);
    }
    let text = std::mem::take(&mut seen.text);
    let places = Places::new(&text);
    for document in yaml::documents(&text) {
        let document = match document {
            Ok(document) => document,
            Err(error) => {
                seen.findings.push(error);
                seen.is_whole = false;
                break;
            }
        };
        for workload in workloads(document.root(), &mut seen.findings) {
            let pod = look_at(&workload, expected, &mut seen.findings);
            for container in &pod.containers {
                if let Some(Profile::Localhost { path, place }) = container.profile {
                    let about = profiles.findings(path)?;
                    let here = about.iter().map(|finding| finding.clone().at(place, ""));
                    here.for_each(|finding| seen.findings.push(finding));
                }
            }
            seen.pods.push(seen_pod(&workload, pod.level, &pod.containers, &places));
        }
    }
    drop(places);
    seen.text = text;
    Ok(seen)
}

fn seen_pod(
    workload: &Workload<'_>,
    level: Level,
    containers: &[Container<'_>],
    places: &Places<'_>,
) -> SeenPod {
    let owned = |word: Option<&str>| word.map(str::to_owned);
    let container = |container: &Container<'_>| SeenContainer {
        name: owned(container.name),
        role: container.role,
        line: places.line(container.place.start),
        profile: container.profile.map(Profile::name),
        path: match container.profile {
            Some(Profile::Localhost { path, .. }) => Some(path.to_owned()),
            _ => None,
        },
        why: container.why,
    };
    SeenPod {
        kind: workload.kind.to_owned(),
        name: owned(workload.name),
        namespace: owned(workload.namespace),
        line: places.line(workload.place.start),
        level,
        containers: containers.iter().map(container).collect(),
    }
}
