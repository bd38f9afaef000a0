//! The root file system of every container: busybox, the probe and callgate.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use super::{command, probe};

/// The callgate under test.
pub const CALLGATE: &str = env!("CARGO_BIN_EXE_callgate");

/// Commands of busybox that tests use.
const APPLETS: &[&str] =
    &["cat", "echo", "grep", "mkdir", "sh", "sleep", "touch", "true", "unshare"];

/// A folder, and the same as an archive for engines to import.
pub struct Rootfs {
    pub folder: PathBuf,
    pub archive: PathBuf,
}

impl Rootfs {
    pub fn build(dir: &Path) -> Rootfs {
        let folder = dir.join("rootfs");
        for name in ["bin", "dev", "etc", "lab", "proc", "sys", "tmp"] {
            fs::create_dir_all(folder.join(name)).expect("the laboratory's folder takes a folder");
        }
        let bin = folder.join("bin");
        install(&command::find("busybox").expect("it was looked for"), &bin.join("busybox"));
        for applet in APPLETS {
            symlink("busybox", bin.join(applet)).expect("the folder takes a link");
        }
        probe::build(&bin.join("probe"));
        probe::build_nothing(&bin.join("nothing"));
        install(Path::new(CALLGATE), &bin.join("callgate"));
        for library in libraries(Path::new(CALLGATE)) {
            let inside = folder.join(library.strip_prefix("/").expect("ldd gives absolute paths"));
            fs::create_dir_all(inside.parent().expect("it is in a folder"))
                .expect("the folder takes a folder");
            install(&library, &inside);
        }
        let archive = dir.join("rootfs.tar");
        command::run(
            Command::new("tar").arg("-C").arg(&folder).arg("-cf").arg(&archive).arg("."),
            "",
        )
        .expect("tar");
        Rootfs { folder, archive }
    }
}

/// The program loader and the shared libraries of `program`; none when it is linked statically.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let listing = command::run(Command::new("ldd").arg(program), "");
    listing
        .stdout
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect()
}

fn install(from: &Path, to: &Path) {
    fs::copy(from, to)
        .unwrap_or_else(|error| panic!("{} to {}: {error}", from.display(), to.display()));
}
