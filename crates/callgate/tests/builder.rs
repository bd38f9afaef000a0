//! What filters made in code mean: the programs are interpreted, on any machine.

use callgate::{Abi, Action, BuildError, Filter, FilterBuilder, SeccompData, Syscall, arg};

const EPERM: Action = Action::Errno(1);
const REFUSED: Action = Action::Errno(97);
const DIRTY: u64 = 0xdead_beef_0000_0000;

/// A filter for x86_64 that allows what no rule takes.
fn refusing() -> FilterBuilder {
    Filter::builder().abis([Abi::X86_64]).otherwise(Action::Allow)
}

fn answer(filter: &Filter, abi: Abi, syscall: Syscall, args: &[u64]) -> Action {
    let mut call = SeccompData::new(abi.audit(), syscall.number(abi).unwrap());
    call.args[..args.len()].copy_from_slice(args);
    filter.answer(&call)
}

fn on_x86_64(filter: &Filter, syscall: Syscall, args: &[u64]) -> Action {
    answer(filter, Abi::X86_64, syscall, args)
}

#[test]
fn without_rules_everything_fails_with_eperm() {
    let filter = Filter::builder().abis([Abi::X86_64]).build().unwrap();
    assert_eq!(on_x86_64(&filter, Syscall::read, &[]), EPERM);
}

#[test]
fn the_first_rule_that_holds_decides() {
    let filter = refusing()
        .rule(Syscall::socket, [arg(0).eq(40)], REFUSED)
        .allow_if(Syscall::socket, [arg(0).lt(100)])
        .rule(Syscall::socket, [], Action::KillProcess)
        .allow(Syscall::socket)
        .build()
        .unwrap();
    let socket = |domain| on_x86_64(&filter, Syscall::socket, &[domain]);
    assert_eq!(socket(40), REFUSED);
    assert_eq!(socket(1), Action::Allow);
    assert_eq!(socket(100), Action::KillProcess);
}

#[test]
fn all_conditions_of_a_rule_must_hold() {
    let filter = refusing()
        .rule(Syscall::socket, [arg(0).eq(2), arg(1).ge(3), arg(1).le(4)], REFUSED)
        .build()
        .unwrap();
    let socket = |domain, kind| on_x86_64(&filter, Syscall::socket, &[domain, kind]);
    assert_eq!(
        [2, 3, 4, 5].map(|kind| socket(2, kind)),
        [Action::Allow, REFUSED, REFUSED, Action::Allow]
    );
    assert_eq!(socket(1, 3), Action::Allow);
}

#[test]
fn a_dirty_upper_half_does_not_dodge_a_rule_on_an_int() {
    let filter = refusing().rule(Syscall::socket, [arg(0).eq(40)], REFUSED).build().unwrap();
    for domain in [40, 40 | 1 << 32, 40 | DIRTY] {
        assert_eq!(on_x86_64(&filter, Syscall::socket, &[domain]), REFUSED, "{domain:#x}");
    }
    assert_eq!(on_x86_64(&filter, Syscall::socket, &[41]), Action::Allow);
}

#[test]
fn a_long_is_compared_whole() {
    // clone(unsigned long flags, …)
    let filter = refusing().rule(Syscall::clone, [arg(0).eq(40)], REFUSED).build().unwrap();
    assert_eq!(on_x86_64(&filter, Syscall::clone, &[40]), REFUSED);
    assert_eq!(on_x86_64(&filter, Syscall::clone, &[40 | 1 << 32]), Action::Allow);
    let filter = refusing().rule(Syscall::clone, [arg(0).ge(1 << 32)], REFUSED).build().unwrap();
    assert_eq!(on_x86_64(&filter, Syscall::clone, &[u64::from(u32::MAX)]), Action::Allow);
    assert_eq!(on_x86_64(&filter, Syscall::clone, &[1 << 32]), REFUSED);
}

