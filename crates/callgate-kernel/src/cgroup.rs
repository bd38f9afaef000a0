//! Groups of processes: cgroups of the version 2 tree.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{Mode, OFlags, fstatfs, open};

use crate::errno::Errno;

/// A cgroup. Children that a process in it makes are in it too, from their beginning.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    directory: OwnedFd,
    /// Whether it was made here, and goes with this.
    made: bool,
}

/// What the names of groups begin with that were made here; the process that made it follows.
const PREFIX: &str = "callgate-";

impl Cgroup {
    /// The cgroup of this directory, as `/sys/fs/cgroup/system.slice/nginx.service`.
    ///
    /// # Errors
    ///
    /// There is no such directory, or it is none of a version 2 tree.
    pub fn open(path: impl Into<PathBuf>) -> Result<Cgroup, CgroupError> {
        let path = path.into();
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let directory = open(&path, flags, Mode::empty())
            .map_err(|errno| CgroupError::at("opened", &path, errno.into()))?;
        // `CGROUP2_SUPER_MAGIC` of `linux/magic.h`.
        match fstatfs(&directory) {
            Ok(fs) if fs.f_type == 0x6367_7270 => Ok(()),
            Ok(_) => Err(CgroupError { kind: Kind::OtherTree(path.clone()) }),
            Err(errno) => Err(CgroupError::at("opened", &path, errno.into())),
        }?;
        Ok(Cgroup { path, directory, made: false })
    }

    /// The cgroup that a process is in.
    ///
    /// # Errors
    ///
    /// There is no such process, or no version 2 tree.
    pub fn of_process(pid: i32) -> Result<Cgroup, CgroupError> {
        let read = |path: String| {
            fs::read_to_string(&path)
                .map_err(|error| CgroupError::at("read", Path::new(&path), (&error).into()))
        };
        let group = read(format!("/proc/{pid}/cgroup"))?;
        let mounts = read("/proc/self/mountinfo".to_owned())?;
        let path = place(&group, &mounts).ok_or(CgroupError { kind: Kind::NoTree })?;
        Cgroup::open(path)
    }

    /// Makes a cgroup below this process's own, without any limit of its own. It is taken away when
    /// this is dropped; processes that are left in it then go to the one above. Where somebody has
    /// made groups below it and left them there, it stays.
    ///
    /// One that a process left which could not tidy up, as it was killed, is taken away first.
    ///
    /// # Errors
    ///
    /// There is no version 2 tree, or the user may not make a cgroup here.
    pub fn create() -> Result<Cgroup, CgroupError> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let own = process::id();
        let above = Cgroup::of_process(own.cast_signed())?.path.clone();
        tidy(&above);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = above.join(format!("{PREFIX}{own}-{number}"));
        fs::create_dir(&path).map_err(|error| CgroupError::at("made", &path, (&error).into()))?;
        let opened = Cgroup::open(&path);
        match opened {
            Ok(mut group) => {
                group.made = true;
                Ok(group)
            }
            Err(error) => {
                // Nothing can be in it yet.
                let _ = fs::remove_dir(&path);
                Err(error)
            }
        }
    }

    /// Moves this process to the root of every tree of cgroups that is mounted whole, of either
    /// version, so that it is in none that whoever started it may take away with all that is in it.
    ///
    /// # Errors
    ///
    /// The last one, when the process could not leave a tree; it has left the others. That takes
    /// root.
    pub fn leave_all() -> Result<(), CgroupError> {
        let path = Path::new("/proc/self/mountinfo");
        let mounts = fs::read_to_string(path)
            .map_err(|error| CgroupError::at("read", path, (&error).into()))?;
        let mut left = Ok(());
        for root in roots(&mounts) {
            let path = root.join("cgroup.procs");
            // 0 is the writer itself.
            if let Err(error) = fs::write(&path, "0") {
                left = Err(CgroupError::at("written to", &path, (&error).into()));
            }
        }
        left
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its number, by which the kernel's programs know it (`bpf_get_current_cgroup_id`).
    ///
    /// # Errors
    ///
    /// When the directory is gone.
    pub fn id(&self) -> io::Result<u64> {
        // The inode's number is the group's identifier, on machines of 64 bits.
        fs::metadata(&self.path).map(|metadata| metadata.ino())
    }

    /// Puts a process in, with all its threads. Children that it has already stay where they are.
    ///
    /// # Errors
    ///
    /// The process has ended, or the user may not move it, or processes may not be in this group.
    pub fn add(&self, pid: i32) -> Result<(), CgroupError> {
        let path = self.path.join("cgroup.procs");
        fs::write(&path, pid.to_string())
            .map_err(|error| CgroupError::at("written to", &path, (&error).into()))
    }

    /// The processes in it, without those of groups below.
    ///
    /// # Errors
    ///
    /// When it is gone, or may not be read.
    pub fn processes(&self) -> io::Result<Vec<i32>> {
        let list = fs::read_to_string(self.path.join("cgroup.procs"))?;
        Ok(list.lines().filter_map(|line| line.trim().parse().ok()).collect())
    }

    /// Whether any process is in it, or in a group below it.
    ///
    /// # Errors
    ///
    /// When it is gone, or is the root of the tree, of which the kernel doesn't tell.
    pub fn is_populated(&self) -> io::Result<bool> {
        let events = fs::read_to_string(self.path.join("cgroup.events"))?;
        Ok(events.lines().any(|line| line == "populated 1"))
    }

    pub(crate) fn directory(&self) -> &OwnedFd {
        &self.directory
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if !self.made {
            return;
        }
        let above = self.path.parent().map(|above| above.join("cgroup.procs"));
        // A process may fork while the list is gone through.
        for _ in 0..100 {
            if fs::remove_dir(&self.path).is_ok() {
                return;
            }
            for pid in self.processes().unwrap_or_default() {
                if let Some(above) = &above {
                    // One that has ended meanwhile is no longer in the way.
                    let _ = fs::write(above, pid.to_string());
                }
            }
        }
    }
}

