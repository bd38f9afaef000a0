//! What is looked for.

use callgate_diagnostic::Severity;

/// Something that [`lint`](super::lint()) looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lint {
    /// Stable identifier, lower case with hyphens: the name of its page in `docs/lints`.
    pub id: &'static str,
    /// How bad it usually is; a finding may say otherwise.
    pub severity: Severity,
    /// What is looked for, as half a sentence.
    pub summary: &'static str,
}

/// Every lint, by id.
pub const LINTS: &[Lint] = &[
    warning("abi-looser", "another ABI of the machine permits what one refuses"),
    error("abi-open", "another ABI of the machine is left wholly open"),
    note("cache-miss", "an always-allowed call that the kernel's cache cannot hold"),
    note("clone-namespaces", "`clone` makes the namespaces that `unshare` is refused"),
    warning("clone3-unfiltered", "`clone` is filtered and `clone3` is not"),
    note("default-open", "calls that the filter does not name are allowed"),
    warning("dirty-upper-half", "a 32-bit argument is compared on 64 bits"),
    warning("division-by-zero", "a division by X can end the program"),
    note("equals-default", "an entry says what the default says"),
    warning("errno-range", "an error number above 4095"),
    warning("errno-zero", "a refused call reports success"),
    note("family-gap", "an old call is permitted and the one that libraries use is refused"),
    warning("family-hole", "a call is refused and a more general one is not"),
    warning("int80-upper-half", "a comparison on 64 bits of what the kernel cuts to 32"),
    warning("io-uring-open", "io_uring does what is refused as a call"),
    note("kill-default", "a call that the filter does not know kills"),
    warning("lower-half-only", "a 64-bit argument is compared on its low 32 bits"),
    warning("multiplexer-open", "`socketcall` or `ipc` reaches what is refused directly"),
    warning("needs-enosys", "a library falls back on ENOSYS alone, and gets another answer"),
    warning("never-matches", "an entry whose conditions nothing fulfils"),
    error("no-arch-check", "numbers are compared without the architecture"),
    note("notify-pointer", "a supervisor is asked about what lies behind a pointer"),
    warning("path-budget", "the filter takes much of what the kernel grants, or more"),
    warning("pointer-compared", "an address is compared"),
    warning("process-access", "one way into other processes is refused and another is not"),
    warning("ptrace-old-kernel", "a tracer gets round filters of old kernels"),
    warning("repeated-argument", "an entry with an argument twice means any, not all"),
    warning("restart-syscall", "an interrupted call cannot be taken up again"),
    note("shadowed", "an entry that changes nothing"),
    note("sign-extension", "a negative number is permitted in one width only"),
    warning("trace-overridden", "a filter of the program's own outranks the tracer"),
    warning("unfilterable", "a call that the kernel does not show filters is refused"),
    warning("unknown-syscall", "a name that no architecture has"),
    warning("unportable-shift", "a shift that machines do differently"),
    note("unreachable-return", "a return that no call comes to"),
    error("x32-hole", "numbers of x32 get past what is refused on x86_64"),
];

pub(super) fn find(id: &str) -> Option<&'static Lint> {
    LINTS.iter().find(|lint| lint.id == id)
}

const fn lint(id: &'static str, severity: Severity, summary: &'static str) -> Lint {
    Lint { id, severity, summary }
}

const fn error(id: &'static str, summary: &'static str) -> Lint {
    lint(id, Severity::Error, summary)
}

const fn warning(id: &'static str, summary: &'static str) -> Lint {
    lint(id, Severity::Warning, summary)
}

const fn note(id: &'static str, summary: &'static str) -> Lint {
    lint(id, Severity::Note, summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_sorted() {
        for pair in LINTS.windows(2) {
            assert!(pair[0].id < pair[1].id, "{}", pair[1].id);
        }
    }
}
