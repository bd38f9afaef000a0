//! From a policy to the JSON of one dialect.

mod fit;
mod text;

use alloc::{format, string::String, vec::Vec};

use callgate_bpf::Action;
use callgate_diagnostic::{Diagnostic, Spanned};
use callgate_syscalls::Abi;

use crate::{Architectures, Comparison, Condition, Dialect, Entry, Policy};

use self::text::Json;
use super::{errno::podman_name, words};

pub(super) fn write(policy: &Policy, dialect: Dialect) -> Result<String, Vec<Diagnostic>> {
    let unfit = fit::unfit(policy, dialect);
    if !unfit.is_empty() {
        return Err(unfit);
    }
    let mut json = Json::object();
    let default = policy.default.value;
    json.text("defaultAction", action_word(default));
    errno_keys(&mut json, default, dialect, "defaultErrnoRet", "defaultErrno");
    match &policy.architectures {
        Architectures::Native => {}
        Architectures::List(list) if list.is_empty() => {}
        Architectures::Map(map) if map.is_empty() => {}
        Architectures::List(list) => json.list("architectures", list.iter().map(abi_word)),
        Architectures::Map(map) => json.objects("archMap", map, |json, (main, others)| {
            json.text("architecture", abi_word(main));
            json.list("subArchitectures", others.iter().map(abi_word));
        }),
    }
    if !policy.flags.is_empty() {
        json.list("flags", policy.flags.iter().map(|flag| flag.value.name()));
    }
    if let Some(listener) = &policy.listener {
        json.text("listenerPath", &listener.path.value);
        if let Some(metadata) = &listener.metadata {
            json.text("listenerMetadata", metadata);
        }
    }
    json.objects("syscalls", &policy.entries, |json, entry| write_entry(json, entry, dialect));
    Ok(json.finish())
}

fn write_entry(json: &mut Json, entry: &Entry, dialect: Dialect) {
    json.list("names", entry.names.iter().map(|name| name.value.as_str()));
    json.text("action", action_word(entry.action.value));
    errno_keys(json, entry.action.value, dialect, "errnoRet", "errno");
    if !entry.comparisons.is_empty() {
        json.objects("args", &entry.comparisons, write_comparison);
    }
    if let Some(comment) = &entry.comment {
        json.text("comment", comment);
    }
    for (key, condition) in [("includes", &entry.includes), ("excludes", &entry.excludes)] {
        if !condition.is_empty() {
            json.member(key, |json| write_condition(json, condition));
        }
    }
}

fn write_comparison(json: &mut Json, comparison: &Spanned<Comparison>) {
    let Some(test) = fit::whole_register(&comparison.value) else {
        return;
    };
    let (word, value, second) = words::operator(test);
    json.number("index", u64::from(comparison.value.arg.get()));
    json.number("value", value);
    if second != 0 {
        json.number("valueTwo", second);
    }
    json.text("op", word);
}

fn write_condition(json: &mut Json, condition: &Condition) {
    if !condition.caps.is_empty() {
        json.list("caps", condition.caps.iter().map(|capability| capability.value.name()));
    }
    if !condition.arches.is_empty() {
        json.list("arches", condition.arches.iter().map(|arch| arch.value.as_str()));
    }
    if let Some(version) = condition.min_kernel {
        // Version 0.0 has no other spelling.
        let none = version.value.major == 0 && version.value.minor == 0;
        let text = if none { String::new() } else { format!("{}", version.value) };
        json.text("minKernel", &text);
    }
}

/// The number of ERRNO and TRACE. Podman's form has the name as well: older releases read the
/// number and newer ones the name first.
fn errno_keys(json: &mut Json, action: Action, dialect: Dialect, number_key: &str, name_key: &str) {
    let (Action::Errno(number) | Action::Trace(number)) = action else {
        return;
    };
    json.number(number_key, u64::from(number));
    if dialect == Dialect::Containers
        && let Some(name) = podman_name(number)
    {
        json.text(name_key, name);
    }
}

/// The words are there: [`fit::unfit`] was asked.
fn action_word(action: Action) -> &'static str {
    words::action_word(action).unwrap_or_default()
}

fn abi_word(abi: &Spanned<Abi>) -> &'static str {
    abi.value.oci_name().unwrap_or_default()
}
