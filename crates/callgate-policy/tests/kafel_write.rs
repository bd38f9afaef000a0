//! Policies written in Kafel's language.

mod common;
#[path = "common/reading.rs"]
mod reading;

use callgate_bpf::Action;
use callgate_policy::{
    Architectures, ArgIndex, Comparison, Condition, Dialect, FilterFlag, Listener, Policy, Test,
    formats::kafel,
};
use callgate_syscalls::Abi;
use common::here;

use self::reading::{clean, policy};

/// The text of a policy that Kafel can say.
#[track_caller]
fn written(policy: &Policy) -> String {
    kafel::write(policy).unwrap_or_else(|refused| panic!("{}", common::show(&refused)))
}

/// Why a policy is refused.
fn refused(policy: &Policy) -> Vec<String> {
    let all = kafel::write(policy).expect_err("it is refused");
    assert!(all.iter().all(|one| one.id == "cannot-write" && one.is_error()));
    all.into_iter().map(|one| one.message).collect()
}

#[test]
fn what_is_read_is_written_alike() {
    let text = "\
POLICY main {
  ALLOW {
    read, newfstat, chown,
    write { fd == 1, fd == 2 && (count & 7) == 0 },
    clone { (clone_flags & 0x7e020000) != 0 },
    getpid
  },
  ERRNO(1) {
    socket { family != 1 && family != 2 },
    mmap(a0, a1, a2, a3, a4) { a4 == 0xffffffffffffffff },
    arm_fadvise64_64 ON arm,
    ptrace ON { x86_64, aarch64 } { request < 5 }
  },
  KILL_PROCESS {
    reboot
  }
}
USE main DEFAULT ERRNO(38)
";
    let once = written(&policy(kafel::read, text));
    // What the prototype says already need not be said, and only the 64-bit architectures have
    // such a value; arm's own call needs no guard.
    let expected = text
        .replace("mmap(a0, a1, a2, a3, a4) {", "mmap ON { x86_64, aarch64, riscv64, mips64 } {")
        .replace("{ a4 ==", "{ fd ==")
        .replace("arm_fadvise64_64 ON arm", "arm_fadvise64_64");
    assert_eq!(once, expected);
    assert_eq!(written(&policy(kafel::read, &once)), once);
}

#[test]
fn architectures_and_x32_are_spelled_out() {
    let mut policy = clean(kafel::read, "ALLOW { read, chown }");
    for entry in &mut policy.entries {
        entry.abis.clear();
        for name in &mut entry.names {
            if name.value == "chown32" {
                name.value = String::from("chown");
            }
        }
    }
    policy.entries.truncate(1);
    policy.entries[0].names = ["read", "chown", "mmap"].map(|n| here(String::from(n))).into();
    policy.architectures = Architectures::List([Abi::X86_64, Abi::X86, Abi::X32].map(here).into());
    let text = written(&policy);
    assert_eq!(
        text,
        "\
// To be compiled for x86_64, x86.
POLICY main {
  ALLOW {
    read,
    SYSCALL[0x40000000] /* read */ ON x86_64,
    chown ON x86_64,
    chown16 ON x86,
    SYSCALL[0x4000005c] /* chown */ ON x86_64,
    mmap ON x86_64,
    old_mmap ON x86,
    SYSCALL[0x40000009] /* mmap */ ON x86_64
  }
}
USE main DEFAULT KILL
"
    );
    assert!(clean(kafel::read, &text).architectures != Architectures::Native);
}

#[test]
fn long_lists_are_wrapped_and_nothing_is_nothing() {
    let names: Vec<&str> = callgate_syscalls::groups::find("@file-system")
        .into_iter()
        .flat_map(|group| group.syscalls())
        .map(|call| call.name)
        .collect();
    let mut policy = clean(kafel::read, "ALLOW { read }");
    assert_eq!(
        written(&policy),
        "POLICY main {\n  ALLOW {\n    read\n  }\n}\nUSE main DEFAULT KILL\n"
    );
    policy.entries[0].names = names.iter().map(|name| here(String::from(*name))).collect();
    let text = written(&policy);
    assert!(text.lines().count() > 10);
    assert!(text.lines().all(|line| line.len() <= 100), "{text}");
    policy.entries.clear();
    assert_eq!(written(&policy), "POLICY main {}\nUSE main DEFAULT KILL\n");
}

