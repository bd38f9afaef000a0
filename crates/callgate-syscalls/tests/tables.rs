//! The tables against what is known of them otherwise.

use std::collections::BTreeSet;

use callgate_bpf::{Architecture, ByteOrder, SyscallNr};
use callgate_syscalls::{Abi, all_names, all_syscalls, from_audit, syscall};

/// Distinct names of each ABI in Linux 7.3, counted by exporting that kernel's own headers and
/// preprocessing them, a way that has nothing in common with the generator.
const COUNTS: &[(Abi, usize)] = &[
    (Abi::X86_64, 386),
    (Abi::X32, 375),
    (Abi::X86, 462),
    (Abi::Aarch64, 328),
    (Abi::Arm, 432),
    (Abi::Riscv64, 329),
    (Abi::S390x, 391),
    (Abi::Ppc64le, 425),
    (Abi::Mipsel64, 376),
    (Abi::Loongarch64, 325),
    (Abi::Ppc, 453),
    (Abi::Mips, 446),
    (Abi::Mips64n32, 400),
    (Abi::Alpha, 505),
    (Abi::M68k, 444),
    (Abi::Parisc, 408),
    (Abi::Sh, 437),
    (Abi::Sparc64, 405),
    (Abi::Xtensa, 418),
];

#[test]
fn each_abi_has_as_many_names_as_the_kernels_headers() {
    for (abi, count) in COUNTS {
        let names: BTreeSet<&str> = abi.syscalls().map(|(_, name)| name).collect();
        assert_eq!(names.len(), *count, "{abi}");
        assert_eq!(names.len(), abi.syscalls().len(), "{abi} has a name twice");
    }
}

#[test]
fn numbers_known_by_heart() {
    let known = [
        (Abi::X86_64, "read", 0),
        (Abi::X86_64, "openat", 257),
        (Abi::X86_64, "uretprobe", 335),
        (Abi::X86_64, "uprobe", 336),
        (Abi::X86_64, "clone3", 435),
        (Abi::X86, "restart_syscall", 0),
        (Abi::X86, "exit", 1),
        (Abi::X86, "socketcall", 102),
        (Abi::X86, "ipc", 117),
        (Abi::X32, "read", 0x4000_0000),
        (Abi::X32, "execve", 0x4000_0000 + 520),
        (Abi::Aarch64, "openat", 56),
        (Abi::Arm, "open", 5),
        (Abi::Arm, "set_tls", 0xf0005),
        (Abi::Riscv64, "riscv_flush_icache", 259),
        (Abi::S390x, "exit", 1),
        (Abi::S390, "open_tree_attr", 467),
        (Abi::Mips, "exit", 4001),
        (Abi::Mips64, "read", 5000),
        (Abi::Mipsel64n32, "read", 6000),
        (Abi::Alpha, "read", 3),
    ];
    for (abi, name, number) in known {
        assert_eq!(abi.number(name), Some(SyscallNr(number)), "{abi} {name}");
        assert_eq!(abi.name_of(SyscallNr(number)), Some(name), "{abi} {number}");
    }
}

#[test]
fn names_that_an_abi_lacks_have_no_number() {
    for (abi, name) in [
        (Abi::Aarch64, "open"),
        (Abi::X86_64, "socketcall"),
        (Abi::Arm, "socketcall"),
        (Abi::X32, "uselib"),
        (Abi::X86, "semop"),
        (Abi::S390, "listns"),
        (Abi::X86_64, "open at"),
        (Abi::X86_64, ""),
    ] {
        assert_eq!(abi.number(name), None, "{abi} {name}");
    }
    assert_eq!(Abi::X86_64.name_of(SyscallNr(387)), None);
    assert_eq!(Abi::X86_64.name_of(SyscallNr::SKIP), None);
    assert_eq!(Abi::X86_64.name_of(SyscallNr(0x4000_0000)), None);
    assert_eq!(Abi::X32.name_of(SyscallNr(0)), None);
}

