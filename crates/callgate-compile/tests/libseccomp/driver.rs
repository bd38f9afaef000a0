//! libseccomp behind a small C program.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use callgate_bpf::{ByteOrder, Layout, Program};
use callgate_syscalls::Abi;

/// A running driver.
pub struct Driver {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    folder: PathBuf,
}

/// What libseccomp made of the rules.
pub enum Answer {
    Program(Program),
    /// The text of a refusal: line and error number.
    Refused(String),
}

impl Driver {
    /// Builds and starts it; none, said loudly, where libseccomp or a compiler is missing. With
    /// `CALLGATE_REQUIRE_LAB=1` neither may be.
    pub fn start(name: &str) -> Option<Driver> {
        let folder = env::temp_dir().join(format!("callgate-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let program = folder.join("driver");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/libseccomp/driver.c");
        let built = Command::new("cc")
            .args(["-O1", "-Wall", "-Werror", "-o"])
            .arg(&program)
            .args([source, "-lseccomp"])
            .output();
        let why = match built {
            Ok(output) if output.status.success() => {
                return Some(Driver::run(&program, folder));
            }
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        let _ = fs::remove_dir_all(&folder);
        let required = env::var_os("CALLGATE_REQUIRE_LAB").is_some_and(|value| value == "1");
        assert!(!required, "CALLGATE_REQUIRE_LAB=1, but cc or libseccomp-dev is missing: {why}");
        eprintln!("skipped: libseccomp's programs are not compared: no cc or libseccomp-dev");
        None
    }

    fn run(program: &PathBuf, folder: PathBuf) -> Driver {
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it was just built");
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        Driver { child, requests, answers, folder }
    }

    /// The program of a request, lines without `level` and `end`, at an optimisation level.
    pub fn build(&mut self, request: &str, level: u32) -> Answer {
        let answer = self.ask(&format!("{request}level {level}\nend\n"));
        let Some(count) = answer.strip_prefix("ok ") else {
            return Answer::Refused(answer);
        };
        let count: usize = count.parse().expect("a number");
        let mut bytes = vec![0; 8 * count];
        self.answers.read_exact(&mut bytes).expect("the program follows");
        let layout = Layout::seccomp(ByteOrder::NATIVE);
        let program = Program::from_bytes(&bytes, ByteOrder::NATIVE, layout);
        Answer::Program(program.expect("libseccomp's programs load"))
    }

    /// The number that libseccomp has for a name; negative when there is none, or when it stands
    /// for a call behind `socketcall` or `ipc`.
    pub fn number(&mut self, abi: Abi, name: &str) -> i32 {
        self.ask(&format!("number {abi} {name}\n")).parse().expect("a number")
    }

    fn ask(&mut self, request: &str) -> String {
        let requests = self.requests.as_mut().expect("it runs");
        requests.write_all(request.as_bytes()).expect("the driver reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the driver answers");
        assert!(!line.is_empty(), "the driver ended on: {request}");
        line.trim_end().to_owned()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The end of its input ends it.
        self.requests = None;
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
