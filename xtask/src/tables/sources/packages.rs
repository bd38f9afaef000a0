//! What the tables take from Debian's packages, fetched and unpacked.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::Result;
use super::{FILTER_SETS, STAMP};
use crate::apt::Apt;

/// Suites that carry what is wanted. The base release's own suites come from the machine's configuration.
pub const SUITES: &[&str] =
    &["bookworm", "bookworm-backports", "trixie", "trixie-backports", "sid"];

/// What of a kernel tree is kept: tables, headers, and the C files that may define system calls.
/// After a change here the unpacked trees must be removed by hand.
const WANTED: &[&str] = &[
    "*/arch/*.tbl",
    "*/scripts/syscall.tbl",
    "*/arch/*/kernel/Makefile.syscalls",
    "*/arch/*/Kconfig",
    "*/include/uapi/*.h",
    "*/arch/*/include/uapi/*.h",
    "*/include/linux/fs.h",
    "*/include/linux/socket.h",
    "*/include/linux/net.h",
    "*/include/linux/splice.h",
    "*/include/linux/swap.h",
    "*/include/linux/syslog.h",
    "*/arch/*/include/asm/socket.h",
    "*/arch/*.c",
    "*/block/*.c",
    "*/drivers/char/random.c",
    "*/drivers/pci/syscall.c",
    "*/fs/*.c",
    "*/io_uring/*.c",
    "*/ipc/*.c",
    "*/kernel/*.c",
    "*/mm/*.c",
    "*/net/*.c",
    "*/security/*.c",
];

impl Apt {
    /// The package name with the highest release.
    pub fn newest_kernel_source(&self) -> Result<String> {
        let output = self
            .command("apt-cache")
            .args(["pkgnames", "linux-source-"])
            .stderr(Stdio::inherit())
            .output()?;
        let names = String::from_utf8(output.stdout)?;
        let newest = names
            .lines()
            .filter_map(|name| {
                let (major, minor) = name.strip_prefix("linux-source-")?.split_once('.')?;
                Some((major.parse::<u16>().ok()?, minor.parse::<u16>().ok()?, name))
            })
            .max();
        Ok(newest.ok_or("the package lists hold no linux-source-*")?.2.to_owned())
    }

    /// The version that would be fetched: the highest of all suites.
    fn version(&self, package: &str) -> Result<String> {
        let output = self.command("apt-cache").args(["madison", package]).output()?;
        let text = String::from_utf8(output.stdout)?;
        let mut versions: BTreeSet<&str> =
            text.lines().filter_map(|l| l.split('|').nth(1)).map(str::trim).collect();
        let Some(mut best) = versions.pop_first() else {
            return Err(format!("no package {package}").into());
        };
        for version in versions {
            let newer = Command::new("dpkg")
                .args(["--compare-versions", version, "gt", best])
                .status()?
                .success();
            if newer {
                best = version;
            }
        }
        Ok(best.to_owned())
    }

