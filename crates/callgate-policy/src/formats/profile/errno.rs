//! The data of ERRNO and TRACE, which stand beside the action.

use alloc::{format, string::String};

use callgate_bpf::Action;
use callgate_diagnostic::{Diagnostic, Spanned};
use callgate_syscalls::errno;

use crate::{Dialect, quote::quoted, suggest};

use super::{super::report::suggestion, fields::Member, reader::Reader, words};

/// EPERM, which runc and crun take when a profile gives no number, for TRACE too.
pub(super) const DEFAULT_ERRNO: u16 = 1;

/// The largest number that libseccomp takes (`seccomp_rule_add` fails from 4095 on).
pub(super) const LARGEST_ERRNO: u16 = 4094;

/// The names that Podman, Buildah and CRI-O know (`pkg/seccomp/errno_list.go` of containers/common);
/// they refuse others, such as EINTR.
#[rustfmt::skip] // a name a line would fill two screens
const PODMAN_NAMES: &[&str] = &[
    "E2BIG", "EACCES", "EADDRINUSE", "EADDRNOTAVAIL", "EAFNOSUPPORT", "EAGAIN", "EALREADY",
    "EBADF", "EBADMSG", "EBUSY", "ECANCELED", "ECHILD", "ECONNABORTED", "ECONNREFUSED",
    "ECONNRESET", "EDEADLK", "EDESTADDRREQ", "EDOM", "EDQUOT", "EEXIST", "EFAULT", "EFBIG",
    "EHOSTDOWN", "EHOSTUNREACH", "EIDRM", "EILSEQ", "EINPROGRESS", "EINVAL", "EIO", "EISCONN",
    "EISDIR", "ELOOP", "EMEDIUMTYPE", "EMFILE", "EMLINK", "EMSGSIZE", "ENAMETOOLONG",
    "ENETDOWN", "ENETRESET", "ENETUNREACH", "ENFILE", "ENOBUFS", "ENODEV", "ENOENT", "ENOEXEC",
    "ENOLCK", "ENOMEDIUM", "ENOMEM", "ENOMSG", "ENOPROTOOPT", "ENOSPC", "ENOSYS", "ENOTBLK",
    "ENOTCONN", "ENOTDIR", "ENOTEMPTY", "ENOTRECOVERABLE", "ENOTSOCK", "ENOTSUP", "ENOTTY",
    "ENXIO", "EOPNOTSUPP", "EOVERFLOW", "EOWNERDEAD", "EPERM", "EPFNOSUPPORT", "EPIPE",
    "EPROTONOSUPPORT", "EPROTOTYPE", "ERANGE", "EREMOTE", "EROFS", "ESHUTDOWN",
    "ESOCKTNOSUPPORT", "ESPIPE", "ESRCH", "ESTALE", "ETIMEDOUT", "ETOOMANYREFS", "ETXTBSY",
    "EUSERS", "EXDEV",
];

/// The name of a number that Podman knows.
pub(super) fn podman_name(number: u16) -> Option<&'static str> {
    errno::name(number).filter(|name| PODMAN_NAMES.binary_search(name).is_ok())
}

impl Reader {
    /// The action with its data: from the number, or in Podman's dialect from the name, which
    /// goes before the number.
    pub fn with_errno(
        &mut self,
        action: Spanned<Action>,
        number: Option<Member<'_>>,
        name: Option<Member<'_>>,
    ) -> Option<Spanned<Action>> {
        let (name, dropped) = match self.dialect {
            Dialect::Containers => (name, None),
            _ => (None, name),
        };
        let name = name.filter(|name| !name.text().value.is_empty());
        let number_value = number.and_then(Member::number);
        let given = match name {
            Some(name) => Some((self.errno_name(name)?, name)),
            None => number_value.zip(number),
        };
        if let (Some((by_name, name)), Some(by_number)) =
            (given.filter(|_| name.is_some()), number_value)
            && by_name.value != by_number.value
        {
            self.disagreement(name, by_number);
        }
        let value = given.map_or(u64::from(DEFAULT_ERRNO), |(value, _)| value.value);
        let span = given.map_or(action.span, |(value, _)| value.span);
        let largest = match action.value {
            Action::Errno(_) => LARGEST_ERRNO,
            Action::Trace(_) => u16::MAX,
            _ => {
                if let Some((_, member)) = given {
                    self.no_errno(action.value, member);
                }
                return Some(action);
            }
        };
        if let Some(dropped) = dropped {
            self.dropped_errno(dropped, value);
        }
        let Some(value) = u16::try_from(value).ok().filter(|value| *value <= largest) else {
            self.report.error(|| too_large(Spanned::new(value, span), action.value, largest));
            return None;
        };
        if action.value == Action::Errno(0) && value == 0 {
            self.report.warning(|| {
                Diagnostic::warning("errno-zero", "the calls don't run, and report success")
                    .at(span, "error number 0 is none")
                    .help("`SCMP_ACT_ALLOW` lets a call run; a refusal needs an error number")
            });
        }
        let filled = match action.value {
            Action::Trace(_) => Action::Trace(value),
            _ => Action::Errno(value),
        };
        Some(Spanned::new(filled, action.span))
    }

