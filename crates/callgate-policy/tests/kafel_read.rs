//! What a text in Kafel's language means.

mod common;
#[path = "common/reading.rs"]
mod reading;

use callgate_bpf::Action;
use callgate_diagnostic::Severity;
use callgate_policy::{Architectures, formats::kafel};
use callgate_syscalls::Abi;

use self::reading::{clean, find, ids, lines, policy};

#[test]
fn actions_and_calls_come_in_the_order_of_the_text() {
    let policy = clean(
        kafel::read,
        "POLICY a {
           ALLOW { read, write },  // the usual
           KILL { read }, DENY { open }, KILL_THREAD { close }, KILL_PROCESS { ptrace },
           ERRNO(0x1) { mkdir }, TRAP(65535) { rmdir }, TRACE(010) { chdir },
           USER_NOTIF { mount }, LOG { kill }
         }
         /* all of it */
         USE a
         DEFAULT ERRNO(38)",
    );
    assert_eq!(policy.default.value, Action::Errno(38));
    assert_eq!(policy.other, Action::KillThread);
    assert_eq!(policy.dialect, None);
    assert_eq!(
        lines(&policy),
        [
            "read write: allow",
            "read: kill_thread",
            "open: kill_thread",
            "close: kill_thread",
            "ptrace: kill_process",
            "mkdir: errno(1)",
            "rmdir: trap(65535)",
            "chdir: trace(8)",
            "mount: user_notif",
            "kill: log",
        ]
    );
}

#[test]
fn statements_outside_of_policies_are_the_main_one() {
    let policy = clean(
        kafel::read,
        "ALLOW { exit }
         POLICY b { ERRNO(1) { read } }
         ERRNO(2) { write }, USE b, LOG { kill }
         DEFAULT KILL_PROCESS",
    );
    assert_eq!(policy.default.value, Action::KillProcess);
    assert_eq!(lines(&policy), ["exit: allow", "write: errno(2)", "read: errno(1)", "kill: log"]);
    // Kafel's own default.
    assert_eq!(clean(kafel::read, "ALLOW { read }").default.value, Action::KillThread);
}

#[test]
fn a_policy_used_twice_counts_once() {
    let mut text = String::from("POLICY p0 { ALLOW { read } }");
    for i in 1..200 {
        text += &format!("POLICY p{i} {{ USE p{}, USE p{} }} ", i - 1, i - 1);
    }
    assert_eq!(lines(&clean(kafel::read, &(text + "USE p199 USE p199"))), ["read: allow"]);
}

#[test]
fn conditions_become_conjunctions() {
    let policy = clean(
        kafel::read,
        "ALLOW {
           read { fd == 1 },
           write { fd == 1 && count < 10 || fd == 2, !(fd != 3 || count >= 5) },
           mmap { (prot & 4) == 0 },
           socket { family != 1 && family != 2 },
           openat { !(flags & 3 == 0) },
           ioctl { cmd > 5, 7 <= cmd }
         }",
    );
    assert_eq!(
        lines(&policy),
        [
            "read if low arg0 == 0x1: allow",
            "write if low arg0 == 0x1 and arg2 < 0xa: allow",
            "write if low arg0 == 0x2: allow",
            "write if low arg0 == 0x3 and arg2 < 0x5: allow",
            "mmap if arg2 & 0x4 == 0x0: allow",
            "socket if low arg0 != 0x1 and low arg0 != 0x2: allow",
            "openat if low arg2 & 0x1 == 0x1: allow",
            "openat if low arg2 & 0x2 == 0x2: allow",
            "ioctl if low arg1 > 0x5: allow",
            "ioctl if low arg1 >= 0x7: allow",
        ]
    );
}

#[test]
fn bits_bind_closer_than_comparisons_and_or_closer_than_nothing() {
    let policy = clean(
        kafel::read,
        "#define O_CLOEXEC 0x80000
         #define O_RDONLY 0
         ALLOW { openat { flags == O_RDONLY|O_CLOEXEC, flags & 1|2 == 2, ((flags)) == (1|(2)) } }",
    );
    assert_eq!(
        lines(&policy),
        [
            "openat if low arg2 == 0x80000: allow",
            // (flags & 1) | 2 == 2
            "openat if low arg2 & 0x1 == 0x0: allow",
            "openat if low arg2 == 0x3: allow",
        ]
    );
}

#[test]
fn an_argument_has_the_width_of_its_type() {
    let policy = policy(
        kafel::read,
        "ALLOW {
           fcntl { fd == 0x1234 },
           fcntl { fd == 0x100001234 },
           fcntl { fd == -1 },
           fcntl(fd) { fd == 0x1234 },
           read { count == 5 }
         }",
    );
    let all = lines(&policy);
    assert_eq!(all[0], "fcntl if low arg0 == 0x1234: allow");
    assert_eq!(all[3..], ["fcntl if arg0 == 0x1234: allow", "read if arg2 == 0x5: allow"]);
    // A constant of more than 32 bits widens the comparison, where a register holds so many.
    for entry in &policy.entries[1..3] {
        assert_eq!(entry.names[0].value, "fcntl");
        let wide = entry.abis.iter().map(|abi| abi.arg_bits());
        assert!(wide.clone().count() > 5 && wide.clone().all(|bits| bits == 64));
    }
}

