//! The words of a profile: keys, actions, operators, flags, architectures, capabilities.
//!
//! The reader, the writer and the schema's test all take them from here.

use callgate_bpf::Action;
use callgate_syscalls::{Abi, Capability};

use crate::{Dialect, FilterFlag, Test};

/// What a key holds, and what Go's decoder does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// A string; `null` leaves it as it was.
    Text,
    /// A whole number; `null` leaves it as it was.
    Number,
    /// A whole number that may be absent; `null` makes it so.
    OptionalNumber,
    /// A kernel version as Docker decodes it.
    Version,
    /// A list of strings.
    Texts,
    /// A list of objects, whose elements a second occurrence of the key is decoded into.
    Objects,
    /// An object, which a second occurrence is decoded into.
    Object,
}

/// A key of one kind of object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub name: &'static str,
    pub holds: Holds,
    /// Who decodes it; the others drop it.
    pub readers: &'static [Dialect],
}

/// One kind of object: what it is called in messages, and its keys.
#[derive(Debug)]
pub(super) struct Keys {
    pub what: &'static str,
    pub keys: &'static [Key],
}

const EVERYBODY: &[Dialect] = &[Dialect::Docker, Dialect::Oci, Dialect::Containers];
const ENGINES: &[Dialect] = &[Dialect::Docker, Dialect::Containers];
const DOCKER: &[Dialect] = &[Dialect::Docker];
const CONTAINERS: &[Dialect] = &[Dialect::Containers];
/// Known, and meant to be ignored.
const NOBODY: &[Dialect] = &[];

const fn key(name: &'static str, holds: Holds, readers: &'static [Dialect]) -> Key {
    Key { name, holds, readers }
}

pub(super) static PROFILE: Keys = Keys {
    what: "a profile",
    keys: &[
        key("$schema", Holds::Text, NOBODY),
        key("defaultAction", Holds::Text, EVERYBODY),
        key("defaultErrnoRet", Holds::OptionalNumber, EVERYBODY),
        key("defaultErrno", Holds::Text, CONTAINERS),
        key("architectures", Holds::Texts, EVERYBODY),
        key("archMap", Holds::Objects, ENGINES),
        key("flags", Holds::Texts, EVERYBODY),
        key("listenerPath", Holds::Text, EVERYBODY),
        key("listenerMetadata", Holds::Text, EVERYBODY),
        key("syscalls", Holds::Objects, EVERYBODY),
    ],
};

pub(super) static ARCH_MAP: Keys = Keys {
    what: "an entry of `archMap`",
    keys: &[
        key("architecture", Holds::Text, EVERYBODY),
        key("subArchitectures", Holds::Texts, EVERYBODY),
    ],
};

pub(super) static ENTRY: Keys = Keys {
    what: "an entry of `syscalls`",
    keys: &[
        key("names", Holds::Texts, EVERYBODY),
        key("name", Holds::Text, ENGINES),
        key("action", Holds::Text, EVERYBODY),
        key("errnoRet", Holds::OptionalNumber, EVERYBODY),
        key("errno", Holds::Text, CONTAINERS),
        key("args", Holds::Objects, EVERYBODY),
        key("comment", Holds::Text, ENGINES),
        key("includes", Holds::Object, ENGINES),
        key("excludes", Holds::Object, ENGINES),
    ],
};

pub(super) static ARGUMENT: Keys = Keys {
    what: "an element of `args`",
    keys: &[
        key("index", Holds::Number, EVERYBODY),
        key("value", Holds::Number, EVERYBODY),
        key("valueTwo", Holds::Number, EVERYBODY),
        key("op", Holds::Text, EVERYBODY),
    ],
};

pub(super) static CONDITION: Keys = Keys {
    what: "a condition",
    keys: &[
        key("caps", Holds::Texts, EVERYBODY),
        key("arches", Holds::Texts, EVERYBODY),
        key("minKernel", Holds::Version, DOCKER),
    ],
};

/// The actions. `SCMP_ACT_KILL` is the older word for killing the thread; of the two, the writer
/// takes the later. The data of ERRNO and TRACE stand in another key.
pub(super) const ACTIONS: [(&str, Action); 9] = [
    ("SCMP_ACT_KILL", Action::KillThread),
    ("SCMP_ACT_KILL_THREAD", Action::KillThread),
    ("SCMP_ACT_KILL_PROCESS", Action::KillProcess),
    ("SCMP_ACT_TRAP", Action::Trap(0)),
    ("SCMP_ACT_ERRNO", Action::Errno(0)),
    ("SCMP_ACT_TRACE", Action::Trace(0)),
    ("SCMP_ACT_ALLOW", Action::Allow),
    ("SCMP_ACT_LOG", Action::Log),
    ("SCMP_ACT_NOTIFY", Action::UserNotif),
];

