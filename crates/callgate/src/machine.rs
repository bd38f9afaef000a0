//! The machine underneath, as a target.

use std::io;

use callgate_policy::{NewerCalls, Target};
use callgate_syscalls::{Abi, CapabilitySet};

/// This program's ABI and the running kernel, with the capabilities that those who will be held
/// by the filter can have ([`CapabilitySet::DOCKER_DEFAULT`] in a container).
///
/// Calls newer than the profile get ENOSYS. Each of it is a field of [`Target`], to be changed.
///
/// # Errors
///
/// `Unsupported` where there is no table of system calls for this machine, and where the kernel's
/// name for its release does not begin with a version.
pub fn this_machine(capabilities: CapabilitySet) -> io::Result<Target> {
    let unsupported = |what: String| io::Error::new(io::ErrorKind::Unsupported, what);
    let native = Abi::native().ok_or_else(|| {
        let name = std::env::consts::ARCH;
        unsupported(format!("no table of system calls for this machine ({name})"))
    })?;
    let release = callgate_kernel::release();
    let kernel = release
        .parse()
        .map_err(|error| unsupported(format!("kernel release `{release}`: {error}")))?;
    Ok(Target { native, abis: None, capabilities, kernel, newer: NewerCalls::default() })
}
