//! Markers: calls of the workload that begin a phase.

#[cfg(target_os = "linux")]
mod ahead;

use std::{fmt, str::FromStr};

use callgate_syscalls::Abi;

#[cfg(target_os = "linux")]
pub(crate) use self::ahead::Ahead;
use crate::{Call, Phase};

/// A call that begins a phase when the workload makes it for the first time, by whatever ABI.
///
/// The call itself counts for the phase before: so what comes after the marker `listen` is what a
/// server needs once it serves. Written `NAME=CALL`, or `CALL` alone for a phase of the call's name.
///
/// ```
/// use callgate_record::{Marker, Phase};
///
/// let marker: Marker = "serving=listen".parse()?;
/// assert_eq!(marker.phase(), Phase::After("serving".to_owned()));
/// assert!("serving=lissten".parse::<Marker>().is_err());
/// # Ok::<(), callgate_record::MarkerError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    call: String,
    name: String,
}

impl Marker {
    /// The phase that it begins.
    pub fn phase(&self) -> Phase {
        Phase::After(self.name.clone())
    }

    /// Whether this is the call.
    pub fn is(&self, call: Call) -> bool {
        call.name() == Some(&self.call)
    }
}

impl FromStr for Marker {
    type Err = MarkerError;

    fn from_str(text: &str) -> Result<Marker, MarkerError> {
        let (name, call) = text.split_once('=').unwrap_or((text, text));
        if !Abi::ALL.iter().any(|abi| abi.number(call).is_some()) {
            return Err(MarkerError(Kind::Call(call.to_owned())));
        }
        let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || !name.chars().all(plain) {
            return Err(MarkerError(Kind::Name));
        }
        Ok(Marker { call: call.to_owned(), name: name.to_owned() })
    }
}

/// Why a text is no marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkerError(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Call(String),
    Name,
}

impl std::error::Error for MarkerError {}

impl fmt::Display for MarkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Call(call) => {
                write!(f, "no architecture has a system call `{}`", call.escape_debug())?;
                match callgate_policy::suggest::syscall(call) {
                    Some(near) => write!(f, "; did you mean `{near}`?"),
                    None => f.write_str("; a marker is CALL or NAME=CALL, as `serving=listen`"),
                }
            }
            Kind::Name => {
                f.write_str("the name of a phase has letters, digits and any of `-`, `_` and `.`")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_marker_is_told() {
        for text in ["", "=listen", "a b=listen", "listen=", "a\u{1b}=listen", "serving=lis\u{1b}"]
        {
            let error = text.parse::<Marker>().unwrap_err().to_string();
            assert!(!error.contains('\u{1b}'), "{error}");
        }
    }
}
