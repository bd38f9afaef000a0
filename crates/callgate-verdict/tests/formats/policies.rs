//! Random policies and texts.

use std::fmt::Write as _;

use callgate_bpf::{Action, generate::Rng};
use callgate_diagnostic::{Span, Spanned};
use callgate_policy::{
    Architectures, ArgIndex, Comparison, Condition, Dialect, Entry, Policy, Test,
};
use callgate_syscalls::{Abi, groups};

/// Which policies to make.
#[derive(Clone, Copy)]
pub struct Shape {
    /// None for whatever machine it is.
    pub abis: Option<&'static [Abi]>,
    pub dialect: Option<Dialect>,
    pub names: &'static [&'static str],
    pub actions: &'static [Action],
    pub others: &'static [Action],
    pub tests: Tests,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Tests {
    None,
    Exact,
    All,
}

/// Calls that every libseccomp and every ABI of the x86 machine has, most of them everywhere.
const NAMES: &[&str] = &[
    "read",
    "write",
    "close",
    "mmap",
    "clone",
    "ioctl",
    "prctl",
    "fcntl",
    "personality",
    "socket",
    "chown",
    "stat",
    "fstat",
    "uname",
    "umount2",
    "sendfile",
    "getrlimit",
    "chown32",
    "clone3",
    "openat",
    "execve",
    "kill",
];

/// No call that has a second way in through `socketcall` or `ipc`.
const DIRECT: &[&str] =
    &["read", "write", "close", "mmap", "clone", "ioctl", "prctl", "fcntl", "personality", "kill"];

const ACTIONS: &[Action] = &[
    Action::Allow,
    Action::Log,
    Action::Errno(1),
    Action::Errno(38),
    Action::KillThread,
    Action::KillProcess,
    Action::Trap(3),
    Action::Trace(9),
    Action::UserNotif,
];

impl Shape {
    pub const ALL_TESTS: Shape = Shape {
        abis: None,
        dialect: None,
        names: NAMES,
        actions: ACTIONS,
        others: &[Action::KillThread],
        tests: Tests::All,
    };
    pub const NO_TESTS: Shape = Shape {
        names: &[
            "read", "write", "close", "openat", "execve", "clone", "swapon", "swapoff", "reboot",
            "mount", "getpid", "chown", "fchown", "lchown", "fchownat", "ptrace", "prctl",
        ],
        actions: &[
            Action::Allow,
            Action::Log,
            Action::Errno(1),
            Action::Errno(38),
            Action::KillProcess,
        ],
        others: &[Action::KillThread, Action::Allow],
        tests: Tests::None,
        ..Shape::ALL_TESTS
    };
    pub const FOR_LIBSECCOMP: Shape = Shape {
        names: DIRECT,
        actions: &[
            Action::Allow,
            Action::Log,
            Action::Errno(1),
            Action::KillProcess,
            Action::Trap(0),
            Action::Trace(9),
        ],
        others: &[Action::KillThread, Action::Errno(5), Action::Allow],
        tests: Tests::Exact,
        ..Shape::ALL_TESTS
    };
}

fn here<T>(value: T) -> Spanned<T> {
    Spanned::new(value, Span::default())
}

