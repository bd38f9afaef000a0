//! Releases of Linux.

use core::fmt;
use core::str::FromStr;

/// A release of Linux: `5.4`.
///
/// ```
/// use callgate_syscalls::KernelVersion;
///
/// let running: KernelVersion = "6.12.9-amd64".parse()?;
/// assert!(running >= KernelVersion::new(6, 8));
/// assert_eq!(running.to_string(), "6.12");
/// # Ok::<(), callgate_syscalls::KernelVersionError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KernelVersion {
    /// `5` of 5.4.
    pub major: u16,
    /// `4` of 5.4. A system call of the 2.6 series has `6` here, whichever 2.6.x brought it:
    /// nothing that this crate serves runs on one.
    pub minor: u16,
}

/// The text is no version: it does not begin with two numbers joined by a dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelVersionError(());

impl KernelVersion {
    /// A release by its two numbers.
    pub const fn new(major: u16, minor: u16) -> KernelVersion {
        KernelVersion { major, minor }
    }
}

/// Reads `5.4` and what `uname -r` prints: `5.4.0-9-amd64`, `6.18-rc1`, `6.1+`.
impl FromStr for KernelVersion {
    type Err = KernelVersionError;

    fn from_str(text: &str) -> Result<KernelVersion, KernelVersionError> {
        let (major, rest) = text.split_once('.').ok_or(KernelVersionError(()))?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        Ok(KernelVersion { major: number(major)?, minor: number(&rest[..end])? })
    }
}

/// Digits alone: `u16::from_str` would take a sign.
fn number(text: &str) -> Result<u16, KernelVersionError> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().map_err(|_| KernelVersionError(()))
    } else {
        Err(KernelVersionError(()))
    }
}

/// `5.4`.
impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl fmt::Debug for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for KernelVersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a kernel version; write it as MAJOR.MINOR, such as 5.4")
    }
}

impl core::error::Error for KernelVersionError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_uname_prints() {
        let all = ["5.4", "5.4.0-9-amd64", "5.4-rc1", "5.4+", "5.4.", "5.4_custom"];
        for text in all {
            assert_eq!(text.parse(), Ok(KernelVersion::new(5, 4)), "{text}");
        }
        assert_eq!("6.18.44-fc-v595".parse(), Ok(KernelVersion::new(6, 18)));
    }

    #[test]
    fn refuses_what_is_no_version() {
        for text in ["", "5", "5.", ".4", "v5.4", "5.x", "+5.4", "-5.4", "5.99999", " 5.4"] {
            assert!(text.parse::<KernelVersion>().is_err(), "{text}");
        }
    }

    #[test]
    fn orders_by_number_and_not_by_text() {
        assert!(KernelVersion::new(5, 10) > KernelVersion::new(5, 9));
        assert!(KernelVersion::new(10, 0) > KernelVersion::new(9, 20));
    }
}
