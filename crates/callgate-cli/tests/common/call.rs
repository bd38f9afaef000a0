//! A program, run to its end with its output in files that nobody else sees.
//!
//! In files, not pipes: a program that outlives its parent keeps a pipe open, and the reader
//! would wait for ever.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{Read, Seek, Write},
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{Scratch, pattern::like};

/// Longest time that any program takes on a loaded machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A program to run.
pub struct Call<'s> {
    scratch: &'s Scratch,
    command: Command,
    input: Vec<u8>,
}

/// All that a program left.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its exit status, or 128 and the signal.
    pub status: i32,
    /// Whether a signal ended it, and which.
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// Standard output as it came.
    pub bytes: Vec<u8>,
}

impl<'s> Call<'s> {
    pub fn new(scratch: &'s Scratch, program: impl AsRef<OsStr>) -> Call<'s> {
        let mut command = Command::new(program);
        command.current_dir(scratch.path()).env_remove("NO_COLOR").env("LC_ALL", "C");
        Call { scratch, command, input: Vec::new() }
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub fn args(mut self, args: &[impl AsRef<OsStr>]) -> Self {
        self.command.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// What stands on standard input; nothing otherwise.
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Runs to the end.
    ///
    /// # Panics
    ///
    /// When the program does not start, or does not end in time; it is killed then.
    #[track_caller]
    pub fn run(mut self) -> Outcome {
        let mut input = anonymous(self.scratch);
        input.write_all(&self.input).and_then(|()| input.rewind()).expect("a file takes bytes");
        let (stdout, stderr) = (anonymous(self.scratch), anonymous(self.scratch));
        let share = |file: &File| Stdio::from(file.try_clone().expect("descriptors are free"));
        let child = self
            .command
            .stdin(input)
            .stdout(share(&stdout))
            .stderr(share(&stderr))
            .spawn()
            .unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        let ended = end_of(child);
        let (bytes, stderr) = (contents(stdout), contents(stderr));
        let stdout = String::from_utf8_lossy(&bytes).into_owned();
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        let Some(ended) = ended else {
            panic!("{:?} did not end within {LIMIT:?}\n{stdout}{stderr}", self.command);
        };
        let signal = ended.signal();
        let status = ended.code().or(signal.map(|n| 128 + n)).expect("it ended in one of two ways");
        Outcome { status, signal, stdout, stderr, bytes }
    }
}

impl Outcome {
    /// Asserts all three, exactly.
    #[track_caller]
    pub fn is(&self, status: i32, stdout: &str, stderr: &str) {
        assert_eq!(
            (self.status, self.stdout.as_str(), self.stderr.as_str()),
            (status, stdout, stderr)
        );
    }

    /// Asserts the status, and the two texts by patterns: `…` stands for any text.
    #[track_caller]
    pub fn is_like(&self, status: i32, stdout: &str, stderr: &str) {
        assert!(
            self.status == status && like(&self.stdout, stdout) && like(&self.stderr, stderr),
            "not as expected\n--- expected: status {status}\n{stdout}\n--- on standard error\n{stderr}\n--- there was: status {}\n{}\n--- on standard error\n{}",
            self.status,
            self.stdout,
            self.stderr
        );
    }

    /// Standard output as JSON, of a call with this status and a silent standard error.
    #[track_caller]
    pub fn json(&self, status: i32) -> serde_json::Value {
        assert_eq!((self.status, self.stderr.as_str()), (status, ""), "{}", self.stdout);
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not JSON: {error}\n{}", self.stdout))
    }
}

/// Waits for a program's end; None when it had to be killed.
fn end_of(mut child: Child) -> Option<ExitStatus> {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return Some(status);
        }
        if begin.elapsed() > LIMIT {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// A file without a name.
fn anonymous(scratch: &Scratch) -> File {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let path = scratch.join(format!(".anonymous-{serial}"));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .expect("the folder takes a file");
    fs::remove_file(path).expect("it was just made");
    file
}

fn contents(mut file: File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("a file is readable");
    bytes
}
