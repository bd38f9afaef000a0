//! Where in a program a call came from.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{
    Subject,
    symbols::{Binary, Symbol},
};

/// Frames of a library that are gone through to find who called into it.
const FRAME_LIMIT: usize = 32;

/// Largest file that is looked into.
const SIZE_LIMIT: u64 = 1 << 30;

/// The place of a call, and who called the library that made it.
pub struct Site {
    /// Behind the instruction that made the call.
    pub at: Place,
    /// In another file, where the call of the library returns to.
    pub caller: Option<Place>,
    /// The library's function that was called from there.
    pub through: Option<String>,
}

/// A place in a file that a process has mapped.
pub struct Place {
    /// The file as the process's maps name it; `[vdso]` and such are names too.
    pub file: String,
    /// From the file's beginning.
    pub offset: u64,
    /// The nearest symbol before it.
    pub symbol: Option<Symbol>,
}

/// A line of `/proc/PID/maps` that can be executed.
struct Mapping {
    start: u64,
    end: u64,
    offset: u64,
    path: String,
}

impl Site {
    /// The place of a call of this program; None where `/proc` does not tell.
    pub fn of(subject: &dyn Subject, executable: Option<&Path>) -> Option<Site> {
        let thread = subject.thread()?;
        let maps = mappings(&fs::read_to_string(format!("/proc/{thread}/maps")).ok()?);
        let root = PathBuf::from(format!("/proc/{thread}/root"));
        let ip = subject.data().instruction_pointer;
        let first = maps.iter().find(|map| map.contains(ip))?;
        let binary = first.open(&root).ok();
        let at = first.place(ip, binary.as_ref());
        let mut site = Site { at, caller: None, through: None };
        // The program's own function says more than who called it.
        let library = executable.is_none_or(|path| path != Path::new(&first.path));
        if let Some(binary) = binary.filter(|_| library)
            && let Some(sp) = subject.stack_pointer()
        {
            site.climb(subject, &maps, first, &binary, (ip, sp), &root);
        }
        subject.is_still_there().then_some(site)
    }

    /// Goes up the frames as long as they are in the first file.
    fn climb(
        &mut self,
        subject: &dyn Subject,
        maps: &[Mapping],
        first: &Mapping,
        binary: &Binary,
        (mut ip, mut sp): (u64, u64),
        root: &Path,
    ) {
        for _ in 0..FRAME_LIMIT {
            let Some(map) = maps.iter().find(|map| map.contains(ip)) else { return };
            if map.path != first.path {
                let binary = map.open(root).ok();
                self.caller = Some(map.place(ip, binary.as_ref()));
                return;
            }
            let offset = map.offset_of(ip);
            self.through = binary.symbol(offset).map(|symbol| symbol.name);
            let Some(frame) = binary.return_address(offset) else { return };
            let Some(address) = frame.stored_at(sp) else { return };
            let (Some(caller), Some(above)) = (subject.stack_word(address), frame.above(sp)) else {
                return;
            };
            (ip, sp) = (caller, above);
        }
    }
}

impl Mapping {
    fn contains(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }

    fn offset_of(&self, address: u64) -> u64 {
        (address - self.start).saturating_add(self.offset)
    }

    fn place(&self, address: u64, binary: Option<&Binary>) -> Place {
        let offset = self.offset_of(address);
        let file = if self.path.is_empty() { "memory without a file" } else { &self.path };
        Place {
            file: file.to_owned(),
            offset,
            symbol: binary.and_then(|binary| binary.symbol(offset)),
        }
    }

    /// The file as the process sees it, whatever its root and mounts are.
    fn open(&self, root: &Path) -> io::Result<Binary> {
        let path = self.path.strip_prefix('/').ok_or(io::ErrorKind::NotFound)?;
        let path = root.join(path);
        // The program may have put anything in its file's place: a pipe would be waited for.
        let metadata = fs::metadata(&path)?;
        if !metadata.is_file() || metadata.len() > SIZE_LIMIT {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Binary::read(File::open(path)?)
    }
}

/// The executable ones.
fn mappings(maps: &str) -> Vec<Mapping> {
    let line = |line: &str| {
        let mut words = line.splitn(6, ' ');
        let (start, end) = words.next()?.split_once('-')?;
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        let executable = words.next()?.contains('x');
        let offset = hex(words.next()?)?;
        let path = words.nth(2).unwrap_or_default().trim_start();
        let (start, end, path) = (hex(start)?, hex(end)?, path.to_owned());
        executable.then_some(Mapping { start, end, offset, path })
    };
    maps.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executable_mappings_are_found() {
        let maps = "\
55a0-55b0 r--p 00000000 fe:00 123                        /usr/bin/a b
55b0-55c0 r-xp 00001000 fe:00 123                        /usr/bin/a b
7f00-7f10 r-xp 00000000 00:00 0 
7ffe-7fff r-xp 00000000 00:00 0                          [vdso]
";
        let maps = mappings(maps);
        assert_eq!(maps.len(), 3);
        let place = maps[0].place(0x55b8, None);
        assert_eq!((place.file.as_str(), place.offset), ("/usr/bin/a b", 0x1008));
        assert_eq!(maps[1].place(0x7f00, None).file, "memory without a file");
        assert_eq!(maps[2].path, "[vdso]");
    }
}