#[test]
fn calls_have_kafels_names() {
    let policy = clean(kafel::read, "ALLOW { newfstat, newuname, sendfile64 ON x86_64, chown }");
    let names = |name: &str| {
        let entries = policy.entries.iter();
        entries.filter(|entry| entry.names.iter().any(|n| n.value == name)).collect::<Vec<_>>()
    };
    assert!(!names("fstat").is_empty() && !names("uname").is_empty());
    assert!(lines(&policy).contains(&"sendfile on x86_64: allow".into()));
    // What Kafel calls `chown` is `chown32` where both exist.
    let chown = |name: &str| -> Vec<Abi> {
        names(name).iter().flat_map(|entry| entry.abis.iter().copied()).collect()
    };
    assert!(chown("chown32").contains(&Abi::X86));
    assert!(chown("chown").contains(&Abi::X86_64) && !chown("chown").contains(&Abi::X86));
    for entry in &policy.entries {
        assert!(!entry.abis.contains(&Abi::X32), "Kafel has no names for x32's calls");
    }
}

#[test]
fn the_name_of_the_c_library_is_taken_with_a_warning() {
    let policy = policy(kafel::read, "ALLOW { fstat, umount2 }");
    let on_x86_64 = |name: &str| {
        policy.entries.iter().any(|entry| {
            entry.abis.contains(&Abi::X86_64) && entry.names.iter().any(|n| n.value == name)
        })
    };
    assert!(on_x86_64("fstat") && on_x86_64("umount2"));
    assert_eq!(ids(kafel::read, "ALLOW { fstat, umount2 }"), ["kafel-name"; 2]);
}

#[test]
fn guards_keep_a_call_to_architectures() {
    let policy = clean(
        kafel::read,
        "ALLOW { read ON X86_64, write ON { arm64, i386 } { fd == 1 }, kill { pid == 1 } ON arm }",
    );
    assert_eq!(
        lines(&policy),
        [
            "read on x86_64: allow",
            "write on x86 aarch64 if low arg0 == 0x1: allow",
            "kill on arm if low arg0 == 0x1: allow",
        ]
    );
}

#[test]
fn numbers_stand_for_the_calls_that_have_them() {
    let policy = clean(
        kafel::read,
        "#define first 0
         ALLOW { SYSCALL[39] ON x86_64, first ON x86_64, SYSCALL[0x40000208] ON amd64 }",
    );
    assert_eq!(lines(&policy), ["getpid read on x86_64: allow", "execve on x32: allow"]);
}

#[test]
fn x86_64_takes_x32s_calls_for_its_own_where_that_shows() {
    let architectures = |text: &str| clean(kafel::read, text).architectures;
    // Everything x32 gets is the end of the thread, as it is without a table.
    assert_eq!(architectures("ALLOW { read } DEFAULT KILL"), Architectures::Native);
    for text in ["ALLOW { read } DEFAULT LOG", "ALLOW { SYSCALL[0x40000000] ON x86_64 }"] {
        let x32 = architectures(text);
        assert!(
            matches!(x32, Architectures::Map(map) if map[0].1[0].value == Abi::X32),
            "x32 has no table"
        );
    }
}

#[test]
fn a_constant_goes_before_an_argument() {
    let text = "#define flags 3\nALLOW { openat { flags == 3 } }";
    assert_eq!(ids(kafel::read, text), ["constant-condition"]);
    assert_eq!(lines(&policy(kafel::read, text)), ["openat: allow"]);
    find(
        kafel::read,
        "#define flags 3\nALLOW { openat { «flags == 3» } }",
        Severity::Warning,
        "constant-condition",
    )
    .says("the two numbers are constant, so this always holds");
}

#[test]
fn places_are_those_of_the_words() {
    let text = "ALLOW { read, write { fd == 1 && count == 2 } } DEFAULT ERRNO(5)";
    let policy = clean(kafel::read, text);
    let of = |span: callgate_diagnostic::Span| span.of(text);
    assert_eq!(of(policy.default.span), "ERRNO(5)");
    let [read, write] = &policy.entries[..] else { panic!("two entries: {:?}", lines(&policy)) };
    assert_eq!(of(read.names[0].span), "read");
    assert_eq!(of(write.names[0].span), "write");
    assert_eq!(of(write.span), "write { fd == 1 && count == 2 }");
    assert_eq!(of(write.action.span), "ALLOW");
    let comparisons: Vec<&str> = write.comparisons.iter().map(|c| of(c.span)).collect();
    assert_eq!(comparisons, ["fd == 1", "count == 2"]);
}
