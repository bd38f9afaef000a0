//! A contender that is a program of its own, told its rules line by line (`libseccomp.c` lists the
//! commands).

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use callgate_bpf::{ByteOrder, Layout, Program};

use crate::{Result, folder::Folder};

/// The running program, with the rules in it.
pub struct Driver {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    folder: Folder,
    version: String,
    /// What this version does not know, or cannot say.
    unknown: Vec<String>,
    rules: usize,
}

/// A program that another made.
pub struct Peer {
    /// Who made it: `libseccomp level 1`.
    pub name: String,
    /// The program.
    pub program: Program,
    /// Where it is stored, for another process, as long as its maker lives.
    pub file: PathBuf,
}

impl Driver {
    /// Starts the program and gives it the rules.
    ///
    /// # Errors
    ///
    /// When it does not start, or does not understand them.
    pub fn start(program: &Path, rules: &str) -> Result<Driver> {
        let mut child =
            Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut commands = child.stdin.take().ok_or("the driver has no input")?;
        let answers = child.stdout.take().ok_or("the driver has no output")?;
        commands.write_all(rules.as_bytes())?;
        let mut driver = Driver {
            folder: Folder::new(&format!("driver-{}", child.id()))?,
            child,
            commands,
            answers: BufReader::new(answers),
            version: String::new(),
            unknown: Vec::new(),
            rules: rules.lines().filter(|line| line.starts_with("rule ")).count(),
        };
        driver.check()?;
        Ok(driver)
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// How many rules it was given.
    pub fn rules(&self) -> usize {
        self.rules
    }

    /// What this version has no number for or cannot say; its programs lack them.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// Builds the filter once: the time to add the rules and the time to make the program.
    ///
    /// # Errors
    ///
    /// When the contender refuses.
    pub fn build(&mut self, level: u32) -> Result<[Duration; 2]> {
        self.ask(&format!("build {level}"))
    }

    /// The program of a level, under this name.
    ///
    /// # Errors
    ///
    /// When the contender refuses, or what it makes is no program.
    pub fn peer(&mut self, level: u32, name: &str) -> Result<Peer> {
        let file = self.folder.path().join(format!("level-{level}.bpf"));
        self.ask(&format!("export {level} {}", file.display()))?;
        let order = ByteOrder::NATIVE;
        let program = Program::from_bytes(&fs::read(&file)?, order, Layout::seccomp(order))?;
        Ok(Peer { name: name.to_owned(), program, file })
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

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