/// Takes away groups whose makers are gone. The kernel lets only empty ones be taken.
fn tidy(above: &Path) {
    for entry in fs::read_dir(above).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let maker = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split_once('-'));
        if let Some((maker, _)) = maker
            && maker
                .parse::<u32>()
                .is_ok_and(|maker| !Path::new(&format!("/proc/{maker}")).exists())
        {
            // Not empty: its processes run on, and it stays with them.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Where a process's version 2 group lies, from its `/proc/PID/cgroup` and the mounts.
fn place(group: &str, mounts: &str) -> Option<PathBuf> {
    let group = group.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (fields, file_system) = line.split_once(" - ")?;
        let mut fields = fields.split(' ');
        let (root, point) = (fields.nth(3)?, fields.next()?);
        let inside = match root {
            "/" => group,
            _ => {
                group.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with('/'))?
            }
        };
        let is_there = file_system.starts_with("cgroup2 ") && !inside.starts_with("/..");
        is_there.then(|| Path::new(point).join(inside.trim_start_matches('/')))
    })
}

/// Where whole trees of cgroups are mounted.
fn roots(mounts: &str) -> Vec<PathBuf> {
    let root = |line: &str| {
        let (fields, file_system) = line.split_once(" - ")?;
        let mut fields = fields.split(' ');
        let (root, point) = (fields.nth(3)?, fields.next()?);
        let kind = file_system.split(' ').next()?;
        (root == "/" && matches!(kind, "cgroup" | "cgroup2")).then(|| PathBuf::from(point))
    };
    mounts.lines().filter_map(root).collect()
}

/// Why a cgroup cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupError {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    NoTree,
    OtherTree(PathBuf),
    Refused(&'static str, PathBuf, Errno),
}

impl CgroupError {
    fn at(what: &'static str, path: &Path, errno: Errno) -> CgroupError {
        CgroupError { kind: Kind::Refused(what, path.to_owned(), errno) }
    }

    /// Whether this machine, or container, has no version 2 tree at all, or none that can be seen.
    pub fn is_no_tree(&self) -> bool {
        self.kind == Kind::NoTree
    }
}

impl std::error::Error for CgroupError {}

impl fmt::Display for CgroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::NoTree => {
                f.write_str("no version 2 tree of cgroups is mounted that this process is in")
            }
            Kind::OtherTree(path) => write!(
                f,
                "{} is no cgroup of the version 2 tree",
                path.display().to_string().escape_debug()
            ),
            Kind::Refused(what, path, errno) => write!(
                f,
                "the cgroup's {} could not be {what}: {errno}",
                path.display().to_string().escape_debug()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
        30 29 0:26 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
        31 29 0:27 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_version_2_group_is_found_beside_version_1() {
        let place = |group| place(group, HYBRID);
        assert_eq!(place("5:pids:/\n0::/\n").unwrap(), Path::new("/sys/fs/cgroup/unified/"));
        assert_eq!(
            place("0::/user.slice/a.scope\n").unwrap(),
            Path::new("/sys/fs/cgroup/unified/user.slice/a.scope")
        );
        assert_eq!(place("5:pids:/\n"), None);
    }

    #[test]
    fn whole_trees_of_both_versions_have_roots() {
        let part = "32 29 0:28 /box /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        assert_eq!(
            roots(&format!("{HYBRID}{part}29 1 0:25 / /proc rw - proc proc rw\n")),
            ["/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified"].map(PathBuf::from)
        );
    }

    #[test]
    fn a_mount_of_a_part_shows_that_part() {
        let mounts = "31 29 0:27 /box /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let place = |group| place(group, mounts);
        assert_eq!(place("0::/box/a\n").unwrap(), Path::new("/sys/fs/cgroup/a"));
        assert_eq!(place("0::/boxes\n"), None);
        assert_eq!(place("0::/../other\n"), None);
    }
}
