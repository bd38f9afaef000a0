//! A file that an annotation names, below a folder that the machine's owner has named.

use std::{
    ffi::OsString,
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    path::{Component, Path, PathBuf},
    process,
};

use rustix::{
    fs::{
        AtFlags, FileType, FlockOperation, Mode, OFlags, ResolveFlags, flock, fstat, open, openat,
        openat2, renameat, statat, unlinkat,
    },
    io::Errno,
    process::geteuid,
};

use crate::report::printable_name;

/// Longer files are none that a hook wrote.
const LIMIT: u64 = 64 << 20;

/// The file by which recorders take turns in a folder.
const LOCK: &str = ".callgate.lock";

/// A place in a folder that only this user writes to.
pub struct Place {
    /// Of the file, not of what is below `--folder`.
    directory: OwnedFd,
    name: OsString,
    shown: String,
}

impl Place {
    /// The place of this path. What is in it may be written to, as far as that can be known now.
    ///
    /// # Errors
    ///
    /// It is not below the folder, or a link or somebody else's on the way; or nothing can be
    /// written there.
    pub fn open(folder: &Path, path: &str) -> Result<Place, String> {
        let shown = printable_name(path);
        let of = |what: &str, errno: Errno| format!("{shown}: {what}: {errno}");
        let (parent, name) = below(folder, path).ok_or_else(|| {
            format!(
                "{shown} is no file below {}, the folder for recordings (--folder of the hook)",
                printable_name(&folder.to_string_lossy())
            )
        })?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let top = open(folder, flags, Mode::empty()).map_err(|errno| {
            let folder = printable_name(&folder.to_string_lossy());
            format!("{folder}, the folder for recordings: {errno}; make it with `mkdir {folder}`")
        })?;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let directory = match parent.as_os_str().is_empty() {
            true => top,
            false => {
                openat2(&top, &parent, flags, Mode::empty(), resolve).map_err(
                    |errno| match errno {
                        Errno::LOOP => {
                            format!("{shown}: a symbolic link is on the way, and none is followed")
                        }
                        _ => of("its folder", errno),
                    },
                )?
            }
        };
        let stat = fstat(&directory).map_err(|errno| of("its folder", errno))?;
        let others = Mode::WGRP | Mode::WOTH;
        if stat.st_uid != geteuid().as_raw() || Mode::from_raw_mode(stat.st_mode).intersects(others)
        {
            return Err(format!(
                "{shown}: its folder belongs to another user, or others may write to it, so nothing is written there"
            ));
        }
        let place = Place { directory, name, shown };
        place.is_free()?;
        let temporary = place.temporary();
        place.create(&temporary)?;
        place.remove(&temporary);
        Ok(place)
    }

    /// The path, for messages.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether the name ends so.
    pub fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.name).extension().is_some_and(|own| own == extension)
    }

    /// What the file has; None where there is none.
    ///
    /// # Errors
    ///
    /// It is no file of this user, too long, or cannot be read.
    pub fn read(&self) -> Result<Option<Vec<u8>>, String> {
        if !self.is_free()? {
            return Ok(None);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.directory, &self.name, flags, Mode::empty())
            .map_err(|errno| self.error(errno))?;
        let mut bytes = Vec::new();
        File::from(file).take(LIMIT + 1).read_to_end(&mut bytes).map_err(|e| self.error(e))?;
        if bytes.len() as u64 > LIMIT {
            return Err(self.error("it is too long"));
        }
        Ok(Some(bytes))
    }

    /// Puts a file there, whole or not at all.
    ///
    /// # Errors
    ///
    /// What is there is not this user's, or the new one cannot be written.
    pub fn write(&self, bytes: &[u8]) -> Result<(), String> {
        let temporary = self.temporary();
        let mut file = self.create(&temporary)?;
        let written = file
            .write_all(bytes)
            .and_then(|()| file.sync_all())
            .map_err(|error| self.error(error))
            .and_then(|()| self.is_free().map(|_| ()))
            .and_then(|()| {
                renameat(&self.directory, &temporary, &self.directory, &self.name)
                    .map_err(|errno| self.error(errno))
            });
        if written.is_err() {
            self.remove(&temporary);
        }
        written
    }

    /// Keeps other recorders from changing files of this folder, as long as the value is there. The
    /// lock is on a file that nobody else can open, so nobody else can hold it.
    ///
    /// # Errors
    ///
    /// The file of the lock is not this user's, or the file system has no locks.
    pub fn lock(&self) -> Result<OwnedFd, String> {
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = openat(&self.directory, LOCK, flags, mode).map_err(|e| self.error(e))?;
        let stat = fstat(&file).map_err(|errno| self.error(errno))?;
        if stat.st_uid != geteuid().as_raw() {
            return Err(self.error(format!("{LOCK} beside it belongs to another user")));
        }
        flock(&file, FlockOperation::LockExclusive).map_err(|errno| self.error(errno))?;
        Ok(file)
    }

    /// Whether a file of this user is there; false where there is nothing.
    fn is_free(&self) -> Result<bool, String> {
        match statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(self.error(errno)),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile => {
                Err(self.error("there is something that is no file, and it is left alone"))
            }
            Ok(stat) if stat.st_uid != geteuid().as_raw() => {
                Err(self.error("a file of another user is there, and it is left alone"))
            }
            Ok(_) => Ok(true),
        }
    }

    fn create(&self, name: &OsString) -> Result<File, String> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        openat(&self.directory, name, flags, mode).map(File::from).map_err(|e| self.error(e))
    }

    fn remove(&self, name: &OsString) {
        // What stays behind is a file of our own that does no harm.
        let _ = unlinkat(&self.directory, name, AtFlags::empty());
    }

    fn temporary(&self) -> OsString {
        let mut name = OsString::from(".");
        name.push(&self.name);
        name.push(format!(".{}", process::id()));
        name
    }

    fn error(&self, what: impl std::fmt::Display) -> String {
        format!("{}: {what}", self.shown)
    }
}

/// The part of an absolute path between the folder and the name, and the name.
fn below(folder: &Path, path: &str) -> Option<(PathBuf, OsString)> {
    let inside = Path::new(path).strip_prefix(folder).ok()?;
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    if !inside.components().all(plain) {
        return None;
    }
    Some((inside.parent()?.to_owned(), inside.file_name()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_below_the_folder_are_taken() {
        let below = |path| below(Path::new("/var/lib/callgate"), path);
        let of = |parent: &str, name: &str| Some((PathBuf::from(parent), OsString::from(name)));
        assert_eq!(below("/var/lib/callgate/x.json"), of("", "x.json"));
        assert_eq!(below("/var/lib/callgate//a/./x.json"), of("a", "x.json"));
        for path in [
            "",
            "x.json",
            "/var/lib/callgate",
            "/var/lib/callgate/",
            "/var/lib/callgates/x.json",
            "/etc/x.json",
            "/var/lib/callgate/../x.json",
            "/var/lib/callgate/a/../../x.json",
            "/var/lib/callgate/..",
        ] {
            assert_eq!(below(path), None, "{path}");
        }
    }
}
