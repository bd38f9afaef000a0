//! Fetches what the tables are made from: kernel source packages, manual pages and systemd's
//! tools, by the machine's own package manager in a directory of its own.

mod packages;

use std::fs;
use std::path::{Path, PathBuf};

use super::Result;
use crate::apt::Apt;

/// One unpacked kernel source tree.
pub struct Kernel {
    /// `6.12`.
    pub release: (u16, u16),
    /// The package's version.
    pub package: String,
    /// The top of the tree.
    pub root: PathBuf,
}

/// Everything that the generator reads.
pub struct Sources {
    /// Oldest first.
    pub kernels: Vec<Kernel>,
    /// The manual pages: version, and the directory with `syscalls.2`.
    pub manual: (String, PathBuf),
    /// systemd: version, and the directory with [`FILTER_SETS`].
    pub systemd: (String, PathBuf),
}

/// Releases of which no newest is sought: the tables' history needs exactly these.
const OLD_KERNELS: &[&str] = &["6.1", "6.12"];

impl Sources {
    /// Fetches and unpacks below `work`; what is already there is not fetched again.
    pub fn fetch(work: &Path) -> Result<Sources> {
        let apt = Apt::new(work, "deb", packages::SUITES)?;
        apt.run(&["update", "--quiet"])?;
        for release in OLD_KERNELS {
            apt.kernel(work, &format!("linux-source-{release}"))?;
        }
        apt.kernel(work, &apt.newest_kernel_source()?)?;
        apt.manual(work)?;
        apt.systemd(work)?;
        Sources::open(work)?.ok_or_else(|| "fetched, but something is missing".into())
    }

    /// What lies unpacked below `work`; `None` when that is not complete.
    pub fn open(work: &Path) -> Result<Option<Sources>> {
        let mut kernels = Vec::new();
        for (package, root) in stamped(work, "linux-source-")? {
            let release = package.0.trim_start_matches("linux-source-");
            let Some((major, minor)) = release.split_once('.') else { continue };
            kernels.push(Kernel {
                release: (major.parse()?, minor.parse()?),
                package: package.1,
                root,
            });
        }
        kernels.sort_by_key(|k| k.release);
        let manual = stamped(work, "manpages-dev")?.pop();
        let systemd = stamped(work, "systemd")?.pop();
        let (Some(manual), Some(systemd)) = (manual, systemd) else { return Ok(None) };
        if kernels.len() <= OLD_KERNELS.len() {
            return Ok(None);
        }
        Ok(Some(Sources {
            kernels,
            manual: (manual.0.1, manual.1),
            systemd: (systemd.0.1, systemd.1),
        }))
    }
}

/// The unpacked packages whose name starts so: name, version and directory. A directory without
/// its stamp was not completed.
fn stamped(work: &Path, prefix: &str) -> Result<Vec<((String, String), PathBuf)>> {
    let mut found = Vec::new();
    let tree = work.join("tree");
    let Ok(dir) = fs::read_dir(&tree) else { return Ok(found) };
    for entry in dir {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else { continue };
        if !name.starts_with(prefix) {
            continue;
        }
        if let Ok(version) = fs::read_to_string(path.join(STAMP)) {
            found.push(((name.to_owned(), version.trim().to_owned()), path.clone()));
        }
    }
    Ok(found)
}

/// Below [`Sources::systemd`]: what `systemd-analyze syscall-filter` prints.
pub const FILTER_SETS: &str = "syscall-filter.txt";

/// The file that holds the version of a completely unpacked package.
const STAMP: &str = ".callgate-version";
