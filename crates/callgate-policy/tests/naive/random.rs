//! Random profiles, and calls at and beside everything that they name.

use callgate_bpf::{Architecture, SeccompData, SyscallNr, generate::Rng};
use callgate_policy::{NewerCalls, Target};
use callgate_syscalls::{Abi, Capability, CapabilitySet, KernelVersion};

use crate::{Arg, Condition, Entry, Profile, Word};

const NATIVES: [Abi; 8] = [
    Abi::X86_64,
    Abi::X86_64,
    Abi::Aarch64,
    Abi::S390x,
    Abi::Ppc64le,
    Abi::Mips64,
    Abi::Arm,
    Abi::X86,
];

/// Few, so that rules meet; some behind `socketcall` and `ipc`, some not on every ABI.
const NAMES: [&str; 10] = [
    "read",
    "open",
    "socket",
    "socketcall",
    "connect",
    "shmget",
    "ipc",
    "clone3",
    "arch_prctl",
    "mmap2",
];

const WORDS: [&str; 8] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_LOG",
    "SCMP_ACT_TRACE",
];

const OPERATORS: [&str; 9] = [
    "SCMP_CMP_EQ",
    "SCMP_CMP_EQ",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
];

const VALUES: [u64; 10] =
    [0, 1, 2, 5, 0x15, 40, 0xffff_ffff, 0x1_0000_0000, 0x5_0000_0005, u64::MAX];

const CAPS: [Capability; 3] = [Capability::SysAdmin, Capability::SysPtrace, Capability::NetAdmin];

fn word(rng: &mut Rng) -> Word {
    let action = rng.pick(&WORDS);
    let takes_errno = matches!(action, "SCMP_ACT_ERRNO" | "SCMP_ACT_TRACE");
    let errno = (takes_errno && rng.one_in(2)).then(|| rng.pick(&[1, 2, 38]));
    Word { action, errno }
}

fn some<T: Copy>(rng: &mut Rng, from: &[T], most: usize) -> Vec<T> {
    (0..rng.below(most + 1)).map(|_| rng.pick(from)).collect()
}

pub fn profile(rng: &mut Rng, native: Abi) -> Profile {
    // Half of the profiles give one answer besides the default, so that nothing contradicts.
    let only = rng.one_in(2).then(|| word(rng));
    let entries = (0..rng.below(12)).map(|_| entry(rng, only)).collect();
    let same_order: Vec<Abi> = Abi::ALL
        .iter()
        .copied()
        .filter(|abi| abi.byte_order() == native.byte_order() && abi.oci_name().is_some())
        .collect();
    let others: Vec<Abi> = match native {
        Abi::X86_64 => some(rng, &[Abi::X86, Abi::X32], 2),
        _ => some(rng, &same_order, 2),
    };
    let (mut architectures, mut arch_map) = (None, None);
    match rng.below(3) {
        0 => {}
        1 => architectures = Some(others),
        _ => arch_map = Some((if rng.one_in(4) { Abi::Riscv64 } else { native }, others)),
    }
    Profile { default: word(rng), architectures, arch_map, entries }
}

fn entry(rng: &mut Rng, only: Option<Word>) -> Entry {
    let condition = |rng: &mut Rng| {
        if !rng.one_in(4) {
            return Condition::default();
        }
        Condition {
            caps: some(rng, &CAPS, 2),
            arches: some(rng, &["amd64", "arm64", "x86", "s390x"], 2),
            min_kernel: rng.one_in(2).then(|| rng.pick(&[(4, 8), (5, 6), (6, 1)])),
        }
    };
    let mut names = some(rng, &NAMES, 3);
    names.push(rng.pick(&NAMES));
    let count = if rng.one_in(4) { 0 } else { 1 + rng.below(3) };
    let args = (0..count).map(|_| arg(rng)).collect();
    let action = only.unwrap_or_else(|| word(rng));
    Entry { names, action, args, includes: condition(rng), excludes: condition(rng) }
}

fn arg(rng: &mut Rng) -> Arg {
    let op = rng.pick(&OPERATORS);
    let value = rng.pick(&VALUES);
    let masked = if op == "SCMP_CMP_MASKED_EQ" { rng.pick(&VALUES) & value } else { 0 };
    Arg { index: rng.below(4), value, value_two: masked, op }
}

pub fn target(rng: &mut Rng) -> Target {
    let mut capabilities = CapabilitySet::EMPTY;
    for cap in some(rng, &CAPS, 3) {
        capabilities = capabilities.union(CapabilitySet::of(&[cap]));
    }
    let (major, minor) = rng.pick(&[(4, 7), (4, 8), (5, 10), (6, 18)]);
    Target {
        native: rng.pick(&NATIVES),
        abis: None,
        capabilities,
        kernel: KernelVersion::new(major, minor),
        newer: rng.pick(&[NewerCalls::Enosys, NewerCalls::LikeRunc, NewerCalls::Default]),
    }
}

/// Calls at and beside everything that the profile names.
pub fn calls(rng: &mut Rng, profile: &Profile, target: &Target, count: usize) -> Vec<SeccompData> {
    let mut abis = profile.listed(target.native);
    abis.extend([target.native, target.native, Abi::X86_64]);
    let named: Vec<&str> = profile.entries.iter().flat_map(|e| e.names.clone()).collect();
    (0..count)
        .map(|_| {
            let abi = rng.pick(&abis);
            let name = if named.is_empty() { "read" } else { rng.pick(&named) };
            let number = match abi.multiplexer(name) {
                Some(way) if rng.one_in(2) => Some(way.nr),
                _ => abi.number(name),
            };
            let nr = match (rng.below(16), number) {
                (0, _) => rng.pick(&[0, 1, 0x4000_0000, 0x8000_0000, 0xc000_0000, u32::MAX]),
                (1, Some(nr)) => nr.0.wrapping_add(1),
                (_, Some(nr)) => nr.0,
                (_, None) => 600,
            };
            let arch = if rng.one_in(30) { Architecture(0x1234) } else { abi.audit() };
            let mut data = SeccompData::new(arch, SyscallNr(nr));
            data.args = std::array::from_fn(|_| {
                let value = match rng.below(4) {
                    // A selector, now and then with something above it.
                    0 => u64::try_from(rng.below(26)).unwrap(),
                    _ => rng.pick(&VALUES),
                };
                match rng.below(6) {
                    0 => value.wrapping_add(1),
                    1 => value.wrapping_sub(1),
                    2 => value | rng.next_u64() << 32,
                    _ => value,
                }
            });
            data
        })
        .collect()
}