#[test]
fn minus_one_has_the_width_of_the_argument() {
    // setpriority(int which, int who, int niceval); lseek(unsigned int fd, off_t offset, …)
    let int = |filter: FilterBuilder| filter.build().unwrap();
    for filter in [
        int(refusing().rule(Syscall::setpriority, [arg(2).eq(-1)], REFUSED)),
        int(refusing().rule(Syscall::setpriority, [arg(2).eq(-1_i64)], REFUSED)),
        int(refusing().rule(Syscall::setpriority, [arg(2).eq(u32::MAX)], REFUSED)),
        int(refusing().rule(Syscall::setpriority, [arg(2).eq(u64::MAX)], REFUSED)),
    ] {
        for nice in [u64::MAX, 0xffff_ffff, 0x1_ffff_ffff] {
            assert_eq!(on_x86_64(&filter, Syscall::setpriority, &[0, 0, nice]), REFUSED);
        }
        assert_eq!(on_x86_64(&filter, Syscall::setpriority, &[0, 0, 1]), Action::Allow);
    }
    let filter = refusing().rule(Syscall::lseek, [arg(1).eq(-1)], REFUSED).build().unwrap();
    assert_eq!(on_x86_64(&filter, Syscall::lseek, &[0, u64::MAX]), REFUSED);
    assert_eq!(on_x86_64(&filter, Syscall::lseek, &[0, 0xffff_ffff]), Action::Allow);
}

#[test]
fn a_mask_has_the_bits_of_its_type() {
    // CLONE_IO as libc has it: an int with its sign bit set, for an argument of 64 bits.
    let clone_io = 0x8000_0000_u32.cast_signed();
    let filter =
        refusing().rule(Syscall::clone, [arg(0).has_all_of(clone_io)], REFUSED).build().unwrap();
    for flags in [0x8000_0011, 0x8000_0011 | 1 << 33] {
        assert_eq!(on_x86_64(&filter, Syscall::clone, &[flags]), REFUSED);
    }
    assert_eq!(on_x86_64(&filter, Syscall::clone, &[0x11]), Action::Allow);

    // openat(…, int flags): nothing but these.
    let filter = refusing()
        .allow_if(Syscall::openat, [arg(2).has_none_of(!0o2000000)])
        .rule(Syscall::openat, [], REFUSED)
        .build()
        .unwrap();
    let openat = |flags| on_x86_64(&filter, Syscall::openat, &[0, 0, flags]);
    assert_eq!(
        [0, 0o2000000, DIRTY, 1].map(openat),
        [Action::Allow, Action::Allow, Action::Allow, REFUSED]
    );
}

#[test]
fn sixteen_bits_are_compared_as_sixteen() {
    // chmod(const char *, umode_t): the kernel reads 16 bits.
    let filter = refusing().rule(Syscall::chmod, [arg(1).eq(0o4755)], REFUSED).build().unwrap();
    assert_eq!(on_x86_64(&filter, Syscall::chmod, &[0, 0o4755 | 1 << 16]), REFUSED);
    assert_eq!(on_x86_64(&filter, Syscall::chmod, &[0, 0o755]), Action::Allow);
    let filter =
        refusing().rule(Syscall::chmod, [arg(1).has_all_of(0o4000)], REFUSED).build().unwrap();
    assert_eq!(on_x86_64(&filter, Syscall::chmod, &[0, 0o4711 | DIRTY]), REFUSED);
    let error = refusing().rule(Syscall::chmod, [arg(1).ne(0o755)], REFUSED).build().unwrap_err();
    assert!(error.to_string().contains("16 bits"), "{error}");
}

#[test]
fn calls_of_other_abis_end_the_process() {
    let filter = refusing().build().unwrap();
    assert_eq!(answer(&filter, Abi::X86, Syscall::read, &[]), Action::KillProcess);
    assert_eq!(answer(&filter, Abi::X32, Syscall::read, &[]), Action::KillProcess);
    let filter = refusing().abis([Abi::X86_64, Abi::X86, Abi::X86, Abi::X32]).build().unwrap();
    assert_eq!(answer(&filter, Abi::X86, Syscall::read, &[]), Action::Allow);
    assert_eq!(answer(&filter, Abi::X32, Syscall::read, &[]), Action::Allow);
    assert_eq!(answer(&filter, Abi::Aarch64, Syscall::read, &[]), Action::KillProcess);
}

#[test]
fn an_abi_that_lacks_a_call_skips_its_rules() {
    let filter = Filter::builder()
        .abis([Abi::Aarch64])
        .allow(Syscall::open)
        .allow_if(Syscall::openat, [arg(2).eq(0)])
        .build()
        .unwrap();
    assert_eq!(answer(&filter, Abi::Aarch64, Syscall::openat, &[]), Action::Allow);
    assert_eq!(answer(&filter, Abi::Aarch64, Syscall::read, &[]), EPERM);
}