    /// Downloads a binary package and returns its file.
    fn download(&self, package: &str, version: &str) -> Result<PathBuf> {
        let into = self.dir().join("debs");
        fs::create_dir_all(&into)?;
        let wanted = format!("{package}={version}");
        let status =
            self.command("apt-get").current_dir(&into).args(["download", &wanted]).status()?;
        if !status.success() {
            return Err(format!("apt-get download {wanted}: {status}").into());
        }
        for entry in fs::read_dir(&into)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            // apt writes an epoch's colon as %3a.
            let version = version.replace(':', "%3a");
            if name.starts_with(&format!("{package}_{version}_")) {
                return Ok(path);
            }
        }
        Err(format!("apt-get download {wanted} left no file").into())
    }

    /// Fetches and unpacks a kernel source package unless that version is there.
    pub fn kernel(&self, work: &Path, package: &str) -> Result<()> {
        let version = self.version(package)?;
        let root = work.join("tree").join(package);
        if is_stamped(&root, &version) {
            return Ok(());
        }
        let deb = self.download(package, &version)?;
        eprintln!("unpacking {package} {version}");
        fresh_dir(&root)?;
        let mut outer = Command::new("dpkg-deb")
            .arg("--fsys-tarfile")
            .arg(&deb)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut inner = Command::new("tar")
            .args(["-xO", "--wildcards", "*.tar.xz"])
            .stdin(taken(outer.stdout.take())?)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut unpack = Command::new("tar")
            .args(["-xJ", "--strip-components=1", "--wildcards", "-C"])
            .arg(&root)
            .args(WANTED)
            .stdin(taken(inner.stdout.take())?)
            .stderr(Stdio::piped())
            .spawn()?;
        let mut complaints = String::new();
        taken(unpack.stderr.take())?.read_to_string(&mut complaints)?;
        outer.wait()?;
        inner.wait()?;
        unpack.wait()?;
        // A pattern may have no match in an old tree; anything else is a failure.
        for line in complaints.lines() {
            if !line.contains("Not found in archive") && !line.contains("Exiting with failure") {
                return Err(format!("{package}: {line}").into());
            }
        }
        drop_other_c_files(&root)?;
        fs::write(root.join(STAMP), version)?;
        fs::remove_file(deb)?;
        Ok(())
    }

    pub fn manual(&self, work: &Path) -> Result<()> {
        let package = "manpages-dev";
        let version = self.version(package)?;
        let root = work.join("tree").join(package);
        if is_stamped(&root, &version) {
            return Ok(());
        }
        let deb = self.download(package, &version)?;
        fresh_dir(&root)?;
        let status = Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&root).status()?;
        if !status.success() {
            return Err(format!("dpkg-deb -x {}: {status}", deb.display()).into());
        }
        fs::write(root.join(STAMP), version)?;
        fs::remove_file(deb)?;
        Ok(())
    }

    /// Runs systemd's own tool out of its package, uninstalled, and keeps what it prints.
    pub fn systemd(&self, work: &Path) -> Result<()> {
        let version = self.version("systemd")?;
        let root = work.join("tree/systemd");
        if is_stamped(&root, &version) {
            return Ok(());
        }
        fresh_dir(&root)?;
        let unpacked = root.join("unpacked");
        for package in ["libsystemd-shared", "systemd"] {
            let deb = self.download(package, &version)?;
            let status = Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&unpacked).status()?;
            if !status.success() {
                return Err(format!("dpkg-deb -x {}: {status}", deb.display()).into());
            }
            fs::remove_file(deb)?;
        }
        let mut libraries = Vec::new();
        for entry in fs::read_dir(unpacked.join("usr/lib"))? {
            libraries.push(entry?.path().join("systemd"));
        }
        let output = Command::new(unpacked.join("usr/bin/systemd-analyze"))
            .args(["--no-pager", "syscall-filter"])
            .env("LD_LIBRARY_PATH", std::env::join_paths(libraries)?)
            .output()?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(format!("systemd-analyze of systemd {version}: {why}").into());
        }
        fs::write(root.join(FILTER_SETS), output.stdout)?;
        fs::remove_dir_all(unpacked)?;
        fs::write(root.join(STAMP), version)?;
        Ok(())
    }
}

fn is_stamped(root: &Path, version: &str) -> bool {
    fs::read_to_string(root.join(STAMP)).is_ok_and(|stamp| stamp.trim() == version)
}

fn fresh_dir(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e.into()),
        _ => {}
    }
    Ok(fs::create_dir_all(path)?)
}

fn taken<T>(pipe: Option<T>) -> Result<T> {
    pipe.ok_or_else(|| "a pipe was not opened".into())
}

/// Removes C files without a system call definition: nine tenths of what was unpacked.
fn drop_other_c_files(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            drop_other_c_files(&path)?;
        } else if kind.is_file() && path.extension().is_some_and(|e| e == "c") {
            let text = fs::read(&path)?;
            if !text.windows(b"SYSCALL".len()).any(|w| w == b"SYSCALL") {
                fs::remove_file(&path)?;
            }
        }
    }
    Ok(())
}