#[test]
fn tables_are_sorted_and_agree_with_both_ways_of_asking() {
    for abi in Abi::ALL {
        assert!(abi.syscalls().is_sorted_by_key(|(nr, _)| nr), "{abi}");
        let all = abi.syscalls_between(SyscallNr(0), SyscallNr(u32::MAX));
        assert!(abi.syscalls().eq(all), "{abi}");
        for (nr, name) in abi.syscalls() {
            assert_eq!(abi.number(name), Some(nr), "{abi} {name}");
            let preferred = abi.name_of(nr).unwrap();
            assert_eq!(abi.number(preferred), Some(nr), "{abi} {preferred}");
            assert!(syscall(name).is_some(), "{name}");
        }
    }
}

#[test]
fn of_two_names_for_a_number_the_tables_own_is_preferred() {
    let arm = Abi::Arm.number("sync_file_range2").unwrap();
    assert_eq!(Abi::Arm.number("arm_sync_file_range"), Some(arm));
    assert_eq!(Abi::Arm.name_of(arm), Some("arm_sync_file_range"));
    let alpha = Abi::Alpha.number("getpid").unwrap();
    assert_eq!(Abi::Alpha.name_of(alpha), Some("getxpid"));
}

#[test]
fn every_name_belongs_to_an_abi_and_is_sorted() {
    let names: Vec<&str> = all_names().collect();
    assert!(names.is_sorted());
    assert_eq!(names.len(), all_syscalls().len());
    for (name, call) in names.iter().zip(all_syscalls()) {
        assert_eq!(*name, call.name);
        assert!(call.abis().next().is_some(), "{name}");
        assert!(call.args.len() <= 6, "{name}");
    }
}

#[test]
fn abis_have_their_names_and_audit_values() {
    for (at, abi) in Abi::ALL.iter().enumerate() {
        assert_eq!(*abi as usize, at);
        assert_eq!(Abi::from_name(abi.name()), Some(*abi));
        assert_eq!(Abi::from_go_name(abi.go_name()), Some(*abi));
        if let Some(oci) = abi.oci_name() {
            assert_eq!(Abi::from_name(oci), Some(*abi));
            assert_eq!(oci, format!("SCMP_ARCH_{}", abi.name().to_uppercase()));
        }
        assert!(from_audit(abi.audit()).any(|other| other == *abi));
        let arch = abi.audit();
        // xtensa's value says nothing of its byte order.
        if *abi != Abi::Xtensa {
            assert_eq!(arch.is_little_endian(), abi.byte_order() == ByteOrder::Little, "{abi}");
        }
        for companion in abi.companions() {
            assert_eq!(companion.byte_order(), abi.byte_order());
            assert_ne!(companion, abi);
        }
    }
    assert_eq!(Abi::ALL.iter().filter(|abi| abi.oci_name().is_some()).count(), 23);
    let both: Vec<Abi> = from_audit(Architecture(0xc000_003e)).collect();
    assert_eq!(both, [Abi::X86_64, Abi::X32]);
    assert_eq!(from_audit(Architecture(0x1234)).count(), 0);
    assert_eq!(Abi::from_name("amd64"), None);
    assert_eq!(Abi::from_name("X86_64"), None);
    assert_eq!(Abi::from_name("scmp_arch_x86_64"), None);
}

#[test]
fn multiplexers_are_where_the_kernel_has_them() {
    let with: Vec<&str> = Abi::ALL
        .iter()
        .filter(|abi| abi.multiplexer("socket").is_some())
        .map(|abi| abi.name())
        .collect();
    let expected = [
        "x86", "s390x", "s390", "ppc64le", "ppc64", "ppc", "mips", "mipsel", "m68k", "sh", "sheb",
        "sparc", "sparc64",
    ];
    assert_eq!(with, expected);
    for abi in Abi::ALL {
        assert_eq!(
            abi.multiplexer("socket").is_some(),
            abi.multiplexer("shmget").is_some(),
            "{abi}"
        );
    }
    let socket = Abi::X86.multiplexer("socket").unwrap();
    assert_eq!((socket.nr, socket.call), (SyscallNr(102), 1));
    let shmget = Abi::X86.multiplexer("shmget").unwrap();
    assert_eq!((shmget.nr, shmget.call), (SyscallNr(117), 23));
    assert_eq!(Abi::X86.multiplexer("read"), None);
}