#[test]
fn the_multiplexed_way_gets_the_strictest_verdict() {
    let both = [Abi::X86_64, Abi::X86];
    let filter = refusing()
        .abis(both)
        .rule(Syscall::socket, [arg(0).eq(40)], REFUSED)
        .allow(Syscall::socket)
        .rule(Syscall::shmget, [], REFUSED)
        .build()
        .unwrap();
    let socketcall = |args: &[u64]| answer(&filter, Abi::X86, Syscall::socketcall, args);
    // SYS_SOCKET is 1; the domain lies behind the pointer.
    assert_eq!(socketcall(&[1, 0x1000]), REFUSED);
    assert_eq!(socketcall(&[1 | DIRTY, 0x1000]), REFUSED);
    assert_eq!(socketcall(&[2, 0x1000]), Action::Allow);
    assert_eq!(answer(&filter, Abi::X86, Syscall::socket, &[1]), Action::Allow);
    // SHMGET is 23, under a version in the upper half of the word.
    let ipc = |call| answer(&filter, Abi::X86, Syscall::ipc, &[call]);
    assert_eq!([23, 1 << 16 | 23, 24].map(ipc), [REFUSED, REFUSED, Action::Allow]);

    // Where the default refuses, so does a way in that might have been allowed.
    let filter = Filter::builder()
        .abis(both)
        .allow_if(Syscall::socket, [arg(0).eq(1)])
        .allow(Syscall::bind)
        .build()
        .unwrap();
    let socketcall = |call| answer(&filter, Abi::X86, Syscall::socketcall, &[call]);
    assert_eq!([1, 2, 3].map(socketcall), [EPERM, Action::Allow, EPERM]);

    // What is said of the multiplexer itself comes first.
    let filter = Filter::builder()
        .abis(both)
        .allow(Syscall::socket)
        .rule(Syscall::socketcall, [], REFUSED)
        .build()
        .unwrap();
    assert_eq!(answer(&filter, Abi::X86, Syscall::socketcall, &[1]), REFUSED);
}

fn error(builder: FilterBuilder) -> BuildError {
    builder.build().unwrap_err()
}

#[test]
fn conditions_that_cannot_be_meant_are_refused() {
    let cases = [
        (
            refusing().allow_if(Syscall::getppid, [arg(0).eq(1)]),
            "`getppid` has no argument 0 on x86_64; they count from 0",
        ),
        (
            refusing().allow_if(Syscall::socket, [arg(200).eq(1)]),
            "`socket` has no argument 200 on x86_64; they count from 0",
        ),
        (
            refusing().allow_if(Syscall::socket, [arg(0).eq(1_u64 << 32)]),
            "0x100000000 does not fit in argument 0 of `socket`, which has 32 bits on x86_64",
        ),
        (
            refusing().allow_if(Syscall::socket, [arg(0).lt(1 << 32)]),
            "0x100000000 does not fit in argument 0 of `socket`, which has 32 bits on x86_64",
        ),
        (
            refusing().allow_if(Syscall::socket, [arg(0).has_none_of(1_u64 << 40)]),
            "0x10000000000 does not fit in argument 0 of `socket`, which has 32 bits on x86_64",
        ),
        (
            refusing().abis([Abi::X86]).allow_if(Syscall::read, [arg(2).lt(1 << 32)]),
            "0x100000000 does not fit in argument 2 of `read`, which has 32 bits on x86",
        ),
        (
            refusing().allow_if(Syscall::socket, [arg(1).masked_eq(0xf, 0x10)]),
            "the condition on argument 1 of `socket` can never hold: the value has bits outside the mask",
        ),
        (
            refusing().allow_if(Syscall::chmod, [arg(1).lt(8)]),
            "argument 1 of `chmod` has 16 bits and a filter loads 32, so it can be compared by `eq` and under a mask alone",
        ),
    ];
    for (builder, message) in cases {
        let error = error(builder);
        assert_eq!(error.to_string(), message);
        assert!(error.syscall().is_some() && error.compile_error().is_none());
    }
}

#[test]
fn rules_that_cannot_be_compiled_say_why() {
    let no_abi = error(Filter::builder().abis([]));
    assert_eq!(no_abi.to_string(), "the policy speaks of no architecture");
    assert!(no_abi.compile_error().is_some() && no_abi.syscall().is_none());
    let mixed = error(Filter::builder().abis([Abi::X86_64, Abi::S390x]));
    assert!(mixed.to_string().contains("byte order"), "{mixed}");
    let mut many = refusing();
    for constant in 0..6000_u64 {
        many = many.rule(Syscall::lseek, [arg(1).eq(constant * 0x1_0000_0003)], REFUSED);
    }
    let many = error(many);
    let contributors = many.compile_error().unwrap().contributors();
    assert_eq!(contributors[0].name, "lseek");
}
