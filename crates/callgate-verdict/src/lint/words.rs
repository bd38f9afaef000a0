//! Names and verdicts in the words of a message.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use callgate_bpf::Action;
use callgate_syscalls::Abi;

/// Names that a message lists; of more it tells the number.
const NAMES_SHOWN: usize = 8;

/// `x86_64, x86 and x32`
pub(super) fn abi_list(abis: impl IntoIterator<Item = Abi>) -> String {
    let mut names: Vec<&str> = Vec::new();
    for abi in abis {
        if !names.contains(&abi.name()) {
            names.push(abi.name());
        }
    }
    join(&names)
}

/// `a, b and c`, of many the first few and how many more.
pub(super) fn name_list(names: &[&str]) -> String {
    if names.len() <= NAMES_SHOWN {
        return join(names);
    }
    format!("{} and {} more", names[..NAMES_SHOWN].join(", "), names.len() - NAMES_SHOWN)
}

fn join(names: &[&str]) -> String {
    match names.split_last() {
        None => String::new(),
        Some((only, [])) => (*only).to_string(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// `refused with EPERM`
pub(super) fn sentence(action: Action, abi: Abi) -> String {
    match action {
        Action::Allow => "allowed".to_string(),
        Action::Log => "allowed and logged".to_string(),
        Action::Errno(0) => "skipped, returning 0".to_string(),
        Action::Errno(number) => match callgate_syscalls::errno::name_on(abi, number) {
            Some(name) => format!("refused with {name}"),
            None => format!("refused with error {number}"),
        },
        Action::KillProcess => "killed with its process".to_string(),
        Action::KillThread => "killed with its thread".to_string(),
        Action::Trap(_) => "refused with a signal".to_string(),
        Action::UserNotif => "left to the supervisor".to_string(),
        Action::Trace(_) => "left to the tracer".to_string(),
        other => other.to_string(),
    }
}
