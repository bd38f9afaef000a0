//! Finding the command in PATH.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Access, AtFlags, CWD, FileType, accessat, stat};

/// Where `execvp(3)` looks without a PATH: `confstr(_CS_PATH)` of glibc.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Why a name has no file to execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// No directory has it.
    NotFound,
    /// A directory has it, but not as a file that this user may execute.
    NotExecutable,
}

/// The file that a shell would execute for `name`. A name with a slash is the file itself, and
/// execve(2) will judge it; an empty directory in `path` is the current one.
pub(super) fn find(name: &OsStr, path: Option<&OsStr>) -> Result<CString, Missing> {
    let whole = |bytes: &[u8]| CString::new(bytes).map_err(|_| Missing::NotFound);
    if name.as_bytes().contains(&b'/') {
        return whole(name.as_bytes());
    }
    if name.is_empty() {
        return Err(Missing::NotFound);
    }
    let mut missing = Missing::NotFound;
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
    for directory in path.as_bytes().split(|&byte| byte == b':') {
        let directory = if directory.is_empty() { b"." } else { directory };
        let candidate = whole(&[directory, b"/", name.as_bytes()].concat())?;
        let Ok(metadata) = stat(&candidate) else { continue };
        if FileType::from_raw_mode(metadata.st_mode) == FileType::RegularFile
            && accessat(CWD, &candidate, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
        {
            return Ok(candidate);
        }
        missing = Missing::NotExecutable;
    }
    Err(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_skips_the_search() {
        let found = find(OsStr::new("./no/such"), Some(OsStr::new("/bin"))).unwrap();
        assert_eq!(found.as_bytes(), b"./no/such");
    }

    #[test]
    fn directories_and_files_without_the_bit_are_passed_over() {
        let search = |name: &str, path: &str| find(OsStr::new(name), Some(OsStr::new(path)));
        assert_eq!(search("sh", "/etc:/bin").unwrap().as_bytes(), b"/bin/sh");
        assert_eq!(search("passwd", "/etc"), Err(Missing::NotExecutable));
        assert_eq!(search("bin", "/usr"), Err(Missing::NotExecutable));
        assert_eq!(search("no-such-command", "/usr/bin:/bin"), Err(Missing::NotFound));
        assert_eq!(search("", "/bin"), Err(Missing::NotFound));
    }
}
