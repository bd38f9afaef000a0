//! The ways to watch a command.

use std::fmt;

/// A back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// Raw tracepoints with eBPF: sees every call and its result, at a few dozen nanoseconds each.
    Ebpf,
    /// User notification: asks about what is not known yet, at microseconds each.
    Notify,
}

impl Method {
    /// The word on the command line and in recordings.
    pub const fn name(self) -> &'static str {
        match self {
            Method::Ebpf => "ebpf",
            Method::Notify => "notify",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Ebpf => "eBPF",
            Method::Notify => "user notification",
        })
    }
}

/// Whether this kernel takes the programs of eBPF from this process: tried, on this process itself.
///
/// # Errors
///
/// What it lacks.
#[cfg(target_os = "linux")]
pub fn ebpf_works() -> Result<(), String> {
    use callgate_kernel::ebpf::{RecorderOptions, Scope};

    let own = std::process::id().cast_signed();
    let recorder = RecorderOptions::new(Scope::Tree(own)).start();
    recorder.map(drop).map_err(|error| error.to_string())
}

/// Whether this kernel can record by user notification, as far as its version tells.
///
///
/// # Errors
///
/// A sentence on what stands against it.
#[cfg(target_os = "linux")]
pub fn notify_works() -> Result<(), String> {
    use callgate_syscalls::KernelVersion;

    // Answering that a call runs came with 5.5; a filter needs neither root nor capabilities.
    let release = callgate_kernel::release();
    let old =
        release.parse::<KernelVersion>().is_ok_and(|version| version < KernelVersion::new(5, 5));
    if old {
        return Err(format!("it takes Linux 5.5, and this is {release}"));
    }
    Ok(())
}
