//! Names for listings: the tables behind the disassembler's trait.

use std::borrow::Cow;

use callgate_bpf::{Action, Architecture, Names, RawAction, SyscallNr};
pub use callgate_syscalls::abi_of;
use callgate_syscalls::{Abi, constants, errno, from_audit, syscall};

/// The system call tables as the disassembler asks for them.
pub struct SyscallNames;

/// The name of a number of an architecture.
pub fn syscall_name(arch: Architecture, nr: SyscallNr) -> Option<&'static str> {
    abi_of(arch, nr)?.name_of(nr)
}

impl Names for SyscallNames {
    fn syscall(&self, arch: Architecture, nr: SyscallNr) -> Option<Cow<'_, str>> {
        syscall_name(arch, nr).map(Cow::Borrowed)
    }

    fn architecture(&self, arch: Architecture) -> Option<Cow<'_, str>> {
        let names: Vec<&str> = from_audit(arch).map(Abi::name).collect();
        (!names.is_empty()).then(|| Cow::Owned(names.join("/")))
    }

    fn argument(&self, arch: Architecture, nr: SyscallNr, index: u8) -> Option<Cow<'_, str>> {
        let abi = abi_of(arch, nr)?;
        let arguments = syscall(abi.name_of(nr)?)?.args_on(abi);
        arguments.get(usize::from(index)).map(|argument| Cow::Borrowed(argument.name))
    }

    fn constant(
        &self,
        arch: Architecture,
        nr: SyscallNr,
        index: u8,
        value: u64,
    ) -> Option<Cow<'_, str>> {
        // Zero is as often the upper half of another value as a value of its own.
        if value == 0 {
            return None;
        }
        let abi = abi_of(arch, nr)?;
        constants::on(abi, abi.name_of(nr)?, index)?.describe(value).map(Cow::Owned)
    }

    fn action(&self, action: RawAction) -> Option<Cow<'_, str>> {
        let action = action.action();
        let name = match action {
            Action::Errno(number) => errno::name(number),
            _ => None,
        };
        Some(Cow::Owned(name.map_or_else(|| action.to_string(), |name| format!("errno({name})"))))
    }
}
