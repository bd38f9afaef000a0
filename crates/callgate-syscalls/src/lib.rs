//! Facts about the system calls of Linux: which ABIs there are, how each numbers its calls, what
//! the arguments are called and how wide they are, which release brought a call, to which groups
//! it belongs, and the capabilities, constants and error numbers that go with them.
//!
//! | to … | use |
//! |---|---|
//! | name an ABI, know its widths and its companions | [`Abi`], [`from_audit`], [`abi_of`] |
//! | go from a name to a number and back | [`Abi::number`], [`Abi::name_of`], [`Abi::syscalls`] |
//! | find the way through `socketcall` and `ipc` | [`Abi::multiplexer`] |
//! | know a call's arguments, age and groups | [`syscall`], [`Syscall`], [`Arg`] |
//! | compare kernels | [`KernelVersion`] |
//! | use systemd's groups | [`groups`] |
//! | name flags and commands | [`constants`] |
//! | name errors | [`errno`] |
//! | name capabilities and hold sets of them | [`Capability`], [`CapabilitySet`] |
//!
//! ```
//! use callgate_bpf::SyscallNr;
//! use callgate_syscalls::{Abi, syscall};
//!
//! // One name, a number on each ABI that has it.
//! assert_eq!(Abi::X86_64.number("openat"), Some(SyscallNr(257)));
//! assert_eq!(Abi::Aarch64.number("openat"), Some(SyscallNr(56)));
//! assert_eq!(Abi::X32.number("openat"), Some(SyscallNr(0x4000_0101)));
//!
//! // The kernel looks at 32 bits of this argument, while a filter sees all 64 of the register.
//! let flags = &syscall("openat").unwrap().args[2];
//! assert_eq!((flags.name, flags.bits), ("flags", 32));
//! ```
//!
//! # Where the facts come from
//!
//! `cargo xtask tables` writes the files under `src/generated` from Debian's kernel source
//! packages, manual pages and systemd; their first lines name the versions. The tables have every
//! name of the newest kernel, and for 31-bit s390, which that one has dropped, those of the last
//! kernel that ran it. Three independent countings are held against them in the tests: the names
//! in each kernel's exported headers, the installed `asm/unistd*.h`, and the arguments that the
//! running kernel's trace events show.
//!
//! # What it leaves out
//!
//! Kernels before 3.0 are told apart only as far as `2.6`. For arm's old ABI, big-endian arm and
//! aarch64, nios2, openrisc, hexagon and microblaze there is no table. A 32-bit riscv program
//! under a 64-bit kernel shows a filter riscv64's architecture with riscv32's numbers: the kernel
//! leaves a filter no way to tell.
//!
//! No standard library, no allocation except in [`constants::ConstantSet::describe`], no unsafe
//! code, no I/O.
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

pub use crate::abi::{Abi, Multiplexed, abi_of, from_audit};
pub use crate::capability::{Capability, CapabilityError, CapabilitySet};
pub use crate::groups::Group;
pub use crate::kernel_version::{KernelVersion, KernelVersionError};
pub use crate::syscall::{Arg, Syscall, all_names, all_syscalls, syscall};
