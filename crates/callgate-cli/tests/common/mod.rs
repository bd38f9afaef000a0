//! What the tests of the command share: running it to its end, as this user or an ordinary one,
//! in a folder of its own; comparing all that it left; and saying loudly what is not tested.
#![allow(dead_code, unused_imports, reason = "each test program uses its own part of this")]

mod call;
mod filtered;
mod pattern;

pub use self::{
    call::{Call, Outcome},
    filtered::Filtered,
    pattern::like,
};

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// The program under test.
pub const CALLGATE: &str = env!("CARGO_BIN_EXE_callgate");

/// An ordinary user and group by number: "nobody".
pub const NOBODY: u32 = 65534;

/// A folder of its own that anybody may use, removed when dropped. Programs run in it.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    pub fn new() -> Scratch {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("callgate-test-{}-{serial}", process::id()));
        fs::create_dir(&path).expect("the temporary folder takes a folder");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).expect("it is ours");
        Scratch { path: path.canonicalize().expect("the folder is there") }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file, and gives its name for an argument.
    pub fn file<'n>(&self, name: &'n str, contents: impl AsRef<[u8]>) -> &'n str {
        fs::write(self.join(name), contents).expect("the folder takes a file");
        name
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Copies a program into the folder, so that every user may execute it; its path. Another
    /// process does it: one of ours could be forked meanwhile, keep the file open for writing, and
    /// so keep it from being executed (ETXTBSY).
    pub fn copy(&self, from: impl AsRef<OsStr>, name: &str, mode: u32) -> PathBuf {
        let to = self.join(name);
        self.command("cp").arg(from).arg(&to).run().is(0, "", "");
        fs::set_permissions(&to, PermissionsExt::from_mode(mode)).expect("it is ours");
        to
    }

    /// The command under test with these arguments, in this folder.
    pub fn callgate(&self, args: &[&str]) -> Call<'_> {
        Call::new(self, CALLGATE).args(args)
    }

    /// The command under test as an ordinary user. Who is one already stays who he is.
    pub fn callgate_as_user(&self, args: &[&str]) -> Call<'_> {
        if !is_root() {
            return self.callgate(args);
        }
        let program = self.join("callgate");
        if !program.exists() {
            self.copy(CALLGATE, "callgate", 0o755);
        }
        self.as_user(&program).args(args)
    }

    /// Any program as an ordinary user without groups and capabilities.
    pub fn as_user(&self, program: impl AsRef<OsStr>) -> Call<'_> {
        if !is_root() {
            return self.command(program);
        }
        let id = NOBODY.to_string();
        self.command("setpriv")
            .args(&["--reuid", &id, "--regid", &id, "--clear-groups", "--"])
            .arg(program)
    }

    /// Any program, in this folder.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Call<'_> {
        Call::new(self, program)
    }

    /// A C program, built; None, said loudly, where there is no compiler.
    pub fn cc(&self, name: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
        let Some(cc) = find("cc") else {
            skip("what takes a C program is not tested: install gcc and libc6-dev");
            return None;
        };
        let file = format!("{name}.c");
        self.file(&file, source);
        self.command(cc)
            .args(&["-O1", "-Wall", "-Werror", "-o", name, &file])
            .args(flags)
            .run()
            .is(0, "", "");
        Some(self.join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tell(&format!("left behind: {} ({error})", self.path.display()));
        }
    }
}

/// Says why something is not tested, where a captured test's output would not be seen. With
/// `CALLGATE_REQUIRE_LAB=1` nothing may be missing.
pub fn skip(why: &str) {
    assert!(
        env::var_os("CALLGATE_REQUIRE_LAB").is_none_or(|value| value != "1"),
        "CALLGATE_REQUIRE_LAB=1, but {why}"
    );
    tell(&format!("skipped: {why}"));
}

/// Whether the tests run as root; says loudly what goes untested otherwise.
pub fn root_for(what: &str) -> bool {
    let root = is_root();
    if !root {
        tell(&format!("skipped: {what} is not tested: that takes root"));
    }
    root
}

/// Whether a program is there; says loudly what goes untested otherwise.
pub fn tool_for(program: &str, package: &str, what: &str) -> bool {
    let found = find(program).is_some();
    if !found {
        skip(&format!("{what} is not tested: install {package}"));
    }
    found
}

/// Prints a line on the real standard error.
pub fn tell(line: &str) {
    // Not a print macro: the test harness would keep it.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Where `program` is, along PATH and the folders of the superuser.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| field(&status, "Uid", 1) == "0")
}

/// A word of a line of `/proc/PID/status`; words count from 0.
pub fn field<'s>(status: &'s str, name: &str, word: usize) -> &'s str {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().nth(word)).unwrap_or_default()
}