/// A random policy.
pub fn random(rng: &mut Rng, shape: &Shape) -> Policy {
    let container = shape.dialect.is_some();
    let other = if container { Policy::CONTAINER_OTHER } else { rng.pick(shape.others) };
    // A default that is also the answer to other architectures is sayable in most languages.
    let default =
        if rng.one_in(2) && shape.tests == Tests::All { other } else { rng.pick(shape.actions) };
    // Of a call there is one verdict, so that libseccomp has no choice.
    let exact = shape.tests == Tests::Exact;
    let verdicts: Vec<Action> = shape.names.iter().map(|_| rng.pick(shape.actions)).collect();
    let entries = (0..rng.below(8))
        .map(|_| {
            let action = rng.pick(shape.actions);
            let mut names: Vec<&str> = (0..=rng.below(4)).map(|_| rng.pick(shape.names)).collect();
            names.dedup();
            let mut action = action;
            if exact {
                names.truncate(1);
                let place = shape.names.iter().position(|name| *name == names[0]).unwrap();
                action = verdicts[place];
            }
            let abis = match shape.abis {
                Some([_, _, ..]) if shape.tests == Tests::All && rng.one_in(3) => {
                    vec![rng.pick(shape.abis.unwrap())]
                }
                _ => Vec::new(),
            };
            Entry {
                names: names.into_iter().map(|name| here(name.to_owned())).collect(),
                abis,
                action: here(action),
                comparisons: comparisons(rng, shape),
                includes: Condition::default(),
                excludes: Condition::default(),
                comment: None,
                span: Span::default(),
            }
        })
        .collect();
    Policy {
        dialect: shape.dialect,
        default: here(default),
        architectures: match shape.abis {
            Some(abis) => Architectures::List(abis.iter().map(|abi| here(*abi)).collect()),
            None => Architectures::Native,
        },
        other,
        flags: Vec::new(),
        listener: None,
        entries,
    }
}

fn comparisons(rng: &mut Rng, shape: &Shape) -> Vec<Spanned<Comparison>> {
    if shape.tests == Tests::None {
        return Vec::new();
    }
    let mut all: Vec<Spanned<Comparison>> = Vec::new();
    for _ in 0..rng.below(4) {
        let arg = rng.pick(&ArgIndex::ALL[..4]);
        let exact = shape.tests == Tests::Exact;
        if exact && all.iter().any(|known| known.value.arg == arg) {
            continue;
        }
        let test = test(rng, exact);
        let low = rng.one_in(3) && !(exact && matches!(test, Test::MaskedEq { .. }));
        all.push(here(if low {
            Comparison::low32(arg, test)
        } else {
            Comparison::full(arg, test)
        }));
    }
    all
}

fn test(rng: &mut Rng, exact: bool) -> Test {
    // Within what 32-bit ABIs compare: how the others cut a constant is not the formats' business.
    let value = rng.pick(&[0, 1, 2, 5, 8, 0x40, 0xff, 0x1000, 0x7e02_0000, 0x8000_0000]);
    let mask = rng.pick(&[1, 0xf, 0xff, 0x7e02_0000, 0xffff_fff0, 0xffff_ffff]);
    match rng.below(if exact { 3 } else { 8 }) {
        0 => Test::MaskedEq { mask, value: value & mask },
        1 | 2 => Test::Eq(value),
        3 => Test::Ne(value),
        4 => Test::Lt(value),
        5 => Test::Le(value),
        6 => Test::Ge(value),
        _ => Test::Gt(value),
    }
}

/// A random text in Kafel's language, without mistakes.
pub fn kafel_text(rng: &mut Rng) -> String {
    let mut text = String::from("#define MASK 0x7e020000\n#define BIT 4\n");
    let policies = 1 + rng.below(3);
    for policy in 0..policies {
        let _ = write!(text, "POLICY p{policy} {{");
        for block in 0..1 + rng.below(3) {
            text.push_str(if block == 0 { "\n  " } else { ",\n  " });
            if policy > 0 && rng.one_in(3) {
                let _ = write!(text, "USE p{}", rng.below(policy));
                continue;
            }
            let _ = write!(text, "{} {{ ", kafel_action(rng));
            for call in 0..1 + rng.below(4) {
                text.push_str(if call == 0 { "" } else { ", " });
                kafel_call(rng, &mut text);
            }
            text.push_str(" }");
        }
        text.push_str("\n}\n");
    }
    for policy in 0..policies {
        let _ = writeln!(text, "USE p{policy}");
    }
    let _ = writeln!(text, "DEFAULT {}", kafel_action(rng));
    text
}

fn kafel_action(rng: &mut Rng) -> &'static str {
    rng.pick(&[
        "ALLOW",
        "LOG",
        "KILL",
        "KILL_THREAD",
        "DENY",
        "KILL_PROCESS",
        "ERRNO(1)",
        "ERRNO(38)",
        "TRAP(7)",
        "TRACE(65535)",
        "USER_NOTIF",
    ])
}