#[test]
fn the_kernel_caches_what_its_headers_say() {
    let without: Vec<&str> =
        Abi::ALL.iter().filter(|abi| !abi.has_kernel_cache()).map(|abi| abi.name()).collect();
    let mips = ["mips", "mipsel", "mips64", "mipsel64", "mips64n32", "mipsel64n32"];
    let mut expected = vec!["x32"];
    expected.extend(mips);
    // These have no BPF filters at all.
    expected.extend(["sparc", "sparc64", "arc"]);
    assert_eq!(without, expected);
    let no_filters: Vec<&str> =
        Abi::ALL.iter().filter(|abi| !abi.has_filters()).map(|abi| abi.name()).collect();
    assert_eq!(no_filters, ["sparc", "sparc64", "arc"]);
}

#[test]
fn arguments_are_those_of_the_abi() {
    let names = |call: &str, abi| -> Vec<&str> {
        syscall(call).unwrap().args_on(abi).iter().map(|arg| arg.name).collect()
    };
    assert_eq!(names("read", Abi::X86_64), ["fd", "buf", "count"]);
    let usual = ["clone_flags", "newsp", "parent_tidptr", "child_tidptr", "tls"];
    let backwards = ["clone_flags", "newsp", "parent_tidptr", "tls", "child_tidptr"];
    let swapped = ["newsp", "clone_flags", "parent_tidptr", "child_tidptr", "tls"];
    assert_eq!(names("clone", Abi::X86_64), usual);
    assert_eq!(names("clone", Abi::Loongarch64), usual);
    for abi in [Abi::Aarch64, Abi::Arm, Abi::Riscv64, Abi::Ppc64le, Abi::Mips64, Abi::Parisc64] {
        assert_eq!(names("clone", abi), backwards, "{abi}");
    }
    for abi in [Abi::S390x, Abi::S390] {
        assert_eq!(names("clone", abi), swapped, "{abi}");
    }
    // A 64-bit offset fills two registers, on arm an even pair of them.
    assert_eq!(names("pread64", Abi::X86), ["fd", "ubuf", "count", "poslo", "poshi"]);
    assert_eq!(names("pread64", Abi::Arm), ["fd", "buf", "count", "__pad", "pos_lo", "pos_hi"]);
    assert_eq!(names("mmap", Abi::S390x), ["arg"]);
    assert!(!syscall("tuxcall").unwrap().args_known);
}

#[test]
fn releases_are_the_manuals() {
    let since = |name: &str| syscall(name).unwrap().since.map(|version| version.to_string());
    for (name, release) in [
        ("read", "1.0"),
        ("openat", "2.6"),
        ("seccomp", "3.17"),
        ("statx", "4.11"),
        ("clone3", "5.3"),
        ("clock_gettime64", "5.1"),
        ("faccessat2", "5.8"),
        ("futex_waitv", "5.16"),
        ("cachestat", "6.5"),
        ("mseal", "6.10"),
        ("uprobe", "6.18"),
        ("fchroot", "7.3"),
    ] {
        assert_eq!(since(name).as_deref(), Some(release), "{name}");
    }
    // Every call of the two great 64-bit ABIs that was ever implemented has one.
    for abi in [Abi::X86_64, Abi::Aarch64] {
        for (_, name) in abi.syscalls() {
            let call = syscall(name).unwrap();
            assert!(call.since.is_some() || !call.args_known, "{name}");
        }
    }
}

#[test]
fn the_native_abi_is_the_compilers() {
    if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
        assert_eq!(Abi::native(), Some(Abi::X86_64));
    }
    if let Some(abi) = Abi::native() {
        assert_eq!(abi.byte_order(), ByteOrder::NATIVE);
    }
}
