//! Debian's libseccomp as a contender, behind a small C program (`libseccomp.c`).

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use callgate_bpf::{ByteOrder, Layout, Program};

use crate::{Result, folder::Folder, subject::Subject};

/// The forms of program that it makes: comparisons in a row, and a binary tree, which is what
/// runc asks for when a profile is as long as Docker's.
pub const LEVELS: [u32; 2] = [1, 2];

const SOURCE: &str = include_str!("libseccomp.c");

/// The running driver, with the rules in it.
pub struct Library {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    folder: Folder,
    version: String,
    /// Names that this version has no number for.
    unknown: Vec<String>,
    rules: usize,
}

/// A program that libseccomp made.
pub struct Peer {
    /// Who made it: `libseccomp level 1`.
    pub name: String,
    /// The program.
    pub program: Program,
    /// Where it is stored, for another process.
    pub file: PathBuf,
}

impl Library {
    /// Builds the driver and gives it the rules.
    ///
    /// # Errors
    ///
    /// A reason for people: no compiler, no library, or one too old.
    pub fn start(subject: &Subject) -> Result<Library> {
        let folder = Folder::new("libseccomp")?;
        let driver = build(folder.path())?;
        let mut child =
            Command::new(driver).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut commands = child.stdin.take().ok_or("the driver has no input")?;
        let answers = child.stdout.take().ok_or("the driver has no output")?;
        let rules = subject.rules_for_libseccomp();
        commands.write_all(rules.as_bytes())?;
        let mut library = Library {
            child,
            commands,
            answers: BufReader::new(answers),
            folder,
            version: String::new(),
            unknown: Vec::new(),
            rules: rules.lines().filter(|line| line.starts_with("rule ")).count(),
        };
        library.check()?;
        Ok(library)
    }

    /// Version, and what it does not know.
    pub fn description(&self) -> String {
        format!(
            "libseccomp {}, {} rules, of which it does not know {}",
            self.version,
            self.rules,
            self.unknown.len()
        )
    }

    /// Names that this version has no number for; its programs lack them.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// Builds the filter once: the time to add the rules and the time to make the program.
    ///
    /// # Errors
    ///
    /// When the library refuses.
    pub fn build(&mut self, level: u32) -> Result<[Duration; 2]> {
        self.ask(&format!("build {level}"))
    }

    /// A program of each level.
    ///
    /// # Errors
    ///
    /// When the library refuses, or what it makes is no program.
    pub fn peers(&mut self) -> Result<Vec<Peer>> {
        LEVELS.iter().map(|&level| self.peer(level)).collect()
    }

    fn peer(&mut self, level: u32) -> Result<Peer> {
        let file = self.folder.path().join(format!("level-{level}.bpf"));
        self.ask(&format!("export {level} {}", file.display()))?;
        let order = ByteOrder::NATIVE;
        let program = Program::from_bytes(&fs::read(&file)?, order, Layout::seccomp(order))?;
        Ok(Peer { name: format!("libseccomp level {level}"), program, file })
    }

    fn ask(&mut self, command: &str) -> Result<[Duration; 2]> {
        writeln!(self.commands, "{command}")?;
        let answer = self.answer()?;
        let times: Option<Vec<Duration>> = answer
            .strip_prefix("built ")
            .map(|times| times.split(' ').flat_map(str::parse).map(Duration::from_nanos).collect());
        match times.as_deref() {
            Some(&[add, export]) => Ok([add, export]),
            _ => Err(format!("the driver answered `{answer}`").into()),
        }
    }

    fn check(&mut self) -> Result<()> {
        writeln!(self.commands, "check")?;
        loop {
            let answer = self.answer()?;
            match answer.split_once(' ') {
                Some(("version", version)) => self.version = version.to_owned(),
                Some(("unknown", name)) => self.unknown.push(name.to_owned()),
                _ if answer == "checked" => return Ok(()),
                _ => return Err(format!("the driver answered `{answer}`").into()),
            }
        }
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err("the driver has ended; its message stands above".into());
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn build(folder: &Path) -> Result<PathBuf> {
    let (source, driver) = (folder.join("driver.c"), folder.join("driver"));
    fs::write(&source, SOURCE)?;
    let output = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args(["-std=gnu11", "-O2", "-o"])
        .args([&driver, &source])
        .arg("-lseccomp")
        .output()
        .map_err(|error| format!("no C compiler ({error}); install gcc and libseccomp-dev"))?;
    if output.status.success() {
        return Ok(driver);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let first = errors.lines().find(|line| line.contains("error")).unwrap_or("no message");
    Err(format!("the C driver does not build ({first}); install libseccomp-dev").into())
}
