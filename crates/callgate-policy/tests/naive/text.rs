//! A profile as JSON.

use std::fmt::Write as _;

use callgate_syscalls::Abi;

use crate::{Arg, Condition, Entry, Profile};

impl Profile {
    pub fn text(&self) -> String {
        let mut text = format!("{{\"defaultAction\": \"{}\"", self.default.action);
        if let Some(errno) = self.default.errno {
            let _ = write!(text, ", \"defaultErrnoRet\": {errno}");
        }
        let names = |abis: &[Abi]| {
            list(abis.iter().map(|abi| abi.oci_name().expect("chosen among those with a name")))
        };
        if let Some(abis) = &self.architectures {
            let _ = write!(text, ", \"architectures\": {}", names(abis));
        }
        if let Some((main, others)) = &self.arch_map {
            let main = main.oci_name().expect("chosen among those with a name");
            let others = names(others);
            let _ = write!(
                text,
                ", \"archMap\": [{{\"architecture\": \"{main}\", \"subArchitectures\": {others}}}]"
            );
        }
        let entries: Vec<String> = self.entries.iter().map(Entry::text).collect();
        let _ = write!(text, ", \"syscalls\": [{}]}}", entries.join(", "));
        text
    }
}

impl Entry {
    pub fn text(&self) -> String {
        let mut text = match self.names[..] {
            [name] if self.is_conditional() => format!("{{\"name\": \"{name}\""),
            _ => format!("{{\"names\": {}", list(self.names.iter().copied())),
        };
        let _ = write!(text, ", \"action\": \"{}\"", self.action.action);
        if let Some(errno) = self.action.errno {
            let _ = write!(text, ", \"errnoRet\": {errno}");
        }
        let args: Vec<String> = self
            .args
            .iter()
            .map(|Arg { index, value, value_two, op }| {
                format!(
                    "{{\"index\": {index}, \"value\": {value}, \"valueTwo\": {value_two}, \
                     \"op\": \"{op}\"}}"
                )
            })
            .collect();
        if !args.is_empty() {
            let _ = write!(text, ", \"args\": [{}]", args.join(", "));
        }
        for (key, condition) in [("includes", &self.includes), ("excludes", &self.excludes)] {
            let caps = list(condition.caps.iter().map(|cap| cap.name()));
            let arches = list(condition.arches.iter().copied());
            let kernel = condition
                .min_kernel
                .map(|(major, minor)| format!(", \"minKernel\": \"{major}.{minor}\""))
                .unwrap_or_default();
            if !condition.is_empty() {
                let _ =
                    write!(text, ", \"{key}\": {{\"caps\": {caps}, \"arches\": {arches}{kernel}}}");
            }
        }
        text + "}"
    }

    fn is_conditional(&self) -> bool {
        !self.includes.is_empty() || !self.excludes.is_empty()
    }
}

impl Condition {
    fn is_empty(&self) -> bool {
        self.caps.is_empty() && self.arches.is_empty() && self.min_kernel.is_none()
    }
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
    format!("[{}]", words.join(", "))
}