/// Makes a test of the two numbers of an argument.
pub(super) type MakeTest = fn(u64, u64) -> Test;

/// The operators. MASKED_EQ has its mask in `value` and what it compares with in `valueTwo`.
pub(super) const OPERATORS: [(&str, MakeTest); 7] = [
    ("SCMP_CMP_NE", |value, _| Test::Ne(value)),
    ("SCMP_CMP_LT", |value, _| Test::Lt(value)),
    ("SCMP_CMP_LE", |value, _| Test::Le(value)),
    ("SCMP_CMP_EQ", |value, _| Test::Eq(value)),
    ("SCMP_CMP_GE", |value, _| Test::Ge(value)),
    ("SCMP_CMP_GT", |value, _| Test::Gt(value)),
    ("SCMP_CMP_MASKED_EQ", |mask, value| Test::MaskedEq { mask, value }),
];

/// What people write for an operator and mean one.
pub(super) const SYMBOLS: [(&str, &str); 8] = [
    ("!=", "SCMP_CMP_NE"),
    ("<", "SCMP_CMP_LT"),
    ("<=", "SCMP_CMP_LE"),
    ("==", "SCMP_CMP_EQ"),
    ("=", "SCMP_CMP_EQ"),
    (">=", "SCMP_CMP_GE"),
    (">", "SCMP_CMP_GT"),
    ("&", "SCMP_CMP_MASKED_EQ"),
];

/// The architectures that a profile can name.
pub(super) fn architectures() -> impl Iterator<Item = &'static str> + Clone {
    Abi::ALL.iter().filter_map(|abi| abi.oci_name())
}

/// An architecture of a profile. Only the full word counts: runc takes no other.
pub(super) fn architecture(word: &str) -> Option<Abi> {
    Abi::ALL.iter().copied().find(|abi| abi.oci_name() == Some(word))
}

/// A capability as engines compare it: they know the full upper-case name alone.
pub(super) fn capability(word: &str) -> Option<Capability> {
    Capability::from_name(word).filter(|capability| capability.name() == word)
}

/// A flag of the filter.
pub(super) fn flag(word: &str) -> Option<FilterFlag> {
    FilterFlag::ALL.into_iter().find(|flag| flag.name() == word)
}

/// The word for an action, its data aside.
pub(super) fn action_word(action: Action) -> Option<&'static str> {
    Some(match action {
        Action::KillThread => "SCMP_ACT_KILL_THREAD",
        Action::KillProcess => "SCMP_ACT_KILL_PROCESS",
        Action::Trap(_) => "SCMP_ACT_TRAP",
        Action::Errno(_) => "SCMP_ACT_ERRNO",
        Action::Trace(_) => "SCMP_ACT_TRACE",
        Action::Log => "SCMP_ACT_LOG",
        Action::UserNotif => "SCMP_ACT_NOTIFY",
        Action::Allow => "SCMP_ACT_ALLOW",
        _ => return None,
    })
}

/// The operator of a test, and the two numbers.
pub(super) fn operator(test: Test) -> (&'static str, u64, u64) {
    match test {
        Test::Ne(value) => ("SCMP_CMP_NE", value, 0),
        Test::Lt(value) => ("SCMP_CMP_LT", value, 0),
        Test::Le(value) => ("SCMP_CMP_LE", value, 0),
        Test::Eq(value) => ("SCMP_CMP_EQ", value, 0),
        Test::Ge(value) => ("SCMP_CMP_GE", value, 0),
        Test::Gt(value) => ("SCMP_CMP_GT", value, 0),
        Test::MaskedEq { mask, value } => ("SCMP_CMP_MASKED_EQ", mask, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_written_as_it_is_read() {
        for (word, action) in ACTIONS {
            let written = action_word(action).unwrap();
            assert!(ACTIONS.contains(&(written, action)));
            assert!(written == word || word == "SCMP_ACT_KILL");
        }
    }

    #[test]
    fn an_operator_is_written_as_it_is_read() {
        for (word, make) in OPERATORS {
            assert_eq!(operator(make(6, 4)).0, word);
            let (_, first, second) = operator(make(6, 4));
            assert_eq!(make(first, second), make(6, 4));
        }
        assert!(SYMBOLS.iter().all(|(_, word)| OPERATORS.iter().any(|(known, _)| known == word)));
    }
}