    /// The number of a name, or of digits in quotes (`getErrno` in containers/common).
    fn errno_name(&mut self, name: Member<'_>) -> Option<Spanned<u64>> {
        let Spanned { value: word, span } = name.text();
        let known = parse_errno(&word);
        if let Some(value) = known
            && (is_number(&word) || PODMAN_NAMES.binary_search(&word.as_ref()).is_ok())
        {
            return Some(Spanned::new(value, span));
        }
        self.report.error(|| match known {
            Some(value) => {
                let message = format!("Podman doesn't know the error {}", quoted(&word));
                Diagnostic::error("unknown-errno", message)
                    .at(span, "its number in quotes does as well")
                    .replace(span, format!("{value}"))
            }
            None => {
                let message = format!("{} is not the name of an error", quoted(&word));
                let diagnostic = Diagnostic::error("unknown-errno", message);
                match suggest::closest(&word, PODMAN_NAMES.iter().copied()) {
                    Some(near) => suggestion(diagnostic, span, near),
                    None => diagnostic.at(span, "expected a name such as `EPERM`"),
                }
            }
        });
        None
    }

    fn disagreement(&mut self, name: Member<'_>, number: Spanned<u64>) {
        self.report.warning(|| {
            Diagnostic::warning("errno-conflict", "the name and the number of the error differ")
                .at(name.value.inner(), "the name counts")
                .at(number.span, "this is ignored, and counts for runtimes and for Docker")
        });
    }

    fn no_errno(&mut self, action: Action, given: Member<'_>) {
        self.report.warning(|| {
            let key = given.key.as_str().unwrap_or_default();
            let word = words::action_word(action).unwrap_or_default();
            Diagnostic::warning("no-effect", format!("{} has no effect on `{word}`", quoted(&key)))
                .at(given.key_span(), "only `SCMP_ACT_ERRNO` and `SCMP_ACT_TRACE` take a number")
                .help("remove it: crun refuses such a profile")
        });
    }

    /// Only a name that says something else than what counts is missed.
    fn dropped_errno(&mut self, name: Member<'_>, counts: u64) {
        let said = name.value.as_str();
        let Some(said) = said.filter(|said| !said.is_empty()) else {
            return;
        };
        if parse_errno(&said) != Some(counts) {
            self.dropped(name, &format!("so the number is {}", describe(counts)));
        }
    }
}

/// The number that an error's name, or a number in quotes, stands for.
fn parse_errno(word: &str) -> Option<u64> {
    if is_number(word) {
        return word.parse::<u32>().ok().map(u64::from);
    }
    // A name of the C library's alone, for EOPNOTSUPP.
    let word = if word == "ENOTSUP" { "EOPNOTSUPP" } else { word };
    errno::number(word).map(u64::from)
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

fn describe(number: u64) -> String {
    match u16::try_from(number).ok().and_then(errno::name) {
        Some(name) => format!("{number} ({name})"),
        None => format!("{number}"),
    }
}

fn too_large(value: Spanned<u64>, action: Action, largest: u16) -> Diagnostic {
    let word = words::action_word(action).unwrap_or_default();
    Diagnostic::error("bad-errno", format!("{} is too large for `{word}`", value.value))
        .at(value.span, format!("expected 0 to {largest}"))
        .help("libseccomp refuses it, or the runtime cuts it to 16 bits and means another number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn podmans_names_are_in_order_and_known() {
        assert!(PODMAN_NAMES.is_sorted());
        assert!(PODMAN_NAMES.iter().all(|name| parse_errno(name).is_some()));
        assert_eq!(podman_name(1), Some("EPERM"));
        assert_eq!(podman_name(4), None);
    }
}
