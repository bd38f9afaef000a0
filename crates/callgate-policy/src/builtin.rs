//! The profiles that Callgate carries.

/// A profile that is named instead of read from a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Builtin {
    /// The name on the command line.
    pub name: &'static str,
    /// One line on what it is for.
    pub summary: &'static str,
    /// The profile, in Docker's dialect.
    pub text: &'static str,
    /// Whether calls newer than the profile get ENOSYS, as in a profile that somebody wrote at
    /// some time; the strict ones mean every other call there is or will be.
    pub ages: bool,
}

/// All of them.
pub const ALL: &[Builtin] = &[
    Builtin {
        name: "docker-default",
        summary: "what the Docker engine gives a container that asks for nothing",
        text: include_str!("builtin/docker-default.json"),
        ages: true,
    },
    Builtin {
        name: "strict",
        summary: "the four calls of strict mode, as a filter: read, write, exit, sigreturn",
        text: STRICT,
        ages: false,
    },
    Builtin {
        name: "strict-exit-group",
        summary: "strict, and exit_group, with which C programs end",
        text: STRICT_EXIT_GROUP,
        ages: false,
    },
    Builtin {
        name: "audit",
        summary: "lets every call pass and logs it: to see what a container calls",
        text: include_str!("builtin/audit.json"),
        ages: true,
    },
    Builtin {
        name: "violation",
        summary: "refuses every call: to see that a profile arrives at all",
        text: include_str!("builtin/violation.json"),
        ages: true,
    },
    Builtin {
        name: "fine-grained",
        summary: "what a small server and its container runtime call: to start one's own from",
        text: include_str!("builtin/fine-grained.json"),
        ages: true,
    },
];

/// The built-in profile of this name.
pub fn named(name: &str) -> Option<&'static Builtin> {
    ALL.iter().find(|builtin| builtin.name == name)
}

const STRICT: &str = r#"{
  "defaultAction": "SCMP_ACT_KILL_THREAD",
  "syscalls": [
    { "names": ["read", "write", "exit", "rt_sigreturn", "sigreturn"], "action": "SCMP_ACT_ALLOW" }
  ]
}
"#;

const STRICT_EXIT_GROUP: &str = r#"{
  "defaultAction": "SCMP_ACT_KILL_THREAD",
  "syscalls": [
    { "names": ["read", "write", "exit", "rt_sigreturn", "sigreturn"], "action": "SCMP_ACT_ALLOW" },
    { "names": ["exit_group"], "action": "SCMP_ACT_ALLOW" }
  ]
}
"#;
