//! The programs of `examples`: each does and prints what its first lines say.

#[path = "../examples/builder.rs"]
mod builder;
mod harness;
#[path = "../examples/interactive_copier.rs"]
mod interactive_copier;
#[path = "../examples/profile.rs"]
mod profile;
#[path = "../examples/strict_copier.rs"]
mod strict_copier;
#[path = "../examples/threads.rs"]
mod threads;

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use callgate::launch::Signal;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

use self::harness::{Case, again, finish, skip_under_a_filter, wait};

fn main() {
    let cases: &[Case] = &[
        ("builder_prints_what_it_says", || {
            printed("builder", include_str!("../examples/builder.rs"))
        }),
        ("profile_prints_what_it_says", || {
            printed("profile", include_str!("../examples/profile.rs"))
        }),
        ("threads_prints_what_it_says", || {
            skip_under_a_filter("the counts are others");
            printed("threads", include_str!("../examples/threads.rs"))
        }),
        ("a_copier_that_opened_its_files_before_strict_mode_copies_everything", strict_copier),
        ("an_interactive_copier_on_a_pipe", interactive_on_a_pipe),
        ("an_interactive_copier_on_a_terminal", interactive_on_a_terminal),
        ("_builder", || builder::main().unwrap()),
        ("_profile", || profile::main().unwrap()),
        ("_threads", || threads::main().unwrap()),
        ("_strict_copier", || _ = strict_copier::main()),
        ("_interactive_copier", || _ = interactive_copier::main()),
    ];
    harness::main(cases);
}

/// Runs an example and compares with the lines behind its `cargo run`.
fn printed(name: &str, source: &str) {
    let run = format!("//! $ cargo run -p callgate --example {name}\n");
    let (_, rest) = source.split_once(&run).expect("how to run it");
    let (expected, _) = rest.split_once("//! ```\n").expect("the end of what it prints");
    let expected: Vec<&str> = expected.lines().map(|line| &line["//! ".len()..]).collect();
    let output = finish(again(&format!("_{name}")).stdout(Stdio::piped()));
    assert!(output.status.success(), "{}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

/// A directory of its own, removed when dropped.
struct TempDir(PathBuf);

impl TempDir {
    fn new() -> TempDir {
        let path = env::temp_dir().join(format!("callgate-examples-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        TempDir(path)
    }

    /// A file with more than any buffer holds, and its content.
    fn source(&self) -> (PathBuf, Vec<u8>) {
        let path = self.path("source");
        let content: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        fs::write(&path, &content).unwrap();
        (path, content)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

fn strict_copier() {
    skip_under_a_filter("strict mode is closed");
    let dir = TempDir::new();
    let (from, content) = dir.source();
    let to = dir.path("copy");
    let status = finish(again("_strict_copier").args([&from, &to])).status;
    assert_eq!(status.code(), Some(0));
    assert_eq!(fs::read(&to).unwrap(), content);
}

/// Starts the interactive copier; what it asked, and how it ended.
fn interactive(
    dir: &TempDir,
    start: impl Fn(&Path, &Path, &str) -> (String, std::process::ExitStatus),
) {
    skip_under_a_filter("strict mode is closed");
    let (from, content) = dir.source();
    let to = dir.path("copy");
    let (seen, status) = start(&from, &to, "y");
    assert_eq!(status.signal(), Some(Signal::KILL.0), "{seen}");
    assert!(!to.exists());
    assert!(!seen.contains("copied"), "{seen}");
    let (seen, status) = start(&from, &to, "n");
    assert_eq!(status.code(), Some(0), "{seen}");
    assert_eq!(fs::read(&to).unwrap(), content);
    assert!(seen.trim_end().ends_with("copied 400000 bytes"), "{seen}");
}

fn interactive_on_a_pipe() {
    let dir = TempDir::new();
    interactive(&dir, |from, to, answer| {
        let (input, mut answers) = std::io::pipe().unwrap();
        writeln!(answers, "{answer}").unwrap();
        drop(answers);
        let mut command = again("_interactive_copier");
        command.args([from, to]).stdin(input).stdout(Stdio::piped());
        let output = finish(&mut command);
        let seen = String::from_utf8(output.stdout).unwrap();
        assert!(seen.starts_with("start strict mode? [y/n] "), "{seen}");
        (seen, output.status)
    });
}

fn interactive_on_a_terminal() {
    let dir = TempDir::new();
    interactive(&dir, |from, to, answer| {
        let mut command = again("_interactive_copier");
        let mut terminal = on_a_terminal(&mut command);
        let mut child = command.spawn().unwrap();
        // It holds the terminal's other side, whose last holder must be the child.
        drop(command);
        let mut seen = String::new();
        let (from, to) = (from.display().to_string(), to.display().to_string());
        for (question, answer) in
            [("copy from? ", &*from), ("to? ", &*to), ("start strict mode? [y/n] ", answer)]
        {
            read_until(&mut terminal, &mut seen, question);
            writeln!(terminal, "{answer}").unwrap();
        }
        let status = wait(&mut child);
        // What is left. A terminal without holders ends in EIO.
        let mut rest = Vec::new();
        _ = terminal.read_to_end(&mut rest);
        seen += &String::from_utf8_lossy(&rest);
        (seen, status)
    });
}

/// Gives a command a new terminal for its streams; the side that a person sits at.
fn on_a_terminal(command: &mut Command) -> File {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = openpt(flags).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let theirs = ioctl_tiocgptpeer(&ours, flags).unwrap();
    command.stdin(theirs.try_clone().unwrap());
    command.stdout(theirs.try_clone().unwrap());
    command.stderr(theirs);
    ours.into()
}

fn read_until(terminal: &mut File, seen: &mut String, question: &str) {
    let mut buffer = [0; 256];
    let asked = seen.len();
    while !seen[asked..].ends_with(question) {
        let length = terminal.read(&mut buffer).unwrap();
        assert!(length > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
}
