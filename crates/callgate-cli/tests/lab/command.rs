//! Running a program to its end, with its input and output in files.
//!
//! In files, not pipes: a container that outlives its runtime keeps a pipe open, and the reader
//! would wait for ever.

use std::{
    env,
    fs::{self, File},
    path::PathBuf,
    process::{Command, ExitStatus},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Longest time that anything in the laboratory takes on a loaded machine.
const LIMIT: Duration = Duration::from_secs(180);

/// What a program that ended left.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    pub fn success(&self) -> bool {
        self.status.success()
    }

    /// The exit status, or 128 and the signal.
    pub fn code(&self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    /// Standard output of a program that had to succeed.
    pub fn expect(self, what: &str) -> String {
        assert!(self.success(), "{what}: status {}\n{}{}", self.code(), self.stdout, self.stderr);
        self.stdout
    }
}

/// Runs `command` to its end.
///
/// # Panics
///
/// When it does not start, or not end in time; its process is killed then.
pub fn run(command: &mut Command, input: &str) -> Output {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let stem = env::temp_dir().join(format!("callgate-lab-{}-run-{serial}", std::process::id()));
    let files = Files(["in", "out", "err"].map(|end| stem.with_extension(end)));
    let [input_path, stdout_path, stderr_path] = &files.0;
    fs::write(input_path, input).expect("the temporary folder takes a file");
    let create = |path: &PathBuf| File::create(path).expect("the temporary folder takes a file");

    let mut child = command
        .stdin(File::open(input_path).expect("the file was written"))
        .stdout(create(stdout_path))
        .stderr(create(stderr_path))
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let read = |path: &PathBuf| {
        String::from_utf8_lossy(&fs::read(path).expect("the file was made")).into_owned()
    };
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            break status;
        }
        if begin.elapsed() > LIMIT {
            let _ = child.kill();
            let _ = child.wait();
            panic!(
                "{command:?} did not end within {LIMIT:?}\n{}{}",
                read(stdout_path),
                read(stderr_path)
            );
        }
        thread::sleep(Duration::from_millis(2));
    };
    Output { status, stdout: read(stdout_path), stderr: read(stderr_path) }
}

/// Where `program` is, along PATH and the folders of the superuser.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

struct Files([PathBuf; 3]);

impl Drop for Files {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}
