//! The ways to watch a command, and which of them this machine and user can use.

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
    /// All, the cheapest first.
    pub const ALL: [Method; 2] = [Method::Ebpf, Method::Notify];

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

/// The method that was chosen, and why no cheaper one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chosen {
    /// The method.
    pub method: Method,
    /// The cheaper ones, each with what stands against it.
    pub against: Vec<(Method, String)>,
}

/// The cheapest method that works. `probe` says what stands against one.
///
/// # Errors
///
/// What stands against each, when none works.
pub fn choose(
    mut probe: impl FnMut(Method) -> Result<(), String>,
) -> Result<Chosen, Vec<(Method, String)>> {
    let mut against = Vec::new();
    for method in Method::ALL {
        match probe(method) {
            Ok(()) => return Ok(Chosen { method, against }),
            Err(why) => against.push((method, why)),
        }
    }
    Err(against)
}

/// What stands against a method here.
///
/// # Errors
///
/// A sentence.
#[cfg(target_os = "linux")]
pub fn probe(method: Method) -> Result<(), String> {
    match method {
        Method::Ebpf => crate::ebpf::probe(),
        Method::Notify => notify(),
    }
}

/// Answering that a call runs came with Linux 5.5; a filter needs neither root nor capabilities.
#[cfg(target_os = "linux")]
fn notify() -> Result<(), String> {
    use callgate_syscalls::KernelVersion;

    let release = callgate_kernel::release();
    let old =
        release.parse::<KernelVersion>().is_ok_and(|version| version < KernelVersion::new(5, 5));
    if old {
        return Err(format!("it takes Linux 5.5, and this is {release}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_that_works_is_chosen() {
        let no =
            |wrong: Method| move |method| if method == wrong { Err("no".into()) } else { Ok(()) };
        assert_eq!(choose(no(Method::Notify)).unwrap().method, Method::Ebpf);
        let chosen = choose(no(Method::Ebpf)).unwrap();
        assert_eq!((chosen.method, chosen.against.len()), (Method::Notify, 1));
        assert_eq!(choose(|_| Err("no".into())).unwrap_err().len(), 2);
    }
}
