//! The profile that Callgate carries against the one that the Docker engine carries.

use std::{env, fs, path::PathBuf};

use callgate_bpf::{ByteOrder, Layout};
use callgate_policy::{Dialect, NewerCalls, Policy, Target, builtin, formats::profile};
use callgate_syscalls::{Abi, Capability, CapabilitySet, KernelVersion};
use callgate_verdict::Manager;

fn read(text: &str) -> Policy {
    let reading = profile::read(text, Some(Dialect::Docker));
    reading.policy.unwrap_or_else(|| panic!("{:#?}", reading.diagnostics))
}

/// Every machine that the profile speaks of, each capability held or not, old and new kernels.
fn targets() -> Vec<Target> {
    let natives = [
        Abi::X86_64,
        Abi::X86,
        Abi::Aarch64,
        Abi::Arm,
        Abi::Riscv64,
        Abi::S390x,
        Abi::Ppc64le,
        Abi::Mips64,
        Abi::Mipsel64,
        Abi::Mips64n32,
        Abi::Loongarch64,
    ];
    let docker = CapabilitySet::DOCKER_DEFAULT;
    let mut sets = vec![docker, CapabilitySet::EMPTY, CapabilitySet::ALL];
    sets.extend(Capability::ALL.iter().map(|&one| docker.union(CapabilitySet::of(&[one]))));
    let mut targets = Vec::new();
    for native in natives {
        for &capabilities in &sets {
            for kernel in [KernelVersion::new(4, 7), KernelVersion::new(6, 18)] {
                let newer = NewerCalls::Enosys;
                targets.push(Target { native, abis: None, capabilities, kernel, newer });
            }
        }
    }
    targets
}

#[test]
fn the_built_in_docker_default_means_what_dockers_own_means() {
    let folder = env::var_os("CALLGATE_TEST_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let Ok(theirs) = fs::read_to_string(folder.join("moby-default.json")) else {
        eprintln!("skipped: no moby-default.json in {}", folder.display());
        return;
    };
    let theirs = read(&theirs);
    let ours = read(builtin::named("docker-default").unwrap().text);
    for target in targets() {
        let mut manager = Manager::new(Layout::seccomp(ByteOrder::Little));
        let [a, b] = [&theirs, &ours].map(|policy| {
            let resolution = policy.resolve(&target);
            let ruleset = resolution
                .ruleset
                .unwrap_or_else(|| panic!("{target:?}: {:#?}", resolution.diagnostics));
            manager.ruleset(&ruleset).unwrap()
        });
        if a != b {
            let differences = manager.differences(a, b).unwrap();
            panic!("{target:?}: {:#?}", differences[0]);
        }
    }
}
