//! What a policy is resolved for.

use alloc::vec::Vec;

use callgate_syscalls::{Abi, CapabilitySet, KernelVersion};

/// A machine and a process on it: everything outside its text that a policy depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The machine's own ABI.
    pub native: Abi,
    /// The ABIs to make rules for, instead of those that the policy names.
    pub abis: Option<Vec<Abi>>,
    /// The capabilities that the command can have (its bounding set).
    pub capabilities: CapabilitySet,
    /// The kernel that the command runs on.
    pub kernel: KernelVersion,
    /// What becomes of system calls newer than the policy.
    pub newer: NewerCalls,
}

/// What becomes of a system call whose number lies above every one that the policy names.
///
/// Such a call did not exist for the author. Programs try it and fall back when it fails with
/// ENOSYS, but give up when it fails with EPERM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "the resolver treats each")]
pub enum NewerCalls {
    /// ENOSYS on every ABI of the policy, unless its default lets calls run.
    #[default]
    Enosys,
    /// What runc does: as above, but only on the ABIs that the profile lists by name.
    LikeRunc,
    /// The policy's default, as crun and libseccomp do.
    Default,
}
