//! Every reader of a text format: no panic, and what is read can be resolved, compiled and proved.
#![no_main]

use callgate_policy::{NewerCalls, Target, formats};
use callgate_syscalls::{Abi, CapabilitySet, KernelVersion};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let target = Target {
        native: Abi::X86_64,
        abis: None,
        capabilities: CapabilitySet::DOCKER_DEFAULT,
        kernel: KernelVersion::new(6, 18),
        newer: NewerCalls::Enosys,
    };
    for read in formats::ALL.iter().filter_map(|format| format.read) {
        let Some(policy) = read(text).policy else { continue };
        let Some(ruleset) = policy.resolve(&target).ruleset else { continue };
        if let Err(error) = callgate_compile::compile(&ruleset) {
            assert!(!error.is_internal(), "{error}");
        }
    }
});