fn kafel_call(rng: &mut Rng, text: &mut String) {
    let (name, args): (&str, &[&str]) = rng.pick(&[
        ("read", &["fd", "buf", "count"]),
        ("mmap", &["prot", "flags", "fd"]),
        ("clone", &["clone_flags", "newsp"]),
        ("socket", &["family", "type"]),
        ("newuname", &["name"]),
        ("chown", &["filename", "user"]),
        ("fcntl", &["fd", "cmd", "arg"]),
        ("SYSCALL[1]", &[]),
        ("SYSCALL[0x40000000]", &[]),
    ]);
    text.push_str(name);
    let own = rng.one_in(4);
    let args = if own { &["a", "b", "c"][..] } else { args };
    if own {
        text.push_str("(a, b, c)");
    }
    if rng.one_in(5) {
        text.push_str(rng.pick(&[" ON x86_64", " ON { x86, AMD64 }", " ON { arm64, x86_64 }"]));
    }
    if !args.is_empty() && rng.one_in(2) {
        text.push_str(" { ");
        kafel_condition(rng, args, 3, text);
        text.push_str(" }");
    }
}

fn kafel_condition(rng: &mut Rng, args: &[&str], depth: u32, text: &mut String) {
    if depth == 0 || rng.one_in(3) {
        let arg = rng.pick(args);
        let number = rng.pick(&["0", "1", "5", "0xff", "BIT", "MASK", "-1", "0x100000005", "017"]);
        let relation = rng.pick(&["==", "!=", "<", "<=", ">", ">="]);
        let side = match rng.below(5) {
            0 => format!("({arg} & {})", rng.pick(&["BIT", "MASK", "0xfffffff0", "0xff0000000f"])),
            1 => format!("{arg} & 7 | {arg} & 1"),
            2 => format!("({arg} | 3)"),
            _ => arg.to_owned(),
        };
        let _ = if rng.one_in(6) {
            write!(text, "{number} {relation} {side}")
        } else {
            write!(text, "{side} {relation} {number}")
        };
        return;
    }
    if rng.one_in(4) {
        text.push('!');
    }
    text.push('(');
    kafel_condition(rng, args, depth - 1, text);
    text.push_str(rng.pick(&[" && ", " || ", ", "]));
    kafel_condition(rng, args, depth - 1, text);
    text.push(')');
}

/// A random unit file, without mistakes.
pub fn unit_text(rng: &mut Rng) -> String {
    let mut text = String::from("[Service]\n");
    for _ in 0..1 + rng.below(5) {
        let key = if rng.one_in(4) { "SystemCallLog" } else { "SystemCallFilter" };
        let inverted = rng.one_in(2);
        let _ = write!(text, "{key}={}", if inverted { "~" } else { "" });
        for word in 0..1 + rng.below(5) {
            text.push_str(if word == 0 { "" } else { rng.pick(&[" ", " \\\n  "]) });
            if rng.one_in(2) {
                text.push_str(groups::ALL[rng.below(groups::ALL.len())].name);
            } else {
                text.push_str(rng.pick(&[
                    "read",
                    "socket",
                    "socketcall",
                    "ipc",
                    "shmget",
                    "execve",
                    "mount",
                    "mmap",
                    "connect",
                ]));
            }
            if inverted && key == "SystemCallFilter" && rng.one_in(3) {
                text.push_str(rng.pick(&[":EPERM", ":13", ":kill", ":ENOSYS"]));
            }
        }
        text.push('\n');
        if rng.one_in(12) {
            let _ = writeln!(text, "{key}=");
        }
    }
    if rng.one_in(2) {
        let _ = writeln!(text, "SystemCallErrorNumber={}", rng.pick(&["EPERM", "ENOSYS", "kill"]));
    }
    if rng.one_in(2) {
        let list = rng.pick(&["native", "x86", "x86-64 x32", "arm64 arm", "native x86 arm"]);
        let _ = writeln!(text, "SystemCallArchitectures={list}");
    }
    text
}
