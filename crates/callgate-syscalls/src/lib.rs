//! Facts about the system calls of Linux. See the items.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod abi;
mod abi_facts;
mod capability;
pub mod constants;
pub mod errno;
mod generated;
pub mod groups;
mod kernel_version;
mod names;
mod syscall;

pub use crate::abi::{Abi, Multiplexed, from_audit};
pub use crate::capability::{Capability, CapabilityError, CapabilitySet};
pub use crate::groups::Group;
pub use crate::kernel_version::{KernelVersion, KernelVersionError};
pub use crate::syscall::{Arg, Syscall, all_names, all_syscalls, syscall};