#[test]
fn widths_that_the_prototype_lacks_are_spelled_out() {
    let policy = |comparisons: &[Comparison]| {
        let mut policy = clean(kafel::read, "ALLOW { read }");
        policy.architectures = Architectures::List([here(Abi::X86_64)].into());
        policy.entries[0].comparisons = comparisons.iter().copied().map(here).collect();
        policy
    };
    let [fd, _, count, ..] = ArgIndex::ALL;
    let both = [Comparison::full(fd, Test::Eq(3)), Comparison::low32(count, Test::Lt(9))];
    assert!(
        written(&policy(&both)).contains("read(a0, a1, a2) { a0 == 3 && (a2 & 0xffffffff) < 9 }"),
        "{}",
        written(&policy(&both))
    );
    let low = [Comparison::low32(fd, Test::Gt(0x1000))];
    assert!(written(&policy(&low)).contains("read { fd > 0x1000 }"), "{}", written(&policy(&low)));
}

#[test]
fn what_kafel_cannot_say_is_refused_with_the_reason() {
    let plain =
        clean(kafel::read, "ALLOW { read } KILL_PROCESS { mount } LOG { write { fd == 1 } }");
    let with = |change: &dyn Fn(&mut Policy)| {
        let mut policy = plain.clone();
        change(&mut policy);
        refused(&policy)
    };

    assert_eq!(
        with(&|p| p.other = Action::Errno(1)),
        ["another architecture gets errno(1), and Kafel ends the thread"]
    );
    assert_eq!(
        with(&|p| p.default = here(Action::Log)),
        ["x32's calls get kill_thread, and Kafel gives them the default, log"]
    );
    let with_x32 = clean(kafel::read, "ALLOW { read } DEFAULT ERRNO(1)");
    assert!(kafel::write(&Policy { default: here(Action::Log), ..with_x32 }).is_ok());
    assert_eq!(
        with(&|p| p.architectures = Architectures::List([here(Abi::S390x)].into())),
        ["Kafel has no architecture s390x"]
    );
    assert_eq!(
        with(&|p| p.architectures = Architectures::List([Abi::Arm, Abi::X32].map(here).into())),
        ["Kafel reaches x32's calls from x86_64 alone"]
    );
    assert_eq!(
        with(&|p| {
            let row = (here(Abi::Aarch64), Vec::from([here(Abi::Arm)]));
            p.architectures = Architectures::Map(Vec::from([row]));
        }),
        ["a policy of Kafel is not for machines of several kinds"]
    );
    assert_eq!(
        with(&|p| p.flags.push(here(FilterFlag::Log))),
        ["flags for loading are no part of a policy"]
    );
    assert_eq!(
        with(&|p| p.listener = Some(Listener { path: here("/x".into()), metadata: None })),
        ["a socket for a supervisor is no part of a policy"]
    );
    assert_eq!(
        with(&|p| {
            p.entries[0].includes =
                Condition { arches: [here("arm".into())].into(), ..Condition::default() };
        }),
        ["entry 0 has conditions on the machine"]
    );
    assert_eq!(
        with(&|p| p.entries[1].names[0].value = "raed".into()),
        ["no syscall is called `raed`"]
    );
    assert_eq!(
        with(&|p| {
            let one = p.entries[2].comparisons[0];
            p.entries[2].comparisons = vec![one; 100];
        }),
        ["entry 2 has more comparisons than Kafel takes in one rule"]
    );

    // A profile's rules combine in another order; everything wrong is said at once.
    let profile =
        common::policy(r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [] }"#, Dialect::Oci);
    assert_eq!(refused(&profile).len(), 1);
    let several = with(&|p| {
        p.other = Action::Allow;
        p.entries[0].names[0].value = "raed".into();
        p.entries[1].names[0].value = "mout".into();
    });
    assert_eq!(several.len(), 3, "{several:?}");
}
